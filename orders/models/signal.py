"""Signal: a strategy's wish, as received. The row is the hand-over between the receivers and the worker."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db import models

from risk.models import Mode


class SignalQuerySet(models.QuerySet["Signal"]):
    def undecided(self, mode: str) -> SignalQuerySet:
        """Return what waits for the worker, oldest first."""
        return self.filter(mode=mode, status=Signal.Status.RECEIVED).order_by("id")

    def next_of_each_symbol(self, mode: str) -> SignalQuerySet:
        """Return the oldest undecided signal of each symbol: one that must wait holds up its own symbol only."""
        first = self.undecided(mode).order_by("exchange", "symbol", "id").distinct("exchange", "symbol").values("pk")
        return self.filter(pk__in=first).order_by("id")

    def wait_like(self, first: Signal, others: Iterable[Signal]) -> None:
        """Write down that the others wait for the same reason; one that says so already keeps its own."""
        code = first.reason.partition(":")[0]
        pks = [other.pk for other in others if not other.reason.startswith(code)]
        self.filter(pk__in=pks, status=Signal.Status.RECEIVED).update(reason=first.reason)

    def newest_decided_at(self, signal: Signal) -> datetime | None:
        """Return the signal time of the newest decided one of the same symbol and strategy."""
        decided = self.filter(
            mode=signal.mode, exchange=signal.exchange, symbol=signal.symbol, strategy=signal.strategy
        ).filter(status__in=[Signal.Status.APPROVED, Signal.Status.IGNORED, Signal.Status.DENIED])
        newest: datetime | None = decided.exclude(pk=signal.pk).aggregate(newest=models.Max("signal_at"))["newest"]
        return newest


class Signal(models.Model):
    """A strategy's wish, as received, and what became of it."""

    class Status(models.TextChoices):
        RECEIVED = "RECEIVED", "Received"
        MALFORMED = "MALFORMED", "Malformed"
        IGNORED = "IGNORED", "Ignored"
        DENIED = "DENIED", "Denied"
        APPROVED = "APPROVED", "Approved"
        EXPIRED = "EXPIRED", "Expired"
        FAILED = "FAILED", "Failed"

    class Source(models.TextChoices):
        CHANNEL = "CHANNEL", "Redis channel"
        STREAM = "STREAM", "Redis stream"
        STAFF = "STAFF", "Staff"

    mode = models.CharField(max_length=8, choices=Mode)
    signal_id = models.CharField(max_length=100, help_text="The publisher's own id, else a digest of the message.")
    digest = models.CharField(max_length=64, help_text="Of every field, normalised; of the bytes when malformed.")
    source = models.CharField(max_length=8, choices=Source)
    stream_entry_id = models.CharField(max_length=45, blank=True)
    raw = models.BinaryField(help_text="The message as received, up to a bound.")
    signal_type = models.CharField(max_length=4, blank=True)
    exchange = models.CharField(max_length=10, blank=True)
    symbol = models.CharField(max_length=40, blank=True, db_index=True)
    cms_score = models.DecimalField("CMS score", max_digits=15, decimal_places=12, null=True, blank=True)
    signal_at = models.DateTimeField("signal time", null=True, blank=True)
    price = models.DecimalField("advised price (₹)", max_digits=14, decimal_places=4, null=True, blank=True)
    quantity = models.PositiveIntegerField("advised quantity (shares)", null=True, blank=True)
    order_type = models.CharField("advised order type", max_length=6, blank=True)
    strategy = models.CharField(max_length=60, blank=True)
    seq = models.BigIntegerField("sequence number", null=True, blank=True)
    received_at = models.DateTimeField()
    status = models.CharField(max_length=10, choices=Status, default=Status.RECEIVED)
    reason = models.TextField(blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    duplicates = models.PositiveIntegerField(default=0, help_text="How often the same signal arrived again.")

    objects = SignalQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["mode", "signal_id"], name="signal_once"),
            models.CheckConstraint(
                condition=models.Q(cms_score__isnull=True)
                | models.Q(cms_score__gte=-100) & models.Q(cms_score__lte=100),
                name="signal_score_in_range",
            ),
        ]
        indexes = [
            models.Index(fields=["mode", "id"], condition=models.Q(status="RECEIVED"), name="signal_undecided"),
            models.Index(fields=["mode", "exchange", "symbol", "strategy", "-signal_at"], name="signal_newest"),
            models.Index(fields=["-received_at"], name="signal_received"),
        ]
        permissions = [("send_test_signal", "Can send a test signal (paper)")]

    def __str__(self) -> str:
        return f"{self.signal_type or 'MALFORMED'} {self.symbol} ({self.signal_id[:16]})"

    def conclude(self, status: Status, *, reason: str, now: datetime) -> None:
        """Write down what became of it. Only a received signal is concluded; a second conclusion changes nothing."""
        Signal.objects.filter(pk=self.pk, status=self.Status.RECEIVED).update(
            status=status, reason=reason, decided_at=now
        )
        self.refresh_from_db(fields=["status", "reason", "decided_at"])

    def wait(self, *, reason: str) -> None:
        """Write down why it is not decided yet."""
        Signal.objects.filter(pk=self.pk, status=self.Status.RECEIVED).update(reason=reason)
        self.refresh_from_db(fields=["status", "reason"])

    def reopen(self, *, reason: str) -> None:
        """Have it decided again: its order was withdrawn before it was sent."""
        Signal.objects.filter(pk=self.pk, status=self.Status.APPROVED).update(
            status=self.Status.RECEIVED, reason=reason
        )
