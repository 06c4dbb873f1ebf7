"""What the broker is asked is asked once a second for all: prices, and the positions that a SELL waits for."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal

import pytest

from orders.broker.asked import NOTHING_TOLD, WANTED_FOR, WANTED_MAX, AskedFunds, AskedPositions, AskedPrices
from orders.broker.gateway import MarketQuote
from risk.engine.facts import Funds
from tests.orders.paper.stream.stand_ins import NOW

QUOTE = MarketQuote(last_price=Decimal(1400), lower_circuit=Decimal(1260), upper_circuit=Decimal(1540))
RELIANCE, INFY, TCS = ("NSE", "RELIANCE"), ("NSE", "INFY"), ("NSE", "TCS")


class Broker:
    """Answers 1,400.00 for whatever it is asked, at a clock that its pauses move; `asked` keeps when and for what."""

    def __init__(self):
        self.now = NOW
        self.prices = AskedPrices()
        self.asked = []
        self.fails = False

    def ask(self, keys):
        self.asked.append((self.now, keys))
        return None if self.fails else dict.fromkeys(keys, QUOTE)

    def pause(self, seconds):
        self.now += timedelta(seconds=seconds)

    def last(self, key):
        return self.prices.last(key, self.ask, clock=lambda: self.now, pause=self.pause)


@pytest.fixture
def broker():
    return Broker()


def test_decisions_within_a_second_share_one_answer_and_its_age(broker):
    first = broker.last(RELIANCE)
    broker.now += timedelta(seconds=0.999)

    assert broker.last(RELIANCE) == first
    assert first.quote.as_of == first.band.as_of == NOW
    assert len(broker.asked) == 1


def test_a_second_later_it_is_asked_anew(broker):
    broker.last(RELIANCE)
    broker.now += timedelta(seconds=1)

    assert broker.last(RELIANCE).quote.as_of == broker.now
    assert len(broker.asked) == 2


def test_another_instrument_waits_for_the_rest_of_the_second_and_asks_for_both(broker):
    broker.last(RELIANCE)
    broker.now += timedelta(seconds=0.4)

    broker.last(INFY)

    assert broker.asked[1] == (NOW + timedelta(seconds=1), [INFY, RELIANCE])


def test_what_is_expected_is_asked_for_in_the_same_question(broker):
    broker.prices.expect([INFY, TCS], now=broker.now)

    for key in (RELIANCE, TCS, INFY):
        assert broker.last(key).quote.price == 1400

    assert broker.asked == [(NOW, [RELIANCE, INFY, TCS])]


def test_a_question_is_bounded_and_what_was_wanted_long_ago_is_left_out(broker):
    broker.prices.expect([("NSE", f"S{number}") for number in range(WANTED_MAX + 5)], now=broker.now)
    broker.last(RELIANCE)
    broker.now += WANTED_FOR
    broker.last(INFY)

    assert len(broker.asked[0][1]) == WANTED_MAX
    assert broker.asked[0][1][0] == RELIANCE
    assert broker.asked[1][1] == [INFY]


def test_a_failure_is_shared_for_a_second_too(broker):
    broker.fails = True

    assert broker.last(RELIANCE) is None
    assert broker.last(RELIANCE) is None
    assert len(broker.asked) == 1


def test_an_answer_without_the_instrument_is_no_failure(broker):
    assert broker.prices.last(RELIANCE, lambda _: {}, clock=lambda: broker.now, pause=broker.pause) == NOTHING_TOLD


@pytest.mark.parametrize(("seconds", "asked"), [(2.999, 2), (3, 1)])
def test_who_waited_while_a_question_hung_does_not_put_it_again(broker, seconds, asked):
    """An exit would else wait for two of them, of seven seconds each, before it goes at the market."""
    broker.fails = True
    waits, told = threading.Event(), []

    def hangs(keys):
        waiting.start()
        assert waits.wait(10)
        broker.pause(seconds)
        return broker.ask(keys)

    def clock():
        now = broker.now
        if threading.current_thread() is waiting:
            waits.set()
        return now

    waiting = threading.Thread(
        target=lambda: told.append(broker.prices.last(INFY, broker.ask, clock=clock, pause=broker.pause))
    )
    broker.prices.read_ahead([RELIANCE], hangs, clock=lambda: broker.now)
    waiting.join(10)

    assert told == [None]
    assert len(broker.asked) == asked
    assert broker.now - NOW == timedelta(seconds=seconds + asked - 1)


def test_who_comes_after_a_question_that_hung_asks_when_a_second_has_passed(broker):
    def hangs(keys):
        broker.pause(7)

    broker.prices.read_ahead([RELIANCE], hangs, clock=lambda: broker.now)

    assert broker.last(INFY).quote.price == 1400
    assert broker.asked == [(NOW + timedelta(seconds=8), [INFY])]


def test_the_second_begins_with_the_answer_so_that_a_slow_one_is_not_followed_too_soon(broker):
    def slow(keys):
        broker.pause(3)
        return broker.ask(keys)

    broker.prices.last(RELIANCE, slow, clock=lambda: broker.now, pause=broker.pause)
    broker.last(INFY)

    assert [at - NOW for at, _ in broker.asked] == [timedelta(seconds=3), timedelta(seconds=4)]


def test_a_clock_that_was_set_back_holds_nothing_up(broker):
    broker.last(RELIANCE)
    broker.now -= timedelta(hours=1)

    broker.last(RELIANCE)

    assert broker.asked[1][0] == NOW - timedelta(hours=1)


def test_threads_that_ask_at_once_put_one_question_at_a_time(broker):
    threads, together = 8, threading.Barrier(8)

    def ask(number):
        together.wait()
        return broker.last(("NSE", f"S{number}"))

    with ThreadPoolExecutor(threads) as pool:
        answers = list(pool.map(ask, range(threads)))

    moments = sorted(at for at, _ in broker.asked)
    assert all(told.quote.price == 1400 for told in answers)
    assert all(later - sooner >= timedelta(seconds=1) for sooner, later in itertools.pairwise(moments))


def test_reading_ahead_that_fails_answers_nobody(broker):
    """Who decides by a price asks for it: a purchase would be refused for want of one, and a sale go without limit."""
    broker.fails = True
    assert broker.prices.read_ahead([RELIANCE], broker.ask, clock=lambda: broker.now)
    broker.fails = False
    broker.now += timedelta(seconds=0.3)

    assert broker.last(RELIANCE).quote.price == 1400
    assert [at - NOW for at, _ in broker.asked] == [timedelta(0), timedelta(seconds=1)]


def test_reading_ahead_within_a_second_of_an_answer_asks_nobody(broker):
    broker.last(INFY)
    broker.now += timedelta(seconds=0.999)
    assert not broker.prices.read_ahead([RELIANCE], broker.ask, clock=lambda: broker.now)
    assert broker.last(INFY).quote

    broker.now += timedelta(seconds=0.001)
    assert broker.prices.read_ahead([RELIANCE], broker.ask, clock=lambda: broker.now)
    assert [keys for _, keys in broker.asked] == [[INFY], [INFY, RELIANCE]]


def test_what_is_read_ahead_takes_no_place_of_what_is_wanted(broker):
    many = [("NSE", f"S{number}") for number in range(WANTED_MAX)]
    broker.prices.expect([RELIANCE], now=broker.now)

    broker.prices.read_ahead(many, broker.ask, clock=lambda: broker.now)

    assert broker.asked == [(NOW, [RELIANCE, *many[:-1]])]
    broker.now += timedelta(seconds=1)
    broker.last(INFY)
    assert broker.asked[1][1] == [INFY, RELIANCE]


def test_who_waits_while_much_else_is_wanted_is_answered(broker):
    """Five hundred others come to be wanted between the word of what it wants and its question."""

    def clock():
        if not broker.asked:
            broker.prices.expect([("NSE", f"S{number}") for number in range(WANTED_MAX)], now=broker.now)
        return broker.now

    told = broker.prices.last(RELIANCE, broker.ask, clock=clock, pause=broker.pause)

    assert told.quote.price == 1400


@pytest.mark.parametrize("kind", [AskedPositions, AskedFunds])
def test_positions_and_funds_are_read_once_a_second_whatever_came_of_it(kind):
    now, reads, asked = [NOW], [], kind()

    def read():
        reads.append(now[0])

    for _ in range(9):
        asked.last(read, clock=lambda: now[0])
        now[0] += timedelta(seconds=0.25)

    assert [at - NOW for at in reads] == [timedelta(seconds=seconds) for seconds in (0, 1, 2)]


class FundsReading:
    """Reads what may be spent, each time a rupee more, or fails; its clock is ours."""

    def __init__(self):
        self.now, self.asked, self.reads, self.fails = NOW, AskedFunds(), 0, False

    def read(self):
        self.reads += 1
        return None if self.fails else Funds(available=Decimal(self.reads), as_of=self.now)

    def pass_time(self, seconds):
        self.now += timedelta(seconds=seconds)

    def ahead(self):
        self.asked.read_ahead(self.read, clock=lambda: self.now)
        return self.reads

    def at_hand(self):
        funds = self.asked.at_hand(self.now)
        return funds and funds.available


def test_funds_are_read_ahead_only_while_purchases_look_for_them():
    reading = FundsReading()
    assert reading.ahead() == 0, "nobody wants them"

    assert reading.at_hand() is None
    reading.pass_time(9.999)
    assert reading.ahead() == 1
    reading.pass_time(0.001)
    assert reading.ahead() == 1, "whoever looked for them did so too long ago"


def test_funds_are_read_ahead_before_they_are_too_old_to_be_at_hand():
    reading = FundsReading()
    reading.at_hand()
    assert (reading.ahead(), reading.at_hand()) == (1, 1)

    reading.pass_time(0.749)
    assert reading.ahead() == 1
    reading.pass_time(0.001)
    assert (reading.ahead(), reading.at_hand()) == (2, 2)


def test_reading_ahead_that_fails_takes_nothing_away():
    reading = FundsReading()
    reading.at_hand()
    reading.ahead()
    reading.fails = True
    reading.pass_time(1)
    reading.ahead()

    assert (reading.reads, reading.at_hand()) == (2, 1)
    reading.pass_time(1)
    assert reading.at_hand() is None


def test_reading_ahead_that_fails_is_not_tried_again_within_a_second():
    reading = FundsReading()
    reading.at_hand()
    reading.fails = True
    assert reading.ahead() == 1

    reading.pass_time(0.999)
    assert reading.ahead() == 1
    reading.pass_time(0.001)
    assert reading.ahead() == 2


def test_who_waited_for_a_reading_ahead_that_failed_does_not_wait_for_another():
    reading = FundsReading()
    reading.at_hand()
    reading.fails = True
    reading.ahead()

    assert reading.asked.last(reading.read, clock=lambda: reading.now) is None
    assert reading.reads == 1
    reading.pass_time(1)
    reading.fails = False
    assert reading.asked.last(reading.read, clock=lambda: reading.now).available == 2


def test_funds_read_ahead_are_not_asked_for_again_by_who_waits():
    reading = FundsReading()
    reading.at_hand()
    reading.ahead()
    reading.pass_time(0.999)

    assert reading.asked.last(reading.read, clock=lambda: reading.now).available == 1
    reading.pass_time(0.001)
    assert reading.asked.last(reading.read, clock=lambda: reading.now).available == 2


def test_a_clock_that_was_set_back_has_them_read_anew():
    reading = FundsReading()
    reading.at_hand()
    reading.ahead()
    reading.pass_time(-60)

    assert reading.at_hand() is None
    assert (reading.ahead(), reading.at_hand()) == (2, 2)
