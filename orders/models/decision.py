"""Decision: what the risk desk said of one proposed order, and the facts it saw."""

from __future__ import annotations

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models

from risk.models import Mode
from risk.models.append_only import append_only


class Decision(models.Model):
    """
    The verdict of every control on one proposed order.

    `verdicts` is a list of {control, title, measured, limit, passed, reason}; `facts` is what was proposed and the
    book it was held against, in the shape of `risk.engine.kept_facts`, so that the decision can be explained, and
    simulated under other limits, years later.
    """

    mode = models.CharField(max_length=8, choices=Mode)
    signal = models.ForeignKey("orders.Signal", models.PROTECT, null=True, blank=True, related_name="decisions")
    at = models.DateTimeField(db_index=True)
    outcome = models.CharField(max_length=10)
    reason = models.TextField(blank=True)
    exchange = models.CharField(max_length=10)
    symbol = models.CharField(max_length=40)
    actor = models.CharField(max_length=150, help_text="The person who asked; empty for a signal.", blank=True)
    facts = models.JSONField(encoder=DjangoJSONEncoder)
    verdicts = models.JSONField()
    limits_version = models.PositiveIntegerField()
    control_version = models.PositiveIntegerField()

    class Meta:
        ordering = ["-id"]
        triggers = append_only()

    def __str__(self) -> str:
        return f"{self.outcome} {self.symbol}"
