"""
The daily login: to Kite's page and back with a request token, which is exchanged once for the day's access token.

Whoever begins carries a state to Kite and back, so that nobody else's request token can be brought in: it is good for
ten minutes, for one return, and for the member of staff and the browser session that began. A login of another account
than the armed one is not kept: it could trade nothing, and would only replace one that can.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import structlog
from django.db import transaction

from orders.broker.gateway import BrokerUnreachable, SessionRefused
from orders.broker.kite import KiteMarket
from orders.broker.shadow import ShadowGateway
from orders.desk import Desk
from orders.models import BrokerSession, LoginAttempt
from risk import control as switch
from risk.control import LooseningRefused
from risk.models import Mode, TradingControl

ATTEMPT_LIVES = timedelta(minutes=10)

log = structlog.get_logger(__name__)


class LoginNotKept(Exception):
    """There is no new login; the text says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Returning:
    """Who logs in: the member of staff and the browser session."""

    name: str
    account: int
    session_key: str


def begin(desk: Desk, who: Returning) -> str:
    """Return the address of Kite's login page for this person. Raise `LoginNotKept` on paper, which needs none."""
    if desk.mode == Mode.PAPER:
        raise LoginNotKept("this is PAPER, which needs no login")
    state = secrets.token_urlsafe(32)
    LoginAttempt.objects.create(
        state_digest=_digest(state),
        begun_at=desk.clock(),
        begun_by=who.name,
        account=who.account,
        session_digest=_digest(who.session_key),
    )
    return kite(desk).login_url(state=state)


def come_back(
    desk: Desk, who: Returning, *, state: str, succeeded: bool, request_token: str, secret: str
) -> BrokerSession:
    """Take over what Kite's page sent back, once. Raise `LoginNotKept`."""
    attempt = _claimed(desk, who, state)
    try:
        if not succeeded or not request_token:
            raise LoginNotKept("the login was cancelled at Kite: nothing has changed")
        session = log_in(desk, request_token, secret=secret)
    except LoginNotKept as refusal:
        LoginAttempt.objects.filter(pk=attempt.pk).update(outcome=str(refusal))
        log.warning("login.not_kept", by=who.name, reason=str(refusal))
        raise
    LoginAttempt.objects.filter(pk=attempt.pk).update(outcome=f"logged in as {session.user_id}", succeeded=True)
    return session


def log_in(desk: Desk, request_token: str, *, secret: str) -> BrokerSession:
    """
    Exchange the request token and keep the login, unless it is of another account than the armed one.

    Kite is asked without a lock, and its newest login ends the one before: one that was overtaken is not kept.
    """
    began_at = desk.clock()
    try:
        user_id, access_token = kite(desk).exchange_request_token(request_token, secret)
    except SessionRefused as refusal:
        raise LoginNotKept(
            f"Kite did not accept it: {refusal}. A request token works once and for a few minutes: log in again. If it "
            "happens again, check that KITE_API_KEY and KITE_API_SECRET are of the same app"
        ) from refusal
    except BrokerUnreachable as trouble:
        raise LoginNotKept(
            f"Kite could not be asked, or gave no login: {trouble}. The request token may be used up: log in again"
        ) from trouble
    with transaction.atomic(durable=True):
        armed_for = TradingControl.objects.locked(desk.mode).armed_user_id
        kept = desk.vault.row()
        kept_at = None if kept.refused_at else kept.logged_in_at  # one that is refused by now came before this one
        if kept_at is not None and began_at < kept_at <= desk.clock():  # one of the future is of a clock set back
            raise LoginNotKept("another login was made meanwhile and is kept: if it is refused, log in again")
        if armed_for and armed_for != user_id:
            raise LoginNotKept(
                f"Kite logged you in as {user_id}, and live trading is armed for {armed_for}. This login is not kept: "
                f"log out at Kite and log in as {armed_for}, or disarm first"
            )
        desk.vault.keep(access_token, user_id=user_id, now=desk.clock())
    return desk.vault.row()


def arm(
    desk: Desk, *, user_id: str, by: str, version_shown: int, then: Callable[[], None] = lambda: None
) -> TradingControl:
    """
    Arm live trading for the account that is logged in, which the person names, and do what goes with it: both or none.

    Raise `LooseningRefused` when nobody is logged in or the account is another, `ControlChanged`.
    """
    typed = user_id.strip()
    with transaction.atomic(durable=True):
        TradingControl.objects.locked(Mode.LIVE)  # no other login comes in between
        logged_in = desk.vault.row().user_id
        if not desk.is_live or not desk.vault.is_valid(desk.clock()):
            raise LooseningRefused("nobody is logged in to Kite: log in on the Session page, then arm")
        if not logged_in:
            raise LooseningRefused(
                "whose login it is has not been read yet: log in on the Session page, or start the executor"
            )
        if typed != logged_in:
            raise LooseningRefused(f"you typed {typed or 'nothing'}, and the login is of {logged_in}: nothing is armed")
        armed = switch.arm_live(user_id=typed, by=by, now=desk.clock(), version_shown=version_shown)
        then()
        return armed


def _claimed(desk: Desk, who: Returning, state: str) -> LoginAttempt:
    """Use the state up and return its attempt. Raise `LoginNotKept` for one that is not this person's, or not now."""
    now = desk.clock()
    named = LoginAttempt.objects.filter(state_digest=_digest(state))
    theirs = named.filter(account=who.account, session_digest=_digest(who.session_key))
    if theirs.filter(returned_at=None, begun_at__gt=now - ATTEMPT_LIVES).update(returned_at=now):
        return theirs.get()
    attempt = theirs.first()
    if attempt is None:
        log.error("login.foreign_state", by=who.name, known=named.exists())
        raise LoginNotKept(
            "this return from Kite does not belong to a login that you began in this session: press the button here"
        )
    if attempt.returned_at is not None:
        raise LoginNotKept(f"this return from Kite was used already: {attempt.outcome or 'it is being exchanged'}")
    raise LoginNotKept("the login took longer than ten minutes: press the button again")


def kite(desk: Desk) -> KiteMarket:
    """Return where the login is: in shadow with the half that has no orders."""
    gateway = desk.gateway.market if isinstance(desk.gateway, ShadowGateway) else desk.gateway
    assert isinstance(gateway, KiteMarket), "the settings wire a Kite gateway"
    return gateway


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
