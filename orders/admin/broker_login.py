"""The login at the broker. Its token is shown nowhere."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone

from orders.models import BrokerSession
from risk.admin.display import Tone, ago, badge, clipped, moment
from risk.admin.read_only import ReadOnlyAdmin
from risk.models import Mode


@admin.register(BrokerSession)
class BrokerSessionAdmin(ReadOnlyAdmin):
    list_display = ("mode", "login", "user_id", "until", "reconciled", "trouble")
    fieldsets = (
        (None, {"fields": (("mode", "login"), ("user_id", "logged_in"), ("until", "refused"))}),
        ("The broker's book", {"fields": ("reconciled", "last_error")}),
    )

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        secret = lookup.startswith(("access_token", "environment_token_digest"))
        return not secret and super().lookup_allowed(lookup, value, request)

    @admin.display(description="login")
    def login(self, session: BrokerSession) -> str:
        if session.mode == Mode.PAPER:
            return badge("Paper needs none", Tone.GOOD, "check")
        if session.refused_at is not None:
            return badge("Refused by the broker", Tone.LOUD, "block")
        if session.valid_until is None or session.valid_until <= timezone.now():
            return badge("Expired" if session.valid_until else "Never logged in", Tone.BAD, "logout")
        return badge("Valid", Tone.GOOD, "check")

    @admin.display(description="logged in")
    def logged_in(self, session: BrokerSession) -> str:
        return moment(session.logged_in_at)

    @admin.display(description="valid until")
    def until(self, session: BrokerSession) -> str:
        return moment(session.valid_until)

    @admin.display(description="refused")
    def refused(self, session: BrokerSession) -> str:
        return moment(session.refused_at)

    @admin.display(description="last compared")
    def reconciled(self, session: BrokerSession) -> str:
        if session.reconciled_at is None:
            return badge("Never", Tone.WARNING, "sync_problem")
        return badge(f"{ago(session.reconciled_at, timezone.now())} ago", Tone.PLAIN, "sync")

    @admin.display(description="last error")
    def trouble(self, session: BrokerSession) -> str:
        return clipped(session.last_error)
