"""The controls about the market's hours: each phase, each edge of the window, what only closes, what nobody knows."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from risk.engine.facts import Origin, TradingSignalType
from risk.engine.sessions import ROUND_THE_CLOCK, Phase
from tests.risk.engine.cast import MARKET, NOW, PORTFOLIO, Scene, buy, sell, signal_sell

BY_HAND: dict[str, Any] = {"origin": Origin.MANUAL, "signal": None}
CLOSED: dict[str, Any] = {"phase": Phase.CLOSED}
UNKNOWN_HOURS: dict[str, Any] = {
    "phase": Phase.CLOSED,
    "lacks_hours": True,
    "opens_at": None,
    "closes_at": None,
    "day_name": "Muhurat trading",
}
UNKNOWN_YEAR: dict[str, Any] = {"year_complete": False}
SECOND, MICROSECOND = timedelta(seconds=1), timedelta(microseconds=1)


def opened(ago: timedelta) -> dict[str, datetime]:
    return {"opens_at": NOW - ago}


def closes(ahead: timedelta) -> dict[str, datetime]:
    return {"closes_at": NOW + ahead}


# The control, what is special, the scene, and whether the control lets it pass.
ROWS: list[tuple[str, str, Scene, bool]] = [
    ("MARKET_CLOSED", "continuous", buy(), True),
    ("MARKET_CLOSED", "the auction is another control's", buy(phase=Phase.AUCTION), True),
    ("MARKET_CLOSED", "closed, opening", buy(**CLOSED), False),
    ("MARKET_CLOSED", "closed, closing", sell(**CLOSED), False),
    ("MARKET_CLOSED", "closed, an exit", sell(is_exit=True, **CLOSED), False),
    ("MARKET_CLOSED", "before the open", buy(phase=Phase.PRE_OPEN), False),
    ("MARKET_CLOSED", "after the close", sell(phase=Phase.POST), False),
    ("MARKET_CLOSED", "the year is not complete, opening", buy(**UNKNOWN_YEAR), False),
    ("MARKET_CLOSED", "the year is not complete, opening by hand", buy(**UNKNOWN_YEAR, **BY_HAND), False),
    ("MARKET_CLOSED", "the year is not complete, closing", sell(**UNKNOWN_YEAR), True),
    ("MARKET_CLOSED", "the year is not complete, closing by a signal", signal_sell(**UNKNOWN_YEAR), True),
    ("MARKET_CLOSED", "the year is not complete, a BUY that closes", buy(own=-7, broker=-7, **UNKNOWN_YEAR), True),
    ("MARKET_CLOSED", "the year is not complete, and closed", sell(**UNKNOWN_YEAR, **CLOSED), False),
    ("MARKET_CLOSED", "hours not known, a signal to open", buy(**UNKNOWN_HOURS), False),
    ("MARKET_CLOSED", "hours not known, a signal to close", signal_sell(**UNKNOWN_HOURS), False),
    ("MARKET_CLOSED", "hours not known, opening by hand", buy(**UNKNOWN_HOURS, **BY_HAND), False),
    ("MARKET_CLOSED", "hours not known, closing by hand", sell(**UNKNOWN_HOURS), True),
    #
    ("NOT_CONTINUOUS", "continuous", buy(), True),
    ("NOT_CONTINUOUS", "the auction, opening", buy(phase=Phase.AUCTION), False),
    ("NOT_CONTINUOUS", "the auction, opening by hand", buy(phase=Phase.AUCTION, **BY_HAND), False),
    ("NOT_CONTINUOUS", "the auction, closing", sell(phase=Phase.AUCTION), False),
    ("NOT_CONTINUOUS", "the auction, an exit", sell(phase=Phase.AUCTION, is_exit=True), False),
    ("NOT_CONTINUOUS", "closed is another control's", buy(**CLOSED), True),
    #
    ("OPENING_WINDOW", "the first moment", buy(**opened(timedelta(minutes=5))), True),
    ("OPENING_WINDOW", "just before it", buy(**opened(timedelta(minutes=5) - MICROSECOND)), False),
    ("OPENING_WINDOW", "by hand, just before it", buy(**opened(SECOND), **BY_HAND), True),
    ("OPENING_WINDOW", "the last moment", buy(**closes(timedelta(minutes=15) + MICROSECOND)), True),
    ("OPENING_WINDOW", "just after it", buy(**closes(timedelta(minutes=15))), False),
    ("OPENING_WINDOW", "by hand, just after it", buy(**closes(SECOND), **BY_HAND), True),
    ("OPENING_WINDOW", "closing by a signal", signal_sell(**closes(SECOND)), True),
    ("OPENING_WINDOW", "a BUY that closes", buy(own=-7, broker=-7, **closes(SECOND)), True),
    ("OPENING_WINDOW", "a SELL of nothing", signal_sell(own=0, quantity=0, **closes(SECOND)), True),
    ("OPENING_WINDOW", "closed is another control's", buy(**CLOSED), True),
]


@pytest.mark.parametrize(("code", "what", "scene", "passes"), ROWS, ids=[f"{row[0]}: {row[1]}" for row in ROWS])
def test_the_control(code: str, what: str, scene: Scene, passes: bool) -> None:
    assert scene.verdict(code).passed is passes


@pytest.mark.parametrize(
    ("scene", "code", "measured", "limit", "reason"),
    [
        (buy(), "MARKET_CLOSED", "CONTINUOUS at 10:00:00 on Mon 23 Nov 2026", "an open market", ""),
        (
            buy(phase=Phase.CLOSED, day_name="Guru Nanak"),
            "MARKET_CLOSED",
            "CLOSED at 10:00:00 on Mon 23 Nov 2026",
            "an open market",
            "the market is closed (Guru Nanak): the market opens next at 09:15:00 on Wed 25 Nov 2026",
        ),
        (
            buy(phase=Phase.CLOSED, next_open_at=None),
            "MARKET_CLOSED",
            "CLOSED at 10:00:00 on Mon 23 Nov 2026",
            "an open market",
            "the market is closed: when it opens next is not known: the calendar is not complete",
        ),
        (
            buy(year_complete=False),
            "MARKET_CLOSED",
            "CONTINUOUS at 10:00:00 on Mon 23 Nov 2026",
            "a complete calendar",
            "the calendar of 2026 is not complete: nothing is opened",
        ),
        (
            signal_sell(**UNKNOWN_HOURS),
            "MARKET_CLOSED",
            "CLOSED at 10:00:00 on Mon 23 Nov 2026",
            "known hours",
            (
                "the hours of Muhurat trading are not in the calendar; after it, the market opens next at 09:15:00 on "
                "Wed 25 Nov 2026"
            ),
        ),
        (
            sell(phase=Phase.AUCTION),
            "NOT_CONTINUOUS",
            "AUCTION at 10:00:00 on Mon 23 Nov 2026",
            "not in an auction",
            "the closing auction runs until 15:35:00: the market opens next at 09:15:00 on Wed 25 Nov 2026",
        ),
        (buy(), "OPENING_WINDOW", "10:00:00", "09:20:00 to 15:00:00 for a signal", ""),
        (
            buy(**opened(timedelta(minutes=1))),
            "OPENING_WINDOW",
            "10:00:00",
            "10:04:00 to 15:00:00 for a signal",
            "10:00:00 is outside the window in which signals open positions: it begins at 10:04:00",
        ),
        (
            buy(**closes(timedelta(minutes=1))),
            "OPENING_WINDOW",
            "10:00:00",
            "09:20:00 to 09:46:00 for a signal",
            (
                "10:00:00 is outside the window in which signals open positions: it ended; the market opens next at "
                "09:15:00 on Wed 25 Nov 2026"
            ),
        ),
    ],
)
def test_a_verdict_says_the_phase_the_time_and_when_it_opens_next(
    scene: Scene, code: str, measured: str, limit: str, reason: str
) -> None:
    verdict = scene.verdict(code)

    assert (verdict.measured, verdict.limit, verdict.reason) == (measured, limit, reason)


def test_round_the_clock_nothing_is_closed() -> None:
    always = Scene(proposed=buy().proposed, portfolio=replace(PORTFOLIO, market=ROUND_THE_CLOCK))

    assert always.refusals() == []
    assert always.verdict("MARKET_CLOSED").measured == "round the clock"


def test_a_closed_market_does_not_turn_a_weak_signal_into_a_denied_one() -> None:
    assert buy(action=TradingSignalType.HOLD, quantity=0, **CLOSED).decision().outcome == "IGNORED"


def test_the_cast_trades_continuously() -> None:
    assert MARKET.opens_at is not None
    assert MARKET.closes_at is not None
    assert MARKET.opens_at <= NOW < MARKET.closes_at
