"""The address that Kite sends staff back to: who may use it, what it says, and that its token stays out of sight."""

from __future__ import annotations

import io
import logging
from urllib.parse import parse_qs, urlsplit

import pytest
import structlog
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from config.logging import configure_logging
from orders.broker.sessions import TokenVault
from orders.models import BrokerSession
from risk.models import Mode
from tests.risk.admin.staff import SENT, person, told

from .paper.paper_process import API_SECRET

pytestmark = pytest.mark.django_db
SESSIONS = "/admin/orders/brokersession/"


@pytest.fixture
def zerodha(paper, settings):
    """The live mode, whose Kite and whose login page are the paper server."""
    settings.TRADING_MODE = Mode.LIVE
    settings.KITE_API_KEY, settings.KITE_API_SECRET = "live-key", API_SECRET
    settings.KITE_ROOT_URL, settings.KITE_LOGIN_URL = paper.root, f"{paper.root}/connect/login"
    return paper


@pytest.fixture
def priya(db) -> Client:
    return person("priya", "log_in_to_kite", "view_brokersession")


def to_kite(client: Client) -> str:
    """Press the button, and return where it leads."""
    url = reverse("admin:orders_brokersession_log_in")
    return client.post(url, SENT, headers={"HX-Request": "true"})["HX-Redirect"]


def state_of(url: str) -> str:
    return parse_qs(parse_qs(urlsplit(url).query)["redirect_params"][0])["state"][0]


def back(client: Client, zerodha, **changes):
    sent = {"status": "success", "request_token": zerodha.request_token("live-key"), "state": "", **changes}
    return client.get("/kite/login", sent)


def test_the_button_leads_to_kites_page_and_back_to_a_login(zerodha, priya):
    url = to_kite(priya)
    answer = back(priya, zerodha, state=state_of(url))

    assert url.startswith(f"{zerodha.root}/connect/login?api_key=live-key&v=3&redirect_params=state%3D")
    assert (answer.status_code, answer["Location"]) == (302, SESSIONS)
    assert "Logged in to Kite as PAPER1 until 06:00" in told(answer)
    assert TokenVault(Mode.LIVE, secret_key="x").row().user_id == "PAPER1"
    assert LogEntry.objects.get().change_message.startswith("Logged in to Kite as PAPER1")


def test_the_answer_leaves_the_address_and_no_browser_tells_of_it(zerodha, priya):
    answer = back(priya, zerodha, state=state_of(to_kite(priya)))

    assert answer["Referrer-Policy"] == "no-referrer"
    assert "no-store" in answer["Cache-Control"]
    assert "token" not in answer["Location"]
    assert answer.content == b""


def test_the_same_address_loaded_again_says_used_already(zerodha, priya):
    state = state_of(to_kite(priya))
    back(priya, zerodha, state=state)
    again = back(priya, zerodha, state=state)

    assert "used already" in told(again)


def test_a_return_that_somebody_else_began_is_refused(zerodha, priya):
    rita = person("rita", "log_in_to_kite", "view_brokersession")

    answer = back(priya, zerodha, state=state_of(to_kite(rita)))

    assert "does not belong to a login that you began" in told(answer)
    assert not BrokerSession.objects.exclude(access_token="").exists()


def test_a_cancelled_login_says_so(zerodha, priya):
    answer = back(priya, zerodha, state=state_of(to_kite(priya)), status="cancelled", request_token="")

    assert told(answer) == "The login was cancelled at Kite: nothing has changed."


def test_whoever_is_logged_out_meanwhile_loses_the_token_and_not_more(zerodha, priya):
    state = state_of(to_kite(priya))
    answer = back(Client(), zerodha, state=state)

    assert answer["Location"] == "/admin/login/"
    assert "Log in to Kite" in told(answer)


def test_who_may_not_log_in_may_not_come_back(zerodha, caplog):
    caplog.set_level(logging.CRITICAL, logger="django.request")
    vera = person("vera", "view_brokersession")

    assert back(vera, zerodha).status_code == 403
    assert vera.post(reverse("admin:orders_brokersession_log_in"), SENT).status_code == 403


def test_it_takes_no_post_and_is_nowhere_on_paper(priya, zerodha, settings, caplog):
    caplog.set_level(logging.CRITICAL, logger="django.request")

    assert priya.post("/kite/login").status_code == 405
    settings.TRADING_MODE = Mode.PAPER
    assert priya.get("/kite/login").status_code == 404


def test_on_paper_the_button_says_that_none_is_needed(priya):
    page = reverse("admin:orders_brokersession_log_in")

    dialog = priya.get(page).content.decode()
    answer = priya.post(page, SENT, headers={"HX-Request": "true"})

    assert "none is needed" in dialog
    assert answer["HX-Redirect"] == SESSIONS
    assert told(answer).startswith("This is PAPER, which needs no login")


def test_the_page_says_how_long_a_login_is_good_for(zerodha, priya, settings):
    vault = TokenVault(Mode.LIVE, secret_key=settings.SECRET_KEY)
    vault.keep("a token", user_id="AB1234", now=timezone.now())

    def page() -> str:
        return priya.get(SESSIONS).content.decode()

    assert "left, until 06:00" in page()
    BrokerSession.objects.update(valid_until=timezone.now())
    assert "Expired" in page()
    assert "left, until" not in page()


def test_a_token_under_another_secret_key_is_not_called_valid(zerodha, priya):
    TokenVault(Mode.LIVE, secret_key="before").keep("a token", user_id="AB1234", now=timezone.now())

    assert "Its token cannot be read" in priya.get(SESSIONS).content.decode()


@pytest.mark.parametrize("as_json", [False, True])
def test_a_library_that_logs_the_address_does_not_log_the_token(monkeypatch, as_json):
    written = io.StringIO()
    monkeypatch.setattr("sys.stderr", written)
    root = logging.getLogger()
    handlers, level, configured = root.handlers[:], root.level, structlog.get_config()
    try:
        configure_logging(level="INFO", as_json=as_json)
        logging.getLogger("django.server").info('"%s"', "GET /kite/login?request_token=abc123&status=success HTTP/1.1")
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.configure(**configured)  # the very list of processors that the loggers in use hold
    assert "/kite/login?request_token=…&status=success" in written.getvalue().replace("\\u2026", "…")
    assert "abc123" not in written.getvalue()
