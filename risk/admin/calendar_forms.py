"""What the calendar's pages ask for: a row, the reason, and the word where one confirms what opens something."""

from __future__ import annotations

from copy import copy
from typing import Any

from django import forms
from django.http import HttpRequest
from django.utils import timezone
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminTextInputWidget, UnfoldBooleanSwitchWidget

from risk import calendar
from risk.admin.dialogs import Dialog, ReasonDialog
from risk.admin.display import NOTHING
from risk.admin.limit_changes import house
from risk.admin.read_only import named_by
from risk.calendar_file import CalendarFileError, read_days
from risk.four_eyes import CONFIRMATION
from risk.models import CalendarDay, SessionRule, Wish

WORD_ASKED_FOR = f"Only where it opens something: type {CONFIRMATION}."


def word_field() -> forms.CharField:
    return forms.CharField(
        label="Confirmation",
        required=False,
        max_length=20,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
        help_text=WORD_ASKED_FOR,
    )


def asks_for_the_word() -> bool:
    """Return whether a typed word confirms what opens something; else a second person does."""
    return house().needs == Wish.Needs.CONFIRMATION


class CalendarForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """A row of the calendar, with why it changes and, where it opens something, the word that confirms it."""

    reason = forms.CharField(max_length=500, widget=UnfoldAdminTextInputWidget, help_text="It is kept.")
    confirmation = word_field()

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]  # fills the instance, and asks the database's constraints
        if self.errors or not asks_for_the_word():
            return
        edited = copy(self.instance)
        edited.entered_at, edited.entered_by = timezone.now(), "not saved"
        opened = calendar.opened_by(edited.save)
        if opened and self.cleaned_data["confirmation"].strip() != CONFIRMATION:
            self.add_error("confirmation", f"This {str(calendar.OpensTheMarket(opened)).removeprefix('this ')}.")


class WordDialog(Dialog):
    """Asks for the word that confirms what opens something, where the house is content with a word."""

    word = word_field()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not asks_for_the_word():
            del self.fields["word"]


class RemoveDialog(WordDialog, ReasonDialog):
    model: type[CalendarDay | SessionRule]

    def facts(self) -> list[tuple[str, Any]]:
        row = named_by(self.model.objects.all(), self.object_id)
        return [("The row", str(row))] if row else []


class RemoveDayDialog(RemoveDialog):
    model = CalendarDay


class RemoveHoursDialog(RemoveDialog):
    model = SessionRule


class ConfirmDialog(ReasonDialog):
    def facts(self) -> list[tuple[str, Any]]:
        rule = named_by(SessionRule.objects.all(), self.object_id)
        if rule is None:
            return []
        auction = f", closing auction to {rule.auction_close:%H:%M}" if rule.auction_close else ""
        return [
            ("The row", str(rule)),
            ("Hours (IST)", f"{rule.continuous_open:%H:%M} to {rule.continuous_close:%H:%M}{auction}"),
            ("Source", rule.source or NOTHING),
            ("Note", rule.note or NOTHING),
        ]


class FileDialog(WordDialog):
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
    field_order = ["file", "source", "complete", "word"]

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
