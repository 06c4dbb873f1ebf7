"""CalendarWish: an edit of the calendar that lets something trade, from the wish to what became of it."""

from __future__ import annotations

import pgtrigger
from django.db import models
from django.db.models import Q

from risk.models.wish import KEPT_FIELDS, Wish, four_eyes, takes_effect_by_what_it_needs, wish_is_kept

COMMAND_LINE = "command line: "
NO_ACCOUNT = 0  # of an author who is not logged in: the command line knows the system's user alone


class CalendarWishQuerySet(models.QuerySet["CalendarWish"]):
    def pending(self) -> CalendarWishQuerySet:
        return self.filter(status=CalendarWish.Status.PENDING)


class CalendarWish(Wish):
    """The edit itself, as data, with what it opens in words. It stands on the calendar as its last change left it."""

    what = models.TextField(help_text="The edit in words.")
    edits = models.JSONField(help_text="The rows that are put in their places or removed.")
    steps = models.JSONField(default=list, help_text="What it changes: column, before and after.")
    opens = models.TextField(help_text="The days that would trade, or trade longer.")
    based_on_change = models.BigIntegerField(help_text="The last change of the calendar when it was asked.")

    objects = CalendarWishQuerySet.as_manager()

    class Meta:
        verbose_name = "calendar wish"
        verbose_name_plural = "calendar wishes"
        ordering = ["-id"]
        permissions = [("approve_calendar", "Can approve and reject what opens the market")]
        indexes = [
            models.Index(fields=["status"], condition=Q(status="PENDING"), name="calendar_wish_pending"),
        ]
        triggers = [
            *wish_is_kept(*KEPT_FIELDS, "what", "edits", "steps", "opens", "based_on_change"),
            pgtrigger.FSM(
                name="status_follows_the_table",
                field="status",
                transitions=[
                    ("PENDING", "APPLIED"),
                    ("PENDING", "REJECTED"),
                    ("PENDING", "WITHDRAWN"),
                    ("PENDING", "STALE"),
                ],
            ),
        ]
        constraints = [
            four_eyes("calendar_wish_needs_four_eyes"),
            takes_effect_by_what_it_needs("calendar_wish_takes_effect_by_what_it_needs"),
            models.CheckConstraint(
                condition=Q(status__in=["PENDING", "APPLIED", "REJECTED", "WITHDRAWN", "STALE"]),
                name="calendar_wish_status_is_known",
            ),
        ]

    def __str__(self) -> str:
        return self.what

    @property
    def author_needs(self) -> tuple[str, ...]:
        return (
            "risk.load_calendar",
            *(f"risk.{may}_{table}" for may in ("add", "change", "delete") for table in ("calendarday", "sessionrule")),
            *(f"risk.{may}_calendaryear" for may in ("add", "change")),
        )

    def author_is_gone(self) -> str:
        """Return why, as of every wish; the command line has no account to lose."""
        return "" if self.is_of_the_command_line else super().author_is_gone()

    @property
    def is_of_the_command_line(self) -> bool:
        return self.author_account == NO_ACCOUNT

    def stale_because(self, last_change: int) -> str:
        """Return why it is no longer based on the calendar as it is; empty when it is."""
        if self.based_on_change == last_change:
            return ""
        return f"the calendar was changed since {self.author} asked: look at it again, and ask anew"
