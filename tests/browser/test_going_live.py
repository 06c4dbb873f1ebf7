"""The way to live money in a real browser, each on a large dark screen and on a small light one."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from orders.desk import Desk
from orders.models import GoingLiveStep, LineProof
from tests.orders.shadow_cast import second_server, shadow, wire, zerodha
from tests.orders.test_going_live import rehearsed
from tests.orders.test_shadow import publish, report_of

from .watching import Person

__all__ = ["publish", "second_server", "shadow", "wire", "zerodha"]

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_the_line_is_proved_and_a_green_step_passed(journey: Person, desk: Desk):
    rehearsed(proofs=0)
    journey.open("orders/goinglivestep/")
    expect(journey.page.locator("#going-live")).to_contain_text("1 to do before it is green")
    journey.press("Prove the line")
    journey.answer("Prove the line", symbol="RELIANCE", word="PROVE")
    expect(journey.page.locator("#main")).to_contain_text("The line works")
    journey.look()

    journey.open("orders/goinglivestep/")
    expect(journey.page.locator("#going-live")).to_contain_text("green, and a person passes it")
    journey.page.locator("summary", has_text="Full").click()
    expect(journey.page.locator("#going-live")).to_contain_text("not asked of everybody")
    journey.look()
    journey.press("Pass the step")
    journey.answer("Pass it", reason="two good days")

    expect(journey.page.locator("#main")).to_contain_text("Rehearse: passed.")
    journey.look()
    assert LineProof.objects.get().verdict == "PROVED"
    assert GoingLiveStep.objects.get().by == "tara"


def test_the_shadow_report_is_read(journey: Person, shadow: Desk, publish):
    publish("buy-1")
    publish("sell-1", signal_type="SELL", cms_score=-75.0)
    report_of(shadow)

    journey.open("shadow/")

    expect(journey.page.locator("#main")).to_contain_text("2 approved")
    expect(journey.page.locator("tbody tr")).to_have_count(2)
