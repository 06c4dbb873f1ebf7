"""Which signals to close wait for a person, what makes them leave, and what nobody can change afterwards."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import ProgrammingError, transaction
from django.utils import timezone

from orders import adjusting, by_hand, execution, inbox, missed_exits
from orders.deciding import decide
from orders.desk import trading_date
from orders.inbox import Received, record
from orders.lifecycle import OrderStatus
from orders.missed_exits import DismissRefused, dismiss, in_the_inbox
from orders.models import Adjustment, Instrument, MissedExit, Order, Position, Signal
from orders.reconciliation import reconcile
from orders.worker import Worker
from risk import control
from risk.engine.facts import Side
from risk.models import Incident, Mode
from tests.orders.together import Together, held_up

pytestmark = pytest.mark.usefixtures("noon")

SELL = {"signal_type": "SELL", "cms_score": -75}
ABOVE = Decimal("1450.00")  # where a sale rests


def auto_off(desk):
    control.auto_trading_off(desk.mode, by="priya", reason="lunch", now=desk.clock())


def waiting(now=None):
    today = trading_date(now or timezone.now())
    return [row.signal.signal_id for row in in_the_inbox(MissedExit.objects.order_by("id"), today)]


def number_waiting(mode, now):
    return len(
        {number for rows, name in missed_exits.waiting(mode, now) for number in rows.values_list(name, flat=True)}
    )


@pytest.fixture
def missed(desk, held, follow, received):
    """A signal to sell two shares that are held, ignored because auto-trading is off."""
    held(2)
    auto_off(desk)
    signal = received(signal_id="missed", **SELL)
    follow(signal)
    return signal.missed_exit


def test_a_sell_while_auto_trading_is_off_waits(missed):
    assert waiting() == ["missed"]
    assert (missed.state, missed.symbol) == (MissedExit.State.WAITING, "RELIANCE")
    assert "AUTO_TRADING_DISABLED" in missed.why


def test_a_sell_that_is_denied_while_trading_is_halted_waits(desk, held, follow, received):
    held(2)
    execution.halt(desk, by="priya", reason="a rumour")
    signal = received(signal_id="denied", **SELL)

    follow(signal)

    assert (signal.status, waiting()) == ("DENIED", ["denied"])


def test_a_sell_that_expires_waits(desk, held, follow, received, clock):
    held(2)
    signal = received(signal_id="old", **SELL)
    clock.advance(seconds=3601)

    follow(signal)

    assert (signal.status, waiting()) == ("EXPIRED", ["old"])


def test_a_sell_whose_order_the_broker_rejects_waits(desk, held, follow, received, paper):
    held(2)
    paper.fault("place", "refuse_input")
    signal = received(signal_id="rejected", **SELL)

    order = follow(signal)

    assert (order.status, signal.status, waiting()) == ("REJECTED", "APPROVED", ["rejected"])
    assert f"its order {order.client_order_id} is rejected, 0 of 2 filled" in signal.missed_exit.why


def test_a_sell_whose_resting_order_is_cancelled_by_a_halt_waits(desk, held, follow, received):
    held(2)
    signal = received(signal_id="halted", order_type="LIMIT", price=1450.0, **SELL)
    order = follow(signal)
    assert (order.status, waiting()) == ("OPEN", [])

    execution.halt(desk, by="priya", reason="a rumour")
    reconcile(desk)

    assert waiting() == ["halted"]


def test_a_sell_whose_order_never_arrived_waits(desk, held, follow, received):
    held(2)
    order = follow(received(signal_id="lost", order_type="LIMIT", price=1450.0, **SELL))
    Order.objects.filter(pk=order.pk).update(status="IN_DOUBT")
    order.refresh_from_db()

    order.advance(OrderStatus.NOT_PLACED, at=desk.clock(), note="absent")

    assert waiting() == ["lost"]


def test_a_sell_withdrawn_unsent_by_a_person_waits(desk, held, pending):
    held(2)
    order = pending(signal_id="unsent", **SELL)

    execution.cancel(desk, order, by="priya", reason="not now")

    assert (order.status, waiting()) == ("WITHDRAWN", ["unsent"])


def test_a_sell_whose_order_was_withdrawn_is_missed_only_by_what_is_decided_then(desk, held, pending):
    held(2)
    order = pending(signal_id="off", **SELL)
    auto_off(desk)

    execution.submit(desk, order)
    order.signal.refresh_from_db()
    assert (order.status, order.signal.status, waiting()) == ("WITHDRAWN", "RECEIVED", [])
    decide(desk, order.signal)

    order.signal.refresh_from_db()
    assert (order.signal.status, waiting()) == ("IGNORED", ["off"])


def test_a_sell_that_was_turned_away_waits_no_longer_once_its_next_order_is_filled(
    desk, held, follow, received, paper, clock
):
    held(2)
    paper.fault("place", "error_429", times=1)
    signal = received(signal_id="turned away", **SELL)
    follow(signal)
    assert waiting() == ["turned away"]

    for _ in range(2):  # books that bear the 429 out; then the signal is decided again
        clock.advance(seconds=5.1)
        reconcile(desk)
    follow(signal)

    assert (signal.orders.count(), waiting(), MissedExit.objects.get().state) == (2, [], "FLAT")


def test_a_sell_that_trips_over_a_defect_waits(desk, held, received):
    held(2)
    signal = received(signal_id="defect", **SELL)

    Worker(desk, ready=None, sent=None)._fail(signal, "KeyError: 'x'")

    signal.refresh_from_db()
    assert (signal.status, waiting()) == ("FAILED", ["defect"])


def test_a_sell_none_of_whose_orders_came_about_waits(desk, held, follow, received, wired):
    held(2)
    signal = received(signal_id="given up", **SELL)
    tired = wired(desk, rules=replace(desk.rules, attempts_max=0))

    decide(tired, signal)

    signal.refresh_from_db()
    assert (signal.status, waiting()) == ("FAILED", ["given up"])


def test_a_sell_whose_id_was_used_before_waits(desk, held, received, message):
    held(2)
    received(signal_id="taken", signal_type="HOLD")

    record(desk, [Received(raw=message(signal_id="taken", **SELL), source=Signal.Source.STREAM)])

    assert [each.split("#")[0] for each in waiting()] == ["taken"]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"timestamp": "2099-01-01T10:00:00+05:30"}, "ahead of our clock"),  # a publisher whose clock is wrong
        ({"cms_score": None}, "cms_score: Field required"),
        ({"symbol": "NSE:RELIANCE", "quantity": -3}, "quantity"),
    ],
)
def test_a_malformed_sell_of_which_as_much_can_be_read_waits(desk, held, message, changes, why):
    held(2)

    record(desk, [Received(raw=message(**{**SELL, **changes}), source=Signal.Source.CHANNEL)])

    row = in_the_inbox(MissedExit.objects.all(), desk.today()).get()
    assert (row.signal.status, row.symbol) == ("MALFORMED", "RELIANCE")
    assert why in row.why


@pytest.mark.parametrize("changes", [{"symbol": "not a symbol"}, {"signal_type": "sell it"}, {"symbol": None}])
def test_a_malformed_sell_of_which_less_can_be_read_does_not_wait(desk, held, message, changes):
    held(2)

    record(desk, [Received(raw=message(**{**SELL, "cms_score": None, **changes}), source=Signal.Source.CHANNEL)])

    assert not MissedExit.objects.exists()


def test_a_sell_that_could_not_be_taken_in_for_a_defect_of_ours_waits(desk, held, message, monkeypatch):
    held(2)

    def trips(*_arguments, **_more):
        raise KeyError("a defect")

    monkeypatch.setattr(inbox, "parse", trips)
    taken = record(desk, [Received(raw=message(**SELL), source=Signal.Source.CHANNEL)])

    row = in_the_inbox(MissedExit.objects.all(), desk.today()).get()
    assert (taken.failed, row.signal.status, row.symbol) == (1, "FAILED", "RELIANCE")
    assert "a defect of ours: KeyError" in row.why


@pytest.mark.parametrize(("owner", "name"), [(inbox, "readable_part"), (type(MissedExit.objects), "open")])
def test_what_cannot_be_kept_for_a_person_either_is_still_written_down(desk, held, message, monkeypatch, owner, name):
    held(2)

    def trips(*_arguments, **_more):
        raise KeyError("a defect")

    monkeypatch.setattr(owner, name, trips)
    raw = message(**{**SELL, "cms_score": None})
    taken = record(desk, [Received(raw=raw, source=Signal.Source.CHANNEL)])

    assert (taken.failed + taken.malformed, bytes(Signal.objects.get().raw)) == (1, raw)


def test_a_sell_that_came_while_another_order_worked_waits_when_that_one_did_not_close(
    desk, held, follow, received, wish
):
    held(2)
    resting = by_hand.place(desk, wish(side=Side.SELL, quantity=2, limit_price=ABOVE))
    reconcile(desk)
    signal = received(signal_id="second", **SELL)
    follow(signal)
    assert (signal.status, waiting()) == ("IGNORED", [])
    assert not Incident.objects.filter(kind="EXIT_NOT_TAKEN").exists()

    execution.cancel(desk, resting, by="priya", reason="another price")
    reconcile(desk)

    assert waiting() == ["second"]


@pytest.mark.parametrize(
    ("changes", "hold"),
    [
        (SELL, 0),  # nothing to close
        ({"signal_type": "SELL", "cms_score": -60}, 2),  # too weak
        ({"signal_type": "BUY", "cms_score": 75}, 2),
        ({"signal_type": "HOLD", "cms_score": -75}, 2),
    ],
)
def test_a_signal_that_would_not_have_closed_anything_does_not_wait(desk, held, follow, received, changes, hold):
    if hold:
        held(hold)
    auto_off(desk)

    follow(received(**changes))

    assert not MissedExit.objects.exists()


def test_a_sell_older_than_one_that_was_decided_does_not_wait(desk, held, follow, received, clock):
    held(2)
    auto_off(desk)
    early = clock().isoformat()
    clock.advance(seconds=1)
    follow(received(signal_id="newer", **SELL))

    follow(received(signal_id="older", timestamp=early, **SELL))

    assert waiting() == ["newer"]


def test_a_sell_that_was_acted_on_does_not_wait(desk, held, follow, received):
    held(2)

    assert follow(received(**SELL)).status == "FILLED"

    assert not MissedExit.objects.exists()


def test_an_exit_that_works_hides_it_and_its_fill_ends_it(desk, missed):
    order = by_hand.exit_position(desk, Position.objects.get(), token="t", by="tara")
    while_it_works = waiting()
    reconcile(desk)
    missed.refresh_from_db()

    assert while_it_works == waiting() == []
    assert (missed.state, missed.note) == (
        "FLAT",
        f"the last sale is SELL 2 RELIANCE ({order.client_order_id}), asked for by tara",
    )


def test_it_waits_again_when_the_exit_was_rejected(desk, missed, paper):
    paper.fault("place", "refuse_input")

    by_hand.exit_position(desk, Position.objects.get(), token="t", by="tara")

    assert waiting() == ["missed"]


def test_an_order_that_closes_only_a_part_leaves_it_waiting(desk, missed, wish):
    by_hand.place(desk, wish(side=Side.SELL, quantity=1, limit_price=ABOVE))

    assert waiting() == ["missed"]


def test_an_order_of_an_earlier_day_closes_nothing_whatever_became_of_it(desk, missed, wish, clock):
    by_hand.place(desk, wish(side=Side.SELL, quantity=2, limit_price=ABOVE))
    assert waiting(clock()) == []

    clock.advance(days=1)

    assert Order.objects.get(side="SELL").status == "OPEN"
    assert (waiting(clock()), number_waiting(desk.mode, clock())) == (["missed"], 1)
    dismiss(desk, missed, by="tara", reason="held on purpose")
    assert missed.state == "DISMISSED"


def test_an_adjustment_to_nothing_ends_it(desk, missed):
    wished = adjusting.Wish(kind=Adjustment.Kind.CORRECTION, quantity=0, reason="gifted", by="rita", token="t")

    adjusting.adjust(desk, Position.objects.get(), wished)

    missed.refresh_from_db()
    assert (missed.state, missed.note) == ("FLAT", "no sale: it was adjusted")


def test_one_that_was_written_down_after_the_last_share_was_sold_is_not_asked_about_when_they_are_bought_anew(
    desk, held, received
):
    flat = held(2)
    by_hand.exit_position(desk, flat, token="t", by="tara")
    reconcile(desk)
    signal = received(signal_id="too late", **SELL)
    MissedExit.objects.create(
        mode=desk.mode, signal=signal, exchange="NSE", symbol="RELIANCE", why="a race", at=desk.clock()
    )

    held(1)

    assert (waiting(), MissedExit.objects.get().state) == ([], "FLAT")


def test_a_purchase_of_more_ends_nothing(desk, missed, held):
    held(1)

    assert waiting() == ["missed"]


def unknown_symbol(desk, signal):
    Instrument.objects.filter(symbol=signal.symbol).delete()
    decide(desk, signal)


def tripped_over(desk, signal):
    Worker(desk, ready=None, sent=None)._fail(signal, "KeyError: 'x'")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("miss", [unknown_symbol, tripped_over])
def test_whoever_writes_one_down_waits_for_who_is_selling_the_last_share(desk, held, received, miss):
    held(2)
    signal = received(**SELL)

    with held_up("risk_tradingcontrol") as wait_for:
        late = Together(lambda: miss(desk, Signal.objects.get(pk=signal.pk)))
        wait_for(1)
        Position.objects.update(quantity=0)
    assert late.join() == [None]

    assert not MissedExit.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_so_does_who_records_a_malformed_one(desk, held, message):
    held(2)
    malformed = Received(raw=message(**{**SELL, "cms_score": None}), source=Signal.Source.CHANNEL)

    with held_up("risk_tradingcontrol") as wait_for:
        late = Together(lambda: record(desk, [malformed]).malformed)
        wait_for(1)
        Position.objects.update(quantity=0)
    assert late.join() == [1]

    assert not MissedExit.objects.exists()


def test_a_person_dismisses_it_with_a_reason(desk, missed):
    dismiss(desk, missed, by="tara", reason="held on purpose")

    assert waiting() == []
    assert (missed.state, missed.ended_by, missed.note) == ("DISMISSED", "tara", "held on purpose")


def test_a_second_person_is_told_who_was_first(desk, missed):
    theirs = MissedExit.objects.get()
    dismiss(desk, missed, by="tara", reason="held on purpose")

    with pytest.raises(DismissRefused, match="ended already: dismissed by tara: held on purpose"):
        dismiss(desk, theirs, by="rita", reason="mine")


def test_it_is_not_dismissed_while_it_is_being_closed(desk, missed):
    by_hand.exit_position(desk, Position.objects.get(), token="t", by="tara")

    with pytest.raises(DismissRefused, match="2 of 2 shares are being sold"):
        dismiss(desk, missed, by="rita", reason="no")


def test_the_other_modes_desk_leaves_it_alone(desk, missed, wired):
    with pytest.raises(DismissRefused, match="it belongs to PAPER, and this is LIVE"):
        dismiss(wired(desk, mode=Mode.LIVE), missed, by="tara", reason="no")


@pytest.mark.parametrize("reason", ["", "  "])
def test_it_is_not_dismissed_without_a_reason(desk, missed, reason):
    with pytest.raises(DismissRefused, match="say why"):
        dismiss(desk, missed, by="tara", reason=reason)


def test_what_has_ended_is_not_changed_any_more(desk, missed):
    dismiss(desk, missed, by="tara", reason="held on purpose")

    with pytest.raises(ProgrammingError, match="Cannot update"), transaction.atomic():
        MissedExit.objects.update(note="it was somebody else")


def test_what_was_missed_is_not_rewritten_or_deleted(missed):
    with pytest.raises(ProgrammingError, match="Cannot update"), transaction.atomic():
        MissedExit.objects.update(symbol="INFY")
    with pytest.raises(ProgrammingError, match="Cannot delete"), transaction.atomic():
        MissedExit.objects.all().delete()


def test_a_signal_missed_again_after_it_was_dismissed_stays_dismissed(desk, missed):
    dismiss(desk, missed, by="tara", reason="held on purpose")

    MissedExit.objects.open(missed.signal, why="again", at=desk.clock())

    assert MissedExit.objects.get().state == "DISMISSED"


def test_a_sell_that_nobody_decides_is_late_after_half_a_minute(desk, held, received):
    held(2)
    signal = received(**SELL)
    received(symbol="INFY", **SELL)  # nothing is held of it
    received()  # a BUY

    at = signal.received_at + missed_exits.LATE_AFTER

    assert list(missed_exits.late(desk.mode, at)) == []
    assert list(missed_exits.late(desk.mode, at + timedelta(milliseconds=1))) == [signal]


def test_the_number_counts_both_and_no_signal_twice(desk, missed, received, clock):
    received(**SELL)
    Signal.objects.filter(pk=missed.signal_id).update(status="RECEIVED")  # it was turned away, and is tried again
    clock.advance(seconds=31)

    assert number_waiting(desk.mode, clock()) == 2


@pytest.mark.django_db(transaction=True)
def test_of_two_who_dismiss_at_once_one_is_told(desk, missed):
    def by(name):
        def go():
            try:
                dismiss(desk, MissedExit.objects.get(), by=name, reason=f"{name} says so")
            except DismissRefused as refusal:
                return str(refusal)
            return name

        return go

    with held_up("orders_missedexit") as wait_for:
        both = Together(by("tara"), by("rita"))
        wait_for(2)
    answers = both.join()

    kept = MissedExit.objects.get()
    assert kept.ended_by in answers
    assert sum("ended already" in each for each in answers) == 1
