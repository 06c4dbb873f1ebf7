"""
Looser needs more for one symbol, too: what waits of its own limits, for whom, and what ends it.

NSE:TCS is blocked, and held to 500 INR an order and 5 shares. Asha wishes, Ravi and Meera may approve.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, IntegrityError, transaction

from risk import approvals, limit_versions
from risk.approvals import Saved
from risk.four_eyes import ChangeRefused, House
from risk.models import InstrumentLimit, LimitChange, RiskSettings, RiskSettingsVersion

from .test_approvals import ON_PAPER, Status, approver, permitted

pytestmark = pytest.mark.django_db
D = Decimal
CEILINGS = {"order_value_max": D(9000)}
TWO_PERSONS = House.of(needs="second_person", mode="LIVE", ceilings=CEILINGS)
LIVE = House.of(needs="confirmation", mode="LIVE", ceilings=CEILINGS)


@pytest.fixture
def asha(first_limits: RiskSettings) -> User:
    return permitted("asha", "change_instrumentlimit")


@pytest.fixture
def ravi(first_limits: RiskSettings) -> User:
    return approver("ravi")


@pytest.fixture
def meera(first_limits: RiskSettings) -> User:
    return approver("meera")


@pytest.fixture(autouse=True)
def tcs(first_limits: RiskSettings, now: datetime) -> InstrumentLimit:
    own = InstrumentLimit(exchange="NSE", symbol="TCS", blocked=True, order_value_max=D(500), order_quantity_max=5)
    return limit_versions.save_instrument(own, by="asha", reason="results", now=now)


def wish(
    author: User, now: datetime, house: House = TWO_PERSONS, until: datetime | None = None, **values: Any
) -> Saved:
    edited = InstrumentLimit(**{"exchange": "NSE", "symbol": "TCS", **held().numbers(), **values})
    return approvals.save_instrument(
        edited, author=author, reason="calm again", now=now, house=house, version_shown=None, expires_at=until
    )


def pending(author: User, now: datetime, house: House = TWO_PERSONS, **more: Any) -> LimitChange:
    (change,) = wish(author, now, house, **more).waiting
    return change


def approve(change: LimitChange, by: User, now: datetime, house: House = TWO_PERSONS) -> LimitChange:
    return approvals.approve(change.pk, by=by, reason="agreed", now=now, house=house)


def held() -> InstrumentLimit:
    return InstrumentLimit.objects.get(symbol="TCS")


def quantity(now: datetime) -> int | None:
    return limit_versions.for_instrument("NSE", "TCS", now=now).order_quantity_max


def test_a_mixed_edit_tightens_now_and_lets_the_rest_wait(asha, now):
    saved = wish(asha, now, blocked=False, order_quantity_max=None, order_value_max=D(400))

    assert {(each.key, each.before, each.after) for each in saved.waiting} == {
        ("NSE:TCS blocked", "True", ""),
        ("NSE:TCS order_quantity_max", "5", ""),
    }
    assert (held().blocked, held().order_quantity_max, held().order_value_max) == (True, 5, 400)
    assert RiskSettingsVersion.objects.first().changed == {"NSE:TCS order_value_max": ["500.00", "400"]}


def test_a_second_person_puts_it_in_force_as_a_version(asha, ravi, now):
    change = approve(pending(asha, now, order_quantity_max=6), ravi, now)

    kept = RiskSettingsVersion.objects.first()
    assert (change.status, held().order_quantity_max, held().changed_by) == (Status.APPLIED, 6, "asha")
    assert (kept.version, kept.author, kept.approved_by) == (3, "asha", "ravi")
    assert kept.changed == {"NSE:TCS order_quantity_max": ["5", "6"]}
    assert kept.limits["NSE:TCS order_quantity_max"] == "6"


def test_nobody_approves_what_he_wished_superuser_or_not(ravi, now):
    boss = User.objects.create_superuser("boss")
    for author, value in ((ravi, {"blocked": False}), (boss, {"order_quantity_max": 6})):
        change = pending(author, now, **value)
        for answer in (approve, lambda each, by, at: approvals.reject(each.pk, by=by, reason="no", now=at)):
            with pytest.raises(ChangeRefused, match="you asked for it yourself"):
                answer(change, author, now)

    assert held().blocked


def test_a_right_that_was_taken_meanwhile_is_gone_and_so_is_the_wish_of_who_left(asha, ravi, meera, now):
    change = pending(asha, now, blocked=False)
    ravi.user_permissions.clear()

    with pytest.raises(ChangeRefused, match="no permission"):
        approve(change, ravi, now)
    asha.delete()
    with pytest.raises(ChangeRefused, match="the account of asha is gone"):
        approve(change, meera, now)


def test_a_wish_sent_twice_waits_once_and_an_answer_given_twice_is_one(asha, ravi, meera, now):
    first = pending(asha, now, blocked=False)
    again = pending(asha, now + timedelta(seconds=1), blocked=False)
    approve(first, ravi, now)

    assert first.pk == again.pk
    with pytest.raises(ChangeRefused, match="it is applied already by ravi"):
        approve(first, meera, now)
    assert RiskSettingsVersion.objects.count() == 3


def test_a_limit_of_one_symbol_and_the_same_of_another_or_of_all_wait_side_by_side(asha, ravi, now):
    edited = RiskSettings.objects.get()
    edited.order_value_max = D(6000)
    approvals.save(edited, ["order_value_max"], author=asha, reason="x", now=now, house=TWO_PERSONS, version_shown=None)
    infy = InstrumentLimit(exchange="NSE", symbol="INFY", order_value_max=D(500))
    limit_versions.save_instrument(infy, by="asha", reason="x", now=now)

    wish(asha, now, order_value_max=D(600))
    with pytest.raises(ChangeRefused, match=r"NSE:TCS max order value .* has an unfinished change by asha already"):
        wish(ravi, now, order_value_max=D(700))
    wish(asha, now, symbol="INFY", order_value_max=D(600))

    assert LimitChange.objects.pending().filter(limit="order_value_max").count() == 3


def test_a_tightening_makes_a_wish_of_that_symbol_stale_and_of_no_other(asha, ravi, now):
    limit_versions.save_instrument(
        InstrumentLimit(exchange="NSE", symbol="INFY", order_quantity_max=5), by="asha", reason="x", now=now
    )
    of_tcs = pending(asha, now, order_quantity_max=6)
    of_infy = pending(asha, now, symbol="INFY", order_quantity_max=6, blocked=False, order_value_max=None)
    wish(ravi, now, order_quantity_max=4)

    of_tcs.refresh_from_db()
    assert (of_tcs.status, of_tcs.note) == (
        Status.STALE,
        "NSE:TCS max order quantity (shares) was 5 when asha asked, and is 4 now: ask for it anew",
    )
    with pytest.raises(ChangeRefused, match="stale already"):
        approve(of_tcs, ravi, now)
    approve(of_infy, ravi, now)


def test_a_value_changed_behind_our_back_makes_it_stale_at_the_answer(asha, ravi, now):
    change = pending(asha, now, order_quantity_max=6)
    InstrumentLimit.objects.update(order_quantity_max=4)

    with pytest.raises(ChangeRefused, match="and is 4 now"):
        approve(change, ravi, now)
    assert LimitChange.objects.get().status == Status.STALE


@pytest.mark.parametrize(("value", "taken"), [(D(9000), True), (D("9000.01"), False)])
def test_a_ceiling_is_reached_and_not_passed_and_none_of_its_own_passes_none(asha, now, value, taken):
    if taken:
        wish(asha, now, order_value_max=value)
    else:
        with pytest.raises(ChangeRefused, match="allow 9000, whoever approves"):
            wish(asha, now, order_value_max=value)
    assert LimitChange.objects.exists() == taken


def test_a_ceiling_lowered_meanwhile_stops_the_approval(asha, ravi, now):
    change = pending(asha, now, order_value_max=D(600))

    with pytest.raises(ChangeRefused, match="cannot be 600"):
        approve(change, ravi, now, replace(TWO_PERSONS, ceilings={"order_value_max": D(599)}))


def test_in_live_a_confirmed_wish_waits_a_minute_to_the_microsecond(asha, now):
    due, tick = now + timedelta(minutes=1), timedelta(microseconds=1)
    pending(asha, now, LIVE, order_quantity_max=6)

    assert quantity(due - tick) == 5
    assert quantity(due) == limit_versions.of_instruments(now=due)["NSE", "TCS"].order_quantity_max == 6
    assert held().order_quantity_max == 5  # a look writes nothing
    with transaction.atomic():
        assert limit_versions.settle_for_instrument("NSE", "TCS", now=due).order_quantity_max == 6
    kept = RiskSettingsVersion.objects.first()
    assert (held().order_quantity_max, kept.version, kept.at) == (6, 3, due)
    assert LimitChange.objects.get().status == Status.APPLIED


def test_within_the_minute_anybody_takes_it_back_and_a_tightening_wins(asha, ravi, now):
    later = now + timedelta(minutes=2)
    change = pending(asha, now, LIVE, order_quantity_max=6)
    with pytest.raises(ChangeRefused, match="takes effect by itself"):
        approve(change, ravi, now)
    approvals.withdraw(change.pk, by=ravi, reason="no", now=now + timedelta(seconds=59))
    assert quantity(later) == 5

    pending(asha, now, LIVE, order_quantity_max=6)
    wish(ravi, now + timedelta(seconds=30), LIVE, order_quantity_max=4)
    assert quantity(later) == 4


def test_on_paper_the_word_is_enough_at_once(asha, now):
    saved = wish(asha, now, ON_PAPER, blocked=False)

    assert (saved.waiting, held().blocked, LimitChange.objects.get().status) == ([], False, Status.APPLIED)


def test_what_holds_for_a_time_returns_to_the_microsecond_whoever_reads(asha, ravi, now):
    until, tick = now + timedelta(hours=2), timedelta(microseconds=1)
    change = approve(pending(asha, now, until=until, order_quantity_max=None), ravi, now)
    assert (change.status, held().order_quantity_max) == (Status.TEMPORARY, None)

    assert quantity(until - tick) == 1000  # the general one
    assert quantity(until) == 5
    limit_versions.carry_out(now=until)
    change.refresh_from_db()
    assert (held().order_quantity_max, change.status) == (5, Status.ENDED)


def test_what_was_tightened_further_meanwhile_stays(asha, ravi, now):
    until = now + timedelta(hours=2)
    approve(pending(asha, now, until=until, blocked=False), ravi, now)
    wish(asha, now, blocked=True, order_quantity_max=3)

    assert LimitChange.objects.get().status == Status.ENDED
    limit_versions.carry_out(now=until)
    assert (held().blocked, held().order_quantity_max) == (True, 3)


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"status": "APPLIED"}, "limit_change_needs_four_eyes"),
        ({"status": "APPLIED", "decided_by": "asha", "decided_by_account": 10**6}, "limit_change_needs_four_eyes"),
        ({"symbol": "INFY"}, "Cannot update rows"),
        ({"exchange": "BSE"}, "Cannot update rows"),
    ],
)
def test_no_wish_for_a_symbol_is_rewritten_or_applied_by_its_author(asha, now, changes, refusal):
    change = pending(asha, now, blocked=False)

    with pytest.raises(DatabaseError, match=refusal), transaction.atomic():
        LimitChange.objects.filter(pk=change.pk).update(**changes)


def test_the_database_takes_no_second_unfinished_change_and_no_half_an_instrument(asha, now):
    change = pending(asha, now, blocked=False)
    for changes, refusal in (
        ({}, "limit_change_one_unfinished_a_limit"),
        ({"exchange": ""}, "limit_change_names_a_whole_instrument"),
    ):
        change.pk = None
        for name, value in changes.items():
            setattr(change, name, value)
        with pytest.raises(IntegrityError, match=refusal), transaction.atomic():
            change.save(force_insert=True)
