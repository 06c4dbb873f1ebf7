"""
The paper Kite's clock: the machine's, until it is set.

A clock that was set runs at its own speed from the moment it was given: 1 is as fast as time, 60 makes a
minute a second, 0 stands still until it is set again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from orders.paper.indian_time import IST

SPEED_MAX = 86_400
# Beyond these, days before and after cannot be counted, and nobody means them.
EARLIEST = datetime(2000, 1, 1, tzinfo=IST)
LATEST = datetime(2100, 1, 1, tzinfo=IST)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """From `set_at` on the machine's clock, ours says `moment` and runs `speed` times as fast."""

    moment: datetime
    speed: float
    set_at: datetime


class Clock:
    def __init__(self, wall: Callable[[], datetime]) -> None:
        self.wall = wall
        self.setting: Setting | None = None

    def __call__(self) -> datetime:
        """Return the present moment in Mumbai."""
        wall = self.wall()
        if self.setting is None:
            return wall.astimezone(IST)
        # At the greatest speed the years of this clock pass within hours of the machine's, and datetimes end.
        gone = min(max(wall - self.setting.set_at, timedelta(0)), timedelta(days=1000)) * self.setting.speed
        return (self.setting.moment + min(gone, LATEST - self.setting.moment)).astimezone(IST)

    def set(self, setting: Setting | None) -> None:
        """Run from this moment at this speed, or with the machine's clock again when None."""
        self.setting = setting
