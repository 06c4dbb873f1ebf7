"""
What the account holds and trades beyond our own orders: counted in exposure and in the day's loss by a setting.

The broker tells one number for a symbol, ours and theirs together. It is read a moment before or after a fill is
written down, so between the two the number may hold the fill or not: exposure takes whichever makes more of it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime

from django.db.models import Max

from orders.desk import Desk
from orders.lifecycle import UNFINISHED
from orders.models import BrokerSession, Fill, Order, Position
from orders.models.order import OrderQuerySet
from risk.engine.facts import Origin, Side
from risk.models import RiskSettingsVersion

Key = tuple[str, str]  # exchange and symbol


@dataclass(kw_only=True)
class InAll:
    """One symbol of the account, in signed shares: ours, and what the broker held when it was read last."""

    own: int = 0
    broker: int | None = None  # None where it was not read since the symbol was first filled: nothing was there before
    read_at: datetime | None = None
    filled_since: int = 0  # by books that were read later

    @property
    def shares(self) -> int:
        """What the account holds now."""
        return self.own if self.broker is None else self.broker + self.filled_since

    @property
    def external(self) -> int:
        """What of it is not ours, at worst."""
        if self.broker is None:
            return 0
        return max(self.broker, self.shares, key=abs) - self.own


def whole_account(mode: str) -> dict[Key, InAll]:
    """Return every symbol that is held, by us or by others, or was."""
    lines: defaultdict[Key, InAll] = defaultdict(InAll)
    for position in Position.objects.filter(mode=mode):
        line = lines[position.exchange, position.symbol]
        line.own += position.quantity
        if position.broker_as_of is not None and (line.read_at is None or position.broker_as_of > line.read_at):
            line.broker, line.read_at = position.broker_quantity, position.broker_as_of
    oldest = min((line.read_at for line in lines.values() if line.read_at is not None), default=None)
    if oldest is None:
        return dict(lines)
    newer = Fill.objects.filter(
        mode=mode, source=Fill.Source.BROKER, recorded_at__gt=oldest, order__book_as_of__gt=oldest
    ).select_related("order")
    for fill in newer:
        line, book_as_of = lines[fill.order.exchange, fill.order.symbol], fill.order.book_as_of
        if line.read_at is not None and fill.recorded_at > line.read_at and book_as_of and book_as_of > line.read_at:
            line.filled_since += fill.quantity if fill.order.side == Side.BUY else -fill.quantity
    return dict(lines)


def is_known(desk: Desk) -> bool:
    """Return whether the book was read since the setting was last switched: before, nobody noted what is external."""
    session = BrokerSession.objects.filter(mode=desk.mode).first()
    if session is None or session.reconciled_at is None:
        return False
    switched = RiskSettingsVersion.objects.filter(changed__has_key="include_external").aggregate(at=Max("at"))["at"]
    return switched is None or session.reconciled_at > switched


def working_orders(mode: str, trading_date: date) -> OrderQuerySet:
    """Return the orders of others that may still fill on this Mumbai date."""
    return Order.objects.filter(
        mode=mode, origin=Origin.EXTERNAL.value, status__in=UNFINISHED, trading_date=trading_date
    ).exclude(broker_order_id="")
