"""
The dead man's ping: an address outside that raises the alarm when it is asked for no more.

That is for what no alert can tell: this machine, or this process, is gone.
"""

from __future__ import annotations

from collections.abc import Callable

import requests

from orders.alerting.channels import Post
from orders.alerting.wording import Words

EVERY_SECONDS = 60.0
HTTP_SECONDS = (5.0, 5.0)  # to connect, and between two bytes of the answer
_NOTHING = Words(title="", text="")


def ask_for(url: str, _: Words = _NOTHING) -> str:
    """Ask for the address. Return why it did not answer well, without the address: it is a secret."""
    try:
        answer = requests.get(url, timeout=HTTP_SECONDS)
    except requests.RequestException as trouble:
        return type(trouble).__name__
    return "" if answer.ok else f"HTTP {answer.status_code}"


class Pinger:
    """Asks every minute while all is well. `finished` is told how each ping ended."""

    def __init__(self, post: Post, *, stopwatch: Callable[[], float], finished: Callable[[str], None]) -> None:
        self._post = post
        self._stopwatch = stopwatch
        self._finished = finished
        self._next_at = stopwatch()

    def turn(self, *, well: bool) -> None:
        """Ping when it is time; while it is not well none leaves, and the next one does as soon as it is."""
        answer = self._post.answer()
        if answer is not None:
            self._finished(answer.error)
        if well and self._post.is_free and self._stopwatch() >= self._next_at:
            self._next_at = self._stopwatch() + EVERY_SECONDS
            self._post.send(_NOTHING, "ping")
