"""What the comparison could not explain, told as incidents; and the broker's positions beside ours."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from orders.broker.gateway import BrokerBook, OrderReport
from orders.desk import Desk
from orders.holdings import note_holdings
from orders.many_rows import set_columns, write_columns
from orders.models import Adjustment, Fill, Order, Position
from orders.models.quarters import dated_since
from risk import limit_versions
from risk.engine.facts import Origin
from risk.models import Incident, TradingControl
from risk.questions import Question

EXCHANGE_MAX, SYMBOL_MAX = 10, 40  # letters, as the columns hold them
NOTED = ("broker_quantity", "broker_as_of", "last_price", "close_price", "missing", "told_missing")  # of a position


def compare_positions(desk: Desk, book: BrokerBook) -> None:
    """
    Note what the broker holds beside what our fills opened.

    More than ours is somebody else's trade and only shown. Less, in two reads with nothing changed between them, is
    an incident that stops new exposure in that symbol; it is opened once for the same difference.

    It asks as much for a thousand positions as for one: who wants to send an order waits for the lock meanwhile.
    """
    with transaction.atomic(durable=True):
        TradingControl.objects.locked(desk.mode)
        now = desk.clock()
        if limit_versions.in_force(now=now).include_external:
            _note_what_is_external(desk, book, now)
        note_holdings(desk.mode, book)
        positions = _POSITIONS.rows(mode=desk.mode)
        own = _own_by_symbol(positions)
        short_of = {key: lacking_shares(ours, book.positions.get(key, 0)) for key, ours in own.items()}
        in_question = [each for each in positions if short_of[key_of(each)] or each.told_missing]
        moved = _moved_since(desk.mode, map(key_of, in_question), book.as_of, now)
        ever_ours = _ever_ours([each for each in in_question if own[key_of(each)] == 0])
        changed = []
        for position in positions:
            key = key_of(position)
            lacking = 0 if key in moved else short_of[key]
            if lacking and own[key] == 0 and position.pk not in ever_ours:
                lacking = 0
            told = position.told_missing if lacking or key in moved else 0  # a read that proves nothing clears nothing
            if lacking and lacking == position.missing and lacking != told:
                _tell_of_difference(position, own[key], book.positions.get(key, 0), now)
                told = lacking
            if _note(position, book, missing=lacking, told_missing=told):
                changed.append(position)
        write_columns(changed, NOTED)
        noted = [each.pk for each in changed]
        set_columns(Position, {"broker_as_of": book.as_of}, where={"mode": desk.mode}, but=noted)


_POSITIONS = Question[Position](lambda mode: Position.objects.filter(mode=mode), mode=str)


def key_of(position: Position) -> tuple[str, str]:
    return position.exchange, position.symbol


def _own_by_symbol(positions: list[Position]) -> dict[tuple[str, str], int]:
    """Return the net shares that our own fills opened, all products of a symbol together."""
    own: defaultdict[tuple[str, str], int] = defaultdict(int)
    for position in positions:
        own[key_of(position)] += position.quantity
    return own


def _note(position: Position, book: BrokerBook, **found: int) -> bool:
    """Set on the position what the book says of it, and return whether that is new. It is not saved."""
    key = key_of(position)
    said = {
        "broker_quantity": book.positions.get(key, 0),
        "last_price": book.last_prices.get(key),
        "close_price": book.close_prices.get(key),
        **found,
    }
    is_new = any(getattr(position, name) != value for name, value in said.items())
    for name, value in said.items():
        setattr(position, name, value)
    position.broker_as_of = book.as_of
    return is_new


def _note_what_is_external(desk: Desk, book: BrokerBook, now: datetime) -> None:
    """Give what the broker holds, and we never did, a position of no shares of ours: there its own number is noted."""
    known = set(Position.objects.filter(mode=desk.mode).values_list("exchange", "symbol"))
    for key in book.positions.keys() - known:
        exchange, symbol = (str(word) for word in key)
        fits = 0 < len(exchange) <= EXCHANGE_MAX and 0 < len(symbol) <= SYMBOL_MAX
        if not (fits and f"{exchange}{symbol}".isprintable()):
            tell_of_unreadable(desk.mode, f"a position in {key!r}", now)
            continue
        same = {"mode": desk.mode, "exchange": exchange, "symbol": symbol, "product": desk.rules.product}
        Position.objects.create(**same, updated_at=now)


def _ever_ours(positions: list[Position]) -> set[int]:
    """Return the keys of those in whose symbol we ever had an order."""
    if not positions:
        return set()
    of_it = Order.objects.ours(positions[0].mode).filter(exchange=OuterRef("exchange"), symbol=OuterRef("symbol"))
    asked = Position.objects.filter(Exists(of_it), pk__in=[each.pk for each in positions])
    return set(asked.values_list("pk", flat=True))


def difference_is_explained(position: Position, *, by: str, note: str, now: datetime) -> None:
    """Resolve what was told of the symbol's difference: a person took the broker's quantity for ours."""
    same = {"mode": position.mode, "exchange": position.exchange, "symbol": position.symbol}
    Position.objects.filter(**same).update(missing=0, told_missing=0)
    subject = f"{position.mode}:{Incident.Kind.POSITION_DIFFERENCE}:{position.exchange}:{position.symbol}"
    for incident in Incident.objects.unresolved().filter(fingerprint=subject):
        incident.resolve(by=by, note=note, now=now)


def lacking_shares(ours: int, held: int) -> int:
    """Return how many shares of ours the broker does not have: a long position short of some, a short one of any."""
    return max(0, ours - held) if ours >= 0 else abs(held - ours)


def _moved_since(mode: str, keys: Iterable[tuple[str, str]], moment: datetime, now: datetime) -> set[tuple[str, str]]:
    """
    Return which of these an order is working in, or was filled, or whose position was adjusted, after the moment.

    A read that began then proves nothing.
    """
    asked = set(keys)
    if not asked:
        return set()
    symbols = {symbol for _, symbol in asked}
    adjusted = Adjustment.objects.filter(dated_since("at", moment, now), mode=mode)
    works = Order.objects.unfinished(mode).filter(symbol__in=symbols)
    filled = Fill.objects.filter(dated_since("recorded_at", moment, now), mode=mode)
    filled = filled.exclude(order__origin=Origin.EXTERNAL)
    return asked.intersection(
        [
            *adjusted.values_list("exchange", "symbol"),
            *works.values_list("exchange", "symbol"),
            *filled.values_list("order__exchange", "order__symbol"),
        ]
    )


def _tell_of_difference(position: Position, ours: int, held: int, now: datetime) -> None:
    Incident.objects.open(
        Incident.Kind.POSITION_DIFFERENCE,
        mode=position.mode,
        subject=f"{position.exchange}:{position.symbol}",
        title=f"{position.symbol}: our fills opened {ours}, the broker holds {held}",
        what_to_do="Was it sold in the broker's own app, or a bonus entered that is not credited yet? Accept "
        "the broker's quantity on the position's page, or resolve this: until then nothing opens in this symbol.",
        symbol=position.symbol,
        stops_opening=True,
        now=now,
    )


def resolve_ended_doubts(desk: Desk) -> None:
    """Resolve the incidents of doubts that have ended, by whatever evidence. Auto-trading stays as it is."""
    if not _DOUBTS_TOLD.rows(mode=desk.mode):
        return
    told = _doubts_told(desk.mode)
    with transaction.atomic(durable=True):  # so that no other doubt of the order is counted on it meanwhile
        TradingControl.objects.locked(desk.mode)
        now = desk.clock()
        for incident in told:
            order = Order.objects.filter(mode=desk.mode, client_order_id=incident.client_order_id).first()
            if order is None or order.is_in_doubt:
                continue
            note = f"the doubt has ended: {order} is {order.get_status_display().lower()}"
            incident.resolve(by="executor", note=note, now=now)


def _doubts_told(mode: str) -> QuerySet[Incident]:
    return Incident.objects.unresolved().filter(mode=mode, kind=Incident.Kind.ORDER_IN_DOUBT)


_DOUBTS_TOLD = Question[tuple[int]](lambda mode: _doubts_told(mode).order_by().values_list("pk")[:1], mode=str)


def tell_of_late_appearance(order: Order, report: OrderReport, now: datetime) -> None:
    Incident.objects.open(
        Incident.Kind.LATE_APPEARANCE,
        mode=order.mode,
        subject=order.client_order_id or report.broker_order_id,
        title=f"{order} appeared at the broker after we took it for ended",
        detail=f"{report.broker_order_id}: {report.status}",
        what_to_do="It was adopted, and its cancel asked for if it still works. Look at the position it left.",
        symbol=order.symbol,
        client_order_id=order.client_order_id or "",
        now=now,
    )


def tell_of_overfill(order: Order, now: datetime) -> None:
    Incident.objects.open(
        Incident.Kind.OVERFILL,
        mode=order.mode,
        subject=order.client_order_id or order.broker_order_id,
        title=f"{order}: {order.filled_quantity} shares filled",
        what_to_do="Compare the trades with the broker's contract note. Nothing opens in this symbol until resolved.",
        symbol=order.symbol,
        client_order_id=order.client_order_id or "",
        stops_opening=True,
        now=now,
    )


def tell_of_vanished(order: Order, now: datetime) -> None:
    Incident.objects.open(
        Incident.Kind.VANISHED_ORDER,
        mode=order.mode,
        subject=order.client_order_id or order.broker_order_id,
        title=f"{order} is not in the broker's book of its own day any more",
        detail=order.broker_order_id,
        what_to_do="It still counts as if it may fill. Look for it in the broker's own app.",
        symbol=order.symbol,
        client_order_id=order.client_order_id or "",
        once=True,
        stops_opening=True,
        now=now,
    )


def tell_of_unknown(mode: str, report: OrderReport, now: datetime) -> None:
    Incident.objects.open(
        Incident.Kind.UNKNOWN_ORDER,
        mode=mode,
        subject=report.broker_order_id,
        title=f"{report.side} {report.quantity} {report.symbol} carries our mark, and we have no such order",
        detail=f"{report.broker_order_id}, tag {report.tag}, {report.status}",
        what_to_do="Is a second installation, or a restored backup, trading this account? Nothing new is opened.",
        once=True,
        stops_opening=True,
        now=now,
    )


def tell_of_doubled(mode: str, report: OrderReport, now: datetime) -> None:
    Incident.objects.open(
        Incident.Kind.DOUBLED_ORDER,
        mode=mode,
        subject=report.broker_order_id,
        title=f"{report.side} {report.quantity} {report.symbol} is at the broker a second time",
        detail=f"{report.broker_order_id}, tag {report.tag}, {report.status}",
        what_to_do="Its cancel was asked for if it works. What it filled is shown as external. Nothing new is opened.",
        once=True,
        stops_opening=True,
        now=now,
    )


def tell_of_unreadable(mode: str, row: str, now: datetime, *, broker_order_id: str = "") -> None:
    """Say that a row makes no sense: the order it is about, where that can be told, or else the row, is the subject."""
    Incident.objects.open(
        Incident.Kind.UNREADABLE_ROW,
        mode=mode,
        subject=broker_order_id or hashlib.sha256(row.encode()).hexdigest()[:32],
        once=True,
        title="A row of the broker's book makes no sense",
        detail=row[:500],
        what_to_do="The rest of the book was taken over; absence from it proves nothing now. Nothing new is opened.",
        stops_opening=True,
        now=now,
    )


def tell_of_past_days(desk: Desk) -> None:
    """Open an incident for each unfinished order of an earlier date: it counts until a person has closed it."""
    for order in Order.objects.unfinished(desk.mode).filter(trading_date__lt=desk.today()):
        Incident.objects.open(
            Incident.Kind.UNFINISHED_OF_A_PAST_DAY,
            mode=desk.mode,
            subject=order.client_order_id or order.broker_order_id,
            title=f"{order} of {order.trading_date:%d %b} is {order.get_status_display().lower()} still",
            what_to_do="The broker's book of today says nothing of it. Look at positions and holdings, then close it "
            "on its page: Close past day.",
            symbol=order.symbol,
            client_order_id=order.client_order_id or "",
            now=desk.clock(),
        )
