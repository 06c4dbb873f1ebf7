"""One watchdog for all calls: each ends by its own time, and what is over is left alone."""

from __future__ import annotations

import os
import socket
import threading

import pytest

from orders.broker import deadline as module
from orders.broker.deadline import deadline

SOON, LATE = 0.05, 60.0


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    theirs.settimeout(20)
    yield ours, theirs
    ours.close()
    theirs.close()


def is_shut(theirs) -> bool:
    """Wait until the other side is shut down; it is an error when it is not."""
    return theirs.recv(1) == b""


def test_a_call_that_takes_too_long_is_ended(pair):
    ours, theirs = pair
    with deadline(SOON) as call:
        call.leave(ours)

        assert is_shut(theirs)
        assert call.given_up


def test_a_short_call_is_ended_in_its_time_beside_a_long_one(pair):
    ours, theirs = pair
    with deadline(LATE) as long, deadline(SOON) as short:
        short.leave(ours)

        assert is_shut(theirs)
        assert (short.given_up, long.given_up) == (True, False)


def test_a_call_that_is_over_is_not_ended_later(pair):
    """Its socket is kept alive, and carries the next call."""
    ours, theirs = pair
    with deadline(SOON) as first:
        first.leave(ours)
    other, far = socket.socketpair()
    far.settimeout(20)
    with deadline(SOON) as second:  # which ends after the first one would have
        second.leave(other)
        assert is_shut(far)

    assert not first.given_up
    ours.sendall(b"x")
    assert theirs.recv(1) == b"x"
    other.close()
    far.close()


def test_a_call_that_fails_is_forgotten():
    with pytest.raises(RuntimeError), deadline(LATE) as call:
        raise RuntimeError("the broker is away")

    assert call not in module._WATCHDOG._ends


def test_many_calls_at_once_share_one_thread(pair):
    before = threading.active_count()
    with deadline(LATE):
        begun = threading.active_count()
        with deadline(LATE), deadline(LATE), deadline(LATE):
            assert threading.active_count() == begun
    assert begun <= before + 1


def test_a_forked_process_ends_its_calls_too(pair):
    ours, theirs = pair
    with deadline(LATE):
        child = os.fork()
        if child == 0:
            with deadline(SOON) as call:
                call.leave(ours)
                shut = is_shut(theirs)
            os._exit(0 if shut and call.given_up else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
