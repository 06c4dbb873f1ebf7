"""Quotes, instruments and candles, as the SDK sees them."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta

import pytest
from kiteconnect.exceptions import InputException

from orders.paper.indian_time import IST
from tests.orders.paper.paper_process import PaperProcess
from tests.orders.paper.server.logging_in import client

INFY = 408065
NIFTY = 256265
NOW = datetime(2026, 11, 20, 14, 0, tzinfo=IST)  # a Friday
TODAY = NOW.replace(tzinfo=None)  # the SDK wants and gives times without their zone
QUOTE_KEYS = {
    "instrument_token",
    "timestamp",
    "last_trade_time",
    "last_price",
    "last_quantity",
    "buy_quantity",
    "sell_quantity",
    "volume",
    "average_price",
    "oi",
    "oi_day_high",
    "oi_day_low",
    "net_change",
    "lower_circuit_limit",
    "upper_circuit_limit",
    "ohlc",
    "depth",
}

# Of July 2026 and of 2018 (Kite Connect v3, "Historical candle data"), written out: days that one call may ask for.
INTERVALS = ("minute", "3minute", "5minute", "10minute", "15minute", "30minute", "60minute", "day")
SPANS = {
    "strict": dict(zip(INTERVALS, (60, 100, 100, 100, 200, 200, 400, 2000), strict=True)),
    "relaxed": dict(zip(INTERVALS, (30, 90, 90, 90, 180, 180, 365, 2000), strict=True)),
}


@pytest.fixture(scope="module")
def still_server(tmp_path_factory):
    """A server whose clock stands still in the middle of a session of the exchange."""
    server = PaperProcess(tmp_path_factory.mktemp("market"), "--market-hours", "nse")
    server.control("POST", "clock", {"at": NOW.isoformat(), "speed": 0})
    yield server
    server.stop()


@pytest.fixture
def still(still_server):
    return client(still_server, "paper", "paper")


def test_a_full_quote_has_kites_keys_and_adds_up(still):
    quote = still.quote("NSE:INFY")["NSE:INFY"]

    assert set(quote) == QUOTE_KEYS
    assert quote["timestamp"] == TODAY
    assert quote["last_trade_time"] == TODAY
    day = quote["ohlc"]
    assert day["low"] <= quote["last_price"] <= day["high"]
    assert quote["net_change"] == pytest.approx(quote["last_price"] - day["close"], abs=0.001)
    assert quote["lower_circuit_limit"] < quote["last_price"] < quote["upper_circuit_limit"]
    assert quote["volume"] > 0
    bids, offers = ([level["price"] for level in quote["depth"][side]] for side in ("buy", "sell"))
    assert len(bids) == len(offers) == 5
    assert bids == sorted(bids, reverse=True)
    assert offers == sorted(offers)
    assert bids[0] < offers[0]


def test_an_instrument_is_named_by_symbol_or_token_and_answered_under_that_name(still):
    prices = still.ltp(["NSE:INFY", str(INFY), "NSE:NIFTY 50", "NSE:NOSUCH", "77", "INFY"])

    assert set(prices) == {"NSE:INFY", str(INFY), "NSE:NIFTY 50"}
    assert prices["NSE:INFY"] == prices[str(INFY)]
    assert prices["NSE:INFY"]["instrument_token"] == INFY


def test_the_three_kinds_of_quote_agree(still):
    last, day, full = still.ltp("NSE:INFY"), still.ohlc("NSE:INFY"), still.quote("NSE:INFY")

    assert set(day["NSE:INFY"]) == {"instrument_token", "last_price", "ohlc"}
    assert last["NSE:INFY"]["last_price"] == day["NSE:INFY"]["last_price"] == full["NSE:INFY"]["last_price"]
    assert day["NSE:INFY"]["ohlc"] == full["NSE:INFY"]["ohlc"]


def test_an_index_has_a_quote(still):
    quote = still.quote("NSE:NIFTY 50")["NSE:NIFTY 50"]

    assert quote["instrument_token"] == NIFTY
    assert quote["ohlc"]["low"] <= quote["last_price"] <= quote["ohlc"]["high"]


@pytest.mark.parametrize(("method", "most"), [("quote", 500), ("ohlc", 1000), ("ltp", 1000)])
def test_so_many_instruments_can_be_asked_for_at_once_and_no_more(still, method, most):
    keys = ["NSE:INFY", *(f"NSE:UNKNOWN{number}" for number in range(most - 1))]

    assert set(getattr(still, method)(keys)) == {"NSE:INFY"}
    with pytest.raises(InputException, match=f"At most {most}"):
        getattr(still, method)([*keys, "NSE:ONE"])


def test_a_quote_of_nothing_is_bad_input(still):
    with pytest.raises(InputException, match="`i`"):
        still.ltp([])


def test_the_dump_of_an_exchange_is_a_part_of_the_whole(still):
    whole, of_nse = still.instruments(), still.instruments("NSE")

    assert {row["exchange"] for row in whole} == {"NSE", "BSE", "NFO"}
    assert of_nse == [row for row in whole if row["exchange"] == "NSE"]
    assert still.instruments("MCX") == []
    assert len({row["instrument_token"] for row in whole}) == len(whole)


def test_an_unknown_exchange_is_bad_input(still):
    with pytest.raises(InputException, match="exchange"):
        still.instruments("NASDAQ")


@pytest.mark.parametrize("interval", INTERVALS)
def test_candles_are_kites_and_lie_within_the_span(still, interval):
    start = TODAY - timedelta(days=7)

    candles = still.historical_data(INFY, start, TODAY, interval)

    moments = [candle["date"] for candle in candles]
    assert moments == sorted(set(moments))
    assert moments[-1] <= NOW
    assert all(moment.utcoffset() == timedelta(hours=5, minutes=30) for moment in moments)
    assert {moment.date() for moment in moments} == {date(2026, 11, day) for day in (13, 16, 17, 18, 19, 20)}
    for candle in candles:
        assert set(candle) == {"date", "open", "high", "low", "close", "volume"}
        assert candle["low"] <= min(candle["open"], candle["close"])
        assert candle["high"] >= max(candle["open"], candle["close"])


def test_the_wire_form_of_a_candle_is_kites(still_server):
    answer = still_server.http.get(
        f"{still_server.root}/instruments/historical/{INFY}/minute",
        params={"from": "2026-11-20 09:15:00", "to": "2026-11-20 09:16:59", "oi": 1, "continuous": 0},
        headers={"Authorization": "token paper:paper"},
        timeout=5,
    )

    first, second = answer.json()["data"]["candles"]
    assert answer.headers["Content-Type"].startswith("application/json")
    assert first[0] == "2026-11-20T09:15:00+0530"
    assert second[0] == "2026-11-20T09:16:00+0530"
    assert [type(part) for part in first] == [str, float, float, float, float, int, int]


def test_minutes_add_up_to_the_day_and_to_its_quote(still):
    minutes = still.historical_data(INFY, TODAY.replace(hour=9, minute=0), TODAY, "minute")
    (day,) = still.historical_data(INFY, TODAY.date(), TODAY.date(), "day")
    quote = still.quote("NSE:INFY")["NSE:INFY"]

    assert minutes[0]["open"] == day["open"] == quote["ohlc"]["open"]
    assert max(candle["high"] for candle in minutes) == day["high"] == quote["ohlc"]["high"]
    assert min(candle["low"] for candle in minutes) == day["low"] == quote["ohlc"]["low"]
    assert minutes[-1]["close"] == day["close"] == quote["last_price"]
    assert sum(candle["volume"] for candle in minutes) == day["volume"] == quote["volume"]


def test_a_last_day_without_a_time_is_meant_whole(still):
    whole = still.historical_data(INFY, "2026-11-19", "2026-11-19", "60minute")
    timed = still.historical_data(INFY, "2026-11-19 00:00:00", "2026-11-19 23:59:59", "60minute")

    assert whole == timed
    assert len(whole) >= 6


def test_a_day_asked_for_from_its_middle_has_its_candle(still):
    candles = still.historical_data(INFY, "2026-11-19 12:00:00", "2026-11-20 12:00:00", "day")

    assert [candle["date"].day for candle in candles] == [19, 20]


def test_a_weekend_has_no_candles_and_the_future_neither(still):
    assert still.historical_data(INFY, "2026-11-14", "2026-11-15", "minute") == []
    assert still.historical_data(INFY, TODAY + timedelta(days=1), TODAY + timedelta(days=2), "minute") == []


def test_the_same_history_is_told_whether_asked_for_at_once_or_in_parts(still):
    whole = still.historical_data(INFY, "2026-11-18", "2026-11-19", "3minute")
    parts = [
        still.historical_data(INFY, *ends, "3minute")
        for ends in (("2026-11-18", "2026-11-18"), ("2026-11-19", "2026-11-19"))
    ]

    assert whole == parts[0] + parts[1]


@pytest.mark.parametrize("profile", SPANS)
def test_a_span_may_be_as_long_as_the_profile_says_and_no_longer(start_paper, profile):
    server = start_paper("--profile", profile, "--clock", NOW.isoformat())
    kite = client(server, "paper", "paper")

    for interval, days in SPANS[profile].items():
        # All of it lies in the future, which has no candles: what is tested is the span, not the work.
        start = TODAY + timedelta(days=1)
        assert kite.historical_data(INFY, start, start + timedelta(days=days), interval) == []
        with pytest.raises(InputException, match=f"interval exceeds max limit: {days} days"):
            kite.historical_data(INFY, start, start + timedelta(days=days, seconds=1), interval)


def test_other_requests_do_not_wait_for_a_long_history(start_paper):
    server = start_paper("--clock", NOW.isoformat())
    kite, hurried = client(server, "paper", "paper"), client(server, "paper", "paper")

    with ThreadPoolExecutor(1) as thread:
        history = thread.submit(kite.historical_data, INFY, TODAY - timedelta(days=12), TODAY, "minute")
        waits = []
        while not history.done():
            began = time.monotonic()
            hurried.profile()
            waits.append(time.monotonic() - began)

    assert len(history.result()) == 12 * 24 * 60 + 1
    assert len(waits) > 10
    assert sorted(waits)[len(waits) // 2] < 0.2


@pytest.mark.parametrize(
    ("token", "interval", "start", "end", "message"),
    [
        ("1", "day", "2026-11-19", "2026-11-20", "invalid token"),
        ("INFY", "day", "2026-11-19", "2026-11-20", "invalid token"),
        (INFY, "week", "2026-11-19", "2026-11-20", "invalid interval"),
        (INFY, "day", "2026-11-20", "2026-11-19", "invalid from date"),
        (INFY, "day", "yesterday", "2026-11-19", "invalid from date"),
        (INFY, "day", "2026-11-19", "", "invalid to date"),
        (INFY, "day", "2026-11-31", "2026-12-01", "invalid from date"),
        (INFY, "day", "0001-01-01", "0001-01-02", "invalid from date"),
        (INFY, "day", "9999-12-30", "9999-12-31", "invalid from date"),
    ],
)
def test_a_history_of_nonsense_is_bad_input(still, token, interval, start, end, message):
    with pytest.raises(InputException, match=message):
        still.historical_data(token, start, end, interval)


def test_the_stop_of_a_cover_order_is_on_the_losing_side(still):
    last = still.ltp("NSE:INFY")["NSE:INFY"]["last_price"]

    buy = still.trigger_range("BUY", ["NSE:INFY", "NSE:NIFTY 50", "NSE:NOSUCH"])
    sell = still.trigger_range("SELL", "NSE:INFY")

    assert set(buy) == {"NSE:INFY"}
    assert set(buy["NSE:INFY"]) == {"instrument_token", "lower", "upper", "percentage"}
    assert buy["NSE:INFY"]["lower"] < buy["NSE:INFY"]["upper"] < last
    assert last < sell["NSE:INFY"]["lower"] < sell["NSE:INFY"]["upper"]
    with pytest.raises(InputException, match="transaction_type"):
        still.trigger_range("HOLD", "NSE:INFY")
