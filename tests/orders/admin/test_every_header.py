"""What every answer carries, whoever asks for whichever page: walked, so that no page is forgotten."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django_otp.plugins.otp_totp.models import TOTPDevice

from config.middleware import CONTENT_POLICY
from tests.orders.admin.test_every_page import book, page_urls  # noqa: F401
from tests.orders.admin.test_every_role import walked
from tests.orders.admin.test_second_factor import code_of

HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
}
OF_NO_MODEL = ["/", "/admin/", "/admin/nowhere/", "/admin/login/", "/admin/help/", "/admin/start-of-day/"]
OF_NO_MODEL += ["/admin/dashboard/live/", "/admin/dashboard/more/", "/admin/dashboard/charts/"]
OF_NO_MODEL += ["/admin/second-factor/", "/admin/second-factor/code/", "/admin/second-factor/?replace="]
OF_NO_MODEL += ["/admin/password_change/", "/kite/login", "/kite/postback", "/nowhere"]
INLINE = re.compile(r"<script(?![^>]*\bsrc=)(?![^>]*type=\"application/json\")[^>]*>|\son[a-z]+=\"|javascript:")


def lacking(answer: Any) -> list[str]:
    """Return what the answer has not, or has and should not."""
    said = answer.getvalue().decode(errors="replace")
    found = [name for name, value in HEADERS.items() if answer.headers.get(name) != value]
    if "no-store" not in answer.headers.get("Cache-Control", ""):
        found.append("Cache-Control")
    if "html" in answer.headers.get("Content-Type", "") and (inline := INLINE.search(said)):
        found.append(inline[0])
    return found


def addresses() -> list[str]:
    every = {address for address, *_ in walked()} | {url for _, url in page_urls()}
    return sorted(every | {*OF_NO_MODEL, reverse("admin:status_strip")})


@pytest.mark.django_db
def test_no_page_lacks_what_protects_it_and_none_is_kept_by_a_browser(book, tara):  # noqa: F811
    every = addresses()

    found = {address: lacking(tara.get(address)) for address in every}

    assert len(every) > 70
    assert {address: lack for address, lack in found.items() if lack} == {}


@pytest.mark.django_db
def test_nor_does_what_a_stranger_is_answered(book):  # noqa: F811
    stranger, every = Client(), addresses()

    found = {address: lacking(stranger.get(address)) for address in every}
    found |= {f"POST {address}": lacking(stranger.post(address)) for address in every}
    found |= {"no token": lacking(Client(enforce_csrf_checks=True).post("/admin/login/"))}

    assert {address: lack for address, lack in found.items() if lack} == {}


@pytest.mark.django_db
def test_nor_does_a_page_that_shows_a_key_or_codes(tara):
    user = tara.get("/admin/").wsgi_request.user
    assert "otpauth" not in (page := tara.get("/admin/second-factor/")).headers["Content-Type"]
    assert lacking(page) == []
    device = TOTPDevice.objects.create(user=user, name="Authenticator")

    proven = tara.post("/admin/second-factor/code/", {"code": code_of(device)})
    TOTPDevice.objects.update(last_t=-1)
    codes = tara.post("/admin/second-factor/", {"wish": "codes", "code": code_of(device)})

    assert "Recovery codes" in codes.content.decode()
    assert (lacking(proven), lacking(codes)) == ([], [])


@pytest.mark.django_db
def test_a_defect_s_page_has_them_too(tara, monkeypatch):
    def broken(*_: Any) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr("orders.admin.help_page.TemplateResponse", broken)
    tara.raise_request_exception = False

    answer = tara.get("/admin/help/")

    assert answer.status_code == 500
    assert lacking(answer) == []


@pytest.mark.django_db
@pytest.mark.parametrize("over_tls", [True, False])
def test_no_cookie_is_read_by_a_script_or_sent_by_another_site(settings, over_tls):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = over_tls
    User.objects.create_user("tom", password="a long password", is_staff=True)
    client = Client(enforce_csrf_checks=True)
    token = re.search(
        r'csrfmiddlewaretoken" value="(\w+)"', client.get("/admin/login/", secure=over_tls).content.decode()
    )
    form = {"username": "tom", "password": "a long password", "csrfmiddlewaretoken": token[1]}

    entered = client.post("/admin/login/", form, secure=over_tls, headers={"referer": "https://testserver/"})

    assert entered.status_code == 302
    assert entered.cookies.keys() == {"csrftoken", "sessionid"}
    for cookie in entered.cookies.values():
        assert cookie["httponly"], cookie
        assert cookie["samesite"] == "Lax", cookie
        assert bool(cookie["secure"]) == over_tls, cookie


@pytest.mark.django_db
def test_nobody_is_logged_in_by_another_site_s_form():
    """Else he would work, and leave his traces, in an account of who lured him there."""
    answer = Client(enforce_csrf_checks=True).post("/admin/login/", {"username": "tom", "password": "a long password"})

    assert answer.status_code == 403
    assert "sessionid" not in answer.cookies
