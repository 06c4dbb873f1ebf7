"""The page of single symbols' limits: of instruments that there are, for a misspelt one would protect nobody."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin

from orders.models import Instrument
from risk.admin.instrument_limits import InstrumentLimitAdmin, InstrumentLimitForm
from risk.models import InstrumentLimit


class KnownInstrumentLimitForm(InstrumentLimitForm):
    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        exchange, symbol = cleaned.get("exchange"), cleaned.get("symbol")
        if symbol and not Instrument.objects.filter(exchange=exchange, symbol=symbol).exists():
            raise forms.ValidationError(f"{exchange}:{symbol} is not in the broker's list of instruments.")
        return cleaned


@admin.register(InstrumentLimit)
class TradingInstrumentLimitAdmin(InstrumentLimitAdmin):
    form = KnownInstrumentLimitForm
