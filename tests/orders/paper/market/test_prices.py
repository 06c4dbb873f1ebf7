"""The market behind the exchange: what is coarse agrees with what is fine, and everybody sees the same."""

from __future__ import annotations

import subprocess
import sys
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orders.paper.indian_time import IST
from orders.paper.market.candles import walked
from orders.paper.market.instruments import BY_TOKEN, INSTRUMENTS, future_rows, instrument_dump, tick_size
from orders.paper.market.market import Depth, Level, Market
from orders.paper.market.path import Paths
from orders.paper.market.sessions import AlwaysOpen, ExchangeHours
from orders.paper.terms import Side

INFY, IDEA, MRF, NIFTY = (INSTRUMENTS[key] for key in ("NSE:INFY", "NSE:IDEA", "NSE:MRF", "NSE:NIFTY 50"))
MONDAY = datetime(2026, 11, 23, tzinfo=IST)
TEN = MONDAY.replace(hour=10)
INTERVALS = {"minute": 1, "3minute": 3, "5minute": 5, "10minute": 10, "15minute": 15, "30minute": 30, "60minute": 60}
intervals = st.sampled_from(sorted(INTERVALS))
kinds = st.sampled_from([AlwaysOpen(), ExchangeHours()])
instruments = st.sampled_from([INFY, IDEA, MRF, NIFTY, INSTRUMENTS["BSE:SBIN"]])
days = st.integers(0, 2000).map(lambda number: MONDAY - timedelta(days=number))


def ticks(market, instrument, start, seconds):
    return [market.last_price(instrument, start + timedelta(seconds=second)) for second in range(seconds)]


@settings(max_examples=30, deadline=None)
@given(
    sessions=kinds, instrument=instruments, day=days, interval=st.sampled_from(sorted(INTERVALS)), number=st.integers(0)
)
def test_a_candle_is_exactly_what_its_ticks_were(sessions, instrument, day, interval, number):
    market = Market(1, sessions)
    candles = market.candles(
        instrument, interval, day, day + timedelta(hours=23, minutes=59), MONDAY + timedelta(days=9)
    )
    if not candles:
        assert not sessions.trading_day(day.date())
        return
    candle = candles[number % len(candles)]
    closing = sessions.closes_at(instrument, day.date())
    seconds = min(INTERVALS[interval] * 60, int((closing - candle.at).total_seconds()))

    seen = ticks(Market(1, sessions), instrument, candle.at, seconds)

    assert (candle.open, candle.high, candle.low, candle.close) == (seen[0], max(seen), min(seen), seen[-1])


@settings(max_examples=200, deadline=None)
@given(instrument=instruments, day=days, first=st.integers(0, 86399), seconds=st.integers(0, 200))
def test_a_stretch_is_walked_as_its_seconds_were(instrument, day, first, seconds):
    paths = Paths(1, AlwaysOpen())
    last = min(first + seconds, 86399)
    seen = [paths.price(instrument, day + timedelta(seconds=second)) for second in range(first, last + 1)]

    walk = walked(paths.day(instrument, day.date()), first, last)

    assert walk == (seen[0], max(seen), min(seen), seen[-1])


@settings(max_examples=20, deadline=None)
@given(sessions=kinds, instrument=instruments, day=days)
def test_a_day_is_exactly_what_its_minutes_were(sessions, instrument, day):
    market = Market(1, sessions)
    end = day + timedelta(hours=23, minutes=59, seconds=59)
    whole = market.candles(instrument, "day", day, end, end)
    minutes = market.candles(instrument, "minute", day, end, end)
    if not whole:
        assert minutes == []
        return
    snapshot = market.snapshot(instrument, end)

    assert whole[0].high == snapshot.day.high == max(minute.high for minute in minutes)
    assert whole[0].low == snapshot.day.low == min(minute.low for minute in minutes)
    assert (whole[0].open, whole[0].close) == (minutes[0].open, minutes[-1].close)
    assert whole[0].open == snapshot.day.open
    assert whole[0].volume == snapshot.volume == sum(minute.volume for minute in minutes)


@settings(max_examples=50, deadline=None)
@given(sessions=kinds, instrument=instruments, day=days, second=st.integers(0, 86399))
def test_prices_are_on_tick_near_their_base_and_inside_their_book(sessions, instrument, day, second):
    market, now = Market(7, sessions), day + timedelta(seconds=second)

    seen = market.snapshot(instrument, now)

    assert seen.last_price % instrument.tick_size == 0
    assert abs(seen.last_price / instrument.base_price - 1) < Decimal("0.025")
    assert seen.day.low <= seen.last_price <= seen.day.high
    assert seen.lower_circuit < seen.day.low <= seen.day.high < seen.upper_circuit
    if instrument.is_index:
        assert seen.depth == Depth(buy=(), sell=())
        return
    bids, offers = seen.depth.buy, seen.depth.sell
    assert bids[0].price <= seen.last_price <= offers[0].price
    assert 1 <= (offers[0].price - bids[0].price) / instrument.tick_size <= 3
    assert (len(bids), len(offers)) == (5, 5)
    assert all(level.quantity > 0 and level.orders > 0 for level in (*bids, *offers))


def test_another_process_sees_the_same_prices():
    program = (
        "from datetime import datetime, timedelta, timezone;"
        "from orders.paper.market.instruments import INSTRUMENTS; from orders.paper.market.market import Market;"
        "print([str(Market(3).last_price(one, datetime(2026, 11, 23, 4, 30, tzinfo=timezone.utc)))"
        " for one in INSTRUMENTS.values()])"
    )
    there = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    assert there.strip() == str([str(Market(3).last_price(one, TEN)) for one in INSTRUMENTS.values()])


def test_another_seed_is_another_path():
    assert ticks(Market(1), INFY, TEN, 600) != ticks(Market(2), INFY, TEN, 600)
    assert len(set(ticks(Market(1), INFY, TEN, 3600))) > 20


def test_volume_only_grows_and_most_of_it_is_at_the_ends_of_the_day():
    market, opening = Market(1, ExchangeHours()), MONDAY.replace(hour=9, minute=15)
    volumes = [market.snapshot(INFY, opening + timedelta(minutes=minute)).volume for minute in range(0, 360, 5)]

    assert volumes == sorted(volumes)
    assert volumes[12] > volumes[42] - volumes[30]


def test_outside_its_hours_the_market_stands_still():
    market = Market(1, ExchangeHours())
    closing = MONDAY.replace(hour=15, minute=15)

    assert len({market.last_price(INFY, closing + timedelta(hours=hour)) for hour in range(17)}) == 1
    assert market.last_price(INFY, closing) == market.previous_close(INFY, MONDAY + timedelta(days=2))


# --- Prices from outside ----------------------------------------------------------------------------------------------


def test_a_set_price_trades_exactly_there_in_any_quantity():
    market = Market(1)
    market.set_price(INFY, Decimal(1500), TEN)

    depth = market.depth(INFY, TEN)

    assert market.last_price(INFY, TEN + timedelta(days=3)) == 1500
    assert (depth.buy[0].price, depth.sell[0].price, depth.sell[0].quantity) == (1500, 1500, 1_000_000)


def test_a_released_price_moves_again():
    market = Market(1)
    market.set_price(INFY, Decimal(1500), TEN)

    market.release(INFY, TEN + timedelta(minutes=1))

    assert market.last_price(INFY, TEN + timedelta(seconds=59)) == 1500
    later = TEN + timedelta(minutes=1)
    assert market.last_price(INFY, later) == Market(1).last_price(INFY, later)


def test_a_set_price_shows_in_its_candle_and_in_the_day():
    market = Market(1)
    market.set_price(INFY, Decimal(1700), TEN + timedelta(seconds=30))
    market.set_price(INFY, Decimal(1450), TEN + timedelta(seconds=40, microseconds=500))
    now = TEN + timedelta(minutes=5)

    first, second, *_ = market.candles(INFY, "minute", TEN, now, now)

    assert (first.high, first.low, first.close) == (1700, 1450, 1450)
    assert first.open == Market(1).last_price(INFY, TEN)
    assert (second.open, second.high, second.low, second.close) == (1450, 1450, 1450, 1450)
    day = market.day(INFY, now)
    assert (day.high, day.low) == (1700, 1450)
    assert market.previous_close(INFY, now + timedelta(days=1)) == 1450


def test_circuit_limits_give_way_to_a_price_from_outside():
    market = Market(1)
    market.set_price(INFY, Decimal(100), TEN)

    lower, upper = market.circuit(INFY, TEN)

    assert lower == 90
    assert upper > 1600


def test_a_given_book_keeps_what_was_taken_of_it():
    market = Market(1)
    depth = Depth(buy=(), sell=(Level(price=Decimal(1500), quantity=10, orders=1),))
    market.set_price(INFY, Decimal(1500), TEN, depth)

    market.take(INFY, Side.BUY, 4, TEN)

    assert [level.quantity for level in market.depth(INFY, TEN + timedelta(hours=1)).sell] == [6]


def test_a_moving_book_is_renewed():
    market = Market(1)
    best = market.depth(INFY, TEN).sell[0]
    market.take(INFY, Side.BUY, best.quantity, TEN)

    assert market.depth(INFY, TEN).sell[0].price > best.price
    assert len(market.depth(INFY, TEN + timedelta(seconds=5)).sell) == 5


def test_what_was_set_long_ago_is_forgotten_and_memory_stays_flat():
    market = Market(1)

    for second in range(3000):
        market.set_price(INFY, Decimal(1500), TEN + timedelta(minutes=5 * second))

    assert len(market._outside[INFY.key].steps) < 2000


# --- Instruments ------------------------------------------------------------------------------------------------------


def test_some_two_hundred_shares_and_two_indices_are_listed():
    shares = [one for one in INSTRUMENTS.values() if not one.is_index]

    assert len([one for one in shares if one.exchange == "NSE"]) >= 200
    assert len([one for one in shares if one.exchange == "BSE"]) == 40
    assert {one.key for one in INSTRUMENTS.values() if one.is_index} == {"NSE:NIFTY 50", "BSE:SENSEX"}
    assert len(BY_TOKEN) == len(INSTRUMENTS)


@pytest.mark.parametrize(
    ("key", "token"),
    [("NSE:INFY", 408065), ("BSE:RELIANCE", 128083204), ("NSE:NIFTY 50", 256265), ("BSE:SENSEX", 265)],
)
def test_tokens_are_the_exchanges_own(key, token):
    assert INSTRUMENTS[key].instrument_token == token


def test_the_dump_is_kites():
    header, first, *_ = instrument_dump([INFY, NIFTY]).splitlines()

    assert header.startswith("instrument_token,exchange_token,tradingsymbol,name,last_price,expiry")
    assert first == "408065,1594,INFY,INFOSYS,0,,0,0.10,1,EQ,NSE,NSE"
    assert instrument_dump([NIFTY]).splitlines()[1] == "256265,1001,NIFTY 50,NIFTY 50,0,,0,0,0,EQ,INDICES,NSE"


@pytest.mark.parametrize(
    ("price", "tick"),
    [("250", "0.01"), ("250.01", "0.05"), ("1000", "0.05"), ("5000", "0.1"), ("10000", "0.5"), ("20001", "5")],
)
def test_ticks_follow_the_exchanges_table(price, tick):
    assert tick_size(Decimal(price)) == Decimal(tick)


@pytest.mark.parametrize(
    ("today", "ends"),
    [
        (date(2026, 11, 1), "2026-11-24"),
        (date(2026, 11, 24), "2026-11-24"),
        (date(2026, 11, 25), "2026-12-29"),
        (date(2026, 12, 30), "2027-01-26"),
    ],
)
def test_futures_end_on_the_last_tuesday_and_the_next_months_follow(today, ends):
    assert {row[5] for row in future_rows(today)} == {ends}


def test_a_lot_of_a_future_is_worth_fifteen_lakh_rupees_and_no_step_more():
    prices = {one.tradingsymbol: one.base_price for one in INSTRUMENTS.values() if one.exchange == "NSE"}

    for _, _, _, name, _, _, _, _, lot_size, *_ in future_rows(date(2026, 11, 1)):
        assert prices[name] * (lot_size - 25) < 1_500_000 <= prices[name] * lot_size
