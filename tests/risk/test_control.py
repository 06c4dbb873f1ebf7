"""The switch: tightening is anyone's and at once, loosening is a person's who saw what they loosen."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from risk import control
from risk.control import ControlChanged, LooseningRefused
from risk.models import Mode, TradingControl, TradingControlEvent

pytestmark = pytest.mark.django_db

BY_DESK = {"by": "the desk", "reason": "broker unreachable"}
BY_ASHA = {"by": "asha", "reason": "looked at every order"}


def stored(mode: str = Mode.PAPER) -> TradingControl:
    return TradingControl.objects.get(mode=mode)


def test_a_new_installation_is_active_with_auto_trading_off(controls: dict[str, TradingControl]) -> None:
    assert set(controls) == {Mode.PAPER, Mode.SHADOW, Mode.LIVE}
    for row in controls.values():
        assert (row.state, row.auto_trading, row.armed_user_id) == ("ACTIVE", False, "")
        assert (row.version, row.changed_by) == (1, "installation")


def test_the_environment_turns_auto_trading_on_for_paper_alone(empty_desk: None, now: datetime) -> None:
    control.install(auto_trading=True, now=now)

    assert stored(Mode.PAPER).auto_trading
    assert not stored(Mode.SHADOW).auto_trading
    assert not stored(Mode.LIVE).auto_trading


def test_a_restart_never_turns_auto_trading_on(paper: TradingControl, now: datetime) -> None:
    control.install(auto_trading=True, now=now + timedelta(days=1))

    assert not stored().auto_trading
    assert stored().version == paper.version


def test_each_mode_has_an_order_id_prefix_of_four_letters_and_digits(controls: dict[str, TradingControl]) -> None:
    for row in controls.values():
        assert len(row.order_id_prefix) == 4
        assert row.order_id_prefix.isalnum()


def test_a_halt_takes_effect_at_once_in_its_own_mode(controls: dict[str, TradingControl], now: datetime) -> None:
    control.halt(Mode.PAPER, now=now, **BY_DESK)

    assert stored(Mode.PAPER).state == "HALTED"
    assert stored(Mode.LIVE).state == "ACTIVE"


def test_reduce_only_tightens_an_active_switch(paper: TradingControl, now: datetime) -> None:
    returned = control.reduce_only(Mode.PAPER, now=now, **BY_DESK)

    assert returned.state == stored().state == "REDUCE_ONLY"


def test_reduce_only_never_loosens_a_halt(paper: TradingControl, now: datetime) -> None:
    control.halt(Mode.PAPER, now=now, **BY_ASHA)

    returned = control.reduce_only(Mode.PAPER, now=now, **BY_DESK)

    assert returned.state == stored().state == "HALTED"
    assert (stored().changed_by, stored().version) == ("asha", 2)


def test_a_halt_tightens_reduce_only(paper: TradingControl, now: datetime) -> None:
    control.reduce_only(Mode.PAPER, now=now, **BY_DESK)

    control.halt(Mode.PAPER, now=now, **BY_DESK)

    assert stored().state == "HALTED"


def test_turning_auto_trading_off_leaves_the_state(paper: TradingControl, now: datetime) -> None:
    control.auto_trading_on(Mode.PAPER, now=now, version_shown=1, **BY_ASHA)

    control.auto_trading_off(Mode.PAPER, now=now, **BY_DESK)

    assert (stored().state, stored().auto_trading) == ("ACTIVE", False)


def test_tightening_needs_no_reason_and_no_version(paper: TradingControl, now: datetime) -> None:
    control.halt(Mode.PAPER, by="asha", reason="", now=now)

    assert stored().state == "HALTED"


@pytest.mark.parametrize("tighten", [control.halt, control.reduce_only])
def test_resume_makes_trading_active_again(
    paper: TradingControl, now: datetime, tighten: Callable[..., TradingControl]
) -> None:
    tightened = tighten(Mode.PAPER, now=now, **BY_DESK)

    control.resume(Mode.PAPER, now=now, version_shown=tightened.version, **BY_ASHA)

    assert stored().state == "ACTIVE"


def test_resume_does_not_turn_on_auto_trading(paper: TradingControl, now: datetime) -> None:
    control.auto_trading_off(Mode.PAPER, now=now, **BY_DESK)
    halted = control.halt(Mode.PAPER, now=now, **BY_DESK)

    control.resume(Mode.PAPER, now=now, version_shown=halted.version, **BY_ASHA)

    assert not stored().auto_trading


@pytest.mark.parametrize("loosen", [control.resume, control.auto_trading_on])
def test_a_page_opened_before_a_halt_cannot_undo_it(
    paper: TradingControl, now: datetime, loosen: Callable[..., TradingControl]
) -> None:
    control.reduce_only(Mode.PAPER, now=now, **BY_ASHA)
    control.halt(Mode.PAPER, now=now, **BY_DESK)

    with pytest.raises(ControlChanged, match="changed by the desk since this was shown: broker unreachable"):
        loosen(Mode.PAPER, now=now, version_shown=2, **BY_ASHA)

    assert (stored().state, stored().version) == ("HALTED", 3)


def test_a_version_that_is_still_to_come_is_refused_too(paper: TradingControl, now: datetime) -> None:
    with pytest.raises(ControlChanged):
        control.auto_trading_on(Mode.PAPER, now=now, version_shown=2, **BY_ASHA)


@pytest.mark.parametrize("reason", ["", "  "])
@pytest.mark.parametrize("loosen", [control.resume, control.auto_trading_on])
def test_loosening_without_a_reason_is_refused(
    paper: TradingControl, now: datetime, loosen: Callable[..., TradingControl], reason: str
) -> None:
    control.halt(Mode.PAPER, now=now, **BY_DESK)

    with pytest.raises(LooseningRefused, match="say why"):
        loosen(Mode.PAPER, by="asha", reason=reason, now=now, version_shown=2)

    assert stored().version == 2


@pytest.mark.parametrize(("tighten", "state"), [(control.halt, "HALTED"), (control.reduce_only, "REDUCE_ONLY")])
def test_auto_trading_starts_only_while_trading_is_active(
    paper: TradingControl, now: datetime, tighten: Callable[..., TradingControl], state: str
) -> None:
    tightened = tighten(Mode.PAPER, now=now, **BY_DESK)

    with pytest.raises(LooseningRefused, match=f"trading is {state}: resume it first"):
        control.auto_trading_on(Mode.PAPER, now=now, version_shown=tightened.version, **BY_ASHA)

    assert not stored().auto_trading


def test_auto_trading_on_paper_needs_no_arming(paper: TradingControl, now: datetime) -> None:
    control.auto_trading_on(Mode.PAPER, now=now, version_shown=1, **BY_ASHA)

    assert stored().auto_trading


def test_live_auto_trading_needs_arming_first(live: TradingControl, now: datetime) -> None:
    with pytest.raises(LooseningRefused, match="not armed"):
        control.auto_trading_on(Mode.LIVE, now=now, version_shown=1, **BY_ASHA)

    armed = control.arm_live(user_id="AB1234", by="asha", now=now, version_shown=1)
    control.auto_trading_on(Mode.LIVE, now=now, version_shown=armed.version, **BY_ASHA)

    assert stored(Mode.LIVE).auto_trading


def test_arming_names_the_account_and_turns_nothing_on(live: TradingControl, now: datetime) -> None:
    control.arm_live(user_id=" AB1234 ", by="asha", now=now, version_shown=1)

    row = stored(Mode.LIVE)
    assert (row.armed_user_id, row.auto_trading, row.reason) == ("AB1234", False, "armed for AB1234")
    assert stored(Mode.PAPER).armed_user_id == ""


@pytest.mark.parametrize("user_id", ["", "   "])
def test_arming_for_nobody_is_refused(live: TradingControl, now: datetime, user_id: str) -> None:
    with pytest.raises(LooseningRefused, match="Kite user id"):
        control.arm_live(user_id=user_id, by="asha", now=now, version_shown=1)

    assert stored(Mode.LIVE).version == 1


def test_arming_on_a_stale_page_is_refused(live: TradingControl, now: datetime) -> None:
    control.halt(Mode.LIVE, now=now, **BY_DESK)

    with pytest.raises(ControlChanged):
        control.arm_live(user_id="AB1234", by="asha", now=now, version_shown=1)

    assert stored(Mode.LIVE).armed_user_id == ""


def test_every_change_leaves_who_why_when_and_what_came_of_it(live: TradingControl, now: datetime) -> None:
    later = [now + timedelta(minutes=minutes) for minutes in range(6)]

    control.arm_live(user_id="AB1234", by="asha", now=later[0], version_shown=1)
    control.auto_trading_on(Mode.LIVE, by="asha", reason="begin", now=later[1], version_shown=2)
    control.auto_trading_off(Mode.LIVE, by="the desk", reason="order in doubt", now=later[2])
    control.reduce_only(Mode.LIVE, by="ravi", reason="careful", now=later[3])
    control.halt(Mode.LIVE, by="ravi", reason="stop", now=later[4])
    control.resume(Mode.LIVE, by="asha", reason="all clear", now=later[5], version_shown=6)

    kept = TradingControlEvent.objects.order_by("version").values_list(
        "version", "at", "actor", "reason", "state", "auto_trading"
    )
    assert list(kept) == [
        (2, later[0], "asha", "armed for AB1234", "ACTIVE", False),
        (3, later[1], "asha", "begin", "ACTIVE", True),
        (4, later[2], "the desk", "order in doubt", "ACTIVE", False),
        (5, later[3], "ravi", "careful", "REDUCE_ONLY", False),
        (6, later[4], "ravi", "stop", "HALTED", False),
        (7, later[5], "asha", "all clear", "ACTIVE", False),
    ]
    assert set(TradingControlEvent.objects.values_list("mode", "armed_user_id")) == {(Mode.LIVE, "AB1234")}
    row = stored(Mode.LIVE)
    assert (row.version, row.changed_by, row.reason, row.changed_at) == (7, "asha", "all clear", later[5])


@pytest.mark.parametrize(
    "again",
    [
        lambda now: control.halt(Mode.PAPER, now=now, **BY_DESK),
        lambda now: control.reduce_only(Mode.PAPER, now=now, **BY_DESK),
        lambda now: control.auto_trading_off(Mode.PAPER, now=now, **BY_DESK),
    ],
    ids=["halt", "reduce_only", "auto_trading_off"],
)
def test_what_changes_nothing_is_no_change(paper: TradingControl, now: datetime, again: Any) -> None:
    control.halt(Mode.PAPER, now=now, **BY_ASHA)

    again(now + timedelta(minutes=1))

    assert stored().version == 2
    assert stored().changed_by == "asha"
    assert TradingControlEvent.objects.count() == 1


def test_the_strictest_of_two_modes_does_not_reach_the_other(
    controls: dict[str, TradingControl], now: datetime
) -> None:
    control.auto_trading_on(Mode.PAPER, now=now, version_shown=1, **BY_ASHA)

    control.halt(Mode.LIVE, now=now, **BY_DESK)
    control.auto_trading_off(Mode.LIVE, now=now, **BY_DESK)

    assert (stored(Mode.PAPER).state, stored(Mode.PAPER).auto_trading) == ("ACTIVE", True)


def test_disarming_stops_acting_on_signals_and_needs_no_version(
    controls: dict[str, TradingControl], now: datetime
) -> None:
    control.arm_live(user_id="AB1234", by="asha", now=now, version_shown=1)
    control.auto_trading_on(Mode.LIVE, now=now, version_shown=2, **BY_ASHA)

    control.disarm_live(now=now, **BY_DESK)

    assert (stored(Mode.LIVE).armed_user_id, stored(Mode.LIVE).auto_trading) == ("", False)
    assert stored(Mode.LIVE).state == "ACTIVE"


def test_arming_for_another_account_turns_auto_trading_off(controls: dict[str, TradingControl], now: datetime) -> None:
    control.arm_live(user_id="AB1234", by="asha", now=now, version_shown=1)
    control.auto_trading_on(Mode.LIVE, now=now, version_shown=2, **BY_ASHA)

    control.arm_live(user_id="CD5678", by="asha", now=now, version_shown=3)

    assert not stored(Mode.LIVE).auto_trading
