"""
A login that the broker refuses while it should be good: trading halts, and goes on after a new login.

The daily expiry is no such thing: it is known beforehand, and a gate. Neither is a refusal outside market hours, when
the broker logs everybody out. Resting orders are left where they are; a person's halt is what cancels them.
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from orders.desk import Desk
from orders.models import Order, Position
from orders.session_hours import is_in_session
from risk import control as switch
from risk.models import Incident, TradingControl
from risk.questions import Question


def login_refused(desk: Desk, reason: str, *, asked_at: datetime) -> None:
    """Remember that the broker refused the login that was used at that moment; in session, halt and say so."""
    with transaction.atomic():
        switch.wait_for_the_lock()
        TradingControl.objects.locked(desk.mode)
        now = desk.clock()
        session = desk.vault.row()
        expired = session.valid_until is None or session.valid_until <= now
        if not desk.vault.refuse(reason, asked_at=asked_at, now=now) or expired or not is_in_session(desk):
            return
        switch.halt_for_login(desk.mode, reason=f"the broker refused the login: {reason}", now=now)
        Incident.objects.open(
            Incident.Kind.LOGIN_REFUSED,
            mode=desk.mode,
            title="The broker refused the login while the market is open",
            detail=reason,
            what_to_do="Did somebody log in elsewhere with the same key? Log in again: trading goes on when the book "
            "has been compared and nothing in it is unexplained.",
            now=now,
        )


def lift_halt_after_login(desk: Desk, *, as_of: datetime) -> None:
    """Lift a halt whose only cause was the login, after a clean comparison that began at that moment with a new one."""
    if not _LIFTS.rows(mode=desk.mode):
        return
    session = desk.vault.row()
    logged_in = session.logged_in_at is not None and session.logged_in_at <= as_of
    lacking = Position.objects.filter(mode=desk.mode, missing__gt=0).exists()
    if logged_in and desk.vault.is_valid(desk.clock()) and not lacking and not Order.objects.in_doubt(desk.mode):
        switch.lift_login_halt(desk.mode, reason="logged in again, and the book was compared", now=desk.clock())


_LIFTS = Question[tuple[str]](
    lambda mode: TradingControl.objects.filter(mode=mode).exclude(lifts_to="").values_list("lifts_to"), mode=str
)
