"""One trip says whether there is anything to do: of everything that a turn would find, it knows."""

from __future__ import annotations

import pytest

from orders.agenda import Agenda, agenda
from orders.lifecycle import UNFINISHED, WORKING, OrderStatus
from orders.models import Order, Signal
from risk import control
from risk.models import TradingControl

NOTHING = Agenda(is_halted=False, begun=False, waiting=(), wished=False)


def test_with_nothing_to_do_it_says_so(desk):
    assert agenda("PAPER") == NOTHING


@pytest.mark.parametrize("status", OrderStatus)
def test_an_order_was_begun_while_it_neither_rests_nor_has_ended(desk, pending, status):
    pending()
    Order.objects.update(status=status)

    assert agenda("PAPER").begun == (status in UNFINISHED - WORKING)


@pytest.mark.parametrize(("count", "waiting"), [(1, 1), (2, 2), (3, 2)])
def test_one_that_waits_is_told_from_several(desk, received, count, waiting):
    for _ in range(count):
        received()

    assert [signal.pk for signal in agenda("PAPER").waiting] == sorted(Signal.objects.values_list("pk", flat=True))[:2]
    assert len(agenda("PAPER").waiting) == waiting


@pytest.mark.parametrize("status", Signal.Status)
def test_what_has_been_decided_waits_for_nothing(desk, received, status):
    received()
    Signal.objects.update(status=status)

    assert bool(agenda("PAPER").waiting) == (status == Signal.Status.RECEIVED)


@pytest.mark.parametrize(("lifts_to", "is_halted"), [("", True), ("ACTIVE", False)])
def test_a_halt_for_the_login_leaves_what_rests_alone(desk, lifts_to, is_halted):
    control.halt("PAPER", by="priya", reason="enough", now=desk.clock())
    TradingControl.objects.update(lifts_to=lifts_to)

    assert agenda("PAPER").is_halted == is_halted


def test_nothing_of_the_other_mode_is_told(desk, received, pending):
    pending()
    received()
    control.halt("PAPER", by="priya", reason="enough", now=desk.clock())

    assert agenda("LIVE") == NOTHING
