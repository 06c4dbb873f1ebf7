"""The account's day so far, from the positions and the fills of its Mumbai date, at the youngest prices known."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from orders.counted_fills import counted_fills
from orders.desk import Desk, trading_date
from orders.models import Fill, Order, Position
from risk.engine.day import DayOfSymbol, DayResult, day_result
from risk.engine.facts import Side

Line = tuple[str, str, str]  # exchange, symbol, product


def day_of_account(desk: Desk, *, charges_percent: Decimal, now: datetime) -> DayResult:
    """Return what our own orders made of the day, in INR. What was traded elsewhere is not in it."""
    return day_result(symbols_of_day(desk, now=now), charges_percent=charges_percent)


def symbols_of_day(desk: Desk, *, now: datetime) -> list[DayOfSymbol]:
    """Return each position that is open or was traded on this date."""
    traded = _traded_on(desk, trading_date(now))
    symbols = []
    for position in Position.objects.filter(mode=desk.mode):
        of_it = traded.get((position.exchange, position.symbol, position.product), _Traded())
        symbols.append(
            DayOfSymbol(
                name=position.symbol,
                quantity=position.quantity,
                bought=of_it.bought,
                sold=of_it.sold,
                paid=of_it.paid,
                received=of_it.received,
                # Not of what is flat: whatever is asked for, the stream is made to follow.
                last_price=_price_now(desk, position, of_it, now) if position.quantity else None,
                close_price=position.close_price,
            )
        )
    return symbols


def last_price(desk: Desk, position: Position, now: datetime) -> Decimal | None:
    """Return INR: what the stream told a moment ago, else what the broker's book said with the position."""
    told = None
    if desk.streamed_prices is not None:
        told = desk.streamed_prices.last(position.exchange, position.symbol, now=now)
    return told.price if told is not None else position.last_price


def _price_now(desk: Desk, position: Position, traded: _Traded, now: datetime) -> Decimal | None:
    """
    Return the last price, or that of a fill which the broker's positions were not read after.

    The fill is written down a moment before the price of what it opened: in between, nothing would be known of it.
    """
    known, newest = last_price(desk, position, now), traded.newest
    if known is not None or newest is None:
        return known
    read_since = position.broker_as_of is not None and position.broker_as_of > newest.recorded_at
    return None if read_since else newest.price


@dataclass
class _Traded:
    """Shares and INR of one line's executions, and the one that was written down last."""

    bought: int = 0
    sold: int = 0
    paid: Decimal = Decimal(0)
    received: Decimal = Decimal(0)
    newest: Fill | None = None

    def add(self, side: str, quantity: int, price: Decimal) -> None:
        if side == Side.BUY:
            self.bought, self.paid = self.bought + quantity, self.paid + quantity * price
        else:
            self.sold, self.received = self.sold + quantity, self.received + quantity * price


def _traded_on(desk: Desk, day: date) -> dict[Line, _Traded]:
    traded: dict[Line, _Traded] = {}
    orders = Order.objects.ours(desk.mode).filter(fills__trading_date=day).distinct().prefetch_related("fills")
    for order in orders:
        of_line = traded.setdefault((order.exchange, order.symbol, order.product), _Traded())
        of_line.newest = max(
            filter(None, [of_line.newest, *order.fills.all()]), key=lambda fill: (fill.recorded_at, fill.pk)
        )
        for each in counted_fills(order.fills.all()):
            if trading_date(each.at) == day:
                of_line.add(order.side, each.quantity, each.price)
    return traded
