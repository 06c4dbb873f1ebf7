"""Every alert in words, with its next step: one catalogue. Money in ₹ with Indian grouping, times in Mumbai's."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from orders.alerting.news import Kind, News
from orders.broker.kite_rows import IST
from orders.desk import rupees
from orders.lifecycle import OrderStatus
from orders.models import Alert, Order, OrderEvent
from orders.redaction import strike_out
from orders.start_of_day import Check
from risk.engine.facts import TradingState
from risk.models import Incident, TradingControlEvent

LINES_MAX = 12
LIST_PATH = "/admin/orders/alert/"
CONTROL_PATH = "/admin/risk/tradingcontrol/"
INCIDENT_KINDS = {
    Incident.Kind.ORDER_IN_DOUBT: Kind.ORDER_IN_DOUBT,
    Incident.Kind.LOSS_WARNING: Kind.LIMIT_WARNING,
    Incident.Kind.EXPOSURE: Kind.LIMIT_WARNING,
    Incident.Kind.BROKER_DAY_FILLS: Kind.LIMIT_WARNING,
    Incident.Kind.DAILY_LOSS: Kind.BREAKER,
    Incident.Kind.EXPOSURE_PASSED: Kind.BREAKER,
    Incident.Kind.REJECT_STREAK: Kind.BREAKER,
    Incident.Kind.LOGIN_REFUSED: Kind.LOGIN_NEEDED,
    Incident.Kind.END_OF_DAY_BREAK: Kind.END_OF_DAY_BREAK,
    Incident.Kind.ALERTS_UNDELIVERED: Kind.UNDELIVERED,
    # They stop nothing by themselves, and cost money while nobody looks: positions that should be closed are open,
    # signals are not acted on, or changes leave no trace.
    Incident.Kind.EXIT_NOT_TAKEN: Kind.ATTENTION,
    Incident.Kind.FLATTEN_INCOMPLETE: Kind.ATTENTION,
    Incident.Kind.BROKER_UNREACHABLE: Kind.ATTENTION,
    Incident.Kind.RATE_REFUSED: Kind.ATTENTION,
    Incident.Kind.END_OF_DAY_MISSED: Kind.ATTENTION,
    Incident.Kind.AUDIT_OPEN: Kind.ATTENTION,
    Incident.Kind.BACKUP_FAILED: Kind.ATTENTION,
    Incident.Kind.LINE_PROOF: Kind.ATTENTION,
}
NEXT = {
    Kind.ORDER_FILLED: "Nothing to do. What it opened or closed stands on the Positions page.",
    Kind.ORDER_REJECTED: "Read why. It is not sent again: if it is still wanted, send a new signal or use New order.",
    Kind.DOUBT_ENDED: "Look at the order. When nothing else is in doubt, turn auto-trading on: Trading control.",
    Kind.HALTED: "Find out why. Exits by hand still go: Positions → Exit. When it is clear: Trading control → Resume.",
    Kind.REDUCED: "Entries are being cancelled, exits still go. When it is clear: Trading control → Resume.",
    Kind.RESUMED: "Nothing to do. Whether signals are acted on is a switch of its own: auto-trading.",
    Kind.LOGIN_NEEDED: "Session → Log in to Kite, or manage.py kite_login. Nothing is sent before that.",
    Kind.LIMIT_WARNING: "At the limit nothing more is opened today; what closes still goes.",
    Kind.BREAKER: "Nothing more is opened today, what closes still goes. Risk settings has the limit.",
    Kind.NOT_READY: "See to each on the Start of day page.",
    Kind.EXECUTOR_SILENT: "Nothing is heard, sent or followed meanwhile. Start it where it runs: make run, or "
    "manage.py listen_signals. What works at the broker goes on working: look at Kite's own app.",
    Kind.EXECUTOR_BACK: "Nothing to do: it compares the broker's book before it sends. Look at Signals to close.",
    Kind.DATABASE_BACK: "Look at Incidents and Orders: the executor goes on by itself.",
}


@dataclass(frozen=True, kw_only=True)
class Words:
    """A message as it leaves: `tone` is one of info, success, warning and failure."""

    title: str
    text: str
    tone: str = "info"


_TONES = {
    Kind.ORDER_FILLED: "success",
    Kind.RESUMED: "success",
    Kind.EXECUTOR_BACK: "success",
    Kind.DATABASE_BACK: "success",
    Kind.DOUBT_ENDED: "info",
}


def of_order_event(event: OrderEvent) -> News | None:
    """Return what is told of the change of an order's status; None for one that is no end and ends no doubt."""
    order, status = event.order, OrderStatus(event.after)
    kinds = {OrderStatus.FILLED: Kind.ORDER_FILLED, OrderStatus.REJECTED: Kind.ORDER_REJECTED}
    kind = kinds.get(status, Kind.DOUBT_ENDED if event.before == OrderStatus.IN_DOUBT else None)
    if kind is None:
        return None
    what = f"{order.side} {order.quantity} {order.symbol}"
    price = f" at {rupees(order.average_price)}" if status == OrderStatus.FILLED and order.average_price else ""
    title = {
        Kind.ORDER_FILLED: f"Order filled: {what}{price}",
        Kind.ORDER_REJECTED: f"Order rejected: {what}",
        Kind.DOUBT_ENDED: f"No longer in doubt: {what} is {status.label.lower()}",
    }[kind]
    return News(
        kind=kind,
        source=f"order event {event.pk}",
        at=event.at,
        title=title,
        text=_order_text(order, event),
        what_to_do=NEXT[kind],
        path=f"/admin/orders/order/{order.pk}/change/",
    )


def _order_text(order: Order, event: OrderEvent) -> str:
    limit = f"limit {rupees(order.price)}" if order.price else order.order_type.lower()
    value = f", {rupees(order.average_price * order.filled_quantity)} in all" if order.average_price else ""
    whose = f"by {order.created_by}" if order.created_by else "for a signal"
    ids = f"our id {order.client_order_id}{f', broker’s {order.broker_order_id}' if order.broker_order_id else ''}"
    reason = "" if event.after == OrderStatus.FILLED else f"\n{event.note}"
    filled = f"{order.filled_quantity} of {order.quantity} filled{value}"
    return with_rupees(f"{order.exchange}:{order.symbol} {order.product}, {limit}, {whose}. {filled}; {ids}.{reason}")


def of_incident(incident: Incident) -> News | None:
    """Return what is told of a new incident; None for one that stops nothing and can wait for whoever looks."""
    kind = INCIDENT_KINDS.get(Incident.Kind(incident.kind), Kind.STOPS_OPENING if incident.stops_opening else None)
    if kind is None:
        return None
    if incident.kind == Incident.Kind.EXPOSURE and incident.subject.endswith(":100"):
        kind = Kind.BREAKER
    where = (
        f"Nothing is opened in {incident.symbol or 'any symbol'} until it is resolved."
        if incident.stops_opening
        else ""
    )
    return News(
        kind=kind,
        source=f"incident {incident.pk}",
        at=incident.first_at,
        title=with_rupees(f"In doubt: {incident.title}" if kind == Kind.ORDER_IN_DOUBT else incident.title),
        text=with_rupees("\n".join(filter(None, [incident.detail, where]))),
        what_to_do=with_rupees(incident.what_to_do) or "Look at it on its page, and resolve it when it is over.",
        path=f"/admin/risk/incident/{incident.pk}/change/",
    )


def of_switch(change: TradingControlEvent, before: str) -> News | None:
    """Return what is told of a change of the switch, `before` being the state until then; None where that stays."""
    if change.state == before:
        return None
    state = TradingState(change.state)
    if state == TradingState.REDUCE_ONLY and change.actor == "executor":
        return None  # the limit that was reached is told by its incident
    kind = {
        TradingState.HALTED: Kind.HALTED,
        TradingState.REDUCE_ONLY: Kind.REDUCED,
        TradingState.ACTIVE: Kind.RESUMED,
    }[state]
    told = {
        Kind.HALTED: "Trading is halted",
        Kind.REDUCED: "Only closing orders go",
        Kind.RESUMED: "Trading is resumed",
    }
    auto = f"Auto-trading is {'on' if change.auto_trading else 'off'}."
    return News(
        kind=kind,
        source=f"switch row {change.pk}",
        at=change.at,
        title=f"{told[kind]}, by {change.actor}",
        text=with_rupees(f"Reason: {change.reason or 'none given'}\n{auto}"),
        what_to_do=NEXT[kind],
        path=CONTROL_PATH,
    )


def of_a_stop_once_more(change: TradingControlEvent, before: TradingControlEvent) -> News | None:
    """Return what is told where the executor stopped something again for what a person had not resolved."""
    reduced = change.state == TradingState.REDUCE_ONLY and before.state != change.state
    if not reduced and not (before.auto_trading and not change.auto_trading):
        return None
    return News(
        kind=Kind.BREAKER if reduced else Kind.ATTENTION,
        source=f"switch row {change.pk}",
        at=change.at,
        title="Only closing orders go, once more" if reduced else "Auto-trading was turned off once more",
        text=with_rupees(f"Reason: {change.reason or 'none given'}"),
        what_to_do="The incident of the first time is open still. When it is clear, resolve it, and turn on again what "
        "was turned off: Trading control.",
        path=CONTROL_PATH,
    )


def of_trades(*, day: str, used: int, limit: int, level: int, at: datetime) -> News:
    """Return what is told when so many percent of a day's trades are made."""
    return News(
        kind=Kind.BREAKER if level >= 100 else Kind.LIMIT_WARNING,
        source=f"trades {day} of {limit}: {level}",
        at=at,
        title=f"Today's trades: {level} % of {limit} are made",
        text=f"{used} of {limit}.",
        what_to_do=NEXT[Kind.BREAKER if level >= 100 else Kind.LIMIT_WARNING],
        path="/admin/risk/risksettings/",
    )


def login_needed(*, day: str, at: datetime, was: str) -> News:
    return News(
        kind=Kind.LOGIN_NEEDED,
        source=f"login {day}",
        at=at,
        title="Log in to Kite: there is no login for today",
        text=was,
        what_to_do=NEXT[Kind.LOGIN_NEEDED],
        path="/admin/orders/brokersession/",
    )


def not_ready(*, day: str, at: datetime, bad: Sequence[Check]) -> News:
    lines = [f"{check.title}: {check.measured}. {check.what_to_do}".strip() for check in bad]
    return News(
        kind=Kind.NOT_READY,
        source=f"ready {day}",
        at=at,
        title=f"Not ready to trade: {', '.join(check.title for check in bad)}",
        text=with_rupees("\n".join(lines)),
        what_to_do=NEXT[Kind.NOT_READY],
        path="/admin/start-of-day/",
    )


def executor_silent(*, source: str, at: datetime, last_seen: str) -> News:
    return News(
        kind=Kind.EXECUTOR_SILENT,
        source=source,
        at=at,
        title="The executor is silent",
        text=last_seen,
        what_to_do=NEXT[Kind.EXECUTOR_SILENT],
        path="/admin/orders/executorheartbeat/",
    )


def executor_back(*, silent: Alert, at: datetime) -> News:
    return News(
        kind=Kind.EXECUTOR_BACK,
        source=f"back after alert {silent.pk}",
        at=at,
        title="The executor is back",
        text=f"It was told to be silent at {stamp(silent.at)}, {in_words(at - silent.at)} ago.",
        what_to_do=NEXT[Kind.EXECUTOR_BACK],
        path="/admin/orders/executorheartbeat/",
    )


def database_back(*, since: datetime, at: datetime) -> News:
    return News(
        kind=Kind.DATABASE_BACK,
        source=f"database {since.isoformat()}",
        at=at,
        title="The database answers again",
        text=f"It did not from {stamp(since)} on, for {in_words(at - since)}.",
        what_to_do=NEXT[Kind.DATABASE_BACK],
        path="/admin/risk/incident/",
    )


def database_away(mode: str, *, since: datetime, reason: str, base_url: str) -> Words:
    """Return the message of which no row can be kept."""
    text = (
        f"Since {stamp(since)}: {strike_out(reason)}\nNothing is decided or sent meanwhile, and nobody can see whether "
        "the executor runs. What works at the broker goes on working.\nNext: look at PostgreSQL: does it run, "
        "is its disk full? To cancel, use Kite's own app. It is told when the database answers again."
    )
    return Words(title=f"{mode}: the database does not answer", text=_with_link(text, "", base_url), tone="failure")


def trial(mode: str, *, by: str, at: datetime, base_url: str) -> Words:
    text = f"{stamp(at)}\nSent by {by}. If you read this, alerts of this desk reach you here."
    return Words(title=f"{mode}: a test of alerts", text=_with_link(text, LIST_PATH, base_url), tone="info")


def message_of(mode: str, alerts: Sequence[Alert], *, base_url: str) -> Words:
    """Return the words of a message: of one alert in full, of many their count by kind and a line each, to a bound."""
    tones = {tone_of(alert) for alert in alerts}
    tone = next(each for each in ("failure", "warning", "info", "success") if each in tones)
    if len(alerts) == 1:
        (alert,) = alerts
        parts = [stamp(alert.at), alert.text, f"Next: {alert.what_to_do}" if alert.what_to_do else ""]
        text = "\n".join(filter(None, parts))
        return Words(title=f"{mode}: {alert.title}", text=_with_link(text, alert.path, base_url), tone=tone)
    counts = Counter(alert.get_kind_display() for alert in alerts)
    told = ", ".join(f"{count} × {kind.lower()}" for kind, count in counts.most_common())
    title = f"{mode}: {len(alerts)} alerts: {told}"
    lines = [f"{alert.at.astimezone(IST):%H:%M:%S} {alert.title}" for alert in alerts[:LINES_MAX]]
    if len(alerts) > LINES_MAX:
        lines.append(f"… and {len(alerts) - LINES_MAX} more.")
    steps = {alert.what_to_do: alert.get_kind_display() for alert in alerts if alert.kind not in _NOTHING_TO_DO}
    nexts = [f"Next ({kind.lower()}): {step}" for step, kind in list(steps.items())[:5] if step]
    return Words(title=title, text=_with_link("\n".join([*lines, *nexts]), LIST_PATH, base_url), tone=tone)


_NOTHING_TO_DO = frozenset({Kind.ORDER_FILLED, Kind.RESUMED, Kind.EXECUTOR_BACK})


def tone_of(alert: Alert) -> str:
    return "failure" if alert.is_urgent else _TONES.get(Kind(alert.kind), "warning")


def _with_link(text: str, path: str, base_url: str) -> str:
    return f"{text}\n{base_url}{path or '/admin/'}" if base_url else text


def stamp(at: datetime) -> str:
    return f"{at.astimezone(IST):%d %b %Y, %H:%M:%S} IST"


def in_words(length: timedelta) -> str:
    seconds = max(0, int(length.total_seconds()))
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h {seconds // 60 % 60:02} min"


_AMOUNTS = re.compile(r"₹(\d{4,}(?:\.\d+)?)(?![\d,])|(?<![\d,.])(\d+(?:\.\d+)?) INR\b")


def with_rupees(text: str) -> str:
    """Return the text with each amount of INR in it as ₹ with Indian grouping."""
    return _AMOUNTS.sub(lambda found: rupees(Decimal(found[1] or found[2])), text)
