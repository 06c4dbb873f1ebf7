"""Whatever is posted as an order, the answer is Kite's JSON."""

from __future__ import annotations

import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

HEADERS = {"Authorization": "token paper:paper", "Content-Type": "application/x-www-form-urlencoded"}
sensible = st.sampled_from(
    ["NSE", "INFY", "BUY", "SELL", "1", "10", "CNC", "MIS", "MARKET", "LIMIT", "DAY", "IOC", "-1", "0", "1500"]
)
awkward = st.sampled_from(
    ["1e5", "NaN", "inf", "1_0", "٣", " 1", "9" * 5000, "-0", "1500.123456789012", "", "\x00", "\ud7ff"]
)
fields = st.sampled_from(
    [
        "exchange",
        "tradingsymbol",
        "transaction_type",
        "quantity",
        "product",
        "order_type",
        "price",
        "validity",
        "market_protection",
        "tag",
        "disclosed_quantity",
        "trigger_price",
    ]
)
usual = {
    "exchange": "NSE",
    "tradingsymbol": "INFY",
    "transaction_type": "BUY",
    "quantity": "1",
    "product": "MIS",
    "order_type": "LIMIT",
    "price": "1500",
}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.dictionaries(fields, sensible | awkward | st.text(max_size=30)))
def test_any_form_gets_kites_json(paper, changes):
    answer = paper.http.post(f"{paper.root}/orders/regular", data=usual | changes, headers=HEADERS, timeout=5)

    assert_kites_json(answer)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=200))
def test_any_bytes_get_kites_json(paper, body):
    answer = paper.http.post(f"{paper.root}/orders/regular", data=body, headers=HEADERS, timeout=5)

    assert_kites_json(answer)


def assert_kites_json(answer: requests.Response) -> None:
    content = answer.json()
    if answer.status_code == 200:
        assert content["status"] == "success"
        assert content["data"]["order_id"].startswith("SIM")
    else:
        assert answer.status_code == 400
        assert (content["status"], content["error_type"]) == ("error", "InputException")
        assert content["message"]
