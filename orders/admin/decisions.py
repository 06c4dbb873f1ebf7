"""Decisions: what the risk desk said of each proposed order, and the facts it saw."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.dateparse import parse_datetime
from django.utils.html import format_html_join
from unfold.contrib.filters.admin import DropdownFilter

from orders.admin import export_columns
from orders.admin.exact_search import ExactSearch, in_every_mode
from orders.admin.export import ExportPages
from orders.admin.narrowing import SymbolFilter
from orders.admin.wording import outcome_badge, verdicts
from orders.models import Decision
from orders.models.decision import CLIPPED_TO_BAND, CLIPPED_TO_ROOM
from risk.admin.display import NOTHING, clipped, moment, plain
from risk.admin.estimated import CappedPaginator
from risk.admin.mode_filter import ModeFilter
from risk.admin.read_only import ReadOnlyAdmin, once_a_row
from risk.engine.rules import RULES, Outcome

_NUMBER = re.compile(r"-?\d+\.\d+")  # as a stored Decimal is written
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T")


def flattened(facts: Mapping[str, Any], above: str = "") -> list[tuple[str, Any]]:
    """Return nested facts as a flat list of (path, value)."""
    rows: list[tuple[str, Any]] = []
    for name, value in facts.items():
        path = f"{above} · {name}" if above else name
        label = path.replace("_", " ")
        rows.extend(flattened(value, label) if isinstance(value, Mapping) else [(label, shown(value))])
    return rows


def shown(value: Any) -> Any:
    """Return a stored fact as a page shows it: moments in Mumbai, numbers without trailing zeros."""
    if value is None or value in ("", []):
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return format_html_join("; ", "{}", ((shown(each),) for each in value))
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return plain(Decimal(value))
    at = parse_datetime(value) if isinstance(value, str) and _MOMENT.match(value) else None
    return moment(at) if at else value


def _in_words(row: Mapping[str, Any]) -> str:
    """Return one row of a list of facts, such as another symbol of the book, without what is nothing."""
    return " · ".join(f"{name.replace('_', ' ')} {shown(value)}" for name, value in row.items() if value)


class OutcomeFilter(DropdownFilter):
    """From the outcomes that there are, and not by asking every decision for its own."""

    title = "outcome"
    parameter_name = "outcome"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(each.value, each.value.capitalize()) for each in Outcome]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Decision]) -> QuerySet[Decision]:
        return queryset.filter(outcome=self.value()) if self.value() else queryset


class ControlFilter(DropdownFilter):
    """Which control said no, whatever else did; or what made the order smaller."""

    title = "control that denied or limited"
    parameter_name = "control"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            (CLIPPED_TO_ROOM, "Clipped: to the room that the limits leave"),
            (CLIPPED_TO_BAND, "Clipped: to the price band"),
            *sorted((control.code, f"{control.code}: {control.title}") for control in RULES),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Decision]) -> QuerySet[Decision]:
        code = self.value()
        return queryset.filter(limited_by__contains=[code]) if code else queryset


@admin.register(Decision)
class DecisionAdmin(ExactSearch, ExportPages, ReadOnlyAdmin):
    export_columns = export_columns.DECISIONS
    list_display = ("at_ist", "outcome_shown", "symbol", "why", "signal", "actor", "limits_version")
    list_before_template = "desk/list_before.html"
    list_filter = (OutcomeFilter, ControlFilter, SymbolFilter, ModeFilter, "at")
    paginator = CappedPaginator
    list_select_related = ("signal",)
    search_ids = {"signal__signal_id": in_every_mode("signal__")}
    search_names = ("actor",)
    search_fields = ("symbol",)  # only says that there is a search: `ExactSearch` does it
    sortable_by = ("at_ist",)  # the others are in no index
    search_help_text = "A signal's id, who asked, or a symbol, exactly."
    fieldsets = (
        (None, {"fields": (("outcome_shown", "at_ist"), "reason", ("symbol", "exchange"), ("signal", "actor"))}),
        ("Verdicts", {"fields": ("verdict_table",)}),
        ("The facts it saw", {"fields": (("limits_version", "control_version"), "mode", "proposed", "book")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Decision]:
        queryset: QuerySet[Decision] = super().get_queryset(request)
        return queryset.defer("facts", "verdicts", "signal__raw")

    @admin.display(description="time", ordering="at")
    def at_ist(self, decision: Decision) -> str:
        return moment(decision.at)

    @admin.display(description="outcome", ordering="outcome")
    def outcome_shown(self, decision: Decision) -> str:
        return outcome_badge(decision.outcome)

    @admin.display(description="reason")
    def why(self, decision: Decision) -> str:
        return clipped(decision.reason)

    @admin.display(description="verdicts")
    @once_a_row
    def verdict_table(self, decision: Decision) -> str:
        return verdicts(decision)

    @admin.display(description="the order proposed")
    @once_a_row
    def proposed(self, decision: Decision) -> str:
        return render_to_string("desk/pairs.html", {"pairs": flattened(decision.facts.get("proposed", {}))})

    @admin.display(description="the book")
    @once_a_row
    def book(self, decision: Decision) -> str:
        return render_to_string("desk/pairs.html", {"pairs": flattened(decision.facts.get("portfolio", {}))})
