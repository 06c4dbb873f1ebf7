"""Which GTTs are refused, and which are listed."""

from __future__ import annotations

import pytest
from kiteconnect.exceptions import GeneralException, InputException

SELL = {"transaction_type": "SELL", "quantity": 1, "order_type": "LIMIT", "product": "CNC", "price": 1500.0}


def place(kite, *trigger_values: float) -> int:
    kind = "single" if len(trigger_values) == 1 else "two-leg"
    orders = [SELL] * len(trigger_values)
    return kite.place_gtt(kind, "INFY", "NSE", list(trigger_values), 1500.0, orders)["trigger_id"]


@pytest.mark.parametrize("price", [1499.9, 1500.1])
def test_a_trigger_beside_the_last_price_is_taken(kite, price):
    assert kite.get_gtt(place(kite, price))["condition"]["trigger_values"] == [price]


def test_a_trigger_at_the_last_price_is_refused(kite):
    with pytest.raises(InputException, match="cannot be the last price"):
        place(kite, 1500.0)


@pytest.mark.parametrize(
    ("lower", "upper", "says"),
    [
        (1510.0, 1510.0, "the lower trigger value comes first"),
        (1510.0, 1490.0, "the lower trigger value comes first"),
        (1510.0, 1520.0, "below and above the last price"),
        (1480.0, 1490.0, "below and above the last price"),
        (1500.0, 1520.0, "cannot be the last price"),
    ],
)
def test_the_triggers_of_a_pair_are_on_both_sides_of_the_price(kite, lower, upper, says):
    with pytest.raises(InputException, match=says):
        place(kite, lower, upper)
    assert kite.get_gtts() == []


def test_a_deleted_one_is_neither_listed_nor_deleted_again(kite):
    gone, stays = place(kite, 1400.0), place(kite, 1490.0, 1510.0)

    kite.delete_gtt(gone)

    assert [row["id"] for row in kite.get_gtts()] == [stays]
    with pytest.raises(GeneralException):
        kite.delete_gtt(gone)
