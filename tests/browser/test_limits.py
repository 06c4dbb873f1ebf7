"""The limits in a real browser: the use stands beside each field, and what a save would do is told while typing."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from orders.desk import Desk
from orders.reconciliation import reconcile
from risk.models import RiskSettings

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize("width", [1400, 390])
def test_the_use_and_the_preview_come_by_themselves(
    desk: Desk, placed, admin_page: Page, live_server, complaints: list[str], width: int
):
    placed("RELIANCE", "1405.00")
    reconcile(desk)
    admin_page.set_viewport_size({"width": width, "height": 900})

    admin_page.goto(f"{live_server.url}/admin/risk/risksettings/1/change/")
    expect(admin_page.locator("#use-daily_trades_max")).to_contain_text("1 of 10")
    expect(admin_page.locator("#preview")).to_contain_text("a save would change nothing")
    admin_page.fill("[name=daily_trades_max]", "20")

    expect(admin_page.locator("#preview")).to_contain_text("A save would change 1 limit")
    expect(admin_page.locator("#preview")).to_contain_text("needs the word LOOSEN")
    assert RiskSettings.objects.get().daily_trades_max == 10
    assert admin_page.evaluate("document.documentElement.scrollWidth") <= width
    assert complaints == []
