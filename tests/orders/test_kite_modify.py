"""What each answer to a modification means, through the real SDK over HTTP: the same three outcomes as of a place."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import pytest

from orders.broker.deadline import boot_clock
from orders.broker.gateway import NotSent, OrderRefused, OutcomeUnknown, SessionRefused, Terms, TooManyRequests

from .raw_server import http, kite_error, raw
from .test_every_answer import AMBIGUOUS
from .test_kite_gateway import IST, REFUSED, gateway, gateway_at, request, soon

__all__ = ["gateway", "gateway_at", "raw"]

FIVE = Terms(quantity=5, price=Decimal("1391.10"))


def modified(paper):
    return [(row["quantity"], row["price"]) for row in paper.journal() if row["event"] == "modified"]


def test_one_that_is_taken_shows_in_the_book(gateway, paper):
    broker_order_id = gateway.place(request(), send_by=soon())

    gateway.modify(broker_order_id, FIVE, send_by=soon())

    (order,) = gateway.book(datetime.now(IST)).orders
    assert (order.status, order.quantity, order.price) == ("OPEN", 5, Decimal("1391.1"))


@pytest.mark.parametrize(
    ("fault", "outcome", "reached"),
    [
        ("drop_before", OutcomeUnknown, 0),
        ("drop_after", OutcomeUnknown, 1),
        ("error_503", OutcomeUnknown, 0),
        ("error_503_html_after", OutcomeUnknown, 1),
        ("error_502_html", OutcomeUnknown, 0),
        ("error_400_timeout_after", OutcomeUnknown, 1),
        ("empty_success", OutcomeUnknown, 1),
        ("error_429", TooManyRequests, 0),
        ("refuse_input", OrderRefused, 0),
        ("token", SessionRefused, 0),
    ],
)
def test_each_fault_has_its_outcome_and_nothing_is_sent_again(gateway, paper, fault, outcome, reached):
    broker_order_id = gateway.place(request(), send_by=soon())
    paper.fault("modify", fault)

    with pytest.raises(outcome) as raised:
        gateway.modify(broker_order_id, FIVE, send_by=soon())

    assert type(raised.value) is outcome
    assert len(modified(paper)) == reached


def test_an_answer_that_does_not_come_in_time_is_unknown(gateway, paper, monkeypatch):
    monkeypatch.setattr("orders.broker.kite.CALL_SECONDS", 0.3)
    broker_order_id = gateway.place(request(), send_by=soon())
    paper.fault("modify", "delay_after", seconds=1)

    with pytest.raises(OutcomeUnknown):
        gateway.modify(broker_order_id, FIVE, send_by=soon())

    assert modified(paper) == [(5, 1391.1)]


def test_an_order_that_is_over_is_surely_not_modified(gateway, paper):
    broker_order_id = gateway.place(request(), send_by=soon())
    gateway.cancel(broker_order_id)

    with pytest.raises(OrderRefused, match="being processed"):
        gateway.modify(broker_order_id, FIVE, send_by=soon())


def test_not_a_byte_leaves_too_late(gateway_at, raw):
    raw.answer(http(200, {"status": "success", "data": {"order_id": "1"}}))

    with pytest.raises(NotSent):
        gateway_at(raw.root).modify("1", FIVE, send_by=boot_clock() - 0.001)

    assert raw.requests == []


@pytest.mark.parametrize("answer", AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
def test_an_ambiguous_answer_is_unknown_and_one_request(gateway_at, raw, answer):
    raw.answer(answer)

    with pytest.raises(OutcomeUnknown):
        gateway_at(raw.root).modify("1", FIVE, send_by=soon())

    assert len(raw.requests) == 1


def test_an_answer_about_another_order_is_unknown(gateway_at, raw):
    raw.answer(http(200, {"status": "success", "data": {"order_id": "2"}}))

    with pytest.raises(OutcomeUnknown, match="the answer is of 2"):
        gateway_at(raw.root).modify("1", FIVE, send_by=soon())


@pytest.mark.parametrize(("status", "error_type", "text"), REFUSED)
def test_what_is_surely_refused_is_refused_with_kites_words(gateway_at, raw, status, error_type, text):
    raw.answer(kite_error(status, error_type, text))

    with pytest.raises(OrderRefused) as raised:
        gateway_at(raw.root).modify("1", FIVE, send_by=soon())

    assert text in str(raised.value)


def test_all_the_terms_are_sent(gateway_at, raw):
    raw.answer(http(200, {"status": "success", "data": {"order_id": "1"}}))

    gateway_at(raw.root).modify("1", FIVE, send_by=soon())

    (sent,) = raw.requests
    assert sent.startswith(b"PUT /orders/regular/1 ")
    assert {b"quantity=5", b"price=1391.1", b"order_type=LIMIT", b"validity=DAY"} <= set(
        sent.split(b"\r\n\r\n")[1].split(b"&")
    )
