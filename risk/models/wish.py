"""Wish: what somebody wants looser, whatever it is about; who wishes it, and who answered."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pgtrigger
from django.contrib.auth.models import User
from django.db import models
from django.db.models import F, Q

_ANSWERED_BY_A_SECOND_PERSON = ["APPLIED", "TEMPORARY", "REJECTED"]
KEPT_FIELDS = ("author", "author_account", "reason", "created_at", "needs", "due_at")


class Wish(models.Model):
    """
    A wish that waits, and what became of it.

    Persons are kept by name and by the id of their account: a name can be changed, or be given to somebody else, and
    neither makes a second person of the first.
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

    author = models.CharField(max_length=150)
    author_account = models.BigIntegerField()
    reason = models.TextField()
    created_at = models.DateTimeField()
    needs = models.CharField(max_length=16, choices=Needs)
    due_at = models.DateTimeField("takes effect", null=True, blank=True)
    status = models.CharField(max_length=12, choices=Status, default=Status.PENDING)
    decided_by = models.CharField(max_length=150, blank=True)
    decided_by_account = models.BigIntegerField(null=True, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    note = models.TextField("answer", blank=True)

    class Meta:
        abstract = True

    @property
    def author_needs(self) -> tuple[str, ...]:
        """The permissions of which somebody needs one to have such a wish."""
        raise NotImplementedError

    def author_is_gone(self) -> str:
        """Return why whoever wished it could not wish it any more; empty when they could."""
        author = User.objects.filter(pk=self.author_account, is_active=True).first()
        if author is None:
            return f"the account of {self.author} is gone or inactive"
        if not any(author.has_perm(permission) for permission in self.author_needs):
            return f"{self.author} has no permission for such a change any more"
        return ""

    def advance(
        self, status: Wish.Status, *, at: datetime, note: str, by: str = "", account: int | None = None
    ) -> None:
        """Move to a status that may follow, with who did it and why. The caller holds the lock of the modes."""
        self.move(status, decided_by=by, decided_by_account=account, decided_at=at, note=note)

    def move(self, status: Wish.Status, **answer: Any) -> None:
        rows: models.QuerySet[Wish] = models.QuerySet(type(self))
        moved = rows.filter(pk=self.pk, status=self.status).update(status=status, **answer)
        assert moved == 1, "the lock of the modes was not held"
        self.refresh_from_db()


def four_eyes(name: str) -> models.CheckConstraint:
    """Return the constraint by which nobody answers what they wished themselves."""
    return models.CheckConstraint(
        condition=~Q(needs="SECOND_PERSON", status__in=_ANSWERED_BY_A_SECOND_PERSON)
        | (
            Q(decided_by_account__isnull=False)
            & ~Q(decided_by_account=F("author_account"))
            & ~Q(decided_by=F("author"))
        ),
        name=name,
    )


def takes_effect_by_what_it_needs(name: str) -> models.CheckConstraint:
    """Return the constraint by which what a second person must answer never takes effect by itself."""
    return models.CheckConstraint(
        condition=Q(needs="SECOND_PERSON", due_at__isnull=True) | Q(needs="CONFIRMATION", due_at__isnull=False),
        name=name,
    )


def wish_is_kept(*fields: str) -> list[pgtrigger.Trigger]:
    """Return the triggers by which a wish is neither deleted nor rewritten."""
    return [
        pgtrigger.Protect(name="kept", operation=pgtrigger.Delete),
        pgtrigger.ReadOnly(name="wish_is_kept", fields=list(fields)),
    ]
