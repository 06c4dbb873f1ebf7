"""Incidents: what a person must look at. The trading app registers the page and adds what needs orders."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Case, QuerySet, Value, When
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminTextareaWidget

from risk.admin import bulk
from risk.admin.dialogs import Dialog, answered, dialog_action
from risk.admin.display import Tone, badge, moment, sentence
from risk.admin.mode_filter import ModeFilter
from risk.admin.read_only import ReadOnlyAdmin, named_by
from risk.models import Incident

STATUS_TONES = {
    Incident.Status.OPEN: (Tone.BAD, "error"),
    Incident.Status.ACKNOWLEDGED: (Tone.WARNING, "visibility"),
    Incident.Status.RESOLVED: (Tone.GOOD, "check"),
}


class NothingChanged(Exception):
    """Somebody did it before; the text says who."""


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
    # What nobody has looked at yet comes first, and last what is over.
    ordering = (
        Case(When(status="OPEN", then=Value(0)), When(status="ACKNOWLEDGED", then=Value(1)), default=Value(2)),
        "-last_at",
    )
    actions = ["acknowledge_selected", "resolve_selected"]
    fieldsets = (
        (None, {"fields": ("what", "status_badge", "stops", "what_to_do", "detail")}),
        ("About", {"fields": ("mode", "symbol", "client_order_id", "count", "first", "last")}),
        ("Closing", {"fields": ("closed_by", "closed", "note")}),
    )
    actions_detail = ["acknowledge", "resolve"]

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer what still can be done; the actions check again."""
        incident = self.get_object(request, object_id)
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
        return self._told(request, object_id, Incident.Status.ACKNOWLEDGED, form)

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
        return self._told(request, object_id, Incident.Status.RESOLVED, form)

    def has_resolve_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("risk.resolve_incident")

    @admin.action(description="Acknowledge the selected incidents", permissions=["resolve"])
    def acknowledge_selected(self, request: HttpRequest, queryset: QuerySet[Incident]) -> HttpResponse | None:
        acknowledging = bulk.Bulk(
            action="acknowledge_selected",
            title="Acknowledge the selected incidents?",
            submit="Acknowledge these incidents",
            done="incidents acknowledged",
            explanation="You are looking at them. They keep stopping what they stop. The note is kept with each.",
            form=IncidentDialog,
            describe=self._described,
            act=lambda row, form: self._carry_out(request, row, Incident.Status.ACKNOWLEDGED, form),
            refusals=(NothingChanged,),
        )
        return bulk.answer(self, request, queryset, acknowledging)

    @admin.action(description="Resolve the selected incidents", permissions=["resolve"])
    def resolve_selected(self, request: HttpRequest, queryset: QuerySet[Incident]) -> HttpResponse | None:
        resolving = bulk.Bulk(
            action="resolve_selected",
            title="Resolve the selected incidents?",
            submit="Resolve these incidents",
            done="incidents resolved",
            explanation="What they stopped may go on. The same trouble opens a new one. The note is kept with each.",
            form=IncidentDialog,
            describe=self._described,
            act=lambda row, form: self._carry_out(request, row, Incident.Status.RESOLVED, form),
            refusals=(NothingChanged,),
        )
        return bulk.answer(self, request, queryset, resolving)

    def _described(self, incident: Incident) -> bulk.Line:
        where = incident.symbol or "all symbols"
        stops = f"Stops opening in {where}" if incident.stops_opening and incident.is_open else ""
        return bulk.Line(incident.title, self.status_badge(incident), stops)

    def _carry_out(self, request: HttpRequest, incident: Incident, wished: Incident.Status, form: Dialog) -> str:
        """Acknowledge or resolve it, leave the admin's trace, and return what to say. Raise `NothingChanged`."""
        by, note = request.user.get_username(), form.cleaned_data["note"]
        if wished == Incident.Status.RESOLVED:
            changed = incident.resolve(by=by, note=note, now=timezone.now())
        else:
            changed = incident.acknowledge(by=by, note=note)
        incident.refresh_from_db()
        if not changed:
            now = incident.get_status_display().lower()
            raise NothingChanged(f"it is {now} already, by {incident.closed_by}: nothing was changed")
        self.log_change(request, incident, f"{wished.label}: {note}")
        return wished.label

    def _told(self, request: HttpRequest, object_id: str, wished: Incident.Status, form: Dialog) -> HttpResponse:
        incident: Incident = self.row(request, object_id)
        try:
            told = f"{self._carry_out(request, incident, wished, form)}: {incident.title}"
            self.message_user(request, told, messages.SUCCESS)
        except NothingChanged as refusal:
            self.message_user(request, sentence(refusal), messages.WARNING)
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
