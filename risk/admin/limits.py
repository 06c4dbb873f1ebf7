"""
The page of the limits: one row, edited by staff, every save a version.

What loosens needs a typed word or a second person, as the house has it. A form that was opened before somebody else's
change is refused, and one that is saved writes only what it changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from decimal import Decimal
from typing import Any, cast

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.utils import help_text_for_field
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.html import format_html, format_html_join
from django.views.decorators.csrf import csrf_protect
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from risk import approvals, limit_versions
from risk.admin.display import as_text, moment, trimmed
from risk.admin.limit_changes import change_text, house
from risk.admin.limit_history import changes_of, label_with_unit, limit_label
from risk.admin.waiting import limits_waiting
from risk.admin.wishes import how_it_waits
from risk.engine import rates
from risk.engine.loosening import above_ceilings, contradictions, within_ceilings
from risk.engine.rules import of_limit
from risk.four_eyes import CONFIRMATION, ChangeRefused
from risk.models import LimitChange, RiskSettings, RiskSettingsVersion

CHANGES_SHOWN = 3
# What bounds every order beside the limits, by the broker's own quotas: (of what, in words).
FIXED = (
    (
        "Modifications of one order",
        f"the broker takes {rates.MODIFICATIONS_MAX}; {rates.MODIFICATIONS_FOR_EXITS} are left to orders that close",
    ),
    (
        "Orders a second",
        f"the broker takes {rates.BROKER_SECOND}, modifications among them; {rates.SECOND_FOR_EXITS} are left to exits",
    ),
    (
        "Orders a minute",
        f"the broker takes {rates.BROKER_MINUTE}, likewise; {rates.MINUTE_FOR_EXITS} are left to exits",
    ),
    ("Orders a day", f"the broker takes {rates.BROKER_DAY}; {rates.DAY_FOR_EXITS} are left to exits"),
)


def explained(name: str) -> str:
    """
    Return what a field says of itself, and after it each control that is held against it, from the catalogue.

    Before both there is room for how much of the limit is used, which the page asks for when it is there.
    """
    told = [help_text_for_field(name, RiskSettings)]
    told += [f"{control.code}: {control.sentence}" for control in of_limit(name)]
    return format_html('<span id="use-{}" class="desk-use"></span>{}', name, " ".join(told))


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
        model = RiskSettings
        fields = RiskSettings.LIMIT_FIELDS
        labels = {name: label_with_unit(name) for name in RiskSettings.LIMIT_FIELDS}
        help_texts = {name: explained(name) for name in RiskSettings.LIMIT_FIELDS}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.before = copy(self.instance)  # as it is in force: validation writes into the instance
        self.house = house()
        self.saved: approvals.Saved | None = None
        self._saves = True
        self.unfinished = {change.limit: change for change in LimitChange.objects.unfinished().filter(symbol="")}
        self.initial["version_shown"] = self.before.version
        for name in self.fields.keys() & set(RiskSettings.LIMIT_FIELDS):
            self.initial[name] = trimmed(value) if isinstance(value := self.initial[name], Decimal) else value
            self.fields[name].help_text = format_html_join(" ", "{}", ((each,) for each in self._help(name)))

    def only_simulates(self) -> None:
        """Ask for nothing that only a save needs: no reason, no word, no version."""
        self._saves = False
        for name in ("reason", "version_shown"):
            self.fields[name].required = False

    def _help(self, name: str) -> Iterator[str]:
        """Say beside a field what is in force now, how far it goes at all, and what waits."""
        yield cast("str", self.fields[name].help_text)
        yield f"In force: {as_text(getattr(self.before, name))}."
        if name in self.house.ceilings:
            yield f"Ceiling: {as_text(self.house.ceilings[name])}."
        if change := self.unfinished.get(name):
            yield f"{change.get_status_display()}: {change_text(change)}, by {change.author}."

    @property
    def changed_limits(self) -> list[str]:
        return [name for name in self.changed_data if name in RiskSettings.LIMIT_FIELDS]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        shown = cleaned.get("version_shown")
        if self._saves and shown is not None and shown != self.before.version:
            raise forms.ValidationError(
                f"{self.before.changed_by} changed the limits since this page was opened: version "
                f"{self.before.version} is in force, this page shows version {shown}. Open it again, then decide."
            )
        self._check_order(cleaned)
        self._check_ceilings(cleaned)
        if self._saves and not self.errors:
            self._check_loosening(cleaned)
        return cleaned

    def _check_ceilings(self, cleaned: dict[str, Any]) -> None:
        wished = {name: cleaned[name] for name in self.changed_limits if name in cleaned}
        for name in above_ceilings(wished, self.house.ceilings):
            ceiling = as_text(self.house.ceilings[name])
            self.add_error(name, f"The settings of this installation allow at most {ceiling}, whoever approves.")

    def _check_order(self, cleaned: dict[str, Any]) -> None:
        for order in contradictions(cleaned, about=self.changed_limits):
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
        if not loosened or self.house.needs != LimitChange.Needs.CONFIRMATION:
            return
        if cleaned["confirmation"].strip() == CONFIRMATION:
            return
        steps = "; ".join(
            f"{limit_label(name)} from {as_text(getattr(self.before, name))} to {as_text(getattr(after, name))}"
            for name in loosened
        )
        self.add_error("confirmation", f"This loosens {steps}. Type {CONFIRMATION} to confirm it.")


def _last_changes() -> list[dict[str, Any]]:
    """Return the newest versions with what each changed."""
    newest = RiskSettingsVersion.objects.exclude(changed={}).order_by("-version")[:CHANGES_SHOWN]
    return [{"row": version, "at": moment(version.at), "changes": changes_of(version)} for version in newest]


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
        except (limit_versions.LimitsChanged, ChangeRefused) as refusal:
            self.message_user(request, f"Nothing was saved: {refusal}.", messages.ERROR)
            return HttpResponseRedirect(request.path)


class RiskSettingsAdmin(ModelAdmin, OutsideTransaction):
    """The limits in force. The trading app registers the page and adds what needs decisions."""

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
                    "signal_drift_percent",
                )
            },
        ),
        (
            "One order",
            {
                "fields": (
                    ("position_size", "round_up_to_one_lot"),
                    ("order_value_max", "order_quantity_max"),
                    ("allowed_instruments", "funds_use_percent"),
                )
            },
        ),
        (
            "The book",
            {
                "fields": (
                    ("position_value_max", "daily_trades_max"),
                    ("gross_exposure_max", "positions_max"),
                    ("exposure_breach_reduces", "adding_allowed"),
                    "include_external",
                )
            },
        ),
        ("The day's loss, and past a limit", {"fields": (("daily_loss_max", "charges_percent"), "exits_after_loss")}),
        ("Pace", {"fields": (("orders_per_second_max", "orders_per_minute_max"),)}),
        (
            "Orders beside each other",
            {
                "fields": (
                    ("duplicate_window_seconds", "opposite_orders_allowed"),
                    ("open_orders_max", "symbol_open_orders_max"),
                    ("reject_streak_max", "rejections_max"),
                )
            },
        ),
        (
            "Prices",
            {"fields": (("slippage_percent", "quote_age_max_seconds"), ("collar_percent", "closing_collar_percent"))},
        ),
        ("Why", {"fields": ("reason", ("confirmation", "expires_at"), "version_shown")}),
    )

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: RiskSettings | None = None) -> bool:
        return False

    def get_fieldsets(self, request: HttpRequest, obj: RiskSettings | None = None) -> Any:
        *limits, why = super().get_fieldsets(request, obj)
        if not self.has_change_permission(request, obj):
            return limits
        if house().needs == LimitChange.Needs.SECOND_PERSON:
            why = ("Why", {"fields": ("reason", "expires_at", "version_shown")})
        return [*limits, why]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:risk_risksettings_change", args=(1,)))

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> RiskSettings | None:
        """Return the limits as they hold now: what is due may not be written yet."""
        return limit_versions.in_force(now=timezone.now()) if str(object_id) == "1" else None

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        now = timezone.now()
        limits = limit_versions.in_force(now=now)
        differences = limit_versions.differences(settings.FIRST_LIMITS, now=now, current=limits).items()
        context = {
            "environment_differences": [(limit_label(name), theirs, ours) for name, (theirs, ours) in differences],
            "limits": limits,
            "above_ceilings": [
                (limit_label(name), as_text(getattr(limits, name)), as_text(lowered))
                for name, lowered in within_ceilings(limits.numbers(), settings.LIMIT_CEILINGS).items()
            ],
            "waiting": limits_waiting(LimitChange.objects.unfinished().filter(symbol="")),
            "fixed": FIXED,
            "last_changes": _last_changes() if request.user.has_perm("risk.view_risksettingsversion") else [],
            "needs_second_person": house().needs == LimitChange.Needs.SECOND_PERSON,
            "is_delayed": house().delay,
            "show_save_and_continue": False,
            **(extra_context or {}),
        }
        return super().change_view(request, object_id, form_url, context)

    def save_model(self, request: HttpRequest, obj: RiskSettings, form: RiskSettingsForm, change: bool) -> None:
        assert isinstance(request.user, User), "the admin lets nobody else in"
        form.saved = approvals.save(
            obj,
            form.changed_limits,
            author=request.user,
            reason=form.cleaned_data["reason"],
            now=timezone.now(),
            house=form.house,
            version_shown=form.cleaned_data["version_shown"],
            expires_at=form.cleaned_data["expires_at"],
        )
        obj.version = form.saved.limits.version
        for wish in form.saved.waiting:
            self.message_user(request, f"{change_text(wish)} {how_it_waits(wish)}.", messages.WARNING)

    def construct_change_message(  # type: ignore[override]  # a sentence is kept as it is
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> str:
        waits = {wish.limit for wish in form.saved.waiting}
        steps = [
            f"{limit_label(name)} {as_text(getattr(form.before, name))} → {as_text(form.cleaned_data[name])}"
            f"{' (waits)' if name in waits else ''}"
            for name in form.changed_limits
        ]
        return f"{'; '.join(steps) or 'Nothing changed'}. {form.cleaned_data['reason']}"

    def response_change(self, request: HttpRequest, obj: RiskSettings) -> HttpResponse:
        self.message_user(request, f"Version {obj.version} of the limits is in force.", messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:risk_risksettings_change", args=(1,)))
