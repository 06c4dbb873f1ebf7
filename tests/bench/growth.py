"""
Growth: whether an order costs the same with a million past orders as with none, and with five thousand today; and what
pages and files take then.

The full book takes turns with an empty one, which has servers of its own: no machine is as fast all through an hour.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from tests.bench import pages
from tests.bench.ground import Ground
from tests.bench.orders import BURST, Publisher, Taken, executor, take, wait_until_open
from tests.bench.report import Figure, percentile

PAST = (120_000, 1_000_002)  # orders; multiples of six, as they come in threes of pairs
TODAY = 5000
MINUTE_SECONDS = 60  # what was placed within it is read for each order: never more than the broker takes in one
MEDIAN_MAX, P99_MAX = 1.10, 1.30  # times what it is with none


def figures(ground: Ground, rounds: int, messages: int) -> list[Figure]:
    """Return how many times the time with an empty book each is, and what pages and files take at the last."""
    with _empty_beside(ground) as empty:
        turns = Turns(ground, empty, rounds, messages)
        with executor(ground):
            fill_today(ground, TODAY)
        today, none = turns.take("today", first=None)
        found, filled = [*_beside(f"{TODAY:,} orders today", today, none), _while_a_book_is_read(today)], 0
        for orders in PAST:
            ground.run("past", str(orders - filled))  # as copies of what was made before it
            filled = orders
            taken, none = turns.take(f"past{orders}", first="forget_today")
            found += _beside(f"{orders // 1000:,},000 past orders", taken, none)
    return [*found, *pages_and_files(ground)]


@contextlib.contextmanager
def _empty_beside(ground: Ground) -> Iterator[Ground]:
    """Have servers of their own for an empty book."""
    empty = Ground(ground.folder / "empty")
    try:
        empty.start()
        empty.run("prepare")
        yield empty
    finally:
        empty.stop()
    empty.remove()


class Turns:
    """Measures a book and an empty one by turns; whichever waits has no executor, and idle servers but for a vacuum."""

    def __init__(self, full: Ground, empty: Ground, rounds: int, messages: int) -> None:
        self._full = full
        self._empty = empty
        self._rounds = rounds
        self._messages = max(1, messages // rounds)  # of a turn

    def take(self, run: str, *, first: str | None) -> tuple[Taken, Taken]:
        """
        Return what became of as many messages on either; `first` is played on the full one before each turn.

        Each is first every other time. Where the full one stays as it is, what it placed is a minute old in its next.
        """
        full, none, kept_since = Taken(), Taken(), 0.0
        sides = [(self._full, full, first), (self._empty, none, "forget")]
        for number in range(self._rounds):
            for ground, taken, part in sides if number % 2 == 0 else reversed(sides):
                if part is None:
                    time.sleep(max(0.0, kept_since + MINUTE_SECONDS - time.monotonic()))
                with executor(ground, first=part):
                    taken.add(take(ground, "signals", f"{run}-{number}-", self._messages))
                if part is None:
                    kept_since = time.monotonic()
        return full, none


def fill_today(ground: Ground, orders: int) -> None:
    """Have so many orders made and filled today."""
    publisher = Publisher(ground, "signals", seed=orders)
    for number in range(orders // BURST):
        publisher.burst(f"fill{number}")
        wait_until_open(ground, f"fill{number}-%", BURST)
    time.sleep(MINUTE_SECONDS)  # without a governor it was filled faster than the broker would let it be


def pages_and_files(ground: Ground) -> list[Figure]:
    measured = pages.measure(ground)
    found = [
        Figure(name=f"{page} at 1,000,000 orders, median", unit="ms", measured=measured[page]["ms"], goal=100)
        for page in pages.PAGES
    ]
    most = max(measured[page]["queries"] for page in pages.PAGES)
    csv = measured["csv"]
    return [
        *found,
        Figure(name="queries of a page, most", unit="queries", measured=most, goal=15),
        Figure(name="CSV of 200,000 orders", unit="s", measured=csv["seconds"] * 200_000 / csv["rows"], goal=3),
        Figure(name="CSV, memory that it adds", unit="MB", measured=csv["growth_mb"]),
    ]


def _beside(what: str, taken: Taken, none: Taken) -> list[Figure]:
    return [
        Figure(
            name=f"signal → broker, {word}, {what} ÷ none",
            unit="times",
            measured=percentile(taken.to_broker, percent) / percentile(none.to_broker, percent),
            goal=goal,
        )
        for word, percent, goal in (("median", 50, MEDIAN_MAX), ("p99", 99, P99_MAX))
    ]


def _while_a_book_is_read(today: Taken) -> Figure:
    slowest = percentile(today.to_broker, 99) * 1000
    return Figure(name=f"signal → broker, p99, a book of {TODAY:,} being read", unit="ms", measured=slowest, goal=40)
