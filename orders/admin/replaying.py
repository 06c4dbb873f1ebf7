"""Replaying a signal from its page: the dialog, the action, and the links between a signal and its replays."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from unfold.widgets import UnfoldAdminTextInputWidget

from orders.admin.refusals import REFUSALS
from orders.admin.wording import money, signal_badge
from orders.desk import Desk, trading_date
from orders.models import MissedExit, Signal
from orders.replaying import ReplayRefused, cannot_be_replayed, replay
from risk.admin.dialogs import ReasonDialog, answered, dialog_action, refusals_told, token_field
from risk.admin.display import NOTHING, moment, plain
from risk.admin.read_only import named_by
from risk.models import Mode

REPLAY = "REPLAY"


class ReplayDialog(ReasonDialog):
    """Says what will be repeated. In live it wants a word typed: it may become a real order at once."""

    word = forms.CharField(
        label=f"Type {REPLAY}", max_length=20, widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"})
    )
    shown = forms.IntegerField(widget=forms.HiddenInput)
    token = token_field()
    field_order = ("reason", "word")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.signal = named_by(Signal.objects.defer("raw"), self.object_id)
        self.initial["shown"] = self.signal.replays.count() if self.signal else 0
        if settings.TRADING_MODE != Mode.LIVE:
            del self.fields["word"]

    def clean_word(self) -> str:
        word: str = self.cleaned_data["word"]
        if word != REPLAY:
            raise forms.ValidationError(f"Type {REPLAY}, in capitals.")
        return word

    def facts(self) -> list[tuple[str, Any]]:
        signal = self.signal
        if signal is None:
            return []
        if refusal := cannot_be_replayed(signal, settings.TRADING_MODE, trading_date(timezone.now())):
            return [("The new signal", f"none: {refusal}")]
        wish = f"{signal.signal_type} {signal.exchange}:{signal.symbol}, score {plain(signal.cms_score)}"
        facts: list[tuple[str, Any]] = [("The new signal", wish), ("What became of this one", signal_badge(signal))]
        if signal.price is not None:
            facts.append(
                ("Price that it advises", format_html("{} as of {}", money(signal.price), moment(signal.signal_at)))
            )
        if self.initial["shown"]:
            facts.append(("Replayed already", f"{self.initial['shown']} times"))
        return facts


class ReplayPages:
    """Mixed into the signals' admin."""

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer what makes sense for the signal as it is; the use case checks again."""
        signal = self.get_object(request, object_id)  # type: ignore[attr-defined]
        if signal is None:
            return []
        offered: list[Any] = super().get_actions_detail(request, object_id)  # type: ignore[misc]
        refused = cannot_be_replayed(signal, settings.TRADING_MODE, trading_date(timezone.now()))
        return [each for each in offered if each.path != "replay" or not refused]

    @dialog_action(
        label="Replay as a new signal",
        title="Replay this signal as a new one?",
        explanation="It gets a new id and the time of now, and the executor acts on it like on any other: the "
        "controls, auto-trading among them, decide.",
        submit="Replay it",
        form=ReplayDialog,
        permissions=["orders.replay_signal"],
        icon="replay",
    )
    def replay(self, request: HttpRequest, form: ReplayDialog, object_id: str) -> HttpResponse:
        signal: Signal = self.row(request, object_id)  # type: ignore[attr-defined]
        page = reverse("admin:orders_signal_change", args=(signal.pk,))
        wish = {name: form.cleaned_data[name] for name in ("token", "reason", "shown")}
        with refusals_told(request, *REFUSALS, ReplayRefused):
            made = replay(Desk.from_settings(), signal, by=request.user.get_username(), **wish)
            page = reverse("admin:orders_signal_change", args=(made.signal.pk,))
            if made.is_new:
                self._log(request, signal, made.signal, wish["reason"])
                messages.success(request, f"This is the new signal: {made.signal}.")
            else:
                messages.warning(request, "It was replayed already, by this very form.")
        return answered(request, page)

    def _log(self, request: HttpRequest, signal: Signal, made: Signal, reason: str) -> None:
        self.log_change(request, signal, f"Replayed as {made.signal_id}: {reason}")  # type: ignore[attr-defined]
        self.log_addition(request, made, f"Replay of {signal.signal_id}: {reason}")  # type: ignore[attr-defined]

    @admin.display(description="replays")
    def replays_shown(self, signal: Signal) -> str:
        """Link the signal that this one repeats, those that repeat it, and where it waits for a person."""
        kept = signal.__dict__  # the theme's template asks for each field five times
        if "_replays_shown" not in kept:
            kept["_replays_shown"] = _links_of(signal)
        told: str = kept["_replays_shown"]
        return told


def _links_of(signal: Signal) -> str:
    before = [("Replay of", signal.replay_of)] if signal.replay_of else []
    replays = signal.replays.defer("raw").order_by("id") if getattr(signal, "is_replayed", True) else ()
    links = [
        (told, reverse("admin:orders_signal_change", args=(each.pk,)), str(each), signal_badge(each))
        for told, each in [*before, *(("Replayed as", each) for each in replays)]
    ]
    missed = MissedExit.objects.filter(signal=signal).first()
    if missed is not None:
        page = reverse("admin:orders_missedexit_change", args=(missed.pk,))
        links.append(("In the inbox", page, str(missed), missed.get_state_display()))
    shown = format_html_join("", '<p>{} <a class="desk-link" href="{}">{}</a> {}</p>', links)
    return shown or NOTHING
