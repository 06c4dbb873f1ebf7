"""No secret on any page, and none in the log of looking at them all: not to a superuser either."""

from __future__ import annotations

import io
import logging
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone
from django_otp.plugins.otp_totp.models import TOTPDevice

from orders import second_factor
from orders.broker.sessions import TokenVault
from orders.redaction import hide
from tests.orders.admin.test_every_page import book, page_urls  # noqa: F401
from tests.orders.admin.test_every_role import walked
from tests.orders.admin.test_roles import holding
from tests.orders.admin.test_second_factor import code_of

SECRETS = {
    "access token": "seeded-access-token-1",
    "request token": "seeded-request-token-2",
    "api secret": "seeded-api-secret-3",
    "session secret": "seeded-secret-key-4-that-is-long-enough-for-django-to-be-content",
    "database password": "seeded-database-password-5",
    "redis password": "seeded-redis-password-6",
    "environment token": "seeded-environment-token-7",
}


@pytest.mark.django_db
def test_no_page_and_no_log_of_all_pages_shows_a_secret(book, settings, caplog: Any):  # noqa: F811
    settings.KITE_API_SECRET, settings.KITE_ACCESS_TOKEN = SECRETS["api secret"], SECRETS["environment token"]
    settings.REDIS_URL = f"redis://:{SECRETS['redis password']}@cache:6379/0"
    for secret in SECRETS.values():
        hide(secret)
    anna = holding("anna", "Administrator")
    user = anna.get("/admin/").wsgi_request.user
    device = TOTPDevice.objects.create(user=user, name="Authenticator")
    codes = second_factor.draw_recovery_codes(user)
    anna.post("/admin/second-factor/code/", {"code": code_of(device)})
    for mode in ("PAPER", "LIVE"):
        TokenVault(mode, secret_key="s").keep(SECRETS["access token"], user_id="AB1234", now=timezone.now())
        TokenVault(mode, secret_key="s").refuse(
            f"Invalid api_key or access_token at /session?request_token={SECRETS['request token']}",
            asked_at=timezone.now(),
            now=timezone.now(),
        )
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(logging.getLogger().handlers[0].formatter)
    logging.getLogger().addHandler(handler)

    addresses = {address for address, *_ in walked()} | {url for _, url in page_urls()}
    addresses |= {reverse("second_factor"), reverse("admin:index"), reverse("admin:status_strip")}
    query = f"?request_token={SECRETS['request token']}"
    pages = {address: anna.get(address).getvalue().decode(errors="replace") for address in sorted(addresses)}
    anna.get(f"/admin/nowhere/{query}")
    anna.post(f"/kite/postback{query}", {"checksum": SECRETS["access token"]})
    logging.getLogger().removeHandler(handler)

    kept = {**SECRETS, "authenticator's key": device.key, "in words": second_factor.key_in_words(device)}
    kept |= {"recovery code": codes[0], "sealed token": TokenVault("PAPER", secret_key="s").row().access_token}
    shown = [(name, address) for address, page in pages.items() for name, value in kept.items() if value in page]
    assert len(pages) > 60
    assert shown == []
    assert [name for name, value in kept.items() if value in out.getvalue()] == []
