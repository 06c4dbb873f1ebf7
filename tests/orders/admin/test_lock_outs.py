"""Who guesses passwords is locked out for a quarter of an hour, and nobody else with him."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from axes.models import AccessAttempt, AccessLog
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from orders.admin.lock_outs import until
from orders.roles import ADMINISTRATOR, RISK_MANAGER
from tests.orders.admin.test_roles import holding
from tests.risk.admin.staff import SENT, told

pytestmark = pytest.mark.django_db
LOGIN = "/admin/login/"
PASSWORD = "a long password"


@pytest.fixture
def tom(settings: Any) -> User:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    return User.objects.create_user("tom", password=PASSWORD, is_staff=True)


def log_in(password: str, *, name: str = "tom", address: str = "203.0.113.7", **headers: str) -> Any:
    form = {"username": name, "password": password}
    return Client(REMOTE_ADDR=address, headers=headers).post(f"{LOGIN}?next=/admin/?request_token=abc", form)


def guess(times: int, **more: Any) -> list[int]:
    return [log_in(f"guess {number}", **more).status_code for number in range(times)]


def test_the_fifth_wrong_password_locks_out_and_the_fourth_does_not(tom):
    assert guess(4) == [200] * 4
    assert guess(1) == [429]

    page = log_in(PASSWORD)

    assert page.status_code == 429
    assert "wrong 5 times" in page.content.decode()
    assert "in 15 minutes" in page.content.decode()
    assert "desk.css" in page.content.decode()


def test_a_right_password_before_the_fifth_forgets_the_wrong_ones(tom):
    guess(4)

    assert log_in(PASSWORD).status_code == 302
    assert guess(4) == [200] * 4


def test_another_address_and_another_name_are_not_locked_out(tom):
    User.objects.create_user("vera", password=PASSWORD, is_staff=True)
    guess(5)

    assert log_in(PASSWORD, address="203.0.113.8").status_code == 302
    assert log_in(PASSWORD, name="vera").status_code == 302


def test_another_browser_and_a_made_up_address_are_locked_out_too(tom):
    for browser in "abcde":
        log_in("guess", **{"user-agent": browser, "x-forwarded-for": f"198.51.100.{ord(browser)}"})

    assert log_in(PASSWORD).status_code == 429


def test_the_lock_ends_after_a_quarter_of_an_hour_however_often_it_is_tried(tom):
    guess(8)
    row = AccessAttempt.objects.get()
    assert row.failures_since_start == 5  # the tries while locked out do not lengthen it
    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=14, seconds=50))
    assert log_in(PASSWORD).status_code == 429

    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=15, seconds=1))

    assert log_in(PASSWORD).status_code == 302


@pytest.mark.parametrize("day", ["2026-11-23", "2026-12-31", "2028-02-28", "2028-02-29"])
def test_a_lock_is_as_long_over_midnight_in_mumbai(tom, day):
    last = datetime.fromisoformat(f"{day}T23:59:30+05:30")
    AccessAttempt.objects.create(username="tom", ip_address="203.0.113.7", failures_since_start=5)
    AccessAttempt.objects.update(attempt_time=last)
    row = AccessAttempt.objects.get()
    ends = last + timedelta(minutes=15)

    assert until(row, last) == until(row, ends - timedelta(microseconds=1)) == ends
    assert until(row, ends) is None


@pytest.mark.parametrize("name", ["x" * 151, "x" * 5000, "tom\x00", "", "₹" * 300])
def test_a_name_that_nobody_has_is_a_wrong_one_and_counted_however_long(tom, name):
    assert guess(1, name=name) == [200]
    assert guess(5, name="x" * 5000)[-1] == 429
    assert log_in(PASSWORD).status_code == 302


def test_neither_a_password_nor_the_address_asked_for_is_kept(tom):
    guess(2)
    log_in(PASSWORD)
    log_in("wrong again")

    kept = str(list(AccessAttempt.objects.values())) + str(list(AccessLog.objects.values()))

    assert not any(word in kept for word in (PASSWORD, "guess", "wrong again", "request_token"))


def test_an_administrator_releases_and_a_risk_manager_only_looks(tom):
    guess(5)
    row = AccessAttempt.objects.get()
    url = reverse("admin:axes_accessattempt_release", args=[row.pk])
    rita, anna = holding("rita", RISK_MANAGER), holding("anna", ADMINISTRATOR)

    listed = rita.get(reverse("admin:axes_accessattempt_changelist")).content.decode()
    refused = rita.post(url, {**SENT, "reason": "he asked"})
    released = anna.post(url, {**SENT, "reason": "he asked"})

    assert "203.0.113.7" in listed
    assert refused.status_code == 403
    assert "may try again" in told(released)
    assert log_in(PASSWORD).status_code == 302


@pytest.mark.parametrize("name", ["tom", "", None])
@pytest.mark.parametrize("address", ["203.0.113.7", None])
def test_a_release_is_of_that_name_at_that_address_and_of_nobody_else(tom, name, address):
    """A log-in without a name has none in the table, and one through a socket has no address."""
    every = [(who, where) for who in ("tom", "vera", "", None) for where in ("203.0.113.7", "203.0.113.8", None)]
    for browser in ("a", "b"):
        for who, where in every:
            failed = {"failures_since_start": 5, "user_agent": browser}
            AccessAttempt.objects.create(username=who, ip_address=where, **failed)
    row = AccessAttempt.objects.filter(username=name, ip_address=address).first()
    anna = holding("anna", ADMINISTRATOR)

    released = anna.post(reverse("admin:axes_accessattempt_release", args=[row.pk]), {**SENT, "reason": "he asked"})

    assert "may try again" in told(released)
    assert "None" not in told(released)
    left = set(AccessAttempt.objects.values_list("username", "ip_address"))
    assert left == set(every) - {(name, address)}


def test_the_command_releases(tom):
    guess(5)

    call_command("axes_reset", verbosity=0)

    assert log_in(PASSWORD).status_code == 302


def test_log_ins_are_listed_with_their_addresses(tom, tara):
    log_in(PASSWORD)

    assert "203.0.113.7" in tara.get(reverse("admin:axes_accesslog_changelist")).content.decode()
