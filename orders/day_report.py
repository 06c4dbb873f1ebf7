"""
What a trading day was: our orders, positions, fills and money, beside the broker's book, as tables to be kept.

Everything is read from the ledger, and from a broker's book that was read before; nothing is written. A cell is text, a
number, None for what is not known, or an amount or a moment that says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.contrib.admin.models import LogEntry
from django.db import connection
from django.db.models import Count, Q

from orders.broker.gateway import BrokerBook
from orders.broker.kite_rows import IST
from orders.counted_fills import counted_fills
from orders.day import day_of_account
from orders.day_breaks import Break, Held, Key, bounds, filled_on, held_on
from orders.desk import Desk, trading_date
from orders.lifecycle import UNFINISHED, OrderStatus
from orders.models import Decision, Fill, Order
from risk import limit_versions
from risk.engine.facts import Origin
from risk.engine.limits import Limits
from risk.engine.rates import BROKER_DAY
from risk.engine.rules import CATALOGUE
from risk.models import Incident, RiskSettings, RiskSettingsVersion, TradingControlEvent

Cell = str | int | dict[str, str] | None
PAISA = Decimal("0.01")
LISTED_MAX = 500  # rows of a section; a day with more says so in a last one


@dataclass(frozen=True, kw_only=True)
class Report:
    """A day's tables and the figures on top of them. `result` is INR, None when a price that it needs is not known."""

    breaks: int
    orders: int
    fills: int
    result: Decimal | None
    figures: dict[str, str | None]
    sections: list[dict[str, Any]]


def report(desk: Desk, day: date, book: BrokerBook | None, breaks: list[Break]) -> Report:
    """Return the day's report. Without a book, what only the broker knew of that day is not known."""
    now = desk.clock()
    limits = limit_versions.in_force(now=now).limits()
    held = held_on(desk, day, book)
    figures = _money(desk, day, held, limits, book)
    orders = list(Order.objects.filter(mode=desk.mode, trading_date=day).order_by("id"))
    fills = list(Fill.objects.filter(mode=desk.mode, trading_date=day).select_related("order"))
    sections = [
        _section("breaks", "Differences", ["What", "Ours", "Broker's"], [[b.what, b.ours, b.broker] for b in breaks]),
        _section("money", "Profit and loss", ["What", "Amount"], [[what, inr(figures[name])] for name, what in MONEY]),
        _orders(orders),
        _unfinished(desk, day),
        _positions(held),
        _fills(fills, book, day),
        _limits(desk, day, held, figures, limits),
        _decisions(desk.mode, day),
        _refusals(desk.mode, day),
        _incidents(desk.mode, day),
        _limit_changes(day),
        _switch(desk.mode, day),
        _staff(day),
    ]
    return Report(
        breaks=len(breaks),
        orders=sum(order.origin != Origin.EXTERNAL for order in orders),
        fills=sum(fill.order.origin != Origin.EXTERNAL for fill in fills),
        result=figures["result"],
        figures={name: None if amount is None else f"{amount:.2f}" for name, amount in figures.items()},
        sections=sections,
    )


MONEY = (
    ("realised", "Realised"),
    ("unrealised", "Unrealised, of what is open, against its cost"),
    ("gross", "Since the close before, realised and not"),
    ("charges", "Charges, estimated"),
    ("result", "Result of the day, charges taken off"),
)


def inr(amount: Decimal | None) -> Cell:
    return None if amount is None else {"inr": f"{amount.quantize(PAISA):f}"}


def at(moment: datetime | None) -> Cell:
    return None if moment is None else {"at": moment.astimezone(IST).isoformat(timespec="seconds")}


def _section(name: str, title: str, columns: list[str], rows: Iterable[list[Cell]]) -> dict[str, Any]:
    listed = list(rows)
    if len(listed) > LISTED_MAX:
        more = len(listed) - LISTED_MAX
        listed = [*listed[:LISTED_MAX], [f"… and {more} more", *[None] * (len(columns) - 1)]]
    return {"name": name, "title": title, "columns": columns, "rows": listed}


# --- Positions and money --------------------------------------------------------------------------------------------


def _positions(held: dict[Key, Held]) -> dict[str, Any]:
    columns = ["Symbol", "Ours", "Broker's", "External", "Average", "Last", "Worth", "Realised", "Unrealised"]
    rows: list[list[Cell]] = [
        [
            f"{exchange}:{symbol}",
            each.net.quantity,
            each.broker,
            None if each.broker is None else each.broker - each.net.quantity,
            inr(each.net.average_price) if each.net.quantity else None,
            inr(each.price) if each.net.quantity else None,
            inr(each.worth),
            inr(each.realised),
            inr(each.unrealised),
        ]
        for (exchange, symbol), each in sorted(held.items())
    ]
    return _section("positions", "Positions", columns, rows)


def _money(
    desk: Desk, day: date, held: dict[Key, Held], limits: Limits, book: BrokerBook | None
) -> dict[str, Decimal | None]:
    """Return INR by name. What the day made of yesterday's positions needs the prices of its own close."""
    unrealised = [each.unrealised for each in held.values()]
    account = day_of_account(desk, charges_percent=limits.charges_percent, now=desk.clock()) if book else None
    known = account is not None and account.result is not None
    turnover = sum(
        (
            each.quantity * each.price
            for order in filled_on(desk.mode, day)
            for each in counted_fills(order.fills.all())
            if trading_date(each.at) == day
        ),
        Decimal(0),
    )
    return {
        "realised": sum((each.realised for each in held.values()), Decimal(0)),
        "unrealised": None if book is None or None in unrealised else sum(filter(None, unrealised), Decimal(0)),
        "gross": account.gross if account is not None and known else None,
        "charges": turnover * limits.charges_percent / 100,
        "result": account.result if account is not None else None,
        "turnover": turnover,
    }


# --- Orders and fills -----------------------------------------------------------------------------------------------


def _orders(orders: list[Order]) -> dict[str, Any]:
    counted = Counter((order.status, order.origin) for order in orders)
    origins = [origin.value for origin in (Origin.AUTO, Origin.MANUAL, Origin.EXTERNAL)]
    rows: list[list[Cell]] = []
    for status in OrderStatus:
        counts = [counted[status.value, origin] for origin in origins]
        if any(counts):
            rows.append([status.label, *counts, sum(counts)])
    return _section("orders", "Orders by outcome", ["Outcome", "By signals", "Manual", "External", "All"], rows)


def _unfinished(desk: Desk, day: date) -> dict[str, Any]:
    of_it = Order.objects.filter(mode=desk.mode, trading_date__lte=day, status__in=UNFINISHED).order_by("id")
    rows: list[list[Cell]] = [
        [
            str(order),
            order.client_order_id or order.broker_order_id,
            order.get_status_display(),
            order.filled_quantity,
            order.quantity,
            order.trading_date.isoformat(),
        ]
        for order in of_it
    ]
    columns = ["Order", "Our id", "Status", "Filled", "Of", "Date"]
    return _section("unfinished", "Unfinished and in doubt", columns, rows)


def _fills(fills: list[Fill], book: BrokerBook | None, day: date) -> dict[str, Any]:
    """Add up what was traded by symbol and side, ours beside the broker's."""
    traded: dict[tuple[str, str], list[Any]] = {}
    for fill in fills:
        row = traded.setdefault((fill.order.symbol, fill.order.side), [0, 0, Decimal(0), 0])
        by_broker = fill.source == Fill.Source.BROKER
        row[0] += by_broker
        row[1] += fill.quantity if by_broker else 0
        row[2] += fill.quantity * fill.price if by_broker else 0
        row[3] += not by_broker
    theirs: Counter[tuple[str, str]] = Counter()
    for trade in book.trades if book else ():
        if trading_date(trade.filled_at) == day:
            theirs[trade.symbol, trade.side] += trade.quantity
    rows: list[list[Cell]] = []
    for symbol, side in sorted(traded.keys() | theirs.keys()):
        count, shares, value, by_hand = traded.get((symbol, side), [0, 0, Decimal(0), 0])
        broker = theirs[symbol, side] if book else None
        rows.append([symbol, side, count, shares, broker, inr(value / shares) if shares else None, inr(value), by_hand])
    columns = [
        "Symbol",
        "Side",
        "Trades",
        "Shares, our book",
        "Shares, broker's book",
        "Average",
        "Value",
        "Marked by hand",
    ]
    return _section("fills", "Fills", columns, rows)


# --- Limits, decisions, incidents, people ---------------------------------------------------------------------------


def _limits(
    desk: Desk, day: date, held: dict[Key, Held], figures: dict[str, Decimal | None], limits: Limits
) -> dict[str, Any]:
    """Return how much of each limit the day used: counts of the whole day, amounts as they were at its close."""
    worths = [each.worth for each in held.values()]
    known = None not in worths and figures["unrealised"] is not None
    amounts = [worth for worth in worths if worth is not None]
    loss = None if figures["result"] is None else max(Decimal(0), -figures["result"])
    trades = Order.objects.trades_of(desk.mode, day).count()
    requests = Order.objects.requested_on(desk.mode, day).count()
    rows: list[list[Cell]] = [
        ["Trades", trades, limits.daily_trades_max, "whole day"],
        ["Orders that the broker counts", requests, BROKER_DAY, "whole day"],
        ["Loss of the day", inr(loss), inr(limits.daily_loss_max), "at the close"],
        [
            "Loss of the day",
            inr(_worst_loss(desk.mode, day)),
            inr(limits.daily_loss_max),
            "at its worst a decision saw",
        ],
        [
            "Largest position",
            inr(max(amounts, default=Decimal(0))) if known else None,
            inr(limits.position_value_max),
            "at the close",
        ],
        [
            "All positions",
            inr(sum(amounts, Decimal(0))) if known else None,
            inr(limits.gross_exposure_max),
            "at the close",
        ],
        ["Symbols held", sum(each.net.quantity != 0 for each in held.values()), limits.positions_max, "at the close"],
    ]
    return _section("limits", f"Limits used, version {limits.version}", ["Limit", "Used", "Allowed", "Measured"], rows)


def _worst_loss(mode: str, day: date) -> Decimal | None:
    """Return the highest INR that a decision of the day saw lost; None when none saw any figure."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT max(nullif(facts #>> '{portfolio,day_loss}', 'NaN')::numeric) FROM orders_decision"
            " WHERE mode = %s AND at BETWEEN %s AND %s",
            [mode, *_within(day)],
        )
        worst: Decimal | None = cursor.fetchone()[0]
    return None if worst is None else max(worst, Decimal(0))


def _decisions(mode: str, day: date) -> dict[str, Any]:
    of_it = Decision.objects.filter(mode=mode, at__range=_within(day)).order_by()
    rows = of_it.values_list("outcome").annotate(count=Count("pk")).order_by("outcome")
    return _section(
        "decisions", "Decisions", ["Outcome", "Count"], [[outcome.capitalize(), count] for outcome, count in rows]
    )


def _refusals(mode: str, day: date) -> dict[str, Any]:
    """Count by control what stood against the day's decisions: each of them may have had several."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT verdict->>'control', count(*) FROM orders_decision, jsonb_array_elements(verdicts) verdict"
            " WHERE mode = %s AND at BETWEEN %s AND %s AND verdict->>'passed' = 'false' GROUP BY 1 ORDER BY 2 DESC, 1",
            [mode, *_within(day)],
        )
        rows = cursor.fetchall()
    named = [[CATALOGUE[code].title if code in CATALOGUE else code, code, count] for code, count in rows]
    return _section("refusals", "Refused or limited by", ["Control", "Code", "Decisions"], named)


def _incidents(mode: str, day: date) -> dict[str, Any]:
    start, end = bounds(day)
    of_it = Incident.objects.filter(Q(first_at__lt=end, last_at__gte=start), mode=mode).order_by("first_at")
    rows: list[list[Cell]] = [
        [at(each.first_at), each.get_kind_display(), each.title, each.count, each.get_status_display(), each.closed_by]
        for each in of_it
    ]
    return _section("incidents", "Incidents", ["Since", "Kind", "What", "Times", "Status", "By"], rows)


def _limit_changes(day: date) -> dict[str, Any]:
    rows: list[list[Cell]] = [
        [at(each.at), each.version, _changed(each), each.author, each.approved_by, each.reason]
        for each in RiskSettingsVersion.objects.filter(at__range=_within(day)).order_by("version")
    ]
    columns = ["Time", "Version", "Before → after", "By", "Approved by", "Reason"]
    return _section("limit_changes", "Changes of limits", columns, rows)


def _changed(version: RiskSettingsVersion) -> str:
    known = RiskSettings.LIMIT_FIELDS
    return "; ".join(
        f"{RiskSettings.label(name) if name in known else name}: {before or '–'} → {after or '–'}"
        for name, (before, after) in version.changed.items()
    )


def _switch(mode: str, day: date) -> dict[str, Any]:
    rows: list[list[Cell]] = [
        [
            at(each.at),
            each.get_state_display(),
            "on" if each.auto_trading else "off",
            each.armed_user_id or None,
            each.actor,
            each.reason,
        ]
        for each in TradingControlEvent.objects.filter(mode=mode, at__range=_within(day)).order_by("version")
    ]
    columns = ["Time", "Trading", "Auto-trading", "Armed for", "By", "Reason"]
    return _section("switch", "Changes of the switch", columns, rows)


def _staff(day: date) -> dict[str, Any]:
    entries = LogEntry.objects.filter(action_time__range=_within(day)).select_related("user", "content_type")
    rows: list[list[Cell]] = [
        [
            at(each.action_time),
            each.user.get_username(),
            f"{each.content_type or ''} {each.object_repr}".strip(),
            each.get_change_message() or each.get_action_flag_display(),
        ]
        for each in entries.order_by("action_time", "pk")
    ]
    return _section("staff", "What staff did", ["Time", "Who", "To what", "What"], rows)


def _within(day: date) -> tuple[datetime, datetime]:
    """Return the first and the last moment of the date, to its microsecond."""
    start, end = bounds(day)
    return start, end - timedelta(microseconds=1)
