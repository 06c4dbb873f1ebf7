"""The lists of positions and fills: what they show first, how they are narrowed, and what it all adds up to."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.urls import reverse
from django.utils.html import strip_tags

from orders import by_hand
from orders.models import Fill, Position
from orders.reconciliation import reconcile
from risk.admin.estimated import CappedPaginator
from risk.engine.facts import Side

POSITIONS, FILLS = reverse("admin:orders_position_changelist"), reverse("admin:orders_fill_changelist")


def words(client: Any, url: str, **asked: Any) -> str:
    answer = client.get(url, asked)
    assert answer.status_code == 200
    return " ".join(strip_tags(answer.content.decode()).split())


def listed(client: Any, url: str, **asked: Any) -> list[Any]:
    return list(client.get(url, asked).context["cl"].result_list)


@pytest.fixture
def book(desk: Any, held: Any, wish: Any) -> None:
    """Two RELIANCE bought at ₹1,400 and held; one INFY bought and sold at ₹1,500."""
    held(2)
    for side in (Side.BUY, Side.SELL):
        price = Decimal(1505 if side == Side.BUY else 1495)
        by_hand.place(desk, wish(symbol="INFY", side=side, limit_price=price))
        reconcile(desk)


def test_what_is_open_is_listed_first_and_all_is_a_tab_away(book, tara):
    assert {each.symbol for each in listed(tara, POSITIONS)} == {"RELIANCE"}
    assert {each.symbol for each in listed(tara, POSITIONS, view="all")} == {"RELIANCE", "INFY"}
    assert {each.symbol for each in listed(tara, POSITIONS, view="nonsense")} == {"RELIANCE"}
    assert "Open 1 Differ from the broker 0 All" in words(tara, POSITIONS)


def test_a_search_or_a_symbol_is_for_what_was_held_too(book, tara):
    for asked in ({"q": "infy"}, {"of_symbol": "Infy"}, {"q": "INFY", "view": "all"}):
        assert [each.symbol for each in listed(tara, POSITIONS, **asked)] == ["INFY"], asked
    assert listed(tara, POSITIONS, q="INFY", view="open") == []


@pytest.mark.parametrize(("broker", "key"), [(2, "same"), (3, "more"), (1, "less"), (None, "unread")])
def test_positions_are_narrowed_by_how_the_broker_differs(book, tara, broker, key):
    Position.objects.filter(symbol="RELIANCE").update(broker_quantity=broker)

    for each in ("same", "more", "less", "unread"):
        found = {row.symbol for row in listed(tara, POSITIONS, broker=each)}
        assert ("RELIANCE" in found) == (each == key), each
    differs = {row.symbol for row in listed(tara, POSITIONS, view="differs")}
    assert differs == ({"RELIANCE"} if key in {"more", "less"} else set())


def test_positions_are_narrowed_by_product(book, tara):
    assert listed(tara, POSITIONS, of_product="MIS") == []
    assert [each.symbol for each in listed(tara, POSITIONS, of_product="CNC")] == ["RELIANCE"]


def test_positions_add_up(book, paper, desk, tara):
    paper.set_price("NSE:RELIANCE", "1410.00")
    reconcile(desk)

    page = words(tara, POSITIONS, view="all")

    assert "Realised today ₹0.00 since the close before, without charges" in page
    assert "Unrealised +₹20.00 since they were opened, at the last prices" in page
    assert "Exposure ₹2,820.00 1 open, without working orders" in page


def test_a_position_without_a_price_makes_no_total_of_nothing(book, tara):
    Position.objects.filter(symbol="RELIANCE").update(last_price=None)

    page = words(tara, POSITIONS)

    assert "Unrealised not known 1 of 1 have no price" in page
    assert "Exposure over ₹0.00 1 of 1 have no price" in page


def test_fills_are_narrowed_and_add_up(book, tara):
    page = words(tara, FILLS)
    assert "Fills 3" in page
    assert "Bought ₹4,300.00 3 shares Sold ₹1,500.00 1 shares Value ₹5,800.00 4 shares" in page

    sold = words(tara, FILLS, side="SELL")
    assert "Bought ₹0.00 0 shares Sold ₹1,500.00 1 shares" in sold
    assert {each.order.symbol for each in listed(tara, FILLS, of_symbol="reliance")} == {"RELIANCE"}
    assert listed(tara, FILLS, source__exact="HAND") == []
    assert listed(tara, FILLS, trading_date_from="2099-01-01") == []
    fill = Fill.objects.filter(order__symbol="INFY").first()
    for name in (fill.trade_id, fill.broker_order_id, fill.order.client_order_id):
        assert fill in listed(tara, FILLS, q=name), name


def test_more_fills_than_are_counted_are_not_added_up(book, tara, monkeypatch):
    monkeypatch.setattr(CappedPaginator, "counted_max", 2)

    page = words(tara, FILLS)

    assert "More than 2 fills: a date or another filter shows the rest, and their totals." in page
    assert "Bought ₹" not in page
    assert "Bought ₹2,800.00" in words(tara, FILLS, of_symbol="RELIANCE")
