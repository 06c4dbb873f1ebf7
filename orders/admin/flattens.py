"""Flattens: what was asked for, what became of each position, and the way to end one."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminTextInputWidget

from orders.admin.refusals import REFUSALS
from orders.admin.wording import order_badge
from orders.desk import Desk, rupees
from orders.flattening import CONFIRMATION, FlattenRefused, end, exits_of, flatten, open_positions
from orders.models import Flatten, FlattenedPosition, Order, Position
from risk.admin.dialogs import ReasonDialog, answered, dialog_action, refusals_told, token_field
from risk.admin.display import Tone, badge, moment
from risk.admin.mode_filter import ModeFilter
from risk.admin.read_only import ReadOnlyAdmin, named_by, once_a_row

_TONES = {
    Flatten.State.UNDER_WAY: (Tone.INFO, "hourglass_top"),
    Flatten.State.FLAT: (Tone.GOOD, "check"),
    Flatten.State.INCOMPLETE: (Tone.LOUD, "error"),
    Flatten.State.ENDED: (Tone.PLAIN, "close"),
}
_POSITION_TONES = {
    FlattenedPosition.State.WAITING: (Tone.WARNING, "schedule"),
    FlattenedPosition.State.EXITING: (Tone.INFO, "logout"),
    FlattenedPosition.State.FLAT: (Tone.GOOD, "check"),
    FlattenedPosition.State.LEFT: (Tone.LOUD, "error"),
}


def state_badge(wish: Flatten) -> str:
    tone, icon = _TONES[Flatten.State(wish.state)]
    return badge(wish.get_state_display(), tone, icon)


def position_rows(wish: Flatten) -> list[dict[str, Any]]:
    """Return what a page shows of each position: what was open, what still is, and its exits."""
    rows = []
    for each in wish.positions.select_related("position", "flatten"):
        tone, icon = _POSITION_TONES[FlattenedPosition.State(each.state)]
        rows.append(
            {
                "row": each,
                "badge": badge(each.get_state_display(), tone, icon),
                "exits": [{"row": order, "badge": order_badge(order)} for order in exits_of(each)],
                "changed": moment(each.changed_at),
            }
        )
    return rows


class FlattenDialog(ReasonDialog):
    """What will be sent, as far as it is known now: each exit is sized again when it is sent."""

    word = forms.CharField(
        label=f"Type {CONFIRMATION}",
        max_length=20,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
    )
    token = token_field()
    field_order = ("reason", "word")

    def clean_word(self) -> str:
        word: str = self.cleaned_data["word"]
        if word != CONFIRMATION:
            raise forms.ValidationError(f"Type {CONFIRMATION}, in capitals.")
        return word

    def facts(self) -> list[tuple[str, Any]]:
        mode = settings.TRADING_MODE
        exits = [(each.symbol, exit_in_words(each)) for each in open_positions(mode).order_by("symbol")]
        working = Order.objects.unfinished(mode).filter(is_exit=False).count()
        return [*(exits or [("Positions", "none is open")]), ("Orders that will be cancelled", working)]


def exit_in_words(position: Position) -> str:
    """Return the exit of the position as it would be now, with what it is worth at the last price that is known."""
    side = "SELL" if position.quantity > 0 else "BUY"
    shares = abs(position.quantity)
    price = position.last_price
    worth = f"{rupees(shares * price)} (last {rupees(price)})" if price is not None else "no last price is known"
    held = position.broker_quantity
    at_broker = "" if held in (None, position.quantity) else f"; the broker holds {held}"
    return f"{side} {shares} at the market, {worth}{at_broker}"


def flatten_told(request: HttpRequest, form: FlattenDialog) -> Flatten:
    """Flatten at the desk of the settings, and say what became of each position so far."""
    wish = flatten(
        Desk.from_settings(),
        token=form.cleaned_data["token"],
        by=request.user.get_username(),
        reason=form.cleaned_data["reason"],
    )
    lines = [f"{each}. {each.said}" for each in wish.positions.select_related("position")]
    messages.add_message(request, messages.WARNING, " · ".join([f"{wish}.", *lines]))
    return wish


@admin.register(Flatten)
class FlattenAdmin(ReadOnlyAdmin):
    list_display = ("asked", "asked_by", "reason", "state_shown", "outcome")
    list_filter = (ModeFilter,)
    fieldsets = (
        (None, {"fields": (("state_shown", "mode"), ("asked", "asked_by"), "reason")}),
        ("How it ended", {"fields": (("ended", "ended_by"), "outcome")}),
        ("Positions", {"fields": ("each_position",)}),
    )
    actions_detail = ["end"]

    def has_module_permission(self, request: HttpRequest) -> bool:
        return False  # its list is reached from the trading control page

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        offered: list[Any] = super().get_actions_detail(request, object_id)
        return offered if named_by(Flatten.objects.under_way(settings.TRADING_MODE), object_id) else []

    @dialog_action(
        label="End the flatten",
        title="End this flatten?",
        explanation="No further exit is sent, and the cancel of those that work is asked for. Trading stays as it is.",
        submit="End it",
        form=ReasonDialog,
        permissions=["orders.flatten"],
        icon="cancel",
        variant=ActionVariant.WARNING,
    )
    def end(self, request: HttpRequest, form: ReasonDialog, object_id: str) -> HttpResponse:
        wish: Flatten = self.row(request, object_id)
        with refusals_told(request, *REFUSALS, FlattenRefused):
            end(Desk.from_settings(), wish, by=request.user.get_username(), reason=form.cleaned_data["reason"])
            self.log_change(request, wish, f"Ended: {wish.outcome}")
            messages.success(request, f"{wish}.")
        return answered(request, page_of(wish))

    @admin.display(description="state", ordering="state")
    def state_shown(self, wish: Flatten) -> str:
        return state_badge(wish)

    @admin.display(description="asked for", ordering="asked_at")
    def asked(self, wish: Flatten) -> str:
        return moment(wish.asked_at)

    @admin.display(description="ended")
    def ended(self, wish: Flatten) -> str:
        return moment(wish.ended_at)

    @admin.display(description="positions")
    @once_a_row
    def each_position(self, wish: Flatten) -> str:
        return render_to_string("desk/flattened_positions.html", {"positions": position_rows(wish)})


def page_of(wish: Flatten) -> str:
    return reverse("admin:orders_flatten_change", args=(wish.pk,))
