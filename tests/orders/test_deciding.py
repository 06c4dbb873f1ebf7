"""From a received signal to a decision, and an order written down."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import DatabaseError, transaction

from orders.by_hand import place
from orders.deciding import decide
from orders.execution import submit
from orders.models import Decision, Order, Position, Signal
from orders.proposal import sized
from orders.reconciliation import reconcile
from risk import control as switch
from risk.engine.decision import assess
from risk.engine.facts import Side
from risk.engine.kept_facts import restored
from risk.engine.rules import RULES
from risk.models import Incident, RiskSettings, TradingControl
from tests.conftest import open_the_limits, switch_on

from .test_reconciliation import place_elsewhere

pytestmark = pytest.mark.usefixtures("noon")


def test_a_strong_buy_becomes_one_filled_order_with_its_verdicts(follow, received):
    signal = received()

    order = follow(signal)

    assert (signal.status, order.status, order.quantity) == ("APPROVED", "FILLED", 1)
    assert order.broker_order_id.startswith("SIM")
    assert order.signal == signal
    assert all(verdict["passed"] for verdict in order.decision.verdicts)
    assert Position.objects.get().quantity == 1


def test_a_strong_sell_closes_what_our_fills_opened(follow, received):
    follow(received())
    follow(received())

    order = follow(received(signal_type="SELL", cms_score=-75))

    assert (order.side, order.quantity, order.status) == ("SELL", 2, "FILLED")
    assert Position.objects.get().quantity == 0


@pytest.mark.parametrize(
    ("changes", "control"),
    [
        ({"signal_type": "HOLD"}, "HOLD_SIGNAL"),
        ({"cms_score": 60.0}, "CMS_SCORE_TOO_WEAK"),
        ({"cms_score": 55}, "CMS_SCORE_TOO_WEAK"),
        ({"signal_type": "SELL", "cms_score": -60}, "CMS_SCORE_TOO_WEAK"),
        ({"signal_type": "SELL", "cms_score": -75}, "NOTHING_TO_SELL"),
    ],
)
def test_what_asks_for_nothing_is_ignored_by_name(follow, received, changes, control):
    signal = received(**changes)

    assert follow(signal) is None

    assert signal.status == "IGNORED"
    assert control in signal.reason


def test_the_eleventh_opening_trade_of_the_day_is_denied_by_name(follow, received, clock):
    open_the_limits(daily_trades_max=10)
    for _ in range(10):
        assert follow(received()).status == "FILLED"
        clock.advance(seconds=1)  # ten in one second would be too many for the broker

    eleventh = received()

    assert follow(eleventh) is None
    assert eleventh.status == "DENIED"
    assert eleventh.reason == "DAILY_TRADES_EXCEEDED: 10 trades today, the limit is 10"


def test_a_sell_still_closes_when_the_day_has_no_trades_left(follow, received):
    open_the_limits(daily_trades_max=1)
    follow(received())

    order = follow(received(signal_type="SELL", cms_score=-75))

    assert order.status == "FILLED"


@pytest.fixture
def refused(follow):
    """Follow a signal that gets no order, and return it with its status and reason."""

    def go(signal: Signal) -> tuple[str, str]:
        assert follow(signal) is None
        return signal.status, signal.reason

    return go


def verdicts_of(decision) -> dict[str, dict]:
    return {verdict["control"]: verdict for verdict in decision.verdicts}


# --- What is kept ----------------------------------------------------------------------------------------------------


def test_a_decision_keeps_every_verdict_the_facts_and_the_versions_it_went_by(follow, received):
    order = follow(received())

    decision = order.decision
    assert set(verdicts_of(decision)) == {control.code for control in RULES}
    assert verdicts_of(decision)["ORDER_VALUE_EXCEEDED"] == {
        "control": "ORDER_VALUE_EXCEEDED", "title": "Order value", "measured": "1407.00 INR", "limit": "5000 INR",
        "passed": True, "reason": "", "outcome": "DENIED",
    }  # fmt: skip
    assert Decimal(decision.facts["proposed"]["limit_price"]) == 1407
    assert decision.facts["proposed"]["size_note"] == "rounded up to one lot: 1000.00 INR buys less"
    assert Decimal(decision.facts["portfolio"]["quote"]["price"]) == 1400
    assert decision.control_version == TradingControl.objects.get(mode="PAPER").version
    assert decision.limits_version == RiskSettings.objects.get().version


@pytest.mark.parametrize("changes", [{}, {"quantity": 1, "order_type": "LIMIT", "price": "1399.95"}, {"cms_score": 5}])
def test_the_same_verdicts_follow_from_the_facts_as_they_were_kept(follow, received, changes):
    follow(received(**changes))

    decision = Decision.objects.get()
    proposed, portfolio = restored(decision.facts)
    limits = RiskSettings.objects.get().limits()
    assert sized(proposed, portfolio, limits) == proposed
    again = {each.control: asdict(each) for each in assess(proposed, portfolio, limits, decision.at).verdicts}
    assert verdicts_of(decision).items() <= again.items()


def test_a_refusal_keeps_its_decision_too(refused, received):
    open_the_limits(daily_trades_max=0)
    signal = received()

    assert refused(signal)[0] == "DENIED"

    decision = Decision.objects.get(signal=signal)
    assert [code for code, verdict in verdicts_of(decision).items() if not verdict["passed"]] == [
        "DAILY_TRADES_EXCEEDED"
    ]


def test_a_decision_cannot_be_rewritten(follow, received):
    follow(received())

    with pytest.raises(DatabaseError, match="Cannot update or delete"), transaction.atomic():
        Decision.objects.update(outcome="DENIED")


def test_a_signal_is_decided_once(desk, received):
    signal = received()
    assert decide(desk, signal) is not None

    assert decide(desk, signal) is None

    assert Order.objects.count() == 1


# --- Size and price --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "advice", "quantity"),
    [
        ({"position_size": Decimal(1000)}, {}, 1),  # rounded up
        ({"position_size": Decimal("2813.99")}, {}, 1),  # at 1,407.00 each
        ({"position_size": Decimal("2814.00")}, {}, 2),
        ({"position_size": Decimal(10_000)}, {}, 7),
        ({"position_size": Decimal(10_000), "order_value_max": Decimal("4221.00")}, {}, 3),
        ({"position_size": Decimal(10_000), "order_quantity_max": 2}, {}, 2),
        ({"position_size": Decimal(10_000), "position_value_max": Decimal(7035)}, {}, 5),
        ({"position_size": Decimal(10_000)}, {"quantity": 3}, 3),
        ({"position_size": Decimal(10_000)}, {"quantity": 30}, 7),
    ],
)
def test_an_entry_is_sized_by_the_limits_and_advice_only_makes_it_smaller(follow, received, limits, advice, quantity):
    open_the_limits(**limits)

    assert follow(received(**advice)).quantity == quantity


@pytest.mark.parametrize(
    "limits", [{"round_up_to_one_lot": False}, {"order_value_max": Decimal("1406.99")}, {"position_size": Decimal(0)}]
)
def test_what_does_not_buy_one_lot_is_denied_by_name(refused, received, limits):
    open_the_limits(**limits)

    status, reason = refused(received())

    assert status == "DENIED"
    assert "SIZE_BELOW_ONE_LOT: one lot costs 1407.0" in reason


def test_a_limit_price_is_on_the_tick_and_inside_the_slippage(follow, received, paper):
    paper.set_price("NSE:RELIANCE", "1400.30")

    order = follow(received())

    assert order.price == Decimal("1407.30")  # 1,400.30 + 0.5 % is 1,407.3015: down to the tick of 0.10
    assert order.average_price == Decimal("1400.30")


@pytest.mark.parametrize(("advised", "sent"), [("1389.99", "1389.9"), ("1390.00", "1390.0")])
def test_an_advised_limit_is_taken_on_the_tick(follow, received, advised, sent):
    order = follow(received(order_type="LIMIT", price=advised))

    assert (order.price, order.status) == (Decimal(sent), "OPEN")


def test_an_advised_limit_past_the_collar_is_denied(refused, received):
    assert "PRICE_COLLAR_EXCEEDED" in refused(received(order_type="LIMIT", price="1442.10"))[1]  # 3 % is 1,442.00


def test_an_advised_price_without_the_type_is_only_advice(follow, received):
    assert follow(received(price="1390")).price == Decimal("1407.00")


def test_market_orders_as_the_deployments_choice_work_to_the_fill(desk, received, wired):
    by_market = wired(desk, rules=wired(desk.rules, entry_order_type="MARKET"))

    order = submit(by_market, decide(by_market, received()))
    reconcile(by_market)

    order.refresh_from_db()
    assert (order.order_type, order.price, order.status) == ("MARKET", None, "FILLED")
    assert order.decision.facts["proposed"]["quantity"] == 1
    assert verdicts_of(order.decision)["ORDER_VALUE_EXCEEDED"]["measured"] == "1442.00 INR"  # at the collar's end


# --- Out of time, unknown, unquoted ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("age", "status"), [(299, "APPROVED"), (301, "EXPIRED")])
def test_a_buy_is_good_for_five_minutes(follow, received, clock, age, status):
    signal = received(timestamp=(clock() - timedelta(seconds=age)).isoformat())

    follow(signal)

    assert signal.status == status


@pytest.mark.parametrize(("age", "status"), [(3599, "APPROVED"), (3601, "EXPIRED")])
def test_a_sell_that_closes_is_good_for_an_hour(follow, received, clock, age, status):
    follow(received(timestamp=(clock() - timedelta(hours=2)).isoformat(), symbol="INFY"))
    open_the_limits(signal_age_max_seconds=10_000)
    follow(received(timestamp=(clock() - timedelta(hours=2)).isoformat()))

    signal = received(signal_type="SELL", cms_score=-75, timestamp=(clock() - timedelta(seconds=age)).isoformat())
    follow(signal)

    assert signal.status == status


def test_an_expired_signal_says_how_old_it_is_and_what_may_be_wrong(refused, received, clock):
    five_and_a_half_hours_ago = clock() - timedelta(hours=5, minutes=30, seconds=2)

    status, reason = refused(received(timestamp=five_and_a_half_hours_ago.isoformat()))

    assert (status, reason) == ("EXPIRED", "SIGNAL_STALE: 5 h 30 min old: is the publisher on UTC?")


def test_a_signal_older_than_one_decided_already_is_expired(follow, refused, received, clock):
    follow(received(strategy="cms"))
    earlier = (clock() - timedelta(seconds=20)).isoformat()

    status, reason = refused(received(strategy="cms", timestamp=earlier))

    assert (status, reason) == ("EXPIRED", "SIGNAL_OUT_OF_ORDER: a newer signal for RELIANCE was decided already")


@pytest.mark.parametrize("other", [{"symbol": "INFY"}, {"strategy": "another"}])
def test_another_symbol_or_strategy_has_an_order_of_its_own(follow, received, clock, other):
    follow(received(strategy="cms"))
    earlier = (clock() - timedelta(seconds=20)).isoformat()

    assert follow(received(**{"strategy": "cms", "timestamp": earlier, **other})) is not None


def test_an_unknown_symbol_is_malformed_and_named(refused, received):
    signal = received(symbol="NOSUCHSHARE")

    assert refused(signal) == ("MALFORMED", "unknown symbol NSE:NOSUCHSHARE: the broker does not list it")
    assert not Incident.objects.exists()


@pytest.mark.parametrize("fault", ["error_503", "drop_before", "token"])
def test_without_a_price_a_buy_is_denied_and_a_sell_still_goes(follow, refused, received, held, paper, fault):
    held(3)

    paper.fault("quote", fault)
    assert "PRICE_MISSING: no last price of RELIANCE is known" in refused(received())[1]
    paper.fault("quote", fault)
    order = follow(received(signal_type="SELL", cms_score=-75))

    assert (order.quantity, order.order_type, order.status) == (3, "MARKET", "FILLED")


def test_a_price_that_took_too_long_is_stale(desk, received, wired, clock):
    class Slow:
        def __getattr__(self, name):
            return getattr(desk.gateway, name)

        def quotes(self, keys):
            quotes = desk.gateway.quotes(keys)
            clock.advance(seconds=10.5)
            return quotes

    signal = received()

    assert decide(wired(desk, gateway=Slow()), signal) is None

    signal.refresh_from_db()
    assert signal.reason.startswith("PRICE_STALE: the last price is 10.")


# --- Auto-trading and the ways out -----------------------------------------------------------------------------------


def auto_off(clock):
    switch.auto_trading_off("PAPER", by="priya", reason="test", now=clock())


def test_a_buy_while_auto_trading_is_off_is_ignored_and_never_acted_on_later(desk, refused, received, clock):
    auto_off(clock)
    signal = received()

    assert refused(signal) == ("IGNORED", "AUTO_TRADING_DISABLED: auto-trading is off")
    assert not Incident.objects.exists()
    switch_on(desk)

    assert decide(desk, signal) is None
    assert not Order.objects.exists()


def test_a_sell_of_what_is_held_while_auto_trading_is_off_opens_an_incident(refused, received, held, clock):
    held(3)
    auto_off(clock)

    status, _ = refused(received(signal_type="SELL", cms_score=-75))

    incident = Incident.objects.get()
    assert (status, incident.kind, incident.symbol) == ("IGNORED", "EXIT_NOT_TAKEN", "RELIANCE")
    assert incident.stops_opening is False


@pytest.mark.parametrize(
    ("changes", "hold"),
    [
        ({"signal_type": "SELL", "cms_score": -75}, 0),  # nothing to close
        ({"signal_type": "SELL", "cms_score": -60}, 3),  # too weak
        ({"signal_type": "BUY", "cms_score": 75}, 3),
    ],
)
def test_what_would_not_have_closed_anything_opens_none(refused, received, held, clock, changes, hold):
    if hold:
        held(hold)
    auto_off(clock)

    assert refused(received(**changes))[0] == "IGNORED"

    assert not Incident.objects.exists()


def test_a_sell_whose_broker_position_cannot_be_read_is_asked_again(follow, received, held, paper):
    held(3)
    paper.fault("positions", "error_503")
    signal = received(signal_type="SELL", cms_score=-75)

    assert follow(signal) is None
    assert signal.status == "RECEIVED"

    assert follow(signal).quantity == 3


def test_a_sell_that_could_not_be_asked_for_in_its_time_expires_as_an_incident(follow, received, held, paper, clock):
    held(3)
    signal = received(signal_type="SELL", cms_score=-75)
    clock.advance(seconds=3601)

    assert follow(signal) is None

    assert signal.status == "EXPIRED"
    assert Incident.objects.get().kind == "EXIT_NOT_TAKEN"


def test_a_sell_is_limited_by_what_the_broker_holds(follow, received, held, paper):
    held(3)
    place_elsewhere(paper, transaction_type="SELL", quantity=2, price=1395.0)

    order = follow(received(signal_type="SELL", cms_score=-75))

    assert order.quantity == 1


def test_a_sell_is_limited_by_what_is_ours(follow, received, held, paper):
    held(3)
    place_elsewhere(paper, quantity=2)

    order = follow(received(signal_type="SELL", cms_score=-75))

    assert (order.quantity, Position.objects.get().quantity) == (3, 0)


def test_a_sell_does_not_sell_what_is_being_sold(desk, refused, received, held, wish):
    held(3)
    place(desk, wish(side=Side.SELL, quantity=2, limit_price=Decimal("1410.00")))  # above the market: it rests
    reconcile(desk)

    order = decide(desk, received(signal_type="SELL", cms_score=-75))

    assert order.quantity == 1
    assert refused(received(signal_type="SELL", cms_score=-75))[1].startswith("NOTHING_TO_SELL")


def test_our_own_buy_is_cancelled_first_and_the_sell_decided_when_the_book_shows_its_end(
    desk, follow, received, held, resting, paper
):
    held(3)
    buy = resting(quantity=2)
    signal = received(signal_type="SELL", cms_score=-75)

    assert decide(desk, signal) is None
    signal.refresh_from_db()
    assert signal.status == "RECEIVED"
    buy.refresh_from_db()
    assert (buy.status, buy.cancel_requested_by) == ("OPEN", "executor")
    assert paper.journal()[-1]["event"] == "cancelled"
    assert decide(desk, signal) is None  # our book does not show it yet

    reconcile(desk)
    order = follow(signal)

    buy.refresh_from_db()
    assert (buy.status, order.quantity, order.status) == ("CANCELLED", 3, "FILLED")


def test_a_buy_that_filled_before_its_cancel_is_sold_with_the_rest(desk, follow, received, held, resting, paper):
    held(3)
    resting(quantity=2)
    signal = received(signal_type="SELL", cms_score=-75)
    paper.set_price("NSE:RELIANCE", "1390.00")

    assert decide(desk, signal) is None
    reconcile(desk)

    assert follow(signal).quantity == 5


def test_a_sell_with_nothing_held_yet_still_cancels_the_buy_that_would_open_it(desk, refused, received, resting):
    buy = resting(quantity=2)
    signal = received(signal_type="SELL", cms_score=-75)

    assert decide(desk, signal) is None
    reconcile(desk)

    buy.refresh_from_db()
    assert buy.status == "CANCELLED"
    assert refused(signal)[1].startswith("NOTHING_TO_SELL")


@pytest.mark.parametrize("changes", [{"cms_score": -60}, {"timestamp": "2026-01-01T00:00:00"}])
def test_a_weak_or_old_sell_cancels_nothing(desk, received, resting, paper, changes):
    resting()

    decide(desk, received(**{"signal_type": "SELL", "cms_score": -75, **changes}))

    assert [row["event"] for row in paper.journal()] == ["accepted"]


def test_while_halted_a_signal_is_denied_and_sends_nothing(refused, received, held, clock, paper):
    held(3)
    switch.halt("PAPER", by="priya", reason="test", now=clock())

    assert refused(received()) == ("DENIED", "TRADING_HALTED: trading is halted")
    assert refused(received(signal_type="SELL", cms_score=-75))[0] == "DENIED"
    assert Incident.objects.get().kind == "EXIT_NOT_TAKEN"
    assert len(paper.accepted()) == 1


def test_while_only_closing_orders_may_go_a_sell_closes_and_a_buy_is_denied(follow, refused, received, held, clock):
    held(3)
    switch.reduce_only("PAPER", by="priya", reason="test", now=clock())

    assert refused(received())[1] == "TRADING_REDUCE_ONLY: only closing orders may go"
    assert follow(received(signal_type="SELL", cms_score=-75)).status == "FILLED"


@pytest.mark.parametrize(("value", "status"), [(Decimal("1407.00"), "APPROVED"), (Decimal("1406.99"), "DENIED")])
def test_a_position_may_be_worth_its_limit_and_not_more(follow, received, value, status):
    open_the_limits(position_value_max=value)
    signal = received()

    follow(signal)

    assert signal.status == status


def test_a_resting_buy_takes_its_room_as_if_it_had_filled(refused, received, resting):
    resting(quantity=2)
    open_the_limits(position_value_max=Decimal("4220.99"))  # three shares at 1,407.00 are 4,221.00

    assert "POSITION_VALUE_EXCEEDED" in refused(received())[1]


@pytest.mark.parametrize(("score", "status"), [(60.01, "APPROVED"), (60, "IGNORED"), (100, "APPROVED")])
def test_a_score_must_be_past_its_threshold(follow, received, score, status):
    signal = received(cms_score=score)

    follow(signal)

    assert signal.status == status
