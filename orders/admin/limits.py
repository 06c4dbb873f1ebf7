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

from orders.admin.wording import outcome_badge
from orders.simulation import LAST, UNKNOWN, Simulated, Simulation, simulate
from risk.admin.display import Tone, badge, moment
from risk.admin.limit_history import limit_label
from risk.admin.limits import RiskSettingsAdmin, RiskSettingsForm
from risk.engine.limits import Limits
from risk.engine.rules import Outcome
from risk.models import RiskSettings

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
        return [simulate_url, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = {
            "may_simulate": self._may_simulate(request),
            "decisions_simulated": LAST,
            **(extra_context or {}),
        }
        return super().change_view(request, object_id, form_url, context)

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
            simulation = simulate(settings.TRADING_MODE, Limits(version=limits.version, **edited))
            context |= {"simulation": simulation, "edited": [limit_label(name) for name in form.changed_limits]}
            context |= {"counts": _counts(simulation), "rows": list(map(_row, simulation.changed[:CHANGES_SHOWN]))}
        return TemplateResponse(request, "desk/simulation.html", context)

    def _may_simulate(self, request: HttpRequest) -> bool:
        return self.has_change_permission(request) and bool(request.user.has_perm("orders.view_decision"))


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
