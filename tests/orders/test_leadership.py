"""One executor leads; a silent one is ended from outside; one that lost its lock notices."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db.models import F
from django.utils import timezone

from orders.leadership import REIGN_SECONDS, SILENCE_SECONDS, Leadership, LeadershipLost, Reign
from orders.models import ExecutorHeartbeat

from .paper.paper_process import until
from .together import direct_connection, held_up

pytestmark = pytest.mark.django_db(transaction=True)


class Stopwatch:
    def __init__(self):
        self.read = 1000.0

    def __call__(self):
        return self.read


@pytest.fixture
def stopwatch():
    return Stopwatch()


@pytest.fixture
def leader():
    leadership = Leadership("PAPER")
    yield leadership
    leadership.give_up()


@pytest.fixture
def standby(stopwatch):
    leadership = Leadership("PAPER", stopwatch)
    yield leadership
    leadership.give_up()


def test_one_leads_and_the_second_stands_by(leader, standby):
    assert leader.try_to_lead()

    assert not standby.try_to_lead()
    assert not standby.try_to_lead()


def test_each_mode_has_a_leader_of_its_own(leader):
    live = Leadership("LIVE")

    assert leader.try_to_lead()
    assert live.try_to_lead()

    live.give_up()
    assert ExecutorHeartbeat.objects.count() == 2


def test_a_leader_that_gives_up_makes_room(leader, standby):
    leader.try_to_lead()

    leader.give_up()

    until(standby.try_to_lead)
    assert ExecutorHeartbeat.objects.get().backend_pid == standby._connection.info.backend_pid


def test_a_beat_is_written_down_by_the_databases_clock_and_not_by_ours(leader, monkeypatch):
    monkeypatch.setattr(timezone, "now", lambda: datetime(2001, 1, 1, tzinfo=UTC))
    leader.try_to_lead()
    taken_at = ExecutorHeartbeat.objects.get().beat_at

    leader.beat()

    beat = ExecutorHeartbeat.objects.get()
    assert beat.beat_at > taken_at == beat.started_at
    with direct_connection() as other:
        assert other.execute("SELECT abs(extract(epoch FROM clock_timestamp() - %s)) < 5", [beat.beat_at]).fetchone()[0]


@pytest.mark.parametrize(("silence", "ended"), [(4.0, False), (4.001, True)])
def test_a_leader_is_ended_after_four_seconds_of_silence_and_not_before(leader, standby, stopwatch, silence, ended):
    leader.try_to_lead()
    assert not standby.end_a_silent_leader()

    stopwatch.read += silence

    assert standby.end_a_silent_leader() == ended
    if ended:
        until(standby.try_to_lead)
    else:
        assert not standby.try_to_lead()


def test_each_beat_that_is_seen_begins_the_silence_anew(leader, standby, stopwatch):
    leader.try_to_lead()
    for _ in range(5):
        assert not standby.end_a_silent_leader()
        stopwatch.read += 3.9
        leader.beat()

    assert not standby.end_a_silent_leader()


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_set_an_hour_off_neither_ends_a_healthy_leader_nor_hides_a_silent_one(
    leader, standby, stopwatch, hours
):
    """The heartbeat reads an hour off whatever clock the standby looks at."""
    leader.try_to_lead()
    beat_at = F("beat_at") + timedelta(hours=hours)
    ExecutorHeartbeat.objects.update(beat_at=beat_at)
    assert not standby.end_a_silent_leader()
    stopwatch.read += 3.9
    ExecutorHeartbeat.objects.update(beat_at=beat_at)  # it beats on
    assert not standby.end_a_silent_leader()

    stopwatch.read += 4.001

    assert standby.end_a_silent_leader()


def test_a_standby_that_was_paused_itself_looks_again_before_it_ends_anybody(leader, standby, stopwatch):
    leader.try_to_lead()
    standby.end_a_silent_leader()

    stopwatch.read += 600
    leader.beat()

    assert not standby.end_a_silent_leader()


def test_a_leader_that_was_ended_notices_at_its_next_beat(leader, standby, stopwatch):
    leader.try_to_lead()
    standby.end_a_silent_leader()
    stopwatch.read += 5
    standby.end_a_silent_leader()
    until(standby.try_to_lead)
    theirs = ExecutorHeartbeat.objects.get()

    with pytest.raises(LeadershipLost, match="the connection that held the leader's lock is gone"):
        leader.beat()

    assert ExecutorHeartbeat.objects.get().beat_at == theirs.beat_at


def test_a_beat_that_does_not_reach_the_backend_with_the_lock_is_the_end_of_leading(leader):
    """A pooler between us and the database gave the beat to another session than the lock."""
    leader.try_to_lead()
    ExecutorHeartbeat.objects.update(backend_pid=F("backend_pid") + 1)

    with pytest.raises(LeadershipLost, match="not of the connection that took"):
        leader.beat()


def test_of_two_that_a_pooler_gave_one_backend_the_first_notices_at_its_next_beat(leader, standby):
    """An advisory lock is its session's: who shares the session is given the lock again."""
    leader.try_to_lead()
    standby._connection = leader._connection

    assert standby.try_to_lead()
    standby.beat()

    with pytest.raises(LeadershipLost, match="or not ours"):
        leader.beat()


def test_the_locks_session_gives_up_a_statement_that_hangs_and_a_transaction_that_stands_still(leader):
    leader.try_to_lead()

    limits = [
        leader._connection.execute(f"SHOW {name}").fetchone()[0]
        for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
    ]

    assert limits == ["2s", "2s", "5s"]


def test_a_beat_that_is_held_up_is_the_end_of_leading_within_what_the_last_one_granted(leader):
    leader.try_to_lead()

    with held_up("orders_executorheartbeat"), pytest.raises(LeadershipLost):
        leader.beat()


def test_a_leader_whose_backend_was_terminated_notices_at_its_next_beat(leader):
    leader.try_to_lead()
    with direct_connection() as other:
        other.execute("SELECT pg_terminate_backend(%s)", [leader._connection.info.backend_pid])

    def lost():
        try:
            leader.beat()
        except LeadershipLost:
            return True
        return False

    assert until(lost)


def test_no_other_connection_is_ended_for_a_number_it_was_given_since(standby, stopwatch, clock):
    """The heartbeat names a backend that is somebody else's now: it does not hold the lock."""
    with direct_connection() as innocent:
        ExecutorHeartbeat.objects.create(
            mode="PAPER", host="h", pid=1, backend_pid=innocent.info.backend_pid, started_at=clock(), beat_at=clock()
        )
        standby.end_a_silent_leader()
        stopwatch.read += 60

        assert not standby.end_a_silent_leader()

        assert innocent.execute("SELECT 1").fetchone() == (1,)


def test_without_any_leader_there_is_nobody_to_end(standby, stopwatch):
    assert not standby.end_a_silent_leader()
    stopwatch.read += 60
    assert not standby.end_a_silent_leader()


def test_giving_up_twice_does_no_harm(leader):
    leader.try_to_lead()

    leader.give_up()
    leader.give_up()


# --- What the threads of a process may believe -----------------------------------------------------------------------


@pytest.mark.parametrize(("paused", "leads"), [(2.999, True), (3.0, False)])
def test_a_beat_grants_three_seconds_by_a_clock_that_counts_suspension(stopwatch, paused, leads):
    reign = Reign(stopwatch)
    reign.extend(stopwatch())

    stopwatch.read += paused

    assert reign.leads() == leads
    assert REIGN_SECONDS < SILENCE_SECONDS


def test_a_beat_that_was_asked_for_before_a_pause_grants_nothing_after_it(stopwatch):
    reign = Reign(stopwatch)
    asked_at = stopwatch()

    stopwatch.read += 10
    reign.extend(asked_at)

    assert not reign.leads()


def test_not_leading_does_not_say_that_another_one_does(stopwatch):
    reign = Reign(stopwatch)
    reign.extend(stopwatch())

    reign.end()
    assert (reign.leads(), reign.another_leads()) == (False, False)
    reign.leave_to_another()
    assert (reign.leads(), reign.another_leads()) == (False, True)
    reign.extend(stopwatch())
    assert (reign.leads(), reign.another_leads()) == (True, False)
