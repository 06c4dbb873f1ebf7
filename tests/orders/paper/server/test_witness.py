"""The witness says all the terms that were accepted, and those that each modification left."""

from __future__ import annotations

import pytest
import requests

from orders.paper.server.witness import journal_rows
from tests.orders.paper.exchange.stage import Stage

TERMS = ("quantity", "order_type", "price", "trigger_price", "validity", "validity_ttl", "disclosed_quantity")


def terms(stage: Stage) -> list[tuple]:
    rows = journal_rows(stage.record.replay())
    return [tuple(row[term] for term in TERMS) for row in rows if row["event"] in {"accepted", "modified"}]


def test_the_terms_of_an_order_are_all_told():
    stage = Stage()

    stage.rest(order_type="SL", price="1600", trigger_price="1590", disclosed_quantity=4)
    stage.rest(validity="TTL", validity_ttl=5)

    assert terms(stage) == [
        (10, "SL", 1600.0, 1590.0, "DAY", 0, 4),
        (10, "LIMIT", 1400.0, 0.0, "TTL", 5, 0),
    ]


def test_a_modification_tells_what_it_left_as_it_was_too():
    stage = Stage()
    order = stage.rest(disclosed_quantity=4)

    stage.modify(order, validity="TTL", validity_ttl=5)
    stage.modify(order, disclosed_quantity=5)
    stage.modify(order, price="1401")

    assert terms(stage)[1:] == [
        (10, "LIMIT", 1400.0, 0.0, "TTL", 5, 4),
        (10, "LIMIT", 1400.0, 0.0, "TTL", 5, 5),
        (10, "LIMIT", 1401.0, 0.0, "TTL", 5, 5),
    ]


def test_two_orders_terms_are_told_apart():
    stage = Stage()
    first, second = stage.rest(disclosed_quantity=4), stage.rest(disclosed_quantity=5)

    stage.modify(first, price="1401")
    stage.modify(second, price="1402")

    assert [(row[2], row[6]) for row in terms(stage)[2:]] == [(1401.0, 4), (1402.0, 5)]


def test_an_order_and_the_fault_that_struck_its_request_name_each_other(paper):
    paper.fault("place", "drop_after", skip=1)
    kite = paper.kite()
    usual = {
        "variety": "regular", "exchange": "NSE", "tradingsymbol": "RELIANCE", "transaction_type": "BUY", "quantity": 1,
        "product": "CNC", "order_type": "LIMIT", "price": 1390.0,
    }  # fmt: skip

    kite.place_order(**usual, tag="spared")
    with pytest.raises(requests.ConnectionError):
        kite.place_order(**usual, tag="struck")

    accepted = {row["tag"]: row["strike"] for row in paper.journal() if row["event"] == "accepted"}
    fault = next(row for row in paper.journal() if row["event"] == "fault")
    assert accepted == {"spared": None, "struck": fault["strike"]}
    assert (fault["tag"], fault["order_id"]) == ("struck", None)
