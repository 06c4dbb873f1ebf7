"""The blotter: every order, how far it got, and what a person may still do to it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from unfold.enums import ActionVariant

from orders import by_hand, modifying
from orders.admin.audit import audit_link
from orders.admin.blocking import BlockSymbol
from orders.admin.cancelling import Result, cancel_each, cancel_one
from orders.admin.fills import FillInline
from orders.admin.modifications import ModificationInline, told_of
from orders.admin.order_dialogs import (
    CancelDialog,
    CloseDialog,
    MarkFilledDialog,
    ModifyDialog,
    cannot_be_cancelled,
    in_words,
)
from orders.admin.order_list import OrderListing
from orders.admin.order_story import OrderStory
from orders.admin.refusals import REFUSALS
from orders.admin.ticket import TicketPages
from orders.admin.wording import money, order_badge, side_badge, verdicts
from orders.by_hand import HandFill
from orders.desk import Desk, rupees
from orders.models import Order, OrderModification
from risk.admin.dialogs import answered, dialog_action, refusals_told
from risk.admin.display import NOTHING, clipped, moment
from risk.admin.read_only import ReadOnlyAdmin, once_a_row

CANCELLED_AT_ONCE_MAX = 50


@admin.register(Order)
class OrderAdmin(TicketPages, OrderListing, OrderStory, BlockSymbol, ReadOnlyAdmin):
    list_display = (
        "created",
        "ids",
        "side_shown",
        "symbol",
        "filled",
        "terms",
        "average",
        "status_badge",
        "wanted_by",
        "why",
    )
    list_display_links = ("created", "ids")
    list_select_related = ("signal",)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("summary", "status_badge"),
                    "status_reason",
                    ("filled", "average"),
                    ("client_order_id", "broker_order_id"),
                    ("signal_link", "decision_link"),
                )
            },
        ),
        ("Timeline", {"fields": ("timeline",)}),
        ("Verdicts of the risk desk", {"fields": ("verdict_table",)}),
        (
            "Details",
            {
                "classes": ("collapse",),
                "fields": (
                    ("mode", "origin"),
                    ("created_by", "trading_date"),
                    ("product", "is_exit"),
                    ("created", "submitted"),
                    ("ended", "sender"),
                    ("broker_status", "attempt"),
                    ("cancel_asked", "cancel_reason"),
                    ("cancel_tries", "cancel_answer"),
                    "audit",
                ),
            },
        ),
    )
    inlines = (FillInline,)
    actions = ["cancel_selected"]
    actions_detail = [
        "modify",
        "add_note",
        "mark_filled",
        "close_past_day",
        "block_symbol",
        "unblock_symbol",
        "cancel",
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Order]:
        """Read what an order came from with it: a page shows both, and a list of fifty asks for neither's bulk."""
        queryset: QuerySet[Order] = super().get_queryset(request)
        if request.resolver_match and request.resolver_match.url_name == "orders_order_change":
            modified = OrderModification.objects.filter(order=OuterRef("pk"))
            queryset = queryset.select_related("signal", "decision").annotate(is_modified=Exists(modified))
        return queryset.defer("signal__raw")

    def get_inlines(self, request: HttpRequest, obj: Order | None) -> list[Any]:
        """Show modifications where there are any: most orders have none."""
        modified = getattr(obj, "is_modified", False)
        return [*([ModificationInline] if modified else []), *self.inlines]

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("orders.cancel_order")

    @dialog_action(
        label="Cancel order",
        title="Cancel this order?",
        explanation="An unsent order ends at once; of a sent one only the broker's book says that it is cancelled.",
        submit="Cancel order",
        form=CancelDialog,
        permissions=["orders.cancel_order"],
        icon="close",
        variant=ActionVariant.DANGER,
    )
    def cancel(self, request: HttpRequest, form: CancelDialog, object_id: str) -> HttpResponse:
        order: Order = self.row(request, object_id)
        with refusals_told(request, *REFUSALS):
            reason = form.cleaned_data["reason"]
            result = cancel_one(Desk.from_settings(), order, by=request.user.get_username(), reason=reason)
            self._log_cancel(request, result, reason)
            self.message_user(request, result.message, result.level)
        return answered(request, reverse("admin:orders_order_change", args=(order.pk,)))

    @admin.action(description="Cancel the selected orders", permissions=["cancel"])
    def cancel_selected(self, request: HttpRequest, queryset: QuerySet[Order]) -> HttpResponse | None:
        """Ask for a reason on a page of its own, then cancel one by one, with a result for each."""
        form = CancelDialog(request, data=request.POST if "confirmed" in request.POST else None)
        if "confirmed" in request.POST:  # what was shown, whatever the list's filters say of it by now
            queryset = self.get_queryset(request).filter(pk__in=request.POST.getlist("_selected_action"))
        orders = list(queryset.order_by("id")[: CANCELLED_AT_ONCE_MAX + 1])
        if len(orders) > CANCELLED_AT_ONCE_MAX:
            told = f"At most {CANCELLED_AT_ONCE_MAX} at once. Halting trading cancels everything."
            self.message_user(request, told, messages.ERROR)
            return None
        if not form.is_valid():
            rows = [
                {
                    "row": each,
                    "words": in_words(each),
                    "status": order_badge(each),
                    "refusal": cannot_be_cancelled(each),
                }
                for each in orders
            ]
            context = {
                **self.admin_site.each_context(request),
                "title": "Cancel the selected orders?",
                "orders": rows,
                "form": form,
                "opts": self.opts,
            }
            return TemplateResponse(request, "desk/cancel_selected.html", context)
        results: list[Result] = []
        with refusals_told(request, *REFUSALS):
            reason = form.cleaned_data["reason"]
            results = cancel_each(Desk.from_settings(), orders, by=request.user.get_username(), reason=reason)
            for result in results:
                self._log_cancel(request, result, reason)
        if not results:
            return None
        context = {
            **self.admin_site.each_context(request),
            "title": f"{sum(each.asked for each in results)} of {len(results)} cancels asked for",
            "results": [each.row() for each in results],
            "opts": self.opts,
        }
        return TemplateResponse(request, "desk/cancel_results.html", context)

    def _log_cancel(self, request: HttpRequest, result: Result, reason: str) -> None:
        if result.asked:
            self.log_change(request, result.order, f"Cancel asked for: {reason}")

    @dialog_action(
        label="Modify",
        title="Modify this order?",
        explanation="The broker is asked once. The order has its new terms when the broker's book shows them; until "
        "then both count, at the worse of both.",
        submit="Modify order",
        form=ModifyDialog,
        permissions=["orders.modify_order"],
        icon="tune",
    )
    def modify(self, request: HttpRequest, form: ModifyDialog, object_id: str) -> HttpResponse:
        order: Order = self.row(request, object_id)
        with refusals_told(request, *REFUSALS):
            wish = form.wish(by=request.user.get_username())
            modification = modifying.modify(Desk.from_settings(), order, wish)
            self.log_change(request, order, f"Modification to {modification}: {wish.reason}")
            level, told = told_of(modification)
            self.message_user(request, told, level)
        return answered(request, reverse("admin:orders_order_change", args=(order.pk,)))

    @dialog_action(
        label="Mark filled",
        title="Record a fill by hand?",
        explanation="For an order that the broker's book does not explain. The broker's own trades replace it.",
        submit="Record the fill",
        form=MarkFilledDialog,
        permissions=["orders.mark_filled"],
        icon="edit",
    )
    def mark_filled(self, request: HttpRequest, form: MarkFilledDialog, object_id: str) -> HttpResponse:
        order: Order = self.row(request, object_id)
        with refusals_told(request, *REFUSALS):
            fill = HandFill(by=request.user.get_username(), **form.answers)
            by_hand.mark_filled(Desk.from_settings(), order, fill)
            told = f"{fill.quantity} at {rupees(fill.price)} marked as filled"
            self.log_change(request, order, f"{told}: {fill.reason}")
            now = f"{order.filled_quantity} count; the order is {order.get_status_display().lower()}"
            self.message_user(request, f"{told}. {now}.", messages.SUCCESS)
        return answered(request, reverse("admin:orders_order_change", args=(order.pk,)))

    @dialog_action(
        label="Close past day",
        title="Close this order of a past day?",
        explanation="The broker's book of today says nothing of it. Look at positions and holdings first.",
        submit="Close it",
        form=CloseDialog,
        permissions=["orders.mark_filled"],
        icon="event_busy",
        variant=ActionVariant.WARNING,
    )
    def close_past_day(self, request: HttpRequest, form: CloseDialog, object_id: str) -> HttpResponse:
        order: Order = self.row(request, object_id)
        with refusals_told(request, *REFUSALS):
            by_hand.close_past_day(Desk.from_settings(), order, by=request.user.get_username(), **form.answers)
            self.log_change(request, order, f"Closed: {order.status_reason}")
            self.message_user(request, f"The order is {order.get_status_display().lower()} now.", messages.SUCCESS)
        return answered(request, reverse("admin:orders_order_change", args=(order.pk,)))

    @admin.display(description="order")
    def summary(self, order: Order) -> str:
        return in_words(order)

    @admin.display(description="created", ordering="id")
    def created(self, order: Order) -> str:
        return moment(order.created_at)

    @admin.display(description="submitted")
    def submitted(self, order: Order) -> str:
        return moment(order.submitted_at)

    @admin.display(description="ended")
    def ended(self, order: Order) -> str:
        return moment(order.ended_at)

    @admin.display(description="our id, broker's id", ordering="client_order_id")
    def ids(self, order: Order) -> str:
        return format_html(
            '<span class="desk-two desk-mono"><b>{}</b><span>{}</span></span>',
            order.client_order_id or NOTHING,
            order.broker_order_id or NOTHING,
        )

    @admin.display(description="side", ordering="side")
    def side_shown(self, order: Order) -> str:
        return side_badge(order.side)

    @admin.display(description="filled", ordering="filled_quantity")
    def filled(self, order: Order) -> str:
        return format_html('<span class="desk-number">{} / {}</span>', order.filled_quantity, order.quantity)

    @admin.display(description="terms", ordering="price")
    def terms(self, order: Order) -> str:
        price = rupees(order.price) if order.price is not None else ""
        return format_html('<span class="desk-number">{} {}</span>', order.order_type, price)

    @admin.display(description="average", ordering="average_price")
    def average(self, order: Order) -> str:
        return money(order.average_price)

    @admin.display(description="status", ordering="status")
    def status_badge(self, order: Order) -> str:
        return order_badge(order)

    @admin.display(description="origin", ordering="origin")
    def wanted_by(self, order: Order) -> str:
        return self.signal_link(order) if order.signal else f"{order.get_origin_display()} {order.created_by}"

    @admin.display(description="reason")
    def why(self, order: Order) -> str:
        return clipped(order.status_reason)

    @admin.display(description="signal")
    def signal_link(self, order: Order) -> str:
        if order.signal is None:
            return NOTHING
        url = reverse("admin:orders_signal_change", args=(order.signal.pk,))
        return format_html('<a class="desk-link" href="{}">Signal {}</a>', url, order.signal.signal_id[:8])

    @admin.display(description="decision")
    def decision_link(self, order: Order) -> str:
        if order.decision_id is None:
            return NOTHING
        url = reverse("admin:orders_decision_change", args=(order.decision_id,))
        return format_html('<a class="desk-link" href="{}">Decision {}</a>', url, order.decision_id)

    @admin.display(description="verdicts")
    @once_a_row
    def verdict_table(self, order: Order) -> str:
        return verdicts(order.decision)

    @admin.display(description="audit")
    def audit(self, order: Order) -> str:
        return audit_link(order)

    @admin.display(description="cancel asked for")
    def cancel_asked(self, order: Order) -> str:
        if order.cancel_requested_at is None:
            return NOTHING
        return format_html("{} by {}", moment(order.cancel_requested_at), order.cancel_requested_by)
