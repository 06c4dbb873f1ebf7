"""Pages of what waits to be loosened: who asked, what it needs, and who may answer it how."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db.models import Case, Value, When
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from risk.admin.dialogs import ReasonDialog, answered, refusals_told
from risk.admin.display import NOTHING, Tone, badge, clipped, moment
from risk.admin.read_only import ReadOnlyAdmin, named_by
from risk.four_eyes import ChangeRefused
from risk.models import Wish

STATUS_TONES = {
    Wish.Status.PENDING: (Tone.WARNING, "hourglass_top"),
    Wish.Status.APPLIED: (Tone.GOOD, "check"),
    Wish.Status.TEMPORARY: (Tone.INFO, "timer"),
    Wish.Status.ENDED: (Tone.PLAIN, "timer_off"),
    Wish.Status.REJECTED: (Tone.BAD, "close"),
    Wish.Status.WITHDRAWN: (Tone.PLAIN, "undo"),
    Wish.Status.STALE: (Tone.PLAIN, "history"),
}


def how_it_waits(wish: Wish) -> str:
    if wish.due_at is None:
        return "waits for a second person"
    return f"takes effect at {timezone.localtime(wish.due_at):%H:%M:%S}, and can be withdrawn until then"


class WishAdmin(ReadOnlyAdmin):
    """What waits first. A page names its actions approve, reject and withdraw, and calls `answer` in each."""

    list_display_links = ("what_shown",)
    list_filter = (("status", ChoicesDropdownFilter), "author")
    ordering = (Case(When(status="PENDING", then=Value(0)), default=Value(1)), "-id")
    actions_detail = ["approve", "reject", "withdraw"]

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer what this person may still answer; the use cases check again."""
        wish = named_by(self.get_queryset(request).filter(status=Wish.Status.PENDING), object_id)
        if wish is None:
            return []
        offered: list[Any] = super().get_actions_detail(request, object_id)
        by_another = wish.needs == Wish.Needs.SECOND_PERSON and wish.author_account != request.user.pk
        return [each for each in offered if by_another or each.path == "withdraw"]

    def answer(
        self, request: HttpRequest, object_id: str, form: ReasonDialog, use_case: Callable[..., Wish]
    ) -> HttpResponse:
        """Call the use case, leave the admin's trace and say what became of it."""
        wish: Wish = self.row(request, object_id)
        assert isinstance(request.user, User), "the admin lets nobody else in"
        with refusals_told(request, ChangeRefused):
            reason = form.cleaned_data["reason"]
            wish = use_case(wish.pk, by=request.user, reason=reason, now=timezone.now())
            told = f"{Wish.Status(wish.status).label}: {self.what_shown(wish)}"
            self.log_change(request, wish, f"{told}. {reason}")
            self.message_user(request, f"{told}.", messages.SUCCESS)
        return answered(request, reverse(f"admin:risk_{self.opts.model_name}_change", args=(wish.pk,)))

    @admin.display(description="status", ordering="status")
    def status_badge(self, wish: Wish) -> str:
        status = Wish.Status(wish.status)
        tone, icon = STATUS_TONES[status]
        return badge(str(status.label), tone, icon)

    @admin.display(description="change")
    def what_shown(self, wish: Any) -> str:
        return str(wish)

    @admin.display(description="asked by", ordering="author")
    def wished_by(self, wish: Wish) -> str:
        return wish.author

    @admin.display(description="reason")
    def reason_shown(self, wish: Wish) -> str:
        return clipped(wish.reason)

    @admin.display(description="takes effect")
    def takes_effect(self, wish: Wish) -> str:
        return moment(wish.due_at) if wish.due_at else "when a second person approves"

    @admin.display(description="answered by", ordering="decided_by")
    def answered_by(self, wish: Wish) -> str:
        return wish.decided_by or NOTHING

    @admin.display(description="answered")
    def answered(self, wish: Wish) -> str:
        return moment(wish.decided_at)

    @admin.display(description="asked", ordering="created_at")
    def asked(self, wish: Wish) -> str:
        return moment(wish.created_at)
