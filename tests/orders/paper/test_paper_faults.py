"""What becomes of an order that a fault has touched, and which routes faults are for."""

from __future__ import annotations

import http.client
import time

import pytest
import requests
from kiteconnect.exceptions import NetworkException

from .paper_process import until


def test_a_reset_forgets_what_is_late(kite, paper, order):
    paper.fault("place", "late_after", seconds=0.2)
    with pytest.raises(NetworkException):
        kite.place_order(**order())

    paper.reset()

    with pytest.raises(AssertionError):
        until(paper.accepted, seconds=0.5)


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
