"""The stream as the SDK's own KiteTicker sees it, through its callbacks."""

from __future__ import annotations

import pytest

from orders.paper.stream.mishaps import StreamMishap

from .stand_ins import INFY, NIFTY, RELIANCE

INFY_TOKEN, RELIANCE_TOKEN, NIFTY_TOKEN = (one.instrument_token for one in (INFY, RELIANCE, NIFTY))
ROW = {"order_id": "paper-1", "status": "UPDATE", "order_timestamp": "2021-07-05 10:41:28", "filled_quantity": 3}

pytestmark = pytest.mark.processes


@pytest.fixture
def update(served):
    return lambda: served.do(served.setting.stream.order_update, ROW, served.setting.now)


@pytest.fixture
def suffer(served):
    return lambda mishap, times=1: served.do(served.setting.stream.suffer, mishap, times)


def test_the_three_modes_arrive_with_the_markets_numbers(ticker):
    ticker.do("subscribe", tokens=[RELIANCE_TOKEN])
    quote = ticker.hear_ticks()[RELIANCE_TOKEN]
    ticker.do("mode", mode="ltp", tokens=[RELIANCE_TOKEN])
    ltp = ticker.hear_ticks()[RELIANCE_TOKEN]
    ticker.do("mode", mode="full", tokens=[INFY_TOKEN])
    full = ticker.hear_ticks()[INFY_TOKEN]

    assert (quote["mode"], quote["last_price"], quote["volume_traded"]) == ("quote", 1573.15, 1175986)
    assert quote["ohlc"] == {"open": 1569.15, "high": 1575.0, "low": 1561.05, "close": 1567.8}
    assert ltp == {"tradable": True, "mode": "ltp", "instrument_token": RELIANCE_TOKEN, "last_price": 1573.15}
    assert (full["mode"], full["average_traded_price"]) == ("full", 1570.37)
    assert full["depth"]["buy"][0] == {"quantity": 5, "price": 1573.4, "orders": 1}
    assert full["depth"]["sell"][4] == {"quantity": 724, "price": 1573.95, "orders": 5}
    assert full["last_trade_time"] == "2021-07-05T10:41:27"
    assert full["exchange_timestamp"] == "2021-07-05T10:41:28"


def test_an_index_arrives_as_not_tradable(ticker):
    ticker.do("mode", mode="full", tokens=[NIFTY_TOKEN])

    tick = ticker.hear_ticks()[NIFTY_TOKEN]

    assert (tick["tradable"], tick["mode"], tick["last_price"]) == (False, "full", 15834.35)
    assert tick["ohlc"] == {"high": 15845.95, "low": 15762.05, "open": 15793.4, "close": 15722.2}


def test_ticks_follow_the_market_in_one_call_for_all_instruments(ticker, served):
    ticker.do("subscribe", tokens=[INFY_TOKEN, RELIANCE_TOKEN, NIFTY_TOKEN])
    assert len(ticker.hear_ticks()) == 3
    served.do(served.setting.prices.trade, INFY, "1600.00")
    served.do(served.setting.prices.trade, NIFTY, "15900.00")

    served.do(served.setting.tick)

    ticks = ticker.hear_ticks()
    assert {token: tick["last_price"] for token, tick in ticks.items()} == {INFY_TOKEN: 1600.0, NIFTY_TOKEN: 15900.0}


def test_order_updates_arrive_without_a_subscription(ticker, update):
    update()

    assert ticker.hear("order_update")["row"] == ROW


def test_an_error_message_arrives_in_on_error_with_code_zero(ticker):
    ticker.do("say", text="nonsense")

    error = ticker.hear("error")

    assert (error["code"], error["reason"]) == (0, "The message is not JSON.")


def test_heartbeats_arrive_as_messages_and_not_as_ticks(ticker, served):
    served.do(served.setting.stream.beat)
    for _ in range(3):
        served.do(served.setting.stream.beat)
        message = ticker.hear("message")
        assert (message["length"], message["binary"]) == (1, True)

    assert not any(line["event"] == "ticks" for line in ticker.process.told if line["ticker"] == ticker.name)


def test_a_bad_token_is_a_403_in_on_error_and_on_close(ticker_process):
    stale = ticker_process.ticker(token="stale")

    error, close = stale.hear("error"), stale.hear("close")

    assert (error["code"], close["code"]) == (1006, 1006)
    assert "403" in error["reason"]
    assert "403" in close["reason"]
    stale.do("close")


def test_after_a_break_the_sdk_comes_back_and_resubscribes(ticker, served, suffer, update):
    ticker.do("mode", mode="full", tokens=[INFY_TOKEN])
    ticker.hear_ticks()

    suffer(StreamMishap.DROP)

    assert ticker.hear("close")["code"] == 1006
    ticker.hear("connect")
    while (tick := ticker.hear_ticks()[INFY_TOKEN])["mode"] != "full":  # it subscribes first, and quotes come
        pass
    assert tick["last_price"] == 1573.7
    update()
    assert ticker.hear("order_update")["row"] == ROW


def test_refused_reconnections_are_403_until_they_are_used_up(ticker, suffer):
    suffer(StreamMishap.REFUSE, 2)
    suffer(StreamMishap.DROP)

    ticker.hear("close")
    for _ in range(2):
        assert "403" in ticker.hear("close")["reason"]
    ticker.hear("connect")


def test_a_silent_stream_looks_alive_to_the_sdk(ticker, served, suffer, update):
    ticker.do("subscribe", tokens=[INFY_TOKEN])
    ticker.hear_ticks()
    suffer(StreamMishap.SILENT)
    served.do(served.setting.prices.trade, INFY, "1600.00")
    served.do(served.setting.tick)
    served.do(served.setting.stream.beat)
    served.do(served.setting.stream.beat)
    update()

    # Another ticker of the same process hears what this one does not: by then it would have arrived.
    other = ticker.process.ticker()
    other.hear("connect")
    update()
    other.hear("order_update")
    mine = [line["event"] for line in ticker.process.told[ticker.read :] if line["ticker"] == ticker.name]
    assert mine == []
    other.do("close")
    other.hear("close")


def test_a_stray_pong_makes_the_sdk_drop_a_healthy_link_and_come_back(ticker, suffer):
    suffer(StreamMishap.STRAY_PONG)

    assert ticker.hear("close")["code"] == 1006
    ticker.hear("connect")


def test_a_token_that_is_logged_out_ends_in_403s(served, ticker_process):
    served.do(served.setting.tokens.valid.add, ("key", "short-lived"))
    short = ticker_process.ticker(token="short-lived")
    short.hear("connect")

    served.do(served.setting.tokens.valid.remove, ("key", "short-lived"))
    served.do(served.setting.stream.let_go, served.setting.now)

    assert short.hear("close")["code"] == 1008
    assert "403" in short.hear("close")["reason"]
    short.do("close")


def test_after_unsubscribing_no_tick_arrives(ticker, served, update):
    ticker.do("subscribe", tokens=[INFY_TOKEN, RELIANCE_TOKEN])
    ticker.hear_ticks()
    ticker.do("unsubscribe", tokens=[INFY_TOKEN])
    ticker.do("say", text="nonsense")
    ticker.hear("error")  # it has been heard, and so has what was said before
    served.do(served.setting.prices.trade, INFY, "1600.00")
    served.do(served.setting.prices.trade, RELIANCE, "1600.00")

    served.do(served.setting.tick)

    assert list(ticker.hear_ticks()) == [RELIANCE_TOKEN]
