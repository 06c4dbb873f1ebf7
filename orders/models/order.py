"""Order: our intention to trade, from PENDING on. `advance` is the only door to its status."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import structlog
from django.db import models
from django.db.models import Q

from orders.lifecycle import ENDED_AT_THE_BROKER, NEVER_SENT, UNFINISHED, OrderStatus, may_follow
from risk.engine.facts import Origin, Side
from risk.models import Mode
from risk.models.append_only import append_only

# What lies further ahead was dated before the clock was set back; less is what two machines' clocks may differ by.
FUTURE_MAX = timedelta(seconds=30)

log = structlog.get_logger(__name__)


def dated_since(name: str, moment: datetime, now: datetime) -> Q:
    """Return what happened since the moment, itself included; what lies ahead is of a clock that was set back."""
    return Q(**{f"{name}__gte": moment, f"{name}__lte": now + FUTURE_MAX})


class OrderQuerySet(models.QuerySet["Order"]):
    def ours(self, mode: str) -> OrderQuerySet:
        """Return the orders this system made, not those of the broker's own app."""
        return self.filter(mode=mode).exclude(origin=Origin.EXTERNAL)

    def unsent(self, mode: str) -> OrderQuerySet:
        return self.filter(mode=mode, status=OrderStatus.PENDING).order_by("id")

    def unfinished(self, mode: str) -> OrderQuerySet:
        """Return what may still fill: unsent, on its way, resting or in doubt."""
        return self.ours(mode).filter(status__in=UNFINISHED)

    def in_doubt(self, mode: str) -> OrderQuerySet:
        return self.filter(mode=mode, status=OrderStatus.IN_DOUBT)

    def to_cancel(self, mode: str, trading_date: date) -> OrderQuerySet:
        """
        Return what works at the broker and is wished cancelled, whatever we took it for: an order that we called
        finished too early is cancelled, too. One of an earlier date is over: the broker would only say so again.
        """
        wished = self.filter(mode=mode, trading_date=trading_date, cancel_requested_at__isnull=False)
        works = Q(status__in=UNFINISHED) | ~Q(broker_status__in=["", *ENDED_AT_THE_BROKER])
        return wished.filter(works).exclude(broker_order_id="").exclude(broker_status__in=ENDED_AT_THE_BROKER)

    def overdue(self, mode: str, now: datetime) -> OrderQuerySet:
        """Return what was being sent and whose sender must have had its answer, or died, by now."""
        overdue = Q(answer_by__lt=now) | Q(submitted_at__gt=now + FUTURE_MAX)
        return self.filter(overdue, mode=mode, status=OrderStatus.SUBMITTING)

    def doubted_in_the_future(self, mode: str, now: datetime) -> OrderQuerySet:
        """Return the doubts that a clock dated which was set back since."""
        later = now + FUTURE_MAX
        return self.in_doubt(mode).filter(Q(submitted_at__gt=later) | Q(missed_at__gt=later))

    def requested_on(self, mode: str, *trading_dates: date) -> OrderQuerySet:
        """
        Return what the broker counts as order requests of Mumbai dates: ours that were sent, whatever became of them,
        and what somebody placed elsewhere. The row of a stranger that turned out to be ours is not a second one.
        """
        sent = self.filter(mode=mode, trading_date__in=trading_dates, submitted_at__isnull=False)
        return sent.exclude(status__in=NEVER_SENT).exclude(origin=Origin.EXTERNAL, broker_order_id="")

    def trades_of(self, mode: str, trading_date: date) -> OrderQuerySet:
        """Return the trades of a Mumbai date: orders PENDING or ever submitted, not those withdrawn unsent."""
        return self.ours(mode).filter(trading_date=trading_date).exclude(status__in=NEVER_SENT)


class Order(models.Model):
    """Our intention to trade and how far it got. Also, with origin EXTERNAL, an order somebody placed elsewhere."""

    class Origins(models.TextChoices):
        AUTO = Origin.AUTO.value, "Signal"
        MANUAL = Origin.MANUAL.value, "Manual"
        EXTERNAL = Origin.EXTERNAL.value, "External"

    mode = models.CharField(max_length=8, choices=Mode)
    client_order_id = models.CharField(  # noqa: DJ001 — NULL for an order that is not ours: unique among the rest
        "our id", max_length=20, unique=True, null=True, help_text="Sent to the broker as the tag."
    )
    broker_order_id = models.CharField("broker's id", max_length=40, blank=True, db_index=True)
    origin = models.CharField(max_length=8, choices=Origins)
    signal = models.ForeignKey("orders.Signal", models.PROTECT, null=True, blank=True, related_name="orders")
    attempt = models.PositiveSmallIntegerField(default=1)
    decision = models.OneToOneField("orders.Decision", models.PROTECT, null=True, blank=True)
    created_by = models.CharField(max_length=150, blank=True)
    exchange = models.CharField(max_length=10)
    symbol = models.CharField(max_length=40, db_index=True)
    side = models.CharField(max_length=4, choices=[(side.value, side.value) for side in Side])
    product = models.CharField(max_length=6)
    order_type = models.CharField(max_length=10)
    quantity = models.PositiveIntegerField()
    price = models.DecimalField("limit price (₹)", max_digits=18, decimal_places=4, null=True, blank=True)
    is_exit = models.BooleanField("exit", default=False)
    status = models.CharField(max_length=16, choices=OrderStatus, default=OrderStatus.PENDING)
    status_reason = models.TextField(blank=True)
    broker_status = models.CharField("broker's status", max_length=40, blank=True)
    filled_quantity = models.PositiveIntegerField(default=0)
    average_price = models.DecimalField("average price (₹)", max_digits=18, decimal_places=4, null=True, blank=True)
    trading_date = models.DateField(help_text="In Mumbai.")
    created_at = models.DateTimeField()
    submitted_at = models.DateTimeField(null=True, blank=True)
    answer_by = models.DateTimeField(
        null=True, blank=True, help_text="When the sender must have had its answer; later it is in doubt."
    )
    sender = models.CharField(max_length=120, blank=True, help_text="The process that sent it.")
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    cancel_requested_by = models.CharField(max_length=150, blank=True)
    cancel_reason = models.TextField(blank=True)
    cancel_tried_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    book_as_of = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When the broker's book that last showed it began to be read."
    )
    missed_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When a book began to be read that lacks it; None once seen."
    )

    objects = OrderQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=Q(quantity__gt=0), name="order_quantity_positive"),
            models.CheckConstraint(condition=Q(price__isnull=True) | Q(price__gt=0), name="order_price_positive"),
            models.CheckConstraint(condition=Q(status__in=OrderStatus.values), name="order_status_is_known"),
            models.CheckConstraint(
                condition=Q(origin=Origin.EXTERNAL.value) | Q(client_order_id__isnull=False),
                name="order_of_ours_has_our_id",
            ),
            models.UniqueConstraint(fields=["signal", "attempt"], name="order_once_per_attempt"),
            models.UniqueConstraint(
                fields=["mode", "broker_order_id", "trading_date"],
                condition=~Q(broker_order_id=""),
                name="order_broker_id_once",
            ),
        ]
        indexes = [
            models.Index(fields=["mode", "trading_date", "status"], name="order_day"),
            models.Index(
                fields=["mode", "symbol"],
                condition=Q(status__in=sorted(status.value for status in UNFINISHED)),
                name="order_unfinished",
            ),
        ]
        permissions = [
            ("place_order", "Can place orders by hand"),
            ("cancel_order", "Can cancel orders"),
            ("mark_filled", "Can mark orders as filled by hand"),
        ]

    def __str__(self) -> str:
        return f"{self.side} {self.quantity} {self.symbol}"

    @property
    def is_unfinished(self) -> bool:
        return OrderStatus(self.status) in UNFINISHED

    @property
    def unfilled_quantity(self) -> int:
        return max(0, self.quantity - self.filled_quantity)

    @property
    def works_at_the_broker(self) -> bool:
        """Whether the broker's book, as last read, has it unfinished; also while we do not know."""
        if not self.broker_order_id or self.broker_status in ENDED_AT_THE_BROKER:
            return False
        return self.is_unfinished or bool(self.broker_status)

    def advance(self, to: OrderStatus, *, at: datetime, note: str, actor: str = "executor", **fields: Any) -> bool:
        """
        Move to the status if the table allows it, writing `fields` with it, and leave an event. Return whether it did.

        The move is one conditional UPDATE: of two that race, one moves and the other finds nothing to do. A report that
        arrives late or twice asks for a move the table does not have, and changes nothing.
        """
        before = OrderStatus(self.status)
        if not may_follow(before, to):
            return False
        changes = {"status": to, "status_reason": note, **fields}
        changes["ended_at"] = None if to in UNFINISHED else at
        moved = Order.objects.filter(pk=self.pk, status=before).update(**changes)
        if moved:
            self.note(note, at=at, actor=actor, before=before, after=to)
            log.info("order.advanced", order=self.client_order_id, before=before, after=to, note=note)
        self.refresh_from_db()
        return bool(moved)

    def note(
        self, text: str, *, at: datetime, actor: str, before: str | None = None, after: str | None = None
    ) -> OrderEvent:
        """Leave an event; without a status it marks something that happened to the order where it is."""
        return OrderEvent.objects.create(
            order=self,
            at=at,
            actor=actor,
            before=before or self.status,
            after=after or self.status,
            note=text,
        )

    def request_cancel(self, *, by: str, reason: str, at: datetime) -> bool:
        """Write the wish to cancel down, once. Return whether it is new."""
        if not (self.is_unfinished or self.works_at_the_broker):
            return False
        wished = Order.objects.filter(pk=self.pk, cancel_requested_at__isnull=True).update(
            cancel_requested_at=at, cancel_requested_by=by, cancel_reason=reason
        )
        if wished:
            self.note(f"cancel asked for: {reason}", at=at, actor=by)
        self.refresh_from_db()
        return bool(wished)


class OrderEvent(models.Model):
    """One thing that happened to an order, usually a change of status."""

    order = models.ForeignKey(Order, models.PROTECT, related_name="events")
    at = models.DateTimeField()
    actor = models.CharField(max_length=150)
    before = models.CharField(max_length=16)
    after = models.CharField(max_length=16)
    note = models.TextField(blank=True)

    class Meta:
        ordering = ["id"]
        triggers = append_only()

    def __str__(self) -> str:
        return self.after if self.before == self.after else f"{self.before} → {self.after}"
