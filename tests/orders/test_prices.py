"""Streamed prices: which are remembered, how old they may be, and what makes them forgotten."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from orders.broker.asked import WANTED_MAX
from orders.broker.prices import ASKED_MAX, BAND_AGE_MAX, BAND_WANTED_FOR, BAND_YOUNG_FOR, StreamedPrices
from orders.broker.ticks import Tick
from orders.desk import DeskRules
from risk.engine.facts import PriceBand
from risk.engine.limits import BAND_AGE_MAX_SECONDS
from tests.orders.paper.stream.stand_ins import NOW

RELIANCE = ("NSE", "RELIANCE")
TOKEN = 738561


@pytest.fixture
def prices() -> StreamedPrices:
    prices = StreamedPrices(age_max=timedelta(seconds=2))
    prices.follow({RELIANCE: TOKEN})
    return prices


def tick(price: str = "1400.00", *, at: datetime | None = NOW, token: int = TOKEN) -> Tick:
    return Tick(token=token, last_price=Decimal(price), traded_at=None, exchange_at=at)


def last(prices: StreamedPrices, *, seconds_later: float = 0) -> Decimal | None:
    quote = prices.last(*RELIANCE, now=NOW + timedelta(seconds=seconds_later))
    return quote.price if quote else None


def test_a_price_is_used_up_to_its_age_limit_and_not_past_it(prices):
    prices.hear([tick()], heard_at=NOW)

    assert last(prices, seconds_later=2) == Decimal("1400.00")
    assert last(prices, seconds_later=2.001) is None


def test_a_price_dated_in_whole_seconds_and_told_once_a_second_is_young_at_any_moment():
    prices = StreamedPrices(age_max=timedelta(seconds=DeskRules().streamed_price_age_max_seconds))
    prices.follow({RELIANCE: TOKEN})
    for tenths in range(50):
        second, on_its_way = divmod(tenths, 10)
        if on_its_way == 2:  # what was told at the end of the second before came a moment later
            heard_at = NOW + timedelta(seconds=tenths / 10)
            prices.hear([tick(at=NOW + timedelta(seconds=second - 1))], heard_at=heard_at)
        assert tenths < 2 or last(prices, seconds_later=tenths / 10) is not None


def test_what_waited_in_a_socket_is_as_old_as_the_exchange_says(prices):
    prices.hear([tick()], heard_at=NOW + timedelta(seconds=30))

    assert last(prices, seconds_later=30) is None


def test_a_price_is_never_younger_than_its_hearing(prices):
    prices.hear([tick(at=NOW + timedelta(hours=1))], heard_at=NOW)

    assert prices.last(*RELIANCE, now=NOW).as_of == NOW


def test_a_price_from_the_future_is_not_used(prices):
    prices.hear([tick()], heard_at=NOW)

    assert last(prices, seconds_later=-1) is None


def test_an_older_price_does_not_replace_a_newer_one(prices):
    prices.hear([tick("1401.00"), tick("1390.00", at=NOW - timedelta(seconds=1))], heard_at=NOW)

    assert last(prices) == Decimal("1401.00")


@pytest.mark.parametrize("useless", [tick(at=None), tick("0"), tick(token=1)], ids=["no time", "zero", "not followed"])
def test_a_tick_that_cannot_be_used_is_left_out(prices, useless):
    prices.hear([useless], heard_at=NOW)

    assert last(prices) is None


def test_a_link_that_went_down_leaves_no_price(prices):
    prices.hear([tick()], heard_at=NOW)
    prices.forget()

    assert last(prices) is None


def test_what_is_no_longer_followed_is_forgotten(prices):
    prices.hear([tick()], heard_at=NOW)
    prices.follow({})
    prices.follow({RELIANCE: TOKEN})

    assert last(prices) is None


def test_only_the_symbols_asked_for_lately_are_remembered(prices):
    for number in range(ASKED_MAX + 1):
        prices.last("NSE", f"S{number}", now=NOW)
    prices.last("NSE", "S1", now=NOW)

    asked = prices.asked()
    assert len(asked) == ASKED_MAX
    assert asked[:2] == [("NSE", "S1"), ("NSE", f"S{ASKED_MAX}")]
    assert ("NSE", "S0") not in asked


def test_a_band_is_remembered_while_a_decision_may_still_go_by_it(prices):
    band = PriceBand(lower=Decimal(1260), upper=Decimal(1540), as_of=NOW)
    assert prices.band(*RELIANCE, now=NOW) is None
    prices.remember_bands({RELIANCE: band}, now=NOW)

    assert prices.band(*RELIANCE, now=NOW + BAND_AGE_MAX) == band
    assert prices.band(*RELIANCE, now=NOW + BAND_AGE_MAX + timedelta(seconds=0.001)) is None
    assert prices.band(*RELIANCE, now=NOW - timedelta(seconds=1)) is None  # from the future
    assert prices.band("BSE", "RELIANCE", now=NOW) is None
    assert timedelta(seconds=BAND_AGE_MAX_SECONDS) > BAND_AGE_MAX


def test_a_band_ages_from_half_of_its_time_while_it_is_looked_for(prices):
    band, moment = PriceBand(lower=Decimal(1260), upper=Decimal(1540), as_of=NOW), timedelta(microseconds=1)
    prices.remember_bands({RELIANCE: band}, now=NOW)
    assert prices.kept_band(*RELIANCE, now=NOW) is None, "nobody looked for it"
    prices.band(*RELIANCE, now=NOW)
    prices.remember_bands({RELIANCE: band}, now=NOW)

    assert prices.aging_bands(now=NOW + BAND_YOUNG_FOR - moment) == []
    assert prices.aging_bands(now=NOW + BAND_YOUNG_FOR) == [RELIANCE]
    assert prices.aging_bands(now=NOW + BAND_WANTED_FOR - moment) == [RELIANCE]
    assert prices.aging_bands(now=NOW + BAND_WANTED_FOR) == []


def test_only_the_bands_looked_for_lately_age_whatever_signals_name(prices):
    symbols = [("NSE", f"S{number}") for number in range(WANTED_MAX + 1)]
    band = PriceBand(lower=Decimal(1260), upper=Decimal(1540), as_of=NOW)
    for key in symbols:
        prices.band(*key, now=NOW)
    prices.remember_bands(dict.fromkeys(symbols, band), now=NOW)

    assert prices.aging_bands(now=NOW + BAND_YOUNG_FOR) == symbols[1:]


def test_a_symbol_whose_band_is_not_known_has_none_that_ages(prices):
    prices.band(*RELIANCE, now=NOW)

    assert prices.aging_bands(now=NOW + BAND_YOUNG_FOR) == []
