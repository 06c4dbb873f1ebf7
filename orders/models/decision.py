"""Decision: what the risk desk said of one proposed order, and the facts it saw."""

from __future__ import annotations

from django.contrib.postgres.indexes import GinIndex
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import F, Func

from risk.models import Mode
from risk.models.append_only import append_only

CLIPPED_TO_ROOM, CLIPPED_TO_BAND = "CLIPPED_TO_ROOM", "CLIPPED_TO_BAND"  # what limited an order and refused none
_FAILED = "jsonb_path_query_array(%(expressions)s, '$[*] ? (@.passed == false).control')"


def _clipped(words: str, code: str) -> Func:
    """Return an array of the code where the remark on the order's size has these words, else an empty one."""
    remark = f"jsonb_path_exists(%(expressions)s, '$.proposed.size_note ? (@ like_regex \"{words}\")')"
    return Func(F("facts"), template=f"CASE WHEN {remark} THEN '[\"{code}\"]'::jsonb ELSE '[]'::jsonb END")


class DecisionQuerySet(models.QuerySet["Decision"]):
    def limited_by(self, code: str) -> DecisionQuerySet:
        """Return the decisions in which the control said no, or the order was clipped."""
        return self.filter(limited_by__contains=[code])


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
    # Of the verdicts and the remark on the size, by the database itself: an index finds one decision in a million.
    limited_by = models.GeneratedField(
        expression=Func(
            Func(F("verdicts"), template=_FAILED),
            _clipped("by the room that", CLIPPED_TO_ROOM),
            _clipped("by the price band", CLIPPED_TO_BAND),
            template="(%(expressions)s)",
            arg_joiner=" || ",
        ),
        output_field=models.JSONField(),
        db_persist=True,
    )
    limits_version = models.PositiveIntegerField()
    control_version = models.PositiveIntegerField()

    objects = DecisionQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        triggers = append_only()
        indexes = [
            models.Index(fields=["symbol", "-id"], name="decision_symbol"),
            models.Index(fields=["mode", "outcome", "-id"], name="decision_outcome"),
            models.Index(fields=["actor", "-id"], condition=~models.Q(actor=""), name="decision_actor"),
            GinIndex(fields=["limited_by"], opclasses=["jsonb_path_ops"], name="decision_limited_by"),
        ]

    def __str__(self) -> str:
        return f"{self.outcome} {self.symbol}"
