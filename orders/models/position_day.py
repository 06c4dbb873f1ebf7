"""PositionDay: where a position stands exactly, and what the newest Mumbai date it was reckoned on brought it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.db import models

from orders.average_cost import Net
from orders.models.position import Position

if TYPE_CHECKING:
    _FieldOfDecimal = models.Field[Decimal, Decimal]
else:
    _FieldOfDecimal = models.Field


class ExactField(_FieldOfDecimal):
    """INR with every digit that a Decimal has: a cost that was shared out is seldom a round number."""

    def db_type(self, connection: Any) -> str:
        return "numeric"


class PositionDay(models.Model):
    """
    A position's newest day: what it opened with, what was traded on it, and where it stands now, each exactly.

    It is reckoned from the executions and adjustments as the position is, so that a fill goes on from here and not from
    the beginning, and the day so far is read and not added up. Whoever writes the position writes this with the same
    moment: with any other it says nothing, and all is reckoned anew. So it does without a date, as it comes by
    migration.
    """

    position = models.OneToOneField(Position, models.CASCADE, primary_key=True, related_name="day")
    reckoned_at = models.DateTimeField(help_text="The position's own, when both were written.")
    trading_date = models.DateField(null=True, help_text="In Mumbai.")
    opening_quantity = models.IntegerField(default=0)
    opening_cost = ExactField(default=Decimal(0))
    opening_realised_pnl = ExactField(default=Decimal(0))
    first_order = models.BigIntegerField(
        null=True, help_text="The oldest order with an execution of that date or later."
    )
    bought = models.BigIntegerField(default=0)
    sold = models.BigIntegerField(default=0)
    paid = ExactField(default=Decimal(0))
    received = ExactField(default=Decimal(0))
    # Of the orders with a fill of the date, the fill that was written down last.
    newest_fill = models.BigIntegerField(null=True)
    newest_at = models.DateTimeField(null=True, help_text="When it was written down.")
    newest_price = models.DecimalField(max_digits=18, decimal_places=4, null=True)
    quantity = models.IntegerField(default=0)
    cost = ExactField(default=Decimal(0))
    realised_pnl = ExactField(default=Decimal(0))
    # The last step of all, by the order of time.
    last_at = models.DateTimeField(null=True)
    last_kind = models.SmallIntegerField(default=0)
    last_row = models.BigIntegerField(default=0)
    last_name = models.CharField(max_length=60, default="")
    last_fill = models.BigIntegerField(default=0, help_text="No fill with a higher id is part of it.")
    last_traded = models.DateField(null=True, help_text="The latest date of a fill, in Mumbai.")

    def __str__(self) -> str:
        return f"{self.position_id} on {self.trading_date}"

    @property
    def opening(self) -> Net:
        return Net(
            quantity=self.opening_quantity, cost=self.opening_cost, realised_pnl=self.opening_realised_pnl
        )  # fmt: skip

    @opening.setter
    def opening(self, net: Net) -> None:
        self.opening_quantity, self.opening_cost, self.opening_realised_pnl = net.quantity, net.cost, net.realised_pnl

    @property
    def net(self) -> Net:
        return Net(quantity=self.quantity, cost=self.cost, realised_pnl=self.realised_pnl)

    @net.setter
    def net(self, net: Net) -> None:
        self.quantity, self.cost, self.realised_pnl = net.quantity, net.cost, net.realised_pnl

    @property
    def last_key(self) -> tuple[datetime, int, int, str] | None:
        return None if self.last_at is None else (self.last_at, self.last_kind, self.last_row, self.last_name)

    @last_key.setter
    def last_key(self, key: tuple[datetime, int, int, str] | None) -> None:
        if key is not None:
            self.last_at, self.last_kind, self.last_row, self.last_name = key
