"""Filters that several lists of the book share: a symbol, and rows of an order's."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import DropdownFilter, TextFilter

PRODUCTS = (("CNC", "CNC: delivery"), ("MIS", "MIS: intraday"), ("NRML", "NRML: carried"))


class SymbolFilter(TextFilter):
    """Any case is taken for capitals. `path` leads to the symbol."""

    title = "symbol"
    parameter_name = "of_symbol"
    path = "symbol"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        wanted = (self.value() or "").strip().upper()
        return queryset.filter(**{self.path: wanted}) if wanted else queryset


class OrderSymbolFilter(SymbolFilter):
    path = "order__symbol"


class StrategyFilter(TextFilter):
    """Exactly as the signals name it. `path` leads to the strategy."""

    title = "strategy"
    parameter_name = "of_strategy"
    path = "strategy"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        wanted = (self.value() or "").strip()
        return queryset.filter(**{self.path: wanted}) if wanted else queryset


class OrderSideFilter(DropdownFilter):
    title = "side"
    parameter_name = "side"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("BUY", "BUY"), ("SELL", "SELL")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(order__side=self.value()) if self.value() else queryset


class ProductFilter(DropdownFilter):
    title = "product"
    parameter_name = "of_product"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(PRODUCTS)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(product=self.value()) if self.value() else queryset
