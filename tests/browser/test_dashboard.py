"""The first page in a real browser: its charts are drawn, it renews itself, and what is old greys."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from orders.desk import Desk
from orders.models import DayPoint
from orders.observations import keep_day_point
from orders.reconciliation import reconcile
from risk.models import Incident, Mode, TradingControl

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

DRAWN = """id => {
  const canvas = document.getElementById(id);
  const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  return data.some(value => value !== 0) ? Chart.getChart(canvas).data.datasets[0].data.length : 0;
}"""

SWAPPED = """() => {
  const place = document.body.appendChild(document.createElement('div'));
  const wide = '<div class="desk-scroll" style="width: 100px"><p style="width: 500px">wide</p></div>';
  htmx.swap(place, wide, {swapStyle: 'innerHTML'});
  return [place.firstChild.tabIndex, place.firstChild.getAttribute('role')];
}"""


@pytest.fixture
def book(desk: Desk, placed) -> Desk:
    placed("RELIANCE", "1405.00")
    placed("INFY", "1490.00")
    reconcile(desk)
    keep_day_point(desk)
    return desk


@pytest.mark.parametrize("width", [1400, 390])
def test_the_charts_are_drawn_and_the_tiles_renew(book: Desk, admin_page: Page, complaints: list[str], width: int):
    admin_page.set_viewport_size({"width": width, "height": 900})
    admin_page.wait_for_function("() => Chart.getChart('chart-symbols')?.data.datasets[0].data.length === 2")
    admin_page.emulate_media(color_scheme="dark")

    assert admin_page.evaluate(DRAWN, "chart-symbols") == 2
    assert admin_page.evaluate(DRAWN, "chart-result") >= 1
    Incident.objects.open(Incident.Kind.SIGNAL_GAP, mode=Mode.PAPER, title="Three are missing", now=book.clock())
    DayPoint.objects.update(realised=1234)
    admin_page.evaluate("htmx.trigger('#dash-live', 'desk:renew'); htmx.trigger('#dash-more', 'desk:renew')")

    expect(admin_page.locator("#dash-live")).to_contain_text("realised +₹1,234.00", timeout=20_000)
    expect(admin_page.locator("#dash-more")).to_contain_text("Three are missing", timeout=20_000)
    assert admin_page.evaluate("document.documentElement.scrollWidth") <= width
    assert complaints == []


def test_a_table_that_came_just_now_is_scrolled_by_keyboard_at_once(admin_page: Page, complaints: list[str]):
    assert admin_page.evaluate(SWAPPED) == [0, "group"]
    assert complaints == []


def test_what_is_old_greys_and_renews_when_the_tab_wakes(book: Desk, admin_page: Page, complaints: list[str]):
    strip, tiles = admin_page.locator("#status-strip"), admin_page.locator("#dash-live")
    expect(strip).not_to_have_class("desk-stale")
    admin_page.clock.install()
    admin_page.route("**/status-strip/", lambda route: route.abort())
    admin_page.route("**/dashboard/**", lambda route: route.abort())

    admin_page.clock.fast_forward(16_000)

    for each in (strip, tiles):
        expect(each).to_have_class(re.compile("desk-stale"))
        expect(each.locator(".desk-stale-told")).to_be_visible()
    admin_page.unroute_all()
    admin_page.evaluate("window.dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")

    for each in (strip, tiles):
        expect(each.locator(".desk-stale-told")).to_be_hidden()
    assert all("ERR_FAILED" in line or line.startswith("htmx:") for line in complaints), complaints


def test_one_click_from_anywhere_opens_the_halt(book: Desk, admin_page: Page, complaints: list[str]):
    admin_page.set_viewport_size({"width": 390, "height": 800})
    admin_page.goto(f"{admin_page.url}help/")

    admin_page.get_by_role("button", name="STOP").click()
    dialog = admin_page.locator("#dialog")
    expect(dialog).to_contain_text("Halt trading?")
    assert TradingControl.objects.get(mode=Mode.PAPER).state == "ACTIVE"
    dialog.get_by_label("Reason").fill("odd fills")
    dialog.get_by_role("button", name="Halt trading").click()

    expect(admin_page.locator("#status-strip")).to_contain_text("HALTED")
    assert TradingControl.objects.get(mode=Mode.PAPER).reason == "odd fills"
    assert complaints == []
