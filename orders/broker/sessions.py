"""
Our login at the broker: the token encrypted at rest, valid until six in the morning in Mumbai, the newest one used.

Paper needs no login. Live takes the token of the login button or of KITE_ACCESS_TOKEN, whichever came last; a token
the broker refused is not tried again.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime, time, timedelta

import structlog
from cryptography.fernet import Fernet, InvalidToken
from django.db.models import Q, QuerySet

from orders.broker.kite_rows import IST
from orders.models import BrokerSession
from orders.redaction import hide, strike_out
from risk.models import Mode
from risk.questions import Question

log = structlog.get_logger(__name__)

PAPER_TOKEN = "paper"  # noqa: S105 — the paper server takes any token; this one says what it is
EXPIRY = time(6, 0)  # Kite logs everybody out then, by regulation


SESSION = Question[BrokerSession](lambda mode: BrokerSession.objects.filter(mode=mode), mode=str)


def expiry_after(moment: datetime) -> datetime:
    """Return the next six o'clock in Mumbai."""
    local = moment.astimezone(IST)
    today = datetime.combine(local.date(), EXPIRY, tzinfo=IST)
    return today if local < today else today + timedelta(days=1)


class TokenVault:
    """Keeps one mode's access token, encrypted with a key derived from the secret key."""

    def __init__(self, mode: str, *, secret_key: str) -> None:
        self.mode = mode
        key = hashlib.sha256(b"broker access token:" + secret_key.encode()).digest()
        self._fernet = Fernet(base64.urlsafe_b64encode(key))

    def row(self) -> BrokerSession:
        for row in SESSION.rows(mode=self.mode):
            return row
        return BrokerSession.objects.get_or_create(mode=self.mode)[0]

    def token(self) -> str:
        """Return the access token to use now; empty when there is none that can be read."""
        if self.mode == Mode.PAPER:
            return PAPER_TOKEN
        try:
            token = self._fernet.decrypt(self.row().access_token.encode()).decode()
        except InvalidToken:  # empty, or kept under a secret key that was changed since
            return ""
        hide(token)
        return token

    def is_valid(self, now: datetime, row: BrokerSession | None = None) -> bool:
        """Return whether there is a login that the broker should accept now; `row` is it, as just read."""
        row = row or self.row()
        if self.mode == Mode.PAPER:
            return True
        in_time = row.valid_until is not None and now < row.valid_until
        return bool(in_time and row.refused_at is None and self.token())

    def keep(self, token: str, *, user_id: str, now: datetime) -> None:
        """Remember a new login in place of the old one."""
        self.row()
        self._keep(BrokerSession.objects.filter(mode=self.mode), token, user_id=user_id, now=now)

    def keep_from_environment(self, token: str, *, now: datetime) -> None:
        """Take over KITE_ACCESS_TOKEN the first time that this one is seen."""
        if not token:
            return
        self.row()
        digest = hashlib.sha256(token.encode()).hexdigest()
        not_seen = BrokerSession.objects.filter(mode=self.mode).exclude(environment_token_digest=digest)
        self._keep(not_seen, token, user_id="", now=now, environment_token_digest=digest)

    def _keep(self, where: QuerySet[BrokerSession], token: str, *, user_id: str, now: datetime, **more: str) -> None:
        """Write all of a login at once: half of it would be tried again, or replace a newer one."""
        hide(token)
        kept = where.update(
            access_token=self._fernet.encrypt(token.encode()).decode(),
            user_id=user_id,
            logged_in_at=now,
            valid_until=expiry_after(now),
            refused_at=None,
            last_error="",
            **more,
        )
        if kept:
            log.info("broker_session.opened", mode=self.mode, user_id=user_id)

    def refuse(self, reason: str, *, asked_at: datetime, now: datetime) -> bool:
        """
        Remember that the broker did not accept the login that was used at `asked_at`. Return whether that is news.

        A login made since then is another one, and stays. One that seems to come of the future is not: the clock was
        set back, and it would be tried until that time has come.
        """
        if self.mode == Mode.PAPER:
            return False
        used = Q(logged_in_at__lte=asked_at) | Q(logged_in_at__gt=now)
        refused = BrokerSession.objects.filter(used, mode=self.mode, refused_at__isnull=True)
        return bool(refused.update(refused_at=asked_at, last_error=strike_out(reason)))
