"""Positions: what our fills opened beside what the broker reports, and the way out."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from unfold.enums import ActionVariant

from orders import by_hand
from orders.admin.refusals import REFUSALS
from orders.admin.wording import money, number
from orders.desk import Desk
from orders.lifecycle import OrderStatus
from orders.models import Order, Position
from risk.admin.dialogs import Dialog, answered, dialog_action, refusals_told, token_field
from risk.admin.display import Tone, badge, moment
from risk.admin.mode_filter import ModeFilter
from risk.admin.read_only import ReadOnlyAdmin, named_by


def exit_facts(position: Position) -> list[tuple[str, Any]]:
    """Return what a person should see before leaving the position."""
    side = "SELL" if position.quantity > 0 else "BUY"
    order = f"{side} {abs(position.quantity)} {position.exchange}:{position.symbol} at the market"
    return [
        ("The order", order if position.quantity else "none: the position is flat"),
        ("Ours", f"{position.quantity} shares"),
        ("At the broker", "not read yet" if position.broker_quantity is None else f"{position.broker_quantity} shares"),
        ("As read", moment(position.broker_as_of)),
    ]


class ExitDialog(Dialog):
    token = token_field()

    def facts(self) -> list[tuple[str, Any]]:
        position = named_by(Position.objects.all(), self.object_id)
        return exit_facts(position) if position else []


def exit_told(request: HttpRequest, position: Position, *, token: str) -> Order:
    """Exit the position at the desk of the settings and say so. Raise the use case's refusals."""
    desk = Desk.from_settings()
    if position.mode != desk.mode:
        raise by_hand.NothingToExit(f"the position belongs to {position.mode}, this is {desk.mode}")
    order = by_hand.exit_position(desk, position, token=token, by=request.user.get_username())
    told = f"Exit: {order} is {order.get_status_display().lower()}. {order.status_reason}"
    on_its_way = order.is_unfinished and order.status != OrderStatus.IN_DOUBT
    good = on_its_way or order.status == OrderStatus.FILLED
    messages.add_message(request, messages.SUCCESS if good else messages.ERROR, told)
    return order


@admin.register(Position)
class PositionAdmin(ReadOnlyAdmin):
    list_display = ("symbol", "exchange", "ours", "broker", "agreement", "average", "realised", "as_of")
    list_filter = (ModeFilter,)
    search_fields = ("=symbol",)
    fieldsets = (
        (None, {"fields": (("symbol", "exchange"), ("product", "mode"))}),
        ("Shares", {"fields": (("ours", "broker"), ("agreement", "as_of"))}),
        ("Money", {"fields": (("average", "cost"), ("realised", "updated"))}),
    )
    actions_detail = ["exit"]

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer the exit of what is open in the mode that is traded; the use case checks again."""
        is_open = (
            named_by(Position.objects.filter(mode=settings.TRADING_MODE).exclude(quantity=0), object_id) is not None
        )
        return super().get_actions_detail(request, object_id) if is_open else []

    @dialog_action(
        label="Exit",
        title="Exit this position?",
        explanation="It is sent at once, also while trading is halted.",
        submit="Exit position",
        form=ExitDialog,
        permissions=["orders.exit_position"],
        icon="logout",
        variant=ActionVariant.DANGER,
    )
    def exit(self, request: HttpRequest, form: ExitDialog, object_id: str) -> HttpResponse:
        position: Position = self.row(request, object_id)
        page = reverse("admin:orders_position_change", args=(position.pk,))
        with refusals_told(request, *REFUSALS):
            order = exit_told(request, position, token=form.cleaned_data["token"])
            self.log_change(request, position, f"Exit: order {order.client_order_id}")
            page = reverse("admin:orders_order_change", args=(order.pk,))
        return answered(request, page)

    @admin.display(description="ours (shares)", ordering="quantity")
    def ours(self, position: Position) -> str:
        return number(position.quantity)

    @admin.display(description="at the broker (shares)", ordering="broker_quantity")
    def broker(self, position: Position) -> str:
        return number(position.broker_quantity)

    @admin.display(description="agreement")
    def agreement(self, position: Position) -> str:
        if position.broker_quantity is None:
            return badge("Not read yet", Tone.PLAIN, "sync")
        difference = position.broker_quantity - position.quantity
        if difference == 0:
            return badge("Same", Tone.GOOD, "check")
        return badge(f"Broker {difference:+d}", Tone.WARNING if difference > 0 else Tone.BAD, "difference")

    @admin.display(description="average price", ordering="average_price")
    def average(self, position: Position) -> str:
        return money(position.average_price)

    @admin.display(description="cost")
    def cost(self, position: Position) -> str:
        return money(position.average_price * position.quantity)

    @admin.display(description="realised P&L", ordering="realised_pnl")
    def realised(self, position: Position) -> str:
        return money(position.realised_pnl)

    @admin.display(description="broker read", ordering="broker_as_of")
    def as_of(self, position: Position) -> str:
        return moment(position.broker_as_of)

    @admin.display(description="updated")
    def updated(self, position: Position) -> str:
        return moment(position.updated_at)
