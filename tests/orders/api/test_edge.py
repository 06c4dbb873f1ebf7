"""What holds for every address of the API: no session, a bound, one form of errors, no secret in a log."""

from __future__ import annotations

import io
import json
import logging
import time

import pytest
from django.contrib.auth.models import User
from django.db import InterfaceError, OperationalError, connection
from django.test import Client
from django_otp.plugins.otp_totp.models import TOTPDevice

from config.middleware import CONTENT_POLICY
from orders.api import reading
from orders.api.app import api
from orders.api.problems import of_status
from orders.models import Signal
from tests.orders.api.conftest import problem
from tests.orders.together import held_up

pytestmark = pytest.mark.django_db


def test_a_session_opens_nothing(tara):
    browser = Client()
    browser.force_login(tara)
    assert browser.get("/admin/").status_code == 200

    problem(browser.get("/api/v1/orders"), 401, "token-invalid")
    problem(browser.post("/api/v1/trading/halt", {"reason": "x"}, "application/json"), 401, "token-invalid")


def test_a_token_needs_no_csrf_token_and_is_its_owner_whoever_is_logged_in(token, desk):
    vera = User.objects.create_user("vera", is_staff=True)
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(vera)

    answer = browser.post(
        "/api/v1/trading/halt", {"reason": "x"}, "application/json", headers={"Authorization": f"Bearer {token()}"}
    )

    assert (answer.status_code, answer.json()["changed_by"]) == (200, "tara")


def test_the_second_factor_of_a_browser_is_not_asked_of_a_program(token, tara, settings):
    settings.REQUIRE_SECOND_FACTOR = True
    TOTPDevice.objects.create(user=tara, name="Authenticator")
    browser = Client()
    browser.force_login(tara)
    assert browser.get("/admin/").status_code == 302

    assert browser.get("/api/v1/orders", headers={"Authorization": f"Bearer {token()}"}).status_code == 200


def test_no_answer_sets_a_cookie_or_is_kept_by_anybody(token, call):
    answer = call("GET /orders", token())

    assert not answer.cookies
    assert "no-store" in answer.headers["Cache-Control"]
    assert answer.headers["Content-Security-Policy"] == CONTENT_POLICY
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"


def test_an_address_that_leads_nowhere_is_a_problem(call):
    for path in ("/nowhere", "/", "/orders/", "/docs", "/../admin/", "/%00", "/orders/a/b/c"):
        problem(call(f"GET {path}"), 404, "not-found")
    assert Client().get("/api/v2/orders").headers["Content-Type"] == "application/problem+json"
    assert "problem" not in Client().get("/nowhere").headers["Content-Type"]


def test_a_method_that_is_not_taken_is_a_problem_that_names_those_that_are(call, token):
    secret = token()
    for method in ("PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "HEAD"):
        answer = call(f"{method} /orders", secret)
        assert (answer.status_code, answer.headers["Allow"]) == (405, "GET")
    answer = call("GET /trading/halt", secret)
    problem(answer, 405, "method-not-allowed")
    assert answer.headers["Allow"] == "POST"


def test_a_host_that_is_not_ours_is_a_problem():
    answer = Client(raise_request_exception=False).get("/api/v1/orders", headers={"Host": "evil.example"})

    problem(answer, 400, "bad-request")


@pytest.mark.parametrize("said", ["65537", "99999999999", "9" * 19])
def test_a_body_that_says_it_is_too_large_is_not_read(said, token, call):
    answer = Client().generic(
        "POST",
        "/api/v1/signals",
        b"{}",
        content_type="application/json",
        headers={"Authorization": f"Bearer {token()}"},
        CONTENT_LENGTH=said,
    )

    problem(answer, 413, "body-too-large")


def test_a_body_in_pieces_is_not_taken_for_an_empty_one(token, call):
    answer = call("POST /signals", token(), b"", **{"Transfer-Encoding": "chunked"})

    problem(answer, 411, "length-required")
    assert not Signal.objects.exists()


@pytest.mark.parametrize("outage", [OperationalError("server closed"), InterfaceError("connection already closed")])
def test_an_outage_of_the_database_is_503_wherever_it_comes(outage, token, call, monkeypatch):
    secret = token()

    def down(*args, **kwargs):
        raise outage

    for where in ("orders.api_tokens.find", "orders.api_tokens.count_use", "orders.api.reading.page"):
        with monkeypatch.context() as patch:
            patch.setattr(where, down)
            answer = call("GET /orders", secret)
        assert "send the same again" in problem(answer, 503, "database-unavailable")["detail"]
        assert answer.headers["Retry-After"] == "5"


@pytest.mark.django_db(transaction=True)
def test_without_a_database_every_address_answers_503_and_works_again_with_it(token, call, monkeypatch):
    secret = token()
    connection.close()
    with monkeypatch.context() as patch:
        patch.setitem(connection.settings_dict, "PORT", "1")  # where nobody listens
        for what in ("GET /orders", "POST /signals", "POST /signals/tradingview", "POST /trading/halt"):
            problem(call(what, secret, None if "GET" in what else {"reason": "x"}), 503, "database-unavailable")
        assert call("GET /openapi.json").status_code == 200
        connection.close()

    assert call("GET /orders", secret).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_a_database_that_holds_a_row_for_ever_is_503_in_its_own_time(desk, token, call, message, settings):
    secret = token()
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '200ms'")
    with held_up("orders_signal"):
        began = time.monotonic()
        answer = call("POST /signals", secret, message(signal_id="one"))
    with connection.cursor() as cursor:
        cursor.execute("RESET lock_timeout")

    problem(answer, 503, "database-unavailable")
    assert time.monotonic() - began < 5
    assert not Signal.objects.exists()
    assert call("POST /signals", secret, message(signal_id="one")).status_code == 201


def test_a_defect_is_a_problem_without_its_innards(token, call, monkeypatch, settings):
    secret = token()

    def broken(*args, **kwargs):
        raise ZeroDivisionError("the innards")

    monkeypatch.setattr(reading, "page", broken)
    for debug in (False, True):
        settings.DEBUG = debug
        answer = call("GET /orders", secret)
        problem(answer, 500, "defect")
        assert b"innards" not in answer.content


def test_every_status_has_a_problem():
    for status in range(400, 600):
        try:
            said = of_status(status)
        except ValueError:
            continue  # no status that anybody gave a name
        assert said.code
        assert said.detail


def test_no_token_is_logged_whatever_becomes_of_it(token, call, desk):
    secret = token()
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(logging.getLogger().handlers[0].formatter)
    logging.getLogger().addHandler(handler)
    logging.getLogger("django.request").setLevel(logging.INFO)

    call("GET /orders", secret)
    call("GET /nowhere", secret)
    call("POST /trading/halt", secret, {"reason": "x"})
    call("POST /signals", secret, b"nonsense")
    call(f"GET /orders/{secret}", secret)
    call(f"GET /orders?signal_id={secret}", secret)
    User.objects.update(is_active=False)
    call("GET /orders", secret)
    logging.getLogger("a library").warning("with %s in it, and %r", secret, {"x": secret.encode()})
    logging.getLogger().removeHandler(handler)

    assert "api_token.dead" in out.getvalue()
    assert "with oex_" in out.getvalue()
    assert secret.split("_")[2] not in out.getvalue()


# --- The schema -------------------------------------------------------------------------------------------------------


def test_the_schema_is_there_for_everybody_and_says_what_each_wants(call):
    said = call("GET /openapi.json").json()

    assert said["openapi"].startswith("3.")
    assert said == json.loads(json.dumps(api.get_openapi_schema()))
    for methods in said["paths"].values():
        for operation in methods.values():
            assert operation["security"]
            assert operation["x-scopes"]
            assert {"401", "403", "429", "503"} <= operation["responses"].keys()


def test_the_schema_is_built_once_for_all_who_ask(call, monkeypatch):
    first = call("GET /openapi.json")
    monkeypatch.setattr(api, "_wanted", lambda: pytest.fail("it was built anew"))

    again = call("GET /openapi.json")

    assert (again.status_code, again.content) == (200, first.content)


def test_the_reference_is_for_staff_and_loads_nothing_from_elsewhere(tara):
    stranger, browser = Client(), Client()
    browser.force_login(tara)

    page = browser.get("/admin/api/").content.decode()

    assert stranger.get("/admin/api/").status_code == 302
    for path in api.get_openapi_schema()["paths"]:
        assert path in page
    assert '<script src="http' not in page
    assert "cdn" not in page.lower()
    for word in (
        "orders:cancel",
        "orders.cancel_order",
        "Retry-After",
        "openapi.json",
        "trading:resume",
        "PARTIALLY_FILLED",
    ):
        assert word in page
