"""The holdings page: what the broker has in demat, whose it is, and as of when."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.urls import reverse
from django.utils.html import strip_tags

from orders.broker.gateway import HoldingReport
from orders.broker.kite import _holdings
from orders.models import BrokerSession, Holding, Position
from orders.reconciliation import reconcile
from orders.start import forget_paper_book
from tests.orders.stand_ins import BookGateway

LIST = reverse("admin:orders_holding_changelist")


def words(client: Any, url: str = LIST, **asked: Any) -> str:
    answer = client.get(url, asked)
    assert answer.status_code == 200
    return " ".join(strip_tags(answer.content.decode()).split())


def report(**changes: Any) -> HoldingReport:
    usual: dict[str, Any] = {
        "exchange": "NSE",
        "symbol": "TCS",
        "isin": "INE467B01029",
        "quantity": 5,
        "t1_quantity": 2,
        "sold_today": 1,
        "authorised_quantity": 0,
        "collateral_quantity": 3,
        "average_price": Decimal(3000),
        "last_price": Decimal(3100),
        "close_price": Decimal(3050),
        "discrepancy": False,
    }
    return HoldingReport(**{**usual, **changes})


@pytest.fixture
def told(desk: Any, wired: Any) -> Any:
    """Read a book of the broker with these holdings."""

    def read(*holdings: HoldingReport, **holds: int) -> None:
        gateway = BookGateway(holdings=holdings, holds={("NSE", symbol): shares for symbol, shares in holds.items()})
        reconcile(wired(desk, gateway=gateway))

    return read


def test_what_the_broker_holds_over_night_is_shown_beside_our_fills(desk, paper, held, tara):
    held(2)
    paper.control("POST", "holdings/NSE/RELIANCE", {"quantity": 10, "average_price": "1300"})
    paper.control("POST", "holdings/NSE/INFY", {"quantity": 4, "average_price": "1600"})
    reconcile(desk)

    page = words(tara)

    position = Position.objects.get(symbol="RELIANCE")
    assert (position.quantity, position.broker_quantity) == (2, 12)
    assert "RELIANCE 10 – 2 10 ₹1,300.00 ₹1,400.00" in page
    assert "₹14,000.00 ₹1,000.00 2 CNC" in page
    assert "INFY 4 – 0 4 ₹1,600.00 ₹1,500.00" in page
    assert f"/orders/position/{position.pk}/change/" in tara.get(LIST).content.decode()


def test_the_parts_of_a_holding_and_the_totals_are_told(told, tara):
    told(report())

    page = words(tara)

    assert "TCS 5 2 T+1 1 sold today 3 pledged 0 4 ₹3,000.00 ₹3,100.00" in page
    assert "Worth ₹15,500.00 at the prices of the reading P&amp;L +₹500.00" in page.replace("P&L", "P&amp;L")
    assert "Today +₹250.00" in page


def test_a_price_that_was_not_told_makes_the_totals_unknown_and_not_nothing(told, tara):
    told(report(), report(symbol="WIPRO", last_price=None))

    page = words(tara)

    assert "Worth over ₹15,500.00 1 of 2 have no price" in page
    assert "not known 1 not known" in page


def test_the_next_reading_takes_the_place_of_the_one_before(told):
    told(report(), report(symbol="WIPRO"))
    Holding.objects.create(mode="LIVE", exchange="NSE", symbol="TCS", quantity=7, as_of="2026-01-01T00:00Z")

    told(report(symbol="WIPRO", quantity=6))

    paper, live = Holding.objects.get(mode="PAPER"), Holding.objects.get(mode="LIVE")
    assert (paper.symbol, paper.quantity) == ("WIPRO", 6)
    assert paper.as_of == BrokerSession.objects.get(mode="PAPER").reconciled_at
    assert live.quantity == 7


def test_an_old_reading_is_not_shown_as_a_fresh_one(told, tara):
    told(report())
    assert "It may be otherwise by now." not in words(tara)
    assert ' desk-old"' not in tara.get(LIST).content.decode()

    for row in (Holding.objects.get(), BrokerSession.objects.get(mode="PAPER")):
        name = "as_of" if isinstance(row, Holding) else "reconciled_at"
        type(row).objects.filter(pk=row.pk).update(**{name: getattr(row, name) - timedelta(minutes=5)})

    assert "5 min ago. It may be otherwise by now." in words(tara)
    assert ' desk-old"' in tara.get(LIST).content.decode()


def test_a_book_that_was_never_read_says_so(tara):
    assert "The broker's book was not read yet." in words(tara).replace("&#x27;", "'")


@pytest.mark.parametrize(
    ("asked", "listed"),
    [
        ({}, {"TCS", "WIPRO"}),
        ({"q": "tcs"}, {"TCS"}),
        ({"q": "INE467B01029"}, {"TCS", "WIPRO"}),
        ({"of_symbol": "wipro"}, {"WIPRO"}),
        ({"part": "t1_quantity"}, {"TCS"}),
        ({"mode": "LIVE"}, set()),
    ],
)
def test_holdings_are_narrowed(told, tara, asked, listed):
    told(report(), report(symbol="WIPRO", t1_quantity=0))

    found = tara.get(LIST, asked).context["cl"].result_list

    assert {each.symbol for each in found} == listed


def test_shares_that_the_broker_lacks_are_loud(told, held, tara):
    held(2)

    told(report(symbol="RELIANCE", quantity=1, sold_today=0), RELIANCE=1)

    assert "Broker -1" in words(tara)


def test_a_holding_has_a_page_that_nobody_changes(told, tara):
    told(report())

    page = words(tara, reverse("admin:orders_holding_change", args=[Holding.objects.get().pk]))

    assert "INE467B01029" in page
    assert 'name="_save"' not in tara.get(LIST).content.decode()


def test_a_row_that_makes_no_sense_hides_no_other_and_no_part_is_made_up():
    rows = [
        {"exchange": "NSE", "tradingsymbol": "TCS", "quantity": 3, "average_price": "nonsense", "t1_quantity": -1},
        {"exchange": "NSE", "tradingsymbol": "", "quantity": 3},
        {
            "exchange": "NSE",
            "tradingsymbol": "INFY",
            "quantity": 3,
            "opening_quantity": 4,
            "average_price": float("nan"),
        },
    ]

    reports = _holdings(rows)

    assert [(each.symbol, each.quantity, each.average_price, each.t1_quantity) for each in reports] == [
        ("TCS", 3, None, 0),
        ("INFY", 4, None, 0),
    ]


def test_holdings_are_forgotten_with_the_paper_book(told):
    told(report())

    forget_paper_book()

    assert not Holding.objects.exists()
