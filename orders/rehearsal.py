"""
What the risk desk would say of a person's order now, before anybody sends it. Nothing is written, nothing is locked.

It is the judgement of `deciding.decide_manual` on the same facts; what is said under the lock a moment later counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from orders.deciding import QUANTITY_MAX, ManualOrder, UnknownInstrument, check_terms, proposed_by_hand
from orders.desk import Desk
from orders.ledger import own_quantity
from orders.models import Instrument
from orders.observed import observe
from orders.portfolio import snapshot
from risk import limit_versions
from risk.engine.decision import Decision, assess
from risk.engine.facts import ProposedOrder, Quote, Side, closing_quantity
from risk.engine.sizing import worst_price
from risk.models import TradingControl

Assess = Callable[[ProposedOrder], Decision]


@dataclass(frozen=True, kw_only=True)
class Room:
    """How many shares would pass, and the codes of the controls that refuse one lot more."""

    quantity: int
    held_by: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """One order as it would be judged at `at`. `value` is INR at the worst price, None when no price is known."""

    at: datetime
    proposed: ProposedOrder
    decision: Decision
    quote: Quote | None
    value: Decimal | None
    closes: int
    room: Room

    @property
    def opens(self) -> int:
        return self.proposed.quantity - self.closes


def rehearse(desk: Desk, wish: ManualOrder) -> Rehearsal:
    """Judge a person's order without making it. Raise `UnknownInstrument` or `InvalidOrder`."""
    instrument = Instrument.objects.filter(exchange=wish.exchange, symbol=wish.symbol).first()
    if instrument is None:
        raise UnknownInstrument(f"{wish.exchange}:{wish.symbol} is not in the broker's list of instruments")
    check_terms(wish)
    buys = wish.side == Side.BUY
    short = own_quantity(desk.mode, wish.exchange, wish.symbol) < 0
    # One reading a second for all who look: the page asks again at every key that is pressed.
    observed = observe(desk, wish.exchange, wish.symbol, with_position=short or not buys, with_funds=buys, waits=True)
    control = TradingControl.objects.get(mode=desk.mode)
    now = desk.clock()
    limits = desk.tighten(limit_versions.for_instrument(instrument.exchange, instrument.symbol, now=now))
    portfolio = snapshot(desk, control, instrument, observed, limits=limits, now=now)
    proposed = proposed_by_hand(desk, wish, instrument, portfolio)
    price = worst_price(wish.side, proposed.limit_price, observed.quote, limits.collar_percent)
    return Rehearsal(
        at=now,
        proposed=proposed,
        decision=assess(proposed, portfolio, limits, now),
        quote=observed.quote,
        value=None if price is None else price * proposed.quantity,
        closes=closing_quantity(proposed, portfolio.holding),
        room=room_for(proposed, lambda each: assess(each, portfolio, limits, now)),
    )


def room_for(proposed: ProposedOrder, judge: Assess) -> Room:
    """
    Return the most shares, in whole lots, that every control lets pass.

    A larger order is never judged more kindly, so that halving finds it.
    """
    lot = proposed.lot_size or 1

    def refused_by(lots: int) -> tuple[str, ...]:
        return tuple(breach.control for breach in judge(replace(proposed, quantity=lots * lot)).breaches)

    fits, too_many = 0, QUANTITY_MAX // lot + 1
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        if refused_by(middle):
            too_many = middle
        else:
            fits = middle
    return Room(quantity=fits * lot, held_by=refused_by(fits + 1))
