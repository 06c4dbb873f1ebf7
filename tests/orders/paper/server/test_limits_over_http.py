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


def test_the_relaxed_profile_has_no_limits(start_paper):
    server = start_paper("--profile", "relaxed", rate_limits=True)
    server.control("POST", "clock", STILL)
    kite = server.kite()

    assert all(kite.ltp("NSE:INFY") for _ in range(20))
