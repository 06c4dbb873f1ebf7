"""Proofs of the line: what each stage brought, in our words and the broker's, and the dialog that begins one."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from unfold.widgets import UnfoldAdminTextInputWidget

from orders.admin.broker_login import login_words
from orders.admin.wording import money, order_badge
from orders.desk import Desk
from orders.line_proof import WORD, Asked, newest, prove
from orders.models import LineProof, Order
from orders.refusal_words import WHAT_TO_DO, Verdict
from risk.admin.dialogs import Dialog, token_field
from risk.admin.display import NOTHING, Tone, badge, moment
from risk.admin.mode_filter import ModeFilter
from risk.admin.read_only import ReadOnlyAdmin, once_a_row
from risk.models import Mode, TradingControl


class ProveDialog(Dialog):
    """Which share, and the word. The newest proof that was shown goes back with the answer."""

    symbol = forms.CharField(
        label="Share",
        max_length=51,
        widget=UnfoldAdminTextInputWidget,
        help_text="One of low price that is far from its lower circuit limit, such as ITC or NSE:ITC.",
    )
    word = forms.CharField(
        label=f"Type {WORD}", max_length=20, widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"})
    )
    token = token_field()
    shown = forms.IntegerField(widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.newest = newest(settings.TRADING_MODE)
        self.initial["shown"] = self.newest.pk if self.newest else 0

    def clean_word(self) -> str:
        word: str = self.cleaned_data["word"]
        if word != WORD:
            raise forms.ValidationError(f"Type {WORD}, in capitals.")
        return word

    def facts(self) -> list[tuple[str, Any]]:
        mode = settings.TRADING_MODE
        last = f"{self.newest}, by {self.newest.begun_by}" if self.newest else "none yet"
        facts = [("Mode", mode), ("The newest proof", last)]
        if mode == Mode.LIVE:
            control = TradingControl.objects.get(mode=mode)
            facts += [
                ("Logged in to Kite", login_words(mode, timezone.now())),
                ("Armed for", control.armed_user_id or "no account: arm live first"),
            ]
        return facts


def proof_told(request: HttpRequest, form: ProveDialog) -> LineProof:
    """Prove the line at the desk of the settings, and say what came of it."""
    exchange, _, symbol = form.cleaned_data["symbol"].strip().upper().rpartition(":")
    asked = Asked(
        token=form.cleaned_data["token"],
        exchange=exchange or settings.DEFAULT_EXCHANGE,
        symbol=symbol,
        by=request.user.get_username(),
        shown=form.cleaned_data["shown"],
    )
    proof = prove(Desk.from_settings(), asked)
    proved = proof.verdict == Verdict.PROVED
    messages.add_message(request, messages.SUCCESS if proved else messages.ERROR, f"{proof}.")
    return proof


def verdict_badge(proof: LineProof) -> str:
    if not proof.verdict:
        return badge("Under way", Tone.INFO, "hourglass_top")
    proved = proof.verdict == Verdict.PROVED
    loud = proof.verdict in {Verdict.DOUBT, Verdict.FILLED, Verdict.NOT_CANCELLED}
    tone = Tone.GOOD if proved else Tone.LOUD if loud else Tone.BAD
    return badge(proof.get_verdict_display(), tone, "check" if proved else "error")


@admin.register(LineProof)
class LineProofAdmin(ReadOnlyAdmin):
    list_display = ("begun", "symbol", "verdict_shown", "order_shown", "begun_by")
    list_filter = (ModeFilter,)
    list_select_related = ("order",)
    fieldsets = (
        (None, {"fields": (("verdict_shown", "mode"), "next_step", ("symbol", "price_shown"), "order_shown")}),
        ("Its stages", {"fields": ("each_stage",)}),
        ("Who", {"fields": (("begun", "begun_by"), "ended")}),
    )

    @admin.display(description="begun", ordering="begun_at")
    def begun(self, proof: LineProof) -> str:
        return moment(proof.begun_at)

    @admin.display(description="ended")
    def ended(self, proof: LineProof) -> str:
        return moment(proof.ended_at)

    @admin.display(description="verdict", ordering="verdict")
    def verdict_shown(self, proof: LineProof) -> str:
        return verdict_badge(proof)

    @admin.display(description="what to do")
    def next_step(self, proof: LineProof) -> str:
        return (WHAT_TO_DO[Verdict(proof.verdict)] if proof.verdict else "") or NOTHING

    @admin.display(description="limit price")
    def price_shown(self, proof: LineProof) -> str:
        return money(proof.price)

    @admin.display(description="order")
    @once_a_row
    def order_shown(self, proof: LineProof) -> str:
        order: Order | None = proof.order
        return render_to_string("desk/proof_order.html", {"order": order, "badge": order and order_badge(order)})

    @admin.display(description="stages")
    @once_a_row
    def each_stage(self, proof: LineProof) -> str:
        rows = [
            {
                "row": stage,
                "at": moment(stage.at),
                "badge": badge("Good", Tone.GOOD, "check") if stage.passed else badge("Failed", Tone.BAD, "close"),
            }
            for stage in proof.stages.all()
        ]
        return render_to_string("desk/proof_stages.html", {"stages": rows})


def page_of_proof(proof: LineProof) -> str:
    return reverse("admin:orders_lineproof_change", args=(proof.pk,))
