"""One executor leads; a silent one is ended from outside; one that lost its lock notices."""

from __future__ import annotations

from datetime import timedelta

import pytest

from orders.leadership import Leadership, LeadershipLost
from orders.models import ExecutorHeartbeat

from .paper.paper_process import until
from .together import direct_connection

pytestmark = pytest.mark.django_db


@pytest.fixture
def leader():
    leadership = Leadership("PAPER")
    yield leadership
    leadership.give_up()


@pytest.fixture
def standby():
    leadership = Leadership("PAPER")
    yield leadership
    leadership.give_up()


def test_one_leads_and_the_second_stands_by(leader, standby, clock):
    assert leader.try_to_lead(clock())

    assert not standby.try_to_lead(clock())
    assert not standby.try_to_lead(clock())


def test_each_mode_has_a_leader_of_its_own(leader, clock):
    live = Leadership("LIVE")

    assert leader.try_to_lead(clock())
    assert live.try_to_lead(clock())

    live.give_up()
    assert ExecutorHeartbeat.objects.count() == 2


def test_a_leader_that_gives_up_makes_room(leader, standby, clock):
    leader.try_to_lead(clock())

    leader.give_up()

    until(lambda: standby.try_to_lead(clock()))
    assert ExecutorHeartbeat.objects.get().backend_pid == standby._connection.info.backend_pid


def test_a_beat_is_written_down(leader, clock):
    leader.try_to_lead(clock())
    later = clock() + timedelta(seconds=1)

    leader.beat(later)

    assert ExecutorHeartbeat.objects.get().beat_at == later


@pytest.mark.parametrize(("silence", "ended"), [(4.0, False), (4.001, True)])
def test_a_leader_is_ended_after_four_seconds_of_silence_and_not_before(leader, standby, clock, silence, ended):
    began = clock()
    leader.try_to_lead(began)

    assert standby.end_a_silent_leader(began + timedelta(seconds=silence)) == ended

    if ended:
        until(lambda: standby.try_to_lead(began))
    else:
        assert not standby.try_to_lead(began)


def test_a_leader_that_was_ended_notices_at_its_next_beat(leader, standby, clock):
    began = clock()
    leader.try_to_lead(began)
    standby.end_a_silent_leader(began + timedelta(seconds=5))
    until(lambda: standby.try_to_lead(began))

    with pytest.raises(LeadershipLost, match="the connection that held the leader's lock is gone"):
        leader.beat(clock())

    assert ExecutorHeartbeat.objects.get().beat_at == began


def test_a_leader_whose_backend_was_terminated_notices_at_its_next_beat(leader, clock):
    leader.try_to_lead(clock())
    with direct_connection() as other:
        other.execute("SELECT pg_terminate_backend(%s)", [leader._connection.info.backend_pid])

    def lost():
        try:
            leader.beat(clock())
        except LeadershipLost:
            return True
        return False

    assert until(lost)


def test_no_other_connection_is_ended_for_a_number_it_was_given_since(standby, clock):
    """The heartbeat names a backend that is somebody else's now: it does not hold the lock."""
    with direct_connection() as innocent:
        ExecutorHeartbeat.objects.create(
            mode="PAPER", host="h", pid=1, backend_pid=innocent.info.backend_pid,
            started_at=clock(), beat_at=clock() - timedelta(minutes=1),
        )  # fmt: skip

        assert not standby.end_a_silent_leader(clock())

        assert innocent.execute("SELECT 1").fetchone() == (1,)


def test_without_any_leader_there_is_nobody_to_end(standby, clock):
    assert not standby.end_a_silent_leader(clock())


def test_giving_up_twice_does_no_harm(leader, clock):
    leader.try_to_lead(clock())

    leader.give_up()
    leader.give_up()
