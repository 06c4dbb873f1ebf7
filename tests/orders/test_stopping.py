"""Reduce only with the cancels it asks for, what is kept of each cancel, and what still works."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from orders import by_hand, execution
from orders.deciding import decide_manual
from orders.execution import cancel, halt, submit
from orders.models import BrokerSession, ExecutorHeartbeat, Order
from orders.reconciliation import _cancel_is_due, carry_out_cancels, reconcile
from orders.remaining import as_text, channels, line_of, remaining
from orders.stopping import reduce_only
from risk.engine.facts import Side
from risk.models import TradingControl
from tests.conftest import open_the_limits

from .test_execution import LooksBeforeCancels, Sender

pytestmark = pytest.mark.usefixtures("noon")

D = Decimal


def control():
    return TradingControl.objects.get(mode="PAPER")


def refused(order):
    return list(order.events.filter(note__startswith="cancel not taken").values_list("note", flat=True))


def test_reduce_only_cancels_what_would_open_and_leaves_what_closes(desk, held, wish, resting):
    held(3)
    entry = resting()
    unsent = decide_manual(desk, wish(limit_price=D("1380.00")))
    sale = by_hand.place(desk, wish(side=Side.SELL, limit_price=D("1450.00")))

    asked = reduce_only(desk, by="priya", reason="big news")
    reconcile(desk)

    assert {order.pk for order in asked} == {entry.pk, unsent.pk}
    for order in (entry, unsent, sale):
        order.refresh_from_db()
    assert (control().state, control().reason) == ("REDUCE_ONLY", "big news")
    assert [entry.status, unsent.status, sale.status] == ["CANCELLED", "WITHDRAWN", "OPEN"]
    assert entry.cancel_reason == "reduce only: big news"


@pytest.mark.django_db(transaction=True)
def test_its_wishes_are_committed_with_the_switch_before_any_cancel_leaves(desk, resting, wired):
    resting()
    looking = LooksBeforeCancels(desk.gateway)

    reduce_only(wired(desk, gateway=looking), by="priya", reason="enough")

    assert looking.seen == ["REDUCE_ONLY", 1]


def test_its_cancels_are_repeated_by_the_tracker_when_its_process_died(desk, resting, clock, monkeypatch):
    order = resting()

    class Died(BaseException):
        pass

    def die(*_):
        raise Died

    with monkeypatch.context() as dying:
        dying.setattr("orders.stopping.carry_out_each", die)
        with pytest.raises(Died):
            reduce_only(desk, by="priya", reason="enough")

    carry_out_cancels(desk)
    reconcile(desk)

    order.refresh_from_db()
    assert order.status == "CANCELLED"


def test_an_entry_on_its_way_when_it_comes_is_cancelled_as_soon_as_its_id_is_known(desk, wish, wired, paper):
    open_the_limits()
    pressing = Sender(desk.gateway, lambda _: reduce_only(desk, by="priya", reason="enough"))
    order = decide_manual(desk, wish(limit_price=D("1390.00")))

    submit(wired(desk, gateway=pressing), order)

    assert [row["event"] for row in paper.journal()] == ["accepted", "cancelled"]


def test_a_halt_stays_a_halt_and_its_entries_are_cancelled_all_the_same(desk, resting):
    resting()
    halt(desk, by="priya", reason="odd fills")

    assert len(reduce_only(desk, by="arun", reason="careful")) == 1
    assert (control().state, control().changed_by) == ("HALTED", "priya")


def test_what_the_broker_says_to_a_cancel_is_kept_and_told_once_a_reason(desk, resting, clock, paper):
    order = resting()
    paper.fault("cancel", "error_503", times=3)
    cancel(desk, order, by="priya", reason="enough")
    for _ in range(2):
        clock.advance(seconds=60)
        carry_out_cancels(desk)
    order.refresh_from_db()
    assert (order.cancel_tries, len(refused(order))) == (3, 1)
    assert refused(order) == [f"cancel not taken: {order.cancel_answer}"]

    paper.fault("cancel", "refuse_input")
    clock.advance(seconds=60)
    carry_out_cancels(desk)

    order.refresh_from_db()
    assert (order.cancel_tries, len(refused(order))) == (4, 2)
    clock.advance(seconds=100)
    carry_out_cancels(desk)
    order.refresh_from_db()
    assert (order.cancel_tries, order.cancel_answer, len(refused(order))) == (5, execution.CANCEL_TAKEN, 2)


def test_a_long_answer_is_cut(desk, resting, wired):
    class Wordy(Sender):
        def cancel(self, broker_order_id):
            raise execution.OutcomeUnknown("x" * 5000 + "\x00")

    order = resting()

    cancel(wired(desk, gateway=Wordy(desk.gateway, None)), order, by="priya", reason="enough")

    assert len(order.cancel_answer) == execution.ANSWER_LENGTH_MAX


def test_what_still_works_is_listed_with_what_became_of_its_cancel(desk, held, resting, clock, paper):
    held(2)
    order = resting()
    paper.fault("any", "drop_before", times=1000)
    halt(desk, by="priya", reason="enough")

    found = remaining("PAPER", now=clock())

    assert [each.pk for each in found.orders] == [order.pk]
    assert [(each.symbol, each.quantity, each.broker_quantity) for each in found.positions] == [("RELIANCE", 2, 2)]
    line = line_of(found.orders[0])
    assert f"NSE: BUY 1 of 1 RELIANCE, open, broker's id {order.broker_order_id}" in line
    assert "cancel asked for by priya" in line
    assert "sent 1 ×" in line
    text = "\n".join(as_text(found, "LIVE", "080 1234"))
    for words in ("Still working: 1", "RELIANCE: 2 ours, 2 at the broker", "kite.zerodha.com/orders", "080 1234"):
        assert words in text


def test_an_order_that_the_broker_shows_after_we_took_it_for_ended_still_works(desk, resting, clock):
    order = resting()
    Order.objects.filter(pk=order.pk).update(status="NOT_PLACED", cancel_requested_at=clock())

    assert [each.pk for each in remaining("PAPER", now=clock()).orders] == [order.pk]


def test_the_way_to_the_broker_is_told_from_what_is_known(desk, clock):
    now = clock()

    def told(mode="PAPER"):
        return {each.what: (each.good, each.text) for each in remaining(mode, now=now).broker}

    assert told()["Executor"][0] is False
    ExecutorHeartbeat.objects.create(mode="PAPER", host="h", pid=1, backend_pid=2, started_at=now, beat_at=now)
    assert told()["Executor"] == (True, "alive: it repeats the cancels")
    assert told()["Its book"][0] is True
    BrokerSession.objects.update(last_error="connection refused")
    assert "connection refused" in told()["Its book"][1]
    assert told("LIVE")["Login"] == (False, "none that is valid: log in at Broker → Session")
    BrokerSession.objects.update_or_create(mode="LIVE", defaults={"valid_until": now + timedelta(hours=1)})
    assert told("LIVE")["Login"][0] is True
    BrokerSession.objects.filter(mode="LIVE").update(refused_at=now)
    assert "refused by the broker" in told("LIVE")["Login"][1]


def test_on_paper_it_says_that_the_broker_knows_nothing():
    assert "Zerodha knows nothing of paper orders." in channels("PAPER", "")[0]
    assert [name for name, _, _ in channels("LIVE", "")] == ["Kite web", "Kite app", "Call and trade"]


def test_a_cancel_that_could_only_be_sent_late_is_repeated_as_soon_as_any_other(desk, in_doubt, wired, clock, paper):
    """What was in doubt for minutes is known to the broker at last, and the first cancel is lost."""
    order = in_doubt("drop_after", hold=1)
    cancel(desk, order, by="priya", reason="enough")
    clock.advance(seconds=110)
    paper.fault("cancel", "drop_before")
    reconcile(desk)
    order.refresh_from_db()
    assert (order.status, order.cancel_tries) == ("OPEN", 1)

    clock.advance(seconds=2.1)

    assert carry_out_cancels(desk) == 1


@pytest.mark.parametrize(("tries", "seconds"), [(1, 2), (4, 2), (8, 4.8), (30, 60), (400, 60)])
def test_a_cancel_is_repeated_less_often_the_oftener_it_was_sent(desk, resting, clock, tries, seconds):
    order = resting()
    order.request_cancel(by="priya", reason="enough", at=clock())
    now = clock()
    Order.objects.filter(pk=order.pk).update(cancel_tried_at=now, cancel_tries=tries)
    order.refresh_from_db()

    assert not _cancel_is_due(order, now + timedelta(seconds=seconds))
    assert _cancel_is_due(order, now + timedelta(seconds=seconds + 0.1))
