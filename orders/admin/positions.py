"""Positions: what our fills opened beside what the broker reports, and the way out."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from unfold.enums import ActionVariant
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
)

from orders import adjusting, by_hand
from orders.admin.blocking import BlockSymbol
from orders.admin.position_list import PositionListing
from orders.admin.refusals import REFUSALS
from orders.admin.wording import money, number
from orders.average_cost import Net, realised_on
from orders.desk import Desk, trading_date
from orders.ledger import Line, own_quantity, steps_of
from orders.lifecycle import OrderStatus
from orders.models import Adjustment, Order, Position
from risk.admin.dialogs import (
    Dialog,
    ReasonDialog,
    answered,
    dialog_action,
    opens_dialog,
    refusals_told,
    token_field,
)
from risk.admin.display import NOTHING, Tone, badge, moment
from risk.admin.read_only import ReadOnlyAdmin, named_by, once_a_row

PRICE_IS_OLD_AFTER = timedelta(minutes=1)


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


class AdjustDialog(ReasonDialog):
    kind = forms.ChoiceField(choices=Adjustment.Kind.choices, widget=UnfoldAdminSelectWidget)
    ratio_new = forms.IntegerField(
        min_value=1,
        required=False,
        label="Ratio: new shares",
        help_text="Bonus 1 for 4: 1, and 4 below. Split of one share into 5: 5, and 1 below.",
        widget=UnfoldAdminIntegerFieldWidget,
    )
    ratio_old = forms.IntegerField(
        min_value=1, required=False, label="Ratio: for each (shares)", widget=UnfoldAdminIntegerFieldWidget
    )
    quantity = forms.IntegerField(
        required=False,
        label="Correction: shares from now on",
        help_text="Below zero for a short position.",
        widget=UnfoldAdminIntegerFieldWidget,
    )
    price = forms.DecimalField(
        max_digits=14,
        decimal_places=4,
        required=False,
        label="Correction: price (₹ a share)",
        help_text="For the broker's quantity too; empty there keeps the average.",
        widget=UnfoldAdminDecimalFieldWidget,
    )
    shown = forms.IntegerField(required=False, widget=forms.HiddenInput)
    token = token_field()
    field_order = ("kind", "ratio_new", "ratio_old", "quantity", "price", "reason")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        position = named_by(Position.objects.all(), self.object_id)
        self.initial["shown"] = position.broker_quantity if position else None

    def facts(self) -> list[tuple[str, Any]]:
        position = named_by(Position.objects.all(), self.object_id)
        return exit_facts(position)[1:] if position else []


class AcceptBrokerDialog(ReasonDialog):
    """Takes over the quantity that it shows: one that the broker reports only later is looked at first."""

    shown = forms.IntegerField(widget=forms.HiddenInput)
    token = token_field()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.position = named_by(Position.objects.all(), self.object_id)
        self.initial["shown"] = self.position.broker_quantity if self.position else None

    def facts(self) -> list[tuple[str, Any]]:
        if self.position is None:
            return []
        shown = self.initial["shown"]
        shares = None if shown is None else shown - _of_other_products(self.position)
        becomes = ("Ours becomes", f"{shares} shares, at the average price so far")
        return [*exit_facts(self.position)[1:], becomes]


def _of_other_products(position: Position) -> int:
    """Return what is ours in the symbol besides: the broker's number is of all of it."""
    return own_quantity(position.mode, position.exchange, position.symbol) - position.quantity


def _differs(position: Position) -> bool:
    read = position.broker_quantity
    return read is not None and read != position.quantity + _of_other_products(position)


def adjustment_wished(answers: dict[str, Any], *, by: str) -> adjusting.Wish:
    """Return the dialog's answers as a wish: the broker's quantity is the one that the dialog showed."""
    shown, numbers = answers.pop("shown"), {**answers, "by": by}
    if numbers["kind"] == Adjustment.Kind.BROKER:
        numbers["quantity"] = shown
    return adjusting.Wish(**{**numbers, "kind": Adjustment.Kind(numbers["kind"])})


def exit_told(request: HttpRequest, position: Position, *, token: str) -> Order:
    """Exit the position at the desk of the settings and say so. Raise the use case's refusals."""
    desk = Desk.from_settings()
    if position.mode != desk.mode:
        raise by_hand.NothingToExit(f"the position belongs to {position.mode}, this is {desk.mode}")
    order = by_hand.exit_position(desk, position, token=token, by=request.user.get_username())
    told = f"Exit: {order} is {order.get_status_display().lower()}. {order.status_reason}"
    if order.was_turned_away:
        told += ". It takes so many orders a second from all programs of the account: press Exit again."
    on_its_way = order.is_unfinished and order.status != OrderStatus.IN_DOUBT
    good = on_its_way or order.status == OrderStatus.FILLED
    messages.add_message(request, messages.SUCCESS if good else messages.ERROR, told)
    return order


@admin.display(description="")
def exit_button(position: Position) -> str:
    """Open the exit's dialog from a row of the list, where there is something to exit."""
    if position.quantity == 0 or position.mode != settings.TRADING_MODE:
        return ""
    return opens_dialog(reverse("admin:orders_position_exit", args=(position.pk,)), "Exit", "logout", Tone.BAD)


@admin.register(Position)
class PositionAdmin(PositionListing, BlockSymbol, ReadOnlyAdmin):
    list_display = (
        "symbol",
        "where",
        "ours",
        "broker",
        "agreement",
        "average",
        "unrealised",
        "realised",
        "as_of",
    )
    fieldsets = (
        (None, {"fields": (("symbol", "exchange"), ("product", "mode"))}),
        ("Shares", {"fields": (("ours", "broker"), ("agreement", "as_of"))}),
        ("Money", {"fields": (("average", "cost_shown"), ("realised_today", "realised"), ("unrealised", "updated"))}),
        ("Adjustments", {"fields": ("adjustments",)}),
    )
    actions_detail = ["block_symbol", "unblock_symbol", "accept_broker", "adjust", "exit"]

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer what makes sense for a position of the mode that is traded; the use cases check again."""
        position = self.get_object(request, object_id)
        if position is None or position.mode != settings.TRADING_MODE:
            return []
        sensible = {
            "exit": position.quantity != 0,
            "accept_broker": _differs(position),
        }
        return [each for each in super().get_actions_detail(request, object_id) if sensible.get(each.path, True)]

    def get_list_display(self, request: HttpRequest) -> tuple[Any, ...]:
        return (*self.list_display, exit_button) if request.user.has_perm("orders.exit_position") else self.list_display

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

    @dialog_action(
        label="Adjust",
        title="Adjust this position?",
        explanation="It is for what was no trade. It is kept, and cannot be taken back but by another one.",
        submit="Adjust position",
        form=AdjustDialog,
        permissions=["orders.adjust_position"],
        icon="tune",
    )
    def adjust(self, request: HttpRequest, form: AdjustDialog, object_id: str) -> HttpResponse:
        return self._adjust(request, object_id, adjustment_wished(form.answers, by=request.user.get_username()))

    @dialog_action(
        label="Accept the broker's quantity",
        title="Accept the broker's quantity as ours?",
        explanation="It is for what was no trade of ours. It is kept with your name and reason, and nothing is sent.",
        submit="Accept it",
        form=AcceptBrokerDialog,
        permissions=["orders.adjust_position"],
        icon="handshake",
    )
    def accept_broker(self, request: HttpRequest, form: AcceptBrokerDialog, object_id: str) -> HttpResponse:
        answers = {**form.answers, "kind": Adjustment.Kind.BROKER}
        return self._adjust(request, object_id, adjustment_wished(answers, by=request.user.get_username()))

    def _adjust(self, request: HttpRequest, object_id: str, wish: adjusting.Wish) -> HttpResponse:
        position: Position = self.row(request, object_id)
        with refusals_told(request, *REFUSALS, adjusting.AdjustmentRefused):
            made = adjusting.adjust(Desk.from_settings(), position, wish)
            told = f"{made.get_kind_display()}: {made.quantity_before} → {made.quantity_after} shares"
            self.log_change(request, position, f"{told}: {made.reason}")
            messages.success(request, told)
        return answered(request, reverse("admin:orders_position_change", args=(position.pk,)))

    @admin.display(description="realised today")
    @once_a_row
    def realised_today(self, position: Position) -> str:
        today = trading_date(timezone.now())
        return money(realised_on(steps_of(Line.of(position)), today).quantize(Decimal("0.0001")))

    @admin.display(description="what was no trade")
    @once_a_row
    def adjustments(self, position: Position) -> str:
        line = Line.of(position)
        made = Adjustment.objects.filter(
            mode=line.mode, exchange=line.exchange, symbol=line.symbol, product=line.product
        )
        told = format_html_join(
            "",
            '<p class="desk-adjustment">{} · {}: {} → {} shares{} · {}: {}</p>',
            (
                (
                    moment(each.at),
                    each.get_kind_display(),
                    each.quantity_before,
                    each.quantity_after,
                    format_html(" at {}", money(each.price)) if each.price is not None else "",
                    each.made_by,
                    each.reason,
                )
                for each in made
            ),
        )
        return told or NOTHING

    @admin.display(description="market", ordering="exchange")
    def where(self, position: Position) -> str:
        return f"{position.exchange} {position.product}"

    @admin.display(description="ours (shares)", ordering="quantity")
    def ours(self, position: Position) -> str:
        return number(position.quantity)

    @admin.display(description="broker (shares)", ordering="broker_quantity")
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
    def cost_shown(self, position: Position) -> str:
        return money(position.cost)

    @admin.display(description="realised P&L", ordering="realised_pnl")
    def realised(self, position: Position) -> str:
        return money(position.realised_pnl)

    @admin.display(description="unrealised P&L")
    def unrealised(self, position: Position) -> str:
        """Tell it with the price it goes by and since when; an old price is marked as old."""
        if position.quantity == 0:
            return money(Decimal(0))
        if position.last_price is None or position.broker_as_of is None:
            return NOTHING
        net = Net(quantity=position.quantity, cost=position.cost)
        gained, price = money(net.unrealised_pnl(position.last_price)), money(position.last_price)
        told = format_html('<span class="desk-two"><b>{}</b><span>at {}</span></span>', gained, price)
        if timezone.now() - position.broker_as_of > PRICE_IS_OLD_AFTER:
            old = format_html("price of {}", moment(position.broker_as_of))
            return format_html("{} {}", told, badge(old, Tone.PLAIN, "schedule"))
        return told

    @admin.display(description="broker read", ordering="broker_as_of")
    def as_of(self, position: Position) -> str:
        return moment(position.broker_as_of)

    @admin.display(description="updated")
    def updated(self, position: Position) -> str:
        return moment(position.updated_at)
