"""The page of the API's tokens: made there and shown once, revoked there, and by administrators alone."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.urls import reverse
from django.utils import timezone

from orders import api_tokens
from orders.api_tokens import Wish
from orders.models import ApiToken
from orders.roles import ADMINISTRATOR, RISK_MANAGER, TRADER, VIEWER
from risk.models import AuditEntry
from tests.orders.admin.test_roles import holding
from tests.risk.admin.staff import SENT, told, traces

pytestmark = pytest.mark.django_db
LIST, MAKE = "/admin/orders/apitoken/", "/admin/orders/apitoken/make"


def user(name):
    return User.objects.get(username=name)


def wished(owner="tom", **changes):
    usual = {"name": "momentum", "scopes": ["signals:write"], "per_minute": 60, "days": 30, **SENT}
    return {**usual, "owner": user(owner).pk, **changes}


def make(client, **changes):
    return client.post(reverse("admin:orders_apitoken_make"), wished(**changes), headers={"HX-Request": "true"})


@pytest.fixture
def anna():
    return holding("anna", ADMINISTRATOR)


@pytest.fixture
def tom():
    return holding("tom", TRADER)


def test_a_token_is_shown_in_the_answer_that_made_it_and_nowhere_else(anna, tom):
    answer = make(anna)

    secret = re.search(r"oex_[0-9a-f]{16}_[0-9a-f]{64}", answer.content.decode())[0]
    token = ApiToken.objects.get()
    assert api_tokens.find(secret, now=timezone.now()) == token
    assert (token.owner, token.scopes, token.created_by) == (user("tom"), ["signals:write"], "anna")
    assert 29 <= (token.expires_at - timezone.now()).days <= 30
    assert answer.headers["HX-Retarget"] == "#dialog"
    assert "no-store" in answer.headers["Cache-Control"]
    hidden = secret.split("_")[2]
    pages = [LIST, f"{LIST}{token.pk}/change/", f"{LIST}{token.pk}/history/", "/admin/"]
    assert not [page for page in pages if hidden in anna.get(page).content.decode()]
    assert not [page for page in pages if token.digest in anna.get(page).content.decode()]
    assert hidden not in str([each.get_decoded() for each in Session.objects.all()]) + str(anna.cookies)
    assert hidden not in str(list(AuditEntry.objects.values())) + str(traces())
    assert traces() == ["API token made for tom: signals:write"]


def test_nobody_makes_one_for_who_may_do_more(anna):
    User.objects.create_superuser("tara")

    answer = make(anna, owner="tara")

    assert "tara may do more than you" in answer.content.decode()
    assert not ApiToken.objects.exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"scopes": ["trading:auto"]}, "Tom may not turn auto-trading on"),
        ({"scopes": []}, "This field is required"),
        ({"scopes": ["orders:everything"]}, "is not one of the available choices"),
        ({"in_body": "on", "scopes": ["orders:read"]}, "has the scope signals:write and no other"),
        ({"name": ""}, "This field is required"),
        ({"name": "a\x00b"}, "Null characters are not allowed"),
        ({"days": 0}, "greater than or equal to 1"),
        ({"days": 3651}, "less than or equal to 3650"),
        ({"per_minute": 0}, "greater than or equal to 1"),
        ({"per_minute": 6001}, "less than or equal to 6000"),
    ],
)
def test_the_dialog_says_why_it_makes_none(anna, tom, changes, words):
    answer = make(anna, **changes)

    assert words in answer.content.decode().replace("&#x27;", "'")
    assert not ApiToken.objects.exists()


def test_the_dialog_sent_twice_makes_one(anna, tom):
    make(anna)
    again = make(anna)

    assert "There is a token named momentum" in again.content.decode()
    assert ApiToken.objects.count() == 1


def test_an_inactive_owner_is_not_offered(anna, tom):
    User.objects.filter(username="tom").update(is_active=False)

    assert "tom" not in anna.get(reverse("admin:orders_apitoken_make")).content.decode()
    make(anna)

    assert not ApiToken.objects.exists()


def test_it_is_revoked_with_a_reason(anna, tom):
    make(anna)
    token = ApiToken.objects.get()
    url = reverse("admin:orders_apitoken_revoke", args=[token.pk])

    assert "key_off" in anna.get(f"{LIST}{token.pk}/change/").content.decode()
    answer = anna.post(url, {"reason": "it leaked", **SENT})

    token.refresh_from_db()
    assert (token.revoked_by, token.revoke_reason, token.dead_because(timezone.now())) == (
        "anna",
        "it leaked",
        "it was revoked",
    )
    assert told(answer) == "momentum opens nothing any more."
    assert AuditEntry.objects.filter(table_name="orders_apitoken", actor="anna").latest("id").reason == "it leaked"
    page = anna.get(f"{LIST}{token.pk}/change/").content.decode()
    assert url not in page
    assert "it was revoked already" in told(anna.post(url, {"reason": "again", **SENT})).lower()


@pytest.mark.parametrize("role", [VIEWER, TRADER, RISK_MANAGER])
def test_who_is_no_administrator_does_not_see_them(role, tom):
    token, _ = api_tokens.make(Wish(name="m", owner=user("tom"), scopes=["orders:read"]), by="anna", now=timezone.now())
    client = holding("somebody", role)

    assert LIST not in client.get("/admin/").content.decode()
    assert client.get(LIST).status_code == 403
    assert client.get(f"{LIST}{token.pk}/change/").status_code == 403
    assert make(client).status_code == 403
    url = reverse("admin:orders_apitoken_revoke", args=[token.pk])
    assert client.post(url, {"reason": "x", **SENT}).status_code == 403
    token.refresh_from_db()
    assert token.revoked_at is None


def test_no_digest_can_be_probed_through_the_list(anna, tom):
    make(anna)
    digest = ApiToken.objects.get().digest

    answers = {anna.get(LIST, {"digest__startswith": said}).status_code for said in (digest[:4], "x")}

    assert answers <= {302, 400}
    assert "momentum" not in anna.get(LIST, {"q": digest}).content.decode().split("result_list")[-1]


def test_a_digest_is_no_link_to_the_owners_password(anna, tom):
    assert anna.get(LIST, {"owner__password__startswith": "m"}).status_code in {302, 400}
