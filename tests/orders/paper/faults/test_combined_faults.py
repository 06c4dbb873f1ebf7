"""What combined faults do, as the SDK sees it and as the journal tells it."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from io import StringIO

import pytest
import requests
from django.core.management import CommandError, call_command
from kiteconnect.exceptions import DataException, InputException, NetworkException

from tests.orders.paper.paper_process import until


def strikes(paper):
    return [row["fault"] for row in paper.journal() if row["event"] == "fault"]


def test_it_answers_429_and_places_it_anyway_and_shows_it_later(kite, paper, order):
    paper.fault("place", "error_429_after", hide_seconds=0.5)

    with pytest.raises(NetworkException, match="Too many requests"):
        kite.place_order(**order(tag="mine"))

    assert len(paper.accepted()) == 1
    assert kite.orders() == []
    assert [row["tag"] for row in until(kite.orders)] == ["mine"]
    assert strikes(paper) == ["place:error_429_after:hide_seconds=0.5"]


@pytest.mark.parametrize(
    ("do", "error"),
    [("error_504_after", NetworkException), ("error_502_after", DataException), ("error_503_after", NetworkException)],
)
def test_an_error_afterwards_leaves_an_order(kite, paper, order, do, error):
    paper.fault("place", do)

    with pytest.raises(error):
        kite.place_order(**order())

    assert len(paper.accepted()) == len(kite.orders()) == 1


def test_an_answer_may_break_off_in_its_middle(kite, paper, order):
    paper.fault("place", "drop_mid_answer")

    with pytest.raises(requests.RequestException):
        kite.place_order(**order())

    assert len(paper.accepted()) == 1


def test_an_order_that_is_accepted_and_lost_may_be_rejected_later(kite, paper, order):
    paper.fault("place", "drop_after", reject_seconds=0.2)

    with pytest.raises(requests.RequestException):
        kite.place_order(**order())

    assert kite.orders()[0]["status"] == "VALIDATION PENDING"
    until(lambda: kite.orders()[0]["status"] == "REJECTED")


def test_an_order_stays_where_it_was_received(kite, paper, order):
    paper.fault("place", "stuck", seconds=0.5)
    order_id = kite.place_order(**order())

    assert [row["status"] for row in kite.order_history(order_id)] == ["PUT ORDER REQ RECEIVED"]
    with pytest.raises(InputException, match="being processed"):
        kite.cancel_order("regular", order_id)
    until(lambda: kite.orders()[0]["status"] == "OPEN")


def test_an_order_fills_in_part_until_the_price_is_set(kite, paper, market_order):
    paper.fault("place", "partial_fill", shares=4)
    order_id = kite.place_order(**market_order(quantity=10))

    assert kite.orders()[0]["filled_quantity"] == 4
    paper.set_price("NSE:INFY", "1500.00")
    assert [trade["quantity"] for trade in kite.order_trades(order_id)] == [4, 6]


def test_a_cancel_is_answered_and_the_order_fills_first(kite, paper, order):
    order_id = kite.place_order(**order())
    paper.fault("cancel", "fill_first")

    assert kite.cancel_order("regular", order_id) == order_id

    assert kite.orders()[0]["status"] == "COMPLETE"


@pytest.mark.parametrize("route", ["cancel", "modify"])
def test_a_change_is_answered_and_not_made(kite, paper, order, route):
    order_id = kite.place_order(**order())
    paper.fault(route, "ignore")

    if route == "cancel":
        kite.cancel_order("regular", order_id)
    else:
        kite.modify_order("regular", order_id, price=1480.0)

    (row,) = kite.orders()
    assert (row["status"], row["price"], row["modified"]) == ("OPEN", 1490.0, False)


@pytest.mark.parametrize(
    ("route", "ask"),
    [
        ("holdings", lambda kite: kite.holdings()),
        ("margins", lambda kite: kite.margins()),
        ("instruments", lambda kite: kite.instruments("NSE")),
        ("historical", lambda kite: kite.historical_data(408065, "2026-11-20", "2026-11-21", "day")),
        ("gtt", lambda kite: kite.get_gtts()),
        ("profile", lambda kite: kite.profile()),
        ("calculators", lambda kite: kite.order_margins([])),
        ("quote", lambda kite: kite.ltp("NSE:INFY")),
    ],
)
def test_every_route_can_fail_by_itself(kite, paper, route, ask):
    paper.fault(route, "error_503")
    kite.orders()

    with pytest.raises(NetworkException):
        ask(kite)


def test_twenty_at_once_are_struck_exactly_as_often_as_told(paper):
    paper.fault("orders", "error_503", times=5)

    def ask(_number):
        return requests.get(
            f"{paper.root}/orders", headers={"Authorization": "token paper:paper"}, timeout=5
        ).status_code

    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(ask, range(20)))

    assert sorted(answers) == [200] * 15 + [503] * 5
    assert len(strikes(paper)) == 5


def test_faults_of_the_start_strike_first(start_paper, order):
    paper = start_paper("--fault", "place:error_503", "--fault", "place:refuse_margin")
    client = paper.kite()

    for _ in range(2):
        with pytest.raises(Exception, match=r"OMS|Insufficient funds"):
            client.place_order(**order())

    assert paper.accepted() == []
    assert client.place_order(**order()) in paper.accepted()


def command(paper, *words):
    out = StringIO()
    call_command("paper_fault", *words, "--url", paper.root, stdout=out)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_the_command_asks_for_faults_lists_and_clears_them(kite, paper, order):
    assert [row["do"] for row in command(paper, "place:error_503", "orders:token:times=2")] == ["error_503", "token"]
    assert len(command(paper)) == 2

    assert command(paper, "--clear") == []
    assert kite.place_order(**order())


@pytest.mark.parametrize(
    ("words", "says"),
    [(["place:nothing"], "is none of"), (["--url", "http://127.0.0.1:1"], "No paper Kite server answers")],
)
def test_the_command_says_what_is_wrong(words, says):
    with pytest.raises(CommandError, match=says):
        call_command("paper_fault", *words)
