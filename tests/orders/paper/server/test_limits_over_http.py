"""The rate limits as the SDK meets them, on a server whose clock stands still."""

from __future__ import annotations

import pytest
from kiteconnect.exceptions import NetworkException

STILL = {"at": "2026-11-23T12:00:00.500000+05:30", "speed": 0}
NEXT_SECOND = {"at": "2026-11-23T12:00:01+05:30", "speed": 0}


@pytest.fixture
def server(start_paper):
    server = start_paper(rate_limits=True)
    server.control("POST", "clock", STILL)
    return server


def test_the_eleventh_order_of_a_second_is_refused_and_is_not_placed(server, order):
    kite = server.kite()
    placed = [kite.place_order(**order()) for _ in range(10)]

    with pytest.raises(NetworkException, match="Too many requests") as refusal:
        kite.place_order(**order())

    assert refusal.value.code == 429
    assert server.accepted() == placed
    server.control("POST", "clock", NEXT_SECOND)
    assert kite.place_order(**order())


def test_one_quote_of_any_kind_is_answered_a_second(server):
    kite = server.kite()
    kite.ltp("NSE:INFY")

    for read in (kite.ltp, kite.ohlc, kite.quote):
        with pytest.raises(NetworkException):
            read("NSE:INFY")

    server.control("POST", "clock", NEXT_SECOND)
    assert kite.quote("NSE:INFY")


def test_a_reset_begins_to_count_anew(server):
    kite = server.kite()
    kite.ltp("NSE:INFY")
    with pytest.raises(NetworkException):
        kite.ltp("NSE:INFY")

    server.reset()

    assert kite.ltp("NSE:INFY")


def test_a_restart_remembers_what_was_placed_today(start_paper, order):
    """The day is filled in the journal itself: over the wire it takes thirteen minutes of the clock."""
    first = start_paper(rate_limits=True)
    first.control("POST", "clock", STILL)
    kite = first.kite()
    placed = kite.place_order(**order())
    kite.cancel_order("regular", placed)
    first.kill()
    journal = first.state_dir / "journal.jsonl"
    accepted, cancelled = (
        next(line for line in journal.read_text().splitlines() if f'"kind":"{kind}"' in line)
        for kind in ("order.accepted", "order.cancelled")
    )
    numbers = range(2, 5000)
    with journal.open("a") as text:
        for number in numbers:
            order_id = f"{placed[:-6]}{number:06d}"
            text.write(accepted.replace(placed, order_id) + "\n" + cancelled.replace(placed, order_id) + "\n")

    second = start_paper(rate_limits=True)
    kite = second.kite()

    last = kite.place_order(**order())
    with pytest.raises(NetworkException, match="Maximum allowed order requests exceeded") as refusal:
        kite.place_order(**order())
    assert refusal.value.code == 429
    assert kite.cancel_order("regular", last) == last
    second.control("POST", "clock", {"at": "2026-11-24T12:00:00+05:30", "speed": 0})
    assert kite.place_order(**order())


def test_the_relaxed_profile_has_no_limits(start_paper):
    server = start_paper("--profile", "relaxed", rate_limits=True)
    server.control("POST", "clock", STILL)
    kite = server.kite()

    assert all(kite.ltp("NSE:INFY") for _ in range(20))
