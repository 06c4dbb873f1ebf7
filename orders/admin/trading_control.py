"""The switch. It is looked at here and changed by actions alone, each of them one call of one use case."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminTextInputWidget

from orders import execution, going_live, stopping
from orders.admin import status_strip
from orders.admin import stopping as stopping_section
from orders.admin.broker_login import login_words
from orders.admin.flattens import FlattenDialog, flatten_told
from orders.admin.flattens import page_of as page_of_flatten
from orders.admin.refusals import REFUSALS
from orders.desk import Desk, DeskNotWired, rupees
from orders.flattening import FlattenRefused
from orders.going_live import not_over_before_arming
from orders.governor import opens
from orders.models import Flatten, Order
from risk import control as switch
from risk import limit_versions
from risk.admin.dialogs import ReasonDialog, answered, dialog_action, refusals_told
from risk.admin.display import Tone, badge, moment
from risk.admin.read_only import ReadOnlyAdmin, named_by, once_a_row
from risk.admin.switch_history import auto_trading_badge, state_badge
from risk.engine.facts import TradingState
from risk.models import Mode, TradingControl, TradingControlEvent

HISTORY_SHOWN = 20


def switch_facts(control: TradingControl | None) -> list[tuple[str, Any]]:
    if control is None:
        return []
    return [
        ("Trading", state_badge(control)),
        ("Auto-trading", auto_trading_badge(control)),
        ("Last changed", f"by {control.changed_by}: {control.reason or 'no reason given'}"),
    ]


class SwitchDialog(ReasonDialog):
    """A change of the switch, with what it is now."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.control = named_by(TradingControl.objects.all(), self.object_id)

    def facts(self) -> list[tuple[str, Any]]:
        return switch_facts(self.control)


class HaltDialog(SwitchDialog):
    def facts(self) -> list[tuple[str, Any]]:
        unfinished = Order.objects.unfinished(settings.TRADING_MODE).count()
        under_way = Flatten.objects.under_way(settings.TRADING_MODE).exists()
        ends = [("The flatten under way", "ends; another one can be asked for while halted")] if under_way else []
        return [*super().facts(), ("Orders that will be cancelled", unfinished), *ends]


class ReduceOnlyDialog(SwitchDialog):
    def facts(self) -> list[tuple[str, Any]]:
        entries = [each for each in Order.objects.unfinished(settings.TRADING_MODE) if opens(each)]
        return [*super().facts(), ("Entries that will be cancelled", len(entries))]


class LooseningDialog(SwitchDialog):
    """What loosens names the version of the switch that was shown."""

    version_shown = forms.IntegerField(widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["version_shown"] = self.control.version if self.control else 0


class ArmDialog(LooseningDialog):
    user_id = forms.CharField(
        label="Kite user id",
        max_length=32,
        widget=UnfoldAdminTextInputWidget,
        help_text="Type the account that is logged in. Orders may go to it from then on.",
    )
    reason = forms.CharField(
        required=False,
        max_length=500,
        widget=UnfoldAdminTextInputWidget,
        help_text="Needed, and kept, where a step on the way to live was not passed.",
    )
    field_order = ("user_id", "reason")

    def facts(self) -> list[tuple[str, Any]]:
        now = timezone.now()
        limits = limit_versions.in_force(now=now)
        return [
            ("Logged in to Kite", login_words(Mode.LIVE, now)),
            ("Armed for", (self.control.armed_user_id if self.control else "") or "no account"),
            *((f"Step not passed: {step.label}", "say why it is armed without") for step in not_over_before_arming()),
            ("Limits in force", f"version {limits.version}"),
            ("Most of one order", rupees(limits.order_value_max)),
            ("Most of one symbol", rupees(limits.position_value_max)),
            ("Most trades a day", limits.daily_trades_max),
            ("Most loss a day", rupees(limits.daily_loss_max)),
            ("Auto-trading", "off afterwards: turning it on is a decision of its own"),
        ]


@admin.register(TradingControl)
class TradingControlAdmin(ReadOnlyAdmin):
    """The row of the mode that is traded now."""

    fieldsets = (
        (None, {"fields": ("mode_badge", "state_shown", "auto_trading_shown", "armed_user_id")}),
        ("What still works", {"fields": ("still_working",)}),
        ("Last change", {"fields": ("changed", "changed_by", "reason", "version")}),
        ("Changes", {"fields": ("history",)}),
    )
    actions_detail = [
        "auto_trading_on",
        "auto_trading_off",
        "resume",
        "arm_live",
        "disarm_live",
        "reduce_only",
        "flatten",
        "halt",
    ]

    def get_urls(self) -> list[URLPattern]:
        strip = path("status-strip/", status_strip.show, name="status_strip")
        section = path("still-working/", stopping_section.show, name="still_working")
        return [strip, section, *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[TradingControl]:
        queryset: QuerySet[TradingControl] = super().get_queryset(request)
        return queryset.filter(mode=settings.TRADING_MODE)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        control = TradingControl.objects.get(mode=settings.TRADING_MODE)
        return HttpResponseRedirect(page_of(control))

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer what would change something now; the use cases check again."""
        control = self.get_object(request, object_id)
        if control is None:
            return []
        offered: list[Any] = super().get_actions_detail(request, object_id)
        return [each for each in offered if each.path not in _pointless(control)]

    def has_live_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return settings.TRADING_MODE == Mode.LIVE

    @dialog_action(
        label="Turn auto-trading on",
        title="Turn auto-trading on?",
        explanation="Signals that pass the risk desk become orders by themselves from now on.",
        submit="Turn on",
        form=LooseningDialog,
        permissions=["risk.switch_auto_trading"],
        icon="bolt",
        variant=ActionVariant.SUCCESS,
    )
    def auto_trading_on(self, request: HttpRequest, form: LooseningDialog, object_id: str) -> HttpResponse:
        return self._change(
            request, object_id, lambda mode, by: switch.auto_trading_on(mode, by=by, now=timezone.now(), **form.answers)
        )

    @dialog_action(
        label="Turn auto-trading off",
        title="Turn auto-trading off?",
        explanation="Signals are still recorded, and none of them is acted on, not later either.",
        submit="Turn off",
        form=SwitchDialog,
        permissions=["risk.halt_trading"],  # it tightens: whoever may halt may do this too
        icon="do_not_disturb_on",
    )
    def auto_trading_off(self, request: HttpRequest, form: SwitchDialog, object_id: str) -> HttpResponse:
        return self._change(
            request,
            object_id,
            lambda mode, by: switch.auto_trading_off(mode, by=by, now=timezone.now(), **form.answers),
        )

    @dialog_action(
        label="Reduce only",
        title="Let only closing orders go?",
        explanation="What opens exposure is refused, and the cancel of every unfinished order that would open some "
        "is asked for: one that rests could still fill. Orders that close stay.",
        submit="Reduce only",
        form=ReduceOnlyDialog,
        permissions=["risk.halt_trading"],
        icon="trending_down",
        variant=ActionVariant.WARNING,
    )
    def reduce_only(self, request: HttpRequest, form: ReduceOnlyDialog, object_id: str) -> HttpResponse:
        cancelled: list[Order] = []

        def change(mode: str, by: str) -> TradingControl:
            try:
                cancelled.extend(stopping.reduce_only(Desk.from_settings(), by=by, **form.answers))
            except DeskNotWired:  # stopping works without a broker too
                return switch.reduce_only(mode, by=by, now=timezone.now(), **form.answers)
            return TradingControl.objects.get(mode=mode)

        answer = self._change(request, object_id, change)
        if cancelled:
            self.message_user(request, _cancels(cancelled), messages.WARNING)
        return answer

    @dialog_action(
        label="Flatten",
        title="Exit every open position?",
        explanation="Trading goes to Reduce only, or stays halted. What works is cancelled, and each position is sold "
        "at the market, or bought back, on a freshly read position: also while trading is halted. What cannot be sent "
        "now is tried again until tonight.",
        submit="Flatten",
        form=FlattenDialog,
        permissions=["orders.flatten"],
        icon="logout",
        variant=ActionVariant.DANGER,
    )
    def flatten(self, request: HttpRequest, form: FlattenDialog, object_id: str) -> HttpResponse:
        control: TradingControl = self.row(request, object_id)
        page = page_of(control)
        with refusals_told(request, *REFUSALS, FlattenRefused):
            wish = flatten_told(request, form)
            self.log_change(request, control, f"Flatten: {wish.reason}")
            page = page_of_flatten(wish)
        return answered(request, page)

    @dialog_action(
        label="Resume",
        title="Resume trading?",
        explanation="Auto-trading stays as it is: turning it on is a decision of its own.",
        submit="Resume",
        form=LooseningDialog,
        permissions=["risk.resume_trading"],
        icon="play_arrow",
        variant=ActionVariant.SUCCESS,
    )
    def resume(self, request: HttpRequest, form: LooseningDialog, object_id: str) -> HttpResponse:
        return self._change(
            request, object_id, lambda mode, by: switch.resume(mode, by=by, now=timezone.now(), **form.answers)
        )

    @dialog_action(
        label="Arm live",
        title="Arm live trading?",
        explanation="From now on real orders may be sent to the Kite account that you name.",
        submit="Arm",
        form=ArmDialog,
        permissions=["risk.arm_live", "live"],
        icon="lock_open",
        variant=ActionVariant.DANGER,
    )
    def arm_live(self, request: HttpRequest, form: ArmDialog, object_id: str) -> HttpResponse:
        return self._change(
            request, object_id, lambda mode, by: going_live.arm(Desk.from_settings(), by=by, **form.answers)
        )

    @dialog_action(
        label="Disarm",
        title="Disarm live trading?",
        explanation="From now on no live order leaves, not one that closes either, and auto-trading is off. What rests "
        "at Kite stays there, and can be cancelled. To stop and still be able to exit, halt instead.",
        submit="Disarm",
        form=SwitchDialog,
        permissions=["risk.halt_trading", "live"],
        icon="lock",
        variant=ActionVariant.WARNING,
    )
    def disarm_live(self, request: HttpRequest, form: SwitchDialog, object_id: str) -> HttpResponse:
        return self._change(
            request, object_id, lambda mode, by: switch.disarm_live(by=by, now=timezone.now(), **form.answers)
        )

    @dialog_action(
        label="Halt",
        title="Halt trading?",
        explanation="Every order is refused from now on, and the cancel of every unfinished one is asked for.",
        submit="Halt trading",
        form=HaltDialog,
        permissions=["risk.halt_trading"],
        icon="front_hand",
        variant=ActionVariant.DANGER,
    )
    def halt(self, request: HttpRequest, form: HaltDialog, object_id: str) -> HttpResponse:
        control: TradingControl = self.row(request, object_id)
        by, reason = request.user.get_username(), form.cleaned_data["reason"]
        self.log_change(request, control, f"Halt: {reason}")
        try:
            orders = execution.halt(Desk.from_settings(), by=by, reason=reason)
        except DeskNotWired as trouble:  # stopping works without a broker too
            switch.halt(control.mode, by=by, reason=reason, now=timezone.now())
            self.message_user(request, f"Trading is halted. Nothing could be cancelled: {trouble}.", messages.ERROR)
        else:
            self.message_user(request, f"Trading is halted. {_cancels(orders)}", messages.WARNING)
        return answered(request, page_of(control))

    def _change(
        self, request: HttpRequest, object_id: str, change: Callable[[str, str], TradingControl]
    ) -> HttpResponse:
        """Call the use case, leave the admin's trace and say what the switch is now."""
        before: TradingControl = self.row(request, object_id)
        with refusals_told(request, *REFUSALS):
            after = change(before.mode, request.user.get_username())
            if after.version == before.version:
                self.message_user(request, f"Nothing to change. {after}.", messages.WARNING)
            else:
                self.log_change(request, after, f"{after}. {after.reason}")
                self.message_user(request, f"{after}.", messages.SUCCESS)
        return answered(request, page_of(before))

    @admin.display(description="mode")
    def mode_badge(self, control: TradingControl) -> str:
        live = control.mode == Mode.LIVE
        return badge(control.get_mode_display(), Tone.LOUD if live else Tone.INFO, "payments" if live else "draft")

    @admin.display(description="trading")
    def state_shown(self, control: TradingControl) -> str:
        return state_badge(control)

    @admin.display(description="auto-trading")
    def auto_trading_shown(self, control: TradingControl) -> str:
        return auto_trading_badge(control)

    @admin.display(description="what still works")
    @once_a_row
    def still_working(self, control: TradingControl) -> str:
        return stopping_section.section(control)

    @admin.display(description="changed")
    def changed(self, control: TradingControl) -> str:
        return moment(control.changed_at)

    @admin.display(description="changes")
    @once_a_row
    def history(self, control: TradingControl) -> str:
        events = TradingControlEvent.objects.filter(mode=control.mode)[:HISTORY_SHOWN]
        rows = [
            {"row": event, "at": moment(event.at), "state": state_badge(event), "auto": auto_trading_badge(event)}
            for event in events
        ]
        return render_to_string("desk/switch_history.html", {"events": rows})


def page_of(control: TradingControl) -> str:
    return reverse("admin:risk_tradingcontrol_change", args=(control.pk,))


def _pointless(control: TradingControl) -> set[str]:
    """Return the actions that would change nothing, or be refused, as the switch is now."""
    active, halted = control.state == TradingState.ACTIVE, control.state == TradingState.HALTED
    return {
        "auto_trading_on" if control.auto_trading or not active else "",
        "" if control.auto_trading else "auto_trading_off",
        "" if control.armed_user_id else "disarm_live",
        "" if active or _entries_rest(control) else "reduce_only",
        "resume" if active else "",
        "halt" if halted and not control.lifts_to and not Order.objects.unfinished(control.mode).exists() else "",
    }


def _entries_rest(control: TradingControl) -> bool:
    """Return whether something is left that only closing orders would not allow, and nobody asked to cancel."""
    if control.state != TradingState.REDUCE_ONLY:
        return False
    return any(opens(order) for order in Order.objects.unfinished(control.mode).filter(cancel_requested_at=None))


def _cancels(orders: list[Order]) -> str:
    if not orders:
        return "There was nothing to cancel."
    ended = sum(not order.is_unfinished for order in orders)
    return (
        f"Cancels asked for: {len(orders)}; ended already: {ended}. "
        "The others are repeated until the broker's book shows their end."
    )
