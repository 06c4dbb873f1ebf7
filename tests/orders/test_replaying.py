"""A signal that was not acted on, replayed as a new one: once for each form, and decided like any other."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from orders import replaying
from orders.models import MissedExit, Order, Signal
from orders.reconciliation import reconcile
from orders.replaying import ReplayRefused
from orders.start import forget_paper_book
from risk import control
from risk.models import Incident, Mode
from tests.conftest import switch_on
from tests.orders.together import Together, held_up

pytestmark = pytest.mark.usefixtures("noon")

SELL = {"signal_type": "SELL", "cms_score": -75}


@pytest.fixture
def expired(desk, follow, received, clock):
    signal = received(
        signal_id="old", price=1399.5, quantity=3, order_type="LIMIT", strategy="momentum", seq=7, cms_score=75.5
    )
    clock.advance(hours=3)
    follow(signal)
    assert signal.status == "EXPIRED"
    reconcile(desk)
    return signal


def replay(desk, signal, **changes):
    usual = {"token": "a-form", "by": "tara", "reason": "the publisher was late", "shown": 0}
    return replaying.replay(desk, signal, **{**usual, **changes})


def test_it_says_the_same_with_a_new_id_and_the_time_of_now(desk, expired, clock):
    made = replay(desk, expired).signal

    same = ("signal_type", "exchange", "symbol", "cms_score", "price", "quantity", "order_type", "strategy")
    assert {name: getattr(made, name) for name in same} == {name: getattr(expired, name) for name in same}
    assert (made.signal_id, made.source, made.status, made.seq) == ("replay-a-form", "STAFF", "RECEIVED", None)
    assert made.replay_of == expired
    assert abs((made.signal_at - clock()).total_seconds()) < 30
    assert json.loads(bytes(made.raw))["replay"] == {"of": "old", "by": "tara", "reason": "the publisher was late"}


def test_it_is_acted_on_like_any_other(desk, expired, follow):
    order = follow(replay(desk, expired).signal)

    assert (order.symbol, order.price, order.quantity) == ("RELIANCE", Decimal("1399.50"), 1)
    expired.refresh_from_db()
    assert expired.status == "EXPIRED"


def test_the_same_form_sent_twice_is_one_signal(desk, expired):
    first, again = replay(desk, expired), replay(desk, expired)

    assert (first.is_new, again.is_new, first.signal) == (True, False, again.signal)
    assert Signal.objects.count() == 2


def test_a_second_person_who_had_not_seen_the_first_replay_is_refused(desk, expired):
    replay(desk, expired)

    with pytest.raises(ReplayRefused, match="somebody replayed it since"):
        replay(desk, expired, token="another", by="rita")


def test_it_is_replayed_again_once_its_replay_came_to_nothing(desk, expired, follow, clock):
    first = replay(desk, expired).signal
    clock.advance(hours=3)
    follow(first)
    assert first.status == "EXPIRED"

    assert replay(desk, expired, token="another", by="rita", shown=1).is_new


@pytest.mark.parametrize("shown", [0, 1])
def test_while_a_replay_of_it_waits_to_be_decided_it_is_not_replayed_again(desk, expired, shown):
    replay(desk, expired)

    with pytest.raises(ReplayRefused):
        replay(desk, expired, token="another", by="rita", shown=shown)

    assert Signal.objects.count() == 2


def test_what_was_bought_for_its_replay_is_not_bought_again(desk, expired, follow):
    follow(replay(desk, expired).signal)

    with pytest.raises(ReplayRefused, match="replay of it was acted on"):
        replay(desk, expired, token="another", by="rita", shown=1)


def test_nor_when_it_was_the_replay_of_its_replay(desk, expired, follow, clock):
    first = replay(desk, expired).signal
    clock.advance(hours=3)
    follow(first)
    reconcile(desk)
    assert follow(replay(desk, first, token="second").signal).status == "OPEN"

    for one in (expired, first):
        with pytest.raises(ReplayRefused, match="replay of it was acted on"):
            replay(desk, one, token="another", shown=1)


def test_a_replay_is_not_replayed_when_its_sibling_was_acted_on(desk, expired, follow, clock):
    first = replay(desk, expired).signal
    clock.advance(hours=3)
    follow(first)
    reconcile(desk)
    assert follow(replay(desk, expired, token="second", shown=1).signal).status == "OPEN"

    with pytest.raises(ReplayRefused, match="acted on"):
        replay(desk, first, token="third")


def test_a_sale_that_was_turned_away_and_will_be_tried_again_is_not_replayed(desk, held, follow, received, paper):
    held(2)
    paper.fault("place", "error_429", times=1)
    signal = received(signal_id="turned away", **SELL)
    assert follow(signal).status == "REJECTED"

    with pytest.raises(ReplayRefused, match="tried again"):
        replay(desk, signal)


def test_of_a_signal_to_close_the_inbox_empties_when_its_replay_is_filled(desk, held, follow, received):
    held(2)
    control.auto_trading_off(desk.mode, by="priya", reason="lunch", now=desk.clock())
    signal = received(**SELL)
    follow(signal)
    switch_on(desk)

    order = follow(replay(desk, signal).signal)

    assert (order.side, order.status) == ("SELL", "FILLED")
    assert MissedExit.objects.get().state == "FLAT"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"status": "RECEIVED"}, "it still waits to be decided"),
        ({"status": "MALFORMED", "signal_type": ""}, "it could not be read"),
        ({"status": "IGNORED", "signal_type": "HOLD"}, "a HOLD asks for nothing"),
        ({"mode": Mode.LIVE}, "it belongs to LIVE, and this is PAPER"),
    ],
)
def test_what_has_nothing_to_repeat_is_refused(desk, expired, changes, why):
    Signal.objects.filter(pk=expired.pk).update(**changes)

    with pytest.raises(ReplayRefused, match=why):
        replay(desk, expired)

    assert Signal.objects.count() == 1


@pytest.mark.parametrize("status", ["IGNORED", "DENIED", "EXPIRED", "FAILED", "MALFORMED"])
def test_whatever_was_read_and_not_acted_on_can_be_replayed(desk, expired, status):
    Signal.objects.filter(pk=expired.pk).update(status=status)

    assert replay(desk, expired).is_new


def test_one_whose_order_was_filled_is_not_repeated_and_one_whose_order_was_rejected_is(desk, follow, received, paper):
    filled = received(signal_id="filled")
    follow(filled)
    paper.fault("place", "refuse_input")
    rejected = received(signal_id="rejected", symbol="INFY")
    assert follow(rejected).status == "REJECTED"

    with pytest.raises(ReplayRefused, match="it was acted on"):
        replay(desk, filled)
    assert replay(desk, rejected).is_new


@pytest.mark.parametrize("reason", ["", " "])
def test_nothing_is_replayed_without_a_reason(desk, expired, reason):
    with pytest.raises(ReplayRefused, match="say why"):
        replay(desk, expired, reason=reason)


def test_the_paper_book_is_forgotten_with_its_replays_and_its_inbox(desk, expired, held):
    held(2)
    replay(desk, expired)
    sell = Signal.objects.create(
        mode=desk.mode, signal_id="s", digest="d", source="STAFF", raw=b"", received_at=desk.clock(),
        signal_type="SELL", exchange="NSE", symbol="RELIANCE", status="FAILED",
    )  # fmt: skip
    MissedExit.objects.open(sell, why="a defect", at=desk.clock())
    assert MissedExit.objects.exists()

    forget_paper_book()

    assert not Signal.objects.exists()
    assert not MissedExit.objects.exists()
    assert not Order.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_of_two_who_replay_at_once_one_is_refused(desk, expired):
    def by(name):
        def go():
            try:
                return replay(desk, Signal.objects.get(pk=expired.pk), token=name, by=name).is_new
            except ReplayRefused as refusal:
                return str(refusal)

        return go

    with held_up("risk_tradingcontrol") as wait_for:
        both = Together(by("tara"), by("rita"))
        wait_for(2)
    answers = both.join()

    assert sorted(answers, key=str)[0] is True
    assert any("somebody replayed it since" in str(each) for each in answers)
    assert Signal.objects.count() == 2
    assert not Incident.objects.filter(kind="SIGNAL_CONFLICT").exists()
