"""
Looser needs more: what waits, for whom, what makes it stale, and what nobody may approve.

Asha wishes, Ravi and Meera may approve, Vikram is a superuser. The first limits are in force: 1,000 INR an entry,
5,000 INR an order, 10,000 INR a symbol, 10 trades a day. The clock is a moment that is passed in.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import DatabaseError, IntegrityError, transaction

from risk import approvals, limit_versions
from risk.approvals import ChangeRefused, House, Saved
from risk.models import LimitChange, RiskSettings, RiskSettingsVersion

pytestmark = pytest.mark.django_db
D = Decimal
Status, Needs = LimitChange.Status, LimitChange.Needs

CEILINGS = {"order_value_max": D(9000), "daily_trades_max": 100}
TWO_PERSONS = House.of(needs="second_person", mode="LIVE", ceilings=CEILINGS)
LIVE = House.of(needs="confirmation", mode="LIVE", ceilings=CEILINGS)
ON_PAPER = House.of(needs="confirmation", mode="PAPER", ceilings=CEILINGS)


@pytest.fixture
def asha(first_limits: RiskSettings) -> User:
    return permitted("asha", "change_risksettings")


@pytest.fixture
def ravi(first_limits: RiskSettings) -> User:
    return approver("ravi")


@pytest.fixture
def meera(first_limits: RiskSettings) -> User:
    return approver("meera")


@pytest.fixture
def vikram(first_limits: RiskSettings) -> User:
    return User.objects.create_user("vikram", is_staff=True, is_superuser=True)


def approver(name: str) -> User:
    return permitted(name, "approve_limits", "change_risksettings")


def permitted(name: str, *codenames: str) -> User:
    user = User.objects.create_user(name, is_staff=True)
    user.user_permissions.add(*Permission.objects.filter(codename__in=codenames))
    return user


def in_force(now: datetime) -> RiskSettings:
    return limit_versions.in_force(now=now)


def wish(
    author: User, now: datetime, house: House = TWO_PERSONS, until: datetime | None = None, **values: Any
) -> Saved:
    edited = RiskSettings.objects.get()
    for name, value in values.items():
        setattr(edited, name, value)
    return approvals.save(
        edited,
        list(values),
        author=author,
        reason="busy day",
        now=now,
        house=house,
        version_shown=None,
        expires_at=until,
    )


def pending(
    author: User, now: datetime, house: House = TWO_PERSONS, until: datetime | None = None, **values: Any
) -> Any:
    (change,) = wish(author, now, house, until, **values).waiting
    return change


def approve(change: LimitChange, by: User, now: datetime) -> LimitChange:
    return approvals.approve(change.pk, by=by, reason="agreed", now=now, house=TWO_PERSONS)


# --- What waits, and what does not ------------------------------------------------------------------------------------


def test_what_tightens_is_in_force_at_once(asha, now):
    saved = wish(asha, now, daily_trades_max=9, order_value_max=D("4999.99"))

    assert saved.waiting == []
    assert (in_force(now).daily_trades_max, in_force(now).order_value_max, in_force(now).version) == (
        9,
        D("4999.99"),
        2,
    )
    assert not LimitChange.objects.exists()


def test_what_loosens_waits_for_a_second_person(asha, now):
    saved = wish(asha, now, daily_trades_max=11)

    (change,) = saved.waiting
    assert (in_force(now).daily_trades_max, saved.limits.version) == (10, 1)
    assert (change.limit, change.before, change.after, change.based_on_version) == ("daily_trades_max", "10", "11", 1)
    assert (change.author, change.author_account, change.reason) == ("asha", asha.pk, "busy day")
    assert (change.status, change.needs, change.due_at) == (Status.PENDING, Needs.SECOND_PERSON, None)


def test_a_mixed_edit_tightens_now_and_lets_the_rest_wait(asha, now):
    saved = wish(asha, now, daily_trades_max=11, position_size=D(900), cms_buy_threshold=D("59.99"))

    assert {change.limit for change in saved.waiting} == {"daily_trades_max", "cms_buy_threshold"}
    assert (in_force(now).position_size, in_force(now).daily_trades_max, in_force(now).version) == (900, 10, 2)
    assert RiskSettingsVersion.objects.get(version=2).changed == {"position_size": ["1000.00", "900"]}


def test_what_is_equal_is_neither(asha, now):
    saved = wish(asha, now, daily_trades_max=10, position_size=D("1000.0"))

    assert (saved.waiting, saved.limits.version) == ([], 1)


def test_the_same_wish_sent_twice_waits_once(asha, now):
    first = pending(asha, now, daily_trades_max=11)
    again = pending(asha, now + timedelta(seconds=1), daily_trades_max=11)

    assert first.pk == again.pk
    assert LimitChange.objects.count() == 1


def test_a_limit_has_one_unfinished_change(asha, ravi, now):
    pending(asha, now, daily_trades_max=11)

    with pytest.raises(ChangeRefused, match="max trades a day has an unfinished change by asha already, to 11"):
        wish(ravi, now, daily_trades_max=11)
    with pytest.raises(ChangeRefused, match="unfinished change"):
        wish(asha, now, daily_trades_max=12)

    assert LimitChange.objects.count() == 1


def test_a_save_that_is_refused_leaves_nothing_behind(asha, now):
    pending(asha, now, daily_trades_max=11)

    with pytest.raises(ChangeRefused):
        wish(asha, now, daily_trades_max=12, position_size=D(900), slippage_percent=D(1))

    assert (in_force(now).position_size, in_force(now).version, LimitChange.objects.count()) == (1000, 1, 1)


def test_a_page_that_shows_another_version_saves_nothing(asha, now):
    edited = in_force(now)
    wish(asha, now, daily_trades_max=5)
    edited.daily_trades_max = 20

    with pytest.raises(limit_versions.LimitsChanged, match="asha changed the limits meanwhile"):
        approvals.save(
            edited, ["daily_trades_max"], author=asha, reason="x", now=now, house=TWO_PERSONS, version_shown=1
        )

    assert not LimitChange.objects.exists()


# --- The second person ------------------------------------------------------------------------------------------------


def test_a_second_person_puts_it_in_force(asha, ravi, now):
    later = now + timedelta(hours=1)

    change = approve(pending(asha, now, daily_trades_max=11), ravi, later)

    kept = RiskSettingsVersion.objects.get(version=2)
    assert (in_force(later).daily_trades_max, in_force(later).changed_at) == (11, later)
    assert (kept.author, kept.approved_by, kept.reason, kept.at) == ("asha", "ravi", "busy day", later)
    assert kept.changed == {"daily_trades_max": ["10", "11"]}
    assert (change.status, change.decided_by, change.decided_by_account) == (Status.APPLIED, "ravi", ravi.pk)
    assert (change.decided_at, change.note) == (later, "agreed")


def test_nobody_approves_what_he_wished_superuser_or_not(vikram, ravi, now):
    for author, value in ((vikram, {"daily_trades_max": 11}), (ravi, {"position_size": D(1001)})):
        change = pending(author, now, **value)

        with pytest.raises(ChangeRefused, match="you asked for it yourself"):
            approve(change, author, now)
        with pytest.raises(ChangeRefused, match="you asked for it yourself"):
            approvals.reject(change.pk, by=author, reason="no", now=now)

    assert in_force(now).version == 1


def test_a_superuser_may_be_the_second_person(asha, vikram, now):
    approve(pending(asha, now, daily_trades_max=11), vikram, now)

    assert in_force(now).daily_trades_max == 11


def test_who_has_no_permission_approves_nothing(asha, now):
    change = pending(asha, now, daily_trades_max=11)

    for person in (User.objects.create_user("tom", is_staff=True), User(username="nobody", pk=10**6)):
        with pytest.raises(ChangeRefused, match="no permission"):
            approve(change, person, now)
        with pytest.raises(ChangeRefused, match="no permission"):
            approvals.reject(change.pk, by=person, reason="no", now=now)


def test_a_right_that_was_taken_meanwhile_is_gone(asha, ravi, now):
    change = pending(asha, now, daily_trades_max=11)
    assert ravi.has_perm(approvals.APPROVE)  # which his session remembers
    ravi.user_permissions.clear()

    with pytest.raises(ChangeRefused, match="no permission"):
        approve(change, ravi, now)


def test_an_account_that_was_closed_meanwhile_approves_nothing(asha, ravi, now):
    change = pending(asha, now, daily_trades_max=11)
    User.objects.filter(pk=ravi.pk).update(is_active=False)

    with pytest.raises(ChangeRefused, match="no permission"):
        approve(change, ravi, now)


def test_an_author_under_another_name_is_still_the_author(ravi, now):
    change = pending(ravi, now, daily_trades_max=11)
    User.objects.filter(pk=ravi.pk).update(username="ravi.k")

    with pytest.raises(ChangeRefused, match="you asked for it yourself"):
        approve(change, User.objects.get(pk=ravi.pk), now)


def test_an_author_deleted_and_made_again_is_still_the_author(ravi, now):
    change = pending(ravi, now, daily_trades_max=11)
    ravi.delete()

    with pytest.raises(ChangeRefused, match="you asked for it yourself"):
        approve(change, approver("ravi"), now)


@pytest.mark.parametrize("closed", [lambda user: user.delete(), lambda user: deactivate(user)])
def test_a_wish_of_somebody_who_is_gone_is_not_approved(asha, ravi, now, closed):
    change = pending(asha, now, daily_trades_max=11)
    closed(asha)

    with pytest.raises(ChangeRefused, match="the account of asha is gone or inactive"):
        approve(change, ravi, now)
    assert approvals.reject(change.pk, by=ravi, reason="she left", now=now).status == Status.REJECTED


def deactivate(user: User) -> None:
    user.is_active = False
    user.save()


def test_a_rejected_wish_changes_nothing_and_can_be_asked_again(asha, ravi, now):
    change = approvals.reject(pending(asha, now, daily_trades_max=11).pk, by=ravi, reason="too many", now=now)

    assert (change.status, change.decided_by, change.note) == (Status.REJECTED, "ravi", "too many")
    assert in_force(now).version == 1
    with pytest.raises(ChangeRefused, match="it is rejected already by ravi: too many"):
        approve(change, ravi, now)
    assert pending(asha, now, daily_trades_max=11).pk != change.pk


def test_an_answer_given_twice_is_one_answer(asha, ravi, meera, now):
    change = pending(asha, now, daily_trades_max=11)
    approve(change, ravi, now)

    for person in (ravi, meera):
        with pytest.raises(ChangeRefused, match="it is applied already by ravi"):
            approve(change, person, now)
    assert in_force(now).version == 2


def test_anybody_may_take_a_wish_back(asha, ravi, now):
    for person in (asha, ravi):
        change = approvals.withdraw(pending(asha, now, daily_trades_max=11).pk, by=person, reason="no need", now=now)
        assert (change.status, change.decided_by) == (Status.WITHDRAWN, person.username)
        with pytest.raises(ChangeRefused, match="it is withdrawn already"):
            approve(change, ravi, now)


def test_what_is_not_there_is_refused_in_words(ravi, now):
    with pytest.raises(ChangeRefused, match="there is no such change"):
        approvals.approve(10**9, by=ravi, reason="x", now=now, house=TWO_PERSONS)


# --- Stale ------------------------------------------------------------------------------------------------------------


def test_a_later_tightening_makes_a_wish_stale_at_once(asha, ravi, meera, now):
    change = pending(asha, now, daily_trades_max=11)
    wish(meera, now, daily_trades_max=9)

    change.refresh_from_db()
    assert change.status == Status.STALE
    assert change.note == "max trades a day was 10 when asha asked, and is 9 now: ask for it anew"
    with pytest.raises(ChangeRefused, match="it is stale already: max trades a day was 10 when asha asked"):
        approve(change, ravi, now)
    assert in_force(now).daily_trades_max == 9


def test_a_wish_whose_value_was_changed_behind_our_back_is_refused_and_marked(asha, ravi, now):
    change = pending(asha, now, daily_trades_max=11)
    RiskSettings.objects.update(daily_trades_max=8)

    with pytest.raises(ChangeRefused, match="was 10 when asha asked, and is 8 now"):
        approve(change, ravi, now)

    change.refresh_from_db()
    assert (change.status, in_force(now).daily_trades_max) == (Status.STALE, 8)


def test_a_change_of_another_limit_makes_nothing_stale(asha, ravi, now):
    change = pending(asha, now, daily_trades_max=11)
    wish(asha, now, position_size=D(900))

    approve(change, ravi, now)

    assert (in_force(now).daily_trades_max, in_force(now).position_size) == (11, 900)


# --- What nobody may approve ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("house", [TWO_PERSONS, LIVE, ON_PAPER], ids=["two persons", "live", "paper"])
def test_a_ceiling_is_reached_and_not_passed(asha, now, house):
    wish(asha, now, house, order_value_max=D("9000.00"))

    with pytest.raises(ChangeRefused, match=r"max trades a day cannot be 101: .* allow 100, whoever approves"):
        wish(asha, now, house, daily_trades_max=101)
    wish(asha, now, house, daily_trades_max=100)
    assert LimitChange.objects.count() == 2


def test_a_ceiling_that_was_lowered_meanwhile_stops_the_approval(asha, ravi, now):
    change = pending(asha, now, daily_trades_max=11)
    lower = House.of(needs="second_person", mode="PAPER", ceilings={"daily_trades_max": 10})

    with pytest.raises(ChangeRefused, match="cannot be 11"):
        approvals.approve(change.pk, by=ravi, reason="agreed", now=now, house=lower)

    assert in_force(now).version == 1


def test_tightening_is_allowed_where_a_limit_stands_above_its_ceiling(asha, now):
    RiskSettings.objects.update(order_value_max=D(9500))

    wish(asha, now, order_value_max=D(9000), daily_trades_max=9)

    assert in_force(now).order_value_max == 9000


def test_limits_that_would_contradict_each_other_are_refused_when_wished_and_when_approved(asha, ravi, now):
    with pytest.raises(ChangeRefused, match="one order must fit into one position"):
        wish(asha, now, position_value_max=D("4999.99"))
    both = wish(asha, now, position_size=D(6000), order_value_max=D(6000)).waiting
    entry, order = sorted(both, key=lambda change: change.limit, reverse=True)

    with pytest.raises(ChangeRefused, match="one automatic entry must fit into one order"):
        approve(entry, ravi, now)
    approve(order, ravi, now)
    approve(entry, ravi, now)

    assert (in_force(now).position_size, in_force(now).order_value_max) == (6000, 6000)


def test_a_value_no_limit_can_have_is_refused(asha, now):
    with pytest.raises(ChangeRefused, match=r"price collar, closing \(%\): Ensure this value is less than"):
        wish(asha, now, closing_collar_percent=D("20.001"))


# --- A typed word -----------------------------------------------------------------------------------------------------


def test_on_paper_a_confirmed_wish_is_one_version_at_once_with_what_tightens(asha, now):
    saved = wish(asha, now, ON_PAPER, daily_trades_max=11, position_size=D(900))

    assert (saved.waiting, saved.limits.version) == ([], 2)
    assert (in_force(now).daily_trades_max, in_force(now).position_size) == (11, 900)
    assert LimitChange.objects.get().status == Status.APPLIED


def test_in_live_a_confirmed_wish_waits_a_minute_to_the_microsecond(asha, now):
    due, tick = now + timedelta(minutes=1), timedelta(microseconds=1)
    pending(asha, now, LIVE, daily_trades_max=11)

    assert limit_versions.settle(now=due - tick).daily_trades_max == in_force(due - tick).daily_trades_max == 10
    assert in_force(due).daily_trades_max == 11
    assert RiskSettings.objects.get().daily_trades_max == 10  # a look writes nothing
    assert limit_versions.settle(now=due).daily_trades_max == 11
    kept = RiskSettingsVersion.objects.get(version=2)
    assert (kept.author, kept.reason, kept.at, kept.approved_by) == ("asha", "busy day", due, "")
    assert LimitChange.objects.get().status == Status.APPLIED


def test_settling_twice_is_settling_once(asha, now):
    pending(asha, now, LIVE, daily_trades_max=11)

    for _ in range(2):
        limit_versions.settle(now=now + timedelta(minutes=2))

    assert RiskSettingsVersion.objects.count() == 2


def test_within_the_minute_it_can_be_withdrawn_and_not_after(asha, ravi, now):
    change = pending(asha, now, LIVE, daily_trades_max=11)
    with pytest.raises(ChangeRefused, match="it was confirmed by its author and takes effect by itself"):
        approve(change, ravi, now)
    approvals.withdraw(change.pk, by=ravi, reason="not today", now=now + timedelta(seconds=59))
    assert in_force(now + timedelta(minutes=2)).daily_trades_max == 10

    change = pending(asha, now, LIVE, daily_trades_max=11)
    with pytest.raises(ChangeRefused, match="it is applied already"):
        approvals.withdraw(change.pk, by=ravi, reason="not today", now=now + timedelta(seconds=60))
    assert RiskSettings.objects.get().daily_trades_max == 11


def test_a_tightening_within_the_minute_wins(asha, ravi, now):
    change = pending(asha, now, LIVE, daily_trades_max=11)
    wish(ravi, now + timedelta(seconds=30), LIVE, daily_trades_max=9)

    assert limit_versions.settle(now=now + timedelta(minutes=2)).daily_trades_max == 9
    change.refresh_from_db()
    assert change.status == Status.STALE


def test_limits_confirmed_together_take_effect_together(asha, now):
    wish(asha, now, LIVE, slippage_percent=D(4), collar_percent=D(5))

    settled = limit_versions.settle(now=now + timedelta(minutes=1))

    assert (settled.slippage_percent, settled.collar_percent, settled.version) == (4, 5, 2)


def test_a_confirmed_wish_that_would_contradict_a_later_tightening_is_stale(asha, ravi, now):
    pending(asha, now, LIVE, slippage_percent=D("2.5"))
    wish(ravi, now, LIVE, collar_percent=D(2))

    assert in_force(now + timedelta(minutes=1)).slippage_percent == D("0.5")
    assert limit_versions.settle(now=now + timedelta(minutes=1)).slippage_percent == D("0.5")
    assert "an entry must be priced inside the collar" in LimitChange.objects.get().note


# --- For a time -------------------------------------------------------------------------------------------------------


def test_what_holds_for_a_time_returns_to_the_microsecond_whoever_reads(asha, ravi, now):
    until, tick = now + timedelta(hours=2), timedelta(microseconds=1)
    change = approve(pending(asha, now, until=until, daily_trades_max=11), ravi, now)
    assert change.status == Status.TEMPORARY

    assert limit_versions.settle(now=until - tick).daily_trades_max == 11
    assert in_force(until).daily_trades_max == 10
    assert RiskSettings.objects.get().daily_trades_max == 11  # nothing ran, and nobody relies on it
    assert limit_versions.settle(now=until).daily_trades_max == 10

    change.refresh_from_db()
    kept = RiskSettingsVersion.objects.get(version=3)
    assert (change.status, kept.author, kept.changed) == (Status.ENDED, "expiry", {"daily_trades_max": ["11", "10"]})
    assert (change.decided_by, change.decided_at, change.ended_at) == ("ravi", now, until)
    assert change.note == "agreed; its time is over"


def test_what_was_tightened_further_meanwhile_stays(asha, ravi, now):
    until = now + timedelta(hours=2)
    change = approve(pending(asha, now, until=until, daily_trades_max=20), ravi, now)

    wish(asha, now, daily_trades_max=15)
    assert limit_versions.settle(now=until).daily_trades_max == 10

    change = approve(pending(asha, now, until=until, daily_trades_max=20), ravi, now)
    wish(asha, now, daily_trades_max=10)
    change.refresh_from_db()
    assert (change.status, change.note) == (Status.ENDED, "agreed; tightened back by asha")
    wish(asha, now, daily_trades_max=5)
    assert limit_versions.settle(now=until).daily_trades_max == 5


def test_the_end_of_a_longer_list_brings_no_entry_back_that_was_taken_off_meanwhile(asha, ravi, now):
    until = now + timedelta(hours=2)
    more = "NSE:EQ, BSE:EQ, NSE:BE, BSE:BE, NSE:SM, BSE:SM, NSE:ST, BSE:ST, NSE:BZ, BSE:BZ"
    approve(pending(asha, now, until=until, allowed_instruments=more), ravi, now)

    wish(asha, now, allowed_instruments="NSE:EQ, NSE:BE")
    assert in_force(now).allowed_instruments == "NSE:EQ, NSE:BE"
    assert in_force(until).allowed_instruments == limit_versions.settle(now=until).allowed_instruments == "NSE:EQ"


@pytest.mark.parametrize(("meanwhile", "then"), [(5, 5), (10, 10), (11, 10), (30, 10)])
def test_what_was_set_behind_our_back_is_never_loosened_by_an_end(asha, ravi, now, meanwhile, then):
    until = now + timedelta(hours=1)
    approve(pending(asha, now, until=until, daily_trades_max=20), ravi, now)
    RiskSettings.objects.update(daily_trades_max=meanwhile)

    assert in_force(until).daily_trades_max == limit_versions.settle(now=until).daily_trades_max == then


def test_the_end_of_a_wish_that_was_never_in_force_changes_nothing(asha, now):
    until = now + timedelta(hours=1)
    pending(asha, now, until=until, daily_trades_max=20)
    RiskSettings.objects.update(daily_trades_max=30)

    assert limit_versions.settle(now=until).daily_trades_max == 30
    assert LimitChange.objects.get().status == Status.ENDED


def test_while_a_limit_is_raised_for_a_time_it_is_not_raised_further(asha, ravi, now):
    approve(pending(asha, now, until=now + timedelta(hours=2), daily_trades_max=11), ravi, now)

    with pytest.raises(ChangeRefused, match="unfinished change"):
        wish(asha, now, daily_trades_max=12)


def test_a_time_that_is_over_before_the_answer_is_no_time(asha, ravi, now):
    until = now + timedelta(hours=1)
    change = pending(asha, now, until=until, daily_trades_max=11)

    with pytest.raises(ChangeRefused, match="it is ended already: its time was over before it took effect"):
        approve(change, ravi, until)
    assert in_force(until).daily_trades_max == 10


def test_a_time_that_is_over_before_the_minute_is_refused(asha, now):
    for until in (now, now + timedelta(minutes=1)):
        with pytest.raises(ChangeRefused, match="over before it takes effect"):
            wish(asha, now, LIVE, until=until, daily_trades_max=11)
    wish(asha, now, LIVE, until=now + timedelta(minutes=1, microseconds=1), daily_trades_max=11)


def test_nothing_alive_between_the_minute_and_the_end_means_never(asha, now):
    pending(asha, now, LIVE, until=now + timedelta(hours=1), daily_trades_max=11)

    later = now + timedelta(hours=3)
    assert in_force(later).daily_trades_max == limit_versions.settle(now=later).daily_trades_max == 10
    assert (RiskSettingsVersion.objects.count(), LimitChange.objects.get().status) == (1, Status.ENDED)


def test_on_paper_what_is_confirmed_for_a_time_returns_too(asha, now):
    until = now + timedelta(hours=1)
    wish(asha, now, ON_PAPER, until=until, daily_trades_max=11)

    assert (in_force(now).daily_trades_max, in_force(until).daily_trades_max) == (11, 10)


# --- What the database itself refuses ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"status": "APPLIED"}, "limit_change_needs_four_eyes"),
        ({"status": "APPLIED", "decided_by": "asha", "decided_by_account": 10**6}, "limit_change_needs_four_eyes"),
        ({"status": "TEMPORARY", "decided_by": "ravi", "decided_by_account": "asha"}, "limit_change_needs_four_eyes"),
        ({"status": "REJECTED", "decided_by": "asha", "decided_by_account": "asha"}, "limit_change_needs_four_eyes"),
        ({"status": "APPROVED", "decided_by": "ravi", "decided_by_account": 10**6}, "Invalid transition"),
        ({"after": "99"}, "Cannot update rows"),
        ({"author": "somebody"}, "Cannot update rows"),
        ({"expires_at": None}, ""),
    ],
)
def test_no_wish_is_rewritten_and_none_applied_by_its_author(asha, now, changes, refusal):
    change = pending(asha, now, daily_trades_max=11)
    changes = {name: asha.pk if value == "asha" and "account" in name else value for name, value in changes.items()}
    rows = LimitChange.objects.filter(pk=change.pk)

    if not refusal:
        assert rows.update(**changes) == 1  # it changes nothing
        return
    with pytest.raises(DatabaseError, match=refusal), transaction.atomic():
        rows.update(**changes)


def test_what_ended_stays_ended_and_is_kept(asha, ravi, now):
    change = approvals.reject(pending(asha, now, daily_trades_max=11).pk, by=ravi, reason="no", now=now)
    rows = LimitChange.objects.filter(pk=change.pk)

    with pytest.raises(DatabaseError, match="Invalid transition"), transaction.atomic():
        rows.update(status="PENDING")
    with pytest.raises(DatabaseError, match="Cannot delete rows"), transaction.atomic():
        rows.delete()


def test_the_database_takes_no_second_unfinished_change_of_a_limit(asha, now):
    change = pending(asha, now, daily_trades_max=11)
    change.pk = None

    with pytest.raises(IntegrityError, match="limit_change_one_unfinished_a_limit"), transaction.atomic():
        change.save(force_insert=True)


def test_shadow_loosens_no_faster_than_live():
    """The limits are of all modes: gone over to for a moment, it would loosen what live trades by."""
    assert House.of(needs="confirmation", mode="SHADOW", ceilings={}).delay == LIVE.delay > ON_PAPER.delay
