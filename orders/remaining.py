"""
What still works: the orders that may fill, what is open, and how else the broker can be reached.

All of it from what is known: nobody who needs this page may have to wait for a broker that does not answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from orders.desk import trading_date
from orders.models import BrokerSession, ExecutorHeartbeat, Order, Position
from risk.models import Mode

ALIVE_FOR = timedelta(seconds=10)
READ_LATELY = timedelta(minutes=2)  # twice the time between two readings while nothing works


@dataclass(frozen=True, kw_only=True)
class Told:
    """One thing that is known of the way to the broker, and whether it is as it should be."""

    what: str
    text: str
    good: bool


@dataclass(frozen=True, kw_only=True)
class Remaining:
    """What still works at one moment."""

    orders: list[Order]
    positions: list[Position]
    broker: list[Told]


def remaining(mode: str, *, now: datetime) -> Remaining:
    """Return the unfinished orders, those included that the broker still shows after we took them for ended."""
    unfinished = Order.objects.unfinished(mode).values("pk")
    shown = Order.objects.to_cancel(mode, trading_date(now)).values("pk")
    # A union: with an OR of the two the database reads every order there is.
    orders = Order.objects.filter(pk__in=unfinished.union(shown)).order_by("-pk")
    positions = Position.objects.filter(mode=mode).exclude(quantity=0).order_by("symbol")
    return Remaining(orders=list(orders), positions=list(positions), broker=list(_way_to_the_broker(mode, now)))


def _way_to_the_broker(mode: str, now: datetime) -> Iterator[Told]:
    beat = ExecutorHeartbeat.objects.filter(mode=mode).first()
    alive = beat is not None and now - beat.beat_at <= ALIVE_FOR
    since = f"none since {_clock(beat.beat_at)}" if beat else "none was ever seen"
    repeats = "it repeats the cancels"
    yield Told(
        what="Executor",
        text=f"alive: {repeats}" if alive else f"{since}; {repeats} when it runs: manage.py listen_signals",
        good=alive,
    )
    session = BrokerSession.objects.filter(mode=mode).first() or BrokerSession(mode=mode)
    yield _login(session, now)
    read_at = session.reconciled_at
    read = f"read at {_clock(read_at)}" if read_at else "never read"
    fresh = read_at is not None and now - read_at <= READ_LATELY and not session.last_error
    yield Told(what="Its book", text=f"{read}; then: {session.last_error}" if session.last_error else read, good=fresh)


def _login(session: BrokerSession, now: datetime) -> Told:
    if session.mode == Mode.PAPER:
        return Told(what="Login", text="paper needs none", good=True)
    until = session.valid_until
    if session.refused_at is not None:
        return Told(what="Login", text=f"refused by the broker at {_clock(session.refused_at)}", good=False)
    if until is None or until <= now:
        return Told(what="Login", text="none that is valid: log in at Broker → Session", good=False)
    return Told(what="Login", text=f"valid until {_clock(until)}", good=True)


def channels(mode: str, call_and_trade: str) -> list[tuple[str, str, str]]:
    """Return the broker's own channels: the name, where it is, what to do there."""
    number = call_and_trade or "the number that your Zerodha account page names"
    live = [
        ("Kite web", "https://kite.zerodha.com/orders", "Orders → cancel what is open; Positions → exit."),
        ("Kite app", "on a phone that is logged in", "Orders → cancel what is open; Portfolio → exit."),
        ("Call and trade", number, "Have the client id at hand; ask for each order by its broker's id."),
    ]
    if mode == Mode.LIVE:
        return live
    return [("Paper", "the paper Kite server of this machine", "Zerodha knows nothing of paper orders."), *live]


def line_of(order: Order) -> str:
    """Return the order in one line of text, with what its cancel came to."""
    told = f"{order.client_order_id or 'placed elsewhere'} {order.exchange}: {order.side} {order.unfilled_quantity}"
    told += f" of {order.quantity} {order.symbol}, {order.get_status_display().lower()}"
    told += f", broker's id {order.broker_order_id}" if order.broker_order_id else ", not known to the broker by an id"
    if order.cancel_requested_at is None:
        return f"{told}, no cancel asked for"
    told += f", cancel asked for by {order.cancel_requested_by} at {_clock(order.cancel_requested_at)}"
    if order.cancel_tried_at is None:
        return f"{told}, not sent yet"
    return f"{told}, sent {order.cancel_tries} ×, last at {_clock(order.cancel_tried_at)}: {order.cancel_answer}"


def as_text(found: Remaining, mode: str, call_and_trade: str) -> Iterator[str]:
    """Yield what the Trading control page shows, in lines for a terminal."""
    yield f"Still working: {len(found.orders) or 'nothing'}"
    yield from (f"  {line_of(order)}" for order in found.orders)
    yield f"Open positions: {len(found.positions) or 'none'}"
    for each in found.positions:
        at_broker = "not read yet" if each.broker_quantity is None else each.broker_quantity
        yield f"  {each.exchange}:{each.symbol}: {each.quantity} ours, {at_broker} at the broker"
    yield from (f"{told.what}: {told.text}" for told in found.broker)
    yield "The broker's own channels:"
    yield from (f"  {name} ({where}): {what}" for name, where, what in channels(mode, call_and_trade))


def _clock(at: datetime) -> str:
    return f"{timezone.localtime(at):%d %b %H:%M:%S}"
