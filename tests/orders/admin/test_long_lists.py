"""What is made once for a list, and not again for each of its rows, is as the theme makes it."""

from __future__ import annotations

import pytest
from unfold.admin import ModelAdmin
from unfold.views import ChangeList

from orders.admin.blotter import OrderAdmin
from orders.models import Order


@pytest.mark.parametrize("pk", [1, 1_000_000, '"><script>'])
def test_the_box_before_a_row_is_the_themes_own(pk):
    row = Order(pk=pk)

    assert OrderAdmin.action_checkbox(None, row) == ModelAdmin.action_checkbox(None, row)
    assert OrderAdmin.action_checkbox.short_description == ModelAdmin.action_checkbox.short_description


@pytest.mark.parametrize(
    ("new", "removed"),
    [(None, None), ({"o": "1"}, None), ({"o": "1"}, ["of_"]), ({"of_symbol": None}, []), ({}, ["p"])],
)
def test_an_address_of_a_list_is_the_one_that_it_asks_for(tara, new, removed):
    changelist = tara.get("/admin/orders/order/?of_symbol=INFY&o=2").context["cl"]

    for _ in range(2):
        assert changelist.get_query_string(new, removed) == ChangeList.get_query_string(changelist, new, removed)


def test_a_list_asks_for_few_addresses_however_many_rows_it_has(tara, resting, monkeypatch):
    for _ in range(3):
        resting()
    made = []
    whole = ChangeList.get_query_string
    monkeypatch.setattr(
        ChangeList, "get_query_string", lambda *asked, **named: made.append(repr(asked[1:])) or whole(*asked, **named)
    )

    tara.get("/admin/orders/order/")

    assert len(made) == len(set(made))
