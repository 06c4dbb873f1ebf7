"""Signals: what arrived, what became of it and why."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminDecimalFieldWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from orders.admin.refusals import REFUSALS
from orders.admin.wording import described, money, order_badge, side_badge, signal_badge
from orders.desk import Desk
from orders.inbox import Received, record
from orders.messages import malformed_digest
from orders.models import Signal
from risk.admin.dialogs import Dialog, answered, dialog_action, refusals_told, token_field
from risk.admin.display import NOTHING, clipped, moment, plain
from risk.admin.mode_filter import ModeFilter
from risk.admin.read_only import ReadOnlyAdmin
from risk.engine.facts import TradingSignalType
from risk.models import Mode


class TestSignalDialog(Dialog):
    __test__ = False  # not a test of pytest's

    signal_type = forms.ChoiceField(
        label="Type", choices=[(each.value, each.value) for each in TradingSignalType], widget=UnfoldAdminSelectWidget
    )
    symbol = forms.CharField(
        max_length=60, initial="RELIANCE", widget=UnfoldAdminTextInputWidget, help_text="RELIANCE, or NSE:RELIANCE."
    )
    cms_score = forms.DecimalField(
        label="CMS score",
        min_value=-100,
        max_value=100,
        initial=75,
        widget=UnfoldAdminDecimalFieldWidget,
        help_text="−100 to 100.",
    )
    token = token_field()


def readable(raw: bytes) -> str:
    """Return bytes as text, with everything that is not printable spelled out."""
    text = raw.decode("utf-8", errors="backslashreplace")
    return "".join(each if each.isprintable() or each == "\n" else f"\\x{ord(each):02x}" for each in text)


@admin.register(Signal)
class SignalAdmin(ReadOnlyAdmin):
    list_display = ("received", "type_badge", "symbol", "score", "status_badge", "why", "source", "duplicates")
    list_filter = (
        ("status", ChoicesDropdownFilter),
        ("source", ChoicesDropdownFilter),
        "signal_type",
        ModeFilter,
        "received_at",
    )
    search_fields = ("signal_id__exact", "=symbol")
    search_help_text = "A signal's id or a symbol, exactly."
    fieldsets = (
        (None, {"fields": (("type_badge", "status_badge"), "reason", ("symbol", "exchange"), ("score", "strategy"))}),
        ("What became of it", {"fields": ("decisions", "orders")}),
        (
            "As received",
            {
                "fields": (
                    ("received", "signal_time"),
                    ("decided", "duplicates"),
                    ("source", "mode"),
                    ("advised_price", "quantity"),
                    ("order_type", "seq"),
                    "signal_id",
                    "stream_entry_id",
                    "message",
                )
            },
        ),
    )
    actions_list = ["send_test_signal"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Signal]:
        queryset: QuerySet[Signal] = super().get_queryset(request)
        return queryset.defer("raw")

    def has_paper_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return settings.TRADING_MODE == Mode.PAPER

    @dialog_action(
        label="Send a test signal",
        title="Send a test signal",
        explanation="It is recorded like one from Redis, and acted on if auto-trading is on. Paper only.",
        submit="Send",
        form=TestSignalDialog,
        permissions=["orders.send_test_signal", "paper"],
        icon="send",
        variant=ActionVariant.PRIMARY,
    )
    def send_test_signal(self, request: HttpRequest, form: TestSignalDialog) -> HttpResponse:
        with refusals_told(request, *REFUSALS):
            self._record(request, Desk.from_settings(), form.cleaned_data)
        return answered(request, reverse("admin:orders_signal_changelist"))

    def _record(self, request: HttpRequest, desk: Desk, asked: dict[str, Any]) -> None:
        signal_id = f"test-{asked['token']}"
        if Signal.objects.filter(mode=desk.mode, signal_id=signal_id).exists():
            self.message_user(request, "That test signal was sent already.", messages.WARNING)
            return
        message = {
            "signal_id": signal_id,
            "signal_type": asked["signal_type"],
            "symbol": asked["symbol"],
            "cms_score": str(asked["cms_score"]),
            "timestamp": desk.clock().isoformat(),
        }
        raw = json.dumps(message).encode()
        record(desk, [Received(raw=raw, source=Signal.Source.STAFF)])
        kept_as = {signal_id, f"malformed:{malformed_digest(raw)[:32]}"}
        signal = Signal.objects.filter(mode=desk.mode, signal_id__in=kept_as).latest("id")
        self.log_addition(request, signal, f"Test signal sent: {signal}")
        if signal.status == Signal.Status.MALFORMED:
            self.message_user(request, f"It is not a signal: {signal.reason}", messages.ERROR)
        else:
            told = f"Test signal sent: {signal.signal_type} {signal.symbol} at {plain(signal.cms_score)}."
            self.message_user(request, told, messages.SUCCESS)

    @admin.display(description="received", ordering="received_at")
    def received(self, signal: Signal) -> str:
        return moment(signal.received_at)

    @admin.display(description="signal time")
    def signal_time(self, signal: Signal) -> str:
        return moment(signal.signal_at)

    @admin.display(description="decided")
    def decided(self, signal: Signal) -> str:
        return moment(signal.decided_at)

    @admin.display(description="type", ordering="signal_type")
    def type_badge(self, signal: Signal) -> str:
        return side_badge(signal.signal_type)

    @admin.display(description="CMS score", ordering="cms_score")
    def score(self, signal: Signal) -> str:
        return plain(signal.cms_score)

    @admin.display(description="status", ordering="status")
    def status_badge(self, signal: Signal) -> str:
        return signal_badge(signal)

    @admin.display(description="reason")
    def why(self, signal: Signal) -> str:
        return clipped(signal.reason)

    @admin.display(description="advised price")
    def advised_price(self, signal: Signal) -> str:
        return money(signal.price)

    @admin.display(description="message")
    def message(self, signal: Signal) -> str:
        return format_html('<pre class="desk-raw">{}</pre>', readable(bytes(signal.raw)))

    @admin.display(description="decisions")
    def decisions(self, signal: Signal) -> str:
        return render_to_string("desk/verdicts.html", {"decisions": described(list(signal.decisions.order_by("-id")))})

    @admin.display(description="orders")
    def orders(self, signal: Signal) -> str:
        rows = [{"row": order, "status": order_badge(order)} for order in signal.orders.order_by("-id")]
        return render_to_string("desk/orders.html", {"orders": rows}) if rows else NOTHING
