"""Signals: what arrived, what became of it and why."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminDecimalFieldWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from orders.admin import export_columns
from orders.admin.blocking import BlockSymbol
from orders.admin.exact_search import ExactSearch, in_every_mode
from orders.admin.export import ExportPages
from orders.admin.narrowing import StrategyFilter, SymbolFilter
from orders.admin.refusals import REFUSALS
from orders.admin.replaying import ReplayPages
from orders.admin.wording import described, money, order_badge, side_badge, signal_badge
from orders.desk import Desk
from orders.inbox import Received, record
from orders.messages import malformed_digest
from orders.models import Signal
from risk.admin.dialogs import Dialog, answered, dialog_action, refusals_told, token_field
from risk.admin.display import NOTHING, clipped, moment, plain
from risk.admin.mode_filter import ModeFilter
from risk.admin.read_only import ReadOnlyAdmin, once_a_row
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


class SignalTypeFilter(DropdownFilter):
    """The types there can be: to look which ones there are would read every signal."""

    title = "type"
    parameter_name = "type"
    unreadable = "unreadable"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [*((each.value, each.value) for each in TradingSignalType), (self.unreadable, "Unreadable")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Signal]) -> QuerySet[Signal]:
        wanted = self.value()
        return queryset.filter(signal_type="" if wanted == self.unreadable else wanted) if wanted else queryset


def readable(raw: bytes) -> str:
    """Return bytes as text, with everything that is not printable spelled out."""
    text = raw.decode("utf-8", errors="backslashreplace")
    return "".join(each if each.isprintable() or each == "\n" else f"\\x{ord(each):02x}" for each in text)


@admin.register(Signal)
class SignalAdmin(ExactSearch, ExportPages, ReplayPages, BlockSymbol, ReadOnlyAdmin):
    export_columns = export_columns.SIGNALS
    list_display = ("received", "type_badge", "symbol", "score", "status_badge", "why", "source", "duplicates")
    list_filter = (
        ("status", ChoicesDropdownFilter),
        ("source", ChoicesDropdownFilter),
        SignalTypeFilter,
        SymbolFilter,
        StrategyFilter,
        ModeFilter,
        "received_at",
    )
    search_ids = {"signal_id": in_every_mode()}
    search_fields = ("signal_id",)  # only says that there is a search: `ExactSearch` does it
    sortable_by = ("received",)  # the others are in no index
    search_help_text = "A signal's id or a symbol, exactly."
    fieldsets = (
        (None, {"fields": (("type_badge", "status_badge"), "reason", ("symbol", "exchange"), ("score", "strategy"))}),
        ("What became of it", {"fields": ("replays_shown", "decisions", "orders")}),
        (
            "As received",
            {
                "fields": (
                    ("received", "signal_time"),
                    ("decided", "duplicates"),
                    ("source", "mode"),
                    "sent_by",
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
    actions_detail = ["block_symbol", "unblock_symbol", "replay"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Signal]:
        """Leave the bytes as received to the page of one signal."""
        queryset: QuerySet[Signal] = super().get_queryset(request)
        shows_one = request.resolver_match and request.resolver_match.url_name == "orders_signal_change"
        if not shows_one:
            return queryset.defer("raw")
        return queryset.annotate(is_replayed=Exists(Signal.objects.filter(replay_of=OuterRef("pk"))))

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
    @once_a_row
    def decisions(self, signal: Signal) -> str:
        return render_to_string("desk/verdicts.html", {"decisions": described(list(signal.decisions.order_by("-id")))})

    @admin.display(description="orders")
    @once_a_row
    def orders(self, signal: Signal) -> str:
        rows = [{"row": order, "status": order_badge(order)} for order in signal.orders.order_by("-id")]
        return render_to_string("desk/orders.html", {"orders": rows}) if rows else NOTHING
