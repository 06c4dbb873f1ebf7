"""
Flatten: out of every position, asked for once, whatever happens on the way.

The paper server's journal is the witness: nothing is sold twice, and never more than is held.
"""

from __future__ import annotations

import threading
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection

from orders import by_hand, flattening
from orders.by_hand import exit_wish
from orders.execution import cancel, carry_out_each, halt
from orders.flattening import FlattenRefused, carry_on, end, flatten
from orders.models import Flatten, FlattenedPosition, Order, OrderEvent, Position
from orders.reconciliation import carry_out_cancels, reconcile
from orders.session_hours import market_of
from orders.start import forget_paper_book
from orders.stopping import reduce_only
from orders.tracker import Tracker
from risk import control as switch
from risk.engine.facts import Side
from risk.engine.sessions import Phase
from risk.models import Incident, TradingControl
from tests.conftest import open_the_limits

from .test_reconciliation import place_elsewhere
from .together import Together, direct_connection

pytestmark = pytest.mark.usefixtures("noon")

D = Decimal


def control():
    return TradingControl.objects.get(mode="PAPER")


def press(desk, **changes):
    return flatten(desk, **{"token": "form-1", "by": "priya", "reason": "enough", **changes})


def turns(desk, clock, number=4):
    """Take the tracker's turns, three seconds apart."""
    for _ in range(number):
        clock.advance(seconds=3)
        carry_out_cancels(desk)
        reconcile(desk)
        carry_on(desk)


def exits(symbol="RELIANCE"):
    return list(Order.objects.filter(is_exit=True, symbol=symbol).order_by("pk"))


def of(symbol="RELIANCE"):
    return FlattenedPosition.objects.get(position__symbol=symbol)


def accepted(paper, side):
    return [
        row["quantity"] for row in paper.journal() if row["event"] == "accepted" and row["transaction_type"] == side
    ]


@pytest.fixture
def both(desk, wish, held):
    """Three RELIANCE and two INFY."""
    held(3)
    by_hand.place(desk, wish(symbol="INFY", quantity=2, limit_price=D("1505.00")))
    reconcile(desk)


def test_every_position_is_sold_once_and_the_result_is_kept(desk, both, clock, paper):
    wish = press(desk)

    assert (control().state, wish.state) == ("REDUCE_ONLY", "UNDER_WAY")
    assert sorted(accepted(paper, "SELL")) == [2, 3]
    turns(desk, clock)
    wish.refresh_from_db()
    assert (wish.state, wish.outcome) == ("FLAT", "flat: INFY, RELIANCE")
    assert [each.state for each in wish.positions.all()] == ["FLAT", "FLAT"]
    assert sorted(accepted(paper, "SELL")) == [2, 3]
    assert {order.created_by for order in exits() + exits("INFY")} == {"priya"}
    assert OrderEvent.objects.filter(order=exits()[0], note="exit 1 of the flatten: enough").exists()
    assert not Incident.objects.exists()


def test_with_nothing_open_it_restricts_trading_and_is_done(desk):
    wish = press(desk)

    assert (wish.state, wish.outcome, control().state) == ("FLAT", "nothing was open", "REDUCE_ONLY")


def test_it_needs_a_reason(desk, held):
    held(1)

    with pytest.raises(FlattenRefused, match="say why"):
        press(desk, reason=" ")

    assert control().state == "ACTIVE"


def test_a_halt_stays_a_halt_and_the_exits_go_all_the_same(desk, held, clock):
    held(3)
    halt(desk, by="priya", reason="odd fills")

    wish = press(desk)
    turns(desk, clock)

    wish.refresh_from_db()
    assert (control().state, wish.state, Position.objects.get().quantity) == ("HALTED", "FLAT", 0)


@pytest.mark.parametrize("second", ["form-1", "form-2"])
def test_pressed_again_it_is_the_same_flatten(desk, held, clock, paper, second):
    held(3)
    first = press(desk)

    assert press(desk, token=second) == first

    turns(desk, clock)
    assert accepted(paper, "SELL") == [3]
    assert press(desk, token="form-1") == first  # also when it is over


@pytest.mark.django_db(transaction=True)
def test_pressed_twice_at_once_it_is_one_and_sells_once(desk, held, paper, clock):
    held(3)
    with direct_connection() as other, other.transaction():
        other.execute("SELECT 1 FROM risk_tradingcontrol WHERE mode = 'PAPER' FOR UPDATE")
        two = Together(lambda: press(desk, token="one"), lambda: press(desk, token="other"))
    results = two.join()

    assert len({each.pk for each in results}) == 1
    turns(desk, clock)
    assert accepted(paper, "SELL") == [3]
    assert Flatten.objects.get().state == "FLAT"


def test_a_buy_that_rests_is_cancelled_first_and_the_exit_waits_for_its_end(desk, held, resting, clock, paper):
    held(3)
    buy = resting()

    press(desk)

    assert exits() == []
    assert (of().state, of().said) == ("WAITING", "BUY 1 RELIANCE is being cancelled first")
    turns(desk, clock)
    buy.refresh_from_db()
    assert (buy.status, Position.objects.get().quantity) == ("CANCELLED", 0)
    assert accepted(paper, "SELL") == [3]


def test_a_buy_that_fills_while_it_is_cancelled_is_sold_with_the_rest(desk, held, resting, clock, paper, monkeypatch):
    held(3)
    buy = resting()

    def crossed(*arguments):
        paper.set_price("NSE:RELIANCE", "1390.00")
        return carry_out_each(*arguments)

    monkeypatch.setattr(flattening, "carry_out_each", crossed)

    press(desk)
    turns(desk, clock)

    buy.refresh_from_db()
    assert (buy.status, accepted(paper, "SELL")) == ("FILLED", [4])
    assert (Position.objects.get().quantity, Flatten.objects.get().state) == (0, "FLAT")


def test_what_a_buy_of_another_symbol_brings_while_it_is_cancelled_is_sold_too(
    desk, held, resting, clock, paper, monkeypatch
):
    held(3)
    resting(symbol="INFY", quantity=2)

    def crossed(*arguments):
        paper.set_price("NSE:INFY", "1390.00")
        return carry_out_each(*arguments)

    monkeypatch.setattr(flattening, "carry_out_each", crossed)

    press(desk)
    turns(desk, clock)

    assert sorted(accepted(paper, "SELL")) == [2, 3]
    assert not Position.objects.exclude(quantity=0).exists()


def test_a_sale_that_rests_is_cancelled_and_its_shares_are_sold_in_another_exit(desk, held, wish, clock, paper):
    held(3)
    by_hand.place(desk, wish(side=Side.SELL, limit_price=D("1450.00")))

    press(desk)
    turns(desk, clock)

    assert [order.quantity for order in exits()] == [2, 1]
    assert (Position.objects.get().quantity, Flatten.objects.get().state) == (0, "FLAT")


def test_an_exit_that_a_person_sent_before_is_not_doubled(desk, held, clock, paper):
    position = held(3)
    paper.fault("place", "hold_fill")
    by_hand.exit_position(desk, position, token="by hand", by="arun")

    press(desk)
    turns(desk, clock)

    assert accepted(paper, "SELL") == [3]


def test_crashed_right_after_its_commit_the_tracker_does_the_rest(desk, held, clock, paper, monkeypatch):
    held(3)

    class Died(BaseException):
        pass

    def die(*_):
        raise Died

    with monkeypatch.context() as dying:
        dying.setattr(flattening, "carry_on", die)
        with pytest.raises(Died):
            press(desk)
    assert (Flatten.objects.get().state, exits()) == ("UNDER_WAY", [])
    tracker = Tracker(desk, ready=threading.Event())
    monkeypatch.setattr(tracker, "_wait", lambda: None)

    for _ in range(4):
        clock.advance(seconds=3)
        tracker.turn()

    assert accepted(paper, "SELL") == [3]
    assert (Position.objects.get().quantity, Flatten.objects.get().state) == (0, "FLAT")


@pytest.mark.parametrize("seconds", [0, 6])
def test_crashed_before_an_exit_was_sent_it_is_sent_or_made_anew_once(desk, held, clock, paper, monkeypatch, seconds):
    held(3)

    class Died(BaseException):
        pass

    def die(*_):
        raise Died

    with monkeypatch.context() as dying:
        dying.setattr(by_hand, "submit", die)
        with pytest.raises(Died):
            press(desk)
    assert [order.status for order in exits()] == ["PENDING"]
    clock.advance(seconds=seconds)

    carry_on(desk)
    turns(desk, clock)

    assert accepted(paper, "SELL") == [3]
    assert [order.status for order in exits()] == (["WITHDRAWN", "FILLED"] if seconds else ["FILLED"])


def test_with_the_broker_down_it_says_so_and_goes_on_when_it_is_back(desk, held, clock, paper):
    held(3)
    paper.fault("any", "drop_before", times=1000)

    press(desk)

    assert (control().state, of().state) == ("REDUCE_ONLY", "WAITING")
    assert of().said == "the broker cannot be read: it is tried again"
    paper.control("DELETE", "faults")
    turns(desk, clock)
    assert (accepted(paper, "SELL"), Position.objects.get().quantity) == ([3], 0)


def test_without_a_login_and_with_the_market_closed_it_waits_and_says_for_what(desk, held, monkeypatch, clock):
    held(3)
    monkeypatch.setattr(type(desk.vault), "is_valid", lambda *_: False)
    press(desk)
    assert of().said == "there is no valid login at the broker: log in, and it goes on"
    monkeypatch.undo()

    def closed(*arguments, **more):
        session = market_of(*arguments, **more)
        return type(session)(**{**vars(session), "phase": Phase.PRE_OPEN})

    with monkeypatch.context() as shut:
        shut.setattr(flattening, "market_of", closed)
        carry_on(desk)
        assert of().said == "the market is not trading it now (pre open)"

    assert Order.objects.filter(is_exit=True).count() == 0
    turns(desk, clock)
    assert Position.objects.get().quantity == 0


def test_a_short_position_is_bought_back(desk, held, clock, paper):
    held(3)
    place_elsewhere(paper, transaction_type="SELL", quantity=5, price=1395.0, product="MIS")
    Position.objects.update(quantity=-2)  # no order of ours opens one: as a correction by a person would

    press(desk)

    order = exits()[0]
    assert (order.side, order.quantity, order.order_type) == ("BUY", 2, "MARKET")


def test_what_the_broker_does_not_hold_is_not_sold_and_told_of(desk, held, clock, paper):
    held(3)
    place_elsewhere(paper, transaction_type="SELL", quantity=2, price=1395.0)

    wish = press(desk)
    turns(desk, clock, 6)

    wish.refresh_from_db()
    assert accepted(paper, "SELL") == [2, 1]  # somebody's, and ours
    assert (wish.state, of().state) == ("INCOMPLETE", "LEFT")
    assert of().said == "2 shares are open in our book and not at the broker"
    incident = Incident.objects.get(kind="FLATTEN_INCOMPLETE")
    assert incident.detail == "2 NSE:RELIANCE: 2 shares are open in our book and not at the broker"


def test_after_three_exits_that_came_to_nothing_it_stops_and_tells(desk, held, clock, paper):
    held(3)
    paper.fault("place", "refuse_input", times=100)

    wish = press(desk)
    turns(desk, clock, 12)

    wish.refresh_from_db()
    assert [order.status for order in exits()] == ["REJECTED"] * 3
    assert wish.state == "INCOMPLETE"
    assert "3 exits have ended and shares remain" in Incident.objects.get(kind="FLATTEN_INCOMPLETE").detail


def test_an_exit_turned_away_for_its_rate_is_none_of_the_three(desk, held, clock, paper):
    held(3)
    paper.fault("place", "error_429", times=4)

    press(desk)
    turns(desk, clock, 24)

    assert [order.status for order in exits()] == ["REJECTED"] * 4 + ["FILLED"]
    assert Flatten.objects.get().state == "FLAT"


def test_after_a_429_another_exit_waits_until_the_book_can_say_that_it_was_true(desk, held, clock, paper):
    held(3)
    paper.fault("place", "error_429")
    press(desk)

    turns(desk, clock, 1)
    assert len(exits()) == 1
    assert of().said.endswith("the broker's book is to be read before another exit")
    turns(desk, clock, 4)
    assert [order.status for order in exits()] == ["REJECTED", "FILLED"]


def test_another_exit_waits_for_a_book_that_was_read_after_the_one_before(desk, held, clock, paper):
    held(3)
    paper.fault("place", "refuse_input")
    press(desk)
    clock.advance(seconds=5)

    carry_on(desk)

    assert len(exits()) == 1
    assert of().said.endswith("the broker's book is to be read before another exit")
    turns(desk, clock)
    assert [order.status for order in exits()] == ["REJECTED", "FILLED"]


def test_an_exit_in_doubt_is_not_followed_by_another(desk, held, clock, paper):
    held(3)
    paper.fault("place", "drop_after", hide_seconds=3600)

    press(desk)
    turns(desk, clock, 3)

    assert [order.status for order in exits()] == ["IN_DOUBT"]
    assert of().state == "EXITING"


def test_an_entry_in_doubt_keeps_nobody_from_getting_out(desk, held, in_doubt, clock, paper):
    held(3)
    in_doubt()

    press(desk)

    assert accepted(paper, "SELL") == [3]
    turns(desk, clock)
    assert Flatten.objects.get().state == "UNDER_WAY"  # until it is known that the entry brings nothing


def test_it_is_not_carried_over_into_another_day(desk, held, clock, paper):
    held(3)
    paper.fault("positions", "error_503", times=1000)
    wish = press(desk)
    paper.control("DELETE", "faults")
    clock.advance(days=1)

    carry_on(desk)

    wish.refresh_from_db()
    assert (wish.state, exits()) == ("INCOMPLETE", [])
    assert "its trading day is over" in Incident.objects.get(kind="FLATTEN_INCOMPLETE").title


def test_a_halt_pressed_during_it_ends_it_with_its_exits(desk, held, clock, paper):
    held(3)
    paper.fault("place", "hold_fill")
    wish = press(desk)

    halt(desk, by="arun", reason="wrong account")
    turns(desk, clock)

    wish.refresh_from_db()
    assert (wish.state, wish.ended_by) == ("ENDED", "arun")
    assert [order.status for order in exits()] == ["CANCELLED"]
    assert len(accepted(paper, "SELL")) == 1


@pytest.mark.parametrize("word", ["halt", "resume"])
def test_a_later_word_of_a_person_ends_it_though_its_process_died_after_it(desk, held, clock, paper, word):
    held(3)
    paper.fault("positions", "error_503", times=1000)
    wish = press(desk)
    paper.control("DELETE", "faults")
    more = {"version_shown": control().version} if word == "resume" else {}
    getattr(switch, word)("PAPER", by="arun", reason="no", now=desk.clock(), **more)

    turns(desk, clock)

    wish.refresh_from_db()
    assert (wish.state, wish.ended_by, exits()) == ("ENDED", "arun", [])


def test_a_halt_whose_process_died_right_after_it_cancels_the_exits_that_work_too(desk, held, clock, paper):
    held(3)
    paper.fault("place", "hold_fill")
    press(desk)
    switch.halt("PAPER", by="arun", reason="wrong account", now=desk.clock())

    turns(desk, clock)

    assert [order.status for order in exits()] == ["CANCELLED"]


def test_a_person_ends_it_and_its_exits_are_cancelled(desk, held, clock, paper):
    held(3)
    paper.fault("place", "hold_fill")
    wish = press(desk)

    end(desk, wish, by="arun", reason="only a rumour")
    turns(desk, clock)

    assert (wish.state, wish.ended_by, wish.outcome) == ("ENDED", "arun", "only a rumour")
    assert [order.status for order in exits()] == ["CANCELLED"]
    with pytest.raises(FlattenRefused, match="it has ended: only a rumour"):
        end(desk, wish, by="arun", reason="again")


@pytest.mark.parametrize("how", ["ended", "halted", "switched"])
def test_what_is_stopped_while_the_broker_is_asked_makes_no_exit_any_more(desk, held, clock, paper, monkeypatch, how):
    held(3)
    paper.fault("positions", "error_503", times=1000)
    wish = press(desk)
    paper.control("DELETE", "faults")
    ways = {
        "ended": lambda: end(desk, Flatten.objects.get(), by="arun", reason="only a rumour"),
        "halted": lambda: halt(desk, by="arun", reason="wrong account"),
        "switched": lambda: switch.halt("PAPER", by="arun", reason="wrong account", now=desk.clock()),
    }

    def stopped_meanwhile(*arguments, **more):
        monkeypatch.undo()
        ways[how]()
        return exit_wish(*arguments, **more)

    monkeypatch.setattr(flattening, "exit_wish", stopped_meanwhile)

    turns(desk, clock)

    wish.refresh_from_db()
    assert (wish.state, wish.ended_by, exits(), accepted(paper, "SELL")) == ("ENDED", "arun", [], [])


def test_a_buy_of_yesterday_that_nobody_closed_yet_keeps_nobody_from_getting_out(desk, held, clock, paper):
    held(3)
    Order.objects.create(  # its end was missed, and the broker's book of today does not list it any more
        mode="PAPER",
        client_order_id="OFYESTERDAY",
        broker_order_id="SIM20200101000001",
        origin="MANUAL",
        exchange="NSE",
        symbol="RELIANCE",
        side="BUY",
        product="CNC",
        order_type="LIMIT",
        quantity=1,
        price=D("1390.00"),
        status="OPEN",
        trading_date=desk.today() - timedelta(days=1),
        created_at=clock() - timedelta(days=1),
    )

    press(desk)
    turns(desk, clock, 2)

    assert accepted(paper, "SELL") == [3]
    assert Position.objects.get().quantity == 0


def test_a_clock_that_was_set_back_does_not_hold_the_next_exit_up(desk, held, clock, paper):
    held(3)
    paper.fault("place", "refuse_input")
    press(desk)
    clock.advance(minutes=-10)

    turns(desk, clock)

    assert [order.status for order in exits()] == ["REJECTED", "FILLED"]


def cancel_it(desk, **said):
    return cancel(desk, Order.objects.get(), **said)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("stop", [halt, press, reduce_only, cancel_it])
def test_stopping_waits_for_a_slow_database_longer_than_its_session_would(desk, held, stop):
    held(1)

    def impatient():
        connection.cursor().execute("SET lock_timeout = '200ms'; SET statement_timeout = '200ms'")
        return stop(desk, by="priya", reason="enough")

    with direct_connection() as other, direct_connection() as watcher, other.transaction():
        other.execute("SELECT 1 FROM risk_tradingcontrol WHERE mode = 'PAPER' FOR UPDATE")
        stopping = Together(impatient)
        watcher.execute("SELECT pg_sleep(0.6)")
    (result,) = stopping.join()

    assert not isinstance(result, Exception)
    assert stop == cancel_it or control().state in {"HALTED", "REDUCE_ONLY"}


def test_no_limit_and_no_breaker_keeps_the_exits_from_going(desk, both, clock, paper):
    open_the_limits(daily_trades_max=0, order_value_max=D(1), positions_max=0, gross_exposure_max=D(0))

    press(desk)
    turns(desk, clock)

    assert sorted(accepted(paper, "SELL")) == [2, 3]


def test_a_paper_book_with_a_flatten_under_way_can_be_forgotten(desk, held):
    held(3)
    press(desk)

    forget_paper_book()

    assert (Flatten.objects.count(), FlattenedPosition.objects.count(), Position.objects.count()) == (0, 0, 0)
