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

from orders.broker.kite import IST
from orders.models import BrokerSession
from risk.models import Mode

log = structlog.get_logger(__name__)

PAPER_TOKEN = "paper"  # noqa: S105 — the paper server takes any token; this one says what it is
EXPIRY = time(6, 0)  # Kite logs everybody out then, by regulation


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
        return BrokerSession.objects.get_or_create(mode=self.mode)[0]

    def token(self) -> str:
        """Return the access token to use now; empty when there is none that can be read."""
        if self.mode == Mode.PAPER:
            return PAPER_TOKEN
        try:
            return self._fernet.decrypt(self.row().access_token.encode()).decode()
        except InvalidToken:  # empty, or kept under a secret key that was changed since
            return ""

    def is_valid(self, now: datetime) -> bool:
        """Return whether there is a login that the broker should accept now."""
        row = self.row()
        if self.mode == Mode.PAPER:
            return True
        in_time = row.valid_until is not None and now < row.valid_until
        return bool(in_time and row.refused_at is None and self.token())

    def keep(self, token: str, *, user_id: str, now: datetime) -> None:
        """Remember a new login in place of the old one."""
        self.row()
        BrokerSession.objects.filter(mode=self.mode).update(
            access_token=self._fernet.encrypt(token.encode()).decode(),
            user_id=user_id,
            logged_in_at=now,
            valid_until=expiry_after(now),
            refused_at=None,
            last_error="",
        )
        log.info("broker_session.opened", mode=self.mode, user_id=user_id)

    def keep_from_environment(self, token: str, *, now: datetime) -> None:
        """Take over KITE_ACCESS_TOKEN the first time that this one is seen."""
        digest = hashlib.sha256(token.encode()).hexdigest()
        if not token or self.row().environment_token_digest == digest:
            return
        self.keep(token, user_id="", now=now)
        BrokerSession.objects.filter(mode=self.mode).update(environment_token_digest=digest)

    def refuse(self, reason: str, *, asked_at: datetime) -> bool:
        """
        Remember that the broker did not accept the login that was used at that moment. Return whether that is news.

        A login made since then is another one, and stays.
        """
        if self.mode == Mode.PAPER:
            return False
        used = BrokerSession.objects.filter(mode=self.mode, refused_at__isnull=True, logged_in_at__lte=asked_at)
        return bool(used.update(refused_at=asked_at, last_error=reason))
