"""
The limits of single symbols, beside the general ones. The trading app, which knows them, registers the page.

What loosens one waits for the same as a general limit does: the typed word, or a second person.
"""

from __future__ import annotations

from copy import copy
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from risk import approvals, limit_versions
from risk.admin.display import NOTHING, as_text, moment
from risk.admin.limit_changes import change_text, house
from risk.admin.limits import OutsideTransaction
from risk.admin.waiting import limits_waiting
from risk.admin.wishes import how_it_waits
from risk.engine.loosening import above_ceilings
from risk.four_eyes import CONFIRMATION
from risk.models import InstrumentLimit, LimitChange, Wish


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
        help_text=f"Only where a limit is loosened: type {CONFIRMATION}.",
    )
    expires_at = forms.DateTimeField(
        label="Hold until",
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"type": "datetime-local"}),
        help_text="Only where a limit is loosened, and only if it is for a time: then the value before returns.",
    )
    version_shown = forms.IntegerField(widget=forms.HiddenInput)

    class Meta:
        model = InstrumentLimit
        fields = ("exchange", "symbol", *InstrumentLimit.LIMIT_FIELDS)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.before = copy(self.instance)  # as it is in force: validation writes into the instance
        self.house = house()
        self.saved: approvals.Saved | None = None
        self.initial["version_shown"] = limit_versions.in_force(now=timezone.now()).version

    def clean_exchange(self) -> str:
        return str(self.cleaned_data["exchange"]).strip().upper()

    def clean_symbol(self) -> str:
        return str(self.cleaned_data["symbol"]).strip().upper()

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if self.house.needs == Wish.Needs.CONFIRMATION and self.before.pk is not None and not self.errors:
            self._check_loosening(cleaned)
        # Of what changes alone: a limit that a ceiling was lowered below must not keep the symbol from being blocked.
        wished = {name: cleaned.get(name) for name in InstrumentLimit.LIMIT_FIELDS if name in self.changed_data}
        for name in above_ceilings(wished, self.house.ceilings):
            ceiling = as_text(self.house.ceilings[name])
            self.add_error(name, f"The settings of this installation allow at most {ceiling}, whoever approves.")
        return cleaned

    def _check_loosening(self, cleaned: dict[str, Any]) -> None:
        after = InstrumentLimit(**{name: cleaned[name] for name in InstrumentLimit.LIMIT_FIELDS})
        loosened = limit_versions.loosened_of_instrument(self.before, after)
        if loosened and cleaned["confirmation"].strip() != CONFIRMATION:
            steps = "; ".join(_step(name, self.before.values(), after.values()) for name in loosened)
            self.add_error("confirmation", f"This loosens {steps}. Type {CONFIRMATION} to confirm it.")


def _step(name: str, before: dict[str, str], after: dict[str, str]) -> str:
    return f"{InstrumentLimit.label(name)} {before.get(name, 'none')} → {after.get(name, 'none')}"


class InstrumentLimitAdmin(ModelAdmin, OutsideTransaction):
    """Which symbols have limits of their own. None is deleted: without any values it limits nothing."""

    form = InstrumentLimitForm
    list_before_template = "desk/waiting.html"
    change_form_outer_before_template = "desk/waiting.html"
    list_display = ("instrument", "own_limits", "changed_by", "changed")
    search_fields = ("=symbol",)
    fieldsets = (
        (None, {"fields": (("exchange", "symbol"), "blocked", "product")}),
        ("The tighter of these and the general limits holds", {"fields": ("order_value_max", "order_quantity_max")}),
        (None, {"fields": ("position_value_max",)}),
        ("Why", {"fields": ("reason", ("confirmation", "expires_at"), "version_shown")}),
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
        if obj is None:  # a new row loosens nothing
            why = ("Why", {"fields": ("reason", "version_shown")})
        elif house().needs == Wish.Needs.SECOND_PERSON:  # no word is asked for
            why = ("Why", {"fields": ("reason", "expires_at", "version_shown")})
        return [*limits, why]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        waiting = limits_waiting(LimitChange.objects.unfinished().exclude(symbol=""))
        return super().changelist_view(request, {"waiting": waiting, **(extra_context or {})})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        waiting = limits_waiting(LimitChange.objects.unfinished().about(row)) if row else []
        return super().change_view(request, object_id, form_url, {"waiting": waiting, **(extra_context or {})})

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> InstrumentLimit | None:
        """Return the symbol's limits as they hold now: what is due may not be written yet."""
        found = super().get_object(request, object_id, from_field)
        return limit_versions.own_of_instrument(found.exchange, found.symbol, now=timezone.now()) if found else None

    def save_model(self, request: HttpRequest, obj: InstrumentLimit, form: InstrumentLimitForm, change: bool) -> None:
        assert isinstance(request.user, User), "the admin lets nobody else in"
        form.saved = approvals.save_instrument(
            obj,
            author=request.user,
            reason=form.cleaned_data["reason"],
            now=timezone.now(),
            house=form.house,
            version_shown=form.cleaned_data["version_shown"],
            expires_at=form.cleaned_data.get("expires_at"),
        )
        obj.pk = form.saved.held.pk
        for wish in form.saved.waiting:
            self.message_user(request, f"{change_text(wish)} {how_it_waits(wish)}.", messages.WARNING)
        version = form.saved.limits.version
        self.message_user(request, f"Version {version} of the limits is in force.", messages.SUCCESS)

    def construct_change_message(  # type: ignore[override]  # a sentence is kept as it is
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> str:
        before, after = form.before.values(), form.instance.values()
        waits = {wish.limit for wish in form.saved.waiting}
        steps = [
            f"{form.instance} {_step(name, before, after)}{' (waits)' if name in waits else ''}"
            for name in InstrumentLimit.LIMIT_FIELDS
            if before.get(name) != after.get(name)
        ]
        return f"{'; '.join(steps) or 'Nothing changed'}. {form.cleaned_data['reason']}"

    @admin.display(description="instrument", ordering="symbol")
    def instrument(self, row: InstrumentLimit) -> str:
        return str(row)

    @admin.display(description="limits of its own")
    def own_limits(self, row: InstrumentLimit) -> str:
        own = ((InstrumentLimit.label(name), value) for name, value in row.values().items())
        return "; ".join(label if value == "True" else f"{label} {value}" for label, value in own) or NOTHING

    @admin.display(description="changed", ordering="changed_at")
    def changed(self, row: InstrumentLimit) -> str:
        return moment(row.changed_at)
