"""What a refusal says: which field, and what is wrong with it, in words for who wrote the client."""

from __future__ import annotations

import pytest
from kiteconnect.exceptions import InputException

from orders.paper.faults.specification import FaultUnreadable, read_fault

HEADERS = {"Authorization": "token paper:paper", "Content-Type": "application/x-www-form-urlencoded"}
FORM = "exchange=NSE&tradingsymbol=INFY&transaction_type=BUY&quantity=1&product=CNC&order_type=LIMIT&price=1490"


def refusal(paper, path: str, body: bytes | str) -> str:
    answer = paper.http.post(paper.root + path, data=body, headers=HEADERS, timeout=5)
    assert (answer.status_code, answer.json()["error_type"]) == (400, "InputException")
    return answer.json()["message"]


@pytest.mark.parametrize(
    ("quantity", "says"),
    [
        (-1, "Invalid `quantity`: it must be at least 1."),
        (0, "Invalid `quantity`: it must be at least 1."),
        ("1.5", "Invalid `quantity`: not a whole number."),
        ("--1", "Invalid `quantity`: not a whole number."),
    ],
)
def test_a_quantity_below_one_is_called_that(kite, order, quantity, says):
    with pytest.raises(InputException) as error:
        kite.place_order(**order(quantity=quantity))

    assert str(error.value) == says


@pytest.mark.parametrize("field", ["disclosed_quantity", "validity_ttl", "iceberg_legs", "iceberg_quantity"])
def test_a_negative_number_is_called_that(kite, order, field):
    more = {"variety": "iceberg", "validity": "TTL", "validity_ttl": 1, "iceberg_legs": 2, "iceberg_quantity": 5}

    with pytest.raises(InputException) as error:
        kite.place_order(**order(**more | {field: -1}))

    assert str(error.value) == f"Invalid `{field}`: it cannot be negative."


@pytest.mark.parametrize(("field", "moment"), [("from", "0001-01-01"), ("from", "1989-12-31"), ("to", "9999-12-31")])
def test_a_year_out_of_reach_is_called_that(paper, field, moment):
    span = {"from": "2026-11-20", "to": "2026-11-21"} | {field: moment}

    answer = paper.http.get(f"{paper.root}/instruments/historical/408065/day", params=span, headers=HEADERS, timeout=5)

    assert answer.status_code == 400
    assert answer.json()["message"] == f"invalid {field} date: use a year from 1990 to 2099"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ('{"route": "place"}', "Invalid `do`: Field required."),
        ('[{"route": "place"}]', "Invalid `0.do`: Field required."),
        ('{"route": "place", "do": "hide"}', "Invalid `body`: hide needs seconds."),
        ('{"route": "place", "do": "drop_after", "odd": 1}', "Invalid `odd`: Extra inputs are not permitted."),
        ("[]", "Invalid `body`: List should have at least 1 item after validation, not 0."),
        ("7", "Invalid `body`: Input should be an object."),
    ],
)
def test_what_is_wrong_with_a_fault_is_said_without_the_names_of_our_classes(paper, body, says):
    assert refusal(paper, "/paper/faults", body) == says


def test_broken_json_is_called_that(paper):
    for path in ("/paper/faults", "/paper/clock", "/margins/orders"):
        assert refusal(paper, path, "{").startswith("Invalid `body`: Invalid JSON: ")


def test_the_command_line_says_it_in_the_same_words():
    with pytest.raises(FaultUnreadable, match=r"'place:hide': hide needs seconds\.$"):
        read_fault("place:hide")


@pytest.mark.parametrize("tag", ["%ff", "abc%c3", "%ed%a0%80"])
def test_a_tag_that_is_not_text_is_refused_rather_than_kept_as_another(paper, kite, tag):
    assert refusal(paper, "/orders/regular", f"{FORM}&tag={tag}") == "The request's body is not a form in UTF-8."
    assert (
        refusal(paper, "/orders/regular", FORM.encode() + b"&tag=\xff") == "The request's body is not a form in UTF-8."
    )
    assert kite.orders() == []


def test_a_tag_of_other_letters_is_echoed_as_it_was(kite, order):
    kite.place_order(**order(tag="निफ्टी ü%+&"))

    assert kite.orders()[0]["tag"] == "निफ्टी ü%+&"
