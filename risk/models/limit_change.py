"""LimitChange: one limit that somebody wants looser, from the wish to what became of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pgtrigger
from django.db import models
from django.db.models import F, Q

from risk.models.limits import RiskSettings


class LimitChangeQuerySet(models.QuerySet["LimitChange"]):
    def unfinished(self) -> LimitChangeQuerySet:
        """Return what waits, and what holds only for a time."""
        return self.filter(status__in=[LimitChange.Status.PENDING, LimitChange.Status.TEMPORARY])

    def pending(self) -> LimitChangeQuerySet:
        return self.filter(status=LimitChange.Status.PENDING)

    def due(self, now: datetime) -> LimitChangeQuerySet:
        """Return what takes effect by itself, or ends by itself, at `now` at the latest; in the order it was asked."""
        takes_effect = Q(status=LimitChange.Status.PENDING, due_at__lte=now)
        known = self.unfinished().filter(limit__in=RiskSettings.LIMIT_FIELDS)
        return known.filter(takes_effect | Q(expires_at__lte=now)).order_by("created_at", "pk")


class LimitChange(models.Model):
    """
    A wish to loosen one limit: from which value to which, who wishes it and why, and who answered.

    Values are text, as a version keeps them. Persons are kept by name and by the id of their account: a name can be
    changed, or be given to somebody else, and neither makes a second person of the first.
    """

    class Needs(models.TextChoices):
        CONFIRMATION = "CONFIRMATION", "A typed word"
        SECOND_PERSON = "SECOND_PERSON", "A second person"

    class Status(models.TextChoices):
        PENDING = "PENDING", "Pending"
        APPLIED = "APPLIED", "Applied"
        TEMPORARY = "TEMPORARY", "Applied for a time"
        ENDED = "ENDED", "Ended"
        REJECTED = "REJECTED", "Rejected"
        WITHDRAWN = "WITHDRAWN", "Withdrawn"
        STALE = "STALE", "Stale"

    limit = models.CharField(max_length=64)
    before = models.CharField(max_length=200, help_text="The value it is based on.")
    after = models.CharField(max_length=200, help_text="The value that is wished.")
    based_on_version = models.PositiveIntegerField()
    author = models.CharField(max_length=150)
    author_account = models.BigIntegerField()
    reason = models.TextField()
    created_at = models.DateTimeField()
    needs = models.CharField(max_length=16, choices=Needs)
    due_at = models.DateTimeField("takes effect", null=True, blank=True)
    expires_at = models.DateTimeField(
        "holds until", null=True, blank=True, help_text="Then the value it was based on returns."
    )
    status = models.CharField(max_length=12, choices=Status, default=Status.PENDING)
    decided_by = models.CharField(max_length=150, blank=True)
    decided_by_account = models.BigIntegerField(null=True, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    note = models.TextField("answer", blank=True)
    ended_at = models.DateTimeField("ended", null=True, blank=True)

    objects = LimitChangeQuerySet.as_manager()

    class Meta:
        verbose_name = "limit change"
        ordering = ["-id"]
        permissions = [("approve_limits", "Can approve and reject what loosens a limit")]
        triggers = [
            pgtrigger.Protect(name="kept", operation=pgtrigger.Delete),
            pgtrigger.FSM(
                name="status_follows_the_table",
                field="status",
                transitions=[
                    ("PENDING", "APPLIED"),
                    ("PENDING", "TEMPORARY"),
                    ("PENDING", "REJECTED"),
                    ("PENDING", "WITHDRAWN"),
                    ("PENDING", "STALE"),
                    ("PENDING", "ENDED"),  # its time was over before it took effect
                    ("TEMPORARY", "ENDED"),
                ],
            ),
            pgtrigger.ReadOnly(
                name="wish_is_kept",
                fields=[
                    "limit",
                    "before",
                    "after",
                    "based_on_version",
                    "author",
                    "author_account",
                    "reason",
                    "created_at",
                    "needs",
                    "due_at",
                    "expires_at",
                ],
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["limit"],
                condition=Q(status__in=["PENDING", "TEMPORARY"]),
                name="limit_change_one_unfinished_a_limit",
            ),
            models.CheckConstraint(
                condition=~Q(needs="SECOND_PERSON", status__in=["APPLIED", "TEMPORARY", "REJECTED"])
                | (
                    Q(decided_by_account__isnull=False)
                    & ~Q(decided_by_account=F("author_account"))
                    & ~Q(decided_by=F("author"))
                ),
                name="limit_change_needs_four_eyes",
            ),
            models.CheckConstraint(
                condition=Q(needs="SECOND_PERSON", due_at__isnull=True) | Q(needs="CONFIRMATION", due_at__isnull=False),
                name="limit_change_takes_effect_by_what_it_needs",
            ),
            models.CheckConstraint(condition=~Q(before=F("after")), name="limit_change_changes_something"),
            models.CheckConstraint(
                condition=Q(expires_at__isnull=True) | Q(expires_at__gt=F("created_at")),
                name="limit_change_expires_later",
            ),
            models.CheckConstraint(
                condition=Q(
                    status__in=["PENDING", "APPLIED", "TEMPORARY", "ENDED", "REJECTED", "WITHDRAWN", "STALE"],
                ),
                name="limit_change_status_is_known",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.label} {self.before} → {self.after}"

    @property
    def label(self) -> str:
        """The words for the limit."""
        return RiskSettings.label(self.limit)

    @property
    def value_before(self) -> Any:
        return RiskSettings.parsed(self.limit, self.before)

    @property
    def value_after(self) -> Any:
        return RiskSettings.parsed(self.limit, self.after)

    @property
    def status_in_force(self) -> LimitChange.Status:
        """The status it has once its value holds."""
        return self.Status.TEMPORARY if self.expires_at else self.Status.APPLIED

    def is_over(self, now: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= now

    def is_the_same_wish_as(self, other: LimitChange) -> bool:
        """Whether the same person wishes the same: a form that was sent twice."""
        same = ("limit", "author_account", "needs", "expires_at", "value_before", "value_after")
        return self.status == self.Status.PENDING and all(getattr(self, n) == getattr(other, n) for n in same)

    def stale_because(self, limits: RiskSettings) -> str:
        """Return why it is no longer based on what holds; empty when it is."""
        current = getattr(limits, self.limit)
        if current == self.value_before:
            return ""
        return f"{self.label} was {self.before} when {self.author} asked, and is {current} now: ask for it anew"

    def advance(
        self, status: LimitChange.Status, *, at: datetime, note: str, by: str = "", account: int | None = None
    ) -> None:
        """Move to a status that may follow, with who did it and why. The caller holds the lock of the limits."""
        answer: dict[str, Any] = {"decided_by": by, "decided_by_account": account, "decided_at": at, "note": note}
        if self.status == self.Status.TEMPORARY:  # who allowed it is kept
            answer = {"ended_at": at, "note": f"{self.note}; {note}"}
        moved = LimitChange.objects.filter(pk=self.pk, status=self.status).update(status=status, **answer)
        assert moved == 1, "the lock of the limits was not held"
        self.refresh_from_db()
