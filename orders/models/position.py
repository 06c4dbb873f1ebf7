"""Position: what our fills opened in one symbol, beside what the broker reports."""

from __future__ import annotations

from django.db import models

from risk.models import Mode


class Position(models.Model):
    """
    Net shares of one symbol, recomputed from the fills whenever one is recorded.

    `broker_quantity` is what the broker holds for the account (positions and holdings), as read at `broker_as_of`.
    """

    mode = models.CharField(max_length=8, choices=Mode)
    exchange = models.CharField(max_length=10)
    symbol = models.CharField(max_length=40)
    product = models.CharField(max_length=6)
    quantity = models.IntegerField("ours (shares)", default=0)
    average_price = models.DecimalField("average price (₹)", max_digits=18, decimal_places=4, default=0)
    cost = models.DecimalField(
        "cost (₹)",
        max_digits=18,
        decimal_places=4,
        default=0,
        help_text="Of all the open shares, below zero for a short position: exact, which the average is not.",
    )
    realised_pnl = models.DecimalField("realised P&L (₹)", max_digits=18, decimal_places=4, default=0)
    broker_quantity = models.IntegerField("at the broker (shares)", null=True, blank=True)
    broker_as_of = models.DateTimeField(null=True, blank=True)
    last_price = models.DecimalField(
        "last price (₹)",
        max_digits=14,
        decimal_places=4,
        null=True,
        blank=True,
        help_text="As the broker's book told it with the position at that read; empty when it did not.",
    )
    close_price = models.DecimalField(
        "previous close (₹)",
        max_digits=14,
        decimal_places=4,
        null=True,
        blank=True,
        help_text="Of the trading day before, as the broker's book told it; empty when it did not.",
    )
    missing = models.IntegerField(
        default=0, editable=False, help_text="Shares the broker lacked at the last read, until explained."
    )
    told_missing = models.IntegerField(
        default=0, editable=False, help_text="The shares that an incident was opened for; it is not opened again."
    )
    updated_at = models.DateTimeField()

    class Meta:
        ordering = ["symbol"]
        constraints = [models.UniqueConstraint(fields=["mode", "exchange", "symbol", "product"], name="position_once")]
        permissions = [
            ("exit_position", "Can exit positions, even when trading is halted"),
            ("adjust_position", "Can adjust positions: bonus, split, correction"),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} {self.symbol}"
