"""What others hold and trade on the account, counted in exposure and in the day's loss where the settings say so."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from orders import by_hand, external
from orders.by_hand import NothingToExit, exit_position
from orders.day import day_of_account
from orders.deciding import OrderDenied, decide_manual
from orders.external import InAll
from orders.losses import watch_limits
from orders.models import BrokerSession, Order, Position
from orders.reconciliation import reconcile
from risk import limit_versions
from risk.engine.facts import Side
from risk.models import Incident, RiskSettings, TradingControl
from tests.conftest import open_the_limits

from .stand_ins import BookGateway
from .test_reconciliation import place_elsewhere

D = Decimal


@pytest.fixture(autouse=True)
def included(desk):
    open_the_limits(include_external=True, charges_percent=D(0), daily_loss_max=D(100_000))


def elsewhere(paper, desk, **changes):
    """Let somebody trade in the broker's own app, 2 RELIANCE at 1,400.00 unless changed, and read the book."""
    broker_order_id = place_elsewhere(paper, **changes)
    reconcile(desk)
    return broker_order_id


def refusals(desk, wish):
    with pytest.raises(OrderDenied) as denial:
        decide_manual(desk, wish)
    return [each["control"] for each in denial.value.decision.verdicts if not each["passed"]]


def loss(desk):
    return day_of_account(desk, charges_percent=D(0), now=desk.clock(), include_external=True).loss


# --- Exposure --------------------------------------------------------------------------------------------------------


# 5 external shares and one at 1,405.00 of ours are 8,430.00 INR in one symbol, or in all.
@pytest.mark.parametrize(
    ("limit", "code"),
    [("position_value_max", "POSITION_VALUE_EXCEEDED"), ("gross_exposure_max", "GROSS_EXPOSURE_EXCEEDED")],
)
def test_external_shares_take_their_room_at_the_limit_and_just_past_it(desk, paper, wish, limit, code):
    elsewhere(paper, desk, quantity=5)
    RiskSettings.objects.update(**{limit: D("8429.99")})
    assert refusals(desk, wish()) == [code]

    RiskSettings.objects.update(**{limit: D("8430.00")})
    assert decide_manual(desk, wish())


def test_off_they_take_none(desk, paper, wish):
    RiskSettings.objects.update(include_external=False, position_value_max=D(1405), gross_exposure_max=D(1405))
    elsewhere(paper, desk, quantity=5)

    assert decide_manual(desk, wish())
    assert not Position.objects.exists()


def test_a_symbol_that_only_others_hold_is_an_open_position(desk, paper, wish):
    elsewhere(paper, desk, tradingsymbol="INFY", price=1505.0)
    RiskSettings.objects.update(positions_max=1)
    assert refusals(desk, wish()) == ["MAX_POSITIONS_EXCEEDED"]

    elsewhere(paper, desk, tradingsymbol="INFY", transaction_type="SELL", price=1495.0)

    assert decide_manual(desk, wish())


@pytest.mark.parametrize("symbol", ["RELIANCE", "INFY"], ids=["in the symbol", "in another"])
def test_what_others_are_buying_counts_as_filled_until_it_ends(desk, paper, wish, symbol):
    RiskSettings.objects.update(gross_exposure_max=D(4184))  # 2 at 1,390.00 in INFY and one at 1,405.00 are 4,185.00
    resting = elsewhere(paper, desk, tradingsymbol=symbol, price=1390.0)
    assert refusals(desk, wish()) == ["GROSS_EXPOSURE_EXCEEDED"]

    paper.kite().cancel_order("regular", resting)
    reconcile(desk)

    assert decide_manual(desk, wish())


def test_a_signal_s_entry_is_clipped_to_the_room_that_they_leave(desk, paper, received, follow):
    elsewhere(paper, desk, quantity=5)
    RiskSettings.objects.update(position_size=D(5000), position_value_max=D(10_000))

    assert follow(received()).quantity == 2  # 7 at 1,407.00 are 9,849.00


def test_what_may_be_closed_stays_ours(desk, paper, wish, held, received, follow):
    position = held(2)
    open_the_limits(include_external=True)
    elsewhere(paper, desk, quantity=5)
    reconcile(desk)

    assert "SHORT_NOT_ALLOWED" in refusals(desk, wish(side=Side.SELL, quantity=3, limit_price=D("1395.00")))
    assert exit_position(desk, position, token="out", by="priya").quantity == 2
    reconcile(desk)
    with pytest.raises(NothingToExit):
        exit_position(desk, position, token="again", by="priya")
    signal = received(signal_type="SELL", cms_score=-75.0)
    assert follow(signal) is None
    assert "NOTHING_TO_SELL" in signal.reason


def test_past_a_limit_by_what_others_hold_only_closing_goes_on(desk, paper):
    elsewhere(paper, desk, quantity=5)
    RiskSettings.objects.update(position_value_max=D(7000))
    watch_limits(desk)
    assert TradingControl.objects.get(mode="PAPER").state == "ACTIVE"

    paper.set_price("NSE:RELIANCE", "1400.05")
    reconcile(desk)
    watch_limits(desk)

    assert TradingControl.objects.get(mode="PAPER").state == "REDUCE_ONLY"


def test_between_a_fill_and_the_next_reading_it_counts_whether_the_broker_s_number_holds_it_or_not(desk, held):
    held(3)
    open_the_limits(include_external=True)
    key = ("NSE", "RELIANCE")
    assert external.whole_account("PAPER")[key].external == 0

    # The book was read again, and its positions are not noted yet.
    Position.objects.update(broker_quantity=5, broker_as_of=desk.clock() - timedelta(minutes=1))
    line = external.whole_account("PAPER")[key]

    assert (line.own, line.shares, line.external) == (3, 8, 5)


@pytest.mark.parametrize(
    ("own", "broker", "since", "beyond"),
    [
        (0, 0, 0, 0),
        (3, 3, 0, 0),
        (3, 8, 0, 5),
        (3, 3, 3, 3),
        (3, 1, 0, -2),
        (0, -5, 0, -5),
        (3, 8, -3, 5),
        (3, None, 0, 0),
    ],
)
def test_what_is_external_is_the_broker_s_number_beyond_ours_at_worst(own, broker, since, beyond):
    assert InAll(own=own, broker=broker, filled_since=since).external == beyond


def test_a_short_of_others_is_no_difference_of_ours(desk, wired):
    short = wired(desk, gateway=BookGateway(holds={("NSE", "INFY"): -5}))
    for _ in range(3):
        reconcile(short)

    assert Position.objects.get().broker_quantity == -5
    assert not Incident.objects.exists()


@pytest.mark.parametrize("key", [("NSE", "X" * 41), ("N" * 11, "INFY"), ("NSE", ""), ("NSE", "IN\x00FY")])
def test_a_position_that_no_row_can_hold_is_told_of_and_keeps_nothing_else_from_being_noted(desk, wired, key):
    reconcile(wired(desk, gateway=BookGateway(holds={key: 5, ("NSE", "INFY"): 1})))

    assert Position.objects.get().symbol == "INFY"
    assert Incident.objects.get(kind="UNREADABLE_ROW").stops_opening


# --- Not known -------------------------------------------------------------------------------------------------------


def test_from_the_switch_to_the_next_reading_nothing_is_opened(desk, wish, clock):
    RiskSettings.objects.update(include_external=False)
    edited = limit_versions.in_force(now=clock())
    edited.include_external = True
    limit_versions.save(edited, ["include_external"], by="rita", reason="all of it", now=clock())
    assert {"POSITION_VALUE_EXCEEDED", "GROSS_EXPOSURE_EXCEEDED", "DAILY_LOSS_EXCEEDED"} <= set(refusals(desk, wish()))

    reconcile(desk)

    assert decide_manual(desk, wish())


def test_without_a_reading_at_all_it_is_not_known(desk):
    BrokerSession.objects.update(reconciled_at=None)

    assert not external.is_known(desk)
    assert loss(desk) is None


def test_external_shares_without_a_price_are_worth_nobody_knows_what(desk, paper, wish):
    elsewhere(paper, desk, tradingsymbol="INFY", price=1505.0)
    reconcile(desk)
    Position.objects.update(last_price=None)

    assert {"GROSS_EXPOSURE_EXCEEDED", "DAILY_LOSS_EXCEEDED"} <= set(refusals(desk, wish()))


# --- The day's loss --------------------------------------------------------------------------------------------------


def test_what_others_bought_today_loses_from_its_price_on(desk, paper):
    elsewhere(paper, desk, quantity=10)
    assert loss(desk) == 0
    RiskSettings.objects.update(daily_loss_max=D(1000))

    paper.set_price("NSE:RELIANCE", "1300.10")
    reconcile(desk)
    watch_limits(desk)
    assert (loss(desk), TradingControl.objects.get(mode="PAPER").state) == (D(999), "ACTIVE")

    paper.set_price("NSE:RELIANCE", "1300.00")
    reconcile(desk)
    watch_limits(desk)
    assert (loss(desk), TradingControl.objects.get(mode="PAPER").state) == (D(1000), "REDUCE_ONLY")


def test_what_others_sold_again_keeps_its_loss_and_ours_is_added(desk, paper, wish):
    elsewhere(paper, desk, quantity=10)
    paper.set_price("NSE:RELIANCE", "1390.00")
    elsewhere(paper, desk, quantity=10, transaction_type="SELL", price=1385.0)
    by_hand.place(desk, wish(quantity=2))
    reconcile(desk)
    reconcile(desk)
    paper.set_price("NSE:RELIANCE", "1389.00")
    reconcile(desk)

    assert loss(desk) == D(102)
    assert day_of_account(desk, charges_percent=D(0), now=desk.clock()).loss == D(2)


@pytest.mark.parametrize(("close", "lost"), [("1390.00", D(100)), (None, None)], ids=["known", "unknown"])
def test_external_shares_of_yesterday_count_from_the_close_before(desk, close, lost):
    Position.objects.create(
        mode="PAPER",
        exchange="NSE",
        symbol="INFY",
        product="CNC",
        broker_quantity=10,
        broker_as_of=desk.clock(),
        last_price=D("1380.00"),
        close_price=close and D(close),
        updated_at=desk.clock(),
    )

    assert loss(desk) == lost


def test_a_trade_of_others_whose_position_nobody_told_is_not_taken_for_nothing(desk, paper):
    elsewhere(paper, desk)
    Position.objects.all().delete()

    assert loss(desk) is None


def test_off_the_loss_of_others_is_theirs(desk, paper, wired):
    RiskSettings.objects.update(include_external=False, daily_loss_max=D(1))
    elsewhere(paper, desk, quantity=10)
    paper.set_price("NSE:RELIANCE", "1300.00")
    reconcile(desk)

    watch_limits(desk)

    assert TradingControl.objects.get(mode="PAPER").state == "ACTIVE"
    assert Order.objects.get().origin == "EXTERNAL"
