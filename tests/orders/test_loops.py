"""The loops: a turn only while this process leads, outages weathered, one bad signal or order alone."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import InternalError, OperationalError, connection

from orders import inbox
from orders import tracker as tracker_module
from orders import worker as worker_module
from orders.execution import submit
from orders.inbox import Received, Recorded, record
from orders.listener import Listener
from orders.loops import Loop
from orders.management.commands import listen_signals
from orders.models import Order, Signal
from orders.reconciliation import reconcile
from orders.tracker import Tracker
from orders.worker import Worker
from risk.models import Incident, TradingControl

from .paper.paper_process import until
from .together import direct_connection

pytestmark = [pytest.mark.usefixtures("noon"), pytest.mark.django_db]


class Turns:
    def __init__(self, *raising):
        self.raising = list(raising)
        self.taken = self.resets = 0

    def turn(self):
        self.taken += 1
        if self.raising:
            raise self.raising.pop(0)

    def reset(self):
        self.resets += 1


@pytest.fixture
def ready():
    event = threading.Event()
    event.set()
    return event


@pytest.fixture
def worker(desk, ready):
    return lambda **more: Worker(desk, ready=ready, sent=lambda: None, **more)


@pytest.fixture
def poison(monkeypatch):
    """Have a function of a module trip over what a test names, with whatever a test wants it to raise."""

    def make(module, name, trips, defect):
        real = getattr(module, name)

        def tripping(*arguments, **more):
            if trips(*arguments):
                raise defect
            return real(*arguments, **more)

        monkeypatch.setattr(module, name, tripping)

    return make


# --- Leading ---------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_loop_takes_no_turn_while_this_process_does_not_lead_and_is_at_rest_then():
    turns, stopping, leading = Turns(), threading.Event(), threading.Event()
    loop = Loop("worker", turns, stopping, leads=leading.is_set)
    loop.start()
    assert until(loop.at_rest.is_set)
    assert turns.taken == 0

    leading.set()

    until(lambda: turns.taken)
    leading.clear()
    until(loop.at_rest.is_set)
    stopping.set()
    loop.join(5)
    assert not loop.is_alive()


@pytest.mark.parametrize("away", [OperationalError("the server closed"), InternalError("idle in transaction too long")])
def test_a_session_that_the_database_ended_is_weathered(away, monkeypatch):
    monkeypatch.setattr(connection, "close", lambda: None)  # it is this test's own
    turns = Turns(away)
    loop = Loop("worker", turns, threading.Event())

    pause = loop._turn(0.0)

    assert pause > 0
    assert turns.resets == 1
    assert loop._turn(pause) == 0.0


def test_the_pause_grows_to_ten_seconds_and_no_further(monkeypatch):
    monkeypatch.setattr(connection, "close", lambda: None)
    loop = Loop("worker", Turns(*[OperationalError("away")] * 12), threading.Event())

    pauses = [0.0]
    for _ in range(12):
        pauses.append(loop._turn(pauses[-1]))

    assert pauses[1:4] == [0.2, 0.4, 0.8]
    assert pauses[-1] == 10.0


def test_a_worker_that_lost_leadership_between_deciding_and_sending_sends_nothing(worker, received, paper, desk):
    """What it wrote down is withdrawn by the next leader, and its signal decided again."""
    signal = received()
    answers = iter([True, False])

    worker(leads=lambda: next(answers, False)).turn()

    assert Order.objects.get().status == "PENDING"
    assert paper.journal() == []
    Order.objects.update(created_at=desk.clock() - timedelta(seconds=6))
    worker().turn()
    signal.refresh_from_db()
    assert [order.status for order in signal.orders.order_by("attempt")] == ["WITHDRAWN", "OPEN"]
    assert len(paper.accepted()) == 1


def test_a_worker_that_does_not_lead_decides_nothing(worker, received):
    signal = received()

    worker(leads=lambda: False).turn()

    signal.refresh_from_db()
    assert signal.status == "RECEIVED"
    assert Order.objects.count() == 0


def test_nothing_is_decided_before_the_brokers_book_was_read(desk, received):
    signal = received()

    Worker(desk, ready=threading.Event(), sent=lambda: None).turn()

    signal.refresh_from_db()
    assert signal.status == "RECEIVED"


# --- A poison signal -------------------------------------------------------------------------------------------------


def test_a_signal_that_crashes_deciding_is_failed_and_told_and_the_others_are_decided(worker, received, poison, paper):
    bad, good = received(), received(symbol="INFY")
    poison(
        worker_module, "decide", lambda _, signal: signal.pk == bad.pk, ZeroDivisionError("a NUL \x00 among the words")
    )

    worker().turn()

    bad.refresh_from_db()
    good.refresh_from_db()
    assert (bad.status, good.status) == ("FAILED", "APPROVED")
    assert Incident.objects.get().kind == "SIGNAL_FAILED"
    assert len(paper.accepted()) == 1


def test_a_signal_is_not_failed_because_the_database_ended_the_session_meanwhile(worker, received, poison):
    signal = received()
    poison(worker_module, "decide", lambda *_: True, InternalError("terminating connection: idle in transaction"))

    with pytest.raises(InternalError):
        worker().turn()

    signal.refresh_from_db()
    assert signal.status == "RECEIVED"


def test_no_signal_is_failed_without_its_incident(worker, received, poison, monkeypatch):
    received(signal_id="bad")
    poison(worker_module, "decide", lambda desk, signal: True, RuntimeError("a defect"))

    def away(*_arguments, **_more):
        raise OperationalError("the connection is lost")

    with monkeypatch.context() as outage:
        outage.setattr(type(Incident.objects), "open", away)
        with pytest.raises(OperationalError):
            worker().turn()
    worker().turn()

    assert Signal.objects.get().status == "FAILED"
    assert Incident.objects.get().kind == "SIGNAL_FAILED"


def test_an_order_that_crashes_sending_holds_up_no_other(worker, received, poison, paper):
    bad, good = received(), received(symbol="INFY")
    poison(worker_module, "submit", lambda _, order: order.signal_id == bad.pk, KeyError("a defect"))

    worker().turn()

    assert (bad.orders.get().status, good.orders.get().status) == ("PENDING", "OPEN")
    assert Incident.objects.get().client_order_id == bad.orders.get().client_order_id
    assert len(paper.accepted()) == 1


def test_a_message_that_crashes_recording_is_kept_as_failed_and_the_rest_of_its_batch_is_recorded(
    desk, message, poison
):
    raws = [message(signal_id=f"a-{number}") for number in range(5)]
    poison(inbox, "parse", lambda raw: raw == raws[2], RecursionError("a defect \x00"))
    batch = [Received(raw=raw, source=Signal.Source.STREAM, stream_entry_id=f"{n}-0") for n, raw in enumerate(raws)]

    assert record(desk, batch) == Recorded(new=4, malformed=0, duplicates=0, failed=1)

    failed = Signal.objects.get(status="FAILED")
    assert bytes(failed.raw) == raws[2]
    assert failed.stream_entry_id == "2-0"
    assert sorted(Signal.objects.exclude(pk=failed.pk).values_list("signal_id", flat=True)) == [
        "a-0", "a-1", "a-3", "a-4"
    ]  # fmt: skip
    assert Incident.objects.get().kind == "SIGNAL_FAILED"


def test_the_same_poison_again_is_counted(desk, message, poison):
    poison(inbox, "parse", lambda _: True, ValueError("a defect"))
    raw = message()

    for _ in range(2):
        record(desk, [Received(raw=raw, source=Signal.Source.CHANNEL)])

    assert Signal.objects.get().duplicates == 1
    assert Incident.objects.get().count == 2


REFUSING = """
CREATE FUNCTION refuse_poison() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = '{code}'; END $$;
CREATE TRIGGER refuse_poison BEFORE INSERT ON orders_signal FOR EACH ROW WHEN ({row}) EXECUTE FUNCTION refuse_poison();
"""


@pytest.fixture
def refusing():
    """Have the database refuse rows of signals with an error of its own."""

    def make(code, row):
        with direct_connection() as other:
            other.execute(REFUSING.format(code=code, row=row))

    yield make
    with direct_connection() as other:
        other.execute("DROP TRIGGER IF EXISTS refuse_poison ON orders_signal; DROP FUNCTION IF EXISTS refuse_poison")


@pytest.mark.django_db(transaction=True)
def test_a_row_that_a_column_does_not_take_is_kept_as_failed_and_the_rest_recorded(desk, message, refusing):
    refusing("22003", "NEW.signal_id = 'a-1'")

    recorded = record(
        desk,
        [Received(raw=message(signal_id=f"a-{number}"), source=Signal.Source.CHANNEL) for number in range(3)],
    )

    assert recorded == Recorded(new=2, malformed=0, duplicates=0, failed=1)
    assert Signal.objects.get(status="FAILED").reason.startswith("a defect of ours: DataError: no room")


@pytest.mark.django_db(transaction=True)
def test_a_full_disk_is_an_outage_and_no_signals_fault(desk, message, refusing):
    refusing("53100", "true")

    with pytest.raises(OperationalError, match="no room"):
        record(desk, [Received(raw=message(), source=Signal.Source.CHANNEL)])

    assert Signal.objects.count() == 0


def test_a_paused_sender_whose_leads_check_passed_is_still_stopped_by_the_age_of_its_decision(
    desk, pending, paper, clock
):
    """The pause lies between the question who leads and the first thing that sending does."""
    order = pending()
    clock.advance(seconds=5.001)

    submit(desk, order)

    assert order.status == "WITHDRAWN"
    assert paper.journal() == []


@pytest.mark.parametrize("minutes", [-10, 10])
def test_an_unsent_order_is_withdrawn_and_decided_again_when_the_clock_jumped(
    desk, worker, pending, clock, paper, minutes
):
    """Set back, it would look fresh until the clock has caught up; set forward, its signal is too old as well."""
    order = pending()
    clock.advance(minutes=minutes)
    reconcile(desk)

    worker().turn()

    order.refresh_from_db()
    assert order.status == "WITHDRAWN"
    assert Signal.objects.get().status == ("EXPIRED" if minutes > 0 else "APPROVED")
    assert len(paper.accepted()) == (0 if minutes > 0 else 1)


# --- The listener ----------------------------------------------------------------------------------------------------


@pytest.fixture
def listener(desk):
    return Listener(desk, redis_url="redis://127.0.0.1:1/0", channel="c", stream="s", group="g")


class Vacant:
    """A leadership that anybody may have."""

    asked = 0

    def try_to_lead(self):
        self.asked += 1
        return True


def test_a_process_that_leads_again_sends_nothing_before_it_has_read_the_book_again(listener):
    listener.ready.set()

    assert listener._takes_over(Vacant())

    assert not listener.ready.is_set()
    assert listener._reign.leads()


def test_who_leads_looks_whether_it_is_time_to_sweep_after_each_beat(listener, monkeypatch):
    told = []

    class Beating:
        def beat(self):
            told.append("beat")
            if told.count("beat") == 2:
                listener.stop()

    class Sweeping:
        def look(self):
            told.append("look")

    monkeypatch.setattr("orders.listener.HEARTBEAT_SECONDS", 0.001)
    listener._sweep = Sweeping()

    listener._watch(Beating())

    assert told == ["beat", "look"] * 2


def test_the_lock_is_not_asked_for_while_a_turn_of_an_earlier_reign_lasts(listener):
    vacant = Vacant()
    listener._led[0].at_rest.clear()
    assert not listener._takes_over(vacant)
    assert vacant.asked == 0

    listener._led[0].at_rest.set()

    assert listener._takes_over(vacant)


def test_the_end_of_the_brokers_outage_is_said_on_its_incident(desk, paper, monkeypatch):
    tracker = Tracker(desk, ready=threading.Event())
    monkeypatch.setattr(tracker, "_wait", lambda: None)
    paper.fault("orders", "error_503", times=3)
    for _ in range(3):
        tracker.turn()
    assert "read again" not in Incident.objects.get().detail

    for _ in range(2):
        tracker.turn()

    assert Incident.objects.get().detail.count("It was read again at") == 1


@pytest.mark.parametrize("name", ["auto_trading_off", "open"])
def test_an_outage_of_the_broker_is_told_though_the_database_was_away_for_a_moment(desk, paper, monkeypatch, name):
    tracker = Tracker(desk, ready=threading.Event())
    monkeypatch.setattr(tracker, "_wait", lambda: None)
    paper.fault("orders", "error_503", times=4)
    for _ in range(2):
        tracker.turn()

    def away(*_arguments, **_more):
        raise OperationalError("the connection is lost")

    with monkeypatch.context() as outage:
        outage.setattr(tracker_module.switch if name == "auto_trading_off" else type(Incident.objects), name, away)
        with pytest.raises(OperationalError):
            tracker.turn()
    assert TradingControl.objects.get(mode="PAPER").auto_trading, "what nobody is told of would be off"
    tracker.turn()

    assert not TradingControl.objects.get(mode="PAPER").auto_trading
    assert Incident.objects.get().kind == "BROKER_UNREACHABLE"


@pytest.mark.django_db(transaction=True)
def test_a_line_of_the_executor_does_not_end_for_its_age_and_is_asked_whether_it_is_good(settings, monkeypatch):
    settings.PAPER_KITE_URL = "http://127.0.0.1:9"
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", 60)
    monkeypatch.setattr(listen_signals, "prepare_when_possible", lambda *_: False)
    monkeypatch.setattr(listen_signals.signal, "signal", lambda *_: None)
    call_command("listen_signals")
    connection.close()
    connection.ensure_connection()
    line = connection.connection

    Loop("turns", Turns(), threading.Event())._turn(0.0)

    assert connection.close_at is None
    assert (connection.connection is line, connection.health_check_done) == (True, False)
