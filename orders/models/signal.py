"""Signal: a strategy's wish, as received. The row is the hand-over between the receivers and the worker."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from django.db import connection, models
from django.db.models import F, Value
from django.db.models.functions import Concat

from risk.models import Mode
from risk.questions import Question
from risk.writing import Change, update

Kind = tuple[str, str, str]  # exchange, symbol and strategy: of these a newer signal overtakes an older one
DECIDED = ("APPROVED", "IGNORED", "DENIED")  # what became of it says that it was looked at in its time


class SignalQuerySet(models.QuerySet["Signal"]):
    def undecided(self, mode: str) -> SignalQuerySet:
        """Return what waits for the worker, oldest first."""
        return self.filter(mode=mode, status=Signal.Status.RECEIVED).order_by("id")

    def next_of_each_symbol(self, mode: str) -> SignalQuerySet:
        """Return the oldest undecided signal of each symbol: one that must wait holds up its own symbol only."""
        first = self.undecided(mode).order_by("exchange", "symbol", "id").distinct("exchange", "symbol").values("pk")
        return self.filter(pk__in=first).order_by("id")

    def undecided_after(self, pk: int, mode: str, *, but: Collection[tuple[str, str]] = ()) -> SignalQuerySet:
        """Return what waits and came after that one, but of some symbols of exchanges; oldest first, without bytes."""
        waiting = self.undecided(mode).filter(pk__gt=pk).defer("raw")
        if not but:
            return waiting
        whole = Concat("exchange", Value(":"), "symbol")
        return waiting.alias(whole=whole).exclude(whole__in=[f"{exchange}:{symbol}" for exchange, symbol in but])

    def wait_like(self, first: Signal, others: Iterable[Signal]) -> None:
        """Write down that the others wait for the same reason; one that says so already keeps its own."""
        code = first.reason.partition(":")[0]
        pks = [other.pk for other in others if not other.reason.startswith(code)]
        self.filter(pk__in=pks, status=Signal.Status.RECEIVED).update(reason=first.reason)

    def count_again(self, times: Mapping[int, int]) -> None:
        """Count each of these, by primary key, as having arrived so many times more, in the caller's transaction."""
        self.lock_oldest_first(times)
        for count in set(times.values()):
            pks = [pk for pk, again in times.items() if again == count]
            self.filter(pk__in=pks).update(duplicates=F("duplicates") + count)

    def lock_oldest_first(self, pks: Collection[int]) -> None:
        """Lock the rows of these in the order in which all do who change many: none waits for another in a ring."""
        if pks:
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT id FROM orders_signal WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE", [list(pks)]
                )

    def decided(self, mode: str) -> SignalQuerySet:
        """Return those that the risk desk has decided, whatever it said."""
        return self.filter(mode=mode, status__in=DECIDED)

    def newest_of_kinds(self, mode: str, kinds: Collection[Kind]) -> dict[Kind, datetime | None]:
        """Return the signal time of the newest decided one of each kind; one statement for all of them."""
        if not kinds:
            return {}
        with connection.cursor() as cursor:
            cursor.execute(_NEWEST_OF_KINDS, [mode, list(DECIDED), *map(list, zip(*kinds, strict=True))])
            return {(exchange, symbol, strategy): newest for exchange, symbol, strategy, newest in cursor}

    def conclude_each(self, conclusions: Iterable[tuple[int, Signal.Status, str]], *, now: datetime) -> int:
        """
        Write down what became of each: primary key, status and reason. Return how many were still received.

        The caller is in a transaction.
        """
        pks, statuses, reasons = zip(*conclusions, strict=True)
        self.lock_oldest_first(pks)
        with connection.cursor() as cursor:
            cursor.execute(
                _CONCLUDE_EACH, [now, list(pks), [each.value for each in statuses], list(reasons), list(pks)]
            )
            return int(cursor.rowcount)


_NEWEST_OF_KINDS = """
SELECT kind.*, (
    SELECT MAX(signal_at) FROM orders_signal AS signal
    WHERE mode = %s AND signal.exchange = kind.exchange AND signal.symbol = kind.symbol
        AND signal.strategy = kind.strategy AND status = ANY(%s)
) FROM unnest(%s::text[], %s::text[], %s::text[]) AS kind(exchange, symbol, strategy)
"""
_CONCLUDE_EACH = """
UPDATE orders_signal AS signal SET status = became.status, reason = became.reason, decided_at = %s
FROM unnest(%s::bigint[], %s::text[], %s::text[]) AS became(id, status, reason)
WHERE signal.id = became.id AND signal.id = ANY(%s) AND signal.status = 'RECEIVED'
"""


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
        API = "API", "JSON API"

    mode = models.CharField(max_length=8, choices=Mode)
    signal_id = models.CharField(max_length=100, help_text="The publisher's own id, else a digest of the message.")
    digest = models.CharField(max_length=64, help_text="Of every field, normalised; of the bytes when malformed.")
    source = models.CharField(max_length=8, choices=Source)
    stream_entry_id = models.CharField(max_length=45, blank=True)
    raw = models.BinaryField(help_text="The message as received, up to a bound.")
    signal_type = models.CharField(max_length=4, blank=True)
    exchange = models.CharField(max_length=10, blank=True)
    symbol = models.CharField(max_length=40, blank=True)
    cms_score = models.DecimalField("CMS score", max_digits=15, decimal_places=12, null=True, blank=True)
    signal_at = models.DateTimeField("signal time", null=True, blank=True)
    price = models.DecimalField("advised price (₹)", max_digits=14, decimal_places=4, null=True, blank=True)
    quantity = models.PositiveIntegerField("advised quantity (shares)", null=True, blank=True)
    order_type = models.CharField("advised order type", max_length=6, blank=True)
    strategy = models.CharField(max_length=60, blank=True)
    seq = models.BigIntegerField("sequence number", null=True, blank=True)
    sent_by = models.CharField(
        max_length=220, blank=True, db_default="", help_text="Of the JSON API: the user and the name of the token."
    )
    received_at = models.DateTimeField()
    status = models.CharField(max_length=10, choices=Status, default=Status.RECEIVED)
    reason = models.TextField(blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    duplicates = models.PositiveIntegerField(default=0, help_text="How often the same signal arrived again.")

    replay_of = models.ForeignKey(
        "self",
        models.RESTRICT,  # and not PROTECT: the paper book is forgotten with both
        null=True,
        blank=True,
        related_name="replays",
        help_text="The signal that a person had repeated by this one.",
    )

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
            # Of those that `newest_decided_at` may return: it would else read what is newer and was never decided.
            models.Index(
                fields=["mode", "exchange", "symbol", "strategy", "-signal_at"],
                condition=models.Q(status__in=DECIDED),
                name="signal_newest",
            ),
            models.Index(
                fields=["mode", "strategy", "-seq"], condition=models.Q(seq__isnull=False), name="signal_last_seq"
            ),
            models.Index(fields=["-received_at"], name="signal_received"),
            models.Index(fields=["strategy", "-id"], condition=~models.Q(strategy=""), name="signal_strategy"),
            models.Index(fields=["symbol", "-id"], name="signal_symbol"),
            # What the list is narrowed by: of a status that is rare, it would else read all the others to find none.
            models.Index(fields=["mode", "status", "-id"], name="signal_status"),
            models.Index(fields=["mode", "source", "-id"], name="signal_source"),
            models.Index(fields=["mode", "signal_type", "-id"], name="signal_type"),
        ]
        permissions = [
            ("send_signal", "Can send signals by the JSON API"),
            ("send_test_signal", "Can send a test signal (paper)"),
            ("replay_signal", "Can replay a signal that was not acted on, as a new one"),
        ]

    def __str__(self) -> str:
        return f"{self.signal_type or 'MALFORMED'} {self.symbol} ({self.signal_id[:16]})"

    def conclude(self, status: Status, *, reason: str, now: datetime) -> None:
        """Write down what became of it. Only a received signal is concluded; a second conclusion changes nothing."""
        _, changes, where = self.conclusion(status, reason=reason, now=now)
        if not update(self, changes, where=where):
            self.refresh_from_db(fields=["status", "reason", "decided_at"])

    def conclusion(self, status: Status, *, reason: str, now: datetime) -> Change:
        """Return what `conclude` writes, for who writes other things with it."""
        changes = {"status": status, "reason": reason, "decided_at": now}
        return Change(self, changes, where={"status": self.Status.RECEIVED})

    def wait(self, *, reason: str) -> None:
        """Write down why it is not decided yet."""
        Signal.objects.filter(pk=self.pk, status=self.Status.RECEIVED).update(reason=reason)
        self.refresh_from_db(fields=["status", "reason"])

    def reopen(self, *, reason: str) -> None:
        """Have it decided again: its order was withdrawn before it was sent."""
        Signal.objects.filter(pk=self.pk, status=self.Status.APPROVED).update(
            status=self.Status.RECEIVED, reason=reason
        )


NEXT = Question[Signal](lambda mode: Signal.objects.next_of_each_symbol(mode), mode=str)
