"""
Whether the desk is ready: PostgreSQL, Redis, the executor and the login, each with what was measured.

The first three must always hold. A login ends every morning at six and is made by a person before the session: its lack
is reported at any time, and counts only while the exchange trades, so that nobody is woken for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import structlog
from django.conf import settings
from django.db import Error, connection

from orders.desk import Desk, DeskNotWired
from orders.models import ExecutorHeartbeat
from orders.models.broker import NO_EXECUTOR_AFTER_SECONDS
from orders.monitoring.bounded import Bounded, NoAnswer
from orders.receivers import REDIS_AWAY, ping
from orders.redaction import strike_out
from orders.session_hours import is_in_session
from risk.models import Mode

log = structlog.get_logger(__name__)

WITHIN_SECONDS = 2.0
KEEP_SECONDS = 1.0  # who asks without a token asks as often as he likes: the servers are not asked as often
WHY_LETTERS_MAX = 200


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part of what must hold. One that is not `required` is told of, and makes nothing unready."""

    ok: bool
    why: str
    required: bool = True


@dataclass(frozen=True, kw_only=True)
class Readiness:
    parts: dict[str, Part]

    @property
    def is_ready(self) -> bool:
        return all(part.ok or not part.required for part in self.parts.values())

    @property
    def status(self) -> str:
        return "ready" if self.is_ready else "not ready"

    def as_told(self) -> dict[str, Any]:
        return {"status": self.status, "parts": {name: asdict(part) for name, part in self.parts.items()}}


def of_the_database(desk: Desk) -> dict[str, Part]:
    """Return what PostgreSQL says of itself, the executor and the login. Raise a database error where it does not."""
    now = desk.clock()
    beat = ExecutorHeartbeat.objects.filter(mode=desk.mode).first()
    logged_in, in_session = desk.vault.is_valid(now), is_in_session(desk)
    return {
        "postgresql": Part(ok=True, why="answers"),
        "executor": _executor(beat, now),
        "broker_session": Part(
            ok=logged_in,
            why=_login(desk, logged_in=logged_in, in_session=in_session),
            required=in_session,
        ),
    }


def _executor(beat: ExecutorHeartbeat | None, now: datetime) -> Part:
    if beat is None:
        return Part(ok=False, why="no executor was ever seen")
    age = max(0.0, (now - beat.beat_at).total_seconds())
    return Part(ok=beat.is_alive(now), why=f"last beat {age:.0f} s ago, {NO_EXECUTOR_AFTER_SECONDS} s at most")


def _login(desk: Desk, *, logged_in: bool, in_session: bool) -> str:
    if desk.mode == Mode.PAPER:
        return "the paper Kite needs none"
    if logged_in:
        return "logged in"
    return "no login, and the exchange trades" if in_session else "no login; needed when the exchange trades"


def _without_the_database(why: str) -> dict[str, Part]:
    unknown = Part(ok=False, why="not known without PostgreSQL")
    return {"postgresql": Part(ok=False, why=why), "executor": unknown, "broker_session": unknown}


def _ask_the_database() -> dict[str, Part]:
    try:
        return of_the_database(Desk.from_settings())
    finally:
        connection.close()  # this thread ends


def _ask_redis() -> Part:
    try:
        ping(settings.REDIS_URL, within_seconds=WITHIN_SECONDS / 2)
    except (*REDIS_AWAY, OSError) as trouble:
        return Part(ok=False, why=_why(trouble))
    return Part(ok=True, why="answers")


def _why(trouble: BaseException) -> str:
    return strike_out(" ".join(f"{type(trouble).__name__}: {trouble}".split()))[:WHY_LETTERS_MAX]


class Watch:
    """Asks both servers at the same time, and waits for neither any longer than for the other."""

    def __init__(
        self,
        ask_the_database: Callable[[], dict[str, Part]] = _ask_the_database,
        ask_redis: Callable[[], Part] = _ask_redis,
        *,
        within_seconds: float = WITHIN_SECONDS,
        keep_seconds: float = KEEP_SECONDS,
    ) -> None:
        self._database = Bounded(ask_the_database, within_seconds=within_seconds, keep_seconds=keep_seconds)
        self._redis = Bounded(ask_redis, within_seconds=within_seconds, keep_seconds=keep_seconds)

    def readiness(self) -> Readiness:
        """Return how it stands, in about the seconds of one question. It never raises."""
        self._redis.begin()
        try:
            parts = self._database.answer()
        except NoAnswer as silence:
            parts = _without_the_database(str(silence))
        except (DeskNotWired, Error) as trouble:  # a database that is only half migrated is no error page, either
            log.warning("readiness.unknown", reason=_why(trouble))
            parts = _without_the_database(_why(trouble))
        try:
            redis = self._redis.answer()
        except NoAnswer as silence:
            redis = Part(ok=False, why=str(silence))
        first = {"postgresql": parts["postgresql"], "redis": redis}
        return Readiness(parts={**first, **parts})
