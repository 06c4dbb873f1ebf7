"""Sending and stopping when things happen in the worst order: pauses, late words, wrong accounts, many at once."""

from __future__ import annotations

import threading
from decimal import Decimal

import pytest
from django.conf import settings as django_settings
from django.db import connection

from orders import execution
from orders import tracker as tracker_module
from orders.broker import deadline
from orders.broker.gateway import NotSent, OrderRefused, SessionRefused
from orders.broker.kite import KiteGateway
from orders.broker.sessions import TokenVault
from orders.by_hand import HandFill, mark_filled
from orders.deciding import decide, decide_manual
from orders.desk import Desk
from orders.execution import cancel, doubt_overdue, halt, submit
from orders.inbox import Received, Recorded, record
from orders.loops import Loop
from orders.models import Order, Position, Signal
from orders.quotes import load_instruments
from orders.receivers import StreamReceiver, connect
from orders.reconciliation import carry_out_cancels, reconcile
from orders.tracker import Tracker
from orders.worker import Worker
from risk import control as switch
from risk.models import Incident, Mode, TradingControl
from tests.conftest import keep_the_market_open, open_the_limits, statuses, switch_on

from .paper.paper_process import until
from .stand_ins import BookGateway, report_of
from .test_execution import Sender, raising, waiting_for_a_lock
from .together import Together, direct_connection, held_up

pytestmark = pytest.mark.usefixtures("noon")

STREAM = "test:adversity"


def kinds() -> list[str]:
    return sorted(Incident.objects.values_list("kind", flat=True))


def auto_off(desk: Desk) -> None:
    switch.auto_trading_off(desk.mode, by="priya", reason="test", now=desk.clock())


def by_phone(quantity: int) -> HandFill:
    return HandFill(token="t", quantity=quantity, price=Decimal(1390), by="priya", reason="the broker said so by phone")


# --- A sender that wakes too late, a wish that comes meanwhile --------------------------------------------------------


def test_a_sender_paused_right_after_its_claim_sends_nothing_once_the_order_was_given_up(
    desk, pending, paper, clock, monkeypatch
):
    """Its process stands still for five minutes; meanwhile another one follows the book and trading is halted."""
    order = pending()
    asleep = []
    real_boot_clock, real_claim = deadline.boot_clock, execution._claim

    def boot_clock():
        return real_boot_clock() + sum(asleep)

    def claim_and_sleep(*arguments):
        claimed = real_claim(*arguments)
        asleep.append(300)
        clock.advance(seconds=300)
        doubt_overdue(desk)
        reconcile(desk)
        reconcile(desk)
        halt(desk, by="priya", reason="stop everything")
        return claimed

    monkeypatch.setattr(deadline, "boot_clock", boot_clock)
    monkeypatch.setattr(execution, "boot_clock", boot_clock)
    monkeypatch.setattr(execution, "_claim", claim_and_sleep)

    submit(desk, order)

    assert paper.journal() == []
    assert statuses(order) == ["PENDING", "SUBMITTING", "IN_DOUBT", "NOT_PLACED"]
    assert TradingControl.objects.get(mode="PAPER").state == "HALTED"


def test_an_order_that_staff_wished_cancelled_and_that_was_sent_too_late_is_not_decided_again(
    desk, pending, paper, wired
):
    order = pending()

    def cancelled_and_late(_request):
        cancel(desk, Order.objects.get(), by="priya", reason="changed my mind")
        raise NotSent("woke too late")

    submit(wired(desk, gateway=Sender(desk.gateway, cancelled_and_late)), order)

    signal = Signal.objects.get()
    assert (order.status, signal.status) == ("WITHDRAWN", "APPROVED")
    assert decide(desk, signal) is None
    assert paper.journal() == []


def test_an_unsent_order_whose_cancel_was_wished_for_is_withdrawn_and_not_sent(desk, held, wish, received, paper):
    held(2)
    buy = decide_manual(desk, wish())
    assert decide(desk, received(signal_type="SELL", cms_score=-75)) is None  # it waits until the buy is gone
    before = paper.accepted()

    submit(desk, buy)

    assert buy.status == "WITHDRAWN"
    assert buy.status_reason == "its cancel was asked for: a signal to sell RELIANCE came"
    assert paper.accepted() == before


@pytest.mark.parametrize(("limit", "status"), [("1405.00", "FILLED"), ("1390.00", "OPEN")])
def test_a_refusal_that_arrives_after_the_book_showed_the_order_does_not_overwrite_it(
    desk, wish, wired, paper, limit, status
):
    class Contradicting(Sender):
        def place(self, request, *, send_by):
            super().place(request, send_by=send_by)
            reconcile(desk)
            raise OrderRefused("Too many requests")

    order = decide_manual(desk, wish(limit_price=Decimal(limit)))

    submit(wired(desk, gateway=Contradicting(desk.gateway, lambda _: None)), order)
    reconcile(desk)

    order.refresh_from_db()
    assert (order.status, [order.broker_order_id]) == (status, paper.accepted())
    assert "REJECTED" not in statuses(order)
    assert kinds() == []


# --- What we took for ended and the broker shows ----------------------------------------------------------------------


@pytest.mark.parametrize("is_halted", [False, True])
def test_an_order_marked_filled_in_doubt_that_then_rests_at_the_broker_is_an_incident_and_cancelled(
    desk, in_doubt, wired, clock, is_halted
):
    order = in_doubt()
    mark_filled(desk, order, by_phone(1))
    assert order.status == "FILLED"
    if is_halted:
        halt(desk, by="priya", reason="stop everything")
    broker = BookGateway(orders=[report_of(order, "OPEN")])
    there = wired(desk, gateway=broker)

    reconcile(there)
    clock.advance(seconds=3)
    carry_out_cancels(there)  # it still works: the cancel is repeated

    assert kinds() == ["LATE_APPEARANCE", "ORDER_IN_DOUBT"]
    assert broker.cancelled == ["SIM1", "SIM1"]


def test_an_order_withdrawn_unsent_that_appears_at_the_broker_is_adopted_an_incident_and_cancelled(
    desk, pending, wired
):
    order = pending()
    cancel(desk, order, by="priya", reason="changed my mind")
    assert order.status == "WITHDRAWN"
    broker = BookGateway(orders=[report_of(order, "OPEN")])

    reconcile(wired(desk, gateway=broker))

    order.refresh_from_db()
    assert (order.status, order.broker_order_id) == ("OPEN", "SIM1")
    assert kinds() == ["LATE_APPEARANCE"]
    assert broker.cancelled == ["SIM1"]


@pytest.mark.parametrize(("ahead", "status"), [(0, "IN_DOUBT"), (125, "NOT_PLACED")])
def test_a_part_marked_as_filled_neither_ends_a_doubt_nor_revives_what_was_not_placed(
    desk, wish, paper, clock, ahead, status
):
    open_the_limits()
    order = decide_manual(desk, wish(quantity=3))
    paper.fault("place", "drop_before")
    submit(desk, order)
    clock.advance(seconds=ahead)
    reconcile(desk)
    reconcile(desk)

    mark_filled(desk, order, by_phone(1))

    assert (order.status, order.filled_quantity) == (status, 1)
    assert Order.objects.in_doubt("PAPER").exists() == (status == "IN_DOUBT")
    assert Position.objects.get().quantity == 1


# --- Another account, another login -----------------------------------------------------------------------------------


@pytest.fixture
def live(db, paper, clock):
    """A live desk, its broker the paper server, armed for the account PAPER1 and logged in as it."""
    vault = TokenVault(Mode.LIVE, secret_key="a secret of the suite")
    vault.keep(paper.log_in("live"), user_id="PAPER1", now=clock())
    gateway = KiteGateway(api_key="live", root=paper.root, access_token=vault.token)
    desk = Desk(mode=Mode.LIVE, gateway=gateway, vault=vault, clock=clock)
    load_instruments(desk, "NSE")
    keep_the_market_open(clock())
    reconcile(desk)
    shown = TradingControl.objects.get(mode="LIVE").version
    switch.arm_live(user_id="PAPER1", by="priya", now=clock(), version_shown=shown)
    return desk


def test_a_login_of_another_account_after_the_decision_withdraws_the_order(live, wish, paper, clock):
    order = decide_manual(live, wish())
    live.vault.keep(paper.log_in("live"), user_id="ZZ9999", now=clock())

    submit(live, order)

    assert order.status == "WITHDRAWN"
    assert order.status_reason == "the login is not of PAPER1 that live trading is armed for"
    assert paper.journal() == []


def test_the_book_of_another_account_ends_no_doubt(live, wish, wired, paper, clock):
    order = decide_manual(live, wish())
    paper.fault("place", "drop_after")
    submit(live, order)
    live.vault.keep(paper.log_in("live"), user_id="ZZ9999", now=clock())
    clock.advance(seconds=125)

    for _ in range(2):
        with pytest.raises(SessionRefused, match="logged in as ZZ9999"):
            reconcile(wired(live, gateway=BookGateway()))

    order.refresh_from_db()
    assert order.status == "IN_DOUBT"


def test_a_refusal_of_the_login_counts_for_that_login_and_not_for_one_made_meanwhile(live, wish, wired, paper, clock):
    def log_in_again(_request):
        live.vault.keep(paper.log_in("live"), user_id="PAPER1", now=clock())
        raise SessionRefused("Incorrect `api_key` or `access_token`.")

    submit(wired(live, gateway=Sender(live.gateway, log_in_again)), decide_manual(live, wish()))
    assert live.vault.is_valid(clock())

    refused = raising(SessionRefused("Incorrect `api_key` or `access_token`."))
    submit(wired(live, gateway=Sender(live.gateway, refused)), decide_manual(live, wish()))
    assert not live.vault.is_valid(clock())


def test_a_login_refused_while_the_day_is_prepared_is_remembered_as_refused(live, paper, clock, monkeypatch):
    ready = threading.Event()
    tracker = Tracker(live, ready=ready)
    monkeypatch.setattr(tracker, "_wait", lambda: None)
    paper.fault("any", "token")

    tracker.turn()

    assert live.vault.row().refused_at is not None
    assert not live.vault.is_valid(clock())
    assert not ready.is_set()


# --- What came up since the decision ----------------------------------------------------------------------------------


def test_an_opening_order_decided_before_a_doubt_arose_is_withdrawn(desk, wish, paper):
    open_the_limits()
    auto_off(desk)  # so that the doubt does not change the switch, too
    first, second = decide_manual(desk, wish()), decide_manual(desk, wish())
    paper.fault("place", "drop_before")
    submit(desk, second)
    assert second.status == "IN_DOUBT"

    submit(desk, first)

    assert first.status == "WITHDRAWN"
    assert first.status_reason == "an order came to be in doubt after the decision"
    assert paper.accepted() == []


@pytest.mark.django_db(transaction=True)
def test_a_halt_waits_for_the_lock_longer_than_its_session_would(desk):
    def halt_impatiently():
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '200ms'")
        return switch.halt("PAPER", by="priya", reason="stop everything", now=desk.clock())

    with direct_connection() as other, other.transaction():
        other.execute("SELECT 1 FROM risk_tradingcontrol WHERE mode = 'PAPER' FOR UPDATE")
        halting = Together(halt_impatiently)
        until(waiting_for_a_lock)
        threading.Event().wait(0.6)
    (halted,) = halting.join()

    assert not isinstance(halted, Exception), halted
    assert TradingControl.objects.get(mode="PAPER").state == "HALTED"


# --- Many at once, and long outages -----------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_two_that_record_one_id_for_different_signals_at_once_leave_both_and_an_incident(desk, message):
    one = Received(raw=message(signal_id="a"), source=Signal.Source.CHANNEL)
    other = Received(raw=message(signal_id="a", symbol="INFY"), source=Signal.Source.STREAM, stream_entry_id="1-0")

    with held_up("orders_signal") as wait_for:
        both = Together(lambda: record(desk, [one]), lambda: record(desk, [other]))
        wait_for(2)
    results = both.join()

    assert all(isinstance(result, Recorded) for result in results), results
    assert sorted(Signal.objects.values_list("status", flat=True)) == ["MALFORMED", "RECEIVED"]
    assert kinds() == ["SIGNAL_CONFLICT"]


def test_hundreds_of_signals_that_wait_on_one_symbol_do_not_hold_up_another(desk, held, wish, received, message, paper):
    held(2)
    doubtful = decide_manual(desk, wish())
    paper.fault("place", "drop_before")
    submit(desk, doubtful)
    switch_on(desk)
    sells = [message(signal_type="SELL", cms_score=-75, signal_id=f"sell-{number}") for number in range(250)]
    record(desk, [Received(raw=raw, source=Signal.Source.CHANNEL) for raw in sells])
    other = received(symbol="INFY", signal_type="HOLD")
    ready = threading.Event()
    ready.set()

    Worker(desk, ready=ready, sent=lambda: None).turn()

    other.refresh_from_db()
    assert other.status == "IGNORED"
    assert Signal.objects.filter(symbol="RELIANCE", status="RECEIVED").count() == 250


def test_an_outage_that_began_outside_hours_is_told_once_the_market_is_open(desk, paper, monkeypatch):
    is_open = []
    tracker = Tracker(desk, ready=threading.Event())
    monkeypatch.setattr(tracker_module, "is_in_session", lambda _desk: bool(is_open))
    monkeypatch.setattr(tracker, "_wait", lambda: None)
    paper.fault("orders", "error_503", times=6)
    for _ in range(4):
        tracker.turn()
    assert kinds() == []

    is_open.append(True)
    tracker.turn()
    tracker.turn()

    assert Incident.objects.get().kind == "BROKER_UNREACHABLE"
    assert Incident.objects.get().count == 1
    assert not TradingControl.objects.get(mode="PAPER").auto_trading


@pytest.mark.django_db(transaction=True)
def test_a_key_of_another_type_in_the_streams_place_is_weathered(desk, message):
    client = connect(django_settings.REDIS_URL)
    client.set(STREAM, "not a stream")
    receiver = StreamReceiver(desk, client, stream=STREAM, group="g", consumer="one", heard=lambda: None)
    loop = Loop("stream", receiver, threading.Event())

    assert loop._turn(0.0) > 0  # it pauses and goes on
    client.delete(STREAM)
    client.xadd(STREAM, {"signal": message(signal_id="a")})
    turned = until(lambda: loop._turn(0.0) == 0.0 and Signal.objects.exists())

    client.delete(STREAM)
    client.close()
    assert turned
    assert Signal.objects.get().signal_id == "a"
