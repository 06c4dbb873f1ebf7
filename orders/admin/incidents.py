"""The incidents' page, with the one remedy that needs the trading app: exiting what a signal did not close."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from unfold.enums import ActionVariant

from orders import missed_exits
from orders.admin import export_columns, runbooks_page
from orders.admin.export import ExportPages
from orders.admin.positions import exit_facts, exit_told
from orders.admin.refusals import REFUSALS
from orders.by_hand import NothingToExit
from orders.models import Position
from risk.admin.dialogs import Dialog, answered, dialog_action, refusals_told, token_field
from risk.admin.incidents import IncidentAdmin
from risk.admin.read_only import named_by
from risk.models import Incident


def position_of(incident: Incident) -> Position:
    """Return the one open position that the incident is about. Raise `NothingToExit`."""
    exchange, _, _ = incident.subject.partition(":")
    same = {"mode": incident.mode, "exchange": exchange, "symbol": incident.symbol}
    found = Position.objects.filter(**same).exclude(quantity=0)[:2]
    if incident.kind != Incident.Kind.EXIT_NOT_TAKEN or not found:
        raise NothingToExit(f"there is no open position in {incident.symbol or 'this incident'}")
    if len(found) > 1:
        raise NothingToExit(f"{incident.symbol} is open in more than one product: choose on the positions page")
    if missed_exits.went_flat(**same, since=incident.first_at):
        raise NothingToExit(missed_exits.WENT_FLAT)
    return found[0]


class IncidentExitDialog(Dialog):
    token = token_field()

    def facts(self) -> list[tuple[str, Any]]:
        incident = named_by(Incident.objects.all(), self.object_id)
        if incident is None:
            return []
        try:
            return [("Incident", incident.title), *exit_facts(position_of(incident))]
        except NothingToExit as reason:
            return [("Incident", incident.title), ("The order", f"none: {reason}")]


@admin.register(Incident)
class TradingIncidentAdmin(ExportPages, IncidentAdmin):
    export_columns = export_columns.INCIDENTS
    fieldsets: Any = (
        (None, {"fields": ("what", "status_badge", "stops", "what_to_do", "runbook", "detail")}),
        *IncidentAdmin.fieldsets[1:],
    )
    actions_detail = ["exit", *IncidentAdmin.actions_detail]

    @admin.display(description="step by step")
    def runbook(self, incident: Incident) -> str:
        return runbooks_page.link_of(incident) or "–"

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        offered = super().get_actions_detail(request, object_id)
        about_an_exit = Incident.objects.filter(kind=Incident.Kind.EXIT_NOT_TAKEN, is_open=True)
        return [each for each in offered if each.path != "exit" or named_by(about_an_exit, object_id)]

    @dialog_action(
        label="Exit position",
        title="Exit the position that the signal wanted closed?",
        explanation="It is sent at once, also while trading is halted. The incident stays open until it is resolved.",
        submit="Exit position",
        form=IncidentExitDialog,
        permissions=["orders.exit_position"],
        icon="logout",
        variant=ActionVariant.DANGER,
    )
    def exit(self, request: HttpRequest, form: IncidentExitDialog, object_id: str) -> HttpResponse:
        incident: Incident = self.row(request, object_id)
        with refusals_told(request, *REFUSALS):
            order = exit_told(request, position_of(incident), token=form.cleaned_data["token"])
            self.log_change(request, incident, f"Exit: order {order.client_order_id}")
        return answered(request, reverse("admin:risk_incident_change", args=(incident.pk,)))
