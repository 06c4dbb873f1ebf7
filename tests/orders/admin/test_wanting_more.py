"""
Somebody of the staff who wants more than he may: other names, hidden fields, old sessions, codes used twice.

Anna is an administrator and no superuser, Rita a risk manager, Tom a trader.
"""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django_otp.plugins.otp_totp.models import TOTPDevice

from orders import second_factor
from orders.admin.people import OF_THE_MACHINE
from orders.roles import ADMINISTRATOR, RISK_MANAGER, TRADER, VIEWER
from tests.orders.admin.test_people import form_of
from tests.orders.admin.test_roles import groups_named, holding, roles_of
from tests.orders.admin.test_second_factor import code_of
from tests.orders.together import Together, held_up
from tests.risk.admin.staff import SENT

pytestmark = pytest.mark.django_db
PASSWORD = {"usable_password": "true", "password1": "quite-a-long-one", "password2": "quite-a-long-one"}
ADD = "/admin/auth/user/add/"


@pytest.fixture(autouse=True)
def quick_passwords(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def anna() -> Client:
    return holding("anna", ADMINISTRATOR)


def user(name: str) -> User:
    return User.objects.get(username=name)


def change(name: str) -> str:
    return reverse("admin:auth_user_change", args=[user(name).pk])


# --- Names, by which the trail knows people ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        *OF_THE_MACHINE,
        "Executor",
        "broker",
        "Upgrade",
        "TOM",
        "r\N{CYRILLIC SMALL LETTER A}vi",
        "tom\u200b",
        "\uff54om",
    ],
)
def test_nobody_is_made_whose_name_could_be_taken_for_anothers(anna, name):
    User.objects.create_user("tom")
    User.objects.create_user("ravi")
    before = User.objects.count()

    answer = anna.post(ADD, {"username": name, **PASSWORD, "groups": groups_named(TRADER)})

    assert answer.status_code == 200
    assert User.objects.count() == before


def test_a_name_stays_with_its_account(anna, tara):
    """What he did, and what he approved, names him."""
    holding("tom", TRADER)

    for editor, name in ((anna, "tom"), (anna, "anna"), (tara, "tom"), (tara, "tara")):
        editor.post(change(name), {**form_of(user(name)), "username": "somebody.else", "is_superuser": "on"})

    assert not User.objects.filter(username="somebody.else").exists()


# --- Hidden fields ----------------------------------------------------------------------------------------------------


def test_a_new_account_has_no_more_than_was_offered(anna):
    more = {"is_superuser": "on", "is_active": "on", "user_permissions": ["1"], "last_login_0": "2026-01-01"}

    anna.post(ADD, {"username": "nina", **PASSWORD, **more, "groups": groups_named(TRADER)})

    nina = user("nina")
    assert (nina.is_superuser, nina.user_permissions.count(), nina.last_login) == (False, 0, None)


def test_a_password_is_not_set_by_the_form_of_an_account(anna):
    holding("tom", TRADER)
    before = user("tom").password

    anna.post(change("tom"), {**form_of(user("tom")), "password": "md5$x$y", "password1": "x", "groups": []})

    assert user("tom").password == before


@pytest.mark.parametrize("field", ["is_staff", "is_active"])
def test_who_is_no_superuser_changes_no_right_of_his_own(anna, field):
    holding("olga", ADMINISTRATOR)
    form = {**form_of(user("anna")), "groups": groups_named(VIEWER), field: ""}

    anna.post(change("anna"), form)

    assert (user("anna").is_staff, roles_of("anna")) == (True, {ADMINISTRATOR})


# --- Accounts of who may do more --------------------------------------------------------------------------------------


def test_an_administrator_does_nothing_to_a_superuser(anna, tara):
    TOTPDevice.objects.create(user=user("tara"), name="Authenticator")
    reset = reverse("admin:auth_user_reset_second_factor", args=[user("tara").pk])
    before = user("tara").password

    password = anna.post(reverse("admin:auth_user_password_change", args=[user("tara").pk]), PASSWORD)
    changed = anna.post(change("tara"), {**form_of(user("tara")), "is_active": ""})
    anna.post(reset, {**SENT, "reason": "she asked"})

    assert (password.status_code, changed.status_code) == (403, 403)
    assert (user("tara").password, user("tara").is_active) == (before, True)
    assert TOTPDevice.objects.count() == 1


@pytest.mark.parametrize("role", [VIEWER, TRADER])
def test_who_may_not_reset_second_factors_finds_no_way_to(role):
    holding("rita", RISK_MANAGER)
    TOTPDevice.objects.create(user=user("rita"), name="Authenticator")
    client = holding("vera", role)

    answer = client.post(
        reverse("admin:auth_user_reset_second_factor", args=[user("rita").pk]), {**SENT, "reason": "x"}
    )

    assert answer.status_code == 403
    assert TOTPDevice.objects.count() == 1


def test_no_digest_of_a_password_is_shown_or_guessed_letter_by_letter(tara):
    rita, tom = holding("rita", RISK_MANAGER), holding("tom", TRADER)
    user("tom").set_password("quite-a-long-one")
    kept = user("tara")
    kept.set_password("quite-a-long-one")
    kept.save()
    tara.force_login(kept)
    digest = kept.password.split("$")[2]

    assert digest not in rita.get(change("tara")).content.decode()
    assert digest not in tara.get(change("tara")).content.decode()
    for page in ("auth/user", "auth/group", "axes/accesslog"):
        for lookup in ("password__startswith", "user__password__startswith"):
            answers = [
                client.get(f"/admin/{page}/", {lookup: said}).status_code
                for client in (rita, tara)
                for said in (kept.password[:6], "x")
            ]
            assert answers[:2] in ([403, 403], [302, 302], [400, 400]), (page, lookup, answers)
            assert answers[2:] in ([302, 302], [400, 400]), (page, lookup, answers)
    assert tom.get("/admin/auth/user/").status_code == 403


# --- Sessions ---------------------------------------------------------------------------------------------------------


def test_a_session_may_no_more_than_its_account_may_now(anna):
    tom = holding("tom", RISK_MANAGER)
    page = "/admin/risk/risksettings/1/change/"
    assert tom.get("/admin/auth/user/").status_code == 200

    user("tom").groups.set(groups_named(VIEWER))
    assert (tom.get("/admin/auth/user/").status_code, tom.post(page, {}).status_code) == (403, 403)
    User.objects.filter(username="tom").update(is_active=False)
    assert tom.get("/admin/").status_code == 302


def test_a_password_set_by_an_administrator_ends_the_sessions_of_that_account(anna):
    holding("tom", TRADER)
    thief = Client()
    thief.force_login(user("tom"))
    assert thief.get("/admin/").status_code == 200

    anna.post(reverse("admin:auth_user_password_change", args=[user("tom").pk]), PASSWORD)

    assert user("tom").check_password("quite-a-long-one")
    assert thief.get("/admin/").status_code == 302


def test_a_second_factor_that_was_reset_ends_the_sessions_that_it_had_proven(anna):
    tom = holding("tom", TRADER)
    device = TOTPDevice.objects.create(user=user("tom"), name="Authenticator")
    tom.post("/admin/second-factor/code/", {"code": code_of(device)})
    assert tom.get("/admin/").status_code == 200

    anna.post(reverse("admin:auth_user_reset_second_factor", args=[user("tom").pk]), {**SENT, "reason": "lost"})

    assert TOTPDevice.objects.count() == 0
    assert anna.get("/admin/").status_code == 200
    assert tom.get("/admin/").status_code == 302


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("by_app", [True, False], ids=["app", "paper"])
def test_a_code_used_twice_at_once_proves_one_session(by_app):
    tom = User.objects.create_user("tom", is_staff=True)
    device = TOTPDevice.objects.create(user=tom, name="Authenticator")
    codes = second_factor.draw_recovery_codes(tom)
    code = code_of(device) if by_app else codes[0]

    with held_up("otp_totp_totpdevice" if by_app else "otp_static_staticdevice") as wait_for:
        both = Together(*[lambda: second_factor.prove(tom, code) for _ in range(2)])
        wait_for(2)
    answers = both.join()

    assert sorted(type(each).__name__ for each in answers) in (
        ["CodeRefused", "TOTPDevice"],
        ["CodeRefused", "StaticDevice"],
    )
