"""The limits' page with a button that shows what the last decisions would have been under the edited limits."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone

from orders.admin.dashboard import Day, gauge
from orders.admin.wording import outcome_badge
from orders.desk import DeskNotWired
from orders.simulation import LAST, UNKNOWN, Simulated, Simulation, simulate
from risk.admin.display import Tone, as_text, badge, moment
from risk.admin.limit_history import label_with_unit, limit_label
from risk.admin.limits import RiskSettingsAdmin, RiskSettingsForm
from risk.engine.limits import Limits
from risk.engine.rules import Outcome
from risk.four_eyes import CONFIRMATION
from risk.models import LimitChange, RiskSettings

_ORDER = (*(outcome.value for outcome in Outcome), UNKNOWN)
CHANGES_SHOWN = 50


@admin.register(RiskSettings)
class SimulatedRiskSettingsAdmin(RiskSettingsAdmin):
    change_form_after_template = "desk/simulate.html"

    def get_urls(self) -> list[URLPattern]:
        simulate_url = path(
            "<path:object_id>/simulate/",
            self.admin_site.admin_view(self.simulate_view),
            name="risk_risksettings_simulate",
        )
        used_url, preview_url = (
            path(f"<path:object_id>/{part}/", self.admin_site.admin_view(view), name=f"risk_risksettings_{part}")
            for part, view in (("used", self.used_view), ("preview", self.preview_view))
        )
        return [simulate_url, used_url, preview_url, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = {
            "may_simulate": self._may_simulate(request),
            "may_edit": self.has_change_permission(request),
            "decisions_simulated": LAST,
            **(extra_context or {}),
        }
        return super().change_view(request, object_id, form_url, context)

    def used_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Answer with how much of each limit is used now, each for its own place beside the field."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        day = Day(request, timezone.now())
        try:
            found = day.used
        except DeskNotWired as trouble:
            return TemplateResponse(request, "desk/limits_used.html", {"trouble": str(trouble)})
        context = {"gauges": [gauge(each) for each in found if each.name], "as_of": timezone.localtime(day.now)}
        return TemplateResponse(request, "desk/limits_used.html", context)

    def preview_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Answer with what a save of the page would change, and what it would need. It saves nothing."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        limits = self.get_object(request, object_id)
        if request.method != "POST" or limits is None:
            return HttpResponseNotAllowed(["POST"])
        form = self.get_form(request, limits, change=True)(request.POST, instance=limits)
        assert isinstance(form, RiskSettingsForm), "it is the page's own form"
        form.only_simulates()
        form.is_valid()
        return TemplateResponse(request, "desk/limits_preview.html", {"errors": _errors(form), "steps": steps(form)})

    def simulate_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Answer with what the limits on the page would have changed. It saves nothing, and needs no reason."""
        if not self._may_simulate(request):
            raise PermissionDenied
        limits = self.get_object(request, object_id)
        if request.method != "POST" or limits is None:
            return HttpResponseNotAllowed(["POST"])
        form = self.get_form(request, limits, change=True)(request.POST, instance=limits)
        assert isinstance(form, RiskSettingsForm), "it is the page's own form"
        form.only_simulates()
        context: dict[str, Any] = {"errors": _errors(form)}
        if form.is_valid():
            edited = {name: form.cleaned_data[name] for name in RiskSettings.LIMIT_FIELDS}
            edited_limits = Limits(version=limits.version, **edited)
            simulation = simulate(settings.TRADING_MODE, edited_limits, now=timezone.now())
            context |= {"simulation": simulation, "edited": [limit_label(name) for name in form.changed_limits]}
            context |= {"counts": _counts(simulation), "rows": list(map(_row, simulation.changed[:CHANGES_SHOWN]))}
        return TemplateResponse(request, "desk/simulation.html", context)

    def _may_simulate(self, request: HttpRequest) -> bool:
        return self.has_change_permission(request) and bool(request.user.has_perm("orders.view_decision"))


def steps(form: RiskSettingsForm) -> list[dict[str, Any]]:
    """Return what the form changes: each limit before and after, whether that loosens it, and what it needs then."""
    second_person = form.house.needs == LimitChange.Needs.SECOND_PERSON
    needs = "waits for a second person" if second_person else f"needs the word {CONFIRMATION}"
    if form.house.delay:
        needs = f"{needs}, and holds a minute later"
    found = []
    for name in form.changed_limits:
        if name not in form.cleaned_data:
            continue  # it cannot be read as a value: the errors say so
        before, after = getattr(form.before, name), form.cleaned_data[name]
        loosens = RiskSettings.loosens(name, before, after)
        tone, icon, word = (Tone.WARNING, "lock_open", "Looser") if loosens else (Tone.GOOD, "lock", "Tighter")
        found.append(
            {
                "label": label_with_unit(name),
                "before": as_text(before),
                "after": as_text(after),
                "badge": badge(word, tone, icon),
                "needs": needs if loosens else "at once",
            }
        )
    return found


def _errors(form: RiskSettingsForm) -> list[str]:
    return [
        f"{limit_label(name)}: {each}" if name in form.fields else str(each)
        for name, found in form.errors.items()
        for each in found
    ]


def _badge(outcome: str) -> str:
    return badge("Cannot be known", Tone.INFO, "help") if outcome == UNKNOWN else outcome_badge(outcome)


def _counts(simulation: Simulation) -> list[tuple[str, int, int]]:
    """Return (outcome, then, under the edited limits) of each outcome that occurs."""
    then: Counter[str] = simulation.outcomes_then
    return [
        (_badge(outcome), then[outcome], simulation.outcomes[outcome])
        for outcome in _ORDER
        if then[outcome] or simulation.outcomes[outcome]
    ]


def _row(each: Simulated) -> dict[str, Any]:
    return {
        "decision": each.decision,
        "at": moment(each.decision.at),
        "then": _badge(each.decision.outcome),
        "now": _badge(each.outcome),
        "reason_then": each.decision.reason,
        "reason": each.reason,
        "order_then": each.order_then,
        "order": each.order,
    }
