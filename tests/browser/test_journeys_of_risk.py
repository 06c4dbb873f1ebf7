"""What staff do before, around and after trading, each on a large dark screen and on a small light one."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from datetime import time
from pathlib import Path

import pytest
from django.contrib.auth.models import Group, User
from playwright.sync_api import expect

from orders.desk import Desk
from orders.models import ExecutorHeartbeat, Order, Position, Signal
from orders.reconciliation import reconcile
from risk import control
from risk.models import Incident, LimitChange, Mode, RiskSettings, TradingControl
from tests.orders.admin.test_second_factor import code_of, enrolled

from .watching import Person, Screen

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_a_morning_begins_with_two_factors_and_ends_with_auto_trading_on(
    person: Callable[..., Person], screen: Screen, tara: User, desk: Desk
):
    control.auto_trading_off(Mode.PAPER, by="rita", reason="overnight", now=desk.clock())
    ExecutorHeartbeat.objects.create(
        mode="PAPER", host="desk-1", pid=1, backend_pid=2, started_at=desk.clock(), beat_at=desk.clock()
    )
    device = enrolled(tara)
    somebody = person(screen)
    page = somebody.page
    somebody.open("")
    page.get_by_label("Username").fill("tara")
    page.get_by_label("Password").fill("a long password")
    page.get_by_role("button", name="Log in").click()
    page.get_by_label("Code").fill(code_of(device))
    somebody.look()
    page.get_by_role("button", name="Go on").click()
    expect(page.locator("#status-strip")).to_be_visible()

    somebody.open("start-of-day/")
    page.get_by_role("link", name="Open the page for: Auto-trading").click()
    somebody.press("Turn auto-trading on")
    somebody.answer("Turn on", reason="the list is good")

    expect(page.locator("#status-strip")).to_contain_text("ON")
    assert TradingControl.objects.get(mode="PAPER").reason == "the list is good"
    somebody.look()


def test_a_limit_is_loosened_by_two_people(
    person: Callable[..., Person], screen: Screen, desk: Desk, settings, placed: Callable[..., Order]
):
    settings.LOOSENING_NEEDS = "second_person"
    placed("RELIANCE", "1390.00")
    for name in ("rita", "arun"):
        User.objects.create_user(name, is_staff=True).groups.add(Group.objects.get(name="Risk manager"))
    rita, arun = person(screen, "rita"), person(screen, "arun")
    rita.open("risk/risksettings/1/change/")
    rita.page.get_by_label("Max trades a day").fill("12")
    rita.page.get_by_role("button", name="Simulate").click()
    expect(rita.page.locator("#simulation")).to_contain_text("Of the last")
    rita.look()
    rita.page.get_by_label("Reason").fill("a second strategy")
    rita.page.get_by_role("button", name="Save").first.click()
    expect(rita.page.locator("#main")).to_contain_text("max trades a day 10 → 12 waits for a second person")
    assert RiskSettings.objects.get().daily_trades_max == 10

    arun.open("risk/limitchange/")
    arun.open(f"risk/limitchange/{LimitChange.objects.get().pk}/change/")
    arun.press("Approve")
    arun.answer("Approve", reason="agreed")

    expect(arun.page.locator("#main")).to_contain_text("Applied: max trades a day 10 → 12")
    arun.look()
    assert RiskSettings.objects.get().daily_trades_max == 12
    rita.open("risk/risksettings/1/change/")


def test_an_incident_is_read_exited_from_and_resolved(
    journey: Person, desk: Desk, held: Callable[[int], Position], received: Callable[..., Signal], follow
):
    held(2)
    control.auto_trading_off(Mode.PAPER, by="rita", reason="lunch", now=desk.clock())
    follow(received(signal_type="SELL", cms_score=-80))
    incident = Incident.objects.get()
    journey.open("risk/incident/")
    journey.open(f"risk/incident/{incident.pk}/change/")
    main = journey.page.locator("#main")
    expect(main).to_contain_text("It waits in Signals to close: exit the position there, or dismiss it")

    dialog = journey.press("Exit position")
    expect(dialog).to_contain_text("SELL 2 NSE:RELIANCE at the market")
    journey.answer("Exit position")
    reconcile(desk)
    assert Position.objects.get().quantity == 0

    journey.press("Resolve")
    dialog.get_by_label("Note").fill("exited by hand")
    journey.answer("Resolve")
    expect(main).to_contain_text("Resolved")
    assert Incident.objects.get().status == "RESOLVED"
    journey.look()


def test_the_brokers_quantity_is_accepted_where_the_books_differ(
    journey: Person, desk: Desk, held: Callable[[int], Position], paper
):
    position = held(3)
    kite = paper.kite()
    sold = {"exchange": "NSE", "tradingsymbol": "RELIANCE", "transaction_type": "SELL", "product": "CNC"}
    kite.place_order("regular", **sold, quantity=1, order_type="LIMIT", price=1395, validity="DAY")
    reconcile(desk)
    reconcile(desk)
    incident = Incident.objects.get(kind="POSITION_DIFFERENCE")
    journey.open(f"risk/incident/{incident.pk}/change/")
    journey.open(f"orders/position/{position.pk}/change/")
    dialog = journey.press("Adjust")
    dialog.get_by_label("Kind").select_option(label="Broker's quantity accepted")
    journey.answer("Adjust position", reason="sold in Kite's own app")
    expect(journey.page.locator("#main")).to_contain_text("sold in Kite's own app")
    assert Position.objects.get().quantity == 2
    journey.look()


def test_the_day_ends_with_its_report_a_file_and_the_trail(
    journey: Person, desk: Desk, held: Callable[[int], Position], settings
):
    settings.END_OF_DAY_AT = time(0, 0)
    held(2)
    page = journey.page
    journey.open("orders/endofday/")
    journey.press("Take a report")
    journey.answer("Take it")
    expect(page).to_have_url(re.compile(r"/orders/endofday/\d+/change/"))
    expect(page.locator("#main")).to_contain_text("Our book and the broker's are the same.")
    journey.look()

    with page.expect_download() as saved:
        page.get_by_role("link", name="CSV").click()
    rows = list(csv.reader(Path(saved.value.path()).read_text().splitlines()))
    assert any("RELIANCE" in cell for row in rows for cell in row)

    journey.open("risk/auditentry/?q=RELIANCE")
    journey.open("risk/auditentry/")
    expect(page.locator("#result_list")).to_contain_text("symbol RELIANCE")
