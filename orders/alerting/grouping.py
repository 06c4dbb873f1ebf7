"""
When a message may leave: at once while little happens, and in a storm one for all that came meanwhile.

Pure: what was told lately goes in, the moment from which the next message may leave comes out. What is urgent has a
track of its own, which no storm of other things holds up, and waits for five seconds at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

BETWEEN = timedelta(seconds=4)  # two messages: with the second until it is noticed, nothing is told later than in five
STORM_WITHIN = timedelta(seconds=60)
STORM_ALERTS = 10  # noticed within it; more of them are a storm
STORM_BETWEEN = timedelta(seconds=60)


@dataclass(frozen=True, kw_only=True)
class Lately:
    """What one track brought: when its last message was formed, and when each alert of the last minute was noticed."""

    last_message: datetime | None
    noticed: Sequence[datetime]


def may_leave_at(lately: Lately, now: datetime, *, urgent: bool) -> datetime:
    """Return from when on a message of everything that waits may leave."""
    if lately.last_message is None or lately.last_message > now:  # a clock that was set back holds nothing up
        return now
    count = sum(now - STORM_WITHIN < at <= now for at in lately.noticed)
    pause = STORM_BETWEEN if count > STORM_ALERTS and not urgent else BETWEEN
    return max(now, lately.last_message + pause)
