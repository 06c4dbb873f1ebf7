"""How the limits begin, how a change becomes a version, and which changes loosen."""

from __future__ import annotations

from copy import copy
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from config.apps import install_first_rows
from risk import limit_versions
from risk.first_limits import first_values
from risk.models import Incident, LimitChange, RiskSettings, RiskSettingsVersion

pytestmark = pytest.mark.django_db
D = Decimal

# Each limit with a value that allows more than the first one, and one that allows less.
LOOSER_AND_TIGHTER: dict[str, tuple[Any, Any]] = {
    "cms_buy_threshold": (D("59.99"), D("60.01")),
    "cms_sell_threshold": (D("-59.99"), D("-60.01")),
    "position_size": (D("1000.01"), D("999.99")),
    "round_up_to_one_lot": (True, False),
    "order_value_max": (D("5000.01"), D("4999.99")),
    "order_quantity_max": (1001, 999),
    "position_value_max": (D("10000.01"), D("9999.99")),
    "daily_trades_max": (11, 9),
    "daily_loss_max": (D("1000.01"), D("999.99")),
    "charges_percent": (D("0.119"), D("0.121")),
    "exits_after_loss": (True, False),
    "exposure_breach_reduces": (False, True),
    "include_external": (False, True),
    "slippage_percent": (D("0.501"), D("0.499")),
    "collar_percent": (D("3.001"), D("2.999")),
    "closing_collar_percent": (D("10.001"), D("9.999")),
    "signal_age_max_seconds": (301, 299),
    "closing_signal_age_max_seconds": (3601, 3599),
    "quote_age_max_seconds": (11, 9),
    "orders_per_second_max": (6, 4),
    "orders_per_minute_max": (31, 29),
    "signal_drift_percent": (D("1.001"), D("0.999")),
    "duplicate_window_seconds": (59, 61),
    "open_orders_max": (11, 9),
    "symbol_open_orders_max": (2, 0),
    "opposite_orders_allowed": (True, False),
    "adding_allowed": (True, False),
    "gross_exposure_max": (D("50000.01"), D("49999.99")),
    "positions_max": (11, 9),
    "funds_use_percent": (D("98.001"), D("97.999")),
    "reject_streak_max": (4, 2),
    "rejections_max": (6, 4),
    "allowed_instruments": ("NSE:EQ, BSE:EQ, NSE:BE", "NSE:EQ"),
}
NO_NUMBERS = {
    "round_up_to_one_lot",
    "exits_after_loss",
    "exposure_breach_reduces",
    "include_external",
    "opposite_orders_allowed",
    "adding_allowed",
    "allowed_instruments",
}


def form(**values: Any) -> RiskSettings:
    """The limits as they are now, with what somebody typed over them."""
    edited = limit_versions.in_force(now=timezone.now())
    for name, value in values.items():
        setattr(edited, name, value)
    return edited


def test_the_first_limits_come_from_the_environment(first_limits: RiskSettings) -> None:
    assert first_limits.position_size == 1000
    assert first_limits.position_value_max == 10_000
    assert first_limits.daily_trades_max == first_limits.open_orders_max == 10
    assert first_limits.gross_exposure_max == 50_000
    assert (first_limits.cms_buy_threshold, first_limits.cms_sell_threshold) == (60, -60)
    assert (first_limits.version, first_limits.changed_by) == (1, "installation")


@pytest.mark.parametrize(
    ("position_size", "max_position_size", "order_value_max"),
    [("1000", "10000", 5000), ("8000", "10000", 8000), ("10000", "10000", 10_000), ("0", "0", 0), ("0", "10000", 5000)],
)
def test_the_first_limits_are_consistent(
    environment: dict[str, Any], position_size: str, max_position_size: str, order_value_max: int
) -> None:
    environment |= {"POSITION_SIZE": D(position_size), "MAX_POSITION_SIZE": D(max_position_size)}

    first = first_values(environment)

    assert first["order_value_max"] == order_value_max
    assert first["position_size"] <= first["order_value_max"] <= first["position_value_max"]


def test_no_first_order_may_be_worth_more_than_a_whole_position(environment: dict[str, Any]) -> None:
    environment |= {"POSITION_SIZE": D(20_000), "MAX_POSITION_SIZE": D(10_000)}

    assert first_values(environment)["order_value_max"] == 10_000


def test_the_first_limits_are_kept_as_version_1(first_limits: RiskSettings, now: datetime) -> None:
    kept = RiskSettingsVersion.objects.get()

    assert (kept.version, kept.author, kept.at, kept.changed) == (1, "installation", now, {})
    numbers = {name for name in RiskSettings.LIMIT_FIELDS if name not in NO_NUMBERS}
    assert {name: D(kept.limits[name]) for name in numbers} == {name: getattr(first_limits, name) for name in numbers}
    assert {name: kept.limits[name] for name in NO_NUMBERS} == {
        "round_up_to_one_lot": "True",
        "exits_after_loss": "False",
        "exposure_breach_reduces": "True",
        "include_external": "False",
        "opposite_orders_allowed": "False",
        "adding_allowed": "True",
        "allowed_instruments": "NSE:EQ, BSE:EQ",
    }


def test_the_first_limits_pass_the_checks_of_their_own_form(first_limits: RiskSettings) -> None:
    first_limits.full_clean()


def test_a_restart_with_another_environment_changes_nothing(
    first_limits: RiskSettings, environment: dict[str, Any], now: datetime
) -> None:
    limit_versions.install(environment | {"MAX_DAILY_TRADES": 99}, now=now)

    assert limit_versions.in_force(now=timezone.now()).daily_trades_max == 10
    assert RiskSettingsVersion.objects.count() == 1


def test_a_difference_between_environment_and_limits_is_shown(
    first_limits: RiskSettings, environment: dict[str, Any]
) -> None:
    assert limit_versions.differences(environment, now=timezone.now()) == {}

    assert limit_versions.differences(environment | {"MAX_DAILY_TRADES": 99}, now=timezone.now()) == {
        "daily_trades_max": ("99", "10")
    }


def test_a_save_is_a_version_with_its_author_reason_and_both_values(first_limits: RiskSettings, now: datetime) -> None:
    later = now + timedelta(hours=1)
    edited = form(position_size=D("2000.00"), daily_trades_max=5)

    limit_versions.save(edited, ["position_size", "daily_trades_max"], by="asha", reason="try two", now=later)

    kept = RiskSettingsVersion.objects.get(version=2)
    assert (kept.author, kept.reason, kept.at) == ("asha", "try two", later)
    assert kept.changed == {"position_size": ["1000.00", "2000.00"], "daily_trades_max": ["10", "5"]}
    assert kept.limits == limit_versions.in_force(now=timezone.now()).values()


def test_a_save_is_in_force_with_its_author(first_limits: RiskSettings, now: datetime) -> None:
    later = now + timedelta(hours=1)

    returned = limit_versions.save(form(daily_trades_max=5), ["daily_trades_max"], by="asha", reason="fewer", now=later)

    current = limit_versions.in_force(now=timezone.now())
    assert returned.daily_trades_max == current.daily_trades_max == 5
    assert (current.version, current.changed_by, current.changed_at) == (2, "asha", later)


@pytest.mark.parametrize("changed", [[], ["daily_trades_max"], ["daily_trades_max", "position_size"]])
def test_a_save_that_changes_nothing_makes_no_version(
    first_limits: RiskSettings, now: datetime, changed: list[str]
) -> None:
    returned = limit_versions.save(form(position_size=D("1000.0")), changed, by="asha", reason="a look", now=now)

    assert returned.version == limit_versions.in_force(now=timezone.now()).version == 1
    assert limit_versions.in_force(now=timezone.now()).changed_by == "installation"
    assert RiskSettingsVersion.objects.count() == 1


def test_only_the_named_limits_change(first_limits: RiskSettings, now: datetime) -> None:
    edited = form(daily_trades_max=5, position_size=D(9999))

    limit_versions.save(edited, ["daily_trades_max"], by="asha", reason="fewer", now=now)

    assert limit_versions.in_force(now=timezone.now()).daily_trades_max == 5
    assert limit_versions.in_force(now=timezone.now()).position_size == 1000


def test_a_form_opened_earlier_cannot_revert_the_change_of_another(first_limits: RiskSettings, now: datetime) -> None:
    of_asha = form(position_size=D("500.00"))
    of_ravi = form(daily_trades_max=3)

    limit_versions.save(of_ravi, ["daily_trades_max"], by="ravi", reason="fewer", now=now)
    limit_versions.save(of_asha, ["position_size"], by="asha", reason="smaller", now=now)

    current = limit_versions.in_force(now=timezone.now())
    assert (current.daily_trades_max, current.position_size, current.version) == (3, 500, 3)
    kept = RiskSettingsVersion.objects.get(version=3)
    assert set(kept.changed) == {"position_size"}
    assert kept.limits == current.values()


def test_every_version_that_was_ever_in_force_can_be_read_back(first_limits: RiskSettings, now: datetime) -> None:
    for trades in (9, 8, 7):
        limit_versions.save(form(daily_trades_max=trades), ["daily_trades_max"], by="asha", reason="fewer", now=now)

    kept = RiskSettingsVersion.objects.order_by("version")
    assert [(row.version, row.limits["daily_trades_max"]) for row in kept] == [(1, "10"), (2, "9"), (3, "8"), (4, "7")]


def test_the_engine_gets_every_limit_with_its_version(first_limits: RiskSettings) -> None:
    limits = first_limits.limits()

    assert limits.version == 1
    for name in RiskSettings.LIMIT_FIELDS:
        assert getattr(limits, name) == getattr(first_limits, name)


def test_every_limit_is_listed_with_its_direction_here() -> None:
    assert set(LOOSER_AND_TIGHTER) == set(RiskSettings.LIMIT_FIELDS)


@pytest.mark.parametrize("name", LOOSER_AND_TIGHTER)
def test_a_limit_is_loosened_in_one_direction_only(first_limits: RiskSettings, name: str) -> None:
    looser, tighter = copy(first_limits), copy(first_limits)
    setattr(looser, name, LOOSER_AND_TIGHTER[name][0])
    setattr(tighter, name, LOOSER_AND_TIGHTER[name][1])

    assert limit_versions.loosened(tighter, looser) == [name]
    assert limit_versions.loosened(looser, tighter) == []
    assert limit_versions.loosened(looser, looser) == []


@pytest.mark.parametrize(
    ("after", "loosened"),
    [
        ("BSE:EQ, nse:eq", []),
        ("NSE:EQ", []),
        ("", []),
        ("NSE:EQ, NSE:BE", ["allowed_instruments"]),  # one taken off, another put on
        ("BSE:EQ, BSE:XT", ["allowed_instruments"]),  # smaller as a text
    ],
)
def test_a_list_is_loosened_by_what_it_did_not_have(
    first_limits: RiskSettings, after: str, loosened: list[str]
) -> None:
    assert limit_versions.loosened(first_limits, form(allowed_instruments=after)) == loosened


def test_a_mixed_change_names_only_what_loosens(first_limits: RiskSettings) -> None:
    edited = form(daily_trades_max=5, position_size=D(2000), cms_buy_threshold=D(50), cms_sell_threshold=D(-70))

    assert limit_versions.loosened(first_limits, edited) == ["cms_buy_threshold", "position_size"]


@pytest.mark.django_db
def test_a_change_based_on_limits_that_are_no_longer_in_force_is_refused() -> None:
    shown = limit_versions.in_force(now=timezone.now())
    edited = limit_versions.in_force(now=timezone.now())
    edited.daily_trades_max = 1
    limit_versions.save(edited, ["daily_trades_max"], by="rita", reason="a calm day", now=timezone.now())
    edited.daily_trades_max = 9

    with pytest.raises(limit_versions.LimitsChanged, match="rita changed the limits meanwhile"):
        limit_versions.save(
            edited, ["daily_trades_max"], by="tom", reason="mine", now=timezone.now(), version_shown=shown.version
        )

    assert limit_versions.in_force(now=timezone.now()).daily_trades_max == 1


# --- What an upgrade brings, and what the settings allow no more ------------------------------------------------------


def test_limits_that_an_upgrade_brought_are_kept_as_a_version_once(first_limits: RiskSettings, now: datetime) -> None:
    """Version 2 was kept by the code of before, which knew neither of these."""
    before = {
        name: text
        for name, text in first_limits.values().items()
        if name not in {"charges_percent", "funds_use_percent"}
    }
    RiskSettings.objects.update(version=2)
    RiskSettingsVersion.objects.create(version=2, limits=before, author="rita", reason="calm", at=now)

    for _ in range(2):
        limit_versions.see_to_the_version(now=now)

    kept, settings = RiskSettingsVersion.objects.first(), RiskSettings.objects.get()
    assert (kept.version, settings.version, kept.author, settings.changed_by) == (3, 3, "upgrade", "upgrade")
    assert kept.reason == "upgrade: first values of charges, estimated (%), use of the funds (%)"
    assert kept.changed == {"charges_percent": ["", "0.120"], "funds_use_percent": ["", "98.000"]}
    assert kept.limits == settings.values()


def test_a_version_that_is_missing_altogether_is_kept_again(first_limits: RiskSettings, now: datetime) -> None:
    RiskSettings.objects.update(version=7)

    limit_versions.see_to_the_version(now=now)

    assert RiskSettingsVersion.objects.first().limits == RiskSettings.objects.get().values()


def test_a_complete_version_is_left_alone_by_every_migrate(first_limits: RiskSettings, settings: Any) -> None:
    settings.LIMIT_CEILINGS = {}
    install_first_rows()

    assert (RiskSettings.objects.get().version, RiskSettingsVersion.objects.count()) == (1, 1)


def test_a_migrate_with_lower_ceilings_writes_the_limits_that_hold(first_limits: RiskSettings, settings: Any) -> None:
    settings.LIMIT_CEILINGS = {"order_value_max": Decimal(800), "daily_trades_max": 10}
    for _ in range(2):
        install_first_rows()

    kept, told_of = RiskSettingsVersion.objects.first(), Incident.objects.get()
    assert (kept.version, kept.author) == (2, "installation")
    assert kept.changed == {"order_value_max": ["5000.00", "800"], "position_size": ["1000.00", "800"]}
    assert (told_of.kind, told_of.count) == ("LIMITS_LOWERED", 1)
    assert "max order value (₹) 5000.00 → 800" in told_of.detail


def test_wishes_beyond_a_lower_ceiling_are_stale_and_those_below_it_wait(
    first_limits: RiskSettings, now: datetime
) -> None:
    asha = User.objects.create_superuser("asha")
    asked = {"daily_trades_max": ("10", "50"), "positions_max": ("10", "20")}
    for limit, (before, after) in asked.items():
        wish = {"author": "asha", "author_account": asha.pk, "reason": "x", "created_at": now, "due_at": now}
        due = {**wish, "needs": "CONFIRMATION", "due_at": now + timedelta(minutes=1)}
        LimitChange.objects.create(limit=limit, before=before, after=after, based_on_version=1, **due)

    limit_versions.keep_within({"daily_trades_max": 49, "positions_max": 20}, mode="LIVE", now=now)

    later = limit_versions.in_force(now=now + timedelta(minutes=1))
    assert (later.daily_trades_max, later.positions_max) == (10, 20)
    assert LimitChange.objects.get(limit="daily_trades_max").note == "the settings of this installation allow 49 now"


def test_what_returns_at_the_end_of_its_time_never_passes_a_ceiling_that_was_lowered(
    first_limits: RiskSettings, now: datetime
) -> None:
    until = now + timedelta(hours=1)
    RiskSettings.objects.update(daily_trades_max=30)
    wish = {"author": "asha", "author_account": 1, "reason": "x", "created_at": now, "due_at": now, "expires_at": until}
    LimitChange.objects.create(
        limit="daily_trades_max",
        before="20",
        after="30",
        based_on_version=1,
        needs="CONFIRMATION",
        status="TEMPORARY",
        **wish,
    )

    limit_versions.keep_within({"daily_trades_max": 15}, mode="PAPER", now=now)

    assert LimitChange.objects.get().status == "ENDED"
    assert limit_versions.settle(now=until).daily_trades_max == 15
