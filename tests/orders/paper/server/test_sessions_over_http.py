"""The login page, the exchange of tokens and the logout, as the SDK and a person see them."""

from __future__ import annotations

from datetime import datetime
from html.parser import HTMLParser
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from kiteconnect.exceptions import GeneralException, InputException, TokenException

from orders.paper.indian_time import IST
from tests.orders.paper.server.logging_in import client, press_the_button, request_token

SESSION_KEYS = {
    "user_type",
    "email",
    "user_name",
    "user_shortname",
    "broker",
    "exchanges",
    "products",
    "order_types",
    "avatar_url",
    "user_id",
    "api_key",
    "access_token",
    "public_token",
    "enctoken",
    "refresh_token",
    "silo",
    "login_time",
    "meta",
}
OF_A_LOGIN = {"api_key", "access_token", "public_token", "enctoken", "refresh_token", "silo", "login_time"}
BACK = "http://127.0.0.1:9/back?shop=1&empty=#top"


class Form(HTMLParser):
    """What a browser would post from a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.method, self.action, self.fields, self.buttons, self.scripts = "", "", {}, 0, 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        named = dict(attrs)
        if tag == "form":
            self.method, self.action = named["method"], named["action"]
        elif tag == "input":
            self.fields[named["name"]] = named["value"]
        self.buttons += tag == "button"
        self.scripts += tag == "script"


@pytest.fixture
def server(start_paper):
    return start_paper("--api-secret", "hush", "--redirect-url", BACK)


def test_a_person_logs_in_with_one_button_and_is_sent_back(server):
    kite = client(server, "app")
    kite._default_login_uri = f"{server.root}/connect/login"
    echo = {"redirect_params": "some=X&more=Y Z&request_token=forged&status=failed"}

    page = server.http.get(kite.login_url(), params=echo, timeout=5)
    form = Form(page.text)
    answer = server.http.request(
        form.method, server.root + form.action, data=form.fields, allow_redirects=False, timeout=5
    )

    assert page.headers["Content-Type"].startswith("text/html")
    assert form.buttons == 1
    assert answer.status_code == 302
    back = urlsplit(answer.headers["Location"])
    query = parse_qs(back.query, keep_blank_values=True)
    assert (back.netloc, back.path, back.fragment) == ("127.0.0.1:9", "/back", "top")
    assert back.query.startswith("shop=1&empty=&")
    assert query["some"] == ["X"]
    assert query["more"] == ["Y Z"]
    assert (query["action"], query["type"], query["status"]) == (["login"], ["login"], ["success"])
    assert kite.generate_session(query["request_token"][0], "hush")["user_id"] == "PAPER1"


def test_the_login_page_shows_what_it_is_given_as_text(server):
    markup = '"><script>alert(1)</script>'

    page = server.http.get(
        f"{server.root}/connect/login", params={"api_key": markup, "redirect_params": markup}, timeout=5
    ).text

    assert Form(page).scripts == 0
    assert Form(page).fields.get("redirect_params", markup) == markup


def test_where_no_application_waits_the_page_shows_the_request_token(start_paper):
    server = start_paper("--api-secret", "hush")

    page = press_the_button(server, "app").text
    token = page.partition("<code>")[2].partition("</code>")[0]

    assert client(server, "app").generate_session(token, "hush")["user_id"] == "PAPER1"


def test_a_session_has_all_of_kites_keys_and_trades(server):
    kite = client(server, "app")

    session = kite.generate_session(request_token(server, "app"), "hush")

    assert set(session) == SESSION_KEYS
    assert isinstance(session["login_time"], datetime)
    assert session["api_key"] == "app"
    assert session["refresh_token"] == ""
    assert kite.access_token == session["access_token"]
    profile = kite.profile()
    assert set(profile) == SESSION_KEYS - OF_A_LOGIN
    assert all(profile[key] == session[key] for key in profile)
    assert kite.orders() == []


def test_a_request_token_opens_one_session(server):
    token = request_token(server, "app")
    client(server, "app").generate_session(token, "hush")

    with pytest.raises(TokenException, match="Token is invalid or has expired"):
        client(server, "app").generate_session(token, "hush")


def test_a_wrong_secret_is_refused(server):
    with pytest.raises(TokenException, match="Invalid `checksum`"):
        client(server, "app").generate_session(request_token(server, "app"), "guessed")


@pytest.mark.parametrize("missing", ["api_key", "request_token", "checksum"])
def test_an_exchange_without_all_its_fields_is_bad_input(server, missing):
    form = {"api_key": "app", "request_token": "x", "checksum": "x"}
    del form[missing]

    answer = server.http.post(f"{server.root}/session/token", data=form, timeout=5)

    assert answer.status_code == 400
    assert answer.json()["error_type"] == "InputException"


def test_after_a_logout_the_token_is_dead_everywhere_and_the_hook_is_called(server):
    kite = client(server, "app")
    kite.generate_session(request_token(server, "app"), "hush")
    told = []
    kite.set_session_expiry_hook(lambda: told.append("expired"))

    assert kite.invalidate_access_token() is True

    for read in (kite.profile, kite.orders, kite.positions, kite.margins, kite.instruments, kite.mf_holdings):
        with pytest.raises(TokenException) as refusal:
            read()
        assert refusal.value.code == 403
    assert len(told) == 6


def test_an_individual_cannot_renew_a_token(server):
    kite = client(server, "app")
    session = kite.generate_session(request_token(server, "app"), "hush")

    with pytest.raises(TokenException) as refusal:
        kite.renew_access_token(session["refresh_token"], "hush")

    assert refusal.value.code == 403


def test_a_session_ends_at_six_on_the_servers_clock(start_paper):
    server = start_paper("--api-secret", "hush", "--redirect-url", BACK, "--clock", "2026-11-24T05:00:00")
    kite = client(server, "app")
    kite.generate_session(request_token(server, "app"), "hush")

    server.control("POST", "clock", {"at": datetime(2026, 11, 24, 5, 59, 59, tzinfo=IST).isoformat(), "speed": 0})
    assert kite.profile()["user_id"] == "PAPER1"

    server.control("POST", "clock", {"at": datetime(2026, 11, 24, 6, 0, 0, tzinfo=IST).isoformat(), "speed": 0})
    with pytest.raises(TokenException):
        kite.profile()


def test_a_session_survives_kill_and_restart(start_paper):
    options = ("--api-secret", "hush", "--redirect-url", BACK)
    first = start_paper(*options)
    token = client(first, "app").generate_session(request_token(first, "app"), "hush")["access_token"]
    first.kill()

    second = start_paper(*options)

    assert client(second, "app", token).profile()["user_id"] == "PAPER1"


def test_a_logout_that_cannot_be_kept_answers_so_and_leaves_the_session(start_paper):
    options = ("--api-secret", "hush", "--redirect-url", BACK)
    server = start_paper(*options)
    kite = client(server, "app")
    token = kite.generate_session(request_token(server, "app"), "hush")["access_token"]
    (server.state_dir / "sessions.new").mkdir()

    with pytest.raises(GeneralException, match="cannot be kept") as refusal:
        kite.invalidate_access_token()

    assert refusal.value.code == 500
    assert kite.profile()["user_id"] == "PAPER1"
    (server.state_dir / "sessions.new").rmdir()
    assert kite.invalidate_access_token() is True
    server.kill()
    with pytest.raises(TokenException):
        client(start_paper(*options), "app", token).profile()


def test_the_pair_of_the_command_line_is_the_one_that_is_accepted(start_paper):
    server = start_paper("--api-key", "app", "--access-token", "open sesame")

    assert client(server, "app", "open sesame").profile()["user_id"] == "PAPER1"
    for api_key, token in (("paper", "paper"), ("app", "paper"), ("paper", "open sesame")):
        with pytest.raises(TokenException):
            client(server, api_key, token).profile()
    with pytest.raises(InputException, match="api_key"):
        client(server, "paper").generate_session("token", "paper")


def test_a_server_says_in_a_sentence_that_its_sessions_are_damaged(start_paper, tmp_path, capfd):
    start_paper("--api-secret", "hush").stop()
    (tmp_path / "state/sessions.json").write_text("{")

    with pytest.raises(AssertionError, match="did not start"):
        start_paper("--api-secret", "hush")

    said = capfd.readouterr().err
    assert "sessions.json cannot be read" in said
    assert "Traceback" not in said


def test_the_query_of_the_redirect_is_read_back_as_it_was(server):
    location = press_the_button(server, "app", redirect_params="a=1&a=2&b=%26").headers["Location"]

    assert [pair for pair in parse_qsl(urlsplit(location).query) if pair[0] in "ab"] == [
        ("a", "1"),
        ("a", "2"),
        ("b", "&"),
    ]
