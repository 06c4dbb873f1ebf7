"""DayPoint: what the day had brought, from one moment until another; the line of the dashboard."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from django.db import models
from django.db.models import F, Q

from risk.models import Mode


class DayPointQuerySet(models.QuerySet["DayPoint"]):
    def of_day(self, mode: str, start: datetime) -> DayPointQuerySet:
        """Return the points of the Mumbai date that began at `start`, oldest first."""
        return self.filter(mode=mode, since__gte=start).order_by("since")


class DayPoint(models.Model):
    """
    The account's day as the leading executor saw it, at its prices: INR.

    One row a minute at most. While nothing changes the row that says so grows longer, so that a quiet night is one row.
    `exposure` is what all symbols may be worth, as the risk desk reckons it; empty where a price was not known.
    """

    mode = models.CharField(max_length=8, choices=Mode)
    since = models.DateTimeField()
    as_of = models.DateTimeField(help_text="Until when it was seen to be so.")
    realised = models.DecimalField(max_digits=18, decimal_places=2)
    unrealised = models.DecimalField(max_digits=18, decimal_places=2)
    charges = models.DecimalField(max_digits=18, decimal_places=2, help_text="Estimated.")
    exposure = models.DecimalField(max_digits=18, decimal_places=2, null=True, blank=True)

    objects = DayPointQuerySet.as_manager()

    class Meta:
        ordering = ["-since"]
        constraints = [
            models.UniqueConstraint(fields=["mode", "since"], name="day_point_once"),
            models.CheckConstraint(condition=Q(as_of__gte=F("since")), name="day_point_ends_after_it_begins"),
        ]

    def __str__(self) -> str:
        return f"{self.mode} {self.since:%Y-%m-%d %H:%M}: {self.result}"

    @property
    def result(self) -> Decimal:
        """INR gained since the close before, charges taken off."""
        return self.realised + self.unrealised - self.charges
