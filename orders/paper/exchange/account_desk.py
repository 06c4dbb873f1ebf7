"""Changes to the account that no fill brings about: conversions, funds, shares from outside."""

from __future__ import annotations

from copy import deepcopy
from datetime import datetime
from decimal import Decimal

from orders.paper.errors import bad_input
from orders.paper.exchange.events import FundsAdded, HoldingGiven, PositionConverted
from orders.paper.exchange.exchange import Exchange
from orders.paper.market.instruments import Instrument
from orders.paper.money.account import Account, NotConvertible
from orders.paper.terms import Product, Side


class AccountDesk:
    def __init__(self, exchange: Exchange) -> None:
        self.ledger = exchange.ledger

    def convert(
        self,
        instrument: Instrument,
        *,
        old_product: Product,
        new_product: Product,
        side: Side,
        quantity: int,
        overnight: bool,
        now: datetime,
    ) -> None:
        """Move a position, or a part of it, to another product; raise `KiteRefusal` when it cannot be."""
        self.ledger.roll_to(now)
        event = PositionConverted(
            at=now,
            instrument=instrument.key,
            side=side,
            quantity=quantity,
            overnight=overnight,
            old_product=old_product,
            new_product=new_product,
        )
        try:
            # Tried on a copy: what is refused must not be written down.
            trial = deepcopy(self.ledger.account)
            trial.convert(instrument, old_product, new_product, side, quantity, overnight, now)
            self._check_funds(trial)
        except NotConvertible as reason:
            raise bad_input(str(reason)) from reason
        self.ledger.write(event)

    def _check_funds(self, trial: Account) -> None:
        """Refuse what costs more than is there, also for orders that would no longer close a position."""
        before = self.ledger.account.available(self.ledger.blocked)
        after = trial.available(self.ledger.book.claims.blocked(trial.net_positions()))
        if after < 0 and after < before:
            raise NotConvertible(
                f"Insufficient funds. Required margin is {before - after:.2f} but available margin is {before:.2f}."
            )

    def add_funds(self, amount: Decimal, now: datetime) -> None:
        """Pay money in, or out when negative, INR."""
        self.ledger.write(FundsAdded(at=now, amount=amount))

    def give_holding(self, instrument: Instrument, quantity: int, average_price: Decimal, now: datetime) -> None:
        """Put settled shares into the account, as by a transfer."""
        self.ledger.write(
            HoldingGiven(at=now, instrument=instrument.key, quantity=quantity, average_price=average_price)
        )
