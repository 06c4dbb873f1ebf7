"""A person's order from the first letter typed to its page, in a real browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from orders.models import Order
from tests.conftest import open_the_limits

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize("width", [1400, 390])
def test_an_order_is_written_judged_reviewed_and_sent_once(admin_page: Page, desk, complaints: list[str], width: int):
    open_the_limits()
    admin_page.emulate_media(color_scheme="dark")
    admin_page.set_viewport_size({"width": width, "height": 900})
    admin_page.goto(f"{admin_page.url}orders/order/ticket/")
    form, panel = admin_page.locator("#ticket"), admin_page.locator("#ticket-panel")

    form.get_by_label("Symbol").press_sequentially("relia")
    expect(admin_page.locator("#ticket-symbols option[value='NSE:RELIANCE']")).to_have_count(1)
    form.get_by_label("Symbol").fill("NSE:RELIANCE")
    form.get_by_label("Limit price").fill("1405")
    form.get_by_label("Shares").fill("2")
    expect(panel).to_contain_text("BUY 2 NSE:RELIANCE LIMIT ₹1,405.00 = ₹2,810.00")
    expect(panel).to_contain_text("Approved")
    assert admin_page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")

    assert complaints == []  # a page that is left tells of the request that it was waiting for
    form.get_by_role("button", name="Review the order").click()
    send = admin_page.get_by_role("button", name="Send: BUY 2 NSE:RELIANCE LIMIT ₹1,405.00 = ₹2,810.00")
    expect(send).to_be_visible()
    assert not Order.objects.exists()
    assert admin_page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    send.dblclick()

    expect(admin_page).to_have_url(re.compile(r"/change/$"))
    assert Order.objects.get().quantity == 2
