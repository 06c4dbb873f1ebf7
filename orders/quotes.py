"""The last price of an instrument and how old it is, and the instruments themselves, as the broker gives them."""

from __future__ import annotations

from datetime import datetime

from orders.broker.gateway import BrokerUnreachable, SessionRefused
from orders.desk import Desk
from orders.models import Instrument
from risk.engine.facts import Quote


def last_quote(desk: Desk, exchange: str, symbol: str) -> Quote | None:
    """Return the last price, dated by when the asking began; None when the broker does not say."""
    as_of = desk.clock()
    try:
        price = desk.gateway.last_price(exchange, symbol)
    except (BrokerUnreachable, SessionRefused):
        return None  # unknown, which refuses what opens and says so in the verdict
    return None if price is None else Quote(price=price, as_of=as_of)


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
    rows = [
        Instrument(
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
        if item.lot_size > 0 and item.tick_size > 0
    ]
    Instrument.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["exchange", "symbol"],
        update_fields=["name", "token", "lot_size", "tick_size", "instrument_type", "segment", "read_at"],
        batch_size=1000,
    )
    return len(rows)
