"""The login at 08:45 and the desk at 09:00: at the minute, once, on days on which there is trading."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from typing import Any

import pytest

from orders import start_of_day
from orders.alerting import mornings
from orders.broker.sessions import TokenVault
from orders.desk import Desk
from orders.models import Alert, AlertSender
from orders.start_of_day import Check, State
from risk.engine.sessions import MUMBAI
from risk.models import CalendarDay, Mode

from .conftest import Running, Told, kinds

MONDAY, SATURDAY = date(2026, 11, 23), date(2026, 11, 28)


@pytest.fixture
def at(clock) -> Any:
    """Set the clock to a time of day in Mumbai."""

    def set_to(day: date, time: str) -> None:
        clock.moment = datetime.fromisoformat(f"{day}T{time}").replace(tzinfo=MUMBAI)

    return set_to


@pytest.fixture
def live(desk: Desk) -> Desk:
    return replace(desk, mode=Mode.LIVE, vault=TokenVault(Mode.LIVE, secret_key="a secret of the suite"))


@pytest.fixture
def checked(monkeypatch) -> list[Check]:
    """What the start of day finds: nothing that is not ready, unless a test adds it."""
    found: list[Check] = [Check(title="Auto-trading", state=State.WARNING, measured="off")]
    monkeypatch.setattr(start_of_day, "checks", lambda desk, now: found)
    return found


def bad(title: str) -> Check:
    return Check(title=title, state=State.BAD, measured="12345.5 INR", what_to_do="Mend it.", page="")


def of_mornings(mode: str) -> list[str]:
    return [kind for kind in kinds(mode) if kind in {"LOGIN_NEEDED", "NOT_READY"}]


def started(start, at, when: Desk, day: date, time: str) -> tuple[Running, Told]:
    at(day, time)
    channel = Told()
    return start(at=when, hook=channel), channel


@pytest.mark.parametrize(
    ("time", "told"),
    [
        ("08:44:59", []),
        ("08:45:00", ["LOGIN_NEEDED"]),
        ("12:00:00", ["LOGIN_NEEDED"]),
        ("15:29:59", ["LOGIN_NEEDED"]),
        ("15:30:00", []),
        ("23:00:00", []),
    ],
)
def test_without_a_login_it_is_told_from_0845_to_the_close(start, at, live, checked, time, told):
    sender, _ = started(start, at, live, MONDAY, time)
    sender.turns()

    assert of_mornings("LIVE") == told


@pytest.mark.parametrize(("time", "told"), [("08:44:59", []), ("08:45:00", ["LOGIN_NEEDED"]), ("15:30:00", [])])
def test_the_shadow_needs_its_login_as_early_as_live(start, at, desk, checked, time, told):
    """Its prices are Zerodha's, and it has a login of its own."""
    TokenVault(Mode.LIVE, secret_key="a secret of the suite").keep("of live", user_id="AB1234", now=desk.clock())
    vault = TokenVault(Mode.SHADOW, secret_key="a secret of the suite")
    sender, _ = started(start, at, replace(desk, mode=Mode.SHADOW, vault=vault), MONDAY, time)
    sender.turns()

    assert of_mornings("SHADOW") == told
    assert of_mornings("LIVE") == of_mornings("PAPER") == []


def test_the_shadow_is_told_at_nine_that_it_is_not_ready(start, at, desk, monkeypatch):
    """By the checks of the start of day themselves: nobody is logged in, and no executor runs."""
    shadow = replace(desk, mode=Mode.SHADOW, vault=TokenVault(Mode.SHADOW, secret_key="a secret of the suite"))
    monkeypatch.setattr(start_of_day, "channel_listeners", lambda url, channel: 1)
    sender, channel = started(start, at, shadow, MONDAY, "09:00:00")
    sender.turns()

    assert of_mornings("SHADOW") == ["LOGIN_NEEDED", "NOT_READY"]
    text = "".join(words.text for words in channel.words)
    assert "Login at the broker" in text
    assert "Armed for live orders" not in text


def test_a_login_that_is_valid_is_no_alert_nor_is_one_that_ends_later(start, at, live, checked, clock):
    sender, _ = started(start, at, live, MONDAY, "08:40:00")
    live.vault.keep("token-of-today", user_id="AB1234", now=clock())

    clock.advance(minutes=5)
    sender.turns()
    live.vault.refuse("logged in elsewhere", asked_at=clock(), now=clock())
    clock.advance(minutes=10)
    sender.turns()

    assert of_mornings("LIVE") == []


@pytest.mark.parametrize(
    ("prepare", "says"),
    [
        (lambda desk, now: None, "There was none yet."),
        (lambda desk, now: desk.vault.keep("t" * 20, user_id="A", now=now.replace(day=22)), "The last one has ended."),
    ],
)
def test_the_alert_says_what_became_of_the_last_login(start, at, live, checked, clock, prepare, says):
    sender, channel = started(start, at, live, MONDAY, "08:44:50")
    prepare(live, clock())

    clock.advance(seconds=10)
    sender.turns()

    (words,) = channel.words
    assert words.title == "LIVE: Log in to Kite: there is no login for today"
    assert says in words.text
    assert "Next: Session → Log in to Kite" in words.text


@pytest.mark.parametrize(("time", "told"), [("08:59:59", []), ("09:00:00", ["NOT_READY"])])
def test_a_desk_that_is_not_ready_is_told_at_nine(start, at, desk, checked, time, told):
    checked += [bad("Executor"), bad("Limits")]
    sender, channel = started(start, at, desk, MONDAY, time)
    sender.turns()

    assert of_mornings("PAPER") == told
    for words in channel.words:
        assert words.title == "PAPER: Not ready to trade: Executor, Limits"
        assert "Executor: ₹12,345.50. Mend it." in words.text
        assert "Auto-trading" not in words.text


def test_a_desk_that_is_ready_with_something_to_look_at_is_not_told(start, at, desk, checked):
    sender, _ = started(start, at, desk, MONDAY, "09:00:00")
    sender.turns()

    assert of_mornings("PAPER") == []


@pytest.mark.parametrize("day", [SATURDAY, date(2026, 11, 24)])
def test_on_days_without_a_session_the_mornings_are_quiet(start, at, live, checked, day):
    checked.append(bad("Executor"))
    assert day == SATURDAY or CalendarDay.objects.get(date=day).kind == "HOLIDAY"
    sender, _ = started(start, at, live, day, "09:05:00")
    sender.turns()

    assert of_mornings("LIVE") == []


def test_a_saturday_with_a_session_of_its_own_is_a_day_of_trading(start, at, live, checked):
    hours = {"kind": "SPECIAL", "opens": "10:00", "closes": "12:00", "entered_by": "rita", "entered_at": live.clock()}
    CalendarDay.objects.update_or_create(date=SATURDAY, defaults=hours)
    sender, _ = started(start, at, live, SATURDAY, "08:45:00")
    sender.turns()

    assert of_mornings("LIVE") == ["LOGIN_NEEDED"]


def test_paper_needs_no_login(start, at, desk, checked):
    sender, _ = started(start, at, desk, MONDAY, "08:50:00")
    sender.turns()

    assert of_mornings("PAPER") == []


def test_each_morning_of_a_day_of_trading_is_told_once_and_the_next_one_again(start, at, live, checked, clock):
    checked.append(bad("Executor"))
    sender, channel = started(start, at, live, MONDAY, "08:45:00")
    for _ in range(3):
        sender.turns()
        clock.advance(minutes=10)
    sender.sender.end()
    second = start(at=live, hook=channel)
    second.turns(2)
    assert of_mornings("LIVE") == ["LOGIN_NEEDED", "NOT_READY"]

    clock.advance(hours=48)
    second.turns()
    assert of_mornings("LIVE") == ["LOGIN_NEEDED", "NOT_READY"] * 2


def test_a_look_that_fails_is_taken_again(start, at, desk, checked, monkeypatch):
    sender, _ = started(start, at, desk, MONDAY, "08:59:00")
    looks = iter([RuntimeError("odd"), None])

    def odd(desk: Desk, now: datetime) -> list[Check]:
        if trouble := next(looks):
            raise trouble
        return [bad("Executor")]

    monkeypatch.setattr(start_of_day, "checks", odd)
    at(MONDAY, "09:00:00")
    sender.sender.turn()
    assert of_mornings("PAPER") == []
    sender.sender.turn()

    assert of_mornings("PAPER") == ["NOT_READY"]
    assert AlertSender.objects.get(mode="PAPER").mornings["ready"] == str(MONDAY)


def test_the_real_checks_are_asked(start, at, desk):
    """Without an executor, a comparison or a listener the desk of this test is not ready."""
    sender, _ = started(start, at, desk, MONDAY, "09:00:00")
    sender.turns()

    alert = Alert.objects.get(kind="NOT_READY")
    assert "Executor" in alert.title
    assert "never seen" in alert.text
    assert [name for name, *_ in mornings.LOOKS] == ["login", "ready"]
