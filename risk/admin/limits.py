"""
The page of the limits: one row, edited by staff, every save a version.

What loosens needs a typed word. A form that was opened before somebody else's change is refused, and one that is saved
writes only what it changed.
"""

from __future__ import annotations

from copy import copy
from decimal import Decimal
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_protect
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from risk import approvals, limit_versions
from risk.admin.display import trimmed
from risk.admin.limit_history import limit_label
from risk.engine.loosening import contradictions
from risk.models import RiskSettings


def as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{trimmed(value):f}" if isinstance(value, Decimal) else str(value)


class RiskSettingsForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """The limits, with why they change and, for what loosens, the word that confirms it."""

    reason = forms.CharField(
        max_length=500,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
        help_text="Why the limits change. It is kept with the version.",
    )
    confirmation = forms.CharField(
        required=False,
        max_length=20,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
        help_text=f"Only where a limit is loosened: type {approvals.CONFIRMATION}.",
    )
    version_shown = forms.IntegerField(widget=forms.HiddenInput)

    class Meta:
        model = RiskSettings
        fields = RiskSettings.LIMIT_FIELDS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.before = copy(self.instance)  # as it is in force: validation writes into the instance
        self.initial["version_shown"] = self.before.version
        for name, value in self.initial.items():
            if isinstance(value, Decimal):
                self.initial[name] = trimmed(value)

    @property
    def changed_limits(self) -> list[str]:
        return [name for name in self.changed_data if name in RiskSettings.LIMIT_FIELDS]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        shown = cleaned.get("version_shown")
        if shown is not None and shown != self.before.version:
            raise forms.ValidationError(
                f"{self.before.changed_by} changed the limits since this page was opened: version "
                f"{self.before.version} is in force, this page shows version {shown}. Open it again, then decide."
            )
        self._check_order(cleaned)
        if not self.errors:
            self._check_loosening(cleaned)
        return cleaned

    def _check_order(self, cleaned: dict[str, Any]) -> None:
        for order in contradictions(cleaned):
            relation = "at most" if order.may_be_equal else "below"
            smaller, larger = (
                f"{limit_label(name)} {as_text(cleaned[name])}" for name in (order.smaller, order.larger)
            )
            self.add_error(
                order.smaller if order.smaller in self.changed_data else order.larger,
                f"{smaller} must be {relation} {larger}: {order.why}.",
            )

    def _check_loosening(self, cleaned: dict[str, Any]) -> None:
        after = RiskSettings(**{name: cleaned[name] for name in RiskSettings.LIMIT_FIELDS})
        loosened = limit_versions.loosened(self.before, after)
        if not loosened or cleaned["confirmation"].strip() == approvals.CONFIRMATION:
            return
        steps = "; ".join(
            f"{limit_label(name)} from {as_text(getattr(self.before, name))} to {as_text(getattr(after, name))}"
            for name in loosened
        )
        self.add_error("confirmation", f"This loosens {steps}. Type {approvals.CONFIRMATION} to confirm it.")


class OutsideTransaction(admin.ModelAdmin):  # type: ignore[type-arg]
    """Saves without the transaction that the admin puts around a form: a use case opens its own."""

    @method_decorator(csrf_protect)
    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        try:
            return self._changeform_view(request, object_id, form_url, extra_context)  # type: ignore[attr-defined]
        except limit_versions.LimitsChanged as changed:
            self.message_user(request, f"Nothing was saved: {changed}.", messages.ERROR)
            return HttpResponseRedirect(request.path)


@admin.register(RiskSettings)
class RiskSettingsAdmin(ModelAdmin, OutsideTransaction):
    """The limits in force."""

    form = RiskSettingsForm
    change_form_outer_before_template = "desk/limits_status.html"
    warn_unsaved_form = True
    fieldsets = (
        (
            "Which signals are acted on",
            {
                "fields": (
                    ("cms_buy_threshold", "cms_sell_threshold"),
                    ("signal_age_max_seconds", "closing_signal_age_max_seconds"),
                )
            },
        ),
        (
            "One order",
            {"fields": (("position_size", "round_up_to_one_lot"), ("order_value_max", "order_quantity_max"))},
        ),
        ("The book", {"fields": (("position_value_max", "daily_trades_max"),)}),
        ("The day's loss", {"fields": (("daily_loss_max", "charges_percent"), "exits_after_loss")}),
        ("Pace", {"fields": (("orders_per_second_max", "orders_per_minute_max"),)}),
        (
            "Prices",
            {"fields": (("slippage_percent", "quote_age_max_seconds"), ("collar_percent", "closing_collar_percent"))},
        ),
        ("Why", {"fields": ("reason", "confirmation", "version_shown")}),
    )

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: RiskSettings | None = None) -> bool:
        return False

    def get_fieldsets(self, request: HttpRequest, obj: RiskSettings | None = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        return fieldsets if self.has_change_permission(request, obj) else fieldsets[:-1]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:risk_risksettings_change", args=(1,)))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        differences = limit_versions.differences(settings.FIRST_LIMITS, now=timezone.now()).items()
        context = {
            "environment_differences": [(limit_label(name), theirs, ours) for name, (theirs, ours) in differences],
            "limits": limit_versions.in_force(now=timezone.now()),
            "show_save_and_continue": False,
            **(extra_context or {}),
        }
        return super().change_view(request, object_id, form_url, context)

    def save_model(self, request: HttpRequest, obj: RiskSettings, form: RiskSettingsForm, change: bool) -> None:
        saved = limit_versions.save(
            obj,
            form.changed_limits,
            by=request.user.get_username(),
            reason=form.cleaned_data["reason"],
            now=timezone.now(),
            version_shown=form.cleaned_data["version_shown"],
        )
        obj.version = saved.version

    def construct_change_message(  # type: ignore[override]  # a sentence is kept as it is
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> str:
        steps = [
            f"{limit_label(name)} {as_text(getattr(form.before, name))} → {as_text(form.cleaned_data[name])}"
            for name in form.changed_limits
        ]
        return f"{'; '.join(steps) or 'Nothing changed'}. {form.cleaned_data['reason']}"

    def response_change(self, request: HttpRequest, obj: RiskSettings) -> HttpResponse:
        self.message_user(request, f"Version {obj.version} of the limits is in force.", messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:risk_risksettings_change", args=(1,)))
