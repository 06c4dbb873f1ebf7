"""Whether the desk is ready: each check at its limit and just past it, and what it says to do."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from orders import start_of_day
from orders.backup_files import named
from orders.broker.sessions import TokenVault
from orders.desk import Desk
from orders.models import BrokerSession, ExecutorHeartbeat
from orders.receivers import channel_listeners, connect
from orders.start_of_day import CHECKS, Check, checks, is_ready
from risk import control
from risk.engine.sessions import MUMBAI
from risk.models import CalendarDay, CalendarWish, CalendarYear, Incident, Mode, RiskSettings, TradingControl
from tests.conftest import StillClock

MONDAY_TEN = datetime(2026, 11, 23, 10, 0, tzinfo=MUMBAI)


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def morning(desk: Desk, monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path) -> Desk:
    """A paper desk where all is well: its limits are wide, so that no ceiling is kept, and somebody listens."""
    settings.LIMIT_CEILINGS = {}
    settings.BACKUP_DIR = tmp_path
    for file in named(tmp_path, desk.clock()).files:
        file.write_text("x")
    monkeypatch.setattr(start_of_day, "channel_listeners", lambda url, channel: 1)
    now = desk.clock()
    ExecutorHeartbeat.objects.create(mode=desk.mode, host="h", pid=1, backend_pid=2, started_at=now, beat_at=now)
    BrokerSession.objects.filter(mode=desk.mode).update(
        stream_heard_at=now, funds=Decimal(50_000), funds_at=now, reconciled_at=now
    )
    return desk


@pytest.fixture
def live(morning: Desk, settings: Any) -> Desk:
    """The same desk in live, logged in until six in the morning and armed."""
    now = morning.clock()
    vault = TokenVault(Mode.LIVE, secret_key="a secret of the suite")
    vault.keep("token", user_id="AB1234", now=now)
    BrokerSession.objects.filter(mode=Mode.LIVE).update(
        stream_heard_at=now,
        funds=Decimal(50_000),
        funds_at=now,
        reconciled_at=now,
        valid_until=now + timedelta(hours=9),
    )
    ExecutorHeartbeat.objects.update(mode=Mode.LIVE)
    TradingControl.objects.filter(mode=Mode.LIVE).update(armed_user_id="AB1234", auto_trading=True)
    return replace(morning, mode=Mode.LIVE, vault=vault)


@pytest.fixture
def in_shadow(live: Desk) -> Desk:
    """The live desk's shadow, with the same rows: logged in, nobody armed."""
    BrokerSession.objects.filter(mode=Mode.SHADOW).delete()
    for model in (BrokerSession, ExecutorHeartbeat):
        model.objects.filter(mode=Mode.LIVE).update(mode=Mode.SHADOW)
    TradingControl.objects.filter(mode=Mode.SHADOW).update(auto_trading=True)
    rules = replace(live.rules, paper_keeps_market_hours=True)
    vault = TokenVault(Mode.SHADOW, secret_key="a secret of the suite")
    return replace(live, mode=Mode.SHADOW, vault=vault, rules=rules, clock=lambda: MONDAY_TEN)


def found(desk: Desk, title: str, now: datetime | None = None) -> Check:
    return next(check for check in checks(desk, now or desk.clock()) if check.title == title)


def state(desk: Desk, title: str, now: datetime | None = None) -> str:
    return found(desk, title, now).state.value


def test_a_desk_where_all_is_well_is_ready(morning: Desk):
    all_of_them = checks(morning, morning.clock())

    assert {check.title: check.measured for check in all_of_them if check.state != "good"} == {}
    assert len(all_of_them) == len(CHECKS)
    assert all_of_them[-1].title == "Auto-trading"
    assert is_ready(all_of_them)


def test_each_thing_that_is_not_good_says_what_to_do(desk: Desk, live: Desk, clock: StillClock):
    ExecutorHeartbeat.objects.all().delete()
    BrokerSession.objects.all().delete()
    TradingControl.objects.update(armed_user_id="", auto_trading=False, state="HALTED")

    for check in checks(live, live.clock()):
        assert (check.state == "good") == (check.what_to_do == ""), check
        assert check.measured


@pytest.mark.parametrize(("seconds", "expected"), [(10, "good"), (10.001, "bad")])
def test_the_executor_was_seen_alive(morning: Desk, seconds: float, expected: str):
    assert state(morning, "Executor", morning.clock() + timedelta(seconds=seconds)) == expected


@pytest.mark.parametrize(("hours", "expected"), [(29.9, "good"), (30.1, "warning")])
def test_a_backup_is_not_old(morning: Desk, hours: float, expected: str):
    assert state(morning, "Backup", morning.clock() + timedelta(hours=hours)) == expected


@pytest.mark.parametrize(("seconds", "expected"), [(59, "good"), (60, "warning")])
def test_a_change_of_the_calendar_that_nobody_carries_out_is_told(morning: Desk, seconds: float, expected: str):
    due_at = morning.clock()
    wish = {"what": "x", "edits": [], "opens": "a day", "based_on_change": 0, "author": "asha", "author_account": 1}
    CalendarWish.objects.create(**wish, reason="x", created_at=due_at, needs="CONFIRMATION", due_at=due_at)

    check = found(morning, "Changes of the calendar", due_at + timedelta(seconds=seconds))

    assert check.state == expected
    told = "1 waiting" if expected == "good" else f"1 not carried out, due since {due_at.astimezone(MUMBAI):%H:%M:%S}"
    assert check.measured == told


def test_an_executor_was_never_there(morning: Desk):
    ExecutorHeartbeat.objects.all().delete()

    assert found(morning, "Executor").measured == "never seen"
    assert not is_ready(checks(morning, morning.clock()))


@pytest.mark.parametrize(("minutes", "expected"), [(31, "good"), (30, "good"), (29.9, "warning"), (0, "bad")])
def test_the_login_lasts(live: Desk, minutes: float, expected: str):
    now = live.clock()
    BrokerSession.objects.filter(mode=Mode.LIVE).update(valid_until=now + timedelta(minutes=minutes))

    assert state(live, "Login at the broker", now) == expected


def test_a_login_that_kite_refused_is_none(live: Desk):
    BrokerSession.objects.filter(mode=Mode.LIVE).update(refused_at=live.clock())

    assert found(live, "Login at the broker").measured == "refused by Kite"


def test_another_account_is_not_the_one_that_was_armed(live: Desk):
    assert state(live, "Armed for live orders") == "good"
    BrokerSession.objects.filter(mode=Mode.LIVE).update(user_id="ZZ9999")

    check = found(live, "Armed for live orders")

    assert (check.state, check.measured) == ("bad", "armed for AB1234, logged in as ZZ9999")


def test_the_shadow_needs_the_login_that_live_needs_and_no_arming(in_shadow: Desk):
    now = in_shadow.clock()
    BrokerSession.objects.filter(mode=Mode.SHADOW).update(valid_until=now + timedelta(hours=9))
    assert [state(in_shadow, title) for title in ("Login at the broker", "Armed for live orders")] == ["good", "good"]

    BrokerSession.objects.filter(mode=Mode.SHADOW).update(valid_until=now + timedelta(minutes=29))
    assert state(in_shadow, "Login at the broker") == "warning"

    in_shadow.vault.refuse("Incorrect `api_key` or `access_token`.", asked_at=now, now=now)
    assert found(in_shadow, "Login at the broker").measured == "refused by Kite"
    assert not is_ready(checks(in_shadow, now))


def test_the_shadow_keeps_the_exchanges_calendar(in_shadow: Desk):
    assert state(in_shadow, "The exchange's calendar") == "good"

    CalendarYear.objects.filter(year=2026).delete()

    assert state(in_shadow, "The exchange's calendar") == "bad"


def test_the_executor_of_another_mode_is_not_the_shadows(in_shadow: Desk):
    now = in_shadow.clock()
    ExecutorHeartbeat.objects.update(beat_at=now)
    assert state(in_shadow, "Executor") == "good", "no order of it is at an exchange: nothing must take over at once"

    ExecutorHeartbeat.objects.update(mode=Mode.LIVE)

    assert found(in_shadow, "Executor").measured == "never seen"


def test_limits_that_contradict_and_those_above_a_ceiling_are_told(morning: Desk, settings: Any):
    settings.LIMIT_CEILINGS = {"daily_trades_max": 9}
    assert found(morning, "Limits").state == "warning"
    RiskSettings.objects.update(order_value_max=Decimal(20_000))

    assert found(morning, "Limits").state == "bad"


def test_an_environment_that_says_something_else_is_told_and_stops_nothing(morning: Desk):
    RiskSettings.objects.update(daily_trades_max=7)

    check = found(morning, "Limits and the environment")

    assert (check.state, check.measured) == ("warning", "max trades a day: 10 there, 7 here")
    assert is_ready(checks(morning, morning.clock()))


def test_the_day_has_a_session_and_its_hours_are_known(morning: Desk, wired: Any):
    desk = wired(morning, rules=replace(morning.rules, paper_keeps_market_hours=True), clock=lambda: MONDAY_TEN)
    CalendarYear.objects.update_or_create(
        year=2026, defaults={"complete": True, "entered_by": "x", "entered_at": MONDAY_TEN}
    )
    title = "The exchange's calendar"
    assert found(desk, title).measured == "continuous from 09:15 to 15:15 (now)"

    day = {"date": date(2026, 11, 23), "name": "a feast", "entered_by": "x", "entered_at": MONDAY_TEN}
    entry = CalendarDay.objects.create(kind="HOLIDAY", **day)
    holiday = found(desk, title)
    assert (holiday.state, holiday.measured[:27]) == ("warning", "no session today: a feast; ")
    CalendarDay.objects.filter(pk=entry.pk).update(kind="SPECIAL")
    assert found(desk, title).measured == "a feast: its hours are not known"
    CalendarYear.objects.update(complete=False)
    assert (state(desk, title), found(desk, title).measured) == ("bad", "2026 is not complete")


@pytest.mark.parametrize(("seconds", "expected"), [(0, "good"), (1.5, "good"), (2.5, "bad"), (-2.5, "bad")])
def test_the_clock_is_the_database_s(morning: Desk, clock: StillClock, seconds: float, expected: str):
    assert state(morning, "Clock", StillClock()() + timedelta(seconds=seconds)) == expected


@pytest.mark.parametrize(("seconds", "expected"), [(30, "good"), (30.001, "warning")])
def test_the_stream_was_heard(morning: Desk, seconds: float, expected: str):
    assert state(morning, "Prices", morning.clock() + timedelta(seconds=seconds)) == expected


def test_a_stream_that_is_silent_while_the_market_is_closed_is_well(morning: Desk, wired: Any):
    night = MONDAY_TEN.replace(hour=22)
    desk = wired(morning, rules=replace(morning.rules, paper_keeps_market_hours=True), clock=lambda: night)

    check = found(desk, "Prices")

    assert check.state == "good"
    assert "the market is closed" in found(desk, "Prices", night + timedelta(days=10)).measured


@pytest.mark.parametrize(("seconds", "expected"), [(300, "good"), (300.001, "warning")])
def test_the_funds_were_read_lately(morning: Desk, seconds: float, expected: str):
    assert state(morning, "Funds", morning.clock() + timedelta(seconds=seconds)) == expected


@pytest.mark.parametrize(("funds", "expected"), [("1000", "good"), ("999.99", "warning")])
def test_the_funds_are_enough_for_one_entry(morning: Desk, funds: str, expected: str):
    BrokerSession.objects.update(funds=Decimal(funds))

    assert state(morning, "Funds") == expected


@pytest.mark.parametrize(("seconds", "expected"), [(90, "good"), (91, "warning"), (180, "warning"), (181, "bad")])
def test_the_book_was_compared(morning: Desk, seconds: float, expected: str):
    assert state(morning, "The broker's book", morning.clock() + timedelta(seconds=seconds)) == expected


def test_an_order_in_doubt_is_not_ready(morning: Desk, in_doubt: Any):
    in_doubt()

    assert (found(morning, "Orders in doubt").measured, state(morning, "Orders in doubt")) == ("1", "bad")
    assert state(morning, "Auto-trading") == "warning"


@pytest.mark.parametrize(("listeners", "expected"), [(2, "good"), (0, "bad"), (None, "bad")])
def test_redis_is_reached_and_somebody_listens(morning: Desk, monkeypatch: Any, listeners: Any, expected: str):
    monkeypatch.setattr(start_of_day, "channel_listeners", lambda url, channel: listeners)

    assert state(morning, "Redis") == expected


def test_who_listens_to_the_channel_is_counted(settings: Any):
    url, channel = settings.REDIS_URL, "a-channel-of-the-start-of-day"
    assert channel_listeners(url, channel) == 0
    with connect(url).pubsub() as subscription:
        subscription.subscribe(channel)
        subscription.get_message(timeout=2)

        assert channel_listeners(url, channel) == 1

    assert channel_listeners("redis://127.0.0.1:1/0", channel, within_seconds=0.2) is None


@pytest.mark.parametrize(("stops", "expected"), [(True, "bad"), (False, "warning")])
def test_open_incidents_are_told(morning: Desk, stops: bool, expected: str):
    Incident.objects.open(
        Incident.Kind.OVERFILL, mode=morning.mode, title="x", now=morning.clock(), stops_opening=stops
    )

    assert state(morning, "Incidents") == expected


def test_a_halt_says_by_whom_and_why(morning: Desk):
    control.halt(morning.mode, by="priya", reason="odd fills", now=morning.clock())

    assert found(morning, "Trading").measured == "halted, by priya: odd fills"
    assert not is_ready(checks(morning, morning.clock()))


def test_auto_trading_off_is_the_last_step_and_no_failure(morning: Desk):
    control.auto_trading_off(morning.mode, by="priya", reason="lunch", now=morning.clock())

    assert state(morning, "Auto-trading") == "warning"
    assert is_ready(checks(morning, morning.clock()))


def test_the_command_prints_the_list_and_ends_with_one_when_something_is_not_ready(morning: Desk, settings: Any):
    out = StringIO()
    settings.SECRET_KEY = "a secret of the suite"

    call_command("start_of_day", stdout=out)
    assert "GOOD    Auto-trading" in out.getvalue()

    ExecutorHeartbeat.objects.all().delete()
    with pytest.raises(CommandError, match="not ready to trade"):
        call_command("start_of_day", stdout=out)
    assert "BAD     Executor" in out.getvalue()
    assert "→ Start it: make run" in out.getvalue()
