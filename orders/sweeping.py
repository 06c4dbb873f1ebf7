"""
What refers only to itself is collected in quiet moments.

To look for it among all that lives stops every thread of the process: beside a book of 5,000 orders for 60 to 80
milliseconds, and by Python's own measure every three to five seconds.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

from orders.right_of_way import RightOfWay

SWEEP_SECONDS = 60.0
OVERDUE_SECONDS = 300.0  # then it is done though the moment is not quiet
BY_ITSELF_AFTER = 1000  # collections of what is younger, in place of Python's ten: only where nobody sweeps


def leave_it_to_quiet_moments() -> None:
    """Have Python walk all that lives hardly ever by itself; what is young it collects as before."""
    young, younger, _ = gc.get_threshold()
    gc.set_threshold(young, younger, BY_ITSELF_AFTER)


class Sweep:
    """Collects once a minute, while nobody decides."""

    def __init__(
        self,
        way: RightOfWay,
        *,
        collect: Callable[[], object] = gc.collect,
        stopwatch: Callable[[], float] = time.monotonic,
    ) -> None:
        self._way = way
        self._collect = collect
        self._stopwatch = stopwatch
        self._swept_at = stopwatch()

    def look(self) -> None:
        """Sweep if it is time."""
        passed = self._stopwatch() - self._swept_at
        if passed >= OVERDUE_SECONDS or (passed >= SWEEP_SECONDS and not self._way.is_taken):
            self._collect()
            self._swept_at = self._stopwatch()
