"""
The database is away: no row can be read or written, so it is told through the channels directly, from memory.

Once an outage, when it has lasted a while: a restart is none. Its return is an alert like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

import structlog

from orders.alerting import wording
from orders.alerting.channels import Post
from orders.alerting.news import News

log = structlog.get_logger(__name__)

TOLD_AFTER_SECONDS = 5.0
AGAIN_SECONDS = (5.0, 15.0, 60.0, 300.0)


class Outage:
    """What is known of the database's absence. `mine` asks whether it is this process's to tell."""

    def __init__(self, posts: Mapping[str, Post], *, mode: str, base_url: str, stopwatch: Callable[[], float]) -> None:
        self._posts = posts
        self._mode = mode
        self._base_url = base_url
        self._stopwatch = stopwatch
        self._began: float | None = None
        self.since: datetime | None = None
        self._words: wording.Words | None = None
        self._to_tell: dict[str, tuple[int, float]] = {}  # of each channel: attempts, and when the next one is due

    @property
    def was_told(self) -> bool:
        return self._words is not None

    def goes_on(self, reason: str, now: datetime, *, mine: bool) -> None:
        """Take note that the database did not answer, and tell of it where it is time."""
        if self._began is None or self.since is None:
            self._began, self.since = self._stopwatch(), now
            log.error("alerts.database_away", reason=reason)
        if self._words is None and mine and self._stopwatch() - self._began >= TOLD_AFTER_SECONDS:
            self._words = wording.database_away(self._mode, since=self.since, reason=reason, base_url=self._base_url)
            self._to_tell = {key: (0, self._stopwatch()) for key in self._posts}
        self._tell()

    def is_over(self, now: datetime) -> list[News]:
        """Take note that it answers. Return what is to be told of it: nothing of an outage that nobody heard of."""
        if self.since is None:
            return []
        news = [wording.database_back(since=self.since, at=now)] if self.was_told else []
        log.warning("alerts.database_back", since=self.since.isoformat())
        self._began, self.since, self._words, self._to_tell = None, None, None, {}
        return news

    def answered(self, key: str, error: str) -> None:
        """Take note of how telling it through a channel ended."""
        if key not in self._to_tell:
            return
        attempts, _ = self._to_tell.pop(key)
        if error and attempts <= len(AGAIN_SECONDS):
            log.warning("alert.failed", channel=key, error=error)
            self._to_tell[key] = (attempts, self._stopwatch() + AGAIN_SECONDS[attempts - 1])

    def _tell(self) -> None:
        for key, (attempts, at) in list(self._to_tell.items()):
            if self._words is not None and self._posts[key].is_free and self._stopwatch() >= at:
                self._to_tell[key] = (attempts + 1, at)
                self._posts[key].send(self._words, self)
