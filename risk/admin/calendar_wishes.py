"""What would open the market: an inbox of what waits, with the days it opens, and what became of the rest."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from unfold.enums import ActionVariant

from risk import calendar_approvals
from risk.admin.dialogs import ReasonDialog, dialog_action
from risk.admin.display import NOTHING, moment, sentence
from risk.admin.read_only import named_by, once_a_row
from risk.admin.wishes import WishAdmin
from risk.models import CalendarWish


class AnswerDialog(ReasonDialog):
    """Asks for the reason of an answer, beside what the wish opens."""

    def facts(self) -> list[tuple[str, Any]]:
        wish = named_by(CalendarWish.objects.all(), self.object_id)
        if wish is None:
            return []
        return [
            ("Change", sentence(wish.what)),
            ("Opens", wish.opens),
            ("Asked", moment(wish.created_at)),
            ("Asked by", f"{wish.author}: {wish.reason or NOTHING}"),
        ]


@admin.register(CalendarWish)
class CalendarWishAdmin(WishAdmin):
    list_display = ("status_badge", "what_shown", "opens", "wished_by", "reason_shown", "answered_by", "asked")
    search_fields = ("=author", "=decided_by", "what")
    fieldsets = (
        (None, {"fields": ("status_badge", "what_shown", "opens", "steps_shown")}),
        ("Asked", {"fields": ("author", "asked", "reason", "needs", "takes_effect")}),
        ("Answered", {"fields": ("answered_by", "answered", "note")}),
    )

    @dialog_action(
        label="Approve",
        title="Approve the change of the calendar?",
        explanation="It is carried out at once, and kept with its author and you.",
        submit="Approve",
        form=AnswerDialog,
        permissions=["risk.approve_calendar"],
        icon="check",
        variant=ActionVariant.PRIMARY,
    )
    def approve(self, request: HttpRequest, form: AnswerDialog, object_id: str) -> HttpResponse:
        return self.answer(request, object_id, form, calendar_approvals.approve)

    @dialog_action(
        label="Reject",
        title="Reject the change of the calendar?",
        explanation="The market stays closed.",
        submit="Reject",
        form=AnswerDialog,
        permissions=["risk.approve_calendar"],
        icon="close",
        variant=ActionVariant.DANGER,
    )
    def reject(self, request: HttpRequest, form: AnswerDialog, object_id: str) -> HttpResponse:
        return self.answer(request, object_id, form, calendar_approvals.reject)

    @dialog_action(
        label="Withdraw",
        title="Withdraw the change of the calendar?",
        explanation="The market stays closed.",
        submit="Withdraw",
        form=AnswerDialog,
        permissions=["risk.change_calendarday"],
        icon="undo",
    )
    def withdraw(self, request: HttpRequest, form: AnswerDialog, object_id: str) -> HttpResponse:
        return self.answer(request, object_id, form, calendar_approvals.withdraw)

    @admin.display(description="change", ordering="what")
    def what_shown(self, wish: CalendarWish) -> str:
        return sentence(wish.what).rstrip(".")

    @admin.display(description="before → after")
    @once_a_row
    def steps_shown(self, wish: CalendarWish) -> str:
        return render_to_string("desk/changes.html", {"changes": wish.steps})
