"""
The calendar's pages: days, years and hours, kept by staff, and the exchange's file taken over.

A form saves through `risk.calendar`, which keeps who changed what; where the change opens something, the form says what
and asks for the word. Rows are removed by a dialog, for to remove a holiday is to open a day.
"""

from __future__ import annotations

from copy import copy
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.checks import ModelAdminChecks
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminTextInputWidget, UnfoldBooleanSwitchWidget

from risk import calendar
from risk.admin.dialogs import Dialog, ReasonDialog, answered, dialog_action, refusals_told
from risk.admin.display import NOTHING, Tone, badge, moment
from risk.admin.limits import OutsideTransaction
from risk.admin.read_only import ReadOnlyAdmin, named_by
from risk.calendar_file import CalendarFileError, read_days
from risk.engine.sessions import MUMBAI
from risk.models import CalendarChange, CalendarDay, CalendarYear, SessionRule

WORD_ASKED_FOR = f"Only where it opens something: type {calendar.CONFIRMATION}."


def word_field() -> forms.CharField:
    return forms.CharField(
        label="Confirmation",
        required=False,
        max_length=20,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
        help_text=WORD_ASKED_FOR,
    )


class CalendarForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """A row of the calendar, with why it changes and, where it opens something, the word that confirms it."""

    reason = forms.CharField(max_length=500, widget=UnfoldAdminTextInputWidget, help_text="It is kept.")
    confirmation = word_field()

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]  # fills the instance, and asks the database's constraints
        if self.errors:
            return
        edited = copy(self.instance)
        edited.entered_at, edited.entered_by = timezone.now(), "not saved"
        opened = calendar.opened_by(edited.save)
        if opened and self.cleaned_data["confirmation"].strip() != calendar.CONFIRMATION:
            self.add_error("confirmation", f"This {str(calendar.OpensTheMarket(opened)).removeprefix('this ')}.")


class RemoveDialog(ReasonDialog):
    word = word_field()
    model: type[CalendarDay | SessionRule]

    def facts(self) -> list[tuple[str, Any]]:
        row = named_by(self.model.objects.all(), self.object_id)
        return [("The row", str(row))] if row else []


class RemoveDayDialog(RemoveDialog):
    model = CalendarDay


class RemoveHoursDialog(RemoveDialog):
    model = SessionRule


class FileDialog(Dialog):
    file = forms.FileField(
        label="The exchange's CSV",
        widget=UnfoldAdminFileFieldWidget,
        help_text="The NSE's own download, or date, kind, open, close, name, source.",
    )
    source = forms.CharField(
        max_length=200, required=False, widget=UnfoldAdminTextInputWidget, help_text="The circular; else the file."
    )
    complete = forms.BooleanField(
        required=False, widget=UnfoldBooleanSwitchWidget, help_text="The file has all holidays of its years."
    )
    word = word_field()

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, *args, **{**kwargs, "files": request.FILES or None})

    def clean_file(self) -> Any:
        """Read the days, so that a bad line is told beside the field."""
        uploaded = self.cleaned_data["file"]
        try:
            self.days = read_days(uploaded.read())
        except CalendarFileError as trouble:
            raise forms.ValidationError(trouble.errors) from trouble
        return uploaded


class CalendarPage(ModelAdmin, OutsideTransaction):
    """A page of rows that staff keep. The model's verbose name says what a change is about."""

    form = CalendarForm
    list_before_template = "desk/calendar_years.html"
    list_per_page = 50
    show_facets = admin.ShowFacets.NEVER
    warn_unsaved_form = True
    readonly_fields = ("entered",)
    checks_class = ModelAdminChecks  # the theme's own ask the database for each permission
    fields_shown: tuple[Any, ...] = ()

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # the dialog does it, which asks for the reason

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        today = timezone.now().astimezone(MUMBAI).date()
        context = {
            "years_lacking": calendar.load().years_lacking(today),
            "confirmation": calendar.CONFIRMATION,
            "may_see_changes": request.user.has_perm("risk.view_calendarchange"),
        }
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Leave out what only a change asks for where nothing can be changed."""
        (title, options), *others = super().get_fieldsets(request, obj)
        may = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        asked = ("reason", "confirmation") if may else ()
        entered = ("entered",) if obj else ()
        return [(title, {**options, "fields": (*self.fields_shown, *entered, *asked)}), *others]

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().changeform_view(request, *args, **kwargs)
        except calendar.OpensTheMarket as refusal:
            self.message_user(request, f"Nothing was saved: {refusal}.", messages.ERROR)
            return HttpResponseRedirect(request.path)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        obj.entered_by, obj.entered_at = request.user.get_username(), timezone.now()
        calendar.change(
            obj.save,
            what=f"{self.opts.verbose_name} {'changed' if change else 'added'}: {obj}",
            by=obj.entered_by,
            reason=form.cleaned_data["reason"],
            now=obj.entered_at,
            word=form.cleaned_data["confirmation"],
        )

    def remove_row(self, request: HttpRequest, form: RemoveDialog, object_id: str) -> HttpResponse:
        row = named_by(self.get_queryset(request), object_id)
        home = reverse(f"admin:risk_{self.opts.model_name}_changelist")
        if row is None:
            self.message_user(request, "It is removed already.", messages.WARNING)
            return answered(request, home)
        what = f"{self.opts.verbose_name} removed: {row}"
        with refusals_told(request, calendar.OpensTheMarket):
            calendar.change(row.delete, what=what, by=request.user.get_username(), now=timezone.now(), **form.answers)
            self.message_user(request, f"{what[:1].upper()}{what[1:]}.", messages.SUCCESS)
        return answered(request, home)

    @admin.display(description="entered", ordering="entered_at")
    def entered(self, row: Any) -> Any:
        return f"{timezone.localtime(row.entered_at):%d %b %Y %H:%M} by {row.entered_by}" if row.pk else NOTHING


@admin.register(CalendarDay)
class CalendarDayAdmin(CalendarPage):
    """Holidays, and sessions with hours of their own."""

    list_display = ("date_shown", "kind_badge", "hours", "name", "source", "note", "entered")
    list_display_links = ("date_shown",)
    list_filter = ("kind",)
    date_hierarchy = "date"
    search_fields = ("name",)
    fields_shown = (("date", "kind"), ("opens", "closes"), "name", ("source", "note"))
    actions_list = ["load_file"]
    actions_detail = ["remove"]

    @dialog_action(
        label="Load the exchange's file",
        title="Load the exchange's list of holidays",
        explanation="Its days replace those of the same dates; other days stay. Nothing of a bad file is kept.",
        submit="Load",
        form=FileDialog,
        permissions=["risk.load_calendar"],
        icon="upload_file",
    )
    def load_file(self, request: HttpRequest, form: FileDialog) -> HttpResponse:
        answers = form.answers
        with refusals_told(request, calendar.OpensTheMarket):
            years = calendar.take_over(
                form.days,
                complete=answers["complete"],
                source=answers["source"] or answers["file"].name[:200],
                by=request.user.get_username(),
                now=timezone.now(),
                word=answers["word"],
            )
            named = " and ".join(str(year) for year in years)
            self.message_user(request, f"{calendar.counted(form.days)} of {named} loaded.", messages.SUCCESS)
        return answered(request, reverse("admin:risk_calendarday_changelist"))

    @dialog_action(
        label="Remove",
        title="Remove the day from the calendar?",
        explanation="It is an ordinary day again.",
        submit="Remove",
        form=RemoveDayDialog,
        permissions=["risk.delete_calendarday"],
        icon="delete",
        variant=ActionVariant.DANGER,
    )
    def remove(self, request: HttpRequest, form: RemoveDayDialog, object_id: str) -> HttpResponse:
        return self.remove_row(request, form, object_id)

    @admin.display(description="date", ordering="date")
    def date_shown(self, day: CalendarDay) -> str:
        return f"{day.date:%a %d %b %Y}"

    @admin.display(description="kind", ordering="kind")
    def kind_badge(self, day: CalendarDay) -> str:
        if day.kind == CalendarDay.Kind.HOLIDAY:
            return badge("Holiday", Tone.PLAIN, "event_busy")
        if day.entry().lacks_hours:
            return badge("Special, hours not known", Tone.WARNING, "help")
        return badge("Special session", Tone.INFO, "schedule")

    @admin.display(description="hours (IST)", ordering="opens")
    def hours(self, day: CalendarDay) -> str:
        return f"{day.opens:%H:%M} to {day.closes:%H:%M}" if day.opens and day.closes else NOTHING


@admin.register(CalendarYear)
class CalendarYearAdmin(CalendarPage):
    """Which years are complete. In the others nothing is opened."""

    list_display = ("year", "complete_badge", "source", "entered")
    fields_shown = (("year", "complete"), "source")

    @admin.display(description="complete", ordering="complete")
    def complete_badge(self, year: CalendarYear) -> str:
        return badge("Complete", Tone.GOOD, "check") if year.complete else badge("Not complete", Tone.WARNING, "block")


@admin.register(SessionRule)
class SessionRuleAdmin(CalendarPage):
    """The hours of each group of instruments, from the date on which they begin."""

    list_display = ("group", "effective_from", "continuous", "auction", "source", "note", "entered")
    list_display_links = ("group", "effective_from")
    list_filter = ("group",)
    fields_shown = (
        ("group", "effective_from"),
        ("continuous_open", "continuous_close", "auction_close"),
        ("source", "note"),
    )
    actions_detail = ["remove"]

    @dialog_action(
        label="Remove",
        title="Remove these hours?",
        explanation="The hours of the group before them apply again.",
        submit="Remove",
        form=RemoveHoursDialog,
        permissions=["risk.delete_sessionrule"],
        icon="delete",
        variant=ActionVariant.DANGER,
    )
    def remove(self, request: HttpRequest, form: RemoveHoursDialog, object_id: str) -> HttpResponse:
        return self.remove_row(request, form, object_id)

    @admin.display(description="continuous (IST)", ordering="continuous_close")
    def continuous(self, rule: SessionRule) -> str:
        return f"{rule.continuous_open:%H:%M} to {rule.continuous_close:%H:%M}"

    @admin.display(description="closing auction (IST)", ordering="auction_close")
    def auction(self, rule: SessionRule) -> str:
        return f"{rule.continuous_close:%H:%M} to {rule.auction_close:%H:%M}" if rule.auction_close else NOTHING


@admin.register(CalendarChange)
class CalendarChangeAdmin(ReadOnlyAdmin):
    """Every change of the calendar."""

    list_display = ("at_ist", "what", "opened", "author", "reason")
    search_fields = ("=author", "what")
    fields = ("at_ist", "what", "opened", "author", "reason")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return False  # its list is reached from the calendar's pages

    @admin.display(description="time", ordering="at")
    def at_ist(self, change: CalendarChange) -> str:
        return moment(change.at)
