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

from orders.admin.wording import outcome_badge, verdicts
from orders.models import Decision
from risk.admin.display import NOTHING, clipped, moment, plain
from risk.admin.mode_filter import ModeFilter
from risk.admin.read_only import ReadOnlyAdmin

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


@admin.register(Decision)
class DecisionAdmin(ReadOnlyAdmin):
    list_display = ("at_ist", "outcome_shown", "symbol", "why", "signal", "actor", "limits_version")
    list_filter = ("outcome", ModeFilter, "at")
    list_select_related = ("signal",)
    search_fields = ("=symbol", "=actor", "signal__signal_id__exact")
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
    def verdict_table(self, decision: Decision) -> str:
        return verdicts(decision)

    @admin.display(description="the order proposed")
    def proposed(self, decision: Decision) -> str:
        return render_to_string("desk/pairs.html", {"pairs": flattened(decision.facts.get("proposed", {}))})

    @admin.display(description="the book")
    def book(self, decision: Decision) -> str:
        return render_to_string("desk/pairs.html", {"pairs": flattened(decision.facts.get("portfolio", {}))})
