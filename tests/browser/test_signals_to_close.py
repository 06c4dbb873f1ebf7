"""The inbox of signals to close in a real browser: from its badge to the exit that empties it."""

from __future__ import annotations

from decimal import Decimal

import pytest
from playwright.sync_api import Page, expect

from orders import by_hand
from orders.deciding import ManualOrder, decide
from orders.desk import Desk
from orders.models import MissedExit, Order
from orders.reconciliation import reconcile
from risk import control
from risk.engine.facts import OrderType, Side

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def missed(desk: Desk, received) -> None:
    """One RELIANCE and one INFY are held, and a signal to sell each was ignored because auto-trading is off."""
    for symbol, price in (("RELIANCE", "1405.00"), ("INFY", "1505.00")):
        buy = ManualOrder(
            token=symbol, side=Side.BUY, exchange="NSE", symbol=symbol, quantity=1, order_type=OrderType.LIMIT,
            limit_price=Decimal(price), by="tara",
        )  # fmt: skip
        by_hand.place(desk, buy)
    reconcile(desk)
    control.auto_trading_off(desk.mode, by="tara", reason="lunch", now=desk.clock())
    for symbol in ("RELIANCE", "INFY"):
        decide(desk, received(signal_type="SELL", cms_score=-75, symbol=symbol))


@pytest.mark.parametrize("width", [1400, 390])
def test_one_is_exited_and_the_other_dismissed_from_the_list(
    desk: Desk, missed: None, admin_page: Page, complaints: list[str], width: int
):
    admin_page.get_by_role("link", name="Signals to close").click()
    expect(admin_page.locator("#result_list tbody tr")).to_have_count(2)
    admin_page.set_viewport_size({"width": width, "height": 900})
    expect(admin_page.locator("body")).to_have_js_property("scrollWidth", width)

    admin_page.locator("tr", has_text="RELIANCE").locator(".desk-act", has_text="Exit").click()
    expect(admin_page.locator("#dialog")).to_contain_text("SELL 1 NSE:RELIANCE at the market")
    admin_page.locator("#dialog button[type=submit]").click()
    expect(admin_page.locator("#result_list tbody tr")).to_have_count(1)

    admin_page.locator("tr", has_text="INFY").locator(".desk-act", has_text="Dismiss").click()
    admin_page.locator("#dialog [name=reason]").fill("held over the results")
    admin_page.locator("#dialog button[type=submit]").click()
    expect(admin_page.get_by_text("None waits.")).to_be_visible()

    reconcile(desk)
    assert Order.objects.get(is_exit=True).status == "FILLED"
    assert dict(MissedExit.objects.values_list("symbol", "state")) == {"RELIANCE": "FLAT", "INFY": "DISMISSED"}
    assert complaints == []
