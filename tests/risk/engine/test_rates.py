"""
How many orders fit into a second, a minute and a day.

The limits are 5 a second and 30 a minute for what opens; the broker's are 10, 400 and 5,000 a Mumbai day, of which
2, 40 and 500 are left to exits.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk.engine.facts import Traffic
from risk.engine.rates import (
    BROKER_DAY,
    DAY_FOR_EXITS,
    MINUTE,
    MUMBAI,
    PATIENCE,
    SECOND,
    tightest_for_closing,
    tightest_for_opening,
)
from tests.risk.engine.cast import LIMITS, NOW, ago, buy, sell
from tests.risk.engine.test_properties import bounded


def sent(count: int, **before: float) -> tuple[datetime, ...]:
    """So many orders at one moment before now."""
    return (ago(**before),) * count


ALL_BUT_OURS = {"orders_per_second_max": 8, "orders_per_minute_max": 360}  # the most that the form takes

ROWS = [
    ("RATE_LIMIT_EXCEEDED", "just below: the last but one of 5", buy(placed=sent(3, seconds=0.5)), True),
    ("RATE_LIMIT_EXCEEDED", "just below: the last but one of 30", buy(placed=sent(28, seconds=30)), True),
    ("RATE_LIMIT_EXCEEDED", "the last of 5 in a second, at the limit", buy(placed=sent(4, seconds=0.5)), True),
    ("RATE_LIMIT_EXCEEDED", "just past: 5 in a second", buy(placed=sent(5, seconds=0.5)), False),
    ("RATE_LIMIT_EXCEEDED", "0.999 s ago is in the second", buy(placed=sent(5, seconds=0.999)), False),
    ("RATE_LIMIT_EXCEEDED", "a second ago is not in it", buy(placed=sent(5, seconds=1)), True),
    ("RATE_LIMIT_EXCEEDED", "the last of 30 in a minute, at the limit", buy(placed=sent(29, seconds=30)), True),
    ("RATE_LIMIT_EXCEEDED", "just past: 30 in a minute", buy(placed=sent(30, seconds=30)), False),
    ("RATE_LIMIT_EXCEEDED", "59.999 s ago is in the minute", buy(placed=sent(30, seconds=59.999)), False),
    ("RATE_LIMIT_EXCEEDED", "a minute ago is not in it", buy(placed=sent(30, seconds=60)), True),
    ("RATE_LIMIT_EXCEEDED", "the next machine's clock is ahead", buy(placed=sent(5, seconds=-3)), False),
    ("RATE_LIMIT_EXCEEDED", "not set", buy(orders_per_second_max=None), False),
    ("RATE_LIMIT_EXCEEDED", "0 allows nothing", buy(orders_per_second_max=0), False),
    ("RATE_LIMIT_EXCEEDED", "a minute's is not set", buy(orders_per_minute_max=None), False),
    ("RATE_LIMIT_EXCEEDED", "the last but two of the broker's", buy(placed=sent(7, seconds=0.5), **ALL_BUT_OURS), True),
    ("RATE_LIMIT_EXCEEDED", "only two are left at the broker", buy(placed=sent(8, seconds=0.5), **ALL_BUT_OURS), False),
    (
        "RATE_LIMIT_EXCEEDED",
        "cancels count at the broker",
        buy(placed=sent(4, seconds=0.5), cancelled=sent(4, seconds=0.5)),
        False,
    ),
    ("RATE_LIMIT_EXCEEDED", "cancels are not orders of ours", buy(cancelled=sent(7, seconds=0.5)), True),
    ("RATE_LIMIT_EXCEEDED", "turned away just now", buy(turned_away_at=ago(seconds=0.5)), False),
    ("RATE_LIMIT_EXCEEDED", "turned away a second ago", buy(turned_away_at=ago(seconds=1)), True),
    ("RATE_LIMIT_EXCEEDED", "the broker's minute", buy(placed=sent(359, seconds=30), **ALL_BUT_OURS), True),
    ("RATE_LIMIT_EXCEEDED", "the rest is for exits", buy(placed=sent(360, seconds=30), **ALL_BUT_OURS), False),
    ("RATE_LIMIT_EXCEEDED", "what closes is not held to it", sell(placed=sent(400, seconds=0.5)), True),
    #
    ("BROKER_DAY_EXCEEDED", "just below", buy(today=4498), True),
    ("BROKER_DAY_EXCEEDED", "at the limit: the last that is not kept for exits", buy(today=4499), True),
    ("BROKER_DAY_EXCEEDED", "just past: what is left is for exits", buy(today=4500), False),
    ("BROKER_DAY_EXCEEDED", "which go", sell(today=4999), True),
]


@pytest.mark.parametrize(("code", "case", "scene", "passes"), ROWS, ids=[f"{row[0]}, {row[1]}" for row in ROWS])
def test_the_pace_is_held_at_its_limit_and_just_past_it(code: str, case: str, scene: Any, passes: bool) -> None:
    assert scene.verdict(code).passed is passes


def test_a_signal_is_told_that_it_waits_and_a_person_from_when_on_there_is_room() -> None:
    five = (ago(seconds=0.9), ago(seconds=0.8), ago(seconds=0.5), ago(seconds=0.4), ago(seconds=0.1))

    by_signal = buy(placed=five).verdict("RATE_LIMIT_EXCEEDED")
    by_hand = buy(placed=five, origin="MANUAL").verdict("RATE_LIMIT_EXCEEDED")

    assert (by_hand.measured, by_hand.limit) == ("5 in the last second", "5 a second")
    room = "5 in the last second, the limit is 5: there is room from 10:00:00.10 on"
    assert by_signal.reason == f"{room}; it waits"
    assert by_hand.reason == f"{room}; send it again then"


def test_the_wait_is_for_the_window_that_is_full_the_longest() -> None:
    verdict = buy(placed=(*sent(25, seconds=40), *sent(5, seconds=0.5))).verdict("RATE_LIMIT_EXCEEDED")

    assert verdict.reason == "30 in the last minute, the limit is 30: there is room from 10:00:20.00 on; it waits"


def test_a_limit_of_0_is_never_waited_for() -> None:
    window = tightest_for_opening(Traffic(), replace(LIMITS, orders_per_second_max=0), NOW)

    assert window.room_at is None
    assert buy(orders_per_second_max=0).verdict("RATE_LIMIT_EXCEEDED").reason == (
        "0 in the last second, the limit is 0: there is never room: the limit is 0 or not set"
    )


def test_what_closes_waits_for_the_broker_s_second_and_nothing_else() -> None:
    nine, ten = Traffic(placed=sent(9, seconds=0.5)), Traffic(placed=sent(10, seconds=0.5))
    full_minute = Traffic(placed=sent(500, seconds=2), today=9999)

    assert not tightest_for_closing(nine, NOW).is_full
    assert tightest_for_closing(ten, NOW).room_at == NOW + timedelta(seconds=0.5)
    assert not tightest_for_closing(full_minute, NOW).is_full


class Executor:
    """Sends as the governor says, and remembers what reached the broker when; the clock is its own."""

    def __init__(self, start: datetime) -> None:
        self.now = start
        self.limits = replace(LIMITS, orders_per_second_max=8, orders_per_minute_max=360)
        self.opened: list[datetime] = []
        self.closed: list[datetime] = []
        self.cancelled: list[datetime] = []

    def traffic(self) -> Traffic:
        placed = self.opened + self.closed
        today = [moment for moment in placed if moment.astimezone(MUMBAI).date() == self.now.astimezone(MUMBAI).date()]
        return Traffic(
            placed=tuple(moment for moment in placed if moment > self.now - MINUTE),
            cancelled=tuple(moment for moment in self.cancelled if moment > self.now - SECOND),
            today=len(today),
        )

    def open(self) -> None:
        seen = self.traffic()
        if not tightest_for_opening(seen, self.limits, self.now).is_full and seen.today < BROKER_DAY - DAY_FOR_EXITS:
            self.opened.append(self.now)

    def close(self) -> None:
        waited = timedelta(0)
        while (window := tightest_for_closing(self.traffic(), self.now)).is_full and waited < PATIENCE:
            waited += window.room_at - self.now
            self.now = window.room_at
        assert waited <= PATIENCE
        self.closed.append(self.now)

    def cancel(self) -> None:
        self.cancelled.append(self.now)


STEPS = st.lists(
    st.tuples(st.sampled_from(["open", "open", "open", "close", "cancel"]), st.integers(1, 30), st.integers(0, 700)),
    max_size=60,
)
STARTS = st.sampled_from([NOW, NOW.replace(hour=23, minute=59, second=57), NOW.replace(microsecond=999_999)])
SKEWS = st.integers(0, 999).map(lambda milliseconds: timedelta(milliseconds=milliseconds))


@bounded
@given(steps=STEPS, start=STARTS, skew=SKEWS)
def test_no_second_minute_or_day_of_any_clock_is_exceeded_and_every_exit_goes(
    steps: list[tuple[str, int, int]], start: datetime, skew: timedelta
) -> None:
    executor = Executor(start)
    exits = cancels = 0
    for action, times, milliseconds in steps:
        for _ in range(times):
            getattr(executor, action)()
        exits += times if action == "close" else 0
        cancels += times if action == "cancel" else 0
        executor.now += timedelta(milliseconds=milliseconds)

    placed = [moment + skew for moment in executor.opened + executor.closed]  # by the broker's clock
    openings = [moment + skew for moment in executor.opened]
    assert (len(executor.closed), len(executor.cancelled)) == (exits, cancels)
    if not cancels:  # which go at once, however many
        assert _most(placed, "%d %H:%M:%S") <= 10
    assert _most(openings, "%d %H:%M:%S") <= 8
    assert _most(openings, "%d %H:%M") <= 360


def test_the_last_of_the_day_are_kept_for_exits_and_midnight_in_mumbai_begins_a_new_one() -> None:
    executor = Executor(NOW.replace(hour=23, minute=59, second=50))
    executor.opened = [executor.now - timedelta(hours=1)] * 4499

    executor.open()
    executor.now += SECOND
    executor.open()
    executor.close()
    assert (len(executor.opened), len(executor.closed)) == (4500, 1)

    executor.now = NOW.replace(day=NOW.day + 1, hour=0, minute=0, second=0)
    executor.open()
    assert len(executor.opened) == 4501


def _most(moments: list[datetime], window: str) -> int:
    return max(Counter(f"{moment:{window}}" for moment in moments).values(), default=0)
