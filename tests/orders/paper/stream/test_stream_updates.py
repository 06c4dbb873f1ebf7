"""What each fault does to an order update on its way to the wire."""

from __future__ import annotations

from datetime import timedelta

import pytest

from orders.paper.stream import updates
from orders.paper.stream.mishaps import UpdateFault, UpdateKind, no_update_fault
from orders.paper.stream.updates import Updates

from .stand_ins import NOW


def after(seconds: int) -> object:
    return NOW + timedelta(seconds=seconds)


def faulty(*faults: UpdateFault | None) -> Updates:
    """Return updates that suffer these faults in turn, and none afterwards."""
    queue = list(faults)
    return Updates(lambda now: queue.pop(0) if queue else None)


def a(kind: UpdateKind, seconds: int = 0) -> UpdateFault:
    return UpdateFault(kind=kind, after=timedelta(seconds=seconds))


def test_without_a_fault_each_update_goes_straight_out():
    healthy = Updates(no_update_fault)

    assert [healthy.tell(b"1", NOW), healthy.tell(b"2", NOW)] == [[b"1"], [b"2"]]
    assert healthy.due(after(3600)) == []


def test_a_duplicate_goes_out_twice_and_the_next_once():
    told = faulty(a(UpdateKind.DUPLICATE))

    assert [told.tell(b"1", NOW), told.tell(b"2", NOW)] == [[b"1", b"1"], [b"2"]]


def test_a_missing_one_never_goes_out():
    told = faulty(a(UpdateKind.MISSING))

    assert [told.tell(b"1", NOW), told.tell(b"2", NOW), told.due(after(3600))] == [[], [b"2"], []]


def test_a_late_one_goes_out_when_its_time_has_come_and_not_before():
    told = faulty(a(UpdateKind.LATE, 5))

    assert told.tell(b"1", NOW) == []
    assert told.tell(b"2", after(1)) == [b"2"]
    assert told.due(after(4)) == []
    assert told.due(after(5)) == [b"1"]
    assert told.due(after(6)) == []


def test_late_ones_go_out_in_the_order_of_their_times():
    told = faulty(a(UpdateKind.LATE, 9), a(UpdateKind.LATE, 2))
    told.tell(b"1", NOW)
    told.tell(b"2", NOW)

    assert told.due(after(60)) == [b"2", b"1"]


def test_one_out_of_order_goes_out_after_the_next():
    told = faulty(a(UpdateKind.OUT_OF_ORDER))

    assert [told.tell(b"1", NOW), told.tell(b"2", NOW), told.tell(b"3", NOW)] == [[], [b"2", b"1"], [b"3"]]


def test_one_out_of_order_that_has_no_next_goes_out_when_it_has_waited_long_enough():
    told = faulty(a(UpdateKind.OUT_OF_ORDER))
    told.tell(b"1", NOW)

    assert told.due(after(updates.OVERTAKEN_SECONDS_MAX) - timedelta(seconds=1)) == []
    assert told.due(after(updates.OVERTAKEN_SECONDS_MAX)) == [b"1"]
    assert told.due(after(3600)) == []
    assert told.tell(b"2", after(3600)) == [b"2"]


def test_one_that_was_overtaken_is_not_sent_again_at_the_end_of_its_time():
    told = faulty(a(UpdateKind.OUT_OF_ORDER))
    told.tell(b"1", NOW)
    told.tell(b"2", NOW)

    assert told.due(after(3600)) == []


def test_one_out_of_order_leaves_a_late_one_to_its_time():
    told = faulty(a(UpdateKind.LATE, 60), a(UpdateKind.OUT_OF_ORDER))
    told.tell(b"late", NOW)
    told.tell(b"1", NOW)

    assert told.tell(b"2", after(1)) == [b"2", b"1"]
    assert told.due(after(60)) == [b"late"]


@pytest.mark.parametrize("kind", [UpdateKind.LATE, UpdateKind.OUT_OF_ORDER])
def test_what_is_held_back_can_be_forgotten(kind):
    told = faulty(a(kind, 5))
    told.tell(b"1", NOW)

    told.forget()

    assert told.due(after(3600)) == []
    assert told.tell(b"2", NOW) == [b"2"]


def test_one_that_goes_out_twice_overtakes_like_any_other():
    told = faulty(a(UpdateKind.OUT_OF_ORDER), a(UpdateKind.DUPLICATE))

    assert [told.tell(b"1", NOW), told.tell(b"2", NOW), told.tell(b"3", NOW)] == [[], [b"2", b"2", b"1"], [b"3"]]


def test_two_out_of_order_both_wait_for_one_that_is_not():
    told = faulty(a(UpdateKind.OUT_OF_ORDER), a(UpdateKind.OUT_OF_ORDER))

    assert [told.tell(b"1", NOW), told.tell(b"2", NOW), told.tell(b"3", NOW)] == [[], [], [b"3", b"1", b"2"]]


def test_no_more_than_the_limit_is_held_back(monkeypatch):
    monkeypatch.setattr(updates, "HELD_MAX", 2)
    told = faulty(*[a(UpdateKind.LATE, 5)] * 3)

    assert [told.tell(b"1", NOW), told.tell(b"2", NOW), told.tell(b"3", NOW)] == [[], [], [b"3"]]
