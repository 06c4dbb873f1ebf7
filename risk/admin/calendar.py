"""
The calendar's pages: days, years and hours, kept by staff, and the exchange's file taken over.

A form saves through `risk.calendar_approvals`: what closes is done at once and kept with its author; where the change
opens something, the form says what and asks for the word, or it waits for a second person. Rows are removed by a
dialog, for to remove a holiday is to open a day.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.checks import ModelAdminChecks
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.enums import ActionVariant
from unfold.views import ChangeList

from risk import calendar, calendar_approvals
from risk.admin.calendar_forms import (
    CalendarForm,
    ConfirmDialog,
    FileDialog,
    RemoveDayDialog,
    RemoveDialog,
    RemoveHoursDialog,
    asks_for_the_word,
)
from risk.admin.dialogs import answered, dialog_action, refusals_told
from risk.admin.display import NOTHING, Tone, badge, moment, sentence
from risk.admin.limit_changes import house
from risk.admin.limits import OutsideTransaction
from risk.admin.read_only import Listing, ReadOnlyAdmin, named_by
from risk.admin.waiting import calendar_waiting
from risk.admin.wishes import how_it_waits
from risk.calendar_approvals import Author
from risk.calendar_edits import RowEdit
from risk.engine.sessions import MUMBAI
from risk.four_eyes import CONFIRMATION
from risk.models import CalendarChange, CalendarDay, CalendarWish, CalendarYear, SessionRule


def told_of(wish: CalendarWish) -> str:
    return f"{sentence(wish.what).rstrip('.')} {how_it_waits(wish)}: it opens {wish.opens}."


class CalendarPage(ModelAdmin, OutsideTransaction):
    """A page of rows that staff keep. The model's verbose name says what a change is about."""

    form = CalendarForm
    list_before_template = "desk/calendar_years.html"
    list_per_page = 50
    show_facets = admin.ShowFacets.NEVER
    show_full_result_count = False
    warn_unsaved_form = True
    readonly_fields = ("entered",)
    checks_class = ModelAdminChecks  # the theme's own ask the database for each permission
    fields_shown: tuple[Any, ...] = ()

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return Listing

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # the dialog does it, which asks for the reason

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        today = timezone.now().astimezone(MUMBAI).date()
        context = {
            "years_lacking": calendar.years_lacking(today),
            "needs": f"the word {CONFIRMATION}" if asks_for_the_word() else "a second person, superusers included",
            "is_delayed": asks_for_the_word() and bool(house().delay),
            "waiting": calendar_waiting(),
            "not_confirmed": SessionRule.objects.not_confirmed(),
            "may_see_changes": request.user.has_perm("risk.view_calendarchange"),
        }
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Leave out what only a change asks for where nothing can be changed."""
        (title, options), *others = super().get_fieldsets(request, obj)
        may = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        asked = ("reason", *(("confirmation",) if asks_for_the_word() else ())) if may else ()
        entered = ("entered",) if obj else ()
        return [(title, {**options, "fields": (*self.fields_shown, *entered, *asked)}), *others]

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().changeform_view(request, *args, **kwargs)
        except calendar.OpensTheMarket as refusal:
            self.message_user(request, f"Nothing was saved: {refusal}.", messages.ERROR)
            return HttpResponseRedirect(request.path)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        edit = RowEdit.put(obj)
        what = f"{self.opts.verbose_name} {'changed' if change else 'added'}: {obj}"
        kept = self._change(
            request, [edit], what, form.cleaned_data["reason"], form.cleaned_data.get("confirmation", "")
        )
        obj.wish = kept.waiting
        if row := None if kept.waiting else edit.row_now():
            obj.pk = row.pk

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        return super().log_addition(request, obj.wish or obj, message)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        return super().log_change(request, getattr(obj, "wish", None) or obj, message)

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        return self._response(request, obj) or super().response_add(request, obj, post_url_continue)

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        return self._response(request, obj) or super().response_change(request, obj)

    def _response(self, request: HttpRequest, obj: Any) -> HttpResponse | None:
        """Lead to the list where the change waits: there is no such row, or it is as it was."""
        if obj.wish is None:
            return None
        self.message_user(request, told_of(obj.wish), messages.WARNING)
        return HttpResponseRedirect(reverse(f"admin:risk_{self.opts.model_name}_changelist"))

    def remove_row(self, request: HttpRequest, form: RemoveDialog, object_id: str) -> HttpResponse:
        row = named_by(self.get_queryset(request), object_id)
        home = reverse(f"admin:risk_{self.opts.model_name}_changelist")
        if row is None:
            self.message_user(request, "It is removed already.", messages.WARNING)
            return answered(request, home)
        what, answers = f"{self.opts.verbose_name} removed: {row}", form.answers
        with refusals_told(request, calendar.OpensTheMarket):
            kept = self._change(request, [RowEdit.removal(row)], what, answers["reason"], answers.get("word", ""))
            if kept.waiting is None:
                self.message_user(request, sentence(what), messages.SUCCESS)
            else:
                self.message_user(request, told_of(kept.waiting), messages.WARNING)
        return answered(request, home)

    def _change(
        self, request: HttpRequest, edits: list[RowEdit], what: str, reason: str, word: str
    ) -> calendar_approvals.Kept:
        assert isinstance(request.user, User), "the admin lets nobody else in"
        author = Author.person(request.user)
        return calendar_approvals.change(
            edits, what=what, author=author, reason=reason, now=timezone.now(), house=house(), word=word
        )

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
        source = answers["source"] or answers["file"].name[:200]
        edits, what = calendar.of_file(form.days, complete=answers["complete"], source=source)
        with refusals_told(request, calendar.OpensTheMarket):
            kept = self._change(request, edits, what, source, answers.get("word", ""))
            if kept.changed:
                named = " and ".join(str(year) for year in sorted({day.date.year for day in form.days}))
                self.message_user(request, f"{calendar.counted(form.days)} of {named} loaded.", messages.SUCCESS)
            if kept.waiting is not None:
                self.message_user(request, told_of(kept.waiting), messages.WARNING)
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

    list_display = ("group", "effective_from", "confirmed_badge", "continuous", "auction", "source", "note", "entered")
    list_display_links = ("group", "effective_from")
    list_filter = ("group",)
    fields_shown = (
        ("group", "effective_from"),
        ("continuous_open", "continuous_close", "auction_close"),
        ("source", "note"),
        "confirmed_badge",
    )
    actions_detail = ["confirm", "remove"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return (*super().get_readonly_fields(request, obj), "confirmed_badge")

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer to confirm what is not confirmed yet; the use case looks again."""
        offered: list[Any] = super().get_actions_detail(request, object_id)
        waits = named_by(SessionRule.objects.not_confirmed(), object_id) is not None
        return [each for each in offered if waits or each.path != "confirm"]

    @dialog_action(
        label="Confirm",
        title="Confirm these hours?",
        explanation="It opens nothing: it says that a second source, such as the exchange's circular, has them too.",
        submit="Confirm",
        form=ConfirmDialog,
        permissions=["risk.change_sessionrule"],
        icon="verified",
        variant=ActionVariant.PRIMARY,
    )
    def confirm(self, request: HttpRequest, form: ConfirmDialog, object_id: str) -> HttpResponse:
        rule = named_by(self.get_queryset(request), object_id)
        home = reverse("admin:risk_sessionrule_changelist")
        if rule is None or not calendar.confirm_hours(
            rule.pk, by=request.user.get_username(), reason=form.answers["reason"], now=timezone.now()
        ):
            self.message_user(request, "They are confirmed already, or gone.", messages.WARNING)
            return answered(request, home)
        rule.refresh_from_db()
        self.log_change(request, rule, f"Confirmed. {form.answers['reason']}")
        self.message_user(request, f"{rule}: confirmed.", messages.SUCCESS)
        return answered(request, home)

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

    @admin.display(description="confirmed", ordering="confirmed")
    def confirmed_badge(self, rule: SessionRule) -> str:
        return (
            badge("Confirmed", Tone.GOOD, "check") if rule.confirmed else badge("Not confirmed", Tone.WARNING, "help")
        )

    @admin.display(description="continuous (IST)", ordering="continuous_close")
    def continuous(self, rule: SessionRule) -> str:
        return f"{rule.continuous_open:%H:%M} to {rule.continuous_close:%H:%M}"

    @admin.display(description="closing auction (IST)", ordering="auction_close")
    def auction(self, rule: SessionRule) -> str:
        return f"{rule.continuous_close:%H:%M} to {rule.auction_close:%H:%M}" if rule.auction_close else NOTHING


@admin.register(CalendarChange)
class CalendarChangeAdmin(ReadOnlyAdmin):
    """Every change of the calendar."""

    list_display = ("at_ist", "what", "opened", "author", "second_person", "reason")
    search_fields = ("=author", "=approved_by", "what")
    fields = ("at_ist", "what", "opened", "author", "second_person", "reason")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return False  # its list is reached from the calendar's pages

    @admin.display(description="approved by", ordering="approved_by")
    def second_person(self, change: CalendarChange) -> str:
        return change.approved_by or NOTHING

    @admin.display(description="time", ordering="at")
    def at_ist(self, change: CalendarChange) -> str:
        return moment(change.at)
