"""Order: our intention to trade, from PENDING on. `advance` is the only door to its status."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import structlog
from django.db import models
from django.db.models import Case, Exists, F, FilteredRelation, Max, OuterRef, Q, When
from django.db.models.functions import Greatest

from orders.lifecycle import (
    ENDED_AT_THE_BROKER,
    MODIFICATION_UNFINISHED,
    NEVER_SENT,
    TURNED_AWAY,
    UNFINISHED,
    ModificationState,
    OrderStatus,
    may_follow,
)
from orders.models.missed_exit import MissedExit
from orders.models.quarters import FUTURE_MAX, Quarter
from risk.engine.facts import Origin, Side
from risk.models import Mode
from risk.models.append_only import append_only
from risk.questions import Later, Question
from risk.writing import Change, insert, insert_chain, take_over, update_and_tell

BORNE_OUT = "absent from the broker's book: surely turned away"

_HAS_LEFT = ~Q(status__in=NEVER_SENT)  # or will
IS_REQUEST = Q(submitted_at__isnull=False) & _HAS_LEFT & ~Q(origin=Origin.EXTERNAL, broker_order_id="")
IS_TRADE = _HAS_LEFT & ~Q(origin=Origin.EXTERNAL)

log = structlog.get_logger(__name__)


def _turned_away(trading_date: date) -> Q:
    refused = Q(status=OrderStatus.REJECTED, status_reason__startswith=TURNED_AWAY, broker_order_id="")
    return refused & Q(trading_date=trading_date)


def _borne_out() -> Q:
    return Q(Exists(OrderEvent.objects.filter(order=OuterRef("pk"), note=BORNE_OUT)))


class OrderQuerySet(models.QuerySet["Order"]):
    def ours(self, mode: str) -> OrderQuerySet:
        """Return the orders this system made, not those of the broker's own app."""
        return self.filter(mode=mode).exclude(origin=Origin.EXTERNAL)

    def unsent(self, mode: str) -> OrderQuerySet:
        return self.filter(mode=mode, status=OrderStatus.PENDING).order_by("id")

    def unfinished(self, mode: str) -> OrderQuerySet:
        """Return what may still fill: unsent, on its way, resting or in doubt."""
        return self.ours(mode).filter(status__in=UNFINISHED)

    def at_worst(self) -> OrderQuerySet:
        """
        Add the most shares and the highest price (INR) that each may have: `quantity_at_worst`, `price_at_worst`.

        While a modification is under way nobody knows which terms hold at the broker. NULL is left out by the database.
        One without a limit is valued at the last price that it was decided by: `price_at_decision`. Of others
        that is not read: facts take longer to unpack than the rest of the statement.
        """
        wished = Q(modifications__state__in=MODIFICATION_UNFINISHED)
        return self.annotate(
            under_way=FilteredRelation("modifications", condition=wished),
            quantity_at_worst=Greatest("quantity", "under_way__quantity"),
            price_at_worst=Greatest("price", "under_way__price"),
            price_at_decision=Case(
                When(price=None, then="decision__facts__portfolio__quote__price"), output_field=models.JSONField()
            ),
        )

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

    def turned_away(self, mode: str, trading_date: date) -> OrderQuerySet:
        """Return our orders of a Mumbai date that the broker answered 429, and whose fate its book did not tell."""
        return self.ours(mode).filter(_turned_away(trading_date))

    def not_borne_out(self, mode: str, trading_date: date) -> OrderQuerySet:
        """Return those of them of which the broker's book has not shown yet that the answer was true."""
        return self.turned_away(mode, trading_date).filter(~_borne_out())

    def may_fill(self, mode: str, trading_date: date) -> OrderQuerySet:
        """
        Return what counts as if it will fill: the unfinished, and what was answered 429 until that is borne out.

        Each side of the "or" names an index's columns itself: of a subquery PostgreSQL would read every order.
        """
        doubted = _turned_away(trading_date) & ~_borne_out()
        return self.ours(mode).filter(Q(status__in=sorted(UNFINISHED)) | doubted)

    def to_be_tried_again(self, mode: str, trading_date: date) -> OrderQuerySet:
        """Return the sales for a signal that were turned away, are its newest order, and that nobody wished gone."""
        later = Order.objects.filter(signal=OuterRef("signal"), attempt__gt=OuterRef("attempt"))
        return self.turned_away(mode, trading_date).filter(
            ~Exists(later), signal__status="APPROVED", side=Side.SELL.value, cancel_requested_at=None
        )

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
        return self.filter(IS_REQUEST, mode=mode, trading_date__in=trading_dates)

    def trades_of(self, mode: str, *trading_dates: date) -> OrderQuerySet:
        """Return the trades of Mumbai dates: orders PENDING or ever submitted, not those withdrawn unsent."""
        return self.filter(IS_TRADE, mode=mode, trading_date__in=trading_dates)


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
    answered_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When it was known, or given up, how its sending ended."
    )
    sender = models.CharField(max_length=120, blank=True, help_text="The process that sent it.")
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    cancel_requested_by = models.CharField(max_length=150, blank=True)
    cancel_reason = models.TextField(blank=True)
    cancel_tried_at = models.DateTimeField(null=True, blank=True)
    cancel_tries = models.PositiveIntegerField("cancels sent", default=0)
    cancel_answer = models.TextField("answer to the last cancel", blank=True)
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
            models.Index(
                fields=["mode", "trading_date", "status"],
                include=["origin", "submitted_at", "broker_order_id"],  # so that a day is counted by it alone
                name="order_day",
            ),
            models.Index(fields=["mode", "symbol", "-id"], name="order_symbol"),
            models.Index(fields=["mode", "symbol", "trading_date"], name="order_symbol_day"),
            # Nearly all are a signal's: they are not in it, and cost nothing for it.
            models.Index(
                fields=["mode", "origin", "-id"], condition=~Q(origin=Origin.AUTO.value), name="order_of_no_signal"
            ),
            models.Index(fields=["mode", "trading_date", "submitted_at"], name="order_submitted"),
            # By quarters of an hour, by which `lately` asks: both happen on later dates than the order's, too.
            models.Index("mode", Quarter("answered_at"), "answered_at", name="order_answered"),
            models.Index(
                "mode",
                Quarter("cancel_tried_at"),
                "cancel_tried_at",
                condition=Q(cancel_tried_at__isnull=False),
                name="order_cancel_tried",
            ),
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
            ("note_order", "Can write notes on orders"),
            ("export_order", "Can export lists"),
        ]

    def __str__(self) -> str:
        return f"{self.side} {self.quantity} {self.symbol}"

    @property
    def is_unfinished(self) -> bool:
        return OrderStatus(self.status) in UNFINISHED

    @property
    def is_in_doubt(self) -> bool:
        """Whether nobody knows what became of it, or of a modification of it, for want of an answer."""
        doubted = self.modifications.filter(state=ModificationState.IN_DOUBT)
        return self.status == OrderStatus.IN_DOUBT or doubted.exists()

    @property
    def unfilled_quantity(self) -> int:
        return max(0, self.quantity - self.filled_quantity)

    @property
    def was_turned_away(self) -> bool:
        """Whether the broker refused it for its rate, as far as we know: its book did not tell of it."""
        refused = self.status == OrderStatus.REJECTED and self.status_reason.startswith(TURNED_AWAY)
        return refused and not self.broker_order_id

    @property
    def is_borne_out(self) -> bool:
        """Whether the broker's book has shown that an order answered 429 was surely not placed."""
        return self.events.filter(note=BORNE_OUT).exists()

    @property
    def fillable_quantity(self) -> int:
        """The most shares that may come to be filled: its own, or those of a modification that may hold already."""
        under_way = self.modifications.filter(state__in=MODIFICATION_UNFINISHED)
        return max(self.quantity, under_way.aggregate(most=Max("quantity"))["most"] or 0)

    @property
    def works_at_the_broker(self) -> bool:
        """Whether the broker's book, as last read, has it unfinished; also while we do not know."""
        if not self.broker_order_id or self.broker_status in ENDED_AT_THE_BROKER:
            return False
        return self.is_unfinished or bool(self.broker_status)

    def write_down(self, text: str, *, at: datetime, actor: str, concluding: Change | None = None) -> Order:
        """
        Write the new order with its decision, and the event that says how it came about, in one statement; with them
        what is concluded by it.
        """
        assert self.decision is not None, "an order of ours was decided"
        event = OrderEvent(at=at, actor=actor, before=self.status, after=self.status, note=text)
        insert_chain((self.decision, ""), (self, "decision"), (event, "order"), change=concluding)
        return self

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
        if before in {OrderStatus.PENDING, OrderStatus.SUBMITTING} and to != OrderStatus.SUBMITTING:
            changes["answered_at"] = at
        event = OrderEvent(order=self, at=at, actor=actor, before=before, after=to, note=note)
        moved = update_and_tell(self, changes, event, where={"status": before})
        if moved:
            log.info("order.advanced", order=self.client_order_id, before=before, after=to, note=note)
            self._tell_of_a_close_that_did_not_happen(to, note, at)
        else:
            self.read_again()
        return moved

    def _tell_of_a_close_that_did_not_happen(self, status: OrderStatus, note: str, at: datetime) -> None:
        """Keep its signal for a person when the order ended short; one that is decided again is not missed yet."""
        again = status == OrderStatus.WITHDRAWN and self.cancel_requested_at is None
        if status in UNFINISHED | {OrderStatus.FILLED} or again or self.signal is None:
            return
        filled = f"{self.filled_quantity} of {self.quantity} filled"
        why = f"its order {self.client_order_id} is {status.label.lower()}, {filled}: {note}"
        MissedExit.objects.open(self.signal, why=why, at=at)

    def note(
        self, text: str, *, at: datetime, actor: str, before: str | None = None, after: str | None = None
    ) -> OrderEvent:
        """Leave an event; without a status it marks something that happened to the order where it is."""
        before, after = before or self.status, after or self.status
        return insert(OrderEvent(order=self, at=at, actor=actor, before=before, after=after, note=text))

    def read_again(self) -> Order:
        """Take over what others may have changed of it. The caller holds the lock if it goes by that."""
        return self.as_read(_ORDER.rows(pk=self.pk))

    @staticmethod
    def ask_again(pk: int) -> Later[list[Order]]:
        """Ask for an order `together` with other things, for `as_read`."""
        return _ORDER.ask(pk=pk)

    def as_read(self, rows: list[Order]) -> Order:
        """Take over what was read of it. Raise `DoesNotExist` when there was nothing to read."""
        if not rows:
            raise Order.DoesNotExist(f"there is no order {self.pk} any more")
        take_over(self, [getattr(rows[0], field.attname) for field in self._meta.concrete_fields])
        return self

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

    def answer_to_cancel(self, answer: str, *, at: datetime, taken: bool) -> None:
        """Keep what the last cancel came to. A refusal leaves an event, and the same one again does not."""
        answer = answer.replace("\x00", "␀")
        changed = Order.objects.filter(pk=self.pk).exclude(cancel_answer=answer).update(cancel_answer=answer)
        if changed and not taken:
            self.note(f"cancel not taken: {answer}", at=at, actor="broker")


_ORDER = Question[Order](lambda pk: Order.objects.filter(pk=pk), pk=int)


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
        indexes = [
            models.Index(fields=["at"], condition=Q(before=OrderStatus.IN_DOUBT), name="order_event_doubt"),
            models.Index(fields=["at"], condition=~Q(before=F("after")), name="order_event_move"),  # of any symbol
        ]

    def __str__(self) -> str:
        return self.after if self.before == self.after else f"{self.before} → {self.after}"
