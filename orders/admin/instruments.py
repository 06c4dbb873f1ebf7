from __future__ import annotations

from django.contrib import admin

from orders.admin.wording import money, number
from orders.models import Instrument
from risk.admin.display import moment
from risk.admin.read_only import ReadOnlyAdmin


@admin.register(Instrument)
class InstrumentAdmin(ReadOnlyAdmin):
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
        "read",
    )
    list_filter = ("exchange", "instrument_type", "underlies_futures")
    search_fields = ("symbol__startswith", "name__istartswith")
    fields = (
        ("symbol", "exchange"),
        "name",
        ("lot", "tick"),
        ("instrument_type", "segment"),
        "underlies_futures",
        ("token", "read"),
    )

    @admin.display(description="lot (shares)", ordering="lot_size")
    def lot(self, instrument: Instrument) -> str:
        return number(instrument.lot_size)

    @admin.display(description="tick", ordering="tick_size")
    def tick(self, instrument: Instrument) -> str:
        return money(instrument.tick_size)

    @admin.display(description="read", ordering="read_at")
    def read(self, instrument: Instrument) -> str:
        return moment(instrument.read_at)
