"""How the blotter lists orders: tabs, filters and search, each quick whatever the table holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RangeDateFilter

from orders.admin import export_columns
from orders.admin.export import ExportPages
from orders.admin.narrowing import SymbolFilter
from orders.admin.order_search import searched
from orders.admin.order_views import OrderStrategyFilter, ReasonFilter, ViewFilter, bounded, tabs
from orders.models import Order
from risk.admin.estimated import CappedPaginator
from risk.admin.mode_filter import ModeFilter


class OrderListing(ExportPages):
    """The part of the orders' admin that is its list."""

    export_columns = export_columns.ORDERS
    list_filter = (
        ViewFilter,
        SymbolFilter,
        ("status", ChoicesDropdownFilter),
        ("side", ChoicesDropdownFilter),
        ("origin", ChoicesDropdownFilter),
        OrderStrategyFilter,
        ModeFilter,
        ("trading_date", RangeDateFilter),
        ReasonFilter,
    )
    paginator = CappedPaginator
    search_fields = ("client_order_id",)  # only says that there is a search: `get_search_results` does it
    search_help_text = "An id, exactly: ours, the broker's, a signal's, a decision's or a trade's. Or a symbol."

    class Media(ExportPages.Media):
        js = ("desk/keys.js",)

    def get_sortable_by(self, request: HttpRequest) -> Sequence[str]:
        """Sort by any column what a day or a symbol bounds; else PostgreSQL would sort all orders there ever were."""
        offered: Sequence[str] = super().get_sortable_by(request)  # type: ignore[misc]  # mixed into an admin page
        return offered if bounded(request) else ("created",)

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Order], text: str) -> tuple[Any, bool]:
        return searched(queryset, text), False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        context = {"tabs": tabs(request), **(extra_context or {})} if request.method == "GET" else extra_context
        return super().changelist_view(request, context)
