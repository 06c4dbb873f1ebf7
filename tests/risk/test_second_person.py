"""
Who is a second person: not one who may be the first with another account, as the trail of the accounts tells.

Asha sets limits and, as an administrator, keeps accounts; Ravi approves; Omar is another administrator. All three were
made at the command line.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User

from risk import approvals, limit_versions
from risk.approvals import ChangeRefused
from risk.audit.who import acting
from risk.four_eyes import House
from risk.models import LimitChange, RiskSettings

from .conftest import NOW

pytestmark = pytest.mark.django_db
HOUSE = House.of(needs="second_person", mode="LIVE", ceilings={})
LIVE = House.of(needs="confirmation", mode="LIVE", ceilings={})
APPROVING, SETTING = "approve_limits", "change_risksettings"


def made(name: str, *codenames: str, by: str = "") -> User:
    """Make an account: at the command line or, as the trail will say, by somebody of that name."""

    def make() -> User:
        user = User.objects.create_user(name, is_staff=True)
        user.user_permissions.add(*Permission.objects.filter(codename__in=codenames))
        return user

    return doing(by, make) if by else make()


def doing(name: str, act: Callable[[], Any]) -> Any:
    with acting(name):
        return act()


def new_password(user: User, word: str = "correct horse battery") -> None:
    user.set_password(word)
    user.save(update_fields=["password"])


@pytest.fixture
def asha(first_limits: RiskSettings) -> User:
    return made("asha", SETTING)


@pytest.fixture
def ravi(first_limits: RiskSettings) -> User:
    return made("ravi", APPROVING)


@pytest.fixture
def omar(first_limits: RiskSettings) -> User:
    return made("omar", APPROVING, SETTING)


def wish(author: User, house: House = HOUSE) -> LimitChange:
    edited = RiskSettings.objects.get()
    edited.daily_trades_max = 11
    saved = approvals.save(
        edited, ["daily_trades_max"], author=author, reason="busy", now=NOW, house=house, version_shown=None
    )
    (change,) = saved.waiting
    return change


def approve(change: LimitChange, by: User) -> LimitChange:
    return approvals.approve(change.pk, by=by, reason="agreed", now=NOW, house=HOUSE)


def refused(change: LimitChange, by: User, words: str) -> None:
    with pytest.raises(ChangeRefused, match=words):
        approve(change, by)
    change.refresh_from_db()
    assert change.status == LimitChange.Status.PENDING


# --- Two accounts of one person ---------------------------------------------------------------------------------------


def test_an_account_that_the_author_made_approves_nothing_of_hers(asha):
    second = made("asha.two", APPROVING, by="asha")

    refused(wish(asha), second, "asha could be one person")


def test_nor_does_it_after_its_password_was_set_from_inside(asha):
    second = made("asha.two", by="asha")
    doing("omar", lambda: second.user_permissions.add(Permission.objects.get(codename=APPROVING)))
    doing("asha.two", lambda: new_password(second))
    doing("anonymous at /admin/login/", lambda: new_password(second))  # as a log-in that renews the digest

    refused(wish(asha), second, "could be one person")


def test_an_account_that_the_author_took_over_approves_nothing(asha, ravi):
    change = wish(asha)
    doing("asha", lambda: new_password(ravi))

    refused(change, ravi, "could be one person")


def test_whoever_made_the_authors_account_does_not_approve(omar):
    puppet = made("omar.two", SETTING, by="omar")

    refused(wish(puppet), omar, "could be one person")


def test_an_account_made_by_one_that_the_author_made_is_hers_too(asha):
    made("asha.two", by="asha")
    third = made("asha.three", APPROVING, by="asha.two")

    refused(wish(asha), third, "could be one person")


def test_an_account_made_by_who_has_another_name_now_is_nobodys_whom_one_could_tell(asha):
    between = made("asha.two", by="asha")
    third = made("asha.three", APPROVING, by="asha.two")
    User.objects.filter(pk=between.pk).update(username="x")

    refused(wish(asha), third, "could be one person")


def test_another_name_does_not_hide_the_author(asha):
    second = made("asha.two", APPROVING, by="asha")
    User.objects.filter(pk=asha.pk).update(username="x")
    asha.refresh_from_db()

    refused(wish(asha), second, "could be one person")


def test_an_account_that_bore_the_authors_name_for_a_while_is_not_taken_for_another(asha):
    second = made("asha.two", APPROVING, by="asha")
    for pk, name in ((asha.pk, "x"), (second.pk, "asha"), (second.pk, "asha.two"), (asha.pk, "asha")):
        User.objects.filter(pk=pk).update(username=name)

    refused(wish(asha), second, "had the same name")


def test_a_password_set_anew_by_a_third_person_or_at_the_command_line_makes_it_anothers(asha, ravi):
    doing("asha", lambda: new_password(ravi))
    change = wish(asha)

    doing("omar", lambda: User.objects.create_user("omar"))
    refused(change, ravi, "could be one person")
    new_password(ravi)

    assert approve(change, ravi).decided_by == "ravi"


def test_two_whose_accounts_a_third_person_made_are_two(omar):
    author, second = made("asha", SETTING, by="omar"), made("ravi", APPROVING, by="omar")

    assert approve(wish(author), second).decided_by == "ravi"


# --- The right to approve ---------------------------------------------------------------------------------------------


def by_hand(user: User) -> None:
    user.user_permissions.add(Permission.objects.get(codename=APPROVING))


def by_group(user: User) -> None:
    user.groups.add(Group.objects.get(name="Risk manager"))


def by_rights_of_a_group(user: User) -> None:
    user.groups.get().permissions.add(Permission.objects.get(codename=APPROVING))


def by_everything(user: User) -> None:
    user.is_superuser = True
    user.save()


@pytest.fixture
def tom(first_limits: RiskSettings) -> User:
    """Somebody of a group of his own, who may approve nothing yet."""
    tom = made("tom")
    tom.groups.add(Group.objects.create(name="Desk three"))
    return tom


WAYS = [by_hand, by_group, by_rights_of_a_group, by_everything]


@pytest.mark.parametrize("give", WAYS)
def test_who_has_the_right_from_the_author_does_not_approve(asha, tom, give):
    doing("asha", lambda: give(tom))

    refused(wish(asha), tom, "given the right to approve by asha, or after it was asked")


@pytest.mark.parametrize("give", WAYS)
def test_who_has_the_right_since_the_wish_does_not_approve_it_whoever_gave_it(asha, tom, give):
    change = wish(asha)
    doing("omar", lambda: give(tom))

    refused(change, tom, "given the right to approve by asha, or after it was asked")
    approvals.withdraw(change.pk, by=asha, reason="asked anew", now=NOW)
    assert approve(wish(asha), tom).decided_by == "tom"


@pytest.mark.parametrize("give", WAYS)
def test_one_way_from_somebody_else_is_enough(asha, ravi, give):
    ravi.groups.add(Group.objects.create(name="Desk three"))
    doing("asha", lambda: give(ravi))

    assert approve(wish(asha), ravi).decided_by == "ravi"


def test_two_of_whom_one_let_the_other_in_are_told_of_the_way_out_and_have_it(asha):
    """Ravi has his account and his right from Asha, and there is nobody else who could set or give either."""
    ravi = made("ravi", APPROVING, by="asha")
    change = wish(asha)

    refused(change, ravi, "manage.py changepassword")
    new_password(ravi)
    refused(change, ravi, "manage.py createsuperuser")
    own = User.objects.create_superuser("ravi.own")

    refused(change, own, "after it was asked")
    approvals.withdraw(change.pk, by=asha, reason="asked anew", now=NOW)
    assert approve(wish(asha), own).decided_by == "ravi.own"


def test_rejecting_needs_no_such_proof(asha):
    second = made("asha.two", APPROVING, by="asha")

    change = approvals.reject(wish(asha).pk, by=second, reason="no", now=NOW)

    assert change.status == LimitChange.Status.REJECTED


# --- The author -------------------------------------------------------------------------------------------------------


def test_a_wish_of_who_may_not_change_limits_any_more_is_not_approved(asha, ravi):
    change = wish(asha)
    asha.user_permissions.clear()

    refused(change, ravi, "asha has no permission for such a change any more")


@pytest.mark.parametrize(
    ("lose", "words"),
    [
        (lambda user: user.user_permissions.clear(), "asha has no permission for such a change any more"),
        (lambda user: User.objects.filter(pk=user.pk).update(is_active=False), "the account of asha is gone"),
    ],
)
def test_what_was_confirmed_by_who_was_shut_out_meanwhile_takes_no_effect(asha, lose, words):
    change = wish(asha, LIVE)
    lose(asha)
    later = NOW + timedelta(minutes=1)

    assert limit_versions.in_force(now=later).daily_trades_max == 10
    limit_versions.carry_out(now=later)
    change.refresh_from_db()
    assert (change.status, limit_versions.in_force(now=later).daily_trades_max) == (LimitChange.Status.STALE, 10)
    assert words in change.note
