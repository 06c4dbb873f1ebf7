"""How positions are listed: what is open first, narrowed by how the broker's number differs, with their totals."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import admin
from django.contrib.admin.views.main import SEARCH_VAR, ChangeList
from django.db.models import Count, F, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from unfold.contrib.filters.admin import DropdownFilter

from orders.admin import export_columns
from orders.admin.exact_search import ExactSearch
from orders.admin.export import ExportPages
from orders.admin.figures import Figure, Figured, gain, lacking
from orders.admin.narrowing import ProductFilter, SymbolFilter
from orders.average_cost import Net
from orders.day import days_of_positions
from orders.desk import Desk, DeskNotWired, rupees
from orders.models import Position
from risk.admin.display import Tone
from risk.admin.mode_filter import ModeFilter
from risk.engine.day import day_result
from risk.models import Mode

DIFFERS = Q(broker_quantity__isnull=False) & ~Q(broker_quantity=F("quantity"))
OPEN, DIFFERING, EVERY = "open", "differs", "all"
VIEWS = {OPEN: ("Open", ~Q(quantity=0)), DIFFERING: ("Differ from the broker", DIFFERS), EVERY: ("All", Q())}


class PositionViewFilter(admin.SimpleListFilter):
    """What is open, unless a tab, a symbol or a search says otherwise: those are for what was held, too."""

    title = "view"
    parameter_name = "view"
    template = "desk/nothing.html"  # its choices are the tabs

    def __init__(self, request: HttpRequest, *args: Any) -> None:
        narrowed = request.GET.get(SEARCH_VAR) or request.GET.get(SymbolFilter.parameter_name)
        self.unasked = EVERY if narrowed or request.GET.get(DifferenceFilter.parameter_name) else OPEN
        super().__init__(request, *args)

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(key, title) for key, (title, _) in VIEWS.items()]

    def value(self) -> str:
        chosen = super().value()
        return chosen if chosen in VIEWS else self.unasked

    def queryset(self, request: HttpRequest, queryset: QuerySet[Position]) -> QuerySet[Position]:
        return queryset.filter(VIEWS[self.value()][1])

    def choices(self, changelist: ChangeList) -> Iterator[dict[str, Any]]:  # type: ignore[override]
        yield from ()


class DifferenceFilter(DropdownFilter):
    title = "the broker's number"
    parameter_name = "broker"
    kept = {
        "same": ("The same as ours", Q(broker_quantity=F("quantity"))),
        "more": ("More: external", Q(broker_quantity__gt=F("quantity"))),
        "less": ("Less than ours", Q(broker_quantity__lt=F("quantity"))),
        "unread": ("Not read yet", Q(broker_quantity=None)),
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(key, title) for key, (title, _) in self.kept.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Position]) -> QuerySet[Position]:
        return queryset.filter(self.kept[self.value()][1]) if self.value() in self.kept else queryset


class PositionListing(Figured, ExactSearch, ExportPages):
    """The part of the positions' admin that is its list."""

    export_columns = export_columns.POSITIONS
    list_filter = (PositionViewFilter, SymbolFilter, DifferenceFilter, ProductFilter, ModeFilter)
    search_fields = ("symbol",)  # only says that there is a search: `ExactSearch` does it
    search_help_text = "A symbol, exactly."

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        context = {"tabs": tabs(request), **(extra_context or {})} if request.method == "GET" else extra_context
        return super().changelist_view(request, context)

    def figures(self, rows: QuerySet[Position]) -> list[Figure]:
        """Return what the listed positions gained today, what is open in them and what they are worth."""
        positions = list(rows)
        held = [each for each in positions if each.quantity]
        prices, without = [each.last_price for each in held], lacking([each.last_price for each in held])
        known = [(each, price) for each, price in zip(held, prices, strict=True) if price is not None]
        open_now = sum(
            (Net(quantity=each.quantity, cost=each.cost).unrealised_pnl(price) for each, price in known), Decimal(0)
        )
        worth = sum((abs(each.quantity) * price for each, price in known), Decimal(0))
        return [
            realised_today(positions),
            gain("Unrealised", None if without else open_now, without or "since they were opened, at the last prices"),
            Figure(title="Exposure", value=f"over {rupees(worth)}", below=without, tone=Tone.WARNING)
            if without
            else Figure(title="Exposure", value=rupees(worth), below=f"{len(held)} open, without working orders"),
        ]


def realised_today(positions: list[Position]) -> Figure:
    """Return what today's executions of them made, as the Overview reckons it: since the close before."""
    try:
        desk = Desk.from_settings()
    except DeskNotWired:
        return gain("Realised today", None, "there is no broker to speak to")
    of_desk = [each for each in positions if each.mode == desk.mode]
    if len(of_desk) < len(positions):
        return gain("Realised today", None, "of one mode only: choose it in the filters")
    day = day_result(
        (each for _, each in days_of_positions(desk, of_desk, now=timezone.now())), charges_percent=Decimal(0)
    )
    below = f"not known of {', '.join(day.unknown[:3])}" if day.unknown else "since the close before, without charges"
    return gain("Realised today", None if day.unknown else day.realised, below)


def tabs(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the tabs with their counts: one query over a table that has a row for each symbol."""
    mode = request.GET.get("mode") or settings.TRADING_MODE
    of_mode = Position.objects.filter(mode=mode) if mode in Mode.values else Position.objects.all()
    counts = of_mode.order_by().aggregate(**{key: Count("pk", filter=kept) for key, (_, kept) in VIEWS.items() if kept})
    chosen = PositionViewFilter(request, dict(request.GET.lists()), Position, None).value()
    kept = {"mode": mode} if "mode" in request.GET else {}
    return [
        {
            "title": title,
            "url": f"?{urlencode({**kept, 'view': key})}",
            "count": counts.get(key),
            "tone": Tone.WARNING if key == DIFFERING and counts[key] else Tone.PLAIN,
            "is_open": key == chosen,
        }
        for key, (title, _) in VIEWS.items()
    ]
