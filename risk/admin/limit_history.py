from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest
from django.template.loader import render_to_string

from risk.admin.display import NOTHING, as_text, moment
from risk.admin.read_only import ReadOnlyAdmin, once_a_row
from risk.models import InstrumentLimit, RiskSettings, RiskSettingsVersion

# Of the limits whose name does not say it.
_UNITS = {
    "cms_buy_threshold": "score",
    "cms_sell_threshold": "score",
    "daily_trades_max": "trades",
    "orders_per_second_max": "orders",
    "orders_per_minute_max": "orders",
    "open_orders_max": "orders",
    "symbol_open_orders_max": "orders",
    "positions_max": "symbols",
    "reject_streak_max": "orders",
    "rejections_max": "orders",
    "allowed_instruments": "exchange:series",
    "round_up_to_one_lot": "on or off",
    "exits_after_loss": "on or off",
    "exposure_breach_reduces": "on or off",
    "include_external": "on or off",
    "opposite_orders_allowed": "on or off",
    "adding_allowed": "on or off",
}


def label_with_unit(name: str) -> str:
    """Return the words for a limit as its field has them: with the unit of the number."""
    label, unit = RiskSettings.label(name), _UNITS.get(name)
    return f"{label} ({unit})" if unit else label


def limit_label(name: str) -> str:
    """Return the words for a limit, a symbol's own with the symbol; the name itself for one that exists no more."""
    instrument, _, field = name.rpartition(" ")
    if instrument and field in InstrumentLimit.LIMIT_FIELDS:
        return f"{instrument} {InstrumentLimit.label(field)}"
    return RiskSettings.label(name)


def limit_text(name: str, text: str) -> str:
    """Return a limit's kept value as a page shows it; as it was kept for a limit that exists no more."""
    instrument, _, field = name.rpartition(" ")
    kind = InstrumentLimit if instrument else RiskSettings
    if field not in kind.LIMIT_FIELDS:
        return text
    value = kind.parsed(field, text) if text or kind is InstrumentLimit else text
    return "none" if value is None or value == "" else as_text(value)


def changes_of(version: RiskSettingsVersion) -> str:
    """Return what the version changed, each limit before and after."""
    rows = [
        (limit_label(name), limit_text(name, before), limit_text(name, after))
        for name, (before, after) in version.changed.items()
    ]
    return render_to_string("desk/changes.html", {"changes": rows})


@admin.register(RiskSettingsVersion)
class RiskSettingsVersionAdmin(ReadOnlyAdmin):
    """The limits as they were, from one save to the next."""

    list_display = ("version", "at_ist", "changes", "author", "second_person", "reason")
    search_fields = ("=author", "=approved_by")
    fields = ("version", "at_ist", "author", "second_person", "reason", "changes", "values")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return False  # its list is reached from the risk settings page

    @admin.display(description="time", ordering="at")
    def at_ist(self, version: RiskSettingsVersion) -> str:
        return moment(version.at)

    @admin.display(description="approved by", ordering="approved_by")
    def second_person(self, version: RiskSettingsVersion) -> str:
        return version.approved_by or NOTHING

    @admin.display(description="before → after")
    @once_a_row
    def changes(self, version: RiskSettingsVersion) -> str:
        return changes_of(version)

    @admin.display(description="in force")
    @once_a_row
    def values(self, version: RiskSettingsVersion) -> str:
        rows = [(limit_label(name), limit_text(name, value)) for name, value in version.limits.items()]
        return render_to_string("desk/pairs.html", {"pairs": rows})
