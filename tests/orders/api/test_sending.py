"""Sending a signal by the API: into the same inbox, once each, and told what became of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from orders.desk import Desk
from orders.inbox import Received, record
from orders.messages import MESSAGE_BYTES_MAX
from orders.models import MissedExit, Order, Signal
from risk.models import Incident, TradingControl
from tests.orders.api.conftest import problem
from tests.orders.together import Together

pytestmark = pytest.mark.django_db
POST = "POST /signals"


@pytest.fixture
def send(desk: Desk, token: Callable[..., str], call: Callable[..., Any], message: Any) -> Callable[..., Any]:
    """Send a strong BUY of RELIANCE, now; keywords change its fields."""
    secret = token("signals:write", name="momentum")

    def go(raw: bytes | None = None, **changes: Any) -> Any:
        return call(POST, secret, message(**changes) if raw is None else raw)

    return go


def test_a_signal_is_a_row_and_told_as_one(send):
    answer = send(signal_id="one", price=1399.5, quantity=3, order_type="LIMIT", strategy="momentum", seq=7)

    assert answer.status_code == 201
    said = answer.json()
    signal = Signal.objects.get()
    assert (said["signal_id"], said["status"], said["symbol"]) == ("one", "RECEIVED", "RELIANCE")
    assert (said["cms_score"], said["price"]) == ("75", "1399.5000")
    assert said["received_at"].endswith("+05:30")
    assert (signal.source, signal.sent_by, said["sent_by"]) == ("API", "tara, momentum", "tara, momentum")
    assert json.loads(bytes(signal.raw))["signal_id"] == "one"


def test_it_becomes_an_order_at_the_broker(send, desk, follow, paper):
    send(signal_id="one")

    order = follow(Signal.objects.get(signal_id="one"))

    assert (order.status, order.symbol) == ("FILLED", "RELIANCE")
    assert paper.accepted() == [order.broker_order_id]


def test_the_same_again_is_the_same_signal(send, message):
    raw = message(signal_id="one")

    first, second, third = send(raw), send(raw), send(raw)

    assert [each.status_code for each in (first, second, third)] == [201, 200, 200]
    assert second.json()["signal_id"] == "one"
    assert third.json()["duplicates"] == 2
    assert Signal.objects.count() == 1


def test_a_token_in_the_text_is_struck_out_before_anything_is_kept(send, token, message):
    alerts = token("signals:write", in_body=True)
    whole = json.dumps({**json.loads(message(signal_id="one")), "token": alerts}).encode()

    answers = [send(raw).status_code for raw in (whole, whole, f"token={alerts} buy".encode())]

    assert answers == [201, 200, 422]
    hidden = alerts.split("_")[2].encode()
    kept = [bytes(signal.raw) for signal in Signal.objects.all()]
    assert len(kept) == 2
    assert not [raw for raw in kept if hidden in raw]


def test_the_same_written_differently_is_the_same_signal(send, clock):
    at = clock()
    send(signal_id="one", cms_score=75.0, timestamp=at.isoformat())

    again = send(signal_id="one", cms_score="75.00", timestamp=at.astimezone().isoformat(), signal_type="buy")

    assert again.status_code == 200


def test_without_an_id_the_content_is_the_id(send, message):
    raw = message()

    assert [send(raw).status_code, send(raw).status_code] == [201, 200]
    assert send(cms_score=76).status_code == 201


def test_what_redis_brought_before_is_known(send, desk, message):
    raw = message(signal_id="one")
    record(desk, [Received(raw=raw, source=Signal.Source.STREAM, stream_entry_id="1-1")])

    answer = send(raw)

    assert (answer.status_code, answer.json()["source"]) == (200, "STREAM")


def test_an_id_that_was_used_for_another_signal_is_409_and_kept_as_the_inbox_keeps_it(send, message):
    send(signal_id="one")
    raw = message(signal_id="one", symbol="INFY")

    answers = [send(raw) for _ in range(2)]

    for answer in answers:
        said = problem(answer, 409, "signal-conflict")
        assert "the id one was used before for a different signal" in said["detail"]
    kept = Signal.objects.get(status="MALFORMED")
    assert (kept.symbol, kept.duplicates, said["signal"]["signal_id"]) == ("INFY", 1, kept.signal_id)
    assert Incident.objects.get().kind == "SIGNAL_CONFLICT"
    assert Signal.objects.get(signal_id="one").symbol == "RELIANCE"


@pytest.mark.django_db(transaction=True)
def test_duplicates_at_once_are_one_signal(send, message):
    raw = message(signal_id="one")

    answers = Together(*(lambda: send(raw).status_code for _ in range(6))).join()

    assert sorted(answers) == [200] * 5 + [201]
    assert Signal.objects.get().duplicates == 5


@pytest.mark.django_db(transaction=True)
def test_of_two_at_once_with_one_id_one_is_the_signal_and_one_a_conflict(send, message):
    ones = [message(signal_id="one", symbol=symbol) for symbol in ("RELIANCE", "INFY", "TCS")]

    answers = Together(*(lambda raw=raw: send(raw).status_code for raw in ones)).join()

    assert sorted(answers) == [201, 409, 409]


# --- What is none -----------------------------------------------------------------------------------------------------

FIELDS = [
    ({"cms_score": 101}, {"cms_score"}),
    ({"cms_score": -100.0000001}, {"cms_score"}),
    ({"cms_score": float("nan")}, {"cms_score"}),
    ({"cms_score": float("-inf")}, {"cms_score"}),
    ({"cms_score": True}, {"cms_score"}),
    ({"cms_score": None}, {"cms_score"}),
    ({"signal_type": "HODL"}, {"signal_type"}),
    ({"symbol": "REL IANCE"}, {"symbol"}),
    ({"symbol": "NYSE:IBM"}, {"exchange"}),
    ({"symbol": "\ud800"}, {"symbol"}),
    ({"symbol": "रिलायंस"}, {"symbol"}),
    ({"quantity": 0}, {"quantity"}),
    ({"quantity": -5}, {"quantity"}),
    ({"quantity": 10**30}, {"quantity"}),
    ({"price": -1}, {"price"}),
    ({"price": "1e400"}, {"price"}),
    ({"order_type": "STOP"}, {"order_type"}),
    ({"timestamp": "yesterday"}, {"timestamp"}),
    ({"timestamp": 1764200000}, {"timestamp"}),
    ({"timestamp": "9999-12-31T23:59:59"}, {"timestamp"}),
    ({"timestamp": "0001-01-01T00:00:00+14:00"}, {"timestamp"}),
    ({"signal_id": "x" * 81}, {"signal_id"}),
    ({"signal_id": "a\x00b"}, {"signal_id"}),
    ({"strategy": "a\x00b"}, {"strategy"}),
    ({"seq": 2**63}, {"seq"}),
    ({"cms_score": "many", "quantity": "few", "signal_type": None}, {"cms_score", "quantity", "signal_type"}),
]


def test_each_field_that_is_wrong_is_named_and_the_message_is_kept(send):
    for changes, fields in FIELDS:
        answer = send(**changes)

        said = problem(answer, 422, "signal-malformed")
        assert {each["field"] for each in said["errors"]} == fields
        assert all(each["detail"] for each in said["errors"])
        kept = Signal.objects.latest("id")
        assert (kept.status, kept.source, kept.signal_id) == ("MALFORMED", "API", said["signal"]["signal_id"])
        assert said["detail"] == kept.reason
    assert Signal.objects.count() == len(FIELDS)


BYTES = [
    b"",
    b"null",
    b"[]",
    b'"BUY"',
    b"{",
    b"\xff\xfe\x00",
    b"NaN",
    b"1" * 5000,
    b'{"cms_score": ' + b"9" * 5000 + b"}",
    b"[" * 20_000,
    b'{"a":' * 8000,
    b"not a signal",
    b'{"signal_type": "BUY", "signal_type": {}}',
    "{\u2028}".encode(),
]


def test_what_is_no_signal_at_all_is_kept_too(send):
    for raw in BYTES:
        problem(send(raw), 422, "signal-malformed")
        problem(send(raw), 422, "signal-malformed")

        kept = Signal.objects.latest("id")
        assert (kept.status, kept.duplicates) == ("MALFORMED", 1), raw
    assert Signal.objects.count() == len(BYTES)


def test_a_malformed_one_that_would_have_closed_a_position_waits_for_a_person(send, held):
    held(2)

    answer = send(signal_type="SELL", cms_score="much", symbol="RELIANCE")

    problem(answer, 422, "signal-malformed")
    assert MissedExit.objects.get().symbol == "RELIANCE"


def test_one_from_the_future_is_refused_just_past_thirty_seconds(send):
    now = timezone.now()

    late = send(signal_id="b", timestamp=(now + timedelta(seconds=45)).isoformat())

    assert problem(late, 422, "signal-malformed")["errors"][0]["detail"].endswith("up to 30 s is accepted")
    assert send(signal_id="a", timestamp=(now + timedelta(seconds=25)).isoformat()).status_code == 201


def test_a_body_as_large_as_a_signal_may_be_is_read_and_one_byte_more_is_not(send, message):
    raw = message(signal_id="large")
    padded = raw[:-1] + b', "pad": "' + b"x" * (MESSAGE_BYTES_MAX - len(raw) - 11) + b'"}'
    assert len(padded) == MESSAGE_BYTES_MAX

    problem(send(padded + b" "), 413, "body-too-large")

    assert not Signal.objects.exists()
    assert send(padded).status_code == 201


def test_a_defect_of_ours_keeps_the_bytes_and_says_so(send, monkeypatch):
    def broken(*args: Any) -> None:
        raise ValueError("a defect")

    monkeypatch.setattr("orders.inbox._filled", broken)

    problem(send(signal_id="one"), 500, "signal-not-taken")

    assert (Signal.objects.get().status, Signal.objects.get().sent_by) == ("FAILED", "tara, momentum")
    assert Incident.objects.get().kind == "SIGNAL_FAILED"


def test_auto_trading_off_still_records_it(send, desk):
    TradingControl.objects.filter(mode=desk.mode).update(auto_trading=False)

    assert send(signal_id="one").status_code == 201
    assert not Order.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_no_use_case_runs_inside_a_request_s_transaction(send, monkeypatch):
    inside = []

    def looked(desk: Desk, messages: Any) -> Any:
        inside.append(connection.in_atomic_block)
        return record(desk, messages)

    monkeypatch.setattr("orders.api.signals.record", looked)
    assert send(signal_id="one").status_code == 201

    assert inside == [False]
