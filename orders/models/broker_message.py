"""BrokerMessage: an order as the broker's book told it, in the broker's own words."""

from __future__ import annotations

from datetime import datetime

from django.db import models

from orders.models.order import Order
from risk.models.append_only import append_only


class BrokerMessageQuerySet(models.QuerySet["BrokerMessage"]):
    def keep(self, order: Order, text: str, *, at: datetime) -> None:
        """Keep what the broker said, unless it says what it said last. The caller holds the mode's lock."""
        last = self.filter(order=order).order_by("-id").values_list("text", flat=True).first()
        if text and text != last:
            self.create(order=order, text=text, at=at)


class BrokerMessage(models.Model):
    """The broker's row of an order, kept each time that it told something new."""

    order = models.ForeignKey("orders.Order", models.PROTECT, related_name="broker_messages")
    at = models.DateTimeField(help_text="When it was taken over.")
    text = models.TextField(help_text="JSON, up to a bound.")

    objects = BrokerMessageQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        triggers = append_only()

    def __str__(self) -> str:
        return f"said of {self.order_id}"
