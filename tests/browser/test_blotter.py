"""The blotter by keyboard, in a real browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_orders_are_moved_through_searched_and_cancelled_by_keyboard(admin_page: Page, placed, complaints: list[str]):
    older, newer = placed("RELIANCE", "1390.00"), placed("INFY", "1490.00")
    base = admin_page.url
    admin_page.goto(f"{base}orders/order/")
    row = admin_page.locator("tr.desk-row")

    admin_page.keyboard.press("j")
    expect(row).to_contain_text(newer.client_order_id)
    admin_page.keyboard.press("ArrowDown")
    admin_page.keyboard.press("ArrowDown")
    expect(row).to_contain_text(older.client_order_id)
    admin_page.keyboard.press("k")
    expect(row).to_contain_text(newer.client_order_id)
    admin_page.keyboard.press("?")
    expect(admin_page.locator("#desk-keys")).to_contain_text("the next order")
    admin_page.keyboard.press("Escape")
    expect(admin_page.locator("#desk-keys")).to_have_count(0)
    expect(row).to_have_count(0)

    admin_page.keyboard.press("/")
    admin_page.keyboard.type("jc?")
    expect(admin_page.locator("#searchbar")).to_have_value("jc?")
    expect(row).to_have_count(0)

    admin_page.goto(f"{base}orders/order/")
    admin_page.keyboard.press("j")
    admin_page.keyboard.press("c")
    expect(admin_page.locator("#dialog")).to_contain_text("Cancel this order?")
    expect(admin_page).to_have_url(re.compile(f"/{newer.pk}/change/$"))

    admin_page.goto(f"{base}orders/order/")
    admin_page.keyboard.press("j")
    admin_page.keyboard.press("j")
    admin_page.keyboard.press("Enter")
    expect(admin_page).to_have_url(re.compile(f"/{older.pk}/change/$"))
    assert complaints == []
