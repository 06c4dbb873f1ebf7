from __future__ import annotations

from django.contrib import admin
from django.contrib.admin.utils import label_for_field
from django.http import HttpRequest
from django.template.loader import render_to_string

from risk.admin.display import moment
from risk.admin.read_only import ReadOnlyAdmin
from risk.models import RiskSettings, RiskSettingsVersion


def limit_label(name: str) -> str:
    """Return the words for a limit; the name itself for one that exists no more."""
    return str(label_for_field(name, RiskSettings)) if name in RiskSettings.LIMIT_FIELDS else name


@admin.register(RiskSettingsVersion)
class RiskSettingsVersionAdmin(ReadOnlyAdmin):
    """The limits as they were, from one save to the next."""

    list_display = ("version", "at_ist", "changes", "author", "reason")
    search_fields = ("=author",)
    fields = ("version", "at_ist", "author", "reason", "changes", "values")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return False  # its list is reached from the risk settings page

    @admin.display(description="time", ordering="at")
    def at_ist(self, version: RiskSettingsVersion) -> str:
        return moment(version.at)

    @admin.display(description="before → after")
    def changes(self, version: RiskSettingsVersion) -> str:
        rows = [(limit_label(name), before, after) for name, (before, after) in version.changed.items()]
        return render_to_string("desk/changes.html", {"changes": rows})

    @admin.display(description="in force")
    def values(self, version: RiskSettingsVersion) -> str:
        rows = [(limit_label(name), value) for name, value in version.limits.items()]
        return render_to_string("desk/pairs.html", {"pairs": rows})
