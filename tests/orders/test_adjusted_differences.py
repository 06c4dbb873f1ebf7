"""An adjustment changes the book as a trade does: reads from before it prove nothing, and two at once are in a row."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from orders.adjusting import AdjustmentRefused, Wish, adjust
from orders.by_hand import HandFill, mark_filled
from orders.deciding import decide_manual
from orders.differences import compare_positions
from orders.execution import submit
from orders.models import Adjustment, Fill, Instrument, Order, Position
from orders.observed import Observed
from orders.portfolio import snapshot
from orders.reconciliation import reconcile
from risk import limit_versions
from risk.models import Incident, TradingControl

from .stand_ins import BookGateway, report_of, trade_of
from .together import Together, held_up

Kind = Adjustment.Kind


def wished(**changes):
    return Wish(**{"token": "form-a", "kind": Kind.BONUS, "by": "tara", "reason": "corporate action", **changes})


BONUS = {"ratio_new": 1, "ratio_old": 1}


def test_reads_that_began_before_an_adjustment_prove_nothing(desk, held):
    position = held(3)
    early = desk.gateway.book(desk.clock())
    adjust(desk, position, wished(**BONUS))

    compare_positions(desk, early)
    compare_positions(desk, early)

    assert not Incident.objects.exists()
    assert Position.objects.get().missing == 0


def test_a_bonus_that_the_broker_has_not_credited_is_told_from_two_reads_after_it(desk, held):
    """The shares are not there to be sold, and nothing opens until a person has said what it is."""
    adjust(desk, held(3), wished(**BONUS))

    reconcile(desk)
    assert not Incident.objects.exists()
    reconcile(desk)

    incident = Incident.objects.get()
    assert incident.title == "RELIANCE: our fills opened 6, the broker holds 3"
    assert "not credited yet" in incident.what_to_do


def test_a_broker_position_read_before_an_adjustment_is_stale_for_the_risk_desk(desk, held):
    position = held(3)
    before = desk.clock()
    adjust(desk, position, wished(**BONUS))
    control, instrument = TradingControl.objects.get(mode="PAPER"), Instrument.objects.get(symbol="RELIANCE")

    def broker(as_of):
        observed = Observed(broker_quantity=3, broker_as_of=as_of)
        limits = limit_versions.in_force(now=desk.clock()).limits()
        return snapshot(desk, control, instrument, observed, limits=limits, now=desk.clock()).holding.broker

    assert broker(before) is None
    assert broker(Adjustment.objects.get().at) is None
    assert broker(Adjustment.objects.get().at + timedelta(microseconds=1)) == 3


def test_accepting_the_brokers_quantity_resolves_what_was_told_of_it(desk, held):
    position = held(3)
    adjust(desk, position, wished(**BONUS))
    for _ in range(2):
        reconcile(desk)
    assert Incident.objects.unresolved().count() == 1

    adjust(desk, position, wished(token="form-b", kind=Kind.BROKER, quantity=3, reason="the bonus was cancelled"))

    incident = Incident.objects.get()
    assert (incident.status, incident.closed_by, incident.note) == ("RESOLVED", "tara", "the bonus was cancelled")
    for _ in range(3):
        reconcile(desk)
    assert Incident.objects.count() == 1
    assert (Position.objects.get().quantity, Position.objects.get().missing) == (3, 0)


def test_the_brokers_quantity_of_before_an_adjustment_is_not_accepted(desk, held):
    position = held(3)
    reconcile(desk)
    adjust(desk, position, wished(**BONUS))

    with pytest.raises(AdjustmentRefused, match="adjusted after the broker was read"):
        adjust(desk, position, wished(token="form-b", kind=Kind.BROKER, quantity=3))


@pytest.mark.django_db(transaction=True)
def test_the_same_form_sent_twice_at_once_is_one_adjustment(desk, held):
    pk = held(3).pk
    copies = [Position.objects.get(pk=pk), Position.objects.get(pk=pk)]

    with held_up("orders_adjustment") as wait_for:
        both = Together(*[lambda copy=copy: adjust(desk, copy, wished(**BONUS)) for copy in copies])
        wait_for(2)
    first, second = both.join()

    assert first == second == Adjustment.objects.get()
    assert Position.objects.get().quantity == 6


@pytest.mark.django_db(transaction=True)
def test_a_fill_read_while_a_person_adjusts_ends_in_one_position(desk, held, wish):
    position = held(3)
    submit(desk, decide_manual(desk, wish(quantity=2)))

    with held_up("orders_position") as wait_for:
        both = Together(
            lambda: adjust(desk, position, wished(kind=Kind.SPLIT, ratio_new=2, ratio_old=1)), lambda: reconcile(desk)
        )
        wait_for(2)
    results = both.join()

    assert not [result for result in results if isinstance(result, Exception)], results
    made, bought = Adjustment.objects.get(), Fill.objects.latest("id")
    expected = 8 if bought.filled_at > made.at else 10  # Kite's seconds decide which came first
    assert Position.objects.get().quantity == expected
    assert Position.objects.get().cost == 5 * Decimal(1400)


@pytest.mark.django_db(transaction=True)
def test_a_fill_marked_by_hand_while_the_book_is_read_counts_once(desk, resting, wired):
    order = resting(quantity=10)
    broker = BookGateway(orders=[report_of(order, "CANCELLED")], trades=[trade_of(order, "T1", 4)])
    there = wired(desk, gateway=broker)
    fill = HandFill(token="form-1", quantity=6, price=Decimal(1390), by="tara", reason="contract note")

    with held_up("orders_fill") as wait_for:
        all_three = Together(
            lambda: mark_filled(there, Order.objects.get(), fill), lambda: reconcile(there), lambda: reconcile(there)
        )
        wait_for(3)
    results = all_three.join()

    assert not [result for result in results if isinstance(result, Exception)], results
    position = Position.objects.get()
    assert (position.quantity, position.cost) == (6, 4 * Decimal(1400) + 2 * Decimal(1390))
