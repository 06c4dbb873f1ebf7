"""Who logged in and from where, who is locked out, and the release of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from axes.models import AccessAttempt, AccessLog
from django.conf import settings
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone

from risk.admin.dialogs import ReasonDialog, answered, dialog_action
from risk.admin.display import NOTHING, Tone, badge, clipped, moment
from risk.admin.read_only import ReadOnlyAdmin, named_by

TOO_MANY_REQUESTS = 429
NAME_LETTERS_MAX = 150  # of an account's name


def locked_out(request: HttpRequest, _answer: HttpResponse | None, _credentials: dict[str, Any] | None) -> HttpResponse:
    """Answer whoever is locked out with a page that says so, and for how long."""
    context = {
        **admin.site.each_context(request),
        "failures": settings.AXES_FAILURE_LIMIT,
        "minutes": int(settings.AXES_COOLOFF_TIME.total_seconds() // 60),
    }
    return render(request, "desk/locked_out.html", context, status=TOO_MANY_REQUESTS)


def name_tried(request: HttpRequest, credentials: dict[str, Any] | None) -> str | None:
    """Return the name that somebody tries to log in by, as much of it as a name can have: a longer one is nobody's."""
    name: str | None = (credentials or request.POST).get("username")
    return name and name[:NAME_LETTERS_MAX]


def until(attempt: AccessAttempt, now: datetime) -> datetime | None:
    """Return when the lock ends; None where there is none. Failures with other browsers count together with these."""
    ends: datetime = attempt.attempt_time + settings.AXES_COOLOFF_TIME
    if ends <= now:
        return None
    recent = _same(attempt).filter(attempt_time__gte=now - settings.AXES_COOLOFF_TIME)
    failures = sum(recent.values_list("failures_since_start", flat=True))
    return ends if failures >= settings.AXES_FAILURE_LIMIT else None


def _same(attempt: AccessAttempt) -> QuerySet[AccessAttempt]:
    """Return the attempts by this name from this address, by none or from none too, with whichever browser."""
    same: QuerySet[AccessAttempt] = AccessAttempt.objects.filter(
        username=attempt.username, ip_address=attempt.ip_address
    )
    return same


class ReleaseDialog(ReasonDialog):
    def facts(self) -> list[tuple[str, Any]]:
        attempt = named_by(AccessAttempt.objects.all(), self.object_id)
        if attempt is None:
            return []
        return [("User", attempt.username or NOTHING), ("From", attempt.ip_address or "an unknown address")]


@admin.register(AccessAttempt)
class LockOutAdmin(ReadOnlyAdmin):
    """Failed log-ins of the last quarter of an hour, by name, address and browser."""

    list_display = ("username", "ip_address", "failures_since_start", "last", "locked", "browser")
    search_fields = ("=username", "=ip_address")
    fields = ("username", "ip_address", "failures_since_start", "last", "locked", "user_agent")
    actions_detail = ["release"]

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        return not lookup.startswith(("get_data", "post_data")) and super().lookup_allowed(lookup, value, request)

    @dialog_action(
        label="Release",
        title="Let them try again?",
        explanation="The failures of this name from this address are forgotten.",
        submit="Release",
        form=ReleaseDialog,
        permissions=["axes.delete_accessattempt"],
        icon="lock_open",
    )
    def release(self, request: HttpRequest, form: ReleaseDialog, object_id: str) -> HttpResponse:
        attempt: AccessAttempt = self.row(request, object_id)
        who = attempt.username or "whoever gives no name"
        self.log_change(request, attempt, f"Released {who}: {form.cleaned_data['reason']}")
        _same(attempt).delete()  # axes' own release takes no name, or no address, for any
        self.message_user(request, f"{who} may try again.", messages.SUCCESS)
        return answered(request, reverse("admin:axes_accessattempt_changelist"))

    @admin.display(description="last failure", ordering="attempt_time")
    def last(self, attempt: AccessAttempt) -> str:
        return moment(attempt.attempt_time)

    @admin.display(description="locked out until")
    def locked(self, attempt: AccessAttempt) -> str:
        ends = until(attempt, timezone.now())
        return badge(f"{timezone.localtime(ends):%H:%M:%S}", Tone.BAD, "lock") if ends else NOTHING

    @admin.display(description="browser")
    def browser(self, attempt: AccessAttempt) -> str:
        return clipped(attempt.user_agent)


@admin.register(AccessLog)
class LogInAdmin(ReadOnlyAdmin):
    """Every log-in, and when it ended by logging out."""

    list_display = ("username", "ip_address", "began", "ended", "browser")
    list_display_links = ("username",)
    search_fields = ("=username", "=ip_address")
    fields = ("username", "ip_address", "began", "ended", "user_agent")

    @admin.display(description="logged in", ordering="attempt_time")
    def began(self, entry: AccessLog) -> str:
        return moment(entry.attempt_time)

    @admin.display(description="logged out", ordering="logout_time")
    def ended(self, entry: AccessLog) -> str:
        return moment(entry.logout_time)

    @admin.display(description="browser")
    def browser(self, entry: AccessLog) -> str:
        return clipped(entry.user_agent)
