"""What staff do while the market is open, each on a large dark screen and on a small light one."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from orders.desk import Desk
from orders.models import Order, Position, Signal
from orders.reconciliation import reconcile
from risk.models import Mode, TradingControl
from tests.conftest import open_the_limits

from .watching import Person

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def switch() -> TradingControl:
    return TradingControl.objects.get(mode=Mode.PAPER)


def test_a_signal_becomes_a_filled_order_that_is_followed_on_its_page(
    journey: Person, received: Callable[..., Signal], follow: Callable[[Signal], Order]
):
    signal = received(symbol="RELIANCE", strategy="momentum")
    journey.open("orders/signal/")
    rows = journey.page.locator("#result_list tbody")
    expect(rows).to_contain_text("Received")

    order = follow(signal)
    journey.open("orders/signal/")
    expect(rows).to_contain_text("Approved")
    journey.open(f"orders/signal/{signal.pk}/change/")
    journey.page.get_by_role("link", name="BUY 1 RELIANCE").first.click()

    expect(journey.page).to_have_url(re.compile(f"/orders/order/{order.pk}/change/$"))
    journey.look()
    main = journey.page.locator("#main")
    expect(main).to_contain_text("accepted by the broker as SIM")
    expect(main).to_contain_text("1 at ₹1,400.00")
    journey.look()


def test_a_person_buys_by_hand_after_the_verdict_and_a_review(journey: Person, desk: Desk):
    open_the_limits()
    journey.open("orders/order/ticket/")
    form = journey.page.locator("#ticket")
    form.get_by_label("Symbol").fill("NSE:RELIANCE")
    form.get_by_label("Limit price").fill("1405")
    form.get_by_label("Shares").fill("2")
    expect(journey.page.locator("#ticket-panel")).to_contain_text("Approved")
    journey.look()

    form.get_by_role("button", name="Review the order").click()
    send = journey.page.get_by_role("button", name="Send: BUY 2 NSE:RELIANCE LIMIT ₹1,405.00 = ₹2,810.00")
    expect(send).to_be_visible()
    journey.look()
    send.click()

    expect(journey.page).to_have_url(re.compile(r"/change/$"))
    reconcile(desk)
    journey.open(f"orders/order/{Order.objects.get().pk}/change/")
    expect(journey.page.locator("#main")).to_contain_text("2 of 2 filled")
    journey.look()


def test_the_blotter_is_filtered_searched_moved_through_and_cancelled_in_one_go(
    journey: Person, placed: Callable[..., Order]
):
    older, newer = placed("RELIANCE", "1390.00"), placed("INFY", "1490.00")
    page = journey.page
    journey.open("orders/order/")
    page.get_by_role("link", name="Working 2").click()
    expect(page.locator("#result_list tbody tr")).to_have_count(2)
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page.locator("tr.desk-row")).to_contain_text(older.client_order_id)

    page.keyboard.press("/")
    page.keyboard.type(newer.client_order_id)
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"q={newer.client_order_id}"))
    expect(page.locator("#result_list tbody tr")).to_have_count(1)
    journey.look()

    journey.open("orders/order/?tab=working")
    for box in page.locator("#result_list .action-select").all():
        box.check()
    page.locator("select[name=action]").select_option("cancel_selected")
    page.get_by_role("button", name="Run").click()
    page.get_by_label("Reason").fill("end of the morning")
    journey.look()
    page.get_by_role("button", name="Cancel these orders").click()

    expect(page.get_by_text("The cancel is asked for")).to_have_count(2)
    journey.look()
    assert set(Order.objects.values_list("cancel_reason", flat=True)) == {"end of the morning"}
    journey.look()


def test_a_working_order_is_modified_and_then_cancelled(journey: Person, resting: Callable[..., Order], desk: Desk):
    order = resting(quantity=3)
    path, main = f"orders/order/{order.pk}/change/", journey.page.locator("#main")
    journey.open(path)
    dialog = journey.press("Modify")
    dialog.get_by_label("Quantity in all").fill("2")
    dialog.get_by_label("Limit price").fill("1391.00")
    expect(dialog).to_contain_text("₹2,782.00")
    journey.answer("Modify order", reason="nearer")
    expect(main).to_contain_text("The broker took the modification")

    reconcile(desk)
    journey.open(path)
    expect(main).to_contain_text("BUY 2 NSE:RELIANCE LIMIT at ₹1,391.00")
    journey.press("Cancel order")
    journey.answer("Cancel order", reason="not wanted any more")

    reconcile(desk)
    journey.open(path)
    expect(main).to_contain_text("Cancelled")
    order.refresh_from_db()
    assert (order.status, order.cancel_reason) == ("CANCELLED", "not wanted any more")
    journey.look()


def test_stop_is_pressed_on_any_page_what_works_is_shown_and_trading_resumes(
    journey: Person, resting: Callable[..., Order], desk: Desk
):
    resting()
    page, strip = journey.page, journey.page.locator("#status-strip")
    journey.open("help/")
    dialog = journey.press("STOP")
    expect(dialog).to_contain_text("Orders that will be cancelled")
    journey.answer("Halt trading", reason="odd fills")

    expect(strip).to_contain_text("HALTED")
    expect(page.locator("#main")).to_contain_text("odd fills")
    journey.look()
    reconcile(desk)
    journey.open("risk/tradingcontrol/")
    journey.press("Resume")
    journey.answer("Resume", reason="they were explained")

    expect(strip).to_contain_text("ACTIVE")
    assert (switch().state, Order.objects.get().status) == ("ACTIVE", "CANCELLED")
    journey.look()


def test_first_only_what_closes_then_out_of_everything(
    journey: Person, held: Callable[[int], Position], resting: Callable[..., Order], desk: Desk
):
    held(3)
    entry = resting(symbol="INFY")
    journey.open("risk/tradingcontrol/")
    dialog = journey.press("Reduce only")
    expect(dialog).to_contain_text("Entries that will be cancelled")
    journey.answer("Reduce only", reason="results tonight")
    expect(journey.page.locator("#status-strip")).to_contain_text("REDUCE")
    journey.look()

    journey.press("Flatten")
    journey.answer("Flatten", reason="and out", word="FLATTEN")
    expect(journey.page.locator("#main")).to_contain_text("RELIANCE")
    reconcile(desk)

    entry.refresh_from_db()
    assert (switch().state, entry.status) == ("REDUCE_ONLY", "CANCELLED")
    assert Position.objects.get(symbol="RELIANCE").quantity == 0
    journey.open("risk/tradingcontrol/")
