"""Faults on many requests, at the start, and by the command."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from io import StringIO

import pytest
import requests
from django.core.management import CommandError, call_command
from kiteconnect.exceptions import KiteException, NetworkException


def strikes(paper):
    return [row["fault"] for row in paper.journal() if row["event"] == "fault"]


def test_an_order_fills_in_part_until_the_price_is_set(kite, paper, market_order):
    paper.fault("place", "partial_fill", shares=4)
    order_id = kite.place_order(**market_order(quantity=10))

    assert kite.orders()[0]["filled_quantity"] == 4
    paper.set_price("NSE:INFY", "1500.00")
    assert [trade["quantity"] for trade in kite.order_trades(order_id)] == [4, 6]


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

    for says in ("OMS", "Insufficient funds"):
        with pytest.raises(KiteException, match=says):
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
