"""Incidents: what a person must look at. The trading app registers the page and adds what needs orders."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminTextareaWidget

from risk.admin.dialogs import Dialog, answered, dialog_action
from risk.admin.display import Tone, badge, moment
from risk.admin.mode_filter import ModeFilter
from risk.admin.read_only import ReadOnlyAdmin, named_by
from risk.models import Incident

STATUS_TONES = {
    Incident.Status.OPEN: (Tone.BAD, "error"),
    Incident.Status.ACKNOWLEDGED: (Tone.WARNING, "visibility"),
    Incident.Status.RESOLVED: (Tone.GOOD, "check"),
}


class IncidentDialog(Dialog):
    note = forms.CharField(
        max_length=2000, widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}), help_text="It is kept."
    )

    def facts(self) -> list[tuple[str, Any]]:
        incident = named_by(Incident.objects.all(), self.object_id)
        return [("Incident", incident.title), ("What to do", incident.what_to_do)] if incident else []


class IncidentAdmin(ReadOnlyAdmin):
    list_display = ("status_badge", "last", "what", "what_to_do", "stops", "count", "closed_by")
    list_display_links = ("what",)
    list_filter = (("status", ChoicesDropdownFilter), ("kind", ChoicesDropdownFilter), "stops_opening", ModeFilter)
    search_fields = ("=symbol", "client_order_id__exact", "title")
    fieldsets = (
        (None, {"fields": ("what", "status_badge", "stops", "what_to_do", "detail")}),
        ("About", {"fields": ("mode", "symbol", "client_order_id", "count", "first", "last")}),
        ("Closing", {"fields": ("closed_by", "closed", "note")}),
    )
    actions_detail = ["acknowledge", "resolve"]

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer what still can be done; the actions check again."""
        incident = named_by(Incident.objects.all(), object_id)
        if incident is None:
            return []
        done = {Incident.Status.ACKNOWLEDGED: {"acknowledge"}, Incident.Status.RESOLVED: {"acknowledge", "resolve"}}
        offered: list[Any] = super().get_actions_detail(request, object_id)
        return [each for each in offered if each.path not in done.get(Incident.Status(incident.status), set())]

    @dialog_action(
        label="Acknowledge",
        title="Acknowledge the incident?",
        explanation="You are looking at it. It keeps stopping what it stops.",
        submit="Acknowledge",
        form=IncidentDialog,
        permissions=["risk.resolve_incident"],
        icon="visibility",
    )
    def acknowledge(self, request: HttpRequest, form: IncidentDialog, object_id: str) -> HttpResponse:
        incident: Incident = self.row(request, object_id)
        incident.acknowledge(by=request.user.get_username(), note=form.cleaned_data["note"])
        return self._tell(request, incident, Incident.Status.ACKNOWLEDGED, form.cleaned_data["note"])

    @dialog_action(
        label="Resolve",
        title="Resolve the incident?",
        explanation="What it stopped may go on. The same trouble opens a new one.",
        submit="Resolve",
        form=IncidentDialog,
        permissions=["risk.resolve_incident"],
        icon="check",
        variant=ActionVariant.PRIMARY,
    )
    def resolve(self, request: HttpRequest, form: IncidentDialog, object_id: str) -> HttpResponse:
        incident: Incident = self.row(request, object_id)
        incident.resolve(by=request.user.get_username(), note=form.cleaned_data["note"], now=timezone.now())
        return self._tell(request, incident, Incident.Status.RESOLVED, form.cleaned_data["note"])

    def _tell(self, request: HttpRequest, incident: Incident, wished: Incident.Status, note: str) -> HttpResponse:
        before = incident.status
        incident.refresh_from_db()
        if before != wished and incident.status == wished:
            self.log_change(request, incident, f"{wished.label}: {note}")
            self.message_user(request, f"{wished.label}: {incident.title}", messages.SUCCESS)
        else:
            told = (
                f"It is {incident.get_status_display().lower()} already, by {incident.closed_by}: nothing was changed."
            )
            self.message_user(request, told, messages.WARNING)
        return answered(request, reverse("admin:risk_incident_change", args=(incident.pk,)))

    @admin.display(description="status", ordering="status")
    def status_badge(self, incident: Incident) -> str:
        tone, icon = STATUS_TONES[Incident.Status(incident.status)]
        return badge(incident.get_status_display(), tone, icon)

    @admin.display(description="incident", ordering="title")
    def what(self, incident: Incident) -> str:
        return format_html(
            '<span class="desk-two"><b>{}</b><span>{}</span></span>', incident.title, incident.get_kind_display()
        )

    @admin.display(description="stops opening", ordering="stops_opening")
    def stops(self, incident: Incident) -> str:
        if not incident.stops_opening:
            return badge("No")
        where = incident.symbol or "all symbols"
        return badge(f"Yes: {where}", Tone.LOUD if incident.is_open else Tone.PLAIN, "block")

    @admin.display(description="last seen", ordering="last_at")
    def last(self, incident: Incident) -> str:
        return moment(incident.last_at)

    @admin.display(description="first seen", ordering="first_at")
    def first(self, incident: Incident) -> str:
        return moment(incident.first_at)

    @admin.display(description="closed")
    def closed(self, incident: Incident) -> str:
        return moment(incident.closed_at)
