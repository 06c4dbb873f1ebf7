"""Faults as words of a command line, and which requests they strike."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from orders.paper.faults.faults import Fault, Kind, Route
from orders.paper.faults.queue import FaultQueue
from orders.paper.faults.specification import FaultUnreadable, read_fault, spell


def struck(fault: Fault, requests: int) -> list[int]:
    queue = FaultQueue([fault])
    return [number for number in range(1, requests + 1) if queue.take(fault.route) is not None]


def test_the_third_place_is_accepted_and_its_connection_dropped():
    fault = read_fault("place:drop_after:skip=2")

    assert (fault.route, fault.do) == (Route.PLACE, Kind.DROP_AFTER)
    assert struck(fault, 10) == [3]


def test_answer_429_place_it_anyway_show_it_after_five_seconds():
    fault = read_fault("place:error_429_after:hide_seconds=5")

    assert fault.do is Kind.ERROR_429_AFTER
    assert fault.quirks.hidden_for.total_seconds() == 5


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "with a route of place, modify"),
        ("place", "'' is none of drop_before"),
        ("nowhere:token", "with a route of"),
        ("place:nothing", "'nothing' is none of"),
        ("place:delay", "delay needs seconds"),
        ("place:delay:seconds", "is not name=value"),
        ("place:delay:seconds=x", "seconds: Input should be a valid number"),
        ("place:delay:minutes=1", "with a name of times"),
        ("place:token:times=0", "greater than or equal to 1"),
        ("place:token:probability=0", "greater than 0"),
        ("place:token:probability=1.1", "less than or equal to 1"),
        ("place:error_503:hide_seconds=1", "when the order gets there"),
        ("orders:drop_after:hold=true", "can be said of the route place"),
        ("modify:fill_first", "for the route cancel"),
        ("place:ignore", "for the route modify or cancel"),
        ("place:drop_after:times=-1", "greater than or equal to 1"),
        ("place:drop_after:times=100001", "less than or equal to 100000"),
        ("place:drop_after:skip=-1", "greater than or equal to 0"),
        ("place:token:probability=-0.1", "greater than 0"),
        ("place:token:probability=nan", "finite number"),
        ("place:delay:seconds=-0.1", "seconds: Input should be greater than or equal to 0"),
        ("place:delay:seconds=86401", "less than or equal to 86400"),
        ("place:delay:seconds=inf", "finite number"),
        ("place:drop_after:seconds=5", "drop_after takes no seconds"),
        ("updates:duplicate:seconds=5", "duplicate takes no seconds"),
        ("stream:silent:seconds=5", "silent takes no seconds"),
        ("cancel:ignore:seconds=5", "ignore takes no seconds"),
        ("place:partial_fill:shares=4,seconds=5", "partial_fill takes no seconds"),
        ("place:token:seed=7", "seed is for a probability below 1"),
        ("place:token:times=2,times=3", "times is said twice"),
        ("place:token:do=hide", "with a name of times"),
        ("place:partial_fill", "partial_fill needs shares"),
        ("place:drop_after:shares=-1", "greater than or equal to 0"),
        ("orders:drop_after:hide_seconds=5", "can be said of the route place"),
        ("any:drop_after:hide_seconds=5", "can be said of the route place"),
        ("orders:error_503:shares=4", "can be said of the route place"),
        ("cancel:drop_after:stuck_seconds=5", "can be said of the route place"),
        ("place:reset_before:hide_seconds=5", "when the order gets there"),
        ("place:error_504_html:reject_seconds=5", "when the order gets there"),
        ("place:hide:seconds=5,hide_seconds=5", "hide says by itself what hide_seconds says"),
        ("place:hide:seconds=5,hide_seconds=0", "hide says by itself what hide_seconds says"),
        ("place:stuck:seconds=5,stuck_seconds=5", "stuck says by itself what stuck_seconds says"),
        ("place:reject_later:reject_seconds=5", "reject_later says by itself what reject_seconds says"),
        ("place:hold_fill:hold=true", "hold_fill says by itself what hold says"),
        ("place:hold_fill:shares=4", "an order that is held fills no shares"),
        ("place:partial_fill:shares=4,hold=true", "an order that is held fills no shares"),
        ("place:drop_after:reject_seconds=5,hold=true", "an order that is rejected fills no shares"),
        ("place:reject_later:shares=0", "an order that is rejected fills no shares"),
        ("place:reject_later:seconds=5,stuck_seconds=6", "stuck for longer is not rejected before"),
        ("place:silent", "for the route stream"),
        ("stream:drop_after", "is for the route"),
        ("place:token:times=1:skip=1", "with a route of"),
    ],
)
def test_what_is_no_fault_is_refused_with_what_is_allowed(text, says):
    with pytest.raises(FaultUnreadable, match=says):
        read_fault(text)


@pytest.mark.parametrize(
    "text",
    [
        "any:hide:seconds=5",
        "place:hide:seconds=5,hold=true",
        "place:hide:seconds=5,reject_seconds=1",
        "place:stuck:seconds=5,reject_seconds=5",
        "place:late_after:seconds=1,hide_seconds=2",
        "place:drop_after:hide_seconds=0,shares=0",
        "place:reject_later",
        "place:reject_later:seconds=5",
        "orders:trickle",
        "orders:trickle:seconds=0.1",
        "cancel:error_503:probability=0.5,seed=7,times=100000,skip=100000",
    ],
)
def test_what_goes_together_is_taken(text):
    assert read_fault(spell(read_fault(text))) == read_fault(text)


@given(
    route=st.sampled_from(Route),
    do=st.sampled_from(Kind),
    times=st.integers(1, 9),
    seconds=st.none() | st.floats(0, 100),
    skip=st.integers(0, 9),
    probability=st.floats(0.01, 1),
    hold=st.booleans(),
)
def test_every_fault_is_read_back_from_its_spelling(**fields):
    try:
        fault = Fault(**fields)
    except ValidationError:
        return

    assert read_fault(spell(fault)) == fault


def test_probability_strikes_the_same_requests_for_the_same_seed():
    fault = Fault(route="orders", do="error_503", probability=0.1, seed=7, times=1000)
    other = fault.model_copy(update={"seed": 8})

    assert struck(fault, 2000) == struck(fault, 2000)
    assert struck(fault, 2000) != struck(other, 2000)
    assert 150 <= len(struck(fault, 2000)) <= 250


def test_skip_and_times_hold_at_their_limits():
    assert struck(Fault(route="orders", do="error_503", skip=3, times=2), 10) == [4, 5]


def test_a_script_strikes_in_its_order():
    queue = FaultQueue([read_fault("place:error_503"), read_fault("any:error_504"), read_fault("place:token")])

    assert [queue.take(Route.PLACE).do for _ in range(3)] == ["error_503", "error_504", "token"]
    assert queue.take(Route.PLACE) is None


@pytest.mark.parametrize("route", [Route.UPDATES, Route.STREAM])
def test_any_means_any_request_and_not_the_socket(route):
    assert FaultQueue([read_fault("any:token")]).take(route) is None


def test_what_cannot_happen_now_is_neither_struck_nor_counted():
    """The stream asks at each tick for what can happen then: a handshake is not refused there."""
    queue = FaultQueue([read_fault("stream:refuse"), read_fault("stream:drop:skip=1")])
    at_tick, at_handshake = frozenset({Kind.DROP, Kind.SILENT}), frozenset({Kind.REFUSE})

    struck = [queue.take(Route.STREAM, kinds) for kinds in (at_tick, at_tick, at_handshake)]

    assert [fault and str(fault.do) for fault in struck] == [None, "drop", "refuse"]


def test_a_waiting_fault_says_how_far_it_has_come():
    queue = FaultQueue([read_fault("place:token:times=3,skip=1")])
    for _ in range(2):
        queue.take(Route.PLACE)

    assert queue.describe() == [
        {"route": "place", "do": "token", "times": 3, "skip": 1, "left": 2, "seen": 2, "struck": 1}
    ]
