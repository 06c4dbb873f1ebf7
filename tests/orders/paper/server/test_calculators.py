"""
What imaginary orders would block and cost.

INFY stands at 1,500 INR: ten shares are 15,000 INR, of which delivery blocks all and intraday a fifth, 3,000.
"""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kiteconnect.exceptions import InputException

MARGIN_KEYS = {
    "type",
    "tradingsymbol",
    "exchange",
    "span",
    "exposure",
    "option_premium",
    "additional",
    "bo",
    "cash",
    "var",
    "pnl",
    "leverage",
    "charges",
    "total",
}
CHARGE_KEYS = {
    "transaction_tax",
    "transaction_tax_type",
    "exchange_turnover_charge",
    "sebi_turnover_charge",
    "brokerage",
    "stamp_duty",
    "gst",
    "total",
}
HEADERS = {"Authorization": "token paper:paper", "Content-Type": "application/json"}


def wanted(**changes: object) -> dict:
    usual = {
        "exchange": "NSE",
        "tradingsymbol": "INFY",
        "transaction_type": "BUY",
        "variety": "regular",
        "product": "MIS",
        "order_type": "MARKET",
        "quantity": 10,
        "price": 0,
        "trigger_price": 0,
    }
    return {name: value for name, value in (usual | changes).items() if value is not None}


def executed(**changes: object) -> dict:
    return wanted(order_id="111111111", average_price=1500, price=None, trigger_price=None) | changes


@pytest.mark.parametrize(
    ("changes", "total"),
    [
        ({}, 3000),
        ({"product": "CNC"}, 15_000),
        ({"product": "CNC", "transaction_type": "SELL"}, 0),
        ({"transaction_type": "SELL"}, 3000),
        ({"order_type": "LIMIT", "price": 1400}, 2800),
        ({"order_type": "LIMIT", "price": 1400.5}, 2801),
        ({"variety": "co", "trigger_price": 1450}, 3000),
        ({"variety": "co", "product": "CNC", "trigger_price": 1450}, 3000),  # intraday whatever it is called
        ({"price": 1}, 3000),  # beside MARKET it is noise
        ({"order_type": "SL-M", "price": 1, "trigger_price": 1510}, 3000),
    ],
)
def test_an_order_blocks_what_its_product_demands(kite, changes, total):
    (row,) = kite.order_margins([wanted(**changes)])

    assert set(row) == MARGIN_KEYS
    assert set(row["charges"]) == CHARGE_KEYS
    assert row["total"] == row["cash"] + row["var"] == total


def test_each_order_is_counted_beside_what_is_open(kite, market_order):
    kite.place_order(**market_order(product="MIS", quantity=4))

    more, out, through = kite.order_margins(
        [wanted(), wanted(transaction_type="SELL", quantity=4), wanted(transaction_type="SELL")]
    )

    assert (more["total"], out["total"], through["total"]) == (3000, 0, 1800)


def test_each_order_is_counted_beside_the_open_orders(kite, market_order):
    """Kite Connect v3, "Margin calculation": "considering the existing positions and open orders"."""
    kite.place_order(**market_order(product="MIS"))
    kite.place_order(**market_order(product="MIS", transaction_type="SELL", quantity=8, order_type="LIMIT", price=1600))

    (out,) = kite.order_margins([wanted(transaction_type="SELL")])

    assert out["total"] == 8 * 1500 / 5


def test_the_compact_form_has_the_total_only(paper):
    answer = paper.http.post(f"{paper.root}/margins/orders?mode=compact", json=[wanted()], headers=HEADERS, timeout=5)

    assert answer.json()["data"] == [{"type": "equity", "tradingsymbol": "INFY", "exchange": "NSE", "total": 3000}]


def test_a_basket_sets_off_what_it_buys_against_what_it_sells(kite):
    basket = kite.basket_order_margins([wanted(), wanted(transaction_type="SELL", quantity=6)])

    assert set(basket) == {"initial", "final", "orders", "charges"}
    assert set(basket["initial"]) == set(basket["final"]) == MARGIN_KEYS
    assert basket["initial"]["total"] == 4800
    assert basket["final"]["total"] == 1200
    assert [row["total"] for row in basket["orders"]] == [3000, 1800]
    assert basket["charges"]["total"] == pytest.approx(
        sum(row["charges"]["total"] for row in basket["orders"]), abs=0.001
    )


def test_a_basket_counts_positions_only_when_it_is_asked_to(kite, market_order):
    kite.place_order(**market_order(product="MIS"))
    closing = [wanted(transaction_type="SELL")]

    assert kite.basket_order_margins(closing, consider_positions=True)["final"]["total"] == 0
    assert kite.basket_order_margins(closing, consider_positions=False)["final"]["total"] == 3000


def test_a_compact_basket_has_totals(kite):
    basket = kite.basket_order_margins([wanted()], mode="compact")

    assert basket["initial"]["total"] == basket["final"]["total"] == 3000


def test_an_unknown_mode_is_bad_input(kite):
    with pytest.raises(InputException, match="mode"):
        kite.basket_order_margins([wanted()], mode="tiny")


def test_a_contract_note_tells_what_each_order_costs(kite):
    bought, sold = kite.get_virtual_contract_note(
        [executed(product="CNC"), executed(transaction_type="SELL", average_price=1510.5)]
    )

    assert {key: bought[key] for key in bought if key != "charges"} == {
        "transaction_type": "BUY",
        "tradingsymbol": "INFY",
        "exchange": "NSE",
        "variety": "regular",
        "product": "CNC",
        "order_type": "MARKET",
        "quantity": 10,
        "price": 1500.0,
    }
    assert bought["charges"]["brokerage"] == 0
    assert bought["charges"]["transaction_tax"] == 15.0  # 0.1 % of 15,000 INR
    assert bought["charges"]["stamp_duty"] == 2.25  # 0.015 %
    assert sold["charges"]["brokerage"] == 4.5315  # 0.03 % of 15,105 INR
    assert sold["charges"]["stamp_duty"] == 0
    for row in (bought, sold):
        parts = ("transaction_tax", "exchange_turnover_charge", "sebi_turnover_charge", "brokerage", "stamp_duty")
        total = sum(row["charges"][part] for part in parts) + row["charges"]["gst"]["total"]
        assert row["charges"]["total"] == pytest.approx(total, abs=0.001)


@pytest.mark.parametrize("route", ["/margins/orders", "/margins/basket", "/charges/orders"])
@pytest.mark.parametrize(
    "body",
    [
        "",
        "null",
        "{}",
        "7",
        "[7]",
        "[[]]",
        "[" * 100_000,
        '[{"a":' * 1000,
        "[NaN]",
        "\xff",
        json.dumps([{**wanted(), "average_price": 1500}] * 5000),
    ],
)
def test_what_is_no_list_of_orders_is_bad_input(paper, route, body):
    answer = paper.http.post(paper.root + route, data=body.encode("latin-1"), headers=HEADERS, timeout=5)

    assert answer.status_code == 400
    assert answer.json()["error_type"] == "InputException"


@pytest.mark.parametrize("route", ["/margins/orders", "/margins/basket", "/charges/orders"])
@pytest.mark.parametrize(
    "changes",
    [
        {"exchange": None},
        {"tradingsymbol": "NOSUCH"},
        {"tradingsymbol": "NIFTY 50"},
        {"transaction_type": "HOLD"},
        {"product": "MTF"},
        {"variety": "bo"},
        {"order_type": "ICEBERG"},
        {"quantity": None},
        {"quantity": 0},
        {"quantity": -1},
        {"quantity": 1.5},
        {"quantity": True},
        {"quantity": "ten"},
        {"quantity": 10**30},
        {"quantity": float("nan")},
        {"price": True, "average_price": True},
        {"price": -1, "average_price": -1},
        {"price": 1e300, "average_price": 1e300},
        {"price": float("nan"), "average_price": float("nan")},
        {"price": float("inf"), "average_price": float("inf")},
        {"price": "dear", "average_price": "dear"},
        {"tradingsymbol": {"a": 1}},
    ],
    ids=str,
)
def test_an_order_of_nonsense_is_bad_input(paper, route, changes):
    order = {"average_price": 1500} | wanted(**changes)

    answer = paper.http.post(paper.root + route, data=json.dumps([order]), headers=HEADERS, timeout=5)

    assert answer.status_code == 400
    assert answer.json()["error_type"] == "InputException"


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    route=st.sampled_from(["/margins/orders", "/margins/basket", "/charges/orders"]),
    changes=st.dictionaries(st.sampled_from([*wanted(), "average_price"]), anything, max_size=3),
)
def test_whatever_an_order_says_the_answer_is_kites_json(paper, route, changes):
    body = json.dumps([{"average_price": 1500} | wanted() | changes])

    answer = paper.http.post(paper.root + route, data=body, headers=HEADERS, timeout=5)

    assert answer.status_code in (200, 400)
    assert answer.json()["status"] == ("success" if answer.status_code == 200 else "error")
