"""The table of an order's life, and the one door through it."""

from __future__ import annotations

import pytest
from django.db import transaction

from orders.lifecycle import (
    INFERRED,
    MODIFICATION_TRANSITIONS,
    MODIFICATION_UNFINISHED,
    TRANSITIONS,
    UNFINISHED,
    WORKING,
    ModificationState,
    OrderStatus,
    may_follow,
    modification_may_follow,
)
from orders.models import Order, OrderEvent
from tests.conftest import statuses

from .together import Together, held_up

S = OrderStatus
# How far an order has got; a report never takes it to a lower one, save where we only inferred what we had.
PROGRESS = {
    S.PENDING: 0,
    S.SUBMITTING: 1,
    S.IN_DOUBT: 2,
    S.OPEN: 3,
    S.PARTIALLY_FILLED: 4,
    S.NOT_PLACED: 5,
    S.REJECTED: 5,
    S.WITHDRAWN: 5,
    S.CANCELLED: 5,
    S.FILLED: 6,
}


def test_the_table_says_of_every_status_what_may_follow():
    assert set(TRANSITIONS) == set(OrderStatus)


def test_nothing_follows_a_filled_order():
    assert [status for status, next_ones in TRANSITIONS.items() if not next_ones] == [S.FILLED]


def test_what_we_took_for_ended_yields_to_the_brokers_book():
    for inferred in (S.REJECTED, S.NOT_PLACED, S.WITHDRAWN):
        assert TRANSITIONS[inferred] >= {S.OPEN, S.PARTIALLY_FILLED, S.FILLED, S.CANCELLED}


def test_every_status_can_be_reached_from_pending():
    reached, new = set(), {S.PENDING}
    while new:
        reached |= new
        new = {after for before in new for after in TRANSITIONS[before]} - reached

    assert reached == set(OrderStatus)


def test_an_unsent_order_is_sent_or_withdrawn_unless_the_book_has_it_already():
    assert TRANSITIONS[S.PENDING] == {S.SUBMITTING, S.WITHDRAWN} | TRANSITIONS[S.NOT_PLACED]


@pytest.mark.parametrize("status", OrderStatus)
def test_no_status_follows_itself(status):
    assert not may_follow(status, status)


@pytest.mark.parametrize("status", [S.PENDING, S.SUBMITTING])
def test_nothing_becomes_unsent_or_on_its_way_again(status):
    assert [before for before in OrderStatus if may_follow(before, status)] == (
        [S.PENDING] if status != S.PENDING else []
    )


@pytest.mark.parametrize("before", sorted(set(OrderStatus) - INFERRED))
def test_what_was_not_merely_inferred_only_ever_gets_further(before):
    assert all(PROGRESS[after] > PROGRESS[before] for after in TRANSITIONS[before])


def test_only_an_order_in_doubt_can_turn_out_not_placed():
    assert [before for before in OrderStatus if may_follow(before, S.NOT_PLACED)] == [S.IN_DOUBT]


@pytest.mark.parametrize("inferred", sorted(INFERRED))
def test_what_we_inferred_yields_to_whatever_the_book_shows(inferred):
    assert {S.OPEN, S.PARTIALLY_FILLED, S.FILLED, S.CANCELLED} <= TRANSITIONS[inferred]


def test_a_fill_may_cross_a_cancel():
    assert TRANSITIONS[S.CANCELLED] == {S.FILLED}


def test_what_may_still_fill_is_unfinished():
    assert {S.PENDING, S.SUBMITTING, S.IN_DOUBT, S.OPEN, S.PARTIALLY_FILLED} == UNFINISHED
    assert {S.OPEN, S.PARTIALLY_FILLED} == WORKING


@pytest.mark.parametrize("before", OrderStatus)
def test_advance_moves_where_the_table_allows_and_nowhere_else(pending, desk, before):
    order = pending()
    for after in OrderStatus:
        Order.objects.filter(pk=order.pk).update(status=before)
        order.refresh_from_db()
        events = order.events.count()

        moved = order.advance(after, at=desk.clock(), note="why", actor="priya")

        assert moved == may_follow(before, after), after
        assert order.status == (after if moved else before)
        assert order.events.count() == events + moved


def test_a_move_leaves_one_event_with_who_and_why(pending, desk):
    order, now = pending(), desk.clock()

    assert order.advance(S.SUBMITTING, at=now, note="sending", actor="priya", sender="here pid 1")

    event = order.events.last()
    assert (event.before, event.after, event.note, event.actor, event.at) == (
        "PENDING", "SUBMITTING", "sending", "priya", now,
    )  # fmt: skip
    assert (order.sender, order.status_reason, order.ended_at) == ("here pid 1", "sending", None)


def test_an_end_is_dated(pending, desk):
    order, now = pending(), desk.clock()

    order.advance(S.WITHDRAWN, at=now, note="not wanted")

    assert order.ended_at == now


def test_a_copy_that_knows_an_older_status_does_not_move_the_order(pending, desk):
    order = pending()
    copy = Order.objects.get(pk=order.pk)
    order.advance(S.WITHDRAWN, at=desk.clock(), note="not wanted")

    assert not copy.advance(S.SUBMITTING, at=desk.clock(), note="sending")

    assert copy.status == "WITHDRAWN"
    assert statuses(order) == ["PENDING", "WITHDRAWN"]


@pytest.mark.django_db(transaction=True)
def test_of_two_that_race_one_moves(pending, desk):
    order = pending()
    copies = [Order.objects.get(pk=order.pk), Order.objects.get(pk=order.pk)]

    def move(copy, to):
        with transaction.atomic():
            return copy.advance(to, at=desk.clock(), note="first come")

    with held_up("orders_orderevent") as wait_for:
        race = Together(lambda: move(copies[0], S.SUBMITTING), lambda: move(copies[1], S.WITHDRAWN))
        wait_for(2)
    moved = race.join()

    assert sorted(moved) == [False, True]
    assert OrderEvent.objects.filter(order=order).count() == 2  # written down, and one move


# --- A modification's life --------------------------------------------------------------------------------------------


def test_the_table_of_modifications_says_of_every_state_what_may_follow():
    assert set(MODIFICATION_TRANSITIONS) == set(ModificationState)
    assert not any(modification_may_follow(state, state) for state in ModificationState)


def test_nothing_takes_a_modification_that_was_sent_back_to_be_sent():
    before = {state for state, after in MODIFICATION_TRANSITIONS.items() if ModificationState.SENDING in after}

    assert before == {ModificationState.WISHED}


def test_a_modification_that_ended_counts_no_more_unless_the_book_shows_its_terms():
    for ended in set(ModificationState) - MODIFICATION_UNFINISHED:
        assert MODIFICATION_TRANSITIONS[ended] <= {ModificationState.TOOK_EFFECT}
