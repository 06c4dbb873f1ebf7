"""Incident: something a person must look at."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import structlog
from django.db import models
from django.db.models import F

from risk.models.switch import Mode
from risk.questions import Question

log = structlog.get_logger(__name__)


class IncidentQuerySet(models.QuerySet["Incident"]):
    def unresolved(self) -> IncidentQuerySet:
        return self.exclude(status=Incident.Status.RESOLVED)

    def stopping(self, mode: str, symbol: str) -> IncidentQuerySet:
        """Return what stops new exposure in the symbol: its own incidents and those of the whole book."""
        return self.unresolved().filter(mode=mode, stops_opening=True, symbol__in=["", symbol])

    def told(self, kind: str, *, mode: str, subject: str) -> bool:
        """Return whether there is an incident of this kind and subject, open or not."""
        return self.filter(fingerprint=f"{mode}:{kind}:{subject}").exists()

    def open(
        self, kind: str, *, mode: str, title: str, now: datetime, subject: str = "", once: bool = False, **details: Any
    ) -> Incident:
        """
        Open an incident, or count it on the one that is open for the same kind and subject.

        `subject` is what it is about (an order's id, a symbol): one outage is one incident, not a thousand. With
        `once`, one that a person has resolved is not opened again: what it is about does not go away by itself.
        """
        fingerprint = f"{mode}:{kind}:{subject}"
        if once and (resolved := self.filter(fingerprint=fingerprint, is_open=False).first()):
            return resolved
        incident, created = self.get_or_create(
            fingerprint=fingerprint,
            is_open=True,
            defaults={"kind": kind, "mode": mode, "title": title, "first_at": now, "last_at": now, **details},
        )
        if not created:
            self.filter(pk=incident.pk).update(count=F("count") + 1, last_at=now)
        log.error("incident.opened" if created else "incident.repeated", kind=kind, subject=subject, title=title)
        return incident


class Incident(models.Model):
    """Something a person must look at; while open it may stop new exposure."""

    class Kind(models.TextChoices):
        ORDER_IN_DOUBT = "ORDER_IN_DOUBT", "Order in doubt"
        LATE_APPEARANCE = "LATE_APPEARANCE", "Order appeared late"
        UNKNOWN_ORDER = "UNKNOWN_ORDER", "Unknown order with our prefix"
        UNFINISHED_OF_A_PAST_DAY = "UNFINISHED_OF_A_PAST_DAY", "An order of a past day is unfinished"
        DOUBLED_ORDER = "DOUBLED_ORDER", "One of our orders is at the broker twice"
        VANISHED_ORDER = "VANISHED_ORDER", "An order vanished from the broker's book"
        UNREADABLE_ROW = "UNREADABLE_ROW", "A row of the broker's book makes no sense"
        OVERFILL = "OVERFILL", "Filled beyond its quantity"
        POSITION_DIFFERENCE = "POSITION_DIFFERENCE", "Broker holds less than our book"
        SIGNAL_FAILED = "SIGNAL_FAILED", "A signal could not be decided"
        SIGNAL_CONFLICT = "SIGNAL_CONFLICT", "Two signals with one id"
        SIGNAL_GAP = "SIGNAL_GAP", "Signals are missing"
        EXIT_NOT_TAKEN = "EXIT_NOT_TAKEN", "A signal to close was not acted on"
        FLATTEN_INCOMPLETE = "FLATTEN_INCOMPLETE", "A flatten left positions open"
        DAILY_LOSS = "DAILY_LOSS", "The daily loss limit is reached"
        LOSS_WARNING = "LOSS_WARNING", "The day's loss nears its limit"
        EXPOSURE = "EXPOSURE", "A position nears its limit"
        EXPOSURE_PASSED = "EXPOSURE_PASSED", "An exposure limit is passed"
        BROKER_UNREACHABLE = "BROKER_UNREACHABLE", "The broker cannot be read"
        REJECT_STREAK = "REJECT_STREAK", "The broker refuses order after order"
        LOGIN_REFUSED = "LOGIN_REFUSED", "The broker refused the login"
        RATE_REFUSED = "RATE_REFUSED", "The broker refused orders for their rate"
        AUDIT_OPEN = "AUDIT_OPEN", "The audit trail is not protected"
        BROKER_DAY_FILLS = "BROKER_DAY_FILLS", "The broker's orders of a day run out"
        END_OF_DAY_MISSED = "END_OF_DAY_MISSED", "A day's report was not taken"
        END_OF_DAY_BREAK = "END_OF_DAY_BREAK", "The books differ at the end of the day"
        CALENDAR_INCOMPLETE = "CALENDAR_INCOMPLETE", "The exchange's calendar is not complete"
        HOURS_NOT_CONFIRMED = "HOURS_NOT_CONFIRMED", "Session hours are not confirmed"
        ALERTS_UNDELIVERED = "ALERTS_UNDELIVERED", "Alerts could not be delivered"
        BACKUP_FAILED = "BACKUP_FAILED", "There is no fresh backup"
        RESTORED = "RESTORED", "The database is a restored backup"
        LIMITS_LOWERED = "LIMITS_LOWERED", "Limits were lowered to their ceilings"
        LINE_PROOF = "LINE_PROOF", "The order that proves the line did not end as it should"

    class Status(models.TextChoices):
        OPEN = "OPEN", "Open"
        ACKNOWLEDGED = "ACKNOWLEDGED", "Acknowledged"
        RESOLVED = "RESOLVED", "Resolved"

    kind = models.CharField(max_length=32, choices=Kind)
    mode = models.CharField(max_length=8, choices=Mode)
    fingerprint = models.CharField(max_length=120)
    is_open = models.BooleanField(default=True, editable=False)
    title = models.CharField(max_length=200)
    detail = models.TextField(blank=True)
    what_to_do = models.TextField(blank=True)
    symbol = models.CharField(max_length=40, blank=True)
    client_order_id = models.CharField("our order id", max_length=20, blank=True)
    stops_opening = models.BooleanField("stops new exposure", default=False)
    count = models.PositiveIntegerField(default=1)
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    status = models.CharField(max_length=12, choices=Status, default=Status.OPEN)
    closed_by = models.CharField(max_length=150, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    note = models.TextField(blank=True)

    objects = IncidentQuerySet.as_manager()

    class Meta:
        ordering = ["-last_at"]
        constraints = [
            models.UniqueConstraint(fields=["fingerprint"], condition=models.Q(is_open=True), name="incident_open_once")
        ]
        indexes = [
            models.Index(fields=["status", "mode"], name="incident_status"),
            # Each decision and each page asks for what is unresolved: a few of all that ever were.
            models.Index(fields=["mode", "symbol"], condition=~models.Q(status="RESOLVED"), name="incident_unresolved"),
            models.Index(fields=["fingerprint"], name="incident_fingerprint"),
        ]
        permissions = [("resolve_incident", "Can acknowledge and resolve incidents")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.title}"

    @property
    def subject(self) -> str:
        """What it is about, as it was opened."""
        return self.fingerprint.split(":", 2)[2]

    def acknowledge(self, *, by: str, note: str) -> bool:
        """Say that somebody is looking at it, and return whether this call did. It keeps stopping what it stops."""
        acknowledged = Incident.objects.filter(pk=self.pk, status=self.Status.OPEN).update(
            status=self.Status.ACKNOWLEDGED, closed_by=by, note=note
        )
        return bool(acknowledged)

    def resolve(self, *, by: str, note: str, now: datetime) -> bool:
        """
        Close it, and return whether this call did.

        What it stopped may go on, and the same trouble will open a new one.
        """
        resolved = Incident.objects.filter(pk=self.pk, is_open=True).update(
            status=self.Status.RESOLVED, is_open=False, closed_by=by, closed_at=now, note=note
        )
        return bool(resolved)


# The titles of what stops new exposure in a symbol, for whoever decides or sends an order of it.
STOPS = Question[tuple[str]](
    lambda mode, symbol: Incident.objects.stopping(mode, symbol).values_list("title"), mode=str, symbol=str
)
