"""A silent executor is told once an outage, and its return; the dead man's ping leaves only while it is alive."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from orders.alerting import ping, watching
from orders.alerting.pulse import FRESH_SECONDS, SILENT_SECONDS
from orders.alerting.wording import Words
from orders.broker.sessions import TokenVault
from orders.models import AlertSender, ExecutorHeartbeat
from risk.models import Incident, Mode

from .conftest import Told, kinds


@pytest.fixture
def beat(desk, clock) -> Any:
    """Have the executor beat once, by the database's clock, which is not the sender's."""
    apart = timedelta(hours=1)

    def once(mode: str = desk.mode) -> None:
        at = clock() + apart
        defaults = {"host": "h", "pid": 1, "backend_pid": 2, "started_at": at, "beat_at": at}
        ExecutorHeartbeat.objects.update_or_create(mode=mode, defaults=defaults)

    return once


@pytest.fixture
def alive(beat, clock) -> Any:
    """Let so many seconds pass in which the executor beats, with a turn after each beat."""

    def go(sender: Any, seconds: int, *, every: int = 1) -> None:
        for _ in range(seconds // every):
            beat()
            sender.turns()
            clock.advance(seconds=every)

    return go


@pytest.fixture(params=[Mode.LIVE, Mode.SHADOW])
def real(desk, request) -> Any:
    """A desk whose login is a real account's: one that trades live, and one in its shadow."""
    mode = request.param
    return replace(desk, mode=mode, vault=TokenVault(mode, secret_key="a secret of the suite"))


def of_pulse(mode: str = "PAPER") -> list[str]:
    return [kind for kind in kinds(mode) if kind.startswith("EXECUTOR")]


def test_the_executor_is_silent_just_past_its_limit(start, alive, clock):
    channel = Told()
    sender = start(hook=channel)
    alive(sender, 3)  # the last beat was a second ago

    clock.advance(seconds=SILENT_SECONDS - 1)
    sender.turns()
    assert of_pulse() == []

    clock.advance(seconds=0.01)
    sender.turns()
    assert of_pulse() == ["EXECUTOR_SILENT"]
    assert channel.titles == ["PAPER: The executor is silent"]
    assert "Next: Nothing is heard, sent or followed meanwhile." in channel.words[0].text
    assert "Last seen " in channel.words[0].text


def test_an_outage_is_told_once_and_so_is_its_end(start, alive, clock):
    sender = start(hook=Told())
    for _ in range(2):
        alive(sender, 3)
        for _ in range(6):
            clock.advance(seconds=10)
            sender.turns()
    alive(sender, 6)

    assert of_pulse() == ["EXECUTOR_SILENT", "EXECUTOR_BACK"] * 2


def test_a_sender_that_starts_in_an_outage_waits_before_it_cries_and_does_not_tell_it_again(start, beat, clock):
    beat()
    first = start(hook=Told())
    clock.advance(seconds=SILENT_SECONDS)
    first.turns()
    assert of_pulse() == []
    clock.advance(seconds=1)
    first.turns()
    assert of_pulse() == ["EXECUTOR_SILENT"]
    first.sender.end()

    second = start(hook=Told())
    clock.advance(seconds=100)
    second.turns()
    assert of_pulse() == ["EXECUTOR_SILENT"]


def test_the_return_is_told_by_another_sender_too(start, beat, alive, clock):
    beat()
    first = start(hook=Told())
    clock.advance(seconds=100)
    first.turns()
    first.sender.end()

    second = start(hook=Told())
    alive(second, 3)

    assert of_pulse() == ["EXECUTOR_SILENT", "EXECUTOR_BACK"]


def test_on_paper_nobody_is_missed_who_was_never_there(start, clock):
    sender = start(hook=Told())

    clock.advance(seconds=1000)
    sender.turns()

    assert of_pulse() == []


def test_with_a_real_login_an_executor_is_missed_that_never_came(start, real, clock):
    sender = start(at=real, hook=Told())

    clock.advance(seconds=SILENT_SECONDS)
    sender.turns()
    assert of_pulse(real.mode) == []

    clock.advance(seconds=1)
    sender.turns(2)
    assert of_pulse(real.mode) == ["EXECUTOR_SILENT"]


def test_the_beats_of_another_mode_are_not_those_of_the_shadow(start, desk, alive, clock):
    vault = TokenVault(Mode.SHADOW, secret_key="a secret of the suite")
    sender = start(at=replace(desk, mode=Mode.SHADOW, vault=vault), hook=Told())

    alive(sender, int(SILENT_SECONDS) + 2)  # on paper

    assert of_pulse("SHADOW") == ["EXECUTOR_SILENT"]


def test_another_leader_that_takes_over_is_no_silence(start, alive, clock):
    sender = start(hook=Told())
    alive(sender, 3)
    ExecutorHeartbeat.objects.update(backend_pid=77)
    clock.advance(seconds=5)
    alive(sender, 3)

    assert of_pulse() == []


# --- The ping ---------------------------------------------------------------------------------------------------------


def test_a_ping_leaves_every_minute_while_the_executor_beats(start, alive):
    pinged = Told()
    sender = start(ping=pinged)

    alive(sender, 120, every=5)

    assert len(pinged.words) == 2
    assert AlertSender.objects.get().pinged_at is not None


@pytest.mark.parametrize(("age", "pings"), [(FRESH_SECONDS, 1), (FRESH_SECONDS + 0.01, 0)])
def test_a_ping_leaves_at_the_limit_of_the_heartbeat_s_age_and_not_past_it(start, alive, clock, age, pings):
    pinged = Told()
    sender = start(ping=pinged)
    alive(sender, 3)  # the last beat was a second ago
    sender.sender._pinger._next_at = clock().timestamp()
    pinged.words.clear()

    clock.advance(seconds=age - 1)
    sender.turns()

    assert len(pinged.words) == pings


def test_after_an_outage_the_next_ping_leaves_at_once(start, alive, clock):
    pinged = Told()
    sender = start(ping=pinged)
    alive(sender, 3)
    clock.advance(seconds=600)
    sender.turns()
    assert len(pinged.words) == 1

    alive(sender, 2)

    assert len(pinged.words) == 2


def test_on_paper_without_an_executor_the_sender_pings_for_itself_and_with_a_real_login_not(start, real):
    paper, really = Told(), Told()
    start(ping=paper).turns()
    start(at=real, ping=really).turns()

    assert (len(paper.words), len(really.words)) == (1, 0)


@pytest.mark.parametrize("watcher", ["incidents", "mornings"])
def test_while_a_watcher_fails_no_ping_leaves_and_the_next_one_does_once_it_works(start, alive, monkeypatch, watcher):
    pinged = Told()
    sender = start(ping=pinged)
    alive(sender, 3)
    pinged.words.clear()
    real = sender.sender._guarded

    def odd(name, act):
        real(name, (lambda: 1 / 0) if name == watcher else act)

    with monkeypatch.context() as patch:
        patch.setattr(sender.sender, "_guarded", odd)
        alive(sender, 130, every=5)
        assert pinged.words == []

    alive(sender, 4, every=2)
    assert len(pinged.words) == 1


def test_a_single_row_that_trips_us_up_stops_no_ping(start, alive, incident, monkeypatch):
    pinged = Told()
    sender = start(ping=pinged)
    odd = [replace(table, news=lambda row: 1 / 0) for table in watching.TABLES]
    monkeypatch.setattr(watching, "TABLES", odd)
    incident(Incident.Kind.ORDER_IN_DOUBT)

    alive(sender, 120, every=5)

    assert len(pinged.words) == 2


def test_a_ping_that_fails_is_kept_without_its_address(start, alive):
    sender = start(ping=Told(errors=["HTTP 404"]))
    alive(sender, 3)

    assert AlertSender.objects.get().ping_error == "HTTP 404"
    alive(sender, 65, every=5)
    assert AlertSender.objects.get().ping_error == ""


def test_a_ping_asks_for_its_address_and_says_why_not_without_naming_it(webhooks):
    hook = webhooks()
    url = f"http://{hook.at}/ping/a-secret-of-ours"
    nothing = Words(title="", text="")

    assert ping.ask_for(url, nothing) == ""
    assert hook.asked == ["/ping/a-secret-of-ours"]
    hook.status = 503
    assert ping.ask_for(url, nothing) == "HTTP 503"
    hook.stop()
    assert ping.ask_for(url, nothing) == "ConnectionError"
