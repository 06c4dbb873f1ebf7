"""What we believe beside what the broker reports: matched, adopted, shown or an incident; doubt ends by evidence."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from orders.broker.gateway import BrokerBook, BrokerUnreachable, OrderReport, SessionRefused, TradeReport
from orders.by_hand import HandFill, mark_filled
from orders.comparison import Believed, compare, status_of
from orders.deciding import OrderDenied, decide, decide_manual
from orders.execution import submit
from orders.models import BrokerSession, Decision, Fill, Order, Position
from orders.reconciliation import carry_out_cancels, reconcile
from risk.models import Incident, TradingControl
from tests.conftest import open_the_limits, statuses

from .paper.paper_process import until
from .stand_ins import BookGateway, report_of, trade_of

pytestmark = pytest.mark.usefixtures("noon")

IST = ZoneInfo("Asia/Kolkata")
NOW = datetime(2026, 11, 23, 10, 0, tzinfo=IST)
TODAY = date(2026, 11, 23)
WINDOW = timedelta(seconds=120)


# --- The comparison, pure --------------------------------------------------------------------------------------------


def believed(**changes) -> Believed:
    usual = {
        "pk": 1, "client_order_id": "ABCD0000000000000001", "broker_order_id": "", "status": "IN_DOUBT",
        "trading_date": TODAY, "submitted_at": NOW, "order_type": "LIMIT", "quantity": 1, "price": Decimal(1390),
        "broker_status": "", "broker_fills": 0,
    }  # fmt: skip
    return Believed(**{**usual, **changes})


def report(**changes) -> OrderReport:
    usual = {
        "broker_order_id": "SIM1", "tag": "ABCD0000000000000001", "status": "OPEN", "status_message": "",
        "exchange": "NSE", "symbol": "RELIANCE", "side": "BUY", "product": "CNC", "order_type": "LIMIT", "quantity": 1,
        "filled_quantity": 0, "price": Decimal(1390), "placed_at": NOW,
    }  # fmt: skip
    return OrderReport(**{**usual, **changes})


def trade(**changes) -> TradeReport:
    usual = {
        "trade_id": "T1", "broker_order_id": "SIM1", "exchange": "NSE", "symbol": "RELIANCE", "side": "BUY",
        "product": "CNC", "quantity": 1, "price": Decimal(1390), "filled_at": NOW,
    }  # fmt: skip
    return TradeReport(**{**usual, **changes})


def compared(orders, reports=(), trades=(), *, as_of=NOW, book_date=TODAY, prefix="ABCD"):
    book = BrokerBook(as_of=as_of, orders=tuple(reports), trades=tuple(trades))
    return compare(orders, book, prefix=prefix, book_date=book_date, absence_window=WINDOW)


def found_nothing(comparison) -> bool:
    return not (comparison.matches or comparison.absent or comparison.unknown or comparison.external)


def test_an_order_is_matched_by_our_tag_with_its_trades():
    comparison = compared([believed()], [report()], [trade(), trade(trade_id="T2", broker_order_id="SIM2")])

    (match,) = comparison.matches
    assert (match.pk, match.report, match.trades) == (1, report(), (trade(),))
    assert comparison.absent == comparison.unknown == comparison.external == []


def test_an_order_is_matched_by_the_brokers_id_although_the_tag_is_gone():
    comparison = compared([believed(broker_order_id="SIM1", status="OPEN")], [report(tag="")])

    assert [match.pk for match in comparison.matches] == [1]


@pytest.mark.parametrize(
    "status", ["PENDING", "SUBMITTING", "IN_DOUBT", "OPEN", "REJECTED", "NOT_PLACED", "CANCELLED", "WITHDRAWN"]
)
def test_a_row_is_matched_whatever_status_we_gave_the_order(status):
    assert [match.pk for match in compared([believed(status=status)], [report()]).matches] == [1]


KNOWN = {"broker_order_id": "SIM1", "status": "OPEN", "broker_status": "OPEN"}


def test_what_says_nothing_new_is_no_match():
    assert found_nothing(compared([believed(**KNOWN)], [report()]))
    assert found_nothing(compared([believed(**KNOWN, broker_fills=1)], [report()], [trade()]))


@pytest.mark.parametrize(
    ("changes", "trades"),
    [({"status": "COMPLETE"}, 0), ({"quantity": 2}, 0), ({"price": Decimal(1391)}, 0), ({}, 1)],
)
def test_whatever_is_new_is_a_match(changes, trades):
    comparison = compared([believed(**KNOWN)], [report(**changes)], [trade()] * trades)

    assert [match.pk for match in comparison.matches] == [1]


def test_a_protected_market_order_keeps_having_no_price_although_it_is_reported_as_a_limit():
    market = believed(**KNOWN, order_type="MARKET", price=None)

    assert found_nothing(compared([market], [report(price=Decimal(1407))]))


def test_an_order_with_our_prefix_and_no_row_is_unknown_and_any_other_is_external():
    comparison = compared([], [report(tag="ABCD9"), report(tag="XYZ", broker_order_id="SIM2"), report(tag="")])

    assert [row.tag for row in comparison.unknown] == ["ABCD9"]
    assert [row.tag for row, _ in comparison.external] == ["XYZ", ""]


@pytest.mark.parametrize(
    ("waited", "absent"),
    [(timedelta(0), []), (WINDOW, []), (WINDOW + timedelta(microseconds=1), [1]), (timedelta(hours=3), [1])],
)
def test_absence_proves_something_only_in_a_read_begun_after_the_window(waited, absent):
    assert compared([believed()], as_of=NOW + waited).absent == absent


@pytest.mark.parametrize(
    "changes",
    [
        {"trading_date": TODAY - timedelta(days=1)},
        {"trading_date": TODAY + timedelta(days=1)},
        {"status": "SUBMITTING"},
        {"status": "OPEN"},
        {"status": "PENDING"},
        {"broker_order_id": "SIM1"},
        {"submitted_at": None},
    ],
)
def test_absence_proves_nothing_of_any_other_order(changes):
    assert found_nothing(compared([believed(**changes)], as_of=NOW + timedelta(hours=3)))


def test_what_is_in_the_book_is_not_absent():
    assert compared([believed()], [report()], as_of=NOW + timedelta(hours=3)).absent == []


@pytest.mark.parametrize(
    ("word", "filled", "status"),
    [
        ("OPEN", 0, "OPEN"),
        ("OPEN", 1, "PARTIALLY_FILLED"),
        ("COMPLETE", 0, "OPEN"),
        ("COMPLETE", 1, "PARTIALLY_FILLED"),
        ("PUT ORDER REQ RECEIVED", 0, "OPEN"),
        ("TRIGGER PENDING", 0, "OPEN"),
        ("CANCEL PENDING", 0, "OPEN"),
        ("A WORD NOBODY KNOWS", 0, "OPEN"),
        ("CANCELLED", 0, "CANCELLED"),
        ("CANCELLED", 1, "CANCELLED"),
        ("CANCELLED AMO", 0, "CANCELLED"),
        ("REJECTED", 0, "REJECTED"),
    ],
)
def test_every_word_of_the_broker_that_is_not_an_end_counts_as_working(word, filled, status):
    assert status_of(report(status=word), filled) == status


# --- In doubt --------------------------------------------------------------------------------------------------------


def test_an_order_in_doubt_is_found_by_its_tag(desk, in_doubt, paper):
    order = in_doubt("drop_after")

    reconcile(desk)

    order.refresh_from_db()
    assert (order.status, order.filled_quantity) == ("FILLED", 1)
    assert [order.broker_order_id] == paper.accepted()
    assert Position.objects.get().quantity == 1
    assert Incident.objects.get().kind == "ORDER_IN_DOUBT"  # nothing appeared that was given up


def test_an_order_in_doubt_that_rests_is_open(desk, wish, paper):
    order = decide_manual(desk, wish(limit_price=Decimal("1390.00")))
    paper.fault("place", "drop_after")
    submit(desk, order)

    reconcile(desk)

    order.refresh_from_db()
    assert statuses(order) == ["PENDING", "SUBMITTING", "IN_DOUBT", "OPEN"]
    assert [order.broker_order_id] == paper.accepted()


@pytest.mark.parametrize(("ahead", "status"), [(0, "IN_DOUBT"), (119, "IN_DOUBT"), (125, "NOT_PLACED")])
def test_an_absent_order_was_not_placed_only_after_the_window(desk, in_doubt, clock, ahead, status):
    order = in_doubt()
    clock.advance(seconds=ahead)

    reconcile(desk)
    order.refresh_from_db()
    assert order.status == "IN_DOUBT"  # one read is not enough
    reconcile(desk)

    order.refresh_from_db()
    assert order.status == status


def test_a_book_that_cannot_be_read_proves_nothing(desk, in_doubt, clock, paper):
    order = in_doubt()
    clock.advance(seconds=121)
    paper.fault("trades", "error_503")

    with pytest.raises(BrokerUnreachable):
        reconcile(desk)

    order.refresh_from_db()
    assert order.status == "IN_DOUBT"


def test_absence_from_the_book_of_another_day_proves_nothing(desk, in_doubt, wired, clock):
    order = in_doubt()
    tomorrow = wired(desk, gateway=BookGateway())
    clock.advance(days=1)

    for _ in range(3):  # one read concludes nothing anyway
        reconcile(tomorrow)

    order.refresh_from_db()
    assert (order.status, order.missed_at) == ("IN_DOUBT", None)


def test_while_one_is_in_doubt_nothing_is_opened_and_it_counts_as_filled(desk, in_doubt, wish):
    in_doubt()

    with pytest.raises(OrderDenied) as refused:
        decide_manual(desk, wish())

    assert refused.value.decision.reason == "ORDER_IN_DOUBT: 1 sent without a trustworthy answer"
    assert refused.value.decision.facts["portfolio"]["holding"]["working_buys"] == 1


def denied(desk, signal) -> Decision:
    assert decide(desk, signal) is None
    return Decision.objects.filter(signal=signal).get()


def taken_for_not_placed(desk, clock):
    clock.advance(seconds=125)
    reconcile(desk)
    reconcile(desk)


def test_a_late_appearance_is_adopted_an_incident_and_asked_to_cancel(desk, in_doubt, clock, wired):
    order = in_doubt()
    taken_for_not_placed(desk, clock)
    order.refresh_from_db()
    assert order.status == "NOT_PLACED"
    broker = BookGateway(orders=[report_of(order, "OPEN")])

    reconcile(wired(desk, gateway=broker))

    order.refresh_from_db()
    assert (order.status, order.broker_order_id) == ("OPEN", "SIM1")
    assert statuses(order)[2:] == ["IN_DOUBT", "NOT_PLACED", "OPEN", "OPEN"]  # the last is the wish to cancel
    assert broker.cancelled == ["SIM1"]
    assert order.cancel_requested_by == "executor"
    assert Incident.objects.filter(kind="LATE_APPEARANCE").count() == 1


def test_an_adopted_order_that_works_again_has_no_end(desk, in_doubt, clock, wired):
    order = in_doubt()
    taken_for_not_placed(desk, clock)

    reconcile(wired(desk, gateway=BookGateway(orders=[report_of(order, "OPEN")])))

    order.refresh_from_db()
    assert (order.status, order.ended_at) == ("OPEN", None)


def test_a_late_appearance_that_filled_already_is_in_the_position(desk, in_doubt, clock, wired):
    order = in_doubt()
    taken_for_not_placed(desk, clock)
    broker = BookGateway(orders=[report_of(order, "COMPLETE")], trades=[trade_of(order, "T1", 1)])

    reconcile(wired(desk, gateway=broker))

    order.refresh_from_db()
    assert (order.status, order.filled_quantity) == ("FILLED", 1)
    assert Position.objects.get().quantity == 1
    assert broker.cancelled == []
    assert Incident.objects.filter(kind="LATE_APPEARANCE").exists()


def test_an_order_that_was_refused_and_appears_is_adopted_too(desk, pending, paper, wired):
    order = pending()
    paper.fault("place", "error_429")
    submit(desk, order)
    assert order.status == "REJECTED"

    reconcile(wired(desk, gateway=BookGateway(orders=[report_of(order, "OPEN")])))

    order.refresh_from_db()
    assert order.status == "OPEN"
    assert Incident.objects.get().kind == "LATE_APPEARANCE"


def test_an_order_not_placed_that_the_book_shows_as_rejected_is_simply_rejected(desk, in_doubt, clock, wired):
    order = in_doubt()
    taken_for_not_placed(desk, clock)

    reconcile(wired(desk, gateway=BookGateway(orders=[report_of(order, "REJECTED", status_message="no funds")])))

    order.refresh_from_db()
    assert (order.status, order.status_reason) == ("REJECTED", "no funds")
    assert not Incident.objects.filter(kind="LATE_APPEARANCE").exists()


def test_an_order_hidden_at_first_is_found_when_the_book_shows_it(desk, pending, paper):
    order = pending()
    paper.fault("place", "hide", seconds=0.3)
    submit(desk, order)

    reconcile(desk)
    order.refresh_from_db()
    assert order.status == "OPEN"  # the answer had its id: absence says nothing

    def filled():
        reconcile(desk)
        order.refresh_from_db()
        return order.status == "FILLED"

    assert until(filled)


def test_an_order_that_the_exchange_rejects_later_is_rejected(desk, pending, paper):
    order = pending()
    paper.fault("place", "reject_later", seconds=0)
    submit(desk, order)

    def rejected():
        paper.set_price("NSE:RELIANCE", "1400.00")
        reconcile(desk)
        order.refresh_from_db()
        return order.status == "REJECTED"

    assert until(rejected)
    assert order.status_reason == "Your order was rejected by the exchange after it was accepted."


# --- Fills -----------------------------------------------------------------------------------------------------------


def test_each_fill_counts_once_however_often_it_is_read(desk, resting, wired):
    order = resting(quantity=10)
    broker = BookGateway(orders=[report_of(order, "OPEN")], trades=[trade_of(order, "T1", 4)])
    there = wired(desk, gateway=broker)
    reconcile(there)
    reconcile(there)

    broker.trades.append(trade_of(order, "T2", 3))
    reconcile(there)
    reconcile(there)

    order.refresh_from_db()
    assert (order.status, order.filled_quantity) == ("PARTIALLY_FILLED", 7)
    assert sorted(Fill.objects.values_list("trade_id", flat=True)) == ["T1", "T2"]
    assert Position.objects.get().quantity == 7


def test_the_same_trade_id_in_another_order_is_another_fill(desk, resting, wired):
    one, other = resting(quantity=1), resting(quantity=1)
    broker = BookGateway(
        orders=[report_of(one, "COMPLETE"), report_of(other, "COMPLETE")],
        trades=[trade_of(one, "T1", 1), trade_of(other, "T1", 1)],
    )

    reconcile(wired(desk, gateway=broker))

    assert Position.objects.get().quantity == 2


def test_complete_ahead_of_its_trades_counts_as_working(desk, resting, wired, paper):
    order = resting(quantity=10)
    broker = BookGateway(orders=[report_of(order, "COMPLETE")], trades=[trade_of(order, "T1", 4)])
    there = wired(desk, gateway=broker)

    reconcile(there)
    order.refresh_from_db()
    assert (order.status, order.is_unfinished, order.unfilled_quantity) == ("PARTIALLY_FILLED", True, 6)

    broker.trades.append(trade_of(order, "T2", 6))
    reconcile(there)
    order.refresh_from_db()
    assert (order.status, order.is_unfinished) == ("FILLED", False)


def test_a_report_never_moves_an_order_backwards(desk, resting, wired):
    order = resting(quantity=10)
    broker = BookGateway(orders=[report_of(order, "OPEN")], trades=[trade_of(order, "T1", 4)])
    there = wired(desk, gateway=broker)
    reconcile(there)

    broker.trades, broker.orders = [], [report_of(order, "PUT ORDER REQ RECEIVED")]
    reconcile(there)

    order.refresh_from_db()
    assert (order.status, order.filled_quantity) == ("PARTIALLY_FILLED", 4)


def test_an_order_that_was_cancelled_stays_cancelled_when_an_old_report_comes(desk, resting, wired):
    order = resting()
    broker = BookGateway(orders=[report_of(order, "CANCELLED")])
    there = wired(desk, gateway=broker)
    reconcile(there)

    broker.orders = [report_of(order, "OPEN")]
    reconcile(there)

    order.refresh_from_db()
    assert order.status == "CANCELLED"


def test_a_cancelled_order_keeps_what_it_filled(desk, resting, wired):
    order = resting(quantity=10)
    broker = BookGateway(orders=[report_of(order, "CANCELLED")], trades=[trade_of(order, "T1", 4)])

    reconcile(wired(desk, gateway=broker))

    order.refresh_from_db()
    assert (order.status, order.filled_quantity) == ("CANCELLED", 4)
    assert Position.objects.get().quantity == 4


def test_cancelled_ahead_of_its_trades_counts_as_working_and_lets_nothing_past_the_limit(desk, resting, wish, wired):
    order = resting(quantity=7)
    open_the_limits(position_value_max=Decimal(10_000))
    cancelled = report_of(order, "CANCELLED", filled_quantity=6)
    broker = BookGateway(orders=[cancelled], holds={("NSE", "RELIANCE"): 6})
    there = wired(desk, gateway=broker)

    for _ in range(2):
        reconcile(there)
    with pytest.raises(OrderDenied, match="POSITION_VALUE_EXCEEDED"):
        decide_manual(desk, wish(quantity=7))

    broker.trades.append(trade_of(order, "T1", 6))
    reconcile(there)
    order.refresh_from_db()
    assert (order.status, order.filled_quantity) == ("CANCELLED", 6)


def test_cancelled_whose_trades_never_come_is_ended_by_what_a_person_marks(desk, resting, wired):
    order = resting(quantity=7)
    broker = BookGateway(orders=[report_of(order, "CANCELLED", filled_quantity=3)])
    there = wired(desk, gateway=broker)
    reconcile(there)

    mark_filled(there, order, HandFill(token="a", quantity=3, price=Decimal(1390), by="priya", reason="contract note"))
    reconcile(there)

    order.refresh_from_db()
    assert (order.status, order.filled_quantity) == ("CANCELLED", 3)


def test_more_filled_than_ordered_is_recorded_and_an_incident_that_stops_that_symbol(
    desk, resting, wired, follow, received
):
    order = resting(quantity=1)
    broker = BookGateway(
        orders=[report_of(order, "COMPLETE")], trades=[trade_of(order, "T1", 1), trade_of(order, "T2", 1)],
        holds={("NSE", "RELIANCE"): 2},
    )  # fmt: skip

    reconcile(wired(desk, gateway=broker))

    order.refresh_from_db()
    assert (order.status, order.filled_quantity) == ("FILLED", 2)
    assert Position.objects.get().quantity == 2
    incident = Incident.objects.get(kind="OVERFILL")
    assert (incident.symbol, incident.stops_opening) == ("RELIANCE", True)
    signal = received()
    assert follow(signal) is None
    assert "INCIDENT_OPEN" in signal.reason
    assert follow(received(symbol="INFY")) is not None


# --- Orders of others ------------------------------------------------------------------------------------------------


def place_elsewhere(paper, **changes):
    usual = {
        "variety": "regular", "exchange": "NSE", "tradingsymbol": "RELIANCE", "transaction_type": "BUY", "quantity": 2,
        "product": "CNC", "order_type": "LIMIT", "price": 1405.0,
    }  # fmt: skip
    return paper.kite().place_order(**{**usual, **changes})


def test_an_order_placed_elsewhere_is_shown_and_not_ours(desk, paper, received, follow):
    broker_order_id = place_elsewhere(paper, tag="byhand")

    reconcile(desk)
    reconcile(desk)

    order = Order.objects.get()
    assert (order.origin, order.broker_order_id, order.client_order_id) == ("EXTERNAL", broker_order_id, None)
    assert (order.status, order.filled_quantity, order.quantity) == ("FILLED", 2, 2)
    assert not Position.objects.exists()
    assert not Incident.objects.exists()
    signal = received(signal_type="SELL", cms_score=-75)
    assert follow(signal) is None
    assert "NOTHING_TO_SELL" in signal.reason


def test_an_order_placed_elsewhere_is_followed_to_its_end(desk, paper):
    broker_order_id = place_elsewhere(paper, price=1390.0)
    reconcile(desk)
    assert Order.objects.get().status == "OPEN"

    paper.kite().cancel_order("regular", broker_order_id)
    reconcile(desk)

    assert Order.objects.get().status == "CANCELLED"
    assert not Order.objects.unfinished("PAPER").exists()


def test_an_order_placed_elsewhere_is_neither_cancelled_nor_counted_as_working(desk, paper, received, follow):
    place_elsewhere(paper, price=1390.0)
    reconcile(desk)

    order = follow(received())

    assert order.status == "FILLED"
    assert order.decision.facts["portfolio"]["holding"]["working_buys"] == 0
    assert order.decision.facts["portfolio"]["trades_today"] == 0


def test_an_order_with_our_mark_and_no_row_stops_every_opening(desk, paper, received, follow):
    prefix = TradingControl.objects.get(mode="PAPER").order_id_prefix
    broker_order_id = place_elsewhere(paper, tag=f"{prefix}0000000000000000")

    reconcile(desk)
    reconcile(desk)

    incident = Incident.objects.get()
    assert (incident.kind, incident.stops_opening, incident.symbol, incident.count) == ("UNKNOWN_ORDER", True, "", 2)
    assert broker_order_id in incident.detail
    assert not Order.objects.exists()
    signal = received(symbol="INFY")
    assert follow(signal) is None
    assert (signal.status, signal.reason.startswith("INCIDENT_OPEN: BUY 2 RELIANCE carries our mark")) == (
        "DENIED",
        True,
    )


def test_a_resolved_incident_stops_nothing(desk, paper, received, follow, clock):
    prefix = TradingControl.objects.get(mode="PAPER").order_id_prefix
    place_elsewhere(paper, tag=f"{prefix}0000000000000000")
    reconcile(desk)

    Incident.objects.get().resolve(by="priya", note="a backup was restored", now=clock())

    assert decide(desk, received()) is not None


def test_an_order_changed_in_the_brokers_own_app_is_restated(desk, resting, paper):
    order = resting(quantity=2)

    paper.kite().modify_order("regular", order.broker_order_id, quantity=3, price=1391.0, order_type="LIMIT")
    reconcile(desk)

    order.refresh_from_db()
    assert (order.quantity, order.price, order.status) == (3, Decimal("1391.00"), "OPEN")
    assert order.events.last().note == "changed at the broker: 3 at 1391.0"


# --- Positions -------------------------------------------------------------------------------------------------------


def test_what_the_broker_holds_is_shown_beside_what_is_ours(desk, held, paper):
    held(3)
    place_elsewhere(paper, quantity=2)

    reconcile(desk)

    position = Position.objects.get()
    assert (position.quantity, position.broker_quantity) == (3, 5)
    assert position.broker_as_of is not None
    assert not Incident.objects.exists()


def test_less_at_the_broker_in_one_read_is_no_incident_and_in_two_is_one_that_stops_the_symbol(
    desk, held, paper, received, follow
):
    held(3)
    place_elsewhere(paper, transaction_type="SELL", quantity=2, price=1395.0)

    reconcile(desk)
    assert not Incident.objects.exists()
    reconcile(desk)

    incident = Incident.objects.get()
    assert (incident.kind, incident.symbol) == ("POSITION_DIFFERENCE", "RELIANCE")
    assert incident.title == "RELIANCE: our fills opened 3, the broker holds 1"
    signal = received()
    assert follow(signal) is None
    assert "INCIDENT_OPEN" in signal.reason
    assert follow(received(symbol="INFY")).status == "FILLED"


def test_a_difference_that_is_gone_at_the_next_read_is_no_incident(desk, held, wired):
    held(3)
    order = Order.objects.get()
    broker = BookGateway(
        orders=[report_of(order, "COMPLETE")], trades=[trade_of(order, "T", 3)], holds={("NSE", "RELIANCE"): 1}
    )
    there = wired(desk, gateway=broker)

    for holds in (1, 3, 1, 2, 0):
        broker.holds[("NSE", "RELIANCE")] = holds
        reconcile(there)

    assert not Incident.objects.exists()


def test_while_an_order_of_the_symbol_works_a_difference_proves_nothing(desk, held, resting, paper):
    held(3)
    resting()
    place_elsewhere(paper, transaction_type="SELL", quantity=2, price=1395.0)

    for _ in range(3):
        reconcile(desk)

    assert not Incident.objects.exists()


# --- The reading -----------------------------------------------------------------------------------------------------


def test_a_comparison_is_dated_by_when_it_began(desk, wired):
    began = NOW

    reconcile(wired(desk, gateway=BookGateway(), clock=lambda: began))

    assert BrokerSession.objects.get(mode="PAPER").reconciled_at == began


@pytest.mark.parametrize(
    ("route", "fault"), [("orders", "error_503"), ("trades", "drop_before"), ("positions", "error_504")]
)
def test_a_read_that_fails_concludes_nothing(bare_desk, db, paper, route, fault):
    paper.fault(route, fault)

    with pytest.raises(BrokerUnreachable):
        reconcile(bare_desk)

    assert BrokerSession.objects.get(mode="PAPER").reconciled_at is None


def test_before_the_first_comparison_nothing_is_opened(desk, received):
    BrokerSession.objects.update(reconciled_at=None)

    assert "NOT_RECONCILED" in denied(desk, received()).reason


@pytest.mark.parametrize(("age", "passes"), [(175, True), (181, False)])
def test_a_comparison_is_good_for_three_minutes(desk, received, clock, age, passes):
    clock.advance(seconds=age)

    assert (decide(desk, received()) is not None) == passes


def test_a_refused_login_is_said(desk, paper):
    paper.fault("orders", "token")

    with pytest.raises(SessionRefused):
        reconcile(desk)


def test_cancels_are_sent_for_what_the_book_does_not_show_as_ended(desk, resting, clock, wired):
    order = resting()
    order.request_cancel(by="priya", reason="enough", at=clock())
    broker = BookGateway(orders=[report_of(order, "CANCEL PENDING")])
    there = wired(desk, gateway=broker)

    for _ in range(3):
        reconcile(there)
        carry_out_cancels(there)
        clock.advance(seconds=1.5)

    assert broker.cancelled == [order.broker_order_id] * 2  # at 0 s and at 3 s: every two seconds at most
