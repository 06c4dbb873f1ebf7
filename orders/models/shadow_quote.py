"""ShadowQuote: the real market beside what was traded in its shadow."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from risk.models.append_only import append_only


class ShadowQuote(models.Model):
    """The real market at the moment when an order left for the paper Kite, or at the end of a shadow day."""

    class Moment(models.TextChoices):
        ORDER = "ORDER", "When the order left"
        CLOSE = "CLOSE", "At the close"

    moment = models.CharField(max_length=6, choices=Moment)
    client_order_id = models.CharField("our order id", max_length=20, blank=True, help_text="Empty at the close.")
    exchange = models.CharField(max_length=10)
    symbol = models.CharField(max_length=40)
    trading_date = models.DateField(help_text="In Mumbai.")
    at = models.DateTimeField()
    last_price = models.DecimalField("last price (₹)", max_digits=18, decimal_places=4)
    bid = models.DecimalField("best bid (₹)", max_digits=18, decimal_places=4, null=True, blank=True)
    bid_quantity = models.BigIntegerField("shares bid", null=True, blank=True)
    ask = models.DecimalField("best ask (₹)", max_digits=18, decimal_places=4, null=True, blank=True)
    ask_quantity = models.BigIntegerField("shares asked", null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        triggers = append_only()
        constraints = [
            models.CheckConstraint(condition=Q(last_price__gt=0), name="shadow_quote_price_positive"),
            models.UniqueConstraint(
                fields=["client_order_id"], condition=~Q(client_order_id=""), name="shadow_quote_once_per_order"
            ),
            models.UniqueConstraint(
                fields=["trading_date", "exchange", "symbol"],
                condition=Q(moment="CLOSE"),
                name="shadow_quote_one_close_a_day",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.exchange}:{self.symbol} at {self.last_price}"
