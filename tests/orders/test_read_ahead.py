"""What a desk asks the broker: shared by all who ask within a second, and read ahead of the purchases that come."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from orders.broker.asked import WANTED_MAX, AskedFunds, AskedPositions, AskedPrices
from orders.broker.gateway import BrokerUnreachable
from orders.broker.prices import BAND_AGE_MAX, BAND_WANTED_FOR, BAND_YOUNG_FOR, StreamedPrices
from orders.broker.ticks import Tick
from orders.deciding import decide
from orders.desk import Desk
from orders.models import Instrument, OrderEvent
from orders.quotes import ReadAhead, expect_quotes, heard, last_quote, quote_and_band
from risk.engine.facts import PriceBand
from tests.conftest import StillClock

RELIANCE, INFY, TCS = ("NSE", "RELIANCE"), ("NSE", "INFY"), ("NSE", "TCS")


class Counting:
    """A gateway that counts its reads of positions, funds and quotes."""

    def __init__(self, gateway):
        self.gateway, self.positions_read, self.funds_read, self.questions = gateway, 0, 0, []

    def positions(self):
        self.positions_read += 1
        return self.gateway.positions()

    def available_funds(self):
        self.funds_read += 1
        return self.gateway.available_funds()

    def quotes(self, keys):
        self.questions.append(list(keys))
        return self.gateway.quotes(keys)

    def __getattr__(self, name):
        return getattr(self.gateway, name)


@pytest.fixture
def clock():
    return StillClock()


@pytest.fixture
def counted(desk, clock, wired):
    """The desk as it is outside the tests: at most one question a second. Its pauses move its clock."""
    return wired(
        desk,
        gateway=Counting(desk.gateway),
        asked_prices=AskedPrices(),
        asked_positions=AskedPositions(),
        asked_funds=AskedFunds(),
        pause=clock.pause,
    )


def test_a_sell_that_waits_for_the_brokers_position_reads_it_once_a_second(counted, held, received, clock):
    held(2)
    signal = received(signal_type="SELL", cms_score=-75)
    OrderEvent.objects.create(  # something moved after whatever is read now
        order=signal.orders.model.objects.get(), at=clock() + timedelta(seconds=20), before="OPEN", after="FILLED"
    )

    begun = clock()
    for _ in range(8):
        assert decide(counted, signal) is None
        clock.advance(seconds=0.25)
    assert counted.gateway.positions_read <= 1 + (clock() - begun).total_seconds()

    clock.advance(seconds=21)
    assert decide(counted, signal).quantity == 2


def test_signals_for_many_instruments_cost_one_question_for_quotes_and_one_for_funds(counted, received):
    signals = [received(symbol=symbol) for symbol in ("RELIANCE", "INFY", "TCS")]
    expect_quotes(counted, [("NSE", signal.symbol) for signal in signals])

    orders = [decide(counted, signal) for signal in signals]

    assert None not in orders
    assert [sorted(question) for question in counted.gateway.questions] == [sorted([RELIANCE, INFY, TCS])]
    assert counted.gateway.funds_read == 1


def test_one_purchase_after_another_waits_for_no_funds_while_they_are_read_ahead(counted, received, clock):
    ahead = ReadAhead(counted, pause=lambda seconds: clock.advance(seconds=seconds))
    counted.asked_funds.at_hand(clock())
    for _ in range(20):
        ahead.turn()
        assert counted.asked_funds.at_hand(clock()) is not None

    assert 5 <= counted.gateway.funds_read <= 7, "in five seconds"
    assert decide(counted, received()) is not None
    assert counted.gateway.funds_read <= 7


class Unreachable:
    def available_funds(self):
        raise BrokerUnreachable("the broker is away")

    def quotes(self, _keys):
        raise BrokerUnreachable("the broker is away")


def test_while_the_broker_is_away_funds_stay_at_hand_and_are_asked_for_once_a_second(counted, clock):
    ahead = ReadAhead(counted, pause=lambda seconds: clock.advance(seconds=seconds))
    counted.asked_funds.at_hand(clock())
    ahead.turn()
    counted.gateway.gateway = Unreachable()

    at_hand = []
    for _ in range(8):
        ahead.turn()
        at_hand.append(counted.asked_funds.at_hand(clock()) is not None)

    assert at_hand == [True] * 7 + [False], "two seconds after they were read"
    assert counted.gateway.funds_read == 3, "once with success, and after 0.75 and 1.75 s"


@pytest.fixture
def streamed(counted, clock):
    """The same with a stream that tells a price of three symbols whenever it is asked to."""
    prices = StreamedPrices(age_max=timedelta(seconds=2))
    tokens = dict(Instrument.objects.values_list("symbol", "token"))
    prices.follow({key: tokens[key[1]] for key in (RELIANCE, INFY, TCS)})

    def tick():
        told = [
            Tick(token=token, last_price=Decimal(1400), traded_at=None, exchange_at=clock())
            for token in prices.followed()
        ]
        prices.hear(told, heard_at=clock())

    tick()
    return replace(counted, streamed_prices=prices), tick


def test_a_question_for_one_symbol_tells_the_bands_of_all_that_it_was_put_for(streamed, clock):
    desk, tick = streamed
    expect_quotes(desk, [RELIANCE, INFY, TCS])
    last_quote(desk, *RELIANCE)
    clock.advance(seconds=5)
    tick()

    assert all(heard(desk, *key).band for key in (RELIANCE, INFY, TCS))
    assert len(desk.gateway.questions) == 1


def test_who_asks_for_a_band_that_is_too_old_asks_for_all_that_get_old(streamed, clock):
    """Else each of a burst that comes at that moment would wait for a second of its own."""
    desk, tick = streamed
    for key in (RELIANCE, INFY, TCS):
        last_quote(desk, *key)
        clock.advance(seconds=1)
    clock.advance(seconds=BAND_AGE_MAX.total_seconds())
    tick()
    desk.gateway.questions.clear()
    begun = clock()

    assert all(last_quote(desk, *key) for key in (RELIANCE, INFY, TCS))

    assert [sorted(question) for question in desk.gateway.questions] == [sorted([RELIANCE, INFY, TCS])]
    assert clock() - begun < timedelta(seconds=1)


def test_bands_that_are_looked_for_are_read_ahead_so_that_nobody_waits_for_one(streamed, clock):
    desk, tick = streamed
    ahead = ReadAhead(desk, pause=lambda seconds: clock.advance(seconds=seconds))
    expect_quotes(desk, [RELIANCE, INFY, TCS])
    last_quote(desk, *RELIANCE)
    end = clock() + 3 * BAND_AGE_MAX

    while clock() < end:
        ahead.turn()
        tick()
        assert all(heard(desk, *key).band for key in (RELIANCE, INFY, TCS))

    assert 5 <= len(desk.gateway.questions) <= 7, "each in half of the time that a band is good for, for all three"


def test_bands_that_nobody_looks_for_are_not_read_ahead(streamed, clock):
    desk, _ = streamed
    ahead = ReadAhead(desk, pause=lambda seconds: None)
    last_quote(desk, *RELIANCE)
    assert heard(desk, *RELIANCE).band

    clock.advance(seconds=BAND_WANTED_FOR.total_seconds() - 1)
    ahead.turn()
    assert len(desk.gateway.questions) == 2, "it was looked for within a quarter of an hour"
    clock.advance(seconds=BAND_WANTED_FOR.total_seconds())
    ahead.turn()
    assert len(desk.gateway.questions) == 2


def test_while_the_broker_is_away_bands_stay_at_hand_and_are_asked_for_every_ten_seconds(streamed, clock):
    desk, tick = streamed
    ahead = ReadAhead(desk, pause=lambda seconds: clock.advance(seconds=seconds))
    last_quote(desk, *RELIANCE)
    desk.gateway.gateway = Unreachable()
    clock.advance(seconds=BAND_YOUNG_FOR.total_seconds())
    end = clock() + timedelta(seconds=60)

    while clock() < end:
        ahead.turn()
        tick()
        assert heard(desk, *RELIANCE).band

    assert 1 + 5 <= len(desk.gateway.questions) <= 1 + 7


def test_a_band_that_cannot_be_asked_for_anew_is_good_as_long_as_a_decision_may_go_by_it(streamed, clock):
    desk, tick = streamed
    band = quote_and_band(desk, *RELIANCE).band
    desk.gateway.gateway = Unreachable()
    tellings = []
    for seconds in (240.001, 300, 300.001, -0.001):
        clock.ahead += band.as_of + timedelta(seconds=seconds) - clock()
        tick()
        tellings.append(quote_and_band(desk, *RELIANCE))

    assert [told.band for told in tellings] == [band, band, None, None]
    assert all(told.quote for told in tellings[:3])


class Hanging:
    """A gateway whose questions fail after eight seconds, in which `meanwhile` comes to pass."""

    def __init__(self, clock, meanwhile):
        self.clock, self.meanwhile = clock, meanwhile

    def quotes(self, _keys):
        self.clock.advance(seconds=8)
        self.meanwhile()
        raise BrokerUnreachable("it timed out")


@pytest.mark.parametrize("goes_on", [True, False], ids=["the stream goes on", "the stream fell silent"])
def test_a_price_from_before_a_question_that_hung_is_not_used(streamed, clock, goes_on):
    desk, tick = streamed
    band = quote_and_band(desk, *RELIANCE).band
    clock.ahead += band.as_of + BAND_AGE_MAX + timedelta(seconds=1) - clock()
    tick()
    desk.gateway.gateway = Hanging(clock, tick if goes_on else desk.streamed_prices.forget)

    told = quote_and_band(desk, *RELIANCE)

    assert told.band == band
    assert (told.quote and told.quote.as_of) == (clock() if goes_on else None)


def test_no_band_stands_in_where_the_broker_answered_and_told_none(streamed, clock, monkeypatch):
    desk, tick = streamed
    band = quote_and_band(desk, *RELIANCE).band
    clock.ahead += band.as_of + BAND_AGE_MAX + timedelta(seconds=1) - clock()
    tick()
    monkeypatch.setattr(desk.gateway, "quotes", lambda keys: {})

    told = quote_and_band(desk, *RELIANCE)

    assert (told.quote.as_of, told.band) == (clock(), None)


def test_ten_seconds_lie_between_the_end_of_a_question_ahead_that_hung_and_the_next(streamed, clock):
    desk, _ = streamed
    ahead = ReadAhead(desk, pause=lambda seconds: clock.advance(seconds=seconds))
    last_quote(desk, *RELIANCE)
    clock.advance(seconds=BAND_YOUNG_FOR.total_seconds())
    desk.gateway.gateway = Hanging(clock, lambda: None)
    ahead.turn()
    end = clock()
    desk.gateway.questions.clear()

    while not desk.gateway.questions:
        began = clock()
        ahead.turn()
    assert began - end >= timedelta(seconds=9.5)


def test_an_older_band_takes_no_younger_ones_place_unless_that_lies_ahead(clock):
    prices, now = StreamedPrices(age_max=timedelta(seconds=2)), clock()
    prices.band(*RELIANCE, now=now)
    old, young = (PriceBand(lower=Decimal(1), upper=Decimal(2), as_of=now - timedelta(seconds=age)) for age in (60, 1))
    prices.remember_bands({RELIANCE: young}, now=now)

    prices.remember_bands({RELIANCE: old}, now=now)
    assert prices.band(*RELIANCE, now=now) == young

    prices.remember_bands({RELIANCE: old}, now=now - timedelta(seconds=30))  # the clock was set back
    assert prices.kept_band(*RELIANCE, now=now) == old


def test_bands_are_kept_of_what_was_looked_for_lately(clock):
    prices, now = StreamedPrices(age_max=timedelta(seconds=2)), clock()
    keys = [("NSE", f"S{number}") for number in range(WANTED_MAX + 1)]
    for key in keys:
        prices.band(*key, now=now)
        prices.remember_bands({key: PriceBand(lower=Decimal(1), upper=Decimal(2), as_of=now)}, now=now)

    assert [key for key in keys if prices.kept_band(*key, now=now) is None] == keys[:1]
    assert len(prices.aging_bands(now=now + BAND_YOUNG_FOR)) == WANTED_MAX


def test_no_band_is_read_ahead_without_a_login(streamed, clock, monkeypatch):
    desk, _ = streamed
    ahead = ReadAhead(desk, pause=lambda seconds: None)
    last_quote(desk, *RELIANCE)
    clock.advance(seconds=BAND_YOUNG_FOR.total_seconds())
    monkeypatch.setattr(type(desk.vault), "is_valid", lambda *_: False)

    ahead.turn()
    assert len(desk.gateway.questions) == 1
    monkeypatch.undo()
    ahead.turn()
    assert len(desk.gateway.questions) == 2


def test_bands_that_had_to_wait_for_the_second_are_asked_for_right_after_it(streamed, clock):
    desk, _ = streamed
    ahead = ReadAhead(desk, pause=lambda seconds: clock.advance(seconds=seconds))
    last_quote(desk, *RELIANCE)
    clock.advance(seconds=BAND_YOUNG_FOR.total_seconds())
    desk.asked_prices.last(TCS, desk.gateway.quotes, clock=clock, pause=clock.pause)
    desk.gateway.questions.clear()

    for _ in range(3):
        ahead.turn()
    assert desk.gateway.questions == []
    ahead.turn()
    assert len(desk.gateway.questions) == 1
    assert RELIANCE in desk.gateway.questions[0]


def test_every_desk_of_the_settings_shares_one_governor_of_quotes(settings, paper, db):
    settings.PAPER_KITE_URL = paper.root

    first, second = Desk.from_settings(), Desk.from_settings()

    assert first.asked_prices is second.asked_prices
    assert last_quote(first, *RELIANCE) == last_quote(second, *RELIANCE)
