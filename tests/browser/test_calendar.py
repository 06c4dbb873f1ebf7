"""The exchange's file is loaded in a real browser, whose dialog has to send it as a file."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from risk.models import CalendarDay

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

BAD = b"date,name\n2027-01-26,Republic Day\n2027-02-30,Nothing\n"
GOOD = b"date,name\n2027-01-26,Republic Day\n"


def test_a_bad_file_is_refused_in_its_dialog_and_a_good_one_loaded(admin_page: Page, complaints: list[str]):
    admin_page.goto(f"{admin_page.url}risk/calendarday/")
    admin_page.get_by_role("link", name="Load the exchange's file").click()
    dialog = admin_page.locator("#dialog")

    dialog.locator("input[type=file]").set_input_files({"name": "bad.csv", "mimeType": "text/csv", "buffer": BAD})
    dialog.get_by_role("button", name="Load", exact=True).click()
    expect(dialog).to_contain_text("line 3: date '2027-02-30'")
    assert not CalendarDay.objects.filter(date__year=2027).exists()

    dialog.locator("input[type=file]").set_input_files({"name": "good.csv", "mimeType": "text/csv", "buffer": GOOD})
    dialog.get_by_role("button", name="Load", exact=True).click()
    expect(admin_page.locator("body")).to_contain_text("1 day of 2027 loaded.")
    assert CalendarDay.objects.get(date="2027-01-26").source == "good.csv"
    assert complaints == []
