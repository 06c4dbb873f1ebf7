"""Sending, cancelling and stopping: once, or not at all, or in doubt; and two that want the same last room."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from orders import by_hand
from orders.broker.gateway import NotSent, OrderRefused, OutcomeUnknown
from orders.deciding import decide, decide_manual
from orders.execution import cancel, cancel_all, carry_out_cancel, doubt_overdue, halt, submit
from orders.lifecycle import OrderStatus
from orders.models import Order, Position, Signal
from orders.reconciliation import carry_out_cancels, reconcile
from risk import control as switch
from risk.models import Incident, Mode, RiskSettings, TradingControl
from tests.conftest import open_the_limits, statuses, switch_on

from .paper.paper_process import until
from .test_reconciliation import place_elsewhere
from .together import Together, direct_connection, held_up

pytestmark = pytest.mark.usefixtures("noon")


class Sender:
    """The desk's gateway, with something that happens in the moment of sending."""

    def __init__(self, gateway, happens):
        self.gateway, self.happens = gateway, happens

    def place(self, request, *, send_by):
        self.happens(request)
        return self.gateway.place(request, send_by=send_by)

    def __getattr__(self, name):
        return getattr(self.gateway, name)


class LooksBeforeCancels(Sender):
    """Looks, from another connection, at the switch and how many cancels are wished for, before each cancel leaves."""

    def __init__(self, gateway):
        super().__init__(gateway, None)
        self.seen = []

    def cancel(self, broker_order_id):
        with direct_connection() as other:
            state = other.execute("SELECT state FROM risk_tradingcontrol WHERE mode = 'PAPER'").fetchone()[0]
            wished = "SELECT count(*) FROM orders_order WHERE cancel_requested_at IS NOT NULL"
            self.seen += [state, other.execute(wished).fetchone()[0]]
        self.gateway.cancel(broker_order_id)


def raising(error):
    def happens(_request):
        raise error

    return happens


# --- The three outcomes ----------------------------------------------------------------------------------------------


def test_a_brokers_id_makes_it_open(desk, pending, paper):
    order = pending()

    submit(desk, order)

    assert statuses(order) == ["PENDING", "SUBMITTING", "OPEN"]
    assert paper.accepted() == [order.broker_order_id]
    assert order.sender == desk.sender
    assert order.submitted_at < order.answer_by


def test_a_refusal_is_the_end_with_the_brokers_reason(desk, pending, paper):
    order = pending()
    paper.fault("place", "refuse_margin")

    submit(desk, order)

    assert statuses(order) == ["PENDING", "SUBMITTING", "REJECTED"]
    assert order.status_reason.startswith("refused by the broker: Insufficient funds.")
    assert paper.accepted() == []
    assert TradingControl.objects.get(mode="PAPER").auto_trading


@pytest.mark.parametrize(
    ("fault", "placed"),
    [("drop_before", 0), ("drop_after", 1), ("error_503", 0), ("error_400_timeout_after", 1), ("empty_success", 1)],
)
def test_an_unknown_outcome_is_in_doubt_stops_signals_and_is_not_sent_again(
    desk, pending, paper, caplog, fault, placed
):
    order = pending()
    paper.fault("place", fault)

    with caplog.at_level(logging.CRITICAL):
        submit(desk, order)
        submit(desk, order)

    assert statuses(order) == ["PENDING", "SUBMITTING", "IN_DOUBT"]
    assert len(paper.accepted()) == placed
    assert not TradingControl.objects.get(mode="PAPER").auto_trading
    incident = Incident.objects.get()
    assert (incident.kind, incident.client_order_id) == ("ORDER_IN_DOUBT", order.client_order_id)
    assert "order.in_doubt" in [record.msg["event"] for record in caplog.records if record.levelname == "CRITICAL"]


def test_a_sender_that_wakes_too_late_has_sent_nothing_and_its_signal_is_decided_again(desk, pending, paper, wired):
    order = pending()
    late = wired(desk, rules=wired(desk.rules, send_within_seconds=-1.0))

    submit(late, order)

    assert statuses(order) == ["PENDING", "SUBMITTING", "WITHDRAWN"]
    assert paper.journal() == []
    assert Signal.objects.get().status == "RECEIVED"
    assert TradingControl.objects.get(mode="PAPER").auto_trading


@pytest.mark.django_db(transaction=True)
def test_the_attempt_is_committed_before_anything_is_sent(desk, pending, paper, wired):
    order = pending()
    seen = []

    def look(request):
        with direct_connection() as other:
            row = "SELECT status, sender, answer_by IS NOT NULL FROM orders_order WHERE client_order_id = %s"
            seen.append(other.execute(row, [request.tag]).fetchone())

    submit(wired(desk, gateway=Sender(desk.gateway, look)), order)

    assert seen == [("SUBMITTING", desk.sender, True)]
    assert order.status == "OPEN"


@pytest.mark.django_db(transaction=True)
def test_nobody_waits_for_the_lock_while_an_order_is_sent(desk, pending, wired):
    order = pending()
    free = []

    def look(_request):
        with direct_connection() as other:
            free.append(other.execute("SELECT mode FROM risk_tradingcontrol FOR UPDATE NOWAIT").fetchall())

    submit(wired(desk, gateway=Sender(desk.gateway, look)), order)

    assert len(free[0]) == len(Mode)


def test_the_book_may_bind_the_brokers_id_before_the_answer_does(desk, pending, wired, paper):
    class Slow(Sender):
        def place(self, request, *, send_by):
            broker_order_id = super().place(request, send_by=send_by)
            reconcile(desk)
            return broker_order_id

    order = pending()

    submit(wired(desk, gateway=Slow(desk.gateway, lambda _: None)), order)

    assert order.status == "FILLED"
    assert [order.broker_order_id] == paper.accepted()
    assert statuses(order)[-1] == "FILLED"


@pytest.mark.parametrize("error", [OrderRefused("said no"), OutcomeUnknown("nothing came")])
def test_what_the_sender_only_infers_yields_to_what_the_book_showed_before(desk, resting, wish, wired, error):
    """The book was read between the sending and the answer, and shows the order as working."""

    class Wrong(Sender):
        def place(self, request, *, send_by):
            super().place(request, send_by=send_by)
            reconcile(desk)
            raise error

    order = decide_manual(desk, wish(limit_price=Decimal("1390.00")))

    submit(wired(desk, gateway=Wrong(desk.gateway, lambda _: None)), order)

    assert order.status == "OPEN"
    assert not Incident.objects.exists()


# --- Still wanted? ---------------------------------------------------------------------------------------------------


def halted(desk, clock):
    switch.halt("PAPER", by="priya", reason="test", now=clock())


def auto_off(desk, clock):
    switch.auto_trading_off("PAPER", by="priya", reason="test", now=clock())


def switched_off_and_on(desk, clock):
    auto_off(desk, clock)
    switch_on(desk)


def limits_changed(desk, clock):
    RiskSettings.objects.update(version=2)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (halted, "trading was halted"),
        (auto_off, "auto-trading was turned off"),
        (switched_off_and_on, "trading control changed after the decision"),
        (limits_changed, "the limits changed after the decision"),
    ],
)
def test_what_is_not_wanted_any_more_is_withdrawn_unsent_and_decided_again(desk, pending, paper, clock, change, reason):
    order = pending()
    change(desk, clock)

    submit(desk, order)

    assert (order.status, order.status_reason) == ("WITHDRAWN", reason)
    assert paper.journal() == []
    signal = Signal.objects.get()
    assert (signal.status, signal.reason) == ("RECEIVED", f"to be decided again: {reason}")


@pytest.mark.parametrize("change", [halted, auto_off, switched_off_and_on, limits_changed])
def test_nothing_that_staff_change_in_the_same_moment_keeps_an_exit_from_going(desk, held, clock, change):
    exit_order = decide_manual(desk, by_hand.exit_wish(desk, held(2), token="t", by="tara"))
    change(desk, clock)

    submit(desk, exit_order)

    assert exit_order.status == "OPEN"


def test_an_order_by_hand_goes_although_auto_trading_is_off(desk, wish, paper, clock):
    auto_off(desk, clock)

    submit(desk, decide_manual(desk, wish()))

    assert len(paper.accepted()) == 1


def test_a_decision_does_not_outlive_its_date_in_mumbai(desk, wish, wired, paper):
    before = datetime(2026, 11, 23, 18, 29, 59, tzinfo=UTC)
    order = decide_manual(desk, wish())
    Order.objects.filter(pk=order.pk).update(created_at=before, trading_date="2026-11-23")

    submit(wired(desk, clock=lambda: before + timedelta(seconds=1)), order)

    assert (order.status, order.status_reason) == ("WITHDRAWN", "it was decided on another trading date")
    assert paper.journal() == []


@pytest.mark.parametrize(("age", "sent"), [(5.0, 1), (5.000001, 0)])
def test_a_decision_is_good_for_five_seconds_and_not_for_more(desk, pending, wired, paper, age, sent):
    order = pending()

    submit(wired(desk, clock=lambda: order.created_at + timedelta(seconds=age)), order)

    assert len(paper.accepted()) == sent
    if not sent:
        assert (order.status, order.status_reason) == ("WITHDRAWN", "the decision is too old")
        assert Signal.objects.get().status == "RECEIVED"


def test_a_signal_whose_order_was_withdrawn_is_decided_again_under_a_new_id(desk, pending, clock, paper):
    first = pending()
    clock.advance(seconds=6)
    submit(desk, first)

    second = decide(desk, Signal.objects.get())
    submit(desk, second)

    assert (second.attempt, second.status) == (2, "OPEN")
    assert second.client_order_id != first.client_order_id
    assert [row["tag"] for row in paper.journal() if row["event"] == "accepted"] == [second.client_order_id]


def test_a_signal_that_is_withdrawn_five_times_is_failed_and_an_incident(desk, received, clock, paper):
    signal = received()
    for _ in range(5):
        order = decide(desk, signal)
        clock.advance(seconds=6)
        submit(desk, order)

    assert decide(desk, signal) is None

    signal.refresh_from_db()
    assert signal.status == "FAILED"
    assert signal.reason == "none of its 5 orders came about: the orders of this signal show why"
    assert Incident.objects.get().kind == "SIGNAL_FAILED"
    assert paper.journal() == []


def test_an_order_of_another_mode_is_not_sent(desk, pending, wired, paper):
    order = pending()

    submit(wired(desk, mode="LIVE"), order)

    assert order.status == "WITHDRAWN"
    assert paper.journal() == []


@pytest.mark.parametrize("status", sorted(set(OrderStatus) - {OrderStatus.PENDING}))
def test_what_is_not_pending_is_not_sent(desk, pending, paper, status):
    order = pending()
    Order.objects.filter(pk=order.pk).update(status=status)

    submit(desk, order)

    order.refresh_from_db()
    assert order.status == status
    assert paper.journal() == []


def test_an_order_on_its_way_is_not_withdrawn_by_a_second_sender(desk, pending, clock, paper):
    order = pending()
    Order.objects.filter(pk=order.pk).update(status="SUBMITTING")
    clock.advance(seconds=6)  # its decision is too old to be sent now

    submit(desk, order)

    order.refresh_from_db()
    assert order.status == "SUBMITTING"
    assert paper.journal() == []


@pytest.mark.django_db(transaction=True)
def test_two_that_send_one_order_place_it_once(desk, pending, paper):
    order = pending()
    copies = [Order.objects.get(pk=order.pk), Order.objects.get(pk=order.pk)]

    with held_up("orders_orderevent") as wait_for:
        both = Together(*[lambda copy=copy: submit(desk, copy) for copy in copies])
        wait_for(2)
    results = both.join()

    assert all(isinstance(result, Order) for result in results)
    assert len(paper.accepted()) == 1
    assert statuses(order) == ["PENDING", "SUBMITTING", "OPEN"]


# --- A sender that died ----------------------------------------------------------------------------------------------


def test_an_order_whose_answer_is_overdue_is_in_doubt_and_not_before(desk, pending, wired, paper):
    order = pending()
    now = order.created_at
    order.advance("SUBMITTING", at=now, note="sending", sender="gone", submitted_at=now, answer_by=now)

    assert doubt_overdue(wired(desk, clock=lambda: now)) == []
    assert doubt_overdue(wired(desk, clock=lambda: now + timedelta(microseconds=1))) == [order]

    order.refresh_from_db()
    assert (order.status, order.status_reason) == ("IN_DOUBT", "gone did not say how the sending ended")
    assert Incident.objects.get().kind == "ORDER_IN_DOUBT"
    assert paper.journal() == []


def test_a_sender_that_died_while_sending_leaves_an_order_that_gets_in_doubt(desk, pending, wired, clock, paper):
    order = pending()
    with pytest.raises(KeyboardInterrupt):
        submit(wired(desk, gateway=Sender(desk.gateway, raising(KeyboardInterrupt()))), order)
    order.refresh_from_db()
    assert order.status == "SUBMITTING"

    doubt_overdue(desk)
    order.refresh_from_db()
    assert order.status == "SUBMITTING"
    clock.advance(seconds=12.1)
    doubt_overdue(desk)

    order.refresh_from_db()
    assert order.status == "IN_DOUBT"


def test_a_late_answer_still_binds_the_brokers_id(desk, pending, wired, paper, clock):
    class Paused(Sender):
        def place(self, request, *, send_by):
            broker_order_id = super().place(request, send_by=send_by)
            clock.advance(seconds=20)
            doubt_overdue(desk)
            return broker_order_id

    order = pending()

    submit(wired(desk, gateway=Paused(desk.gateway, lambda _: None)), order)

    assert statuses(order) == ["PENDING", "SUBMITTING", "IN_DOUBT", "OPEN"]
    assert [order.broker_order_id] == paper.accepted()


def test_an_order_in_doubt_that_was_sent_too_late_stays_in_doubt(desk, pending, wired, clock):
    def pause(_request):
        clock.advance(seconds=20)
        doubt_overdue(desk)
        raise NotSent("woke too late")

    order = pending()

    submit(wired(desk, gateway=Sender(desk.gateway, pause)), order)

    assert order.status == "IN_DOUBT"


# --- Cancelling ------------------------------------------------------------------------------------------------------


def test_an_unsent_order_is_withdrawn_at_once(desk, pending, paper):
    order = pending()

    cancel(desk, order, by="priya", reason="changed my mind")

    assert (order.status, order.cancel_requested_by, order.cancel_reason) == ("WITHDRAWN", "priya", "changed my mind")
    submit(desk, order)
    assert paper.journal() == []
    assert Signal.objects.get().status == "APPROVED"  # it is not decided again


def test_a_resting_order_is_cancelled_only_when_the_book_says_so(desk, resting, paper):
    order = resting()

    cancel(desk, order, by="priya", reason="changed my mind")

    assert [row["event"] for row in paper.journal()] == ["accepted", "cancelled"]
    assert order.status == "OPEN"
    reconcile(desk)
    order.refresh_from_db()
    assert order.status == "CANCELLED"


@pytest.mark.parametrize("fault", ["drop_before", "drop_after", "error_503", "error_429", "refuse_input", "token"])
def test_a_cancel_that_failed_is_repeated_until_the_book_shows_it(desk, resting, paper, clock, fault):
    order = resting()
    paper.fault("cancel", fault)
    cancel(desk, order, by="priya", reason="changed my mind")
    assert order.status == "OPEN"

    assert carry_out_cancels(desk) == 0  # not yet: it was tried just now
    clock.advance(seconds=2.1)
    assert carry_out_cancels(desk) == 1
    reconcile(desk)
    clock.advance(seconds=2.1)
    assert carry_out_cancels(desk) == 0

    order.refresh_from_db()
    assert order.status == "CANCELLED"


def test_an_order_that_filled_first_is_filled_and_not_cancelled(desk, resting, paper):
    order = resting()
    paper.set_price("NSE:RELIANCE", "1390.00")

    cancel(desk, order, by="priya", reason="changed my mind")
    reconcile(desk)

    order.refresh_from_db()
    assert (order.status, order.filled_quantity) == ("FILLED", 1)


def test_the_first_who_asked_for_the_cancel_is_remembered(desk, resting, paper):
    order = resting()
    paper.fault("cancel", "drop_before")

    cancel(desk, order, by="priya", reason="first")
    cancel(desk, order, by="arun", reason="second")

    assert (order.cancel_requested_by, order.cancel_reason) == ("priya", "first")


def test_a_cancel_wished_for_while_sending_is_carried_out_once_the_id_is_known(desk, wish, wired, paper, clock):
    def ask(_request):
        cancel(desk, Order.objects.get(), by="priya", reason="changed my mind")

    order = decide_manual(desk, wish(limit_price=Decimal("1390.00")))

    submit(wired(desk, gateway=Sender(desk.gateway, ask)), order)
    assert [row["event"] for row in paper.journal()] == ["accepted", "cancelled"]
    reconcile(desk)

    order.refresh_from_db()
    assert order.status == "CANCELLED"


def test_a_cancel_wished_for_in_doubt_is_carried_out_once_the_book_shows_the_id(desk, wish, paper, clock):
    order = decide_manual(desk, wish(limit_price=Decimal("1390.00")))
    paper.fault("place", "drop_after")
    submit(desk, order)

    cancel(desk, order, by="priya", reason="changed my mind")
    assert order.status == "IN_DOUBT"
    assert carry_out_cancels(desk) == 0
    reconcile(desk)  # which shows the id, and sends the cancel at once
    reconcile(desk)

    order.refresh_from_db()
    assert order.status == "CANCELLED"


def test_nothing_is_cancelled_that_nobody_wished_to(desk, resting, paper):
    order = resting()

    carry_out_cancel(desk, order)

    assert [row["event"] for row in paper.journal()] == ["accepted"]


def test_a_finished_order_is_not_cancelled(desk, wish, paper):
    order = submit(desk, decide_manual(desk, wish()))
    reconcile(desk)

    cancel(desk, order, by="priya", reason="changed my mind")

    assert (order.status, order.cancel_requested_at) == ("FILLED", None)


def test_cancelling_all_asks_for_every_unfinished_order(desk, resting, pending, paper):
    unsent, first, second = pending(), resting(), resting(symbol="INFY")

    cancel_all(desk, by="priya", reason="enough")
    reconcile(desk)

    ends = [Order.objects.get(pk=order.pk).status for order in (first, second, unsent)]
    assert ends == ["CANCELLED", "CANCELLED", "WITHDRAWN"]


@pytest.mark.django_db(transaction=True)
def test_a_halt_is_committed_before_any_cancel_leaves(desk, resting, wired):
    resting()
    looking = LooksBeforeCancels(desk.gateway)

    halt(wired(desk, gateway=looking), by="priya", reason="enough")

    assert looking.seen == ["HALTED", 1]


def test_a_halt_holds_although_the_broker_cannot_be_reached(desk, resting, paper, clock):
    order = resting()
    paper.fault("cancel", "drop_before", times=3)

    halt(desk, by="priya", reason="enough")

    assert TradingControl.objects.get(mode="PAPER").state == "HALTED"
    order.refresh_from_db()
    assert (order.status, order.cancel_reason) == ("OPEN", "trading halted: enough")
    for _ in range(3):
        clock.advance(seconds=3)
        carry_out_cancels(desk)
    reconcile(desk)
    order.refresh_from_db()
    assert order.status == "CANCELLED"


# --- The lock --------------------------------------------------------------------------------------------------------


def decide_at_once(desk, signals):
    """Let all of them be decided at the same moment: none may write its decision before every one has got so far."""
    with held_up("orders_decision") as wait_for:
        deciders = Together(*[lambda signal=signal: decide(desk, signal) for signal in signals])
        wait_for(len(signals))
    return deciders.join()


@pytest.mark.django_db(transaction=True)
def test_two_signals_cannot_share_the_last_trade_of_the_day(desk, received, paper):
    open_the_limits(daily_trades_max=1)
    signals = [received(), received(symbol="INFY")]

    decide_at_once(desk, signals)

    ends = sorted((signal.status, signal.reason) for signal in Signal.objects.all())
    assert [status for status, _ in ends] == ["APPROVED", "DENIED"]
    assert "DAILY_TRADES_EXCEEDED: 1 trades today, the limit is 1" in ends[1][1]
    assert Order.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_signals_cannot_share_the_same_headroom(desk, received, clock):
    open_the_limits(position_value_max=Decimal("2813.99"))  # one share at 1,407.00, and not two
    same_moment = clock().isoformat()
    signals = [received(timestamp=same_moment), received(timestamp=same_moment)]

    decide_at_once(desk, signals)

    ends = sorted((signal.status, signal.reason) for signal in Signal.objects.all())
    assert [status for status, _ in ends] == ["APPROVED", "DENIED"]
    assert ends[1][1].startswith("POSITION_VALUE_EXCEEDED")


@pytest.mark.django_db(transaction=True)
def test_with_room_for_two_both_of_two_signals_get_theirs(desk, received):
    open_the_limits(gross_exposure_max=Decimal("2914.50"))  # 1,407.00 and 1,507.50 INR

    decide_at_once(desk, [received(), received(symbol="INFY")])

    assert [signal.status for signal in Signal.objects.all()] == ["APPROVED", "APPROVED"]


@pytest.mark.django_db(transaction=True)
def test_two_that_decide_one_signal_make_one_order(desk, received, paper):
    signal = received()
    copies = [Signal.objects.get(pk=signal.pk), Signal.objects.get(pk=signal.pk)]

    decided = decide_at_once(desk, copies)

    assert sorted(order is not None for order in decided) == [False, True]
    assert Order.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_one_form_sent_twice_at_once_makes_one_order(desk, wish):
    form = wish()

    with held_up("orders_decision") as wait_for:
        both = Together(lambda: decide_manual(desk, form), lambda: decide_manual(desk, form))
        wait_for(2)
    first, second = both.join()

    assert first == second == Order.objects.get()


@pytest.mark.django_db(transaction=True)
def test_two_that_read_the_book_at_once_count_a_fill_once(desk, wish, paper):
    submit(desk, decide_manual(desk, wish(quantity=2)))

    with held_up("orders_orderevent") as wait_for:
        both = Together(lambda: reconcile(desk), lambda: reconcile(desk))
        wait_for(2)
    results = both.join()

    assert not [result for result in results if isinstance(result, Exception)]
    assert Position.objects.get().quantity == 2
    assert Order.objects.get().fills.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_halt_while_an_order_waits_for_the_lock_withdraws_it(desk, pending, paper, clock):
    order = pending()
    with direct_connection() as other, other.transaction():
        other.execute("SELECT 1 FROM risk_tradingcontrol WHERE mode = 'PAPER' FOR UPDATE")
        sending = Together(lambda: submit(desk, order))
        until(waiting_for_a_lock)
        other.execute("UPDATE risk_tradingcontrol SET state = 'HALTED', version = version + 1 WHERE mode = 'PAPER'")
    sending.join()

    assert (order.status, order.status_reason) == ("WITHDRAWN", "trading was halted")
    assert paper.journal() == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("whose", ["ours", "somebody else's"])
def test_while_somebody_holds_the_lock_the_book_stands_still(desk, wish, paper, whose):
    if whose == "ours":
        submit(desk, decide_manual(desk, wish()))
    else:
        place_elsewhere(paper)
    before = list(Order.objects.values())
    with direct_connection() as other, other.transaction():
        other.execute("SELECT 1 FROM risk_tradingcontrol WHERE mode = 'PAPER' FOR UPDATE")
        reading = Together(lambda: reconcile(desk))
        until(waiting_for_a_lock)
        seen = list(Order.objects.values())
    reading.join()

    assert seen == before
    assert Order.objects.get().status == "FILLED"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("fault", "end"), [(None, "OPEN"), ("refuse_margin", "REJECTED"), ("drop_before", "IN_DOUBT")])
def test_an_answer_is_written_down_under_the_lock(desk, pending, paper, wired, fault, end):
    order = pending()
    with direct_connection() as other:

        def take_the_lock(_request):
            other.execute("BEGIN")
            other.execute("SELECT 1 FROM risk_tradingcontrol WHERE mode = 'PAPER' FOR UPDATE")

        if fault:
            paper.fault("place", fault)
        sending = Together(lambda: submit(wired(desk, gateway=Sender(desk.gateway, take_the_lock)), order))
        until(waiting_for_a_lock)
        now = Order.objects.get()
        other.execute("COMMIT")
    sending.join()

    assert (now.status, now.broker_order_id) == ("SUBMITTING", "")
    assert order.status == end


def waiting_for_a_lock() -> bool:
    with direct_connection() as watcher:
        return watcher.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()[0] > 0
