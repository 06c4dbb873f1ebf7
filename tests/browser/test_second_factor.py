"""A person enrols a second factor and logs in with it, in a real browser."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from django_otp.plugins.otp_totp.models import TOTPDevice
from playwright.sync_api import Page, expect

from orders import second_factor
from tests.orders.admin.test_second_factor import code_of

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_a_person_enrols_and_logs_in_with_a_code(admin_page: Page, complaints: list[str], tara: User):
    admin_page.goto(f"{admin_page.url}second-factor/")
    key = admin_page.locator("[name=offered]").input_value()
    shown = second_factor.unsealed(key, tara)
    expect(admin_page.locator(".desk-qr svg")).to_be_visible()
    admin_page.get_by_label("Code of the new authenticator").fill(code_of(shown, ahead=-1))
    admin_page.get_by_role("button", name="Set up").click()
    expect(admin_page.locator(".desk-codes li")).to_have_count(10)
    recovery = admin_page.locator(".desk-codes li").first.inner_text()

    admin_page.context.clear_cookies()
    admin_page.goto(admin_page.url.replace("second-factor/", ""))
    admin_page.fill("[name=username]", "tara")
    admin_page.fill("[name=password]", "a long password")
    admin_page.click("button[type=submit]")
    expect(admin_page.locator("#code-form")).to_be_visible()
    admin_page.get_by_label("Code").fill(recovery)
    admin_page.get_by_role("button", name="Go on").click()

    expect(admin_page.locator("#status-strip")).to_be_visible()
    assert re.search(r"/admin/$", admin_page.url)
    assert TOTPDevice.objects.get().user == tara
    assert complaints == []
