"""Adjustment: what changed a position without a trade, said once by a person."""

from __future__ import annotations

from decimal import Decimal

from django.db import models
from django.db.models import Q

from orders.average_cost import Restated, Scaled
from risk.models import Mode
from risk.models.append_only import append_only


class Adjustment(models.Model):
    """
    A bonus, a split, a correction, or the broker's quantity taken for ours. Never changed: another one follows.

    A bonus or split keeps its ratio and not its shares, so that a fill recorded late, of before it, takes part in it.
    """

    class Kind(models.TextChoices):
        BONUS = "BONUS", "Bonus"
        SPLIT = "SPLIT", "Split"
        CORRECTION = "CORRECTION", "Correction"
        BROKER = "BROKER", "Broker's quantity accepted"

    mode = models.CharField(max_length=8, choices=Mode)
    exchange = models.CharField(max_length=10)
    symbol = models.CharField(max_length=40)
    product = models.CharField(max_length=6)
    kind = models.CharField(max_length=10, choices=Kind)
    at = models.DateTimeField("takes effect")
    ratio_new = models.PositiveIntegerField("shares after", null=True, blank=True)
    ratio_old = models.PositiveIntegerField("for each shares before", null=True, blank=True)
    new_quantity = models.IntegerField("shares from then on", null=True, blank=True)
    price = models.DecimalField("price (₹ a share)", max_digits=18, decimal_places=4, null=True, blank=True)
    quantity_before = models.IntegerField("shares before, as it was made")
    quantity_after = models.IntegerField("shares after, as it was made")
    token = models.CharField(max_length=40, help_text="Of the form: sent twice, it is one adjustment.")
    made_by = models.CharField(max_length=150)
    reason = models.TextField()

    class Meta:
        ordering = ["-at", "-id"]
        triggers = append_only()
        constraints = [
            models.UniqueConstraint(fields=["mode", "token"], name="adjustment_once"),
            models.CheckConstraint(
                condition=Q(
                    kind__in=["BONUS", "SPLIT"],
                    ratio_new__gt=0,
                    ratio_old__gt=0,
                    new_quantity__isnull=True,
                    price__isnull=True,
                )
                | Q(
                    kind__in=["CORRECTION", "BROKER"],
                    ratio_new__isnull=True,
                    ratio_old__isnull=True,
                    new_quantity__isnull=False,
                    price__gt=0,
                )
                | Q(
                    kind__in=["CORRECTION", "BROKER"],
                    ratio_new__isnull=True,
                    ratio_old__isnull=True,
                    new_quantity=0,
                    price__isnull=True,
                ),
                name="adjustment_shape",
            ),
            models.CheckConstraint(condition=~Q(reason="") & ~Q(made_by=""), name="adjustment_says_who_and_why"),
        ]
        indexes = [models.Index(fields=["mode", "symbol", "at"], name="adjustment_symbol")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} in {self.symbol}"

    @property
    def step(self) -> Scaled | Restated:
        """Return what it does to a position."""
        if self.ratio_new is not None and self.ratio_old is not None:
            return Scaled(at=self.at, new=self.ratio_new, old=self.ratio_old)
        assert self.new_quantity is not None, "the database keeps an adjustment's shape"
        return Restated(at=self.at, quantity=self.new_quantity, price=self.price or Decimal(0))
