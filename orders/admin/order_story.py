"""The part of an order's page that tells: its timeline, why a button is missing, and the notes of staff."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from unfold.widgets import UnfoldAdminTextareaWidget

from orders.admin.order_dialogs import cannot_be_cancelled, cannot_be_closed, in_words, modification_refused
from orders.admin.refusals import REFUSALS
from orders.admin.timeline import story
from orders.desk import Desk
from orders.lifecycle import OrderStatus
from orders.models import Order
from orders.notes import write_note
from risk.admin.dialogs import Dialog, answered, dialog_action, refusals_told
from risk.admin.read_only import named_by, once_a_row
from risk.engine.facts import Origin


class NoteDialog(Dialog):
    text = forms.CharField(
        label="Note",
        max_length=1000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="It is kept, with your name.",
    )

    def facts(self) -> list[tuple[str, Any]]:
        order = named_by(Order.objects.all(), self.object_id)
        return [("The order", in_words(order))] if order else []


def cannot_be_marked_filled(order: Order) -> str:
    """Return why a fill by hand makes no sense for the order; empty when it may be tried."""
    if order.origin == Origin.EXTERNAL:
        return "it was placed elsewhere"
    if order.status in {OrderStatus.PENDING, OrderStatus.WITHDRAWN}:
        return "it was never sent"
    return "it is filled already" if order.status == OrderStatus.FILLED else ""


# Each button that an order's state may forbid, and why it does.
REFUSED: dict[str, Callable[[Order], str]] = {
    "modify": modification_refused,
    "cancel": cannot_be_cancelled,
    "mark_filled": cannot_be_marked_filled,
    "close_past_day": cannot_be_closed,
}


class OrderStory:
    """Mixed into the orders' admin."""

    change_form_outer_before_template = "desk/not_possible.html"

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer what makes sense as the order is now; the actions check again."""
        order = self.get_object(request, object_id)  # type: ignore[attr-defined]
        if order is None:
            return []
        offered = super().get_actions_detail(request, object_id)  # type: ignore[misc]
        return [each for each in offered if each.path not in REFUSED or not REFUSED[each.path](order)]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = {"not_possible": self._not_possible(request, object_id), **(extra_context or {})}
        answer: HttpResponse = super().change_view(request, object_id, form_url, context)  # type: ignore[misc]
        return answer

    def _not_possible(self, request: HttpRequest, object_id: str) -> list[tuple[str, str]]:
        """Return the missing buttons of what this person may do, each with why the order's state forbids it."""
        order = self.get_object(request, object_id)  # type: ignore[attr-defined]
        if order is None:
            return []
        allowed = super().get_actions_detail(request, object_id)  # type: ignore[misc]
        missing = [(each, REFUSED[each.path](order)) for each in allowed if each.path in REFUSED]
        return [(each.description, why) for each, why in missing if why]

    @dialog_action(
        label="Add a note",
        title="Add a note to this order?",
        submit="Add the note",
        form=NoteDialog,
        permissions=["orders.note_order"],
        icon="sticky_note_2",
    )
    def add_note(self, request: HttpRequest, form: NoteDialog, object_id: str) -> HttpResponse:
        order: Order = self.row(request, object_id)  # type: ignore[attr-defined]
        with refusals_told(request, *REFUSALS):
            write_note(Desk.from_settings(), order, by=request.user.get_username(), text=form.cleaned_data["text"])
            messages.success(request, "The note is kept.")
        return answered(request, reverse("admin:orders_order_change", args=(order.pk,)))

    @admin.display(description="timeline")
    @once_a_row
    def timeline(self, order: Order) -> str:
        return story(order)
