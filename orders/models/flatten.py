"""Flatten: a person's wish to close every open position of ours, written down before anything is done about it."""

from __future__ import annotations

from datetime import datetime

import structlog
from django.db import models
from django.db.models import Q

from risk.models import Mode

log = structlog.get_logger(__name__)


class FlattenQuerySet(models.QuerySet["Flatten"]):
    def under_way(self, mode: str) -> FlattenQuerySet:
        return self.filter(mode=mode, state=Flatten.State.UNDER_WAY)


class Flatten(models.Model):
    """
    One wish to be out of everything, carried out position by position by whoever is there to do it.

    `token` makes it one wish however often its form is sent, and of several wishes of one mode only one is under way.
    """

    class State(models.TextChoices):
        UNDER_WAY = "UNDER_WAY", "Under way"
        FLAT = "FLAT", "Everything is closed"
        INCOMPLETE = "INCOMPLETE", "Ended with positions open"
        ENDED = "ENDED", "Ended by a person"

    mode = models.CharField(max_length=8, choices=Mode)
    token = models.CharField(max_length=40, help_text="Of the form: sent twice, it is one flatten.")
    asked_by = models.CharField(max_length=150)
    asked_at = models.DateTimeField()
    reason = models.TextField()
    trading_date = models.DateField(help_text="In Mumbai. It is never carried over into another.")
    while_halted = models.BooleanField(
        "asked for while halted", help_text="A halt pressed afterwards ends it; one that it began under does not."
    )
    state = models.CharField(max_length=12, choices=State, default=State.UNDER_WAY)
    outcome = models.TextField(blank=True, help_text="How it ended, and what was left.")
    ended_by = models.CharField(max_length=150, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = FlattenQuerySet.as_manager()

    class Meta:
        verbose_name = "flatten"
        verbose_name_plural = "flattens"
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["mode", "token"], name="flatten_once"),
            models.UniqueConstraint(fields=["mode"], condition=Q(state="UNDER_WAY"), name="flatten_one_under_way"),
            models.CheckConstraint(
                condition=Q(state__in=["UNDER_WAY", "FLAT", "INCOMPLETE", "ENDED"]), name="flatten_state_is_known"
            ),
            models.CheckConstraint(condition=~Q(reason="") & ~Q(asked_by=""), name="flatten_says_who_and_why"),
        ]
        permissions = [("flatten", "Can flatten: exit every open position, even when trading is halted")]

    def __str__(self) -> str:
        return f"Flatten by {self.asked_by}: {self.get_state_display().lower()}"

    @property
    def is_under_way(self) -> bool:
        return self.state == self.State.UNDER_WAY

    def end(self, state: Flatten.State, *, by: str, outcome: str, at: datetime) -> bool:
        """End it, once. Return whether this call did. The caller holds the mode's lock."""
        still = Flatten.objects.filter(pk=self.pk, state=self.State.UNDER_WAY)
        ended = still.update(state=state, ended_by=by, outcome=outcome, ended_at=at)
        self.refresh_from_db()
        if ended:
            log.warning("flatten.ended", state=state.value, by=by, outcome=outcome)
        return bool(ended)


class FlattenedPosition(models.Model):
    """
    One position that a flatten closes: how far it got and what was last said of it.

    `exits` counts the exit orders that were made for it. Their ids follow from the flatten's token, the position and
    this number, so that two who carry it out make one order and not two.
    """

    class State(models.TextChoices):
        WAITING = "WAITING", "Waiting"
        EXITING = "EXITING", "Being closed"
        FLAT = "FLAT", "Flat"
        LEFT = "LEFT", "Left open"

    flatten = models.ForeignKey(Flatten, models.PROTECT, related_name="positions")
    position = models.ForeignKey("orders.Position", models.PROTECT, related_name="flattens")
    quantity = models.IntegerField("shares when it was asked for")
    state = models.CharField(max_length=8, choices=State, default=State.WAITING)
    said = models.TextField(blank=True)
    exits = models.PositiveSmallIntegerField(default=0)
    tries = models.PositiveIntegerField(default=0)
    tried_at = models.DateTimeField(null=True, blank=True)
    changed_at = models.DateTimeField()

    class Meta:
        ordering = ["position__symbol", "id"]
        constraints = [
            models.UniqueConstraint(fields=["flatten", "position"], name="flattened_position_once"),
            models.CheckConstraint(
                condition=Q(state__in=["WAITING", "EXITING", "FLAT", "LEFT"]), name="flattened_position_state_is_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.position.symbol}: {self.get_state_display().lower()}"
