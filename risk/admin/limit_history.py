from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest
from django.template.loader import render_to_string

from risk.admin.display import NOTHING, as_text, moment
from risk.admin.read_only import ReadOnlyAdmin
from risk.models import InstrumentLimit, RiskSettings, RiskSettingsVersion


def limit_label(name: str) -> str:
    """Return the words for a limit, a symbol's own with the symbol; the name itself for one that exists no more."""
    instrument, _, field = name.rpartition(" ")
    if instrument and field in InstrumentLimit.LIMIT_FIELDS:
        return f"{instrument} {InstrumentLimit.label(field)}"
    return RiskSettings.label(name)


def limit_text(name: str, text: str) -> str:
    """Return a limit's kept value as a page shows it; as it was kept for a limit that exists no more."""
    return as_text(RiskSettings.parsed(name, text)) if name in RiskSettings.LIMIT_FIELDS and text else text


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
    def changes(self, version: RiskSettingsVersion) -> str:
        rows = [
            (limit_label(name), limit_text(name, before), limit_text(name, after))
            for name, (before, after) in version.changed.items()
        ]
        return render_to_string("desk/changes.html", {"changes": rows})

    @admin.display(description="in force")
    def values(self, version: RiskSettingsVersion) -> str:
        rows = [(limit_label(name), limit_text(name, value)) for name, value in version.limits.items()]
        return render_to_string("desk/pairs.html", {"pairs": rows})
