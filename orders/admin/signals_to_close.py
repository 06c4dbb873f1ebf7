"""The inbox of signals to close that were not acted on: exit the position, or say why nothing is to be done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.enums import ActionVariant

from orders import missed_exits
from orders.admin import export_columns
from orders.admin.export import ExportPages
from orders.admin.positions import PRICE_IS_OLD_AFTER, exit_facts, exit_told
from orders.admin.refusals import REFUSALS
from orders.admin.wording import money, number, side_badge, signal_badge
from orders.by_hand import NothingToExit
from orders.desk import Desk, trading_date
from orders.models import ExecutorHeartbeat, MissedExit, Position, Signal
from risk.admin import bulk
from risk.admin.dialogs import (
    Dialog,
    ReasonDialog,
    answered,
    dialog_action,
    opens_dialog,
    refusals_told,
    token_field,
)
from risk.admin.display import NOTHING, Tone, ago, badge, clipped, moment, plain
from risk.admin.mode_filter import ModeFilter
from risk.admin.read_only import ReadOnlyAdmin, named_by
from risk.admin.waiting import COUNTED, counted

EXIT, DISMISS = "orders.exit_position", "orders.dismiss_missedexit"
LATE_SHOWN_MAX = 20

INBOX, BEING_CLOSED, ENDED, EVERY = "inbox", "closing", "ended", "all"
_VIEWS = ((INBOX, "Waiting"), (BEING_CLOSED, "Being closed"), (ENDED, "History"), (EVERY, "All"))


def waiting_badge(request: HttpRequest) -> int:
    """Return how many signals to close need a person: asked once a page, and not for who may not see them."""
    return counted(request, "signals to close")


def _counted(request: HttpRequest) -> list[tuple[QuerySet[Any], str]]:
    sees = request.user.has_perm("orders.view_missedexit")
    return missed_exits.waiting(settings.TRADING_MODE, timezone.now()) if sees else []


COUNTED["signals to close"] = _counted


def position_of(missed: MissedExit) -> Position:
    """
    Return the one open position that the signal would have closed. Raise `NothingToExit`.

    What was bought after that one went flat is another, and no signal wanted it closed.
    """
    same = {"mode": missed.mode, "exchange": missed.exchange, "symbol": missed.symbol}
    found = Position.objects.filter(**same).exclude(quantity=0)[:2]
    if not found:
        raise NothingToExit(f"nothing is open in {missed.symbol} any more")
    if missed.state == MissedExit.State.FLAT:
        raise NothingToExit(missed_exits.WENT_FLAT)
    if len(found) > 1:
        raise NothingToExit(f"{missed.symbol} is open in more than one product: choose on the positions page")
    return found[0]


class MissedExitDialog(Dialog):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.missed = named_by(MissedExit.objects.select_related("signal"), self.object_id)

    def facts(self) -> list[tuple[str, Any]]:
        if self.missed is None:
            return []
        ended = [("It has ended", missed_exits.how_it_ended(self.missed))] if self.missed.ended_at else []
        return [("Not acted on", self.missed.why), *ended]


class ExitMissedDialog(MissedExitDialog):
    token = token_field()

    def facts(self) -> list[tuple[str, Any]]:
        if self.missed is None:
            return []
        try:
            position = position_of(self.missed)
            price = ("Last price", price_with_age(position.last_price, position.broker_as_of))
            return [*exit_facts(position), price, *super().facts()]
        except NothingToExit as reason:
            return [("The order", f"none: {reason}"), *super().facts()]


class DismissDialog(MissedExitDialog, ReasonDialog):
    def facts(self) -> list[tuple[str, Any]]:
        if self.missed is None:
            return []
        return [("The signal", f"{self.missed} ({self.missed.signal.signal_id[:16]})"), *super().facts()]


class InboxFilter(admin.SimpleListFilter):
    """What needs a person, unless something else is asked for. A search is for one of any time."""

    title = "view"
    parameter_name = "view"
    template = "desk/nothing.html"  # its choices are the tabs

    def __init__(self, request: HttpRequest, *args: Any) -> None:
        self.unasked = EVERY if request.GET.get("q") else INBOX
        super().__init__(request, *args)

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(_VIEWS)

    def value(self) -> str:
        chosen = super().value()
        return chosen if chosen in dict(_VIEWS) else self.unasked

    def queryset(self, request: HttpRequest, queryset: QuerySet[MissedExit]) -> QuerySet[MissedExit]:
        view = self.value()
        if view == INBOX:
            return missed_exits.in_the_inbox(queryset, trading_date(timezone.now()))
        if view == ENDED:
            return queryset.exclude(state=MissedExit.State.WAITING)
        if view == BEING_CLOSED:
            return missed_exits.being_closed(queryset, trading_date(timezone.now()))
        return queryset

    def choices(self, changelist: ChangeList) -> Iterator[dict[str, Any]]:  # type: ignore[override]
        yield from ()


@admin.register(MissedExit)
class MissedExitAdmin(ExportPages, ReadOnlyAdmin):
    export_columns = export_columns.MISSED_EXITS
    list_before_template = "desk/inbox.html"
    list_display = ("since", "what", "why_shown", "how_it_stands", "ended", "note_shown")
    list_display_of_the_inbox = ("since", "what", "why_shown", "ours_shown", "price_shown")
    list_display_links = ("what",)
    list_filter = (InboxFilter, ModeFilter, "at")
    list_select_related = ("signal",)
    search_fields = ("=symbol", "signal__signal_id__exact")
    search_help_text = "A symbol or a signal's id, exactly."
    fieldsets = (
        (None, {"fields": (("what", "how_it_stands"), "why", ("ours_shown", "price_shown"))}),
        ("How it ended", {"fields": (("ended", "ended_by"), "note")}),
        ("The signal", {"fields": (("signal_link", "signal_status"), ("since", "mode"))}),
    )
    actions = ["dismiss_selected"]
    actions_detail = ["dismiss", "exit"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[MissedExit]:
        queryset: QuerySet[MissedExit] = super().get_queryset(request)
        return missed_exits.with_the_book(queryset, trading_date(timezone.now())).defer("signal__raw")

    def has_dismiss_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(DISMISS)

    def get_fieldsets(self, request: HttpRequest, obj: MissedExit | None = None) -> Any:
        """Leave how it ended out of what has not."""
        waits = obj is not None and obj.state == MissedExit.State.WAITING
        return [each for each in self.fieldsets if not waits or each[0] != "How it ended"]

    def get_list_display(self, request: HttpRequest) -> tuple[Any, ...]:
        inbox = _view_of(request) == INBOX
        shown: tuple[Any, ...] = self.list_display_of_the_inbox if inbox else self.list_display
        may = {name for name, permission in (("exit", EXIT), ("dismiss", DISMISS)) if request.user.has_perm(permission)}
        return (*shown, _buttons(may)) if may and _view_of(request) != ENDED else shown

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer what makes sense as it stands; the actions check again."""
        missed = named_by(self.get_queryset(request).filter(mode=settings.TRADING_MODE), object_id)
        if missed is None:
            return []
        state, open_now = MissedExit.State(missed.state), missed.ours != 0  # type: ignore[attr-defined]
        sensible = {
            "exit": open_now and state != MissedExit.State.FLAT,
            "dismiss": state == MissedExit.State.WAITING,
        }
        return [each for each in super().get_actions_detail(request, object_id) if sensible[each.path]]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        context = {"tabs": _tabs(request), **(extra_context or {})}
        if _view_of(request) == INBOX and request.method == "GET":
            context |= late_signals(request)
        answer: HttpResponse = super().changelist_view(request, context)
        return answer

    @dialog_action(
        label="Exit position",
        title="Exit the position that the signal wanted closed?",
        explanation="It is sent at once, also while trading is halted.",
        submit="Exit position",
        form=ExitMissedDialog,
        permissions=[EXIT],
        icon="logout",
        variant=ActionVariant.DANGER,
    )
    def exit(self, request: HttpRequest, form: ExitMissedDialog, object_id: str) -> HttpResponse:
        missed: MissedExit = self.row(request, object_id)
        with refusals_told(request, *REFUSALS):
            order = exit_told(request, position_of(missed), token=form.cleaned_data["token"])
            self.log_change(request, missed, f"Exit: order {order.client_order_id}")
        return answered(request, reverse("admin:orders_missedexit_changelist"))

    @dialog_action(
        label="Dismiss",
        title="Dismiss this signal to close?",
        explanation="Nothing is sold for it. It is kept with your name and reason, and is not asked about again.",
        submit="Dismiss",
        form=DismissDialog,
        permissions=[DISMISS],
        icon="inbox",
    )
    def dismiss(self, request: HttpRequest, form: DismissDialog, object_id: str) -> HttpResponse:
        missed: MissedExit = self.row(request, object_id)
        with refusals_told(request, *REFUSALS, missed_exits.DismissRefused):
            self.message_user(request, f"{missed}: {self._dismiss(request, missed, form)}.", messages.SUCCESS)
        return answered(request, reverse("admin:orders_missedexit_changelist"))

    @admin.action(description="Dismiss the selected signals", permissions=["dismiss"])
    def dismiss_selected(self, request: HttpRequest, queryset: QuerySet[MissedExit]) -> HttpResponse | None:
        dismissing = bulk.Bulk(
            action="dismiss_selected",
            title="Dismiss the selected signals to close?",
            submit="Dismiss these signals",
            done="dismissed",
            explanation="Nothing is sold for them. They are kept with your name and the reason.",
            form=DismissDialog,
            describe=lambda row: bulk.Line(
                str(row), self.how_it_stands(self.get_queryset(request).get(pk=row.pk)), row.why
            ),
            act=lambda row, form: self._dismiss(request, row, form),
            refusals=(*REFUSALS, missed_exits.DismissRefused),
        )
        return bulk.answer(self, request, queryset, dismissing)

    def _dismiss(self, request: HttpRequest, missed: MissedExit, form: Dialog) -> str:
        reason = form.cleaned_data["reason"]
        missed_exits.dismiss(Desk.from_settings(), missed, by=request.user.get_username(), reason=reason)
        self.log_change(request, missed, f"Dismissed: {reason}")
        return "dismissed"

    @admin.display(description="since", ordering="at")
    def since(self, missed: MissedExit) -> str:
        return moment(missed.at)

    @admin.display(description="signal", ordering="symbol")
    def what(self, missed: MissedExit) -> str:
        said = f"{plain(missed.signal.cms_score)} {missed.signal.strategy}".strip()
        return format_html('<span class="desk-two"><b>{}</b><span>score {}</span></span>', missed, said)

    @admin.display(description="why it was not acted on")
    def why_shown(self, missed: MissedExit) -> str:
        return clipped(missed.why)

    @admin.display(description="ours now (shares)")
    def ours_shown(self, missed: Any) -> str:
        return number(missed.ours)

    @admin.display(description="last price")
    def price_shown(self, missed: Any) -> str:
        """Tell the price as the broker's book last told it, and how old it is."""
        return price_with_age(missed.last_price, missed.price_as_of)

    @admin.display(description="how it stands", ordering="state")
    def how_it_stands(self, missed: Any) -> str:
        if missed.state == MissedExit.State.DISMISSED:
            return badge(f"Dismissed by {missed.ended_by}", Tone.PLAIN, "inbox")
        if missed.state == MissedExit.State.FLAT or missed.ours <= 0:
            return badge("Position went flat", Tone.GOOD, "check")
        if missed.being_sold >= missed.ours:
            return badge(f"Being closed: {missed.being_sold} shares", Tone.INFO, "hourglass_top")
        return badge("Waits for a person", Tone.LOUD, "notification_important")

    @admin.display(description="how it ended")
    def note_shown(self, missed: MissedExit) -> str:
        return clipped(missed.note)

    @admin.display(description="ended", ordering="ended_at")
    def ended(self, missed: MissedExit) -> str:
        return moment(missed.ended_at)

    @admin.display(description="signal")
    def signal_link(self, missed: MissedExit) -> str:
        url = reverse("admin:orders_signal_change", args=(missed.signal_id,))
        return format_html('<a class="desk-link" href="{}">Signal {}</a>', url, missed.signal.signal_id[:16])

    @admin.display(description="its status")
    def signal_status(self, missed: MissedExit) -> str:
        return signal_badge(missed.signal)


def _view_of(request: HttpRequest) -> str:
    return InboxFilter(request, dict(request.GET.lists()), MissedExit, None).value()


def _tabs(request: HttpRequest) -> list[dict[str, Any]]:
    chosen = _view_of(request)
    kept = {"mode": request.GET["mode"]} if "mode" in request.GET else {}
    return [
        {"title": title, "url": f"?{urlencode({**kept, 'view': view})}", "is_open": view == chosen}
        for view, title in _VIEWS
    ]


def price_with_age(price: Decimal | None, as_of: datetime | None) -> str:
    """Return a price with how old it is; an old one is marked as old."""
    if price is None or as_of is None:
        return NOTHING
    now = timezone.now()
    tone = Tone.WARNING if now - as_of > PRICE_IS_OLD_AFTER else Tone.PLAIN
    return format_html("{} {}", money(price), badge(f"{ago(as_of, now)} old", tone, "schedule"))


def _buttons(may: set[str]) -> Callable[[Any], str]:
    """Return the column of what this person may do about a row, as it stands."""

    @admin.display(description="")
    def to_do(missed: Any) -> str:
        if missed.mode != settings.TRADING_MODE or missed.state != MissedExit.State.WAITING:
            return ""
        shown = []
        if "exit" in may and missed.ours > missed.being_sold:
            url = reverse("admin:orders_missedexit_exit", args=(missed.pk,))
            shown.append(opens_dialog(url, "Exit", "logout", Tone.BAD))
        if "dismiss" in may and missed.being_sold < max(missed.ours, 1):
            url = reverse("admin:orders_missedexit_dismiss", args=(missed.pk,))
            shown.append(opens_dialog(url, "Dismiss", "inbox", Tone.PLAIN))
        return format_html('<span class="desk-acts">{}</span>', SafeString("".join(shown)))

    return to_do


def late_signals(request: HttpRequest) -> dict[str, Any]:
    """Return the signals to close that were received and are not decided, and whether anybody is there to do it."""
    now = timezone.now()
    found = list(missed_exits.late(settings.TRADING_MODE, now).order_by("id")[: LATE_SHOWN_MAX + 1])
    if not found:
        return {}
    heartbeat = ExecutorHeartbeat.objects.filter(mode=settings.TRADING_MODE).first()
    symbols = {signal.symbol for signal in found}
    held = Position.objects.filter(mode=settings.TRADING_MODE, symbol__in=symbols).exclude(quantity=0)
    positions = {(each.exchange, each.symbol): each for each in held}
    may_exit = request.user.has_perm(EXIT)
    return {
        "executor_is_away": heartbeat is None or not heartbeat.is_alive(now),
        "executor_seen": heartbeat and moment(heartbeat.beat_at),
        "more_are_late": len(found) > LATE_SHOWN_MAX,
        "late": [_late(signal, positions, now, may_exit) for signal in found[:LATE_SHOWN_MAX]],
    }


def _late(signal: Signal, positions: dict[tuple[str, str], Position], now: Any, may_exit: bool) -> dict[str, Any]:
    position = positions.get((signal.exchange, signal.symbol))
    url = reverse("admin:orders_position_exit", args=(position.pk,)) if position and may_exit else ""
    return {
        "row": signal,
        "side": side_badge(signal.signal_type),
        "waits": ago(signal.received_at, now),
        "ours": position.quantity if position else 0,
        "exit": opens_dialog(url, "Exit", "logout", Tone.BAD) if url else "",
    }
