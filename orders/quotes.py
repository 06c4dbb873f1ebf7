"""
The last price of an instrument and how old it is, and the instruments themselves, as the broker gives them.

Where the broker's stream is heard its price is used while it is young; otherwise the broker is asked.
"""

from __future__ import annotations

from datetime import datetime

from orders.broker.gateway import BrokerUnreachable, SessionRefused
from orders.desk import Desk
from orders.models import Instrument, Order, Position
from risk.engine.facts import Quote

FOLLOWED_MAX = 1000  # of the 3,000 that Kite tells of on one connection


def last_quote(desk: Desk, exchange: str, symbol: str) -> Quote | None:
    """Return the last price, dated by the exchange or by when the asking began; None when the broker does not say."""
    as_of = desk.clock()
    if desk.streamed_prices is not None and (told := desk.streamed_prices.last(exchange, symbol, now=as_of)):
        return told
    try:
        price = desk.gateway.last_price(exchange, symbol)
    except (BrokerUnreachable, SessionRefused):
        return None  # unknown, which refuses what opens and says so in the verdict
    return None if price is None else Quote(price=price, as_of=as_of)


def follow_prices(desk: Desk) -> None:
    """Have the stream tell of what works, of what is held, and of what was asked about lately, in that order."""
    if desk.streamed_prices is None:
        return
    wanted = [
        *Order.objects.unfinished(desk.mode).values_list("exchange", "symbol"),
        *Position.objects.filter(mode=desk.mode).exclude(quantity=0).values_list("exchange", "symbol"),
        *desk.streamed_prices.asked(),
    ]
    keys = list(dict.fromkeys(wanted))[:FOLLOWED_MAX]
    listed = Instrument.objects.filter(symbol__in={symbol for _, symbol in keys})
    tokens = {(each.exchange, each.symbol): each.token for each in listed}
    desk.streamed_prices.follow({key: tokens[key] for key in keys if key in tokens})


def broker_positions(desk: Desk) -> tuple[dict[tuple[str, str], int], datetime] | None:
    """Return the broker's net shares and when the reading began; None when it cannot be read."""
    as_of = desk.clock()
    try:
        return desk.gateway.positions(), as_of
    except (BrokerUnreachable, SessionRefused):
        return None


def load_instruments(desk: Desk, exchange: str) -> int:
    """
    Take over the exchange's instruments dump and return how many there are.

    Raise `BrokerUnreachable` or `SessionRefused`. What is no longer listed stays, for the orders that name it.
    """
    now = desk.clock()
    rows = {
        item.symbol: Instrument(
            exchange=item.exchange,
            symbol=item.symbol,
            name=item.name,
            token=item.token,
            lot_size=item.lot_size,
            tick_size=item.tick_size,
            instrument_type=item.instrument_type,
            segment=item.segment,
            read_at=now,
        )
        for item in desk.gateway.instruments(exchange)
        if item.lot_size > 0 and item.tick_size > 0 and item.exchange == exchange
    }  # by symbol: one that is listed twice cannot be written twice at once
    Instrument.objects.bulk_create(
        rows.values(),
        update_conflicts=True,
        unique_fields=["exchange", "symbol"],
        update_fields=["name", "token", "lot_size", "tick_size", "instrument_type", "segment", "read_at"],
        batch_size=1000,
    )
    return len(rows)
