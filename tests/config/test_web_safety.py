"""What every answer carries, what a deployment check says, and whose address a request is believed to have."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from django.test import Client, RequestFactory

from config.client_address import client_address
from config.error_pages import WithoutAddresses
from config.middleware import CONTENT_POLICY
from tests.executor_process import REPOSITORY

LIVE = {"KITE_API_KEY": "k", "KITE_API_SECRET": "s"}


def manage(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("address", ["/admin/login/", "/static/desk/desk.css", "/nowhere", "/admin/"])
def test_every_answer_says_what_a_page_may_load(db, address):
    answer = Client().get(address)
    answer.close()  # a file of its own, for what is static

    assert answer["Content-Security-Policy"] == CONTENT_POLICY
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Referrer-Policy"] == "same-origin"
    assert ("no-store" in answer["Cache-Control"]) == (not address.startswith("/static/"))


def test_a_page_may_load_no_script_but_our_files():
    assert "script-src 'self' 'unsafe-eval';" in CONTENT_POLICY
    assert "'unsafe-inline'" not in CONTENT_POLICY.split("script-src")[1].split(";")[0]
    assert "frame-ancestors 'none'" in CONTENT_POLICY


def test_over_tls_the_check_of_a_deployment_has_nothing_to_say():
    checked = manage("check", "--deploy", "--fail-level", "WARNING", SECURE_COOKIES="true")

    assert checked.returncode == 0, checked.stderr
    assert "no issues" in checked.stdout


def test_over_tls_cookies_are_secure_and_http_is_left_for_a_year(settings, db):
    said = manage(
        "shell",
        "-c",
        "from django.conf import settings as s; print(s.SESSION_COOKIE_SECURE, s.CSRF_COOKIE_SECURE,"
        " s.SECURE_SSL_REDIRECT, s.SECURE_HSTS_SECONDS, s.SESSION_COOKIE_AGE)",
        SECURE_COOKIES="true",
        SESSION_HOURS="8",
    )

    assert said.stdout.split()[-5:] == ["True", "True", "True", "31536000", "28800"]


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({**LIVE, "ALLOWED_HOSTS": "desk.example.com"}, True),
        ({**LIVE, "ALLOWED_HOSTS": "desk.example.com", "SECURE_COOKIES": "true"}, False),
        (LIVE, False),
        ({"ALLOWED_HOSTS": "desk.example.com"}, False),
    ],
)
def test_a_live_desk_that_others_reach_is_warned_to_speak_tls(environment, told):
    checked = manage("check", **environment)

    assert checked.returncode == 0, checked.stderr
    assert ("SECURE_COOKIES" in checked.stderr) == told


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"DEBUG": "true", **LIVE}, "DEBUG is on, and its error pages show what is secret"),
        ({"SESSION_HOURS": "25"}, "SESSION_HOURS is '25': give a whole number from 1 to 24"),
        ({"TRUSTED_PROXIES": "-1"}, "TRUSTED_PROXIES is '-1'"),
        ({"REQUIRE_SECOND_FACTOR": "maybe"}, "REQUIRE_SECOND_FACTOR is 'maybe': give true or false"),
    ],
)
def test_what_cannot_be_is_refused(environment, sentence):
    refused = manage("check", **environment)

    assert refused.returncode != 0
    assert sentence in refused.stderr


@pytest.mark.parametrize(
    ("proxies", "said", "believed"),
    [
        (0, "1.1.1.1", "10.0.0.9"),
        (1, "1.1.1.1", "1.1.1.1"),
        (1, "6.6.6.6, 1.1.1.1", "1.1.1.1"),  # the first was made up by who sent it
        (2, "6.6.6.6, 1.1.1.1, 10.0.0.1", "1.1.1.1"),
        (2, "1.1.1.1", "10.0.0.9"),  # fewer than there must be: it did not come through ours
        (1, "", None),
        (1, "nonsense'; --", None),
        (1, "2001:db8::1", "2001:db8::1"),
    ],
)
def test_an_address_is_believed_as_far_as_our_proxies_wrote_it(settings, proxies, said, believed):
    settings.TRUSTED_PROXIES = proxies
    request = RequestFactory().get("/", REMOTE_ADDR="10.0.0.9", HTTP_X_FORWARDED_FOR=said)

    assert client_address(request) == believed


def test_an_error_page_of_debug_hides_the_addresses_of_servers(settings):
    settings.REDIS_URL = "redis://:a-password@cache:6379/0"

    shown = WithoutAddresses().get_safe_settings()

    for name in ("REDIS_URL", "KITE_API_SECRET", "KITE_ACCESS_TOKEN", "SECRET_KEY"):
        assert "a-password" not in str(shown[name])
        assert set(str(shown[name])) == {"*"}, name
