"""The second factor: enrolled by who has the phone, asked for after the password, good once, reset by another."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django_otp.oath import TOTP
from django_otp.plugins.otp_static.models import StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from orders import second_factor
from orders.roles import ADMINISTRATOR, RISK_MANAGER, TRADER
from tests.orders.admin.test_roles import holding
from tests.risk.admin.staff import SENT, told

pytestmark = pytest.mark.django_db
PAGE, CODE = "/admin/second-factor/", "/admin/second-factor/code/"
ORDERS = "/admin/orders/order/"


def code_of(device: TOTPDevice, ahead: int = 0) -> str:
    """Return what the authenticator shows, so many periods of thirty seconds from now."""
    totp = TOTP(device.bin_key)
    totp.time = time.time() + 30 * ahead
    return f"{totp.token():06d}"


def enrolled(user: User) -> TOTPDevice:
    return TOTPDevice.objects.create(user=user, name="Authenticator")


def offered_on(page: Any) -> tuple[str, TOTPDevice]:
    html = page.content.decode()
    offered = re.search(r'name="offered" value="([^"]+)"', html)[1]
    return offered, second_factor.unsealed(offered, page.wsgi_request.user)


def by_password(name: str) -> Client:
    client = Client()
    client.force_login(User.objects.get(username=name))
    return client


@pytest.fixture
def tom() -> User:
    holding("tom", TRADER)
    return User.objects.get(username="tom")


def test_looking_at_the_page_of_enrolment_stores_nothing_and_draws_a_new_key_each_time(tom):
    client = by_password("tom")

    first, second = (offered_on(client.get(PAGE))[1].key for _ in range(2))

    assert first != second
    assert not TOTPDevice.objects.exists()


def test_enrolling_needs_the_code_of_the_key_shown(tom):
    client = by_password("tom")
    offered, device = offered_on(client.get(PAGE))
    wrong = f"{(int(code_of(device)) + 1) % 10**6:06d}"

    refused = client.post(PAGE, {"offered": offered, "code": wrong})
    assert not TOTPDevice.objects.exists()
    assert offered_on(refused)[1].key == device.key  # the phone has scanned this one
    done = client.post(PAGE, {"offered": offered, "code": code_of(device)})

    codes = re.findall(r"<li>((?:[A-Z2-7]{4}-){3}[A-Z2-7]{4})</li>", done.content.decode())
    assert len(set(codes)) == 10
    assert TOTPDevice.objects.get().user == tom
    assert client.get(ORDERS).status_code == 200  # this session has proven it
    assert by_password("tom").get(ORDERS).status_code == 302  # any other has not


def test_a_key_sealed_for_another_or_long_ago_is_not_enrolled(tom, monkeypatch):
    olga = User.objects.create_user("olga")
    client = by_password("tom")
    theirs = second_factor.offer(olga)
    old = second_factor.offer(tom)
    code = code_of(second_factor.unsealed(theirs, olga))

    client.post(PAGE, {"offered": theirs, "code": code})
    code = code_of(second_factor.unsealed(old, tom))
    monkeypatch.setattr(second_factor, "KEY_AGE_MAX_SECONDS", -1)
    with pytest.raises(second_factor.CodeRefused, match="too old"):
        second_factor.enrol(tom, old, code)

    assert not TOTPDevice.objects.exists()


@pytest.mark.parametrize("required", [True, False])
def test_who_has_enrolled_reaches_nothing_by_password_alone(tom, settings, required):
    settings.REQUIRE_SECOND_FACTOR = required
    device = enrolled(tom)
    client = by_password("tom")

    wanted = client.get(f"{ORDERS}?status=OPEN")
    posted = client.post(reverse("admin:orders_position_changelist"), {})
    strip = client.get(reverse("admin:status_strip"), headers={"HX-Request": "true"})

    assert wanted["Location"] == f"{CODE}?next=%2Fadmin%2Forders%2Forder%2F%3Fstatus%3DOPEN"
    assert posted["Location"].startswith(CODE)
    assert strip.status_code == 401
    assert client.get(PAGE)["Location"] == CODE  # nor is another phone enrolled by password alone
    answer = client.post(CODE, {"code": code_of(device), "next": f"{ORDERS}?status=OPEN"})
    assert answer["Location"] == f"{ORDERS}?status=OPEN"
    assert client.get(ORDERS).status_code == 200


def test_where_it_is_required_who_has_none_is_led_to_enrol_and_can_do_nothing_else(tom, settings):
    settings.REQUIRE_SECOND_FACTOR = True
    client = by_password("tom")

    assert client.get(ORDERS)["Location"].startswith(PAGE)
    page = client.get(PAGE)
    assert "status-strip" not in page.content.decode()
    offered, device = offered_on(page)
    client.post(PAGE, {"offered": offered, "code": code_of(device)})
    assert client.get(ORDERS).status_code == 200


def test_where_it_is_not_required_a_password_is_enough_for_who_has_none(tom):
    assert by_password("tom").get(ORDERS).status_code == 200


def test_a_code_is_good_once(tom):
    device = enrolled(tom)
    code = code_of(device)
    first, second = by_password("tom"), by_password("tom")

    assert first.post(CODE, {"code": code}).status_code == 302
    again = second.post(CODE, {"code": code})

    assert "was used before" in again.content.decode()
    assert second.get(ORDERS).status_code == 302


def test_the_code_of_enrolment_opens_no_second_session(tom):
    offered = second_factor.offer(tom)
    code = code_of(second_factor.unsealed(offered, tom))
    second_factor.enrol(tom, offered, code)

    with pytest.raises(second_factor.CodeRefused):
        second_factor.prove(tom, code)


def test_wrong_codes_make_the_right_one_wait(tom):
    device = enrolled(tom)
    for _ in range(2):
        with pytest.raises(second_factor.CodeRefused):
            second_factor.prove(tom, "000000" if code_of(device) != "000000" else "000001")

    with pytest.raises(second_factor.CodeRefused, match="wait until"):
        second_factor.prove(tom, code_of(device))


def test_a_recovery_code_is_good_once_however_it_is_typed_and_is_not_kept(tom):
    enrolled(tom)
    code, *_ = second_factor.draw_recovery_codes(tom)
    client = by_password("tom")

    assert not StaticToken.objects.filter(token__in=(code, code.replace("-", ""))).exists()
    assert client.post(CODE, {"code": f" {code.lower().replace('-', ' ')} "}).status_code == 302
    assert second_factor.recovery_codes_left(tom) == 9
    with pytest.raises(second_factor.CodeRefused):
        second_factor.prove(tom, code)


def test_new_recovery_codes_need_a_code_and_end_the_old_ones(tom):
    device = enrolled(tom)
    old = second_factor.draw_recovery_codes(tom)
    client = by_password("tom")
    client.post(CODE, {"code": old[0]})

    refused = client.post(PAGE, {"wish": "codes", "code": "123"})
    assert second_factor.recovery_codes_left(tom) == 9
    assert "A code is six digits" in refused.content.decode()
    client.post(PAGE, {"wish": "codes", "code": code_of(device)})

    assert second_factor.recovery_codes_left(tom) == 10
    with pytest.raises(second_factor.CodeRefused):
        second_factor.prove(tom, old[1])


def test_another_phone_needs_a_code_of_the_present_one(tom):
    device = enrolled(tom)
    codes = second_factor.draw_recovery_codes(tom)
    client = by_password("tom")
    client.post(CODE, {"code": codes[0]})
    offered, new = offered_on(client.get(f"{PAGE}?replace"))

    client.post(f"{PAGE}?replace", {"offered": offered, "code": code_of(new), "present": "000000"})
    assert TOTPDevice.objects.get().key == device.key
    client.post(f"{PAGE}?replace", {"offered": offered, "code": code_of(new), "present": codes[1]})

    assert TOTPDevice.objects.get().key == new.key
    assert client.get(ORDERS).status_code == 200


def test_onward_leads_only_to_pages_of_ours(tom):
    device = enrolled(tom)

    answer = by_password("tom").post(CODE, {"code": code_of(device), "next": "https://evil.example/"})

    assert answer["Location"] == "/admin/"


def test_the_session_s_key_changes_with_the_code(tom):
    device = enrolled(tom)
    client = by_password("tom")
    before = client.session.session_key

    client.post(CODE, {"code": code_of(device)})

    assert client.session.session_key != before


# --- Reset by another -------------------------------------------------------------------------------------------------


def reset(client: Client, user: User) -> Any:
    url = reverse("admin:auth_user_reset_second_factor", args=[user.pk])
    return client.post(url, {**SENT, "reason": "phone lost, seen in person"})


def test_a_risk_manager_resets_a_trader_s(tom):
    enrolled(tom)
    second_factor.draw_recovery_codes(tom)
    verified = by_password("tom")
    verified.post(CODE, {"code": code_of(TOTPDevice.objects.get())})

    answer = reset(holding("rita", RISK_MANAGER), tom)

    assert "is reset" in told(answer)
    assert second_factor.device_of(tom) is None
    assert not StaticToken.objects.exists()


def test_nobody_resets_his_own_nor_that_of_who_may_do_more():
    rita, anna = holding("rita", RISK_MANAGER), holding("anna", ADMINISTRATOR)
    for name in ("rita", "anna"):
        user = User.objects.get(username=name)
        device = enrolled(user)
        (rita if name == "rita" else anna).post(CODE, {"code": code_of(device)})

    own = reset(rita, User.objects.get(username="rita"))
    above = reset(rita, User.objects.get(username="anna"))

    assert "Nobody resets his own" in told(own)
    assert "may do more than you" in told(above)
    assert TOTPDevice.objects.count() == 2


def test_a_trader_resets_nobody_s(tom):
    enrolled(User.objects.create_user("vera"))

    assert reset(by_password("tom"), User.objects.get(username="vera")).status_code == 403
    assert TOTPDevice.objects.exists()


def test_the_command_resets_it_for_the_last_one_who_could(tom, capsys):
    enrolled(tom)

    call_command("reset_second_factor", "tom", reason="phone and paper lost")

    assert second_factor.device_of(tom) is None
    for name, trouble in (("tom", "has no second factor"), ("tim", "there is no user tim")):
        with pytest.raises(CommandError, match=trouble):
            call_command("reset_second_factor", name, reason="again")
