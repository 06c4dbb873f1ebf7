"""The programmatic face: the original names, the same risk desk."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from orders.by_hand import MarkRefused
from orders.desk import Desk
from orders.execution import cancel
from orders.executor import OrderExecutor, RiskManagementError, TradingSignalType
from orders.models import ExecutorHeartbeat, Fill, Order, Position
from orders.reconciliation import reconcile
from risk import control as switch
from risk.engine.facts import Side
from risk.models import RiskSettings, TradingControl
from tests.conftest import open_the_limits

from .paper.paper_process import until
from .together import Together

BUY, SELL, HOLD = TradingSignalType.BUY, TradingSignalType.SELL, TradingSignalType.HOLD


@pytest.fixture
def executor(desk):
    return OrderExecutor(desk)


def refused(executor, *arguments) -> str:
    with pytest.raises(RiskManagementError) as refusal:
        executor.validate_signal(*arguments)
    return refusal.value.control


@pytest.mark.parametrize(("kind", "score"), [(BUY, 60.01), (BUY, 100), (SELL, -60.01), (BUY, Decimal("75.0"))])
def test_a_strong_signal_is_valid(executor, kind, score):
    assert executor.validate_signal(kind, score) is True


@pytest.mark.parametrize(
    ("kind", "score", "control"),
    [
        (BUY, 60.0, "CMS_SCORE_TOO_WEAK"),
        (BUY, -75, "CMS_SCORE_TOO_WEAK"),
        (SELL, -60.0, "CMS_SCORE_TOO_WEAK"),
        (SELL, 75, "CMS_SCORE_TOO_WEAK"),
        (HOLD, 75, "HOLD_SIGNAL"),
        (BUY, 100.1, "SIGNAL"),
        (BUY, float("nan"), "SIGNAL"),
        (BUY, float("inf"), "SIGNAL"),
    ],
)
def test_a_weak_or_senseless_one_is_refused_by_the_name_of_the_control(executor, kind, score, control):
    assert refused(executor, kind, score) == control


def test_the_state_of_trading_is_asked(executor, clock):
    switch.auto_trading_off("PAPER", by="priya", reason="test", now=clock())
    assert refused(executor, BUY, 75) == "AUTO_TRADING_DISABLED"
    switch.reduce_only("PAPER", by="priya", reason="test", now=clock())
    assert refused(executor, BUY, 75) in ("TRADING_REDUCE_ONLY", "AUTO_TRADING_DISABLED")
    switch.halt("PAPER", by="priya", reason="test", now=clock())
    assert refused(executor, BUY, 75) == "TRADING_HALTED"


def test_the_text_of_a_refusal_and_its_control_say_the_same(executor, clock):
    switch.auto_trading_off("PAPER", by="priya", reason="test", now=clock())
    switch.halt("PAPER", by="priya", reason="test", now=clock())

    with pytest.raises(RiskManagementError) as refusal:
        executor.validate_signal(BUY, 75)

    assert refusal.value.control in str(refusal.value)


def test_a_sale_is_valid_while_only_closing_orders_may_go(executor, held, clock):
    held(1)
    switch.reduce_only("PAPER", by="priya", reason="test", now=clock())

    assert executor.validate_signal(SELL, -75) is True


def test_the_trades_left_are_asked(executor, desk):
    open_the_limits(daily_trades_max=1)
    assert executor.validate_signal(BUY, 75)
    executor.execute_order(BUY, "RELIANCE")

    assert refused(executor, BUY, 75) == "DAILY_TRADES_EXCEEDED"


def test_an_order_is_placed_and_followed_to_its_fill(executor, paper):
    order = executor.execute_order(BUY, "RELIANCE", {"cms_score": 75.0})
    assert (order.status, order.origin, order.quantity, order.price) == ("OPEN", "MANUAL", 1, Decimal("1407.00"))

    assert executor.check_order_status(order) == "FILLED"

    assert order.filled_quantity == 1
    assert Position.objects.get().quantity == 1


def test_a_symbol_may_name_its_exchange_in_any_case(executor):
    assert executor.execute_order("BUY", "nse:reliance").symbol == "RELIANCE"


def test_a_sale_without_a_quantity_sells_the_whole_position(executor, held):
    held(3)

    order = executor.execute_order(SELL, "RELIANCE")

    assert (order.side, order.quantity) == ("SELL", 3)
    assert executor.check_order_status(order) == "FILLED"


def test_what_is_said_is_what_is_sent(executor):
    order = executor.execute_order(BUY, "RELIANCE", {"quantity": 2, "price": 1390.1, "by": "notebook"})

    assert (order.quantity, order.price, order.order_type) == (2, Decimal("1390.1"), "LIMIT")
    assert order.created_by == "notebook"


def test_the_same_token_never_makes_a_second_order(executor, paper):
    first = executor.execute_order(BUY, "RELIANCE", {"token": "run-7"})

    assert executor.execute_order(BUY, "RELIANCE", {"token": "run-7"}) == first
    assert executor.execute_order(BUY, "RELIANCE", {"token": "run-8"}) != first
    assert len(paper.accepted()) == 2


@pytest.mark.parametrize(
    ("kind", "symbol", "fields", "control"),
    [
        (HOLD, "RELIANCE", {}, "HOLD_SIGNAL"),
        (BUY, "NOSUCHSHARE", {}, "UNKNOWN_INSTRUMENT"),
        (BUY, "BSE:RELIANCE", {}, "UNKNOWN_INSTRUMENT"),
        (BUY, "RELIANCE", {"cms_score": 60}, "CMS_SCORE_TOO_WEAK"),
        (SELL, "RELIANCE", {"cms_score": -60}, "CMS_SCORE_TOO_WEAK"),
        (BUY, "RELIANCE", {"quantity": 4}, "ORDER_VALUE_EXCEEDED"),
        (BUY, "RELIANCE", {"quantity": 1, "price": 1500}, "PRICE_COLLAR_EXCEEDED"),
        (BUY, "RELIANCE", {"quantity": 1, "price": 1390.05}, "PRICE_NOT_ON_TICK"),
        (SELL, "RELIANCE", {"quantity": 1}, "SHORT_NOT_ALLOWED"),
        (BUY, "RELIANCE", {"quantity": -1}, "ORDER_TERMS"),
        (BUY, "RELIANCE", {"cms_score": float("nan")}, "SIGNAL"),
        (BUY, "RELIANCE", {"cms_score": 1000}, "SIGNAL"),
    ],
)
def test_a_refusal_names_its_control_and_sends_nothing(executor, paper, kind, symbol, fields, control):
    with pytest.raises(RiskManagementError) as refusal:
        executor.execute_order(kind, symbol, fields)

    assert refusal.value.control == control
    assert paper.journal() == []


def test_an_order_by_script_is_refused_when_trading_is_halted(executor, paper, clock):
    switch.halt("PAPER", by="priya", reason="test", now=clock())

    with pytest.raises(RiskManagementError) as refusal:
        executor.execute_order(BUY, "RELIANCE")

    assert refusal.value.control == "TRADING_HALTED"
    assert paper.journal() == []


def test_an_order_whose_outcome_is_unknown_comes_back_in_doubt(executor, paper):
    paper.fault("place", "drop_after")

    order = executor.execute_order(BUY, "RELIANCE")

    assert order.status == "IN_DOUBT"
    assert executor.check_order_status(order) == "FILLED"


def test_an_order_is_modified_and_has_its_terms_when_the_book_shows_them(executor, resting):
    order = resting(quantity=3)

    modification = executor.modify_order(order, quantity=2, price=1391.5, reason="fewer, nearer", by="nightly")
    executor.check_order_status(order)

    assert (order.quantity, order.price) == (2, Decimal("1391.5"))
    assert (modification.asked_by, modification.reason) == ("nightly", "fewer, nearer")


def test_a_modification_that_a_control_refuses_names_it(executor, resting):
    order = resting()

    with pytest.raises(RiskManagementError) as refusal:
        executor.modify_order(order, price=1500, reason="to the moon")

    assert refusal.value.control == "PRICE_COLLAR_EXCEEDED"


def test_a_fill_is_recorded_by_hand(executor, desk, resting):
    order = resting(quantity=10)
    with pytest.raises(MarkRefused, match="the broker shows it as OPEN"):
        executor.handle_fill(order, quantity=4, price=1390.1)
    cancel(desk, order, by="priya", reason="test")
    reconcile(desk)

    executor.handle_fill(order, quantity=4, price=1390.1, by="notebook", reason="contract note")

    fill = Fill.objects.get()
    assert (fill.quantity, fill.price, fill.recorded_by) == (4, Decimal("1390.1"), "notebook")
    assert order.filled_quantity == 4


@pytest.mark.parametrize(
    ("limits", "name"),
    [
        ({"position_size": 1000.01}, "position_size"),
        ({"max_position_size": Decimal("10000.01")}, "position_value_max"),
        ({"max_daily_trades": 11}, "daily_trades_max"),
    ],
)
def test_a_looser_limit_is_refused_and_says_how_to_allow_it(desk, limits, name):
    with pytest.raises(ValueError, match=f"{name} .* raise it on the Risk settings page first"):
        OrderExecutor(desk, **limits)


def test_the_stored_limits_themselves_may_be_asked_for(desk):
    OrderExecutor(desk, position_size=1000, max_position_size=10_000, max_daily_trades=10, enable_auto_trading=True)


def test_auto_trading_cannot_be_turned_on_from_here(desk, clock):
    switch.auto_trading_off("PAPER", by="priya", reason="test", now=clock())

    with pytest.raises(ValueError, match="auto-trading is off: turn it on at the Trading control page"):
        OrderExecutor(desk, enable_auto_trading=True)


def test_a_tighter_number_of_trades_holds_here_and_only_here(desk):
    tight = OrderExecutor(desk, max_daily_trades=1)
    tight.execute_order(BUY, "RELIANCE")

    with pytest.raises(RiskManagementError, match="DAILY_TRADES_EXCEEDED: 1 trades today, the limit is 1"):
        tight.execute_order(BUY, "RELIANCE")
    assert OrderExecutor(desk).execute_order(BUY, "RELIANCE").status == "OPEN"


def test_a_tighter_position_holds(desk):
    tight = OrderExecutor(desk, max_position_size=1407)

    tight.execute_order(BUY, "RELIANCE")
    with pytest.raises(RiskManagementError, match="POSITION_VALUE_EXCEEDED"):
        tight.execute_order(BUY, "RELIANCE")


def test_a_tighter_position_size_buys_less(desk):
    open_the_limits(position_size=Decimal(10_000))

    assert OrderExecutor(desk).execute_order(BUY, "RELIANCE").quantity == 7
    assert OrderExecutor(desk, position_size=5000).execute_order(BUY, "RELIANCE").quantity == 3


def test_a_limit_that_is_lowered_later_holds_although_the_executor_was_made_before(desk):
    executor = OrderExecutor(desk, max_daily_trades=10)
    RiskSettings.objects.update(daily_trades_max=0)

    with pytest.raises(RiskManagementError, match="DAILY_TRADES_EXCEEDED"):
        executor.execute_order(BUY, "RELIANCE")


def test_a_refusal_says_of_its_control_what_the_catalogue_says(executor):
    RiskSettings.objects.update(daily_trades_max=0)

    with pytest.raises(RiskManagementError) as refusal:
        executor.execute_order(BUY, "RELIANCE")

    assert refusal.value.control == "DAILY_TRADES_EXCEEDED"
    assert (refusal.value.title, refusal.value.sentence) == (
        "Trades of the day",
        "Nothing is opened once this many orders were made on a Mumbai date.",
    )


def test_auto_trading_held_back_here_ignores_signals_here(desk):
    assert refused(OrderExecutor(desk, enable_auto_trading=False), BUY, 75) == "AUTO_TRADING_DISABLED"


def test_a_gateway_may_be_passed_in(desk):
    class NoPrice:
        def __getattr__(self, name):
            return getattr(desk.gateway, name)

        def quotes(self, keys):
            return {}

    with pytest.raises(RiskManagementError) as refusal:
        OrderExecutor(desk, kite_client=NoPrice()).execute_order(BUY, "RELIANCE", {"quantity": 1})

    assert "PRICE_MISSING" in str(refusal.value)


def test_another_gateway_does_not_hear_the_stream_of_the_settings(desk):
    assert Desk.from_settings().stream is not None

    assert OrderExecutor(Desk.from_settings(), kite_client=desk.gateway).desk.stream is None
    assert OrderExecutor(Desk.from_settings()).desk.stream is not None


def test_the_executor_of_the_settings_trades_on_paper(desk):
    assert OrderExecutor.from_settings(max_daily_trades=5).execute_order(BUY, "RELIANCE").status == "OPEN"


@pytest.mark.django_db(transaction=True)
def test_it_listens_until_it_is_stopped(desk):
    executor = OrderExecutor(desk)
    executor.start()
    listening = Together(lambda: asyncio.run(executor.listen()))
    until(lambda: ExecutorHeartbeat.objects.exists() and Order.objects.count() == 0, seconds=10)

    executor.stop()

    assert listening.join() == [None]


def test_sides_and_signal_types_are_the_same_words():
    assert (Side.BUY, Side.SELL) == (BUY, SELL)


def test_a_script_stops_and_gets_out_by_the_same_code(desk, held, resting):
    held(2)
    resting()
    executor = OrderExecutor(desk)

    entries = executor.reduce_only(reason="big news")
    wish = executor.flatten(reason="out", token="once")
    again = executor.flatten(reason="out", token="once")
    halted = executor.halt(reason="enough")

    assert [order.side for order in entries] == ["BUY"]
    assert (wish, wish.asked_by, wish.positions.get().quantity) == (again, "script", 2)
    assert TradingControl.objects.get(mode="PAPER").state == "HALTED"
    assert all(order.cancel_requested_at for order in halted)
