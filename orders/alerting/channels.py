"""
The channels: the only module that knows apprise.

A call may hang for as long as the service likes. Each runs in a thread of its own and is waited for to a bound; one
that hangs is left behind and holds up nobody but its own channel.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import structlog

from orders.alert_urls import Address
from orders.alerting.wording import Words
from orders.redaction import strike_out

log = structlog.get_logger(__name__)

ANSWER_SECONDS_MAX = 15.0
HANGING_MAX = 2  # calls of one channel that were left behind; while so many hang, it is not called


class BadAddress(Exception):
    """An address that apprise cannot use; the text says which one by its place, and shows no secret."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """How an attempt ended: `error` is empty when it was delivered."""

    error: str = ""
    may_have_arrived: bool = False


class Teller(Protocol):
    """What carries words somewhere. Return why not, or nothing when they were taken."""

    def __call__(self, words: Words) -> str: ...


def open_channels(addresses: Sequence[Address]) -> dict[str, Teller]:
    """Return what tells through each address, by its key. Raise `BadAddress`."""
    if not addresses:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the libraries behind its services
        import apprise  # it takes a while, and only who sends needs it

        # What an attempt came to is in its row, struck out; its own log now and then names an address.
        logging.getLogger("apprise").propagate = False
        asset = apprise.AppriseAsset(
            app_id="Order Executor",
            app_desc="Order Executor",
            app_url="",
            async_mode=False,
            service_timeout=0,  # the wait is bounded here, in a thread that may be left behind
            language="en",
            secure_logging=True,
        )
        return {
            address.key: partial(_tell, _opened(apprise, asset, address, f"number {number} of {len(addresses)}"))
            for number, address in enumerate(addresses, start=1)
        }


def _opened(apprise: Any, asset: Any, address: Address, place: str) -> Any:
    opened = apprise.Apprise(asset=asset)
    with contextlib.suppress(TypeError):
        if opened.add(address.url):
            return opened
    raise BadAddress(
        f"ALERT_URLS, {place} ({address.label}): apprise does not understand it. Its services and their addresses are "
        "listed at https://appriseit.com/services/; what stands in it is not shown here."
    )


def _tell(opened: Any, words: Words) -> str:
    result = opened.notify(
        title=words.title, body=words.text, notify_type=words.tone, body_format="text", log_level=logging.WARNING
    )
    if result:
        return ""
    said = "; ".join(dict.fromkeys(str(getattr(entry, "message", entry)) for entry in result.logs()))
    return said or "it was not taken, and nothing was said of why"


class Post:
    """One channel at work: one message at a time, each in a thread that is waited for to a bound."""

    def __init__(
        self, tell: Teller, *, seconds: float = ANSWER_SECONDS_MAX, stopwatch: Callable[[], float] = time.monotonic
    ) -> None:
        self._tell = tell
        self._seconds = seconds
        self._stopwatch = stopwatch
        self._attempt: _Attempt | None = None
        self._left_behind: list[_Attempt] = []
        self.at_work_on: object = None  # whatever the caller named it by

    @property
    def is_free(self) -> bool:
        return self._attempt is None

    def send(self, words: Words, name: object) -> None:
        assert self._attempt is None, "one at a time"
        self.at_work_on = name
        self._left_behind = [each for each in self._left_behind if each.is_alive()]
        stuck = len(self._left_behind) >= HANGING_MAX
        self._attempt = _Attempt(self._tell, words, until=self._stopwatch() + self._seconds)
        if stuck:
            self._attempt.answer = Answer(error=f"{HANGING_MAX} earlier attempts hang still")
        else:
            self._attempt.start()

    def answer(self) -> Answer | None:
        """Return how the attempt ended, once; None while it is waited for, or when there is none."""
        attempt = self._attempt
        if attempt is None:
            return None
        if attempt.answer is None:
            if self._stopwatch() < attempt.until:
                return None
            self._left_behind.append(attempt)
            self._attempt = None
            return Answer(error=f"no answer within {self._seconds:g} s", may_have_arrived=True)
        self._attempt = None
        return attempt.answer


class _Attempt(threading.Thread):
    def __init__(self, tell: Teller, words: Words, *, until: float) -> None:
        super().__init__(name="alert", daemon=True)  # one that hangs must not keep the process
        self._tell = tell
        self._words = words
        self.until = until
        self.answer: Answer | None = None

    def run(self) -> None:
        try:
            self.answer = Answer(error=strike_out(self._tell(self._words)))
        except Exception as trouble:
            # A hundred services behind one library: whatever one of them trips over is a failed attempt, no more.
            log.warning("alert.attempt_failed", exc_info=True)
            self.answer = Answer(error=f"{type(trouble).__name__}: {strike_out(str(trouble))}")
