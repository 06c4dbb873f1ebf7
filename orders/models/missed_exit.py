"""MissedExit: a signal to close that was not acted on while something of ours was open. It waits for a person."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import pgtrigger
import structlog
from django.db import models
from django.db.models import Q, Sum

from orders.models.position import Position
from risk.models import Mode

if TYPE_CHECKING:
    from orders.models.signal import Signal

log = structlog.get_logger(__name__)

_SELL = "SELL"


class MissedExitQuerySet(models.QuerySet["MissedExit"]):
    def waiting(self, mode: str) -> MissedExitQuerySet:
        return self.filter(mode=mode, state=MissedExit.State.WAITING)

    def open(self, signal: Signal, *, why: str, at: datetime) -> None:
        """
        Write down that the signal was not acted on, unless nothing of ours is open that it would have closed.

        One signal is one row: missed again it has its newest reason, and one that has ended stays as it ended.
        """
        same = {"mode": signal.mode, "exchange": signal.exchange, "symbol": signal.symbol}
        if signal.signal_type != _SELL or _own(**same) <= 0:
            return
        row, created = self.get_or_create(signal=signal, defaults={**same, "why": why, "at": at})
        if not created:
            self.filter(pk=row.pk, state=MissedExit.State.WAITING).update(why=why)
        log.warning("exit.missed", signal=signal.signal_id, symbol=signal.symbol, why=why)

    def end_when_flat(self, mode: str, exchange: str, symbol: str, *, note: str, at: datetime) -> None:
        """End what waits in the symbol if nothing of ours is open in it any more. The caller holds the mode's lock."""
        waiting = self.waiting(mode).filter(exchange=exchange, symbol=symbol)
        if _own(mode, exchange, symbol) <= 0:
            waiting.update(state=MissedExit.State.FLAT, ended_at=at, note=note)


def _own(mode: str, exchange: str, symbol: str) -> int:
    held = Position.objects.filter(mode=mode, exchange=exchange, symbol=symbol)
    return held.aggregate(own=Sum("quantity"))["own"] or 0


class MissedExit(models.Model):
    """
    One signal to close, and what became of it after it was not acted on.

    It waits until the position is flat or a person dismisses it. While an order that closes all of it works, nobody has
    to do anything; when that order ends without having closed it, it is there again.
    """

    class State(models.TextChoices):
        WAITING = "WAITING", "Waits"
        FLAT = "FLAT", "Position went flat"
        DISMISSED = "DISMISSED", "Dismissed"

    mode = models.CharField(max_length=8, choices=Mode)
    signal = models.OneToOneField("orders.Signal", models.PROTECT, related_name="missed_exit")
    exchange = models.CharField(max_length=10)
    symbol = models.CharField(max_length=40)
    why = models.TextField("why it was not acted on")
    at = models.DateTimeField("since")
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.CharField(max_length=150, blank=True)
    note = models.TextField("how it ended", blank=True)

    objects = MissedExitQuerySet.as_manager()

    class Meta:
        verbose_name = "signal to close"
        verbose_name_plural = "signals to close"
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(state="WAITING", ended_at__isnull=True)
                | Q(state="FLAT", ended_at__isnull=False)
                | (Q(state="DISMISSED", ended_at__isnull=False) & ~Q(ended_by="") & ~Q(note="")),
                name="missed_exit_says_how_it_ended",
            )
        ]
        indexes = [
            models.Index(fields=["mode", "symbol"], condition=Q(state="WAITING"), name="missed_exit_waiting"),
        ]
        triggers = [
            pgtrigger.Protect(name="kept", operation=pgtrigger.Delete),
            pgtrigger.ReadOnly(name="what_was_missed", fields=["mode", "signal", "exchange", "symbol", "at"]),
            pgtrigger.Protect(
                name="ended_is_kept",
                operation=pgtrigger.Update,
                condition=pgtrigger.Condition("OLD.state <> 'WAITING'"),
            ),
        ]
        permissions = [("dismiss_missedexit", "Can dismiss signals to close that were not acted on")]

    def __str__(self) -> str:
        return f"{_SELL} {self.exchange}:{self.symbol}"

    def dismiss(self, *, by: str, reason: str, at: datetime) -> bool:
        """Say that nothing is to be done about it. Return whether this call did; ended, it stays as it is."""
        waits = MissedExit.objects.filter(pk=self.pk, state=self.State.WAITING)
        dismissed = waits.update(state=self.State.DISMISSED, ended_at=at, ended_by=by, note=reason)
        self.refresh_from_db()
        return bool(dismissed)
