"""
Sessions: who may ask, and until when.

A login gives a request token, which a client exchanges once, with a checksum over its secret, for an access
token that is good until six in the morning. Whether a second login ends the first is not documented; here it does
not. Access tokens are kept as digests, in a file of their own beside the journal, so that a restart logs nobody out.

Started with a key and a token, the server accepts exactly that pair, and logins with that key; started without,
it accepts `paper:paper`, and logins with any key. This standing pair neither expires nor logs out: it ends when a
rehearsal ends all sessions, and is accepted again when that restores it. Its end is kept in the same file.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from pathlib import Path

from orders.paper.errors import BAD_TOKEN, KiteRefusal, bad_input
from orders.paper.exchange.journal import sync_directory
from orders.paper.indian_time import IST

STANDING_PAIR = ("paper", "paper")
REQUEST_TOKEN_LIVES = timedelta(minutes=5)
EXPIRES_AT = time(6, tzinfo=IST)
WAITING_MAX = 1000  # request tokens that nobody came back with
SESSIONS_MAX = 1000  # the oldest make room, so that logins fill neither memory nor disk
KEY_LENGTH_MAX = 64
DEAD_REQUEST_TOKEN = "Token is invalid or has expired."  # noqa: S105 - a sentence about tokens
BAD_CHECKSUM = "Invalid `checksum`."


class LoginsDamaged(Exception):
    """The file of sessions cannot be read."""


@dataclass(frozen=True, kw_only=True)
class Session:
    api_key: str
    access_token: str
    public_token: str
    opened_at: datetime


@dataclass(frozen=True, kw_only=True)
class Waiting:
    api_key: str
    until: datetime


class Logins:
    def __init__(self, state_dir: Path, *, api_secret: str, pair: tuple[str, str] | None) -> None:
        self.path = state_dir / "sessions.json"
        self.api_secret = api_secret
        self.pair = pair
        # Among the sessions, the standing pair's digest stands for its end.
        self._standing = digest(*self.example_pair)
        self._waiting: dict[str, Waiting] = {}
        self._expiries = self._load()

    @property
    def example_pair(self) -> tuple[str, str]:
        """Return a key and a token that are accepted."""
        return self.pair or STANDING_PAIR

    @property
    def standing_ended(self) -> bool:
        return self._standing in self._expiries

    def logged_in(self, now: datetime) -> int:
        """Return how many have a session by a login."""
        return sum(1 for key, expiry in self._expiries.items() if key != self._standing and now < expiry)

    def check(self, api_key: str, access_token: str, now: datetime) -> None:
        """Raise a 403 `TokenException` unless the pair has a session."""
        named = digest(api_key, access_token)
        if same(named, self._standing):
            if self.standing_ended:
                raise KiteRefusal(403, "TokenException", BAD_TOKEN)
            return
        expiry = self._expiries.get(named)
        # The file may have sessions of a key that the server was started with another time.
        foreign = self.pair is not None and not same(api_key, self.pair[0])
        if expiry is None or now >= expiry or foreign:
            raise KiteRefusal(403, "TokenException", BAD_TOKEN)

    def check_key(self, api_key: str) -> None:
        """Refuse a key that may not log in."""
        if not api_key or len(api_key) > KEY_LENGTH_MAX or not api_key.isascii() or not api_key.isprintable():
            raise bad_input("Missing or invalid `api_key`.")
        if self.pair and not same(api_key, self.pair[0]):
            raise bad_input("Invalid `api_key`.")

    def request_token(self, api_key: str, now: datetime) -> str:
        """Log in and return a token to be exchanged once, within five minutes."""
        self.check_key(api_key)
        self._waiting = {token: one for token, one in self._waiting.items() if now < one.until}
        if len(self._waiting) >= WAITING_MAX:
            self._waiting.pop(next(iter(self._waiting)))
        token = new_token()
        self._waiting[token] = Waiting(api_key=api_key, until=now + REQUEST_TOKEN_LIVES)
        return token

    def open(self, *, api_key: str, request_token: str, checksum: str, now: datetime) -> Session:
        """Exchange a request token for a session; raise `KiteRefusal`."""
        self.check_key(api_key)
        expected = hashlib.sha256(f"{api_key}{request_token}{self.api_secret}".encode()).hexdigest()
        if not same(checksum, expected):
            raise KiteRefusal(403, "TokenException", BAD_CHECKSUM)
        waiting = self._waiting.get(request_token)
        if waiting is None or waiting.api_key != api_key or now >= waiting.until:
            raise KiteRefusal(403, "TokenException", DEAD_REQUEST_TOKEN)
        session = Session(api_key=api_key, access_token=new_token(), public_token=new_token(), opened_at=now)
        living = [(key, expiry) for key, expiry in self._expiries.items() if now < expiry and key != self._standing]
        opened = (digest(api_key, session.access_token), next_expiry(now))
        self._keep(self._end_of_standing() | dict([*living[1 - SESSIONS_MAX :], opened]))
        del self._waiting[request_token]
        return session

    def close(self, api_key: str, access_token: str) -> bool:
        """End a session, and tell whether there was one; the pair of the start is not ended by a client."""
        ended = digest(api_key, access_token)
        if ended == self._standing or ended not in self._expiries:
            return False
        self._keep({key: expiry for key, expiry in self._expiries.items() if key != ended})
        return True

    def end_all(self, now: datetime) -> None:
        """End every session, the standing pair's too; whoever logs in anew gets one."""
        self._keep({self._standing: now})

    def restore(self) -> None:
        """Accept the standing pair again."""
        if self.standing_ended:
            self._keep({key: expiry for key, expiry in self._expiries.items() if key != self._standing})

    def _end_of_standing(self) -> dict[str, datetime]:
        return {key: ended for key, ended in self._expiries.items() if key == self._standing}

    def _load(self) -> dict[str, datetime]:
        try:
            rows = json.loads(self.path.read_text(encoding="utf-8"))
            return {key: with_offset(expiry) for key, expiry in rows.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise LoginsDamaged(
                f"{self.path} cannot be read ({error}): move it away, and clients log in again."
            ) from error

    def _keep(self, expiries: dict[str, datetime]) -> None:
        """
        Write these sessions beside the old file, put them in its place, and only then let them count.

        What counted before it was on the disk would be undone by a restart: a logout above all.
        """
        draft = self.path.with_suffix(".new")
        rows = {key: expiry.isoformat() for key, expiry in expiries.items()}
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as text:
                json.dump(rows, text)
                text.flush()
                os.fsync(text.fileno())
            draft.replace(self.path)
            sync_directory(self.path.parent)
        except OSError as error:
            raise KiteRefusal(
                500, "GeneralException", f"The session cannot be kept ({error.strerror}): make room in {self.path}."
            ) from error
        self._expiries = expiries


def new_token() -> str:
    """Return 32 letters and digits, as Kite's tokens are: they stand in URLs and on command lines."""
    return secrets.token_hex(16)


def with_offset(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text} has no offset")
    return moment


def next_expiry(now: datetime) -> datetime:
    """Return the next six o'clock in the morning in Mumbai."""
    here = now.astimezone(IST)
    expiry = datetime.combine(here.date(), EXPIRES_AT)
    return expiry if here < expiry else expiry + timedelta(days=1)


def digest(api_key: str, access_token: str) -> str:
    return hashlib.sha256(f"{api_key}:{access_token}".encode(errors="surrogatepass")).hexdigest()


def same(one: str, other: str) -> bool:
    """Compare in a time that does not tell how much of it was right."""
    return hmac.compare_digest(one.encode(errors="surrogatepass"), other.encode(errors="surrogatepass"))
