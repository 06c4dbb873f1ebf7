"""Blocking a symbol from the pages that name one: of a signal, an order, a position or an instrument."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.models import User
from django.db.models import CharField, Value
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from unfold.widgets import UnfoldAdminTextInputWidget

from orders.models import Instrument
from risk import approvals, limit_versions
from risk.admin.dialogs import ReasonDialog, answered, dialog_action, refusals_told
from risk.admin.display import moment
from risk.admin.limit_changes import change_text, house
from risk.admin.waiting import limits_waiting
from risk.admin.wishes import how_it_waits
from risk.four_eyes import CONFIRMATION, ChangeRefused
from risk.models import InstrumentLimit, LimitChange, Wish

BLOCK = ["risk.add_instrumentlimit", "risk.change_instrumentlimit"]  # the symbol may have no limits of its own yet
UNBLOCK = ["risk.change_instrumentlimit"]


@dataclass(frozen=True)
class Named:
    """What is known of the symbol that a row names: its limits only if they block it."""

    is_listed: bool  # in the broker's list of instruments
    blocked_by: InstrumentLimit | None


def named_in(request: HttpRequest, row: Any) -> Named:
    """Return what is known of the row's symbol: asked once a page, and few symbols have limits of their own."""
    kept: dict[tuple[str, str], Named] = request.__dict__.setdefault("desk_symbols", {})
    symbol = (row.exchange, row.symbol)
    if symbol not in kept:
        kept[symbol] = _asked(*symbol)
    return kept[symbol]


def _asked(exchange: str, symbol: str) -> Named:
    same = {"exchange": exchange, "symbol": symbol}
    listed, limited = (
        rows.filter(**same).order_by().values_list(Value(word, output_field=CharField()))
        for word, rows in (("listed", Instrument.objects.all()), ("limited", InstrumentLimit.objects.all()))
    )
    found = {word for (word,) in listed.union(limited)}
    own = limit_versions.own_of_instrument(**same, now=timezone.now()) if "limited" in found else None
    return Named(is_listed="listed" in found, blocked_by=own if own is not None and own.blocked else None)


def blocked_in_words(own: InstrumentLimit) -> dict[str, Any]:
    """Return since when the symbol is blocked, by whom and why, with what waits to open it."""
    version = limit_versions.blocked_by(own.exchange, own.symbol)
    return {
        "symbol": str(own),
        "since": moment(version.at if version else own.changed_at),
        "by": version.author if version else own.changed_by,
        "why": version.reason if version else "",
        "url": reverse("admin:risk_instrumentlimit_change", args=(own.pk,)),
        "waiting": limits_waiting(LimitChange.objects.unfinished().about(own).filter(limit="blocked")),
    }


class UnblockDialog(ReasonDialog):
    confirmation = forms.CharField(
        label=f"Type {CONFIRMATION}",
        max_length=20,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
        help_text="For it loosens a limit.",
    )
    version_shown = forms.IntegerField(widget=forms.HiddenInput)
    field_order = ("reason", "confirmation")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["version_shown"] = limit_versions.in_force(now=timezone.now()).version
        if house().needs == Wish.Needs.SECOND_PERSON:  # no word is asked for
            del self.fields["confirmation"]

    def clean_confirmation(self) -> str:
        word: str = self.cleaned_data["confirmation"].strip()
        if word != CONFIRMATION:
            raise forms.ValidationError(f"Type {CONFIRMATION}, in capitals.")
        return word

    def facts(self) -> list[tuple[str, Any]]:
        needs = house()
        if needs.needs == Wish.Needs.SECOND_PERSON:
            return [("It takes effect", "when a second person approves it")]
        return [("It takes effect", f"{needs.delay.seconds} s later" if needs.delay else "at once")]


class BlockSymbol:
    """Mixed into the admin of a model whose rows have an exchange and a symbol."""

    change_form_before_template = "desk/blocked.html"

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer the one of both that makes sense; neither for what names no instrument that there is."""
        offered: list[Any] = super().get_actions_detail(request, object_id)  # type: ignore[misc]
        if not any(each.path in {"block_symbol", "unblock_symbol"} for each in offered):
            return offered
        row = self.get_object(request, object_id)  # type: ignore[attr-defined]
        sensible = ""
        if row is not None and (named := named_in(request, row)).is_listed:
            sensible = "unblock_symbol" if named.blocked_by else "block_symbol"
        others = {"block_symbol", "unblock_symbol"} - {sensible}
        return [each for each in offered if each.path not in others]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        row = self.get_object(request, object_id)  # type: ignore[attr-defined]
        own = named_in(request, row).blocked_by if row and row.symbol else None
        context = {"blocked": blocked_in_words(own) if own else None, **(extra_context or {})}
        answer: HttpResponse = super().change_view(request, object_id, form_url, context)  # type: ignore[misc]
        return answer

    @dialog_action(
        label="Block symbol",
        title="Block this symbol?",
        explanation="At once nothing is opened in it any more, by signals or by hand. It can still be closed. Orders "
        "that work already are not cancelled.",
        submit="Block it",
        form=ReasonDialog,
        permissions=BLOCK,
        icon="block",
    )
    def block_symbol(self, request: HttpRequest, form: ReasonDialog, object_id: str) -> HttpResponse:
        return self._set_blocked(request, object_id, True, form.cleaned_data["reason"])

    @dialog_action(
        label="Unblock symbol",
        title="Unblock this symbol?",
        explanation="Its orders may open positions again, within its other limits and the general ones.",
        submit="Unblock it",
        form=UnblockDialog,
        permissions=UNBLOCK,
        icon="lock_open",
    )
    def unblock_symbol(self, request: HttpRequest, form: UnblockDialog, object_id: str) -> HttpResponse:
        asked = form.cleaned_data
        return self._set_blocked(request, object_id, False, asked["reason"], version_shown=asked["version_shown"])

    def _set_blocked(
        self, request: HttpRequest, object_id: str, blocked: bool, reason: str, **more: Any
    ) -> HttpResponse:
        row = self.row(request, object_id)  # type: ignore[attr-defined]
        assert isinstance(request.user, User), "the admin lets nobody else in"
        with refusals_told(request, ChangeRefused, limit_versions.LimitsChanged):
            if not named_in(request, row).is_listed:  # blocking it would protect nobody
                raise ChangeRefused(f"{row.exchange}:{row.symbol} is not in the broker's list of instruments")
            saved = approvals.set_blocked(
                row.exchange,
                row.symbol,
                blocked,
                author=request.user,
                reason=reason,
                now=timezone.now(),
                house=house(),
                **more,
            )
            for wish in saved.waiting:
                messages.warning(request, f"{change_text(wish)} {how_it_waits(wish)}.")
            if not saved.waiting:
                messages.success(request, f"{saved.held} is {'blocked' if blocked else 'not blocked any more'}.")
            done = "Blocked" if blocked else "Wished unblocked" if saved.waiting else "Unblocked"
            self.log_change(request, row, f"{done}: {saved.held}. {reason}")  # type: ignore[attr-defined]
        opts = self.opts  # type: ignore[attr-defined]
        return answered(request, reverse(f"admin:{opts.app_label}_{opts.model_name}_change", args=(row.pk,)))
