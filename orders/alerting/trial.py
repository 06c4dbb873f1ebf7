"""A test message through every channel at once, and how each took it: for the command line and the Alerts page."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from orders.alerting import wording
from orders.alerting.channels import Post
from orders.alerting.sender import Setup

POLL_SECONDS = 0.02


@dataclass(frozen=True, kw_only=True)
class Result:
    label: str
    error: str  # empty where it was taken


def try_each(
    setup: Setup, *, mode: str, by: str, now: datetime, stopwatch: Callable[[], float] = time.monotonic
) -> list[Result]:
    """Send a test message through each channel, and wait for every answer, each to its bound."""
    words = wording.trial(mode, by=by, at=now, base_url=setup.base_url)
    posts = {address: Post(setup.tellers[address.key], stopwatch=stopwatch) for address in setup.channels}
    for post in posts.values():
        post.send(words, "test")
    errors: dict[str, str] = {}
    while len(errors) < len(posts):
        for address, post in posts.items():
            answer = post.answer()
            if answer is not None:
                errors[address.key] = answer.error
        time.sleep(POLL_SECONDS)
    return [Result(label=address.label, error=errors[address.key]) for address in setup.channels]
