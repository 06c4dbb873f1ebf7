"""
The limits of single symbols, beside the general ones. The trading app, which knows them, registers the page.

What loosens one needs the typed word of the limits' page; where a second person must agree it is refused.
"""

from __future__ import annotations

from copy import copy
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from risk import approvals, limit_versions
from risk.admin.display import NOTHING, moment
from risk.admin.limit_changes import house
from risk.admin.limits import OutsideTransaction
from risk.models import InstrumentLimit, LimitChange


class InstrumentLimitForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """One symbol's limits, with why they change and, for what loosens, the word that confirms it."""

    reason = forms.CharField(
        max_length=500,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
        help_text="Why they change. It is kept with the version of the limits.",
    )
    confirmation = forms.CharField(
        required=False,
        max_length=20,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
        help_text=f"Only where a limit is loosened: type {approvals.CONFIRMATION}.",
    )
    version_shown = forms.IntegerField(widget=forms.HiddenInput)

    class Meta:
        model = InstrumentLimit
        fields = ("exchange", "symbol", *InstrumentLimit.LIMIT_FIELDS)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.before = copy(self.instance)  # as it is in force: validation writes into the instance
        self.house = house()
        self.initial["version_shown"] = limit_versions.in_force(now=timezone.now()).version

    def clean_exchange(self) -> str:
        return str(self.cleaned_data["exchange"]).strip().upper()

    def clean_symbol(self) -> str:
        return str(self.cleaned_data["symbol"]).strip().upper()

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if self.before.pk is not None and not self.errors:
            self._check_loosening(cleaned)
        return cleaned

    def _check_loosening(self, cleaned: dict[str, Any]) -> None:
        after = InstrumentLimit(**{name: cleaned[name] for name in InstrumentLimit.LIMIT_FIELDS})
        loosened = limit_versions.loosened_of_instrument(self.before, after)
        if not loosened:
            return
        if self.house.needs == LimitChange.Needs.SECOND_PERSON:
            refusal = approvals.no_second_person_for(self.before, loosened)
            raise forms.ValidationError(f"{refusal[0].upper()}{refusal[1:]}.")
        if cleaned["confirmation"].strip() != approvals.CONFIRMATION:
            steps = "; ".join(_step(name, self.before.values(), after.values()) for name in loosened)
            self.add_error("confirmation", f"This loosens {steps}. Type {approvals.CONFIRMATION} to confirm it.")


def _step(name: str, before: dict[str, str], after: dict[str, str]) -> str:
    return f"{InstrumentLimit.label(name)} {before.get(name, 'none')} → {after.get(name, 'none')}"


class InstrumentLimitAdmin(ModelAdmin, OutsideTransaction):
    """Which symbols have limits of their own. None is deleted: without any values it limits nothing."""

    form = InstrumentLimitForm
    list_display = ("instrument", "own_limits", "changed_by", "changed")
    search_fields = ("=symbol",)
    fieldsets = (
        (None, {"fields": (("exchange", "symbol"), "blocked", "product")}),
        ("The tighter of these and the general limits holds", {"fields": ("order_value_max", "order_quantity_max")}),
        (None, {"fields": ("position_value_max",)}),
        ("Why", {"fields": ("reason", "confirmation", "version_shown")}),
    )

    def has_delete_permission(self, request: HttpRequest, obj: InstrumentLimit | None = None) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: InstrumentLimit | None = None) -> tuple[str, ...]:
        return ("exchange", "symbol") if obj else ()

    def get_fieldsets(self, request: HttpRequest, obj: InstrumentLimit | None = None) -> Any:
        *limits, why = super().get_fieldsets(request, obj)
        may_save = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        if not may_save:
            return limits
        if obj is None or house().needs == LimitChange.Needs.SECOND_PERSON:  # no word is asked for
            why = ("Why", {"fields": ("reason", "version_shown")})
        return [*limits, why]

    def save_model(self, request: HttpRequest, obj: InstrumentLimit, form: InstrumentLimitForm, change: bool) -> None:
        assert isinstance(request.user, User), "the admin lets nobody else in"
        approvals.save_instrument(
            obj,
            author=request.user,
            reason=form.cleaned_data["reason"],
            now=timezone.now(),
            house=form.house,
            version_shown=form.cleaned_data["version_shown"],
        )
        version = limit_versions.in_force(now=timezone.now()).version
        self.message_user(request, f"Version {version} of the limits is in force.", messages.SUCCESS)

    def construct_change_message(  # type: ignore[override]  # a sentence is kept as it is
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> str:
        before, after = form.before.values(), form.instance.values()
        steps = [
            f"{form.instance} {_step(name, before, after)}"
            for name in InstrumentLimit.LIMIT_FIELDS
            if before.get(name) != after.get(name)
        ]
        return f"{'; '.join(steps) or 'Nothing changed'}. {form.cleaned_data['reason']}"

    @admin.display(description="instrument", ordering="symbol")
    def instrument(self, row: InstrumentLimit) -> str:
        return str(row)

    @admin.display(description="limits of its own")
    def own_limits(self, row: InstrumentLimit) -> str:
        own = [f"{InstrumentLimit.label(name)} {value}" for name, value in row.values().items()]
        return "; ".join(own) or NOTHING

    @admin.display(description="changed", ordering="changed_at")
    def changed(self, row: InstrumentLimit) -> str:
        return moment(row.changed_at)
