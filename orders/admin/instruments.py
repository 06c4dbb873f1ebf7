from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest

from orders.admin.blocking import BlockSymbol
from orders.admin.wording import money, number
from orders.models import Instrument
from risk.admin.display import Tone, badge, moment
from risk.admin.read_only import ReadOnlyAdmin
from risk.models import InstrumentLimit


def with_block(rows: QuerySet[Any]) -> QuerySet[Any]:
    """Add to each instrument whether it is blocked."""
    own = InstrumentLimit.objects.filter(exchange=OuterRef("exchange"), symbol=OuterRef("symbol"), blocked=True)
    annotated: QuerySet[Any] = rows.annotate(is_blocked=Exists(own))
    return annotated


class BlockedFilter(admin.SimpleListFilter):
    title = "blocked"
    parameter_name = "blocked"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Blocked"), ("no", "Not blocked")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() not in {"yes", "no"}:
            return queryset
        return queryset.filter(is_blocked=self.value() == "yes")


@admin.register(Instrument)
class InstrumentAdmin(BlockSymbol, ReadOnlyAdmin):
    """The broker's daily list of what can be traded."""

    list_display = (
        "symbol",
        "exchange",
        "name",
        "lot",
        "tick",
        "instrument_type",
        "segment",
        "underlies_futures",
        "may_be_opened",
        "read",
    )
    list_filter = ("exchange", "instrument_type", "underlies_futures", BlockedFilter)
    search_fields = ("symbol__startswith", "name__istartswith")
    fields = (
        ("symbol", "exchange"),
        "name",
        ("lot", "tick"),
        ("instrument_type", "segment"),
        "underlies_futures",
        ("token", "read"),
    )
    actions_detail = ["block_symbol", "unblock_symbol"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Instrument]:
        return with_block(super().get_queryset(request))

    @admin.display(description="opening")
    def may_be_opened(self, instrument: Any) -> str:
        return badge("Blocked", Tone.BAD, "block") if instrument.is_blocked else badge("Allowed")

    @admin.display(description="lot (shares)", ordering="lot_size")
    def lot(self, instrument: Instrument) -> str:
        return number(instrument.lot_size)

    @admin.display(description="tick", ordering="tick_size")
    def tick(self, instrument: Instrument) -> str:
        return money(instrument.tick_size)

    @admin.display(description="read", ordering="read_at")
    def read(self, instrument: Instrument) -> str:
        return moment(instrument.read_at)
