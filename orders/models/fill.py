"""Fill: one execution at the exchange, once."""

from __future__ import annotations

from django.db import models

from risk.models import Mode
from risk.models.append_only import append_only


class Fill(models.Model):
    """
    One execution, as the broker reports it or as a person recorded it by hand.

    Hand fills count only for what the broker's own trades do not explain; those replace them.
    """

    class Source(models.TextChoices):
        BROKER = "BROKER", "Broker"
        HAND = "HAND", "By hand"

    order = models.ForeignKey("orders.Order", models.PROTECT, related_name="fills")
    mode = models.CharField(max_length=8, choices=Mode)
    exchange = models.CharField(max_length=10)
    broker_order_id = models.CharField(max_length=40)
    trade_id = models.CharField(max_length=60)
    trading_date = models.DateField()
    quantity = models.PositiveIntegerField()
    price = models.DecimalField("price (₹)", max_digits=18, decimal_places=4)
    filled_at = models.DateTimeField()
    source = models.CharField(max_length=6, choices=Source)
    recorded_at = models.DateTimeField()
    recorded_by = models.CharField(max_length=150, blank=True)
    reason = models.TextField(blank=True)

    class Meta:
        ordering = ["-filled_at", "-id"]
        triggers = append_only()
        constraints = [
            models.UniqueConstraint(
                fields=["mode", "exchange", "broker_order_id", "trade_id", "trading_date"], name="fill_once"
            ),
            models.CheckConstraint(condition=models.Q(quantity__gt=0), name="fill_quantity_positive"),
            models.CheckConstraint(condition=models.Q(price__gt=0), name="fill_price_positive"),
        ]
        indexes = [
            models.Index(fields=["trade_id"], name="fill_trade"),
            models.Index(fields=["broker_order_id"], name="fill_broker_order"),
            models.Index(fields=["trading_date"], name="fill_day"),
            models.Index(fields=["mode", "recorded_at"], name="fill_recorded"),
            models.Index(fields=["-filled_at", "-id"], name="fill_newest"),
            models.Index(fields=["mode", "-filled_at", "-id"], name="fill_newest_of_mode"),
            models.Index(fields=["mode", "-filled_at"], condition=models.Q(source="HAND"), name="fill_by_hand"),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} at {self.price}"
