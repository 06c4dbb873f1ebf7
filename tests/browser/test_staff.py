"""What a person does in the admin, in a real browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from orders.models import Order, Position
from orders.reconciliation import reconcile
from risk import control
from risk.models import Mode, RiskSettings, TradingControl

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def paper() -> TradingControl:
    return TradingControl.objects.get(mode=Mode.PAPER)


def test_auto_trading_is_turned_on_through_its_dialog(admin_page: Page, complaints: list[str]):
    strip = admin_page.locator("#status-strip")
    expect(strip).to_contain_text("OFF")

    strip.get_by_text("Trading ACTIVE").click()
    admin_page.get_by_role("link", name="Turn auto-trading on").click()
    dialog = admin_page.locator("#dialog")
    expect(dialog).to_contain_text("Turn auto-trading on?")
    assert not paper().auto_trading
    dialog.get_by_label("Reason").fill("first evening")
    dialog.get_by_role("button", name="Turn on").click()

    expect(strip).to_contain_text("ON")
    expect(admin_page.locator("#content-main, #main").first).to_contain_text("first evening")
    assert (paper().auto_trading, paper().changed_by) == (True, "tara")
    assert complaints == []


def test_a_dialog_without_a_reason_says_so_and_back_changes_nothing(admin_page: Page, complaints: list[str]):
    admin_page.goto(f"{admin_page.url}risk/tradingcontrol/")
    admin_page.get_by_role("link", name="Halt").click()
    dialog = admin_page.locator("#dialog")

    dialog.get_by_role("button", name="Halt trading").click()
    expect(dialog).to_contain_text("This field is required")
    dialog.get_by_text("Back", exact=True).click()

    expect(dialog).to_be_hidden()
    assert paper().state == "ACTIVE"
    assert complaints == []


def test_a_dialog_longer_than_the_screen_keeps_its_buttons_and_its_complaints_in_sight(admin_page: Page, desk, placed):
    placed("RELIANCE", "1405.00")
    reconcile(desk)
    admin_page.set_viewport_size({"width": 1400, "height": 600})
    admin_page.goto(f"{admin_page.url}orders/position/{Position.objects.get().pk}/change/")
    admin_page.get_by_role("link", name="Adjust").click()
    button = admin_page.locator("#dialog").get_by_role("button", name="Adjust position")

    expect(button).to_be_in_viewport(ratio=1)
    button.click()

    expect(admin_page.locator("#dialog").get_by_text("This field is required")).to_be_in_viewport(ratio=1)


def test_a_dialog_opened_before_somebody_elses_halt_does_not_loosen(admin_page: Page, clock):
    admin_page.goto(f"{admin_page.url}risk/tradingcontrol/")
    admin_page.get_by_role("link", name="Turn auto-trading on").click()
    dialog = admin_page.locator("#dialog")
    dialog.get_by_label("Reason").fill("market opens")

    control.halt(Mode.PAPER, by="priya", reason="odd fills", now=clock())
    dialog.get_by_role("button", name="Turn on").click()

    expect(admin_page.locator("#main")).to_contain_text("changed by priya since this was shown: odd fills")
    expect(admin_page.locator("#status-strip")).to_contain_text("HALTED")
    assert not paper().auto_trading


def test_several_orders_are_cancelled_from_the_list(admin_page: Page, placed, complaints: list[str]):
    placed("RELIANCE", "1390.00")
    placed("INFY", "1490.00")

    admin_page.goto(f"{admin_page.url}orders/order/")
    admin_page.locator("#action-toggle").check()
    admin_page.locator("select[name=action]").select_option("cancel_selected")
    admin_page.get_by_role("button", name="Run").click()
    admin_page.get_by_label("Reason").fill("end of day")
    admin_page.get_by_role("button", name="Cancel these orders").click()

    expect(admin_page.get_by_text(re.compile("The cancel is asked for"))).to_have_count(2)
    assert set(Order.objects.values_list("cancel_reason", flat=True)) == {"end of day"}
    assert complaints == []


def test_limits_are_simulated_before_they_are_saved_on_a_narrow_screen(admin_page: Page, placed, complaints: list[str]):
    placed("RELIANCE", "1390.00")
    placed("INFY", "1490.00")
    admin_page.set_viewport_size({"width": 360, "height": 740})
    admin_page.goto(f"{admin_page.url}risk/risksettings/1/change/")

    admin_page.get_by_label("Max trades a day").fill("1")
    admin_page.get_by_role("button", name="Simulate").click()

    found = admin_page.locator("#simulation")
    expect(found).to_contain_text("Of the last 2 decisions 1 would have been others, 1 the same")
    expect(found).to_contain_text("BUY 1 INFY at 1490")
    assert admin_page.evaluate("document.documentElement.scrollWidth") <= 360
    assert admin_page.get_by_label("Max trades a day").input_value() == "1"
    assert RiskSettings.objects.get().daily_trades_max == 10
    assert complaints == []
