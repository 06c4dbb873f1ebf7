"""What loosens a limit: an inbox of what waits, and what became of the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db.models import Case, Value, When
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.enums import ActionVariant
from unfold.views import ChangeList

from risk import approvals, limit_versions
from risk.admin.dialogs import ReasonDialog, answered, dialog_action, refusals_told
from risk.admin.display import NOTHING, Tone, as_text, badge, clipped, moment
from risk.admin.limit_history import limit_label, limit_text
from risk.admin.read_only import Listing, ReadOnlyAdmin, named_by
from risk.models import LimitChange, RiskSettings

STATUS_TONES = {
    LimitChange.Status.PENDING: (Tone.WARNING, "hourglass_top"),
    LimitChange.Status.APPLIED: (Tone.GOOD, "check"),
    LimitChange.Status.TEMPORARY: (Tone.INFO, "timer"),
    LimitChange.Status.ENDED: (Tone.PLAIN, "timer_off"),
    LimitChange.Status.REJECTED: (Tone.BAD, "close"),
    LimitChange.Status.WITHDRAWN: (Tone.PLAIN, "undo"),
    LimitChange.Status.STALE: (Tone.PLAIN, "history"),
}


def house() -> approvals.House:
    """Return what this installation asks for where a limit is loosened."""
    return approvals.House.of(
        needs=settings.LOOSENING_NEEDS, mode=settings.TRADING_MODE, ceilings=settings.LIMIT_CEILINGS
    )


def change_text(change: LimitChange) -> str:
    before, after = limit_text(change.limit, change.before), limit_text(change.limit, change.after)
    return f"{limit_label(change.limit)} {before} → {after}"


def how_it_waits(change: LimitChange) -> str:
    if change.due_at is None:
        return "waits for a second person"
    return f"takes effect at {timezone.localtime(change.due_at):%H:%M:%S}, and can be withdrawn until then"


def value_now(change: LimitChange, limits: RiskSettings) -> str:
    return as_text(getattr(limits, change.limit)) if change.limit in RiskSettings.LIMIT_FIELDS else NOTHING


class AnswerDialog(ReasonDialog):
    """Asks for the reason of an answer, beside what is in force now and what is wished."""

    def facts(self) -> list[tuple[str, Any]]:
        change = named_by(LimitChange.objects.all(), self.object_id)
        if change is None:
            return []
        ceiling = settings.LIMIT_CEILINGS.get(change.limit)
        return [
            ("Limit", limit_label(change.limit)),
            ("In force now", value_now(change, limit_versions.in_force(now=timezone.now()))),
            ("Asked for", f"{limit_text(change.limit, change.before)} → {limit_text(change.limit, change.after)}"),
            ("Ceiling", NOTHING if ceiling is None else as_text(ceiling)),
            ("Holds until", moment(change.expires_at) if change.expires_at else "changed again"),
            ("Asked by", f"{change.author}: {change.reason}"),
        ]


class ChangesListing(Listing):
    """The list, each row with the value that is in force beside it: read once for all of them."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        limits = limit_versions.in_force(now=timezone.now())
        for change in self.result_list:
            change.value_now = value_now(change, limits)


@admin.register(LimitChange)
class LimitChangeAdmin(ReadOnlyAdmin):
    list_display = ("status_badge", "what", "present", "wished_by", "reason_shown", "until", "answered_by", "asked")
    list_display_links = ("what",)
    list_filter = (("status", ChoicesDropdownFilter), "author")
    search_fields = ("=author", "=decided_by", "limit")
    ordering = (Case(When(status="PENDING", then=Value(0)), default=Value(1)), "-id")
    fieldsets = (
        (None, {"fields": ("status_badge", "what", "present", "based_on_version", "until")}),
        ("Asked", {"fields": ("author", "asked", "reason", "needs", "takes_effect")}),
        ("Answered", {"fields": ("answered_by", "answered", "note", "ended")}),
    )
    actions_detail = ["approve", "reject", "withdraw"]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return ChangesListing

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer what this person may still answer; the use cases check again."""
        change = named_by(LimitChange.objects.pending(), object_id)
        if change is None:
            return []
        offered: list[Any] = super().get_actions_detail(request, object_id)
        by_another = change.needs == LimitChange.Needs.SECOND_PERSON and change.author_account != request.user.pk
        return [each for each in offered if by_another or each.path == "withdraw"]

    @dialog_action(
        label="Approve",
        title="Approve the change?",
        explanation="It is in force at once, as a version with its author and you.",
        submit="Approve",
        form=AnswerDialog,
        permissions=["risk.approve_limits"],
        icon="check",
        variant=ActionVariant.PRIMARY,
    )
    def approve(self, request: HttpRequest, form: AnswerDialog, object_id: str) -> HttpResponse:
        return self._answer(request, object_id, form, lambda **more: approvals.approve(house=house(), **more))

    @dialog_action(
        label="Reject",
        title="Reject the change?",
        explanation="The limit stays as it is.",
        submit="Reject",
        form=AnswerDialog,
        permissions=["risk.approve_limits"],
        icon="close",
        variant=ActionVariant.DANGER,
    )
    def reject(self, request: HttpRequest, form: AnswerDialog, object_id: str) -> HttpResponse:
        return self._answer(request, object_id, form, approvals.reject)

    @dialog_action(
        label="Withdraw",
        title="Withdraw the change?",
        explanation="The limit stays as it is.",
        submit="Withdraw",
        form=AnswerDialog,
        permissions=["risk.change_risksettings"],
        icon="undo",
    )
    def withdraw(self, request: HttpRequest, form: AnswerDialog, object_id: str) -> HttpResponse:
        return self._answer(request, object_id, form, approvals.withdraw)

    def _answer(
        self, request: HttpRequest, object_id: str, form: AnswerDialog, answer: Callable[..., LimitChange]
    ) -> HttpResponse:
        """Call the use case, leave the admin's trace and say what became of it."""
        change: LimitChange = self.row(request, object_id)
        assert isinstance(request.user, User), "the admin lets nobody else in"
        with refusals_told(request, approvals.ChangeRefused):
            reason = form.cleaned_data["reason"]
            change = answer(change_id=change.pk, by=request.user, reason=reason, now=timezone.now())
            told = f"{change.get_status_display()}: {change_text(change)}"
            self.log_change(request, change, f"{told}. {reason}")
            self.message_user(request, f"{told}.", messages.SUCCESS)
        return answered(request, reverse("admin:risk_limitchange_change", args=(change.pk,)))

    @admin.display(description="status", ordering="status")
    def status_badge(self, change: LimitChange) -> str:
        tone, icon = STATUS_TONES[LimitChange.Status(change.status)]
        return badge(change.get_status_display(), tone, icon)

    @admin.display(description="change", ordering="limit")
    def what(self, change: LimitChange) -> str:
        return change_text(change)

    @admin.display(description="in force now")
    def present(self, change: LimitChange) -> str:
        listed = getattr(change, "value_now", None)
        return listed or value_now(change, limit_versions.in_force(now=timezone.now()))

    @admin.display(description="asked by", ordering="author")
    def wished_by(self, change: LimitChange) -> str:
        return change.author

    @admin.display(description="reason")
    def reason_shown(self, change: LimitChange) -> str:
        return clipped(change.reason)

    @admin.display(description="holds until", ordering="expires_at")
    def until(self, change: LimitChange) -> str:
        return moment(change.expires_at) if change.expires_at else "changed again"

    @admin.display(description="takes effect")
    def takes_effect(self, change: LimitChange) -> str:
        return moment(change.due_at) if change.due_at else "when a second person approves"

    @admin.display(description="answered by", ordering="decided_by")
    def answered_by(self, change: LimitChange) -> str:
        return change.decided_by or NOTHING

    @admin.display(description="answered")
    def answered(self, change: LimitChange) -> str:
        return moment(change.decided_at)

    @admin.display(description="ended")
    def ended(self, change: LimitChange) -> str:
        return moment(change.ended_at)

    @admin.display(description="asked", ordering="created_at")
    def asked(self, change: LimitChange) -> str:
        return moment(change.created_at)
