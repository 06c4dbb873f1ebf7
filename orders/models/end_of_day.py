"""EndOfDay: a trading day as it was when it was over, taken once."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q

from risk.models import Mode
from risk.models.append_only import append_only


class EndOfDay(models.Model):
    """
    The report of one trading day of a mode. Never changed, and never taken a second time.

    `sections` is a list of {name, title, columns, rows}, columns included so that an old report can be read as it was.
    A cell is text, a number, null for what is not known, {"inr": "12.50"} or {"at": "2026-11-26T15:45:00+05:30"}.
    """

    mode = models.CharField(max_length=8, choices=Mode)
    trading_date = models.DateField(help_text="In Mumbai.")
    taken_at = models.DateTimeField()
    taken_by = models.CharField(max_length=150)
    book_as_of = models.DateTimeField(
        "broker's book as of",
        null=True,
        blank=True,
        help_text="When the broker's book that ours was held against began to be read; empty when it could not be.",
    )
    is_late = models.BooleanField(
        "taken late",
        default=False,
        help_text="After its day: the broker's book of that day could not be read any more.",
    )
    breaks = models.PositiveIntegerField(help_text="Differences between our book and the broker's.")
    orders = models.PositiveIntegerField()
    fills = models.PositiveIntegerField()
    result = models.DecimalField(
        "result (₹)",
        max_digits=18,
        decimal_places=4,
        null=True,
        blank=True,
        help_text="Since the close before, realised and not, estimated charges taken off; empty when it is not known.",
    )
    figures = models.JSONField(help_text="The amounts on top of the report, INR as text.")
    sections = models.JSONField()

    class Meta:
        verbose_name = "end of day"
        verbose_name_plural = "ends of day"
        ordering = ["-trading_date", "-id"]
        triggers = append_only()
        constraints = [
            models.UniqueConstraint(fields=["mode", "trading_date"], name="end_of_day_once"),
            models.CheckConstraint(
                condition=Q(book_as_of__isnull=False) | Q(is_late=True), name="end_of_day_without_a_book_is_late"
            ),
        ]
        permissions = [("take_end_of_day", "Can take the end of day report")]

    def __str__(self) -> str:
        return f"{self.get_mode_display()} {self.trading_date:%d %b %Y}"

    def section(self, name: str) -> dict[str, Any]:
        """Return the section of this name, an empty one where the report has none."""
        return next((each for each in self.sections if each["name"] == name), {"name": name, "columns": [], "rows": []})
