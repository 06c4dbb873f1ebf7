"""Limits at the same moment: two approvers, approval against tightening, double clicks, and decisions meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from orders.deciding import OrderDenied, decide, decide_manual
from orders.desk import Desk
from orders.execution import submit
from orders.models import Decision, Signal
from orders.start import prepare_start
from orders.worker import Worker
from risk import approvals, limit_versions
from risk.approvals import ChangeRefused, House
from risk.limit_versions import LimitsChanged
from risk.models import Incident, LimitChange, RiskSettings, RiskSettingsVersion
from tests.risk.admin.staff import SENT, person, told

from .together import Together, held_up

pytestmark = pytest.mark.django_db(transaction=True)

TWO_PERSONS = House.of(needs="second_person", mode="PAPER", ceilings={})
IN_LIVE = House.of(needs="confirmation", mode="LIVE", ceilings={})
PAGE = "/admin/risk/risksettings/1/change/"


def user(name: str) -> User:
    made = User.objects.create_user(name, is_staff=True)
    made.user_permissions.set(Permission.objects.filter(codename__in=["approve_limits", "change_risksettings"]))
    return made


@pytest.fixture
def asha(transactional_db: None) -> User:
    return user("asha")


@pytest.fixture
def ravi(transactional_db: None) -> User:
    return user("ravi")


def ask(author: User, trades: int, *, now: datetime | None = None, house: House = TWO_PERSONS, **more: Any) -> Any:
    now = now or timezone.now()
    edited = limit_versions.in_force(now=now)
    version, edited.daily_trades_max = edited.version, trades
    names = ["daily_trades_max"]
    more = {"version_shown": version, **more}
    return approvals.save(edited, names, author=author, reason="x", now=now, house=house, **more)


def pending(author: User, trades: int = 11, **more: Any) -> LimitChange:
    (change,) = ask(author, trades, **more).waiting
    return change


def approval(change: LimitChange, by: User, *, now: datetime | None = None) -> Callable[[], LimitChange]:
    return lambda: approvals.approve(change.pk, by=by, reason="agreed", now=now or timezone.now(), house=TWO_PERSONS)


def trades() -> int:
    return RiskSettings.objects.get().daily_trades_max


def refusals(results: list[Any]) -> list[str]:
    assert not [each for each in results if isinstance(each, Exception) and not isinstance(each, KNOWN)]
    return [str(each) for each in results if isinstance(each, Exception)]


KNOWN = (ChangeRefused, LimitsChanged)


def test_two_approvers_at_once_are_one_approval(asha, ravi):
    meera, change = user("meera"), pending(asha)

    with held_up("risk_risksettingsversion") as wait_for:
        both = Together(approval(change, ravi), approval(change, meera))
        wait_for(2)
    (refusal,) = refusals(both.join())

    assert refusal.startswith("it is applied already by")
    assert (trades(), RiskSettingsVersion.objects.count()) == (11, 2)


def test_an_approval_and_a_rejection_at_once_are_one_answer(asha, ravi):
    meera, change = user("meera"), pending(asha)

    with held_up("risk_limitchange") as wait_for:
        both = Together(
            approval(change, ravi),
            lambda: approvals.reject(change.pk, by=meera, reason="no", now=timezone.now()),
        )
        wait_for(2)
    refusals_told = refusals(both.join())

    change.refresh_from_db()
    assert len(refusals_told) == 1
    assert (change.status, trades()) in [("APPLIED", 11), ("REJECTED", 10)]


@pytest.mark.parametrize("shown", [1, None], ids=["page", "script"])
def test_a_tightening_that_was_taken_outlives_an_approval_at_the_same_time(asha, ravi, shown):
    change = pending(asha)

    with held_up("risk_risksettingsversion") as wait_for:
        both = Together(approval(change, ravi), lambda: ask(ravi, 5, version_shown=shown))
        wait_for(2)
    approved, tightened = both.join()
    refusals([approved, tightened])

    taken = not isinstance(tightened, Exception)
    assert trades() == (5 if taken else 11)
    assert taken or shown == 1  # only the page that showed another version is asked to look again
    change.refresh_from_db()
    assert change.status == ("STALE" if isinstance(approved, Exception) else "APPLIED")


def test_a_tightening_before_the_approval_gets_the_lock_makes_it_stale(asha, ravi):
    change = pending(asha)

    with held_up("risk_tradingcontrol") as wait_for:
        waiting = Together(approval(change, ravi))
        wait_for(1)
        RiskSettings.objects.update(daily_trades_max=5)
    (refusal,) = refusals(waiting.join())

    assert "was 10 when asha asked, and is 5 now" in refusal
    assert (trades(), LimitChange.objects.get().status) == (5, "STALE")


@pytest.mark.parametrize(
    ("happens", "refusal"),
    [
        (lambda author: author.delete(), "the account of asha is gone or inactive: ask for it anew"),
        (lambda author: User.objects.filter(pk=author.pk).update(is_active=False), "is gone or inactive"),
        (lambda author: User.objects.filter(pk=author.pk).update(username="asha.k"), ""),
    ],
    ids=["deleted", "closed", "renamed"],
)
def test_what_happens_to_the_author_while_the_approval_waits_counts(asha, ravi, happens, refusal):
    change = pending(asha)

    with held_up("risk_tradingcontrol") as wait_for:
        waiting = Together(approval(change, ravi))
        wait_for(1)
        happens(asha)
    told_of = refusals(waiting.join())

    assert trades() == (10 if refusal else 11)
    assert [refusal in each for each in told_of] == ([True] if refusal else [])


def test_an_author_who_is_renamed_while_he_approves_himself_is_still_the_author(ravi):
    change = pending(ravi)

    with held_up("risk_tradingcontrol") as wait_for:
        waiting = Together(approval(change, ravi))
        wait_for(1)
        User.objects.filter(pk=ravi.pk).update(username="somebody")
    (refusal,) = refusals(waiting.join())

    assert "you asked for it yourself" in refusal
    assert trades() == 10


def test_a_right_that_is_taken_while_the_approval_waits_is_gone(asha, ravi):
    change = pending(asha)

    with held_up("risk_tradingcontrol") as wait_for:
        waiting = Together(approval(change, ravi))
        wait_for(1)
        ravi.user_permissions.clear()

    assert refusals(waiting.join()) == ["you have no permission to approve limits"]
    assert trades() == 10


def test_a_save_clicked_twice_at_once_over_http_asks_once(settings):
    settings.LOOSENING_NEEDS = "second_person"
    client = person("rita", "view_risksettings", "change_risksettings")
    form = client.get(PAGE).context["adminform"].form
    shown = {name: form[name].value() for name in form.fields if form[name].value() is not None}
    fields = {**shown, "daily_trades_max": 11, "reason": "busy"}

    with held_up("risk_limitchange") as wait_for:
        both = Together(*[lambda: client.post(PAGE, fields) for _ in range(2)])
        wait_for(2)
    answers = both.join()

    assert [answer.status_code for answer in answers] == [302, 302]
    assert all("10 → 11 waits for a second person" in told(answer) for answer in answers)
    assert LimitChange.objects.count() == 1


def test_an_approval_clicked_twice_at_once_over_http_is_one_version(asha):
    client = person("adam", "view_limitchange", "approve_limits")
    change = pending(asha)
    url = reverse("admin:risk_limitchange_approve", args=[change.pk])

    with held_up("risk_risksettingsversion") as wait_for:
        both = Together(
            *[lambda: client.post(url, {**SENT, "reason": "agreed"}, headers={"HX-Request": "true"}) for _ in range(2)]
        )
        wait_for(2)
    answers = both.join()

    assert sorted(told(answer) for answer in answers) == [
        "Applied: max trades a day 10 → 11.",
        "It is applied already by adam: agreed.",
    ]
    assert RiskSettingsVersion.objects.count() == 2


def test_what_is_due_is_written_once_whoever_reads_it_first(asha):
    change = pending(asha, house=IN_LIVE)

    def settle() -> int:
        with transaction.atomic():
            return limit_versions.settle(now=change.due_at).daily_trades_max

    with held_up("risk_limitchange") as wait_for:
        both = Together(settle, settle)
        wait_for(2)

    assert both.join() == [11, 11]
    assert RiskSettingsVersion.objects.count() == 2


def test_a_decision_is_made_under_the_limits_before_an_approval_or_after_and_not_sent_under_others(
    desk: Desk, asha, ravi, received: Callable[..., Signal]
):
    signal, change = received(), pending(asha)

    with held_up("orders_decision") as wait_for:
        deciding = Together(lambda: decide(desk, signal))
        wait_for(1)
        approving = Together(approval(change, ravi))
        wait_for(2)
    (order,), _ = deciding.join(), approving.join()

    submit(desk, order)
    assert (order.decision.limits_version, trades()) == (1, 11)
    assert (order.status, order.status_reason) == ("WITHDRAWN", "the limits changed after the decision")


@pytest.mark.usefixtures("noon")
def test_an_order_decided_under_a_limit_whose_time_ends_is_not_sent_after_it(
    desk: Desk, asha, ravi, received: Callable[..., Signal], clock, follow
):
    RiskSettings.objects.update(daily_trades_max=0)
    until = clock() + timedelta(seconds=60)
    approval(pending(asha, 1, now=clock(), expires_at=until), ravi, now=clock())()
    clock.advance(seconds=58)
    signal = received()
    order = decide(desk, signal)
    assert order is not None

    clock.advance(seconds=2)
    submit(desk, order)
    assert (order.status, order.status_reason) == ("WITHDRAWN", "the limits changed after the decision")
    signal.refresh_from_db()
    assert decide(desk, signal) is None

    signal.refresh_from_db()
    assert "DAILY_TRADES_EXCEEDED: 0 trades today, the limit is 0" in signal.reason
    assert signal.decisions.first().limits_version == RiskSettingsVersion.objects.first().version


@pytest.mark.parametrize("by_hand", [False, True])
def test_the_first_decision_after_the_time_ended_names_the_version_it_used(
    desk: Desk, asha, ravi, received: Callable[..., Signal], wish, clock, by_hand
):
    RiskSettings.objects.update(daily_trades_max=0)
    approval(pending(asha, 1, now=clock(), expires_at=clock() + timedelta(seconds=60)), ravi)()
    clock.advance(seconds=60)

    if by_hand:
        with pytest.raises(OrderDenied):
            decide_manual(desk, wish())
    else:
        assert decide(desk, received()) is None

    decision = Decision.objects.get()
    assert "DAILY_TRADES_EXCEEDED" in decision.reason
    used = RiskSettingsVersion.objects.get(version=decision.limits_version)
    assert (used.version, used.limits["daily_trades_max"]) == (3, "0")


def test_the_executor_writes_what_is_due_without_a_decision(desk: Desk, asha, clock):
    change = pending(asha, now=clock(), house=IN_LIVE)
    worker = Worker(desk, ready=threading.Event(), sent=lambda: None)
    worker._ready.set()

    worker.turn()
    assert trades() == 10
    clock.advance(seconds=60)
    worker.turn()

    change.refresh_from_db()
    assert (trades(), change.status) == (11, "APPLIED")


def test_a_start_holds_the_limits_to_lower_ceilings_and_says_which(desk: Desk, settings):
    settings.LIMIT_CEILINGS = {"daily_trades_max": 9}

    for _ in range(2):
        prepare_start(desk)

    told_of, kept = Incident.objects.get(), RiskSettingsVersion.objects.first()
    assert (trades(), kept.version, kept.author) == (9, 2, "installation")
    assert kept.reason == "limits in line with the settings: max trades a day 10 → 9"
    assert (told_of.kind, told_of.mode, told_of.stops_opening) == ("LIMITS_LOWERED", "PAPER", False)
    assert "max trades a day 10 → 9" in told_of.detail


def test_before_that_start_a_decision_is_held_to_the_ceiling_already(desk: Desk, received, settings):
    settings.LIMIT_CEILINGS = {"daily_trades_max": 0}
    held = replace(desk, tighten=Desk.from_settings().tighten)

    decide(held, received(symbol="INFY"))

    verdict = next(each for each in Decision.objects.get().verdicts if each["control"] == "DAILY_TRADES_EXCEEDED")
    assert (verdict["limit"], verdict["passed"]) == ("0 a day", False)
