"""The controls that look at the whole book, gathered from the ledger and the broker: what a decision sees of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from orders import by_hand
from orders.broker.asked import AskedFunds
from orders.broker.gateway import BrokerUnreachable, MarketQuote, OrderRefused
from orders.deciding import OrderDenied, decide, decide_manual
from orders.execution import cancel, submit
from orders.models import Decision, Instrument, Order, Position
from orders.observed import NOTHING_OBSERVED, observe
from orders.portfolio import snapshot
from orders.reconciliation import carry_out_cancels, reconcile
from risk import control as switch
from risk import limit_versions
from risk.engine.facts import OrderType, Side
from risk.models import Incident, InstrumentLimit, RiskSettings, TradingControl

from .stand_ins import BookGateway, report_of

pytestmark = pytest.mark.usefixtures("noon")

D = Decimal


class Broker:
    """The desk's gateway with some of its answers replaced: a value, or an error to raise."""

    def __init__(self, gateway: Any, **answers: Any) -> None:
        self._gateway, self._answers = gateway, answers

    def __getattr__(self, name: str) -> Any:
        if name not in self._answers:
            return getattr(self._gateway, name)
        answer = self._answers[name]

        def call(*_: Any, **__: Any) -> Any:
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call


def limits(**values: Any) -> None:
    RiskSettings.objects.filter(pk=1).update(**values)


def refused(desk, wish) -> str:
    with pytest.raises(OrderDenied) as denial:
        decide_manual(desk, wish)
    return str(denial.value)


def book_of(desk, symbol="RELIANCE", *, with_funds=False):
    control = TradingControl.objects.get(mode=desk.mode)
    instrument = Instrument.objects.get(exchange="NSE", symbol=symbol)
    observed = observe(desk, "NSE", symbol, with_position=False, with_funds=True) if with_funds else NOTHING_OBSERVED
    in_force = limit_versions.for_instrument("NSE", symbol, now=desk.clock())
    return snapshot(desk, control, instrument, observed, limits=in_force, now=desk.clock())


# --- Duplicates, self-match, open orders -----------------------------------------------------------------------------


def test_a_second_like_order_within_the_window_is_a_duplicate(desk, held, wish, clock):
    held(1)
    limits(duplicate_window_seconds=60)

    assert "DUPLICATE_ORDER: a BUY of RELIANCE was made" in refused(desk, wish())
    assert decide_manual(desk, wish(symbol="INFY", limit_price=D("1505.00")))
    clock.advance(seconds=61)
    assert decide_manual(desk, wish())


def test_a_sale_is_no_first_purchase(desk, held, wish, clock):
    held(3)
    bought_at = Order.objects.get().created_at
    clock.advance(seconds=61)
    sale = by_hand.place(desk, wish(side=Side.SELL, limit_price=D("1393.00")))

    holding = book_of(desk).holding
    assert (holding.last_buy_at, holding.last_sell_at) == (bought_at, sale.created_at)
    assert (book_of(desk, "INFY").holding.last_buy_at, book_of(desk, "INFY").holding.last_sell_at) == (None, None)


def test_what_the_broker_refused_is_no_first_order(desk, wish, wired):
    limits(duplicate_window_seconds=60)
    refusing = wired(desk, gateway=Broker(desk.gateway, place=OrderRefused("no")))

    assert by_hand.place(refusing, wish()).status == "REJECTED"

    assert by_hand.place(desk, wish()).status == "OPEN"


def test_an_order_from_the_future_does_not_make_duplicates_of_all_that_follow(desk, held, wish, clock):
    clock.advance(minutes=10)
    reconcile(desk)
    held(1)
    clock.advance(minutes=-10)
    reconcile(desk)
    limits(duplicate_window_seconds=60)

    assert decide_manual(desk, wish())


def test_an_order_of_yesterday_evening_is_remembered_after_midnight(desk, held):
    held(1)
    made_at = Order.objects.get().created_at
    yesterday = desk.today() - timedelta(days=1)
    Order.objects.update(trading_date=yesterday)

    book = book_of(desk)

    assert (book.holding.last_buy_at, book.trades_today) == (made_at, 0)


def test_a_signal_makes_no_second_entry_while_the_first_works(desk, received, pending):
    pending()
    second = received()

    assert decide(desk, second) is None

    second.refresh_from_db()
    assert (second.status, second.reason) == ("DENIED", "DUPLICATE_ORDER: a BUY of RELIANCE is working already")


def test_nothing_is_bought_against_our_own_working_sale_and_closing_goes_on(desk, held, wish):
    held(3)
    by_hand.place(desk, wish(side=Side.SELL, limit_price=D("1450.00")))

    assert refused(desk, wish()).startswith("SELF_MATCH: 1 the other way may meet it")
    assert decide_manual(desk, wish(side=Side.SELL, limit_price=D("1393.00"), quantity=2))


def test_open_orders_are_counted_in_all_and_of_the_symbol_and_side(desk, resting, wish, pending):
    pending(symbol="TCS")
    resting()
    resting(symbol="INFY")

    book = book_of(desk)
    assert (book.open_orders, book.holding.buy_orders, book.holding.sell_orders) == (3, 1, 0)
    limits(open_orders_max=3)
    assert "OPEN_ORDERS_EXCEEDED: 4 orders" in refused(desk, wish())
    limits(open_orders_max=4, symbol_open_orders_max=1)
    assert "2 of RELIANCE BUY would be open" in refused(desk, wish())
    assert decide_manual(desk, wish(symbol="SBIN", limit_price=None, order_type=OrderType.MARKET))


def test_an_order_in_doubt_is_open(desk, in_doubt):
    in_doubt()

    assert (book_of(desk).open_orders, book_of(desk).orders_in_doubt) == (1, 1)


# --- The whole book --------------------------------------------------------------------------------------------------


def test_the_book_elsewhere_is_what_is_held_and_what_works_at_the_worst_price(desk, resting, held, wish):
    held(3)
    by_hand.place(desk, wish(side=Side.SELL, limit_price=D("1450.00")))
    resting(symbol="INFY", quantity=2)

    others = {other.symbol: other for other in book_of(desk, "TCS").others}
    assert set(others) == {"INFY", "RELIANCE"}
    infy, reliance = others["INFY"], others["RELIANCE"]
    assert (infy.own, infy.working_buys, infy.working_sells, infy.price) == (0, 2, 0, 1390)
    assert (reliance.own, reliance.working_buys, reliance.working_sells, reliance.price) == (3, 0, 1, 1450)
    assert [other.symbol for other in book_of(desk).others] == ["INFY"]


def test_what_is_held_is_worth_the_last_price_that_the_book_told(desk, held, paper):
    held(3)
    paper.set_price("NSE:RELIANCE", "1500.00")
    reconcile(desk)

    assert [other.price for other in book_of(desk, "INFY").others] == [1500]


def test_without_a_last_price_it_is_worth_its_cost_and_without_any_nobody_knows(desk, held):
    held(3)
    Position.objects.update(last_price=None)
    assert [other.price for other in book_of(desk, "INFY").others] == [1400]

    Position.objects.update(average_price=0)
    assert [other.price for other in book_of(desk, "INFY").others] == [None]


def test_a_working_market_order_is_worth_the_price_it_was_decided_by_and_the_collar(desk, wish):
    decide_manual(desk, wish(order_type=OrderType.MARKET, limit_price=None))

    (other,) = book_of(desk, "INFY").others

    assert (other.price, other.market_buys_work, other.working_buys) == (1400, True, 1)


def test_gross_exposure_is_measured_over_all_symbols(desk, held, wish):
    held(3)  # 4,200.00 INR
    infy = wish(symbol="INFY", limit_price=D("1505.00"))
    limits(gross_exposure_max=D("5704.99"))

    assert refused(desk, infy) == "GROSS_EXPOSURE_EXCEEDED: gross exposure 5705.00 INR, the limit is 5704.99 INR"
    limits(gross_exposure_max=D("5705.00"))
    assert decide_manual(desk, infy)


def test_open_positions_are_symbols_held_or_being_bought(desk, held, wish):
    held(1)
    limits(positions_max=1)

    assert "MAX_POSITIONS_EXCEEDED: 2 symbols" in refused(desk, wish(symbol="INFY", limit_price=D("1505.00")))
    assert decide_manual(desk, wish())  # of the one that is held already


def test_the_other_mode_is_another_book(desk, held):
    held(3)
    Position.objects.update(mode="LIVE")

    assert book_of(desk, "INFY").others == ()


def test_what_is_held_may_not_be_added_to_where_that_is_off(desk, held, wish):
    held(1)
    limits(adding_allowed=False)

    assert refused(desk, wish()).startswith("ADDING_NOT_ALLOWED: 1 held or being bought")


def test_an_automatic_entry_is_clipped_to_the_room_in_the_book(follow, received, held):
    held(3)  # 4,200.00 INR
    limits(position_size=D(6030), gross_exposure_max=D(4200 + 3015 + 1507))

    order = follow(received(symbol="INFY"))

    assert order.quantity == 2  # of 4, at 1,507.50
    assert "clipped from 4 to 2" in order.signal.reason


def test_an_automatic_entry_is_clipped_to_the_money_there_is(desk, received, wired):
    limits(position_size=D(5000), order_value_max=D(5000))
    poor = wired(desk, gateway=Broker(desk.gateway, available_funds=D(3000)))  # 2,940.00 may be used

    order = decide(poor, received())

    assert order.quantity == 2  # of 3, at 1,407.00


# --- Funds -----------------------------------------------------------------------------------------------------------


def test_what_may_be_spent_holds_for_value_and_charges(desk, wish, wired):
    one = D("1405.00") * D("1.0012")  # 1,406.686 INR
    enough = wired(desk, gateway=Broker(desk.gateway, available_funds=D("1435.40")))
    lacking = wired(desk, gateway=Broker(desk.gateway, available_funds=D("1435.39")))
    assert D("1435.39") * 98 < one * 100 <= D("1435.40") * 98

    assert "INSUFFICIENT_FUNDS: it needs 1406.69 INR, and 1406.68 may be spent" in refused(lacking, wish())
    assert decide_manual(enough, wish())


def test_funds_that_cannot_be_read_refuse_what_opens_and_not_what_closes(desk, held, wish, wired):
    held(1)
    blind = wired(desk, gateway=Broker(desk.gateway, available_funds=BrokerUnreachable("away")))

    assert refused(blind, wish()) == "INSUFFICIENT_FUNDS: what may be spent at the broker is not known"
    assert decide_manual(blind, wish(side=Side.SELL, limit_price=D("1393.00")))


def test_a_sale_asks_for_no_funds(desk, held, wish):
    held(1)

    order = decide_manual(desk, wish(side=Side.SELL, limit_price=D("1393.00")))

    assert order.decision.facts["portfolio"]["funds"] is None


def test_an_order_that_the_broker_does_not_know_yet_takes_its_part_of_the_funds(desk, wish):
    decide_manual(desk, wish())
    decide_manual(desk, wish(symbol="INFY", order_type=OrderType.MARKET, limit_price=None, quantity=2))

    funds = book_of(desk, "TCS", with_funds=True).funds

    assert (funds.committed, funds.committed_at_market) == (1405, 3000)


def test_an_order_that_the_broker_learnt_of_while_the_funds_were_read_takes_its_part(desk, resting, wired, clock):
    class Slow(Broker):
        def available_funds(self):
            resting()
            return D(100_000)

    during = book_of(
        wired(desk, gateway=Slow(desk.gateway), asked_funds=AskedFunds(seconds=0)), "TCS", with_funds=True
    ).funds
    clock.advance(seconds=1)
    afterwards = book_of(desk, "TCS", with_funds=True).funds

    assert (during.committed, afterwards.committed) == (1390, 0)


def test_what_was_withdrawn_or_refused_meanwhile_takes_nothing(desk, wish, wired):
    class Slow(Broker):
        def available_funds(self):
            withdrawn = decide_manual(desk, wish())
            cancel(desk, withdrawn, by="priya", reason="test")
            by_hand.place(wired(desk, gateway=Broker(desk.gateway, place=OrderRefused("no"))), wish())
            return D(100_000)

    funds = book_of(
        wired(desk, gateway=Slow(desk.gateway), asked_funds=AskedFunds(seconds=0)), "TCS", with_funds=True
    ).funds

    assert (funds.available, funds.committed) == (100_000, 0)


# --- The price band --------------------------------------------------------------------------------------------------


@pytest.fixture
def banded(desk, wired):
    """The desk at a broker that names a band of 1,260.00 to 1,540.00 INR."""
    quote = MarketQuote(last_price=D(1400), lower_circuit=D(1260), upper_circuit=D(1540))
    return wired(desk, gateway=Broker(desk.gateway, quotes={("NSE", "RELIANCE"): quote}))


def test_a_price_outside_the_circuit_limits_opens_nothing(banded, wish):
    assert refused(banded, wish(limit_price=D("1259.90"))) == (
        "OUTSIDE_PRICE_BAND: 1259.9 INR is outside 1260 to 1540 INR"
    )
    assert decide_manual(banded, wish(limit_price=D("1260.00")))


def test_an_opening_order_above_the_band_is_denied_and_not_clipped(banded, wish):
    limits(collar_percent=D(20), closing_collar_percent=D(20))

    assert refused(banded, wish(limit_price=D("1540.10"))) == (
        "OUTSIDE_PRICE_BAND: 1540.1 INR is outside 1260 to 1540 INR"
    )


@pytest.mark.parametrize("missing", ["lower_circuit", "upper_circuit"])
def test_a_band_that_the_broker_does_not_name_opens_nothing(banded, wired, wish, missing):
    half = replace(banded.gateway.quotes([])["NSE", "RELIANCE"], **{missing: None})

    told = refused(wired(banded, gateway=Broker(banded.gateway, quotes={("NSE", "RELIANCE"): half})), wish())

    assert told == "OUTSIDE_PRICE_BAND: the price band of RELIANCE is not known"


def test_a_closing_order_is_clipped_to_the_band_where_that_does_no_harm(banded, held, wish):
    desk = banded
    held(2)
    limits(closing_collar_percent=D(20))

    low = decide_manual(desk, wish(side=Side.SELL, limit_price=D("1200.00")))
    high = decide_manual(desk, wish(side=Side.SELL, limit_price=D("1600.00")))

    assert (low.price, low.events.first().note) == (1260, "clipped from 1200 to 1260 INR by the price band")
    assert high.price == 1600  # nobody may sell for less than was said: it is the exchange's to refuse


def test_a_signal_to_sell_below_the_band_is_clipped_to_it(banded, received, held):
    held(2)
    limits(closing_collar_percent=D(20))

    order = decide(banded, received(signal_type="SELL", cms_score=-75, order_type="LIMIT", price="1200.00"))

    assert order.price == 1260


def test_a_limit_that_the_signal_names_is_not_the_market_that_it_saw(follow, received):
    order = follow(received(order_type="LIMIT", price="1380.00"))

    assert order.price == 1380
    assert order.decision.facts["proposed"]["signal"]["signal_price"] is None


def test_a_signal_whose_market_has_gone_is_denied(follow, received):
    signal = received(price="1385.00")  # 1,400.00 is 1.08 % past it

    assert follow(signal) is None
    assert signal.reason.startswith("SIGNAL_PRICE_DRIFT: the last price 1400 is 1.08 % from the 1385 of the signal")


# --- Instruments -----------------------------------------------------------------------------------------------------


def limit_instrument(**values: Any) -> None:
    row = InstrumentLimit(exchange="NSE", symbol="RELIANCE", **values)
    limit_versions.save_instrument(row, by="rita", reason="results tonight", now=timezone.now())


def test_a_blocked_symbol_can_only_be_closed(desk, held, wish):
    held(1)
    limit_instrument(blocked=True)

    assert refused(desk, wish()) == "INSTRUMENT_BLOCKED: RELIANCE is blocked by its instrument limit"
    assert decide_manual(desk, wish(symbol="INFY", limit_price=D("1505.00")))
    assert decide_manual(desk, wish(side=Side.SELL, limit_price=D("1393.00")))


@pytest.mark.parametrize(
    ("own", "refusal"),
    [
        ({"order_value_max": D("1404.99")}, "ORDER_VALUE_EXCEEDED: order value 1405.00 INR, the limit is 1404.99 INR"),
        ({"order_quantity_max": 0}, "ORDER_QTY_EXCEEDED: 1 shares, the limit is 0"),
        ({"position_value_max": D(1000)}, "POSITION_VALUE_EXCEEDED: position value 1405.00 INR, the limit is 1000 INR"),
        ({"product": "MIS"}, "PRODUCT_NOT_ALLOWED: only MIS may be opened in RELIANCE, not CNC"),
    ],
)
def test_a_symbols_own_limit_holds_where_it_is_the_tighter(desk, wish, own, refusal):
    limit_instrument(**own)

    assert refused(desk, wish()) == refusal


def test_a_looser_limit_of_a_symbol_loosens_nothing(desk, wish):
    limits(order_value_max=D(1000))
    limit_instrument(order_value_max=D(100_000))

    assert refused(desk, wish()).startswith("ORDER_VALUE_EXCEEDED")


def test_an_entry_is_sized_within_the_symbols_own_limits(follow, received):
    limits(position_size=D(5000))
    limit_instrument(order_quantity_max=2)

    assert follow(received()).quantity == 2


def test_an_order_decided_before_the_symbol_was_limited_is_not_sent(desk, pending):
    order = pending()
    limit_instrument(blocked=True)

    submit(desk, order)

    assert (order.status, order.status_reason) == ("WITHDRAWN", "the limits changed after the decision")


def test_only_what_is_on_the_list_of_kinds_is_opened(desk, wish):
    limits(allowed_instruments="BSE:EQ")

    assert refused(desk, wish()) == "INSTRUMENT_RESTRICTED: RELIANCE is NSE:EQ, allowed are BSE:EQ"


# --- The broker's refusals -------------------------------------------------------------------------------------------


@pytest.fixture
def refuse(desk, wish, wired, clock):
    """Have the broker refuse so many orders, a second apart."""
    gateway = Broker(desk.gateway, place=OrderRefused("margin exceeds"))

    def again(times: int = 1) -> None:
        for _ in range(times):
            clock.advance(seconds=1)
            assert by_hand.place(wired(desk, gateway=gateway), wish()).status == "REJECTED"

    return again


def state() -> tuple[str, bool]:
    control = TradingControl.objects.get(mode="PAPER")
    return control.state, control.auto_trading


def resume(now) -> None:
    shown = TradingControl.objects.get(mode="PAPER").version
    switch.resume("PAPER", by="priya", reason="found it", now=now, version_shown=shown)


def test_so_many_refusals_in_a_row_stop_new_exposure_once_with_an_incident(desk, refuse, wish):
    limits(reject_streak_max=3)
    refuse(2)
    assert state() == ("ACTIVE", True)

    refuse()

    assert state() == ("REDUCE_ONLY", False)
    incident = Incident.objects.get(kind="REJECT_STREAK")
    assert incident.title == "Refusals by the broker: the broker refused 3 orders in a row, 3 in 10 min"
    assert (incident.count, incident.stops_opening) == (1, False)
    assert refused(desk, wish()) == "TRADING_REDUCE_ONLY: only closing orders may go"


def test_entries_that_rest_are_cancelled_when_refusals_stop_new_exposure(desk, refuse, resting):
    buy = resting()
    limits(reject_streak_max=3)

    refuse(3)

    carry_out_cancels(desk)
    reconcile(desk)
    buy.refresh_from_db()
    assert (buy.status, buy.cancel_requested_by) == ("CANCELLED", "executor")
    assert buy.cancel_reason.startswith("reduce only: the broker refused 3 orders in a row")


def test_an_order_that_the_broker_took_ends_the_row(desk, refuse, wish):
    limits(reject_streak_max=3)
    refuse(2)
    by_hand.place(desk, wish())
    refuse(2)

    assert book_of(desk).rejections_in_a_row == 2
    assert state() == ("ACTIVE", True)


def test_refusals_within_ten_minutes_count_in_a_row_or_not(desk, refuse, wish, clock):
    limits(rejections_max=3)
    refuse(1)
    clock.advance(seconds=601)
    reconcile(desk)
    refuse(2)
    by_hand.place(desk, wish())
    assert (book_of(desk).rejections_in_a_row, book_of(desk).rejections_lately) == (0, 2)

    refuse(1)

    assert state() == ("REDUCE_ONLY", False)


def test_a_person_resumes_and_what_the_breaker_tripped_for_counts_no_more(desk, refuse, clock):
    limits(reject_streak_max=3, rejections_max=3)
    refuse(3)
    resume(clock())

    assert (book_of(desk).rejections_in_a_row, book_of(desk).rejections_lately) == (0, 0)
    refuse(2)
    assert state() == ("ACTIVE", False)
    refuse()
    assert state() == ("REDUCE_ONLY", False)
    assert Incident.objects.get(kind="REJECT_STREAK").count == 2


def test_a_clock_that_was_set_back_neither_hides_new_refusals_nor_keeps_old_ones(desk, refuse, clock):
    limits(reject_streak_max=2)
    clock.advance(minutes=5)
    reconcile(desk)
    refuse(2)
    resume(clock())
    clock.advance(minutes=-5)
    reconcile(desk)
    assert book_of(desk).rejections_in_a_row == 0

    refuse(2)

    assert state() == ("REDUCE_ONLY", False)


def test_a_refusal_that_only_the_book_tells_counts(desk, resting, wired):
    limits(reject_streak_max=1)
    order = resting()
    says = BookGateway(orders=[report_of(order, "REJECTED", status_message="RMS: blocked")])

    reconcile(wired(desk, gateway=says))

    order.refresh_from_db()
    assert order.status == "REJECTED"
    assert state() == ("REDUCE_ONLY", False)
    assert Incident.objects.filter(kind="REJECT_STREAK").count() == 1


def test_somebody_elses_refusals_are_not_ours(desk, resting, wired):
    limits(reject_streak_max=1)
    order = resting()
    others = report_of(order, "REJECTED", broker_order_id="SIM777", tag="")
    says = BookGateway(orders=[report_of(order, "OPEN"), others])

    reconcile(wired(desk, gateway=says))

    assert state() == ("ACTIVE", True)


# --- How it is gathered ----------------------------------------------------------------------------------------------


def test_a_decision_sees_the_book_in_few_queries_however_large_it_is(desk, resting, held, wish):
    def queries(symbol: str) -> int:
        with CaptureQueriesContext(connection) as seen:
            book_of(desk, symbol, with_funds=True)
        return len(seen)

    held(3)
    small = queries("TCS")
    for symbol in ("INFY", "RELIANCE", "INFY"):
        resting(symbol=symbol)

    assert queries("TCS") == small <= 21


def test_a_decision_takes_a_bounded_number_of_queries(desk, wish, received):
    signal = received(symbol="INFY")
    with CaptureQueriesContext(connection) as by_hand_seen:
        decide_manual(desk, wish())
    with CaptureQueriesContext(connection) as by_signal_seen:
        decide(desk, signal)

    assert len(by_hand_seen) <= 28
    assert len(by_signal_seen) <= 51


def test_the_facts_of_a_decision_are_kept(desk, resting, wish):
    resting(symbol="INFY")

    order = decide_manual(desk, wish())

    portfolio = Decision.objects.get(pk=order.decision_id).facts["portfolio"]
    assert portfolio["others"][0]["symbol"] == "INFY"
    assert D(portfolio["band"]["lower"]) == 1260
    assert D(portfolio["funds"]["available"]) > 0
