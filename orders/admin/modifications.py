"""Modifications of an order: on its page, and what a person is told of the one just asked for."""

from __future__ import annotations

from django.contrib import admin, messages
from django.urls import reverse
from django.utils.html import format_html

from orders.admin.wording import modification_badge
from orders.desk import rupees
from orders.lifecycle import ModificationState
from orders.models import OrderModification
from risk.admin.display import NOTHING, moment
from risk.admin.read_only import ReadOnlyInline


def told_of(modification: OrderModification) -> tuple[int, str]:
    """Return the level and the words of the message that says how far a modification got."""
    terms = f"{modification.quantity} at {rupees(modification.price)}"
    reason = modification.state_reason
    match ModificationState(modification.state):
        case ModificationState.TOOK_EFFECT:
            return messages.SUCCESS, f"The order is for {terms} now."
        case ModificationState.ACCEPTED:
            return messages.SUCCESS, f"The broker took the modification to {terms}. Its book will show the terms."
        case ModificationState.IN_DOUBT if modification.was_turned_away:
            told = f"The modification to {terms} was {reason}. The book will show within seconds whether that is true"
            return messages.ERROR, f"{told}: then modify it again."
        case ModificationState.IN_DOUBT:
            told = f"The modification to {terms} is in doubt: {reason}. It is not sent again; the book will show."
            return messages.ERROR, f"{told} Auto-trading is off."
        case ModificationState.REFUSED | ModificationState.WITHDRAWN | ModificationState.DID_NOT:
            return messages.ERROR, f"The order was not modified: {reason}"
        case _:
            return messages.WARNING, f"The modification to {terms} is on its way."


class ModificationInline(ReadOnlyInline):
    model = OrderModification
    fk_name = "order"
    verbose_name_plural = "Modifications"
    fields = ("time", "change", "state_badge", "asked_by", "reason", "said", "verdicts")
    readonly_fields = fields

    @admin.display(description="time")
    def time(self, modification: OrderModification) -> str:
        return moment(modification.written_at)

    @admin.display(description="from, to")
    def change(self, modification: OrderModification) -> str:
        return format_html(
            '<span class="desk-number desk-change"><s>{} at {}</s> → <b>{} at {}</b></span>',
            modification.quantity_before,
            rupees(modification.price_before),
            modification.quantity,
            rupees(modification.price),
        )

    @admin.display(description="state")
    def state_badge(self, modification: OrderModification) -> str:
        return modification_badge(modification)

    @admin.display(description="said of it")
    def said(self, modification: OrderModification) -> str:
        return modification.state_reason or NOTHING

    @admin.display(description="decision")
    def verdicts(self, modification: OrderModification) -> str:
        url = reverse("admin:orders_decision_change", args=(modification.decision_id,))
        return format_html('<a class="desk-link" href="{}">{}</a>', url, modification.decision_id)
