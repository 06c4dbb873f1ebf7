"""
The page of the way to live money: how the five steps stand, what was said of each, and the buttons that go on.

The steps are above the list of what was said. Each button is one call of one use case; who may only look sees the page.
"""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from orders import going_live, small_limits
from orders.admin.line_proofs import ProveDialog, page_of_proof, proof_told
from orders.admin.refusals import REFUSALS
from orders.going_live import StepRefused, steps
from orders.line_proof import ProofRefused
from orders.models import GoingLiveStep
from orders.small_limits import Wished
from orders.start_of_day import Check, State
from risk import limit_versions
from risk.admin.dialogs import Dialog, ReasonDialog, answered, dialog_action, refusals_told
from risk.admin.display import Tone, as_text, badge, clipped, moment
from risk.admin.limit_changes import house
from risk.admin.read_only import ReadOnlyAdmin, once_a_row
from risk.four_eyes import CONFIRMATION, ChangeRefused
from risk.limit_versions import LimitsChanged
from risk.models import LimitChange, RiskSettings

Step = GoingLiveStep.Step
Said = GoingLiveStep.Said

GO_ON = "orders.pass_step"
_CHECK_BADGES = {
    State.GOOD: ("Good", Tone.GOOD, "check"),
    State.WARNING: ("Look", Tone.WARNING, "warning"),
    State.BAD: ("Not yet", Tone.BAD, "close"),
}
_SAID_BADGES = {
    Said.PASSED: (Tone.GOOD, "check"),
    Said.OVERRIDDEN: (Tone.LOUD, "fast_forward"),
    Said.REOPENED: (Tone.WARNING, "restart_alt"),
    Said.PRESET: (Tone.INFO, "lock"),
    Said.LIFTED: (Tone.WARNING, "lock_open"),
}


def _word_field(word: str) -> forms.CharField:
    return forms.CharField(
        label=f"Type {word}",
        max_length=20,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
    )


class StepDialog(ReasonDialog):
    """Names the present step and what its checks find; the step that was shown goes back with the answer."""

    step = forms.CharField(widget=forms.HiddenInput, max_length=10)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["step"] = going_live.present_step() or ""

    def facts(self) -> list[tuple[str, Any]]:
        present = next((each for each in steps(timezone.now()) if each.is_present), None)
        if present is None:
            return [("Steps", "every one is over")]
        lacking = [(check.title, check.measured) for check in present.lacking]
        return [("Step", present.title), *(lacking or [("Its checks", "all good")])]


class GoPastDialog(StepDialog):
    word = _word_field(going_live.WORD)
    field_order = ("reason", "word")

    def clean_word(self) -> str:
        word: str = self.cleaned_data["word"]
        if word != going_live.WORD:
            raise forms.ValidationError(f"Type {going_live.WORD}, in capitals.")
        return word


class BeginAnewDialog(ReasonDialog):
    step = forms.ChoiceField(choices=Step.choices, widget=UnfoldAdminSelectWidget(choices=Step.choices))
    field_order = ("step", "reason")


class LimitsDialog(Dialog):
    """What changes limits names the version that was shown."""

    version_shown = forms.IntegerField(widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.limits = limit_versions.in_force(now=timezone.now())
        self.initial["version_shown"] = self.limits.version


class HoldSmallDialog(LimitsDialog, ReasonDialog):
    symbol = forms.CharField(
        label="Share",
        max_length=51,
        widget=UnfoldAdminTextInputWidget,
        help_text="The only one that may be opened, such as INFY or NSE:INFY.",
    )
    field_order = ("symbol", "reason")

    def facts(self) -> list[tuple[str, Any]]:
        return [
            (RiskSettings.label(name), f"{as_text(getattr(self.limits, name))} now, at most {as_text(value)} then")
            for name, value in small_limits.SMALL.items()
        ]


class LiftDialog(LimitsDialog, ReasonDialog):
    """Wishes the limits back: with the word where the house asks for one."""

    word = forms.CharField(
        required=False,
        max_length=20,
        label=f"Type {CONFIRMATION}",
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
    )
    field_order = ("reason", "word")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.asks_for_the_word = house().needs == LimitChange.Needs.CONFIRMATION
        if not self.asks_for_the_word:
            self.fields["word"].widget = forms.HiddenInput()

    def clean_word(self) -> str:
        word: str = self.cleaned_data["word"]
        if self.asks_for_the_word and word != CONFIRMATION:
            raise forms.ValidationError(f"Type {CONFIRMATION}, in capitals.")
        return word

    def facts(self) -> list[tuple[str, Any]]:
        preset = small_limits.held_small()
        if preset is None:
            return [("Held small", "nothing")]
        held = small_limits.still_held(self.limits, preset)
        rows = [(RiskSettings.label(name), f"back to {preset.facts['before'][name]}") for name in held]
        second = "a second person must answer each" if not self.asks_for_the_word else "the word confirms it"
        return [*rows, ("Needs", second)]


@admin.register(GoingLiveStep)
class GoingLiveStepAdmin(ReadOnlyAdmin):
    """How the steps stand, above everything that was ever said of them."""

    list_before_template = "desk/going_live.html"
    list_display = ("when", "step_shown", "said_shown", "by", "why")
    list_display_links = ("when",)
    fieldsets = ((None, {"fields": (("step_shown", "said_shown"), ("when", "by"), "reason", "measured")}),)
    actions_list = ["pass_step", "prove_line", "hold_small", "lift", "go_past", "begin_anew"]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if request.method == "GET" and request.GET.get("part") == "checks":
            return self._checks(request)
        last, present = going_live.last_said(), going_live.present_step()
        context = {
            "title": "Going live",
            "steps": [_for_page(step, last.get(step), is_present=step == present) for step in Step],
            "mode": settings.TRADING_MODE,
            **(extra_context or {}),
        }
        answer: HttpResponse = super().changelist_view(request, context)
        return answer

    def _checks(self, request: HttpRequest) -> HttpResponse:
        """Answer with what the checks of one step find now: the page asks for them when the step is opened."""
        if not self.has_view_permission(request) or request.GET.get("step") not in Step.values:
            raise PermissionDenied
        now = timezone.now()
        looked_at = Step(request.GET["step"])
        stands = next(each for each in steps(now, looked_at=looked_at) if each.step == looked_at)
        context = {
            "step": stands,
            "checks": [
                {"check": check, "badge": badge(*_CHECK_BADGES[check.state]), "page": _page_of_check(request, check)}
                for check in stands.checks
            ],
            "as_of": timezone.localtime(now),
        }
        return TemplateResponse(request, "desk/going_live_checks.html", context)

    @dialog_action(
        label="Pass the step",
        title="Pass the present step?",
        explanation="Its checks are green, and what they found is kept with your name.",
        submit="Pass it",
        form=StepDialog,
        permissions=[GO_ON],
        icon="check",
        variant=ActionVariant.SUCCESS,
    )
    def pass_step(self, request: HttpRequest, form: StepDialog) -> HttpResponse:
        return self._said(request, going_live.pass_step, form)

    @dialog_action(
        label="Go past",
        title="Go past the present step although it is not green?",
        explanation="It is kept with your name, your reason and what was not green, for as long as the audit trail.",
        submit="Go past it",
        form=GoPastDialog,
        permissions=[GO_ON],
        icon="fast_forward",
        variant=ActionVariant.DANGER,
    )
    def go_past(self, request: HttpRequest, form: GoPastDialog) -> HttpResponse:
        return self._said(request, going_live.go_past, form)

    @dialog_action(
        label="Begin anew",
        title="Take a step again?",
        explanation="That step and those after it are to be passed again. Trading stays as it is.",
        submit="Begin anew",
        form=BeginAnewDialog,
        permissions=[GO_ON],
        icon="restart_alt",
        variant=ActionVariant.WARNING,
    )
    def begin_anew(self, request: HttpRequest, form: BeginAnewDialog) -> HttpResponse:
        return self._said(request, going_live.begin_anew, form)

    @dialog_action(
        label="Prove the line",
        title="Place one share far below the market, and cancel it?",
        explanation="A real order in LIVE, sent like any other: it may be refused, and against all odds it may fill. "
        "It takes some seconds.",
        submit="Prove the line",
        form=ProveDialog,
        permissions=["orders.prove_line"],
        icon="cable",
        variant=ActionVariant.WARNING,
    )
    def prove_line(self, request: HttpRequest, form: ProveDialog) -> HttpResponse:
        page = _page()
        with refusals_told(request, *REFUSALS, ProofRefused):
            proof = proof_told(request, form)
            self.log_change(request, proof, f"{proof}.")
            page = page_of_proof(proof)
        return answered(request, page)

    @dialog_action(
        label="Small limits",
        title="Hold the limits to one share of one symbol?",
        explanation="At once. A limit that is tighter already stays. Only a person lifts them again.",
        submit="Hold them small",
        form=HoldSmallDialog,
        permissions=["risk.change_risksettings"],
        icon="lock",
        variant=ActionVariant.PRIMARY,
    )
    def hold_small(self, request: HttpRequest, form: HoldSmallDialog) -> HttpResponse:
        exchange, _, symbol = form.cleaned_data["symbol"].strip().upper().rpartition(":")
        with refusals_told(request, *REFUSALS, ChangeRefused, LimitsChanged):
            said = small_limits.hold_small(exchange or settings.DEFAULT_EXCHANGE, symbol, _wished(request, form))
            self._keep(request, said, f"The limits are held small: {len(said.facts['after'])} became tighter.")
        return answered(request, _page())

    @dialog_action(
        label="Lift limits",
        title="Wish the limits back to what they were?",
        explanation="It is a loosening like any other: with the word it holds after a minute in live, or a second "
        "person answers at Limit changes.",
        submit="Lift them",
        form=LiftDialog,
        permissions=["risk.change_risksettings"],
        icon="lock_open",
        variant=ActionVariant.DANGER,
    )
    def lift(self, request: HttpRequest, form: LiftDialog) -> HttpResponse:
        with refusals_told(request, *REFUSALS, ChangeRefused, LimitsChanged):
            said = small_limits.lift(_wished(request, form))
            waiting = len(said.facts["waiting"])
            told = f"{waiting} wait: see Limit changes" if waiting else "they hold at once"
            self._keep(request, said, f"{len(said.facts['wished'])} limits are wished back; {told}.")
        return answered(request, _page())

    def _said(self, request: HttpRequest, use_case: Any, form: Dialog) -> HttpResponse:
        with refusals_told(request, *REFUSALS, StepRefused):
            said: GoingLiveStep = use_case(
                form.cleaned_data["step"],
                by=request.user.get_username(),
                reason=form.cleaned_data["reason"],
                now=timezone.now(),
            )
            self._keep(request, said, f"{said}.")
        return answered(request, _page())

    def _keep(self, request: HttpRequest, said: GoingLiveStep, told: str) -> None:
        self.log_change(request, said, f"{told} {said.reason}".strip())
        self.message_user(request, told, messages.SUCCESS)

    @admin.display(description="when", ordering="at")
    def when(self, said: GoingLiveStep) -> str:
        return moment(said.at)

    @admin.display(description="step", ordering="step")
    def step_shown(self, said: GoingLiveStep) -> str:
        return said.get_step_display()

    @admin.display(description="said", ordering="said")
    def said_shown(self, said: GoingLiveStep) -> str:
        return said_badge(said)

    @admin.display(description="reason")
    def why(self, said: GoingLiveStep) -> str:
        return clipped(said.reason)

    @admin.display(description="what was measured")
    @once_a_row
    def measured(self, said: GoingLiveStep) -> str:
        return "\n".join(_fact(name, told) for name, told in said.facts.items())


def said_badge(said: GoingLiveStep) -> str:
    tone, icon = _SAID_BADGES[Said(said.said)]
    return badge(said.get_said_display(), tone, icon)


def _fact(name: str, told: Any) -> str:
    if not isinstance(told, dict):
        return f"{name}: {told}"
    if "measured" in told:
        return f"{name}: {told['measured']} ({told['state']})"
    return f"{name}: " + ", ".join(f"{RiskSettings.label(limit)} {value}" for limit, value in told.items())


def _wished(request: HttpRequest, form: LimitsDialog) -> Wished:
    return Wished(
        author=cast("User", request.user),
        reason=form.cleaned_data["reason"],
        now=timezone.now(),
        house=house(),
        version_shown=form.cleaned_data["version_shown"],
    )


def _page() -> str:
    return reverse("admin:orders_goinglivestep_changelist")


def _for_page(step: GoingLiveStep.Step, said: GoingLiveStep | None, *, is_present: bool) -> dict[str, Any]:
    is_over = said is not None and said.said != Said.REOPENED
    tone = "info" if is_present else "plain"
    if said is not None and is_over:
        tone = "good" if said.said == Said.PASSED else "warning"
    return {
        "step": step,
        "about": going_live.ABOUT[step],
        "row": said,
        "said": said_badge(said) if said else "",
        "said_at": moment(said.at) if said else "",
        "is_present": is_present,
        "tone": tone,
    }


def _page_of_check(request: HttpRequest, check: Check) -> str:
    """Return where its rows are, empty for one who may not open that page."""
    if not check.page:
        return ""
    app, model, _ = check.page.split("_")
    return reverse(f"admin:{check.page}") if request.user.has_perm(f"{app}.view_{model}") else ""
