"""Two that decide at the same moment, a decision beside a fill, a decision beside a change of the limits."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.utils import timezone

from orders.deciding import OrderDenied, decide_manual
from orders.execution import submit
from orders.models import Decision, Order, Position
from orders.reconciliation import reconcile
from risk import limit_versions
from risk.engine.facts import OrderType
from risk.models import InstrumentLimit, RiskSettings
from tests.conftest import open_the_limits

from .test_further_controls import Broker
from .together import Together, held_up

pytestmark = pytest.mark.django_db(transaction=True)
D = Decimal


def infy(wish):
    return wish(symbol="INFY", limit_price=D("1505.00"))


def at_once(desk, *wishes):
    """Let all of them be decided at the same moment: none may write its decision before every one has got so far."""
    with held_up("orders_decision") as wait_for:
        deciders = Together(*[lambda wish=wish: decide_manual(desk, wish) for wish in wishes])
        wait_for(len(wishes))
    return deciders.join()


# RELIANCE at 1,405.00 and INFY at 1,505.00 are 2,910.00 INR, 2,914.365 with charges.
@pytest.mark.parametrize(
    ("enough", "lacking", "code"),
    [
        ({"gross_exposure_max": D("2910.00")}, {"gross_exposure_max": D("2909.99")}, "GROSS_EXPOSURE_EXCEEDED"),
        ({"positions_max": 2}, {"positions_max": 1}, "MAX_POSITIONS_EXCEEDED"),
        ({"open_orders_max": 2}, {"open_orders_max": 1}, "OPEN_ORDERS_EXCEEDED"),
        ({"daily_trades_max": 2}, {"daily_trades_max": 1}, "DAILY_TRADES_EXCEEDED"),
    ],
    ids=["gross exposure", "positions", "open orders", "trades"],
)
def test_two_orders_get_what_there_is_room_for_and_not_more(desk, wish, enough, lacking, code):
    open_the_limits(**lacking)
    ends = at_once(desk, wish(), infy(wish))
    assert sorted(type(end) for end in ends if isinstance(end, Exception)) == [OrderDenied]
    (denied,) = Decision.objects.filter(outcome="DENIED")
    assert denied.reason.startswith(code)
    Order.objects.get().advance("WITHDRAWN", at=timezone.now(), note="test")

    open_the_limits(**enough)
    ends = at_once(desk, wish(), infy(wish))
    assert [type(end) for end in ends] == [Order, Order]


@pytest.mark.parametrize(("available", "approved"), [("2972.96", 2), ("2972.95", 1)])
def test_two_orders_do_not_spend_the_same_money(desk, wish, wired, available, approved):
    open_the_limits()
    poor = wired(desk, gateway=Broker(desk.gateway, available_funds=D(available)))  # 98 % are 2,913.50, or .49

    ends = at_once(poor, wish(), infy(wish))

    assert sum(isinstance(end, Order) for end in ends) == Order.objects.count() == approved


@pytest.mark.parametrize(
    ("limits", "code"),
    [({"duplicate_window_seconds": 60}, "DUPLICATE_ORDER"), ({"symbol_open_orders_max": 1}, "OPEN_ORDERS_EXCEEDED")],
)
def test_of_two_like_orders_at_the_same_moment_one_is_made(desk, wish, limits, code):
    open_the_limits(**limits)

    at_once(desk, wish(), wish())

    assert Order.objects.count() == 1
    assert Decision.objects.get(outcome="DENIED").reason.startswith(code)


# --- Beside a fill ---------------------------------------------------------------------------------------------------


@pytest.fixture
def about_to_fill(desk, resting, paper):
    """An order for 3 INFY that rests in our book and is filled at the broker."""
    resting(symbol="INFY", quantity=3)
    paper.set_price("NSE:INFY", "1390.00")


def infy_in(order):
    (other,) = order.decision.facts["portfolio"]["others"]
    return other["own"], other.get("working_buys", 0)


def test_a_decision_before_a_fill_counts_the_order_and_not_the_shares(desk, wish, about_to_fill):
    with held_up("orders_decision") as wait_for:
        deciding = Together(lambda: decide_manual(desk, wish()))
        wait_for(1)
        filling = Together(lambda: reconcile(desk))
        wait_for(2)
    (order,) = deciding.join()
    filling.join()

    assert infy_in(order) == (0, 3)
    assert Position.objects.get(symbol="INFY").quantity == 3


def test_a_decision_after_a_fill_counts_the_shares_and_not_the_order(desk, wish, about_to_fill):
    with held_up("orders_fill") as wait_for:
        filling = Together(lambda: reconcile(desk))
        wait_for(1)
        deciding = Together(lambda: decide_manual(desk, wish()))
        wait_for(2)
    filling.join()
    (order,) = deciding.join()

    assert infy_in(order) == (3, 0)


# --- Beside a change of the limits -----------------------------------------------------------------------------------


def tighten():
    edited = limit_versions.in_force(now=timezone.now())
    edited.order_value_max = D("1000.00")
    limit_versions.save(edited, ["order_value_max"], by="rita", reason="calm down", now=timezone.now())


def block():
    row = InstrumentLimit(exchange="NSE", symbol="RELIANCE", blocked=True)
    limit_versions.save_instrument(row, by="rita", reason="results tonight", now=timezone.now())


each_change = pytest.mark.parametrize(
    ("change", "code"), [(tighten, "ORDER_VALUE_EXCEEDED"), (block, "INSTRUMENT_BLOCKED")], ids=["all", "one symbol"]
)


@each_change
def test_an_order_decided_before_the_limits_changed_is_not_sent(desk, wish, change, code):
    before = RiskSettings.objects.get().version
    with held_up("orders_decision") as wait_for:
        deciding = Together(lambda: decide_manual(desk, wish()))
        wait_for(1)
        changing = Together(change)
        wait_for(2)
    (order,) = deciding.join()
    assert changing.join() in ([None], [InstrumentLimit.objects.first()])

    submit(desk, order)

    assert order.decision.limits_version == before
    assert (order.status, order.status_reason) == ("WITHDRAWN", "the limits changed after the decision")


@each_change
def test_an_order_decided_while_the_limits_change_is_held_against_the_new_ones(desk, wish, change, code):
    before = RiskSettings.objects.get().version
    with held_up("risk_risksettingsversion") as wait_for:
        changing = Together(change)
        wait_for(1)
        deciding = Together(lambda: decide_manual(desk, wish()))
        wait_for(2)
    changing.join()
    (denial,) = deciding.join()

    assert denial.decision.reason.startswith(code)
    assert denial.decision.limits_version == before + 1


def test_a_market_order_beside_a_limit_order_spends_its_worst_price(desk, wish, wired):
    open_the_limits()
    both = (D("1405.00") + D("1500.00") * D("1.03")) * D("1.0012") / D("0.98")
    market = wish(symbol="INFY", order_type=OrderType.MARKET, limit_price=None)
    lacking = wired(desk, gateway=Broker(desk.gateway, available_funds=both - D("0.01")))

    at_once(lacking, market, wish())

    assert Order.objects.count() == 1
