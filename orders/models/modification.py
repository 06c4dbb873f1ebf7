"""OrderModification: other terms wished for a working order, and how far the wish got."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import pgtrigger
import structlog
from django.db import models
from django.db.models import F, Q

from orders.lifecycle import MODIFICATION_UNFINISHED, TURNED_AWAY, ModificationState, modification_may_follow
from orders.models.order import Order
from orders.models.quarters import FUTURE_MAX
from risk.engine.facts import Side

log = structlog.get_logger(__name__)

_S = ModificationState
# What becomes of it. All else was said once, with the wish.
_PROGRESS = ["state", "state_reason", "sent_at", "answer_by", "sender", "answered_at", "ended_at"]


class OrderModificationQuerySet(models.QuerySet["OrderModification"]):
    def unfinished(self, mode: str) -> OrderModificationQuerySet:
        """Return those of which the book has not shown yet whether they hold."""
        return self.filter(order__mode=mode, state__in=MODIFICATION_UNFINISHED)

    def left(self) -> OrderModificationQuerySet:
        """Return what may have reached the broker, whatever it said: it counts every one."""
        return self.filter(sent_at__isnull=False).exclude(state=_S.WITHDRAWN)

    def overdue(self, mode: str, now: datetime) -> OrderModificationQuerySet:
        """Return what was being sent and whose sender must have had its answer, or died, by now."""
        return self.filter(order__mode=mode, state=_S.SENDING, answer_by__lt=now)

    def dated_ahead(self, mode: str, now: datetime) -> OrderModificationQuerySet:
        """Return what was sent by a clock that was set back since."""
        return self.unfinished(mode).filter(sent_at__gt=now + FUTURE_MAX)


class OrderModification(models.Model):
    """
    A person's wish for another quantity, price or both. The order has them only when the broker's book shows them.

    It is written down before it is sent, and never sent twice. Until the book shows which terms hold, exposure counts
    the worse of both. `quantity` is the order's shares in all, filled ones included, and prices are in INR.
    """

    order = models.ForeignKey(Order, models.PROTECT, related_name="modifications")
    decision = models.OneToOneField("orders.Decision", models.PROTECT, related_name="modification")
    token = models.CharField(max_length=40, unique=True, help_text="Of the form: sent twice, it is one modification.")
    asked_by = models.CharField(max_length=150)
    reason = models.TextField()
    quantity_before = models.PositiveIntegerField()
    price_before = models.DecimalField("limit price before (₹)", max_digits=18, decimal_places=4)
    quantity = models.PositiveIntegerField()
    price = models.DecimalField("limit price (₹)", max_digits=18, decimal_places=4)
    state = models.CharField(max_length=12, choices=_S, default=_S.WISHED)
    state_reason = models.TextField(blank=True)
    written_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True)
    answer_by = models.DateTimeField(
        null=True, blank=True, help_text="When the sender must have had its answer; later it is in doubt."
    )
    sender = models.CharField(max_length=120, blank=True, help_text="The process that sent it.")
    answered_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = OrderModificationQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        triggers = [
            pgtrigger.ReadOnly(name="said_once", exclude=_PROGRESS),
            pgtrigger.Protect(name="never_deleted", operation=pgtrigger.Delete),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["order"],
                condition=Q(state__in=sorted(state.value for state in MODIFICATION_UNFINISHED)),
                name="modification_one_unfinished",
            ),
            models.CheckConstraint(condition=Q(quantity__gt=0, price__gt=0), name="modification_terms_positive"),
            models.CheckConstraint(
                condition=~Q(quantity=F("quantity_before"), price=F("price_before")), name="modification_changes"
            ),
            models.CheckConstraint(condition=Q(state__in=_S.values), name="modification_state_is_known"),
            models.CheckConstraint(
                condition=Q(state__in=[_S.WISHED.value, _S.WITHDRAWN.value]) | Q(sent_at__isnull=False),
                name="modification_sent_has_a_time",
            ),
            models.CheckConstraint(condition=~Q(reason="") & ~Q(asked_by=""), name="modification_says_who_and_why"),
        ]
        permissions = [("modify_order", "Can modify the price and quantity of working orders")]

    def __str__(self) -> str:
        return f"{self.quantity} at {self.price:.2f} instead of {self.quantity_before} at {self.price_before:.2f}"

    @property
    def is_unfinished(self) -> bool:
        return _S(self.state) in MODIFICATION_UNFINISHED

    @property
    def was_turned_away(self) -> bool:
        """Whether the broker refused it for its rate, as far as we know."""
        return self.state_reason.startswith(TURNED_AWAY)

    @property
    def tightens(self) -> bool:
        """Whether it asks for no more shares, and for no price that is nearer to the other side."""
        buys = self.order.side == Side.BUY
        farther = self.price <= self.price_before if buys else self.price >= self.price_before
        return farther and self.quantity <= self.quantity_before

    def holds_in(self, quantity: int, price: Decimal | None) -> bool:
        """Whether these terms are the ones it asked for."""
        return (self.quantity, self.price) == (quantity, price)

    def advance(
        self, to: ModificationState, *, at: datetime, note: str, actor: str = "executor", **fields: Any
    ) -> bool:
        """
        Move to the state if the table allows it, with an event of the order. Return whether it did.

        One conditional UPDATE, as `Order.advance`. The caller holds the mode's lock.
        """
        before = _S(self.state)
        if not modification_may_follow(before, to):
            return False
        changes: dict[str, Any] = {"state": to, "state_reason": note, **fields}
        if to in {_S.ACCEPTED, _S.REFUSED}:
            changes["answered_at"] = at
        if to not in MODIFICATION_UNFINISHED:
            changes["ended_at"] = at
        moved = OrderModification.objects.filter(pk=self.pk, state=before).update(**changes)
        if moved:
            self.order.note(f"modification {to.label.lower()}: {self}: {note}", at=at, actor=actor)
            log.info("modification.advanced", order=self.order.client_order_id, before=before, after=to, note=note)
        self.refresh_from_db()
        return bool(moved)
