"""The login at the broker, and the button that renews it. Its token is shown nowhere."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from unfold.enums import ActionVariant

from orders import daily_login
from orders.broker.sessions import TokenVault
from orders.daily_login import LoginNotKept
from orders.desk import Desk
from orders.login_callback import returning
from orders.models import BrokerSession, LoginAttempt
from risk.admin.dialogs import Dialog, answered, dialog_action, refusals_told
from risk.admin.display import NOTHING, Tone, ago, badge, clipped, moment, sentence
from risk.admin.read_only import ReadOnlyAdmin, once_a_row
from risk.models import Mode, TradingControl

ATTEMPTS_SHOWN = 10
SOON_MINUTES = 30


def is_valid(session: BrokerSession, now: datetime) -> bool:
    """Return whether the login can be used now: in time, not refused, and its token can be read."""
    return TokenVault(session.mode, secret_key=settings.SECRET_KEY).is_valid(now)


def login_words(mode: str, now: datetime) -> str:
    """Return who is logged in for how much longer, in a line."""
    session = BrokerSession.objects.filter(mode=mode).first()
    if session is None or not is_valid(session, now):
        return "nobody"
    return f"{session.user_id or 'an account not read yet'}, {minutes_left(session, now)}"


def minutes_left(session: BrokerSession, now: datetime) -> str:
    """Return how long the login is good for, and until when in Mumbai."""
    assert session.valid_until is not None, "a valid login ends"
    minutes = int((session.valid_until - now).total_seconds()) // 60
    left = f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
    return f"{left} left, until {timezone.localtime(session.valid_until):%H:%M}"


class LoginDialog(Dialog):
    """Says what the login will be good for before it leads away to Kite."""

    def facts(self) -> list[tuple[str, Any]]:
        if settings.TRADING_MODE == Mode.PAPER:
            return [("Login", "none is needed: this is PAPER, whose broker runs here")]
        armed_for = TradingControl.objects.filter(mode=Mode.LIVE).values_list("armed_user_id", flat=True).first()
        return [
            ("Logged in now", login_words(settings.TRADING_MODE, timezone.now())),
            ("Armed for", armed_for or "no account yet"),
            ("Log in as", armed_for or "the account that is to be traded"),
            ("Good until", "06:00 in Mumbai, when Kite ends every login"),
        ]


@admin.register(BrokerSession)
class BrokerSessionAdmin(ReadOnlyAdmin):
    list_display = ("mode", "login", "user_id", "until", "reconciled", "trouble")
    fieldsets = (
        (None, {"fields": (("mode", "login"), ("user_id", "logged_in"), ("until", "refused"))}),
        ("The broker's book", {"fields": ("reconciled", "last_error")}),
        ("Logins by the button", {"fields": ("attempts",)}),
    )
    actions_list = ["log_in"]
    actions_detail = ["log_in_here"]

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        secret = lookup.startswith(("access_token", "environment_token_digest"))
        return not secret and super().lookup_allowed(lookup, value, request)

    @dialog_action(
        label="Log in to Kite",
        title="Log in to Kite?",
        explanation="You go to Kite's own page and come back here. The token is kept encrypted and shown nowhere.",
        submit="Go to Kite",
        form=LoginDialog,
        permissions=["orders.log_in_to_kite"],
        icon="login",
        variant=ActionVariant.PRIMARY,
    )
    def log_in(self, request: HttpRequest, form: LoginDialog) -> HttpResponse:
        return self._leave(request)

    @dialog_action(
        label="Log in to Kite",
        title="Log in to Kite?",
        explanation="You go to Kite's own page and come back here. The token is kept encrypted and shown nowhere.",
        submit="Go to Kite",
        form=LoginDialog,
        permissions=["orders.log_in_to_kite"],
        icon="login",
        variant=ActionVariant.PRIMARY,
    )
    def log_in_here(self, request: HttpRequest, form: LoginDialog, object_id: str) -> HttpResponse:
        return self._leave(request)

    def _leave(self, request: HttpRequest) -> HttpResponse:
        """Go to Kite's page, or stay and say why not."""
        url = reverse("admin:orders_brokersession_changelist")
        if settings.TRADING_MODE == Mode.PAPER:
            messages.info(request, "This is PAPER, which needs no login: its broker runs here.")
            return answered(request, url)
        with refusals_told(request, LoginNotKept):
            url = daily_login.begin(Desk.from_settings(), returning(request))
        return answered(request, url)

    @admin.display(description="login")
    def login(self, session: BrokerSession) -> str:
        now = timezone.now()
        if session.mode == Mode.PAPER:
            return badge("Paper needs none", Tone.GOOD, "check")
        if session.refused_at is not None:
            return badge("Refused by the broker", Tone.LOUD, "block")
        if session.valid_until is None or session.valid_until <= now:
            return badge("Expired" if session.valid_until else "Never logged in", Tone.BAD, "logout")
        if not is_valid(session, now):
            return badge("Its token cannot be read: log in again", Tone.BAD, "key_off")
        soon = (session.valid_until - now).total_seconds() < 60 * SOON_MINUTES
        return badge(f"Valid, {minutes_left(session, now)}", Tone.WARNING if soon else Tone.GOOD, "check")

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

    @admin.display(description="the newest")
    @once_a_row
    def attempts(self, session: BrokerSession) -> str:
        if session.mode == Mode.PAPER:
            return NOTHING
        rows = [
            {"at": moment(each.begun_at), "by": each.begun_by, "outcome": _outcome(each)}
            for each in LoginAttempt.objects.all()[:ATTEMPTS_SHOWN]
        ]
        return render_to_string("desk/logins.html", {"rows": rows})


def _outcome(attempt: LoginAttempt) -> str:
    if attempt.succeeded:
        return badge(sentence(attempt.outcome), Tone.GOOD, "check")
    return sentence(attempt.outcome) if attempt.outcome else "Nobody came back from Kite."
