"""The daily login in a real browser: from the button over the login page of the paper server and back."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from orders.broker.sessions import TokenVault
from risk.models import Mode
from tests.orders.paper.paper_process import API_SECRET, PaperProcess

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def zerodha(settings, live_server, tmp_path):
    """A paper server in Zerodha's place, whose login page sends people back here."""
    server = PaperProcess(tmp_path, "--redirect-url", f"{live_server.url}/kite/login")
    settings.TRADING_MODE = Mode.LIVE
    settings.KITE_API_KEY, settings.KITE_API_SECRET = "live-key", API_SECRET
    settings.KITE_ROOT_URL, settings.KITE_LOGIN_URL = server.root, f"{server.root}/connect/login"
    yield server
    server.stop()


def test_the_login_button_leads_to_kite_and_back(zerodha, admin_page: Page, settings, complaints: list[str]):
    admin_page.goto(f"{admin_page.url}orders/brokersession/")
    admin_page.get_by_role("link", name="Log in to Kite").click()
    dialog = admin_page.locator("#dialog")
    expect(dialog).to_contain_text("Logged in now")
    dialog.get_by_role("button", name="Go to Kite").click()

    expect(admin_page.get_by_role("heading", name="Log in to the paper account")).to_be_visible()
    with admin_page.expect_request("**/kite/login?*") as returned:
        admin_page.get_by_role("button", name="Log in").click()

    expect(admin_page.locator("#main")).to_contain_text("Logged in to Kite as PAPER1 until 06:00")
    assert "request_token" not in admin_page.url
    vault = TokenVault(Mode.LIVE, secret_key=settings.SECRET_KEY)
    assert (vault.row().user_id, bool(vault.token())) == ("PAPER1", True)

    admin_page.goto(returned.value.url)
    expect(admin_page.locator("#main")).to_contain_text("used already: logged in as PAPER1")
    assert complaints == []
