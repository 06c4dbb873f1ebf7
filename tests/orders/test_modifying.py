"""
A working order modified: decided, written down, sent once, and judged by the broker's book.

RELIANCE stands at 1,400.00 and a BUY of 3 at 1,390.00 rests. What the paper server's journal says was modified is what
reached it; what the order's row says is what the book has shown.
"""

from __future__ import annotations

import contextlib
import itertools
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, ProgrammingError, transaction

from orders import by_hand, modifying
from orders.broker.gateway import OutcomeUnknown
from orders.broker.kite import KiteGateway
from orders.deciding import OrderDenied, decide_manual
from orders.desk import DeskRules
from orders.execution import OtherMode, cancel
from orders.models import Decision, Instrument, Order, OrderModification
from orders.modifying import ModificationRefused, Wish, finish_modifications, modify
from orders.observed import NOTHING_OBSERVED, observe
from orders.portfolio import snapshot
from orders.reconciliation import reconcile
from orders.start import forget_paper_book
from orders.traffic import CHANGED_ELSEWHERE, times_modified, traffic
from risk import control as switch
from risk import limit_versions
from risk.engine.facts import Origin, Side, Traffic
from risk.models import Incident, TradingControl
from tests.conftest import StillClock, open_the_limits

from .stand_ins import BookGateway, report_of, trade_of

pytestmark = pytest.mark.usefixtures("noon")

D = Decimal


@pytest.fixture
def wanted():
    """Return a wish: the 3 at 1,391.00, as priya asks; keywords change it."""
    numbers = itertools.count(1)

    def make(**changes):
        usual = {"token": f"change-{next(numbers)}", "quantity": None, "price": D("1391.00"), "by": "priya"}
        return Wish(**{**usual, "reason": "nearer", **changes})

    return make


@pytest.fixture
def three(resting):
    return resting(quantity=3)


def terms(order):
    order.refresh_from_db()
    return order.quantity, order.price


def notes(order):
    return [event.note for event in order.events.all()]


def modified(paper):
    return [(row["quantity"], row["price"]) for row in paper.journal() if row["event"] == "modified"]


def book_of(desk, **more):
    control = TradingControl.objects.get(mode=desk.mode)
    reliance = Instrument.objects.get(exchange="NSE", symbol="RELIANCE")
    now = desk.clock()
    limits = limit_versions.for_instrument("NSE", "RELIANCE", now=now)
    return snapshot(desk, control, reliance, more.pop("observed", NOTHING_OBSERVED), limits=limits, now=now, **more)


# --- What the broker's book shows -------------------------------------------------------------------------------------


def test_an_order_has_its_new_terms_once_the_broker_s_book_shows_them(desk, three, wanted, paper):
    modification = modify(desk, three, wanted(quantity=4, price=D("1391.50")))
    assert (modification.state, terms(three)) == ("ACCEPTED", (3, D(1390)))

    reconcile(desk)

    modification.refresh_from_db()
    assert (modification.state, terms(three)) == ("TOOK_EFFECT", (4, D("1391.50")))
    assert modified(paper) == [(4, 1391.5)]
    assert "as priya asked: nearer" in notes(three)[-1]
    assert not any(note.startswith(CHANGED_ELSEWHERE) for note in notes(three))


def test_an_order_that_is_modified_to_reach_the_market_fills(desk, three, wanted):
    modification = modify(desk, three, wanted(price=D("1405.00")))

    reconcile(desk)

    modification.refresh_from_db()
    three.refresh_from_db()
    assert (three.status, three.filled_quantity, modification.state) == ("FILLED", 3, "TOOK_EFFECT")


def test_an_order_is_modified_again_once_the_book_has_spoken(desk, three, wanted):
    for price in ("1391.00", "1392.00"):
        modify(desk, three, wanted(price=D(price)))
        reconcile(desk)

    assert terms(three) == (3, D(1392))


def test_what_is_changed_elsewhere_while_ours_is_under_way_is_told_as_that(desk, three, wanted, paper):
    paper.fault("modify", "ignore")
    modification = modify(desk, three, wanted())
    paper.kite().modify_order("regular", three.broker_order_id, price=1392)

    reconcile(desk)

    modification.refresh_from_db()
    assert (modification.state, terms(three)) == ("ACCEPTED", (3, D(1392)))
    assert notes(three)[-1] == f"{CHANGED_ELSEWHERE}: 3 at 1392.0"


def test_terms_that_somebody_else_asked_for_first_hold_all_the_same(desk, three, wanted, paper):
    """The order had them before ours was sent; the book will show nothing new."""
    paper.fault("modify", "ignore")
    modification = modify(desk, three, wanted())
    Order.objects.filter(pk=three.pk).update(price=D(1391))
    paper.kite().modify_order("regular", three.broker_order_id, price=1391)

    reconcile(desk)

    modification.refresh_from_db()
    assert modification.state == "TOOK_EFFECT"


FAULTS = [
    ("drop_before", "IN_DOUBT", "DID_NOT"),
    ("drop_after", "IN_DOUBT", "TOOK_EFFECT"),
    ("reset_mid_answer", "IN_DOUBT", "TOOK_EFFECT"),
    ("error_502_html", "IN_DOUBT", "DID_NOT"),
    ("error_503", "IN_DOUBT", "DID_NOT"),
    ("error_503_html_after", "IN_DOUBT", "TOOK_EFFECT"),
    ("error_504_after", "IN_DOUBT", "TOOK_EFFECT"),
    ("error_400_timeout_after", "IN_DOUBT", "TOOK_EFFECT"),
    ("empty_success", "IN_DOUBT", "TOOK_EFFECT"),
    ("ignore", "ACCEPTED", "DID_NOT"),
    ("error_429", "IN_DOUBT", "REFUSED"),
    ("refuse_margin", "REFUSED", "REFUSED"),
    ("refuse_input", "REFUSED", "REFUSED"),
    ("token", "REFUSED", "REFUSED"),
]


@pytest.mark.parametrize(("fault", "answer", "end"), FAULTS)
def test_each_answer_of_the_broker_ends_as_its_book_says_and_nothing_is_sent_again(
    desk, three, wanted, paper, clock, monkeypatch, fault, answer, end
):
    sent, real = [], KiteGateway.modify
    monkeypatch.setattr(KiteGateway, "modify", lambda *a, **k: (sent.append(a), real(*a, **k))[1])
    paper.fault("modify", fault)
    wish = wanted()

    modification = modify(desk, three, wish)
    assert modification.state == answer
    doubted = answer == "IN_DOUBT" and fault != "error_429"  # of which the book knows within seconds
    assert Incident.objects.filter(kind="ORDER_IN_DOUBT").exists() is doubted
    assert TradingControl.objects.get(mode="PAPER").auto_trading is not doubted
    for _ in range(2):
        reconcile(desk)
        finish_modifications(desk)
        assert modify(desk, three, wish) == modification
        clock.advance(seconds=123)

    modification.refresh_from_db()
    assert modification.state == end
    assert terms(three) == (3, D(1391) if end == "TOOK_EFFECT" else D(1390))
    assert len(sent) == 1
    assert not Incident.objects.unresolved().filter(kind="ORDER_IN_DOUBT").exists()


def test_an_order_that_filled_before_the_modification_came_is_refused_and_left_alone(desk, three, wanted, paper):
    paper.set_price("NSE:RELIANCE", "1390.00")

    modification = modify(desk, three, wanted(price=D("1389.00")))
    reconcile(desk)

    three.refresh_from_db()
    assert (modification.state, three.status) == ("REFUSED", "FILLED")
    assert "being processed" in modification.state_reason


@pytest.mark.parametrize(("later", "state"), [(timedelta(0), "IN_DOUBT"), (timedelta(microseconds=1), "DID_NOT")])
def test_a_book_proves_that_it_did_not_come_about_once_it_was_read_late_enough(
    desk, three, wanted, wired, paper, later, state
):
    paper.fault("modify", "drop_before")
    modification = modify(desk, three, wanted())
    rules = desk.rules
    wait = timedelta(seconds=rules.send_within_seconds + rules.absence_window_seconds)
    moment = modification.sent_at + wait + later
    shows = BookGateway(orders=[report_of(three, "OPEN")])

    reconcile(wired(desk, gateway=shows, clock=lambda: moment))

    modification.refresh_from_db()
    assert modification.state == state


def test_while_the_broker_works_on_it_nothing_is_proved(desk, three, wanted, wired, clock, paper):
    paper.fault("modify", "ignore")
    modification = modify(desk, three, wanted())
    clock.advance(minutes=10)

    reconcile(wired(desk, gateway=BookGateway(orders=[report_of(three, "MODIFY PENDING")])))

    modification.refresh_from_db()
    assert modification.state == "ACCEPTED"


@pytest.mark.parametrize("fault", ["refuse_input", "drop_before"])
def test_one_taken_for_nothing_that_takes_effect_late_is_recognised_and_told(
    desk, three, wanted, wired, clock, paper, fault
):
    paper.fault("modify", fault)
    modification = modify(desk, three, wanted())
    clock.advance(seconds=123)
    reconcile(desk)

    reconcile(wired(desk, gateway=BookGateway(orders=[report_of(three, "OPEN", price=D(1391))])))

    modification.refresh_from_db()
    assert (modification.state, terms(three)) == ("TOOK_EFFECT", (3, D(1391)))
    assert Incident.objects.filter(kind="LATE_APPEARANCE").count() == 1


def test_one_that_was_overtaken_by_a_later_one_is_not_named_for_what_its_terms_are_again(desk, three, wanted, paper):
    paper.fault("modify", "refuse_input")
    modify(desk, three, wanted())
    modify(desk, three, wanted(price=D(1392)))
    reconcile(desk)
    paper.kite().modify_order("regular", three.broker_order_id, price=1391)

    reconcile(desk)

    assert notes(three)[-1].startswith(CHANGED_ELSEWHERE)


def test_an_order_that_ends_ends_its_modification(desk, three, wanted, paper):
    paper.fault("modify", "drop_before")
    modification = modify(desk, three, wanted())
    cancel(desk, three, by="priya", reason="no longer")

    reconcile(desk)

    modification.refresh_from_db()
    three.refresh_from_db()
    assert (three.status, modification.state) == ("CANCELLED", "DID_NOT")


def test_closing_a_past_day_ends_its_modification(desk, three, wanted, wired, clock, paper):
    paper.fault("modify", "drop_before")
    modification = modify(desk, three, wanted())
    clock.advance(days=1)

    by_hand.close_past_day(wired(desk, gateway=BookGateway()), three, by="priya", reason="seen")

    modification.refresh_from_db()
    assert modification.state == "DID_NOT"


def test_marking_an_order_as_filled_ends_its_modification(desk, three, wanted, wired, paper):
    """Else what it might take stays held back for ever: no book will tell of it any more."""
    paper.fault("modify", "drop_before")
    modification = modify(desk, three, wanted())

    by_hand.mark_filled(wired(desk, gateway=BookGateway()), three, in_full())

    modification.refresh_from_db()
    three.refresh_from_db()
    assert (three.status, modification.state) == ("FILLED", "DID_NOT")
    funds = observe(desk, "NSE", "RELIANCE", with_position=False, with_funds=True)
    assert book_of(desk, observed=funds).funds.committed == 0


def test_a_part_that_is_marked_leaves_the_modification_to_the_book(desk, three, wanted, wired):
    modification = modify(desk, three, wanted(quantity=5))

    by_hand.mark_filled(wired(desk, gateway=BookGateway()), three, in_full())

    modification.refresh_from_db()
    three.refresh_from_db()
    assert (three.status, three.filled_quantity, modification.state) == ("OPEN", 3, "ACCEPTED")


def in_full():
    return by_hand.HandFill(token="t", quantity=3, price=D(1390), by="asha", reason="the contract note")


# --- Both terms count -------------------------------------------------------------------------------------------------


def test_until_the_book_speaks_the_worse_of_both_terms_counts(desk, three, wanted, paper, clock):
    paper.fault("modify", "drop_before")
    modify(desk, three, wanted(quantity=5, price=D("1395.00")))

    holding = book_of(desk).holding
    assert (holding.working_buys, holding.highest_working_bid) == (5, D("1395.0000"))

    clock.advance(seconds=123)
    reconcile(desk)
    holding = book_of(desk).holding
    assert (holding.working_buys, holding.highest_working_bid) == (3, D("1390.0000"))


def test_what_shrinks_counts_in_full_until_the_book_shows_it(desk, three, wanted, paper):
    modify(desk, three, wanted(quantity=1, price=D("1385.00")))
    holding = book_of(desk).holding
    assert (holding.working_buys, holding.highest_working_bid) == (3, D("1390.0000"))

    reconcile(desk)

    holding = book_of(desk).holding
    assert (holding.working_buys, holding.highest_working_bid) == (1, D("1385.0000"))


def test_an_order_cannot_use_the_room_that_a_modification_in_doubt_may_have_taken(desk, three, wanted, wish, paper):
    """5 at 1,400.00 are 7,000.00: beside them there is room for 2 more of 10,000.00, and for 4 beside 3."""
    open_the_limits(position_value_max=D(10_000))
    paper.fault("modify", "drop_before")
    modify(desk, three, wanted(quantity=5))

    with pytest.raises(OrderDenied, match="POSITION_VALUE_EXCEEDED"):
        decide_manual(desk, wish(quantity=3, limit_price=D("1390.00")))
    assert decide_manual(desk, wish(quantity=2, limit_price=D("1390.00")))


def test_another_symbol_sees_the_worse_of_both_terms(desk, three, wanted, paper):
    paper.fault("modify", "drop_before")
    modify(desk, three, wanted(quantity=5, price=D("1395.00")))
    control, infy = TradingControl.objects.get(mode=desk.mode), Instrument.objects.get(symbol="INFY", exchange="NSE")
    limits = limit_versions.for_instrument("NSE", "INFY", now=desk.clock())

    (other,) = snapshot(desk, control, infy, NOTHING_OBSERVED, limits=limits, now=desk.clock()).others

    assert (other.working_buys, other.price) == (5, D("1395.0000"))


def test_money_that_a_modification_may_take_is_committed_until_the_funds_are_read_anew(desk, three, wanted, clock):
    observed = observe(desk, "NSE", "RELIANCE", with_position=False, with_funds=True)
    modify(desk, three, wanted(quantity=5, price=D("1390.00")))
    assert book_of(desk, observed=observed).funds.committed == 2 * 1390

    reconcile(desk)

    assert book_of(desk, observed=observed).funds.committed == 2 * 1390
    clock.advance(seconds=1)
    observed = observe(desk, "NSE", "RELIANCE", with_position=False, with_funds=True)
    assert book_of(desk, observed=observed).funds.committed == 0


def test_an_exit_leaves_to_a_modified_sale_what_that_may_sell(desk, held, resting, wanted, paper):
    position = held(5)
    sale = resting_sale(desk, paper, 2)
    paper.fault("modify", "drop_before")
    modify(desk, sale, wanted(quantity=4, price=D("1450.00")))

    order = by_hand.exit_position(desk, position, token="exit", by="priya")

    assert order.quantity == 1


def test_fills_beyond_the_terms_before_are_no_overfill_and_no_end_while_a_modification_is_under_way(
    desk, three, wanted, wired
):
    """The orders were read before it took effect, and the trades after it."""
    modify(desk, three, wanted(quantity=5))
    before = report_of(three, "OPEN", filled_quantity=3)
    trades = [trade_of(three, "T1", 4)]

    reconcile(wired(desk, gateway=BookGateway(orders=[before], trades=trades)))
    three.refresh_from_db()
    assert (three.status, three.filled_quantity) == ("PARTIALLY_FILLED", 4)
    assert not Incident.objects.filter(kind="OVERFILL").exists()

    after = report_of(three, "COMPLETE", quantity=5, filled_quantity=5, price=D(1391))
    reconcile(wired(desk, gateway=BookGateway(orders=[after], trades=[*trades, trade_of(three, "T2", 1)])))
    three.refresh_from_db()
    assert (three.status, three.filled_quantity, three.quantity) == ("FILLED", 5, 5)


def test_an_order_that_completed_with_its_terms_before_is_filled(desk, three, wanted, wired, paper):
    paper.fault("modify", "drop_before")
    modification = modify(desk, three, wanted(quantity=5))
    done = report_of(three, "COMPLETE", filled_quantity=3)

    reconcile(wired(desk, gateway=BookGateway(orders=[done], trades=[trade_of(three, "T1", 3)])))

    modification.refresh_from_db()
    three.refresh_from_db()
    assert (three.status, modification.state) == ("FILLED", "DID_NOT")


# --- What the risk desk says ------------------------------------------------------------------------------------------


def resting_sale(desk, paper, quantity):
    wish = by_hand.ManualOrder(
        token="sale",
        side=Side.SELL,
        exchange="NSE",
        symbol="RELIANCE",
        quantity=quantity,
        order_type=by_hand.OrderType.LIMIT,
        limit_price=D("1450.00"),
        by="priya",
    )
    order = by_hand.place(desk, wish)
    reconcile(desk)
    order.refresh_from_db()
    return order


def denied(desk, order, wish):
    with pytest.raises(OrderDenied) as denial:
        modify(desk, order, wish)
    assert not order.modifications.exists()
    return {verdict["control"] for verdict in denial.value.decision.verdicts if not verdict["passed"]}


def test_a_modification_beyond_a_limit_is_denied_with_every_verdict_and_not_sent(desk, three, wanted, paper):
    open_the_limits(order_value_max=D(5_600), position_value_max=D(10_000))

    assert denied(desk, three, wanted(quantity=5)) == {"ORDER_VALUE_EXCEEDED"}
    assert modified(paper) == []
    assert (Decision.objects.first().actor, Decision.objects.first().outcome) == ("priya", "DENIED")
    assert modify(desk, three, wanted(quantity=4)).state == "ACCEPTED"  # 5,564.00


def test_its_own_rest_is_no_part_of_the_book_that_it_joins(desk, three, wanted):
    """7 at 1,400.00 are 9,800.00 of 10,000.00; beside the 3 that it has they would be 14,000.00."""
    open_the_limits(position_value_max=D(10_000))

    assert denied(desk, three, wanted(quantity=8)) == {"POSITION_VALUE_EXCEEDED"}
    assert modify(desk, three, wanted(quantity=7)).state == "ACCEPTED"


def test_what_is_filled_of_it_counts_as_held_and_its_rest_once(desk, three, wanted, paper, wired):
    open_the_limits(position_value_max=D(10_000))
    part = BookGateway(orders=[report_of(three, "OPEN", filled_quantity=2)], trades=[trade_of(three, "T1", 2)])
    reconcile(wired(desk, gateway=part))

    assert denied(desk, three, wanted(quantity=8)) == {"POSITION_VALUE_EXCEEDED"}
    assert modify(desk, three, wanted(quantity=7)).decision.facts["proposed"]["quantity"] == 5


def test_a_modification_is_no_trade_no_duplicate_and_no_order_more(desk, three, wanted):
    open_the_limits(daily_trades_max=1, duplicate_window_seconds=600, symbol_open_orders_max=1, open_orders_max=1)

    assert modify(desk, three, wanted()).state == "ACCEPTED"


def test_in_reduce_only_an_opening_order_may_only_shrink_or_go_farther(desk, three, wanted):
    switch.reduce_only(desk.mode, by="rita", reason="enough", now=desk.clock())

    assert denied(desk, three, wanted(price=D("1390.10"))) == {"TRADING_REDUCE_ONLY"}
    assert denied(desk, three, wanted(quantity=4, price=D("1380.00"))) == {"TRADING_REDUCE_ONLY"}
    assert modify(desk, three, wanted(quantity=2, price=D("1389.90"))).state == "ACCEPTED"


def test_in_a_halt_nothing_is_modified(desk, three, wanted):
    switch.halt(desk.mode, by="rita", reason="stop", now=desk.clock())

    assert denied(desk, three, wanted(quantity=2, price=D("1380.00"))) == {"TRADING_HALTED"}


def test_a_sale_may_be_modified_to_all_that_is_held_and_no_further(desk, held, wanted, paper):
    held(3)
    sale = resting_sale(desk, paper, 2)

    assert "SHORT_NOT_ALLOWED" in denied(desk, sale, wanted(quantity=4, price=D("1450.00")))
    assert modify(desk, sale, wanted(quantity=3, price=D("1440.00"))).state == "ACCEPTED"


def test_what_closes_passes_limits_on_opening_and_the_wider_collar(desk, held, wanted, paper):
    held(3)
    sale = resting_sale(desk, paper, 2)
    open_the_limits(order_value_max=D(1), position_value_max=D(1), closing_collar_percent=D(5))
    switch.reduce_only(desk.mode, by="rita", reason="enough", now=desk.clock())

    assert denied(desk, sale, wanted(price=D("1329.90"))) == {"PRICE_COLLAR_EXCEEDED"}
    assert modify(desk, sale, wanted(quantity=3, price=D("1330.00"))).state == "ACCEPTED"


@pytest.mark.parametrize(("done", "refused"), [(19, set()), (20, {"MODIFY_LIMIT"})])
def test_the_last_modifications_that_the_broker_takes_are_kept_for_what_closes(desk, three, wanted, done, refused):
    for _ in range(done):
        three.note(f"{CHANGED_ELSEWHERE}: 3 at 1390", at=desk.clock(), actor="broker")

    if refused:
        assert denied(desk, three, wanted()) == refused
    else:
        assert modify(desk, three, wanted()).state == "ACCEPTED"
        assert times_modified(three) == done + 1


def test_a_modification_counts_in_the_broker_s_second_and_not_in_its_day(desk, three, wanted, paper):
    before = traffic(desk, desk.clock())
    paper.fault("modify", "error_429")
    modify(desk, three, wanted())

    after = traffic(desk, desk.clock())
    assert (len(after.placed), after.today) == (len(before.placed) + 1, before.today)
    assert after.turned_away_at is not None


def test_one_that_opens_is_refused_for_want_of_room_and_one_that_shrinks_waits(desk, three, wanted, wired, clock):
    open_the_limits(orders_per_second_max=1)
    now = clock() + timedelta(seconds=20)  # counts as now for as long as this test takes
    Order.objects.filter(pk=three.pk).update(submitted_at=now)
    three.events.model.objects.create(order=three, at=now, actor="x", before="SUBMITTING", after="OPEN")

    assert denied(desk, three, wanted()) == {"RATE_LIMIT_EXCEEDED"}
    assert modify(desk, three, wanted(quantity=2, price=None)).state == "ACCEPTED"


@pytest.mark.parametrize(
    ("change", "paused", "state"),
    [({"quantity": 2, "price": None}, [1.0], "ACCEPTED"), ({"quantity": 4, "price": None}, [], "WITHDRAWN")],
)
def test_when_the_second_fills_up_after_the_decision_what_opens_is_withdrawn_and_the_rest_waits(
    desk, three, wanted, wired, monkeypatch, change, paused, state
):
    still = StillClock().at_noon()
    full = Traffic(placed=(still(),) * 10)
    monkeypatch.setattr("orders.governor.traffic", lambda *_: full)

    modification = modify(wired(desk, clock=still, pause=still.pause), three, wanted(**change))

    assert (modification.state, still.paused) == (state, paused)


# --- What cannot be modified ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"status": "SUBMITTING"}, "it is submitting: only what works"),
        ({"status": "IN_DOUBT"}, "it is in doubt: only what works"),
        ({"status": "FILLED"}, "it is filled: only what works"),
        ({"status": "CANCELLED"}, "it is cancelled: only what works"),
        ({"order_type": "MARKET", "price": None}, "it is a MARKET order"),
        ({"cancel_requested_at": "2026-11-23T10:00:00Z"}, "its cancel was asked for"),
        ({"origin": Origin.EXTERNAL.value}, "it was placed elsewhere"),
        ({"trading_date": "2026-11-20"}, "it is of another day"),
        ({"broker_status": "CANCEL PENDING"}, "the broker shows it as CANCEL PENDING"),
        ({"broker_status": ""}, "the book lacks it as yet"),
    ],
)
def test_an_order_that_cannot_be_modified_says_why(desk, three, wanted, paper, changes, sentence):
    Order.objects.filter(pk=three.pk).update(**changes)

    with pytest.raises(ModificationRefused, match=sentence):
        modify(desk, three, wanted())

    assert modified(paper) == []
    assert not OrderModification.objects.exists()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"quantity": 0}, "the quantity is 0"),
        ({"quantity": -3}, "the quantity is -3"),
        ({"quantity": 10_000_001}, "give 1 to 10000000 shares"),
        ({"price": D(0)}, "the limit price is 0"),
        ({"price": D("NaN")}, "the limit price is NaN"),
        ({"price": D("Infinity")}, "the limit price is Infinity"),
        ({"price": D(1390)}, "has this quantity and price already"),
        ({"price": None}, "has this quantity and price already"),
        ({"reason": "  "}, "say why"),
    ],
)
def test_terms_that_no_order_can_have_are_refused(desk, three, wanted, change, sentence):
    with pytest.raises(ModificationRefused, match=sentence):
        modify(desk, three, wanted(**change))


@pytest.mark.parametrize("quantity", [1, 2])
def test_a_quantity_that_is_filled_already_is_refused_and_one_more_is_not(desk, three, wanted, wired, quantity):
    part = BookGateway(orders=[report_of(three, "OPEN", filled_quantity=2)], trades=[trade_of(three, "T1", 2)])
    reconcile(wired(desk, gateway=part))

    with pytest.raises(ModificationRefused, match="2 are filled already"):
        modify(desk, three, wanted(quantity=quantity))


def test_a_second_modification_waits_for_the_book(desk, three, wanted, paper):
    modify(desk, three, wanted())

    with pytest.raises(ModificationRefused, match=r"being modified already, to 3 at 1391\.00 .* as priya asked"):
        modify(desk, three, wanted(price=D(1392), by="tom"))

    assert modified(paper) == [(3, 1391)]


def test_a_form_sent_twice_is_one_modification_and_no_other_order_s(desk, three, resting, wanted, paper):
    wish = wanted()

    assert modify(desk, three, wish) == modify(desk, three, wish)
    assert modified(paper) == [(3, 1391)]
    with pytest.raises(ModificationRefused, match="another order"):
        modify(desk, resting(symbol="INFY"), wish)


def test_an_order_of_the_other_mode_is_left_alone(desk, three, wanted):
    Order.objects.filter(pk=three.pk).update(mode="LIVE")
    three.refresh_from_db()

    with pytest.raises(OtherMode):
        modify(desk, three, wanted())


# --- Between the decision and the wire --------------------------------------------------------------------------------


class Died(BaseException):
    """The process ends here, as kill -9 would end it."""


@pytest.fixture
def written(desk, three, wanted, monkeypatch):
    """A modification written down by a process that died before it was sent."""

    def make(**changes):
        def die(*_):
            raise Died

        with monkeypatch.context() as dying:
            dying.setattr(modifying, "_send", die)
            with pytest.raises(Died):
                modify(desk, three, wanted(token="again", **changes))
        return OrderModification.objects.get()

    return make


def sent_again(desk, order, wanted):
    return modify(desk, order, wanted(token="again"))


def test_what_was_written_down_and_not_sent_is_sent_when_asked_again(desk, three, written, wanted, paper):
    assert written().state == "WISHED"

    assert sent_again(desk, three, wanted).state == "ACCEPTED"
    assert modified(paper) == [(3, 1391)]


def test_what_was_written_down_and_not_sent_is_withdrawn_when_it_is_too_old(desk, three, written, wanted, clock, paper):
    modification = written()
    finish_modifications(desk)
    modification.refresh_from_db()
    assert modification.state == "WISHED"

    clock.advance(seconds=6)
    finish_modifications(desk)

    assert sent_again(desk, three, wanted).state == "WITHDRAWN"
    assert modified(paper) == []


@pytest.mark.parametrize(
    ("happens", "reason"),
    [
        (lambda desk, order: order.request_cancel(by="tom", reason="x", at=desk.clock()), "its cancel was asked for"),
        (lambda desk, _: switch.halt(desk.mode, by="rita", reason="stop", now=desk.clock()), "trading was halted"),
        (
            lambda desk, _: switch.reduce_only(desk.mode, by="rita", reason="x", now=desk.clock()),
            "trading control changed",
        ),
        (lambda desk, order: Order.objects.filter(pk=order.pk).update(filled_quantity=3), "3 were filled meanwhile"),
        (lambda desk, order: Order.objects.filter(pk=order.pk).update(price=1380), "the order has other terms by now"),
        (lambda desk, order: Order.objects.filter(pk=order.pk).update(status="FILLED"), "it is filled"),
        (
            lambda desk, _: Incident.objects.open(
                "OVERFILL", mode="PAPER", title="odd", stops_opening=True, now=desk.clock()
            ),
            "an incident stops new exposure",
        ),
    ],
)
def test_what_happens_before_it_is_sent_withdraws_it(desk, three, written, wanted, paper, happens, reason):
    written()
    happens(desk, three)

    modification = sent_again(desk, three, wanted)

    assert modification.state == "WITHDRAWN"
    assert reason in modification.state_reason
    assert modified(paper) == []


def test_one_that_is_claimed_on_another_day_is_withdrawn(desk, three, wired, written, wanted, paper):
    """Written down at 23:59:59.9 in Mumbai, and claimed a moment after midnight."""
    written()
    before = datetime(2026, 11, 26, 18, 29, 59, 900_000, tzinfo=UTC)
    Order.objects.update(trading_date=before.date())

    after = wired(desk, clock=lambda: before + timedelta(seconds=0.2))

    modification = sent_again(after, three, wanted)
    assert (modification.state, modification.state_reason) == ("WITHDRAWN", "it is of another day")
    assert modified(paper) == []


def test_an_incident_does_not_keep_an_order_from_shrinking(desk, three, written, wanted, paper):
    written(quantity=2, price=D(1390))
    Incident.objects.open("OVERFILL", mode="PAPER", title="odd", stops_opening=True, now=desk.clock())

    assert sent_again(desk, three, wanted).state == "ACCEPTED"


def test_one_whose_sender_wakes_too_late_is_withdrawn_unsent(desk, three, wanted, wired, paper):
    late = wired(desk, rules=DeskRules(send_within_seconds=-1))

    modification = modify(late, three, wanted())

    assert modification.state == "WITHDRAWN"
    assert (modified(paper), times_modified(three)) == ([], 0)


@pytest.mark.parametrize(("when", "end"), [("before", "DID_NOT"), ("after", "TOOK_EFFECT")])
def test_one_whose_sender_died_is_in_doubt_and_then_what_the_book_says(
    desk, three, wanted, clock, paper, monkeypatch, when, end
):
    real, wish = KiteGateway.modify, wanted()

    def die(*arguments, **named):
        if when == "after":
            real(*arguments, **named)
        raise Died

    with monkeypatch.context() as dying:
        dying.setattr(KiteGateway, "modify", die)
        with pytest.raises(Died):
            modify(desk, three, wish)
    modification = OrderModification.objects.get()
    assert modification.state == "SENDING"
    assert modify(desk, three, wish).state == "SENDING"  # the browser's retry sends nothing

    clock.advance(seconds=13)
    finish_modifications(desk)
    modification.refresh_from_db()
    assert modification.state == "IN_DOUBT"
    clock.advance(seconds=123)
    reconcile(desk)

    modification.refresh_from_db()
    assert modification.state == end
    assert len(modified(paper)) == (1 if when == "after" else 0)


def test_a_book_that_is_read_before_the_answer_has_the_word(desk, three, wanted, wired):
    """The answer says that nobody knows, and the book has shown it already."""

    class Read(KiteGateway):
        def modify(self, broker_order_id, terms, *, send_by):
            super().modify(broker_order_id, terms, send_by=send_by)
            reconcile(desk)
            raise OutcomeUnknown("the line went dead")

    gateway = Read(api_key="paper", root=desk.gateway._root, access_token=desk.vault.token)
    modification = modify(wired(desk, gateway=gateway), three, wanted())
    gateway._client().reqsession.close()

    assert (modification.state, terms(three)) == ("TOOK_EFFECT", (3, D(1391)))
    assert not Incident.objects.exists()


def test_an_answer_that_comes_after_the_doubt_is_taken(desk, three, wanted, wired, clock):
    class Slow(KiteGateway):
        def modify(self, broker_order_id, terms, *, send_by):
            super().modify(broker_order_id, terms, send_by=send_by)
            clock.advance(seconds=13)
            finish_modifications(desk)

    gateway = Slow(api_key="paper", root=desk.gateway._root, access_token=desk.vault.token)
    modification = modify(wired(desk, gateway=gateway), three, wanted())
    gateway._client().reqsession.close()

    assert modification.state == "ACCEPTED"


def test_a_clock_that_was_set_back_lets_the_wait_begin_again(desk, three, wanted, wired, clock, paper):
    paper.fault("modify", "drop_before")
    clock.advance(minutes=10)
    reconcile(desk)
    modification = modify(desk, three, wanted())
    clock.advance(minutes=-10)

    finish_modifications(desk)
    clock.advance(seconds=123)
    reconcile(desk)

    modification.refresh_from_db()
    assert modification.state == "DID_NOT"


def test_nothing_is_sent_while_a_transaction_is_open(desk, three, wanted, monkeypatch):
    """It would be sent without being written down for good."""
    monkeypatch.setattr(transaction, "atomic", lambda **how: refuse_unless_durable(how))

    modify(desk, three, wanted())


@contextlib.contextmanager
def refuse_unless_durable(how):
    assert how == {"durable": True}
    yield


# --- The row ----------------------------------------------------------------------------------------------------------


def test_the_database_keeps_one_unfinished_modification_of_an_order(desk, three, wanted):
    modification = modify(desk, three, wanted())
    decision = Decision.objects.create(
        mode="PAPER", at=desk.clock(), outcome="APPROVED", facts={}, verdicts=[], limits_version=1, control_version=1
    )
    fields = {"quantity_before": 3, "price_before": 1, "quantity": 4, "price": 1, "written_at": desk.clock()}

    with pytest.raises(IntegrityError, match="modification_one_unfinished"), transaction.atomic():
        OrderModification.objects.create(
            order=three, decision=decision, token="x", asked_by="tom", reason="x", **fields
        )
    assert modification.is_unfinished


@pytest.mark.parametrize("said", [{"quantity": 9}, {"price": 9}, {"asked_by": "tom"}, {"reason": "x"}, {"token": "x"}])
def test_what_was_wished_cannot_be_rewritten_nor_deleted(desk, three, wanted, said):
    modification = modify(desk, three, wanted())
    rows = OrderModification.objects.filter(pk=modification.pk)

    with pytest.raises(ProgrammingError, match="Cannot update"), transaction.atomic():
        rows.update(**said)
    with pytest.raises(ProgrammingError, match="Cannot delete"), transaction.atomic():
        rows.delete()


def test_a_paper_book_with_modifications_can_be_forgotten(desk, three, wanted):
    modify(desk, three, wanted())

    forget_paper_book()

    assert not OrderModification.objects.exists()
