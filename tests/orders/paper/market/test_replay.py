"""A file of prices, lived through again."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from orders.paper.indian_time import IST
from orders.paper.market.instruments import INSTRUMENTS
from orders.paper.market.market import Market
from orders.paper.market.replay import ReplayUnreadable, read_replay

INFY = INSTRUMENTS["NSE:INFY"]
TEN = datetime(2026, 11, 23, 10, tzinfo=IST)
ROWS = """at,exchange,tradingsymbol,price
2026-11-23T10:01:00,NSE,INFY,1510.00
2026-11-23T04:30:00+00:00,NSE,INFY,1500.00
"""


@pytest.fixture
def write(tmp_path):
    def written(text: str):
        path = tmp_path / "prices.csv"
        path.write_text(text)
        return path

    return written


def test_each_price_holds_from_its_moment_on(write):
    market = Market(1)
    market.replay(read_replay(write(ROWS)))

    moving = TEN - timedelta(microseconds=1)
    assert market.last_price(INFY, moving) == Market(1).last_price(INFY, moving)
    assert market.last_price(INFY, TEN) == market.last_price(INFY, TEN + timedelta(seconds=59)) == 1500
    assert market.last_price(INFY, TEN + timedelta(hours=9)) == 1510


def test_a_price_that_is_set_goes_before_the_file_until_it_is_released(write):
    market = Market(1)
    market.replay(read_replay(write(ROWS)))

    market.set_price(INFY, Decimal(1400), TEN + timedelta(seconds=30))
    assert market.last_price(INFY, TEN + timedelta(minutes=2)) == 1400

    market.release(INFY, TEN + timedelta(minutes=3))
    assert market.last_price(INFY, TEN + timedelta(minutes=3)) == 1510


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "the first line should be at,exchange,tradingsymbol,price"),
        ("at,price\n", "the first line should be"),
        ("at,exchange,tradingsymbol,price\n2026-11-23T10:00:00,NSE,INFY\n", "line 2: there should be 4 fields"),
        ("at,exchange,tradingsymbol,price\n2026-11-23T10:00:00,NSE,NOSUCH,1\n", "NSE:NOSUCH is not traded on paper"),
        ("at,exchange,tradingsymbol,price\nyesterday,NSE,INFY,1\n", "write it like 2026-11-23T09:15:00"),
        ("at,exchange,tradingsymbol,price\n2026-11-23T10:00:00,NSE,INFY,-1\n", "should be above 0"),
        ("at,exchange,tradingsymbol,price\n2026-11-23T10:00:00,NSE,INFY,NaN\n", "should be above 0"),
        ("at,exchange,tradingsymbol,price\n0001-01-01T10:00:00,NSE,INFY,1\n", "from 2000 to 2100"),
    ],
)
def test_what_cannot_be_replayed_says_where_and_why(write, text, says):
    with pytest.raises(ReplayUnreadable, match=says):
        read_replay(write(text))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ReplayUnreadable, match=r"nowhere\.csv cannot be read"):
        read_replay(tmp_path / "nowhere.csv")
