"""Each fault, as the SDK sees it, and what is true behind it."""

from __future__ import annotations

import http.client
import time

import pytest
import requests
from kiteconnect.exceptions import (
    DataException,
    GeneralException,
    InputException,
    NetworkException,
    OrderException,
    TokenException,
)

from .paper_process import until


@pytest.mark.parametrize(
    ("do", "seen", "code"),
    [
        ("drop_before", requests.exceptions.ConnectionError, None),
        ("error_503", NetworkException, 503),
        ("error_502_html", DataException, 502),
        ("error_504", NetworkException, 504),
        ("error_429", NetworkException, 429),
        ("refuse_margin", GeneralException, 400),
        ("refuse_input", InputException, 400),
        ("token", TokenException, 403),
    ],
)
def test_an_order_that_was_not_accepted(kite, paper, order, do, seen, code):
    paper.fault("place", do)

    with pytest.raises(seen) as refused:
        kite.place_order(**order())

    assert getattr(refused.value, "code", None) == code
    assert paper.accepted() == kite.orders() == []
    assert kite.place_order(**order())


@pytest.mark.parametrize(
    ("do", "seen", "code"),
    [
        ("drop_after", requests.exceptions.ConnectionError, None),
        ("error_503_after", NetworkException, 503),
        ("error_400_timeout_after", OrderException, 400),
        ("empty_success", TypeError, None),
    ],
)
def test_an_order_that_was_accepted_although_the_answer_does_not_say_so(kite, paper, order, do, seen, code):
    paper.fault("place", do)

    with pytest.raises(seen) as doubtful:
        kite.place_order(**order(tag="lost"))

    assert getattr(doubtful.value, "code", None) == code
    assert [row["tag"] for row in kite.orders()] == ["lost"]
    assert len(paper.accepted()) == 1


def test_a_late_order_appears_after_its_answer(kite, paper, order):
    paper.fault("place", "late_after", seconds=0.3)

    with pytest.raises(NetworkException) as doubtful:
        kite.place_order(**order(tag="late"))

    assert doubtful.value.code == 504
    assert kite.orders() == []
    until(lambda: [row["tag"] for row in kite.orders()] == ["late"])


def test_a_reset_forgets_what_is_late(kite, paper, order):
    paper.fault("place", "late_after", seconds=0.2)
    with pytest.raises(NetworkException):
        kite.place_order(**order())

    paper.reset()

    with pytest.raises(AssertionError):
        until(paper.accepted, seconds=0.5)


def test_a_delay_outlives_the_clients_patience(paper, order):
    paper.fault("place", "delay", seconds=0.5)

    with pytest.raises(requests.exceptions.ReadTimeout):
        paper.kite(timeout=0.2).place_order(**order())

    until(paper.accepted)


def test_a_hidden_order_appears_later_with_its_trades(kite, paper, market_order):
    paper.fault("place", "hide", seconds=0.6)

    order_id = kite.place_order(**market_order())

    assert kite.orders() == kite.trades() == []
    with pytest.raises(GeneralException):
        kite.order_history(order_id)
    assert paper.accepted() == [order_id]
    until(kite.orders)
    assert len(kite.trades()) == len(kite.order_trades(order_id)) == 1


def test_a_held_order_fills_when_the_price_is_next_set(kite, paper, market_order):
    paper.fault("place", "hold_fill")
    order_id = kite.place_order(**market_order())
    assert kite.order_history(order_id)[-1]["status"] == "OPEN"
    paper.set_price("NSE:SBIN", "900.00")
    assert kite.order_history(order_id)[-1]["status"] == "OPEN"

    paper.set_price("NSE:INFY", "1501.00")

    row = kite.order_history(order_id)[-1]
    assert (row["status"], row["average_price"]) == ("COMPLETE", 1501.0)


def test_a_held_order_can_be_cancelled(kite, paper, market_order):
    paper.fault("place", "hold_fill")
    order_id = kite.place_order(**market_order())

    kite.cancel_order("regular", order_id)

    assert kite.order_history(order_id)[-1]["status"] == "CANCELLED"


def test_an_order_is_rejected_after_its_id_was_given(kite, paper, order):
    paper.fault("place", "reject_later")

    order_id = kite.place_order(**order())

    row = until(lambda: next((row for row in kite.orders() if row["status"] == "REJECTED"), None))
    assert row["order_id"] == order_id
    assert row["status_message"]


def test_a_trickle_keeps_the_connection_busy(paper, order):
    paper.fault("place", "trickle")
    connection = http.client.HTTPConnection("127.0.0.1", paper.port, timeout=5)
    body = "&".join(f"{name}={value}" for name, value in order().items())
    began = time.monotonic()

    connection.request("POST", "/orders/regular", body, {"Authorization": "token paper:paper"})
    first_bytes = connection.getresponse().read(2)

    connection.close()
    assert first_bytes == b'{"'
    assert time.monotonic() - began >= 0.9
    assert len(paper.accepted()) == 1


def test_a_trickle_ends_in_an_honest_answer(kite, paper, order):
    paper.fault("place", "trickle", seconds=0.001)

    assert [kite.place_order(**order())] == paper.accepted()


def test_faults_strike_their_own_route_as_often_as_told(kite, paper, order):
    paper.fault("cancel", "error_503", times=2)
    order_id = kite.place_order(**order())

    for _ in range(2):
        with pytest.raises(NetworkException):
            kite.cancel_order("regular", order_id)

    assert kite.cancel_order("regular", order_id) == order_id


@pytest.mark.parametrize(
    ("route", "call"),
    [
        ("orders", lambda kite: kite.orders()),
        ("orders", lambda kite: kite.order_history("SIM")),
        ("trades", lambda kite: kite.trades()),
        ("positions", lambda kite: kite.positions()),
        ("quote", lambda kite: kite.ltp(["NSE:INFY"])),
        ("modify", lambda kite: kite.modify_order("regular", "SIM", price=1)),
        ("any", lambda kite: kite.profile()),
    ],
)
def test_every_route_can_fail(kite, paper, route, call):
    paper.fault(route, "error_503")

    with pytest.raises(NetworkException):
        call(kite)


def test_faults_can_be_taken_back(kite, paper):
    paper.fault("any", "token", times=100)

    paper.control("DELETE", "faults")

    assert kite.orders() == []


@pytest.mark.parametrize(
    "body",
    [
        {"route": "place", "do": "nothing"},
        {"route": "elsewhere", "do": "token"},
        {"route": "orders", "do": "hide", "seconds": 1},
        {"route": "place", "do": "delay"},
        {"route": "place", "do": "token", "times": 0},
        [],
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(paper, body):
    answer = requests.post(f"{paper.root}/paper/faults", json=body, timeout=5)

    assert answer.status_code == 400
    assert answer.json()["error_type"] == "InputException"
