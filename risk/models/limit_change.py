"""LimitChange: one limit that somebody wants looser, from the wish to what became of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pgtrigger
from django.db import models
from django.db.models import F, Q

from risk.models.limits import HeldLimits, InstrumentLimit, RiskSettings
from risk.models.wish import KEPT_FIELDS, Wish, four_eyes, takes_effect_by_what_it_needs, wish_is_kept


class LimitChangeQuerySet(models.QuerySet["LimitChange"]):
    def unfinished(self) -> LimitChangeQuerySet:
        """Return what waits, and what holds only for a time."""
        return self.filter(status__in=[LimitChange.Status.PENDING, LimitChange.Status.TEMPORARY])

    def pending(self) -> LimitChangeQuerySet:
        return self.filter(status=LimitChange.Status.PENDING)

    def about(self, held: HeldLimits) -> LimitChangeQuerySet:
        """Return the wishes for these limits: the general ones, or one symbol's."""
        if isinstance(held, InstrumentLimit):
            return self.filter(exchange=held.exchange, symbol=held.symbol)
        return self.filter(symbol="")

    def due(self, now: datetime) -> LimitChangeQuerySet:
        """Return what takes effect by itself, or ends by itself, at `now` at the latest; in the order it was asked."""
        takes_effect = Q(status=LimitChange.Status.PENDING, due_at__lte=now)
        general = Q(symbol="", limit__in=RiskSettings.LIMIT_FIELDS)
        of_a_symbol = ~Q(symbol="") & Q(limit__in=InstrumentLimit.LIMIT_FIELDS)
        known = self.unfinished().filter(general | of_a_symbol)
        return known.filter(takes_effect | Q(expires_at__lte=now)).order_by("created_at", "pk")


class LimitChange(Wish):
    """
    A wish to loosen one limit, of all orders or of one symbol's: from which value to which.

    Values are text, as a version keeps them; for a symbol empty is "none of its own".
    """

    exchange = models.CharField(max_length=10, blank=True)
    symbol = models.CharField(max_length=40, blank=True, help_text="Empty: a limit of all orders.")
    limit = models.CharField(max_length=64)
    before = models.CharField(max_length=200, help_text="The value it is based on.")
    after = models.CharField(max_length=200, help_text="The value that is wished.")
    based_on_version = models.PositiveIntegerField()
    expires_at = models.DateTimeField(
        "holds until", null=True, blank=True, help_text="Then the value it was based on returns."
    )
    ended_at = models.DateTimeField("ended", null=True, blank=True)

    objects = LimitChangeQuerySet.as_manager()

    class Meta:
        verbose_name = "limit change"
        ordering = ["-id"]
        permissions = [("approve_limits", "Can approve and reject what loosens a limit")]
        triggers = [
            *wish_is_kept(
                *KEPT_FIELDS, "exchange", "symbol", "limit", "before", "after", "based_on_version", "expires_at"
            ),
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
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["exchange", "symbol", "limit"],
                condition=Q(status__in=["PENDING", "TEMPORARY"]),
                name="limit_change_one_unfinished_a_limit",
            ),
            four_eyes("limit_change_needs_four_eyes"),
            takes_effect_by_what_it_needs("limit_change_takes_effect_by_what_it_needs"),
            models.CheckConstraint(condition=~Q(before=F("after")), name="limit_change_changes_something"),
            models.CheckConstraint(
                condition=Q(exchange="", symbol="") | (~Q(exchange="") & ~Q(symbol="")),
                name="limit_change_names_a_whole_instrument",
            ),
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
        return f"{self.label} {self.before or 'none'} → {self.after or 'none'}"

    @property
    def kind(self) -> type[HeldLimits]:
        return InstrumentLimit if self.symbol else RiskSettings

    @property
    def author_needs(self) -> tuple[str, ...]:
        if self.symbol:
            return ("risk.add_instrumentlimit", "risk.change_instrumentlimit")
        return ("risk.change_risksettings",)

    @property
    def key(self) -> str:
        """The name that a version of the limits keeps the limit under."""
        return f"{self.exchange}:{self.symbol} {self.limit}" if self.symbol else self.limit

    @property
    def label(self) -> str:
        """The words for the limit."""
        words = self.kind.label(self.limit)
        return f"{self.exchange}:{self.symbol} {words}" if self.symbol else words

    @property
    def value_before(self) -> Any:
        return self.kind.parsed(self.limit, self.before)

    @property
    def value_after(self) -> Any:
        return self.kind.parsed(self.limit, self.after)

    @property
    def status_in_force(self) -> LimitChange.Status:
        """The status it has once its value holds."""
        return self.Status.TEMPORARY if self.expires_at else self.Status.APPLIED

    def is_over(self, now: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= now

    def is_the_same_wish_as(self, other: LimitChange) -> bool:
        """Whether the same person wishes the same: a form that was sent twice."""
        same = ("key", "author_account", "needs", "expires_at", "value_before", "value_after")
        return self.status == self.Status.PENDING and all(getattr(self, n) == getattr(other, n) for n in same)

    def stale_because(self, held: HeldLimits) -> str:
        """Return why it is no longer based on what holds; empty when it is."""
        current = getattr(held, self.limit)
        if current == self.value_before:
            return ""
        before, text = self.before or "none", held.as_text(current) or "none"
        return f"{self.label} was {before} when {self.author} asked, and is {text} now: ask for it anew"

    def advance(
        self, status: Wish.Status, *, at: datetime, note: str, by: str = "", account: int | None = None
    ) -> None:
        """Move to a status that may follow, with who did it and why. The caller holds the lock of the limits."""
        if self.status == self.Status.TEMPORARY:  # who allowed it is kept
            self.move(status, ended_at=at, note=f"{self.note}; {note}")
        else:
            super().advance(status, at=at, note=note, by=by, account=account)
