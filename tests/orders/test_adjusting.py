"""A position changes without a trade only by a person's word: once, with a reason, for good."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.db import DatabaseError, transaction

from orders.adjusting import AdjustmentRefused, Wish, adjust
from orders.deciding import decide_manual
from orders.ledger import Line, recompute_position
from orders.models import Adjustment, Position
from orders.reconciliation import reconcile
from orders.start import forget_paper_book
from risk.models import Mode

from .stand_ins import BookGateway, report_of, trade_of

Kind = Adjustment.Kind


def wished(**changes):
    return Wish(**{"token": "form-a", "kind": Kind.BONUS, "by": "tara", "reason": "corporate action", **changes})


@pytest.mark.parametrize(
    ("changes", "quantity", "average"),
    [
        ({"kind": Kind.BONUS, "ratio_new": 1, "ratio_old": 1}, 20, "700"),
        ({"kind": Kind.BONUS, "ratio_new": 1, "ratio_old": 4}, 12, "1166.6667"),
        ({"kind": Kind.SPLIT, "ratio_new": 5, "ratio_old": 1}, 50, "280"),
        ({"kind": Kind.SPLIT, "ratio_new": 1, "ratio_old": 2}, 5, "2800"),
        ({"kind": Kind.CORRECTION, "quantity": 7, "price": Decimal("1350.5")}, 7, "1350.5"),
        ({"kind": Kind.CORRECTION, "quantity": 0}, 0, "0"),
        ({"kind": Kind.CORRECTION, "quantity": -2, "price": Decimal(1500)}, -2, "1500"),
    ],
)
def test_an_adjustment_sets_shares_and_average_and_realises_nothing(desk, held, changes, quantity, average):
    position = held(10)

    made = adjust(desk, position, wished(**changes))

    assert (position.quantity, position.average_price) == (quantity, Decimal(average))
    assert position.realised_pnl == 0
    assert (made.quantity_before, made.quantity_after, made.made_by) == (10, quantity, "tara")
    recompute_position(Line.of(position), now=desk.clock())
    assert Position.objects.get().quantity == quantity


def test_the_same_form_sent_twice_is_one_adjustment(desk, held):
    position = held(10)
    wish = wished(ratio_new=1, ratio_old=1)

    assert adjust(desk, position, wish) == adjust(desk, position, wish)

    assert position.quantity == 20


def test_the_brokers_quantity_is_accepted_at_the_average(desk, held):
    position = held(10)
    reconcile(desk)
    Position.objects.update(broker_quantity=8)

    adjust(desk, position, wished(kind=Kind.BROKER, quantity=8))

    assert (position.quantity, position.average_price) == (8, Decimal(1400))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"ratio_new": 1, "ratio_old": 1, "reason": "  "}, "say why"),
        ({"ratio_new": 0, "ratio_old": 1}, "ratio"),
        ({"kind": Kind.SPLIT, "ratio_new": 1, "ratio_old": 11}, "no whole share"),
        ({"kind": Kind.SPLIT, "ratio_new": 1, "ratio_old": 1}, "changes nothing"),
        ({"kind": Kind.CORRECTION}, "how many shares"),
        ({"kind": Kind.CORRECTION, "quantity": 3}, "what a share cost"),
        ({"kind": Kind.CORRECTION, "quantity": 3, "price": Decimal("0.00004")}, "above zero"),
        ({"kind": Kind.CORRECTION, "quantity": 2_000_000_001, "price": Decimal(1)}, "more shares"),
        ({"kind": Kind.CORRECTION, "quantity": 2_000_000_000, "price": Decimal(100_000)}, "worth more"),
        ({"kind": Kind.CORRECTION, "quantity": 1, "price": Decimal("1E+30")}, "worth more"),
        ({"ratio_new": 10**12, "ratio_old": 10**12}, "no share becomes"),
        ({"kind": Kind.BROKER, "quantity": 9}, "by now"),
    ],
)
def test_what_makes_no_sense_is_refused_and_leaves_nothing(desk, held, changes, says):
    position = held(10)
    reconcile(desk)

    with pytest.raises(AdjustmentRefused, match=says):
        adjust(desk, position, wished(**changes))

    assert (Position.objects.get().quantity, Adjustment.objects.count()) == (10, 0)


def test_a_position_of_the_other_mode_is_not_adjusted(desk, held):
    position = held(1)
    position.mode = Mode.LIVE

    with pytest.raises(AdjustmentRefused, match="belongs to LIVE"):
        adjust(desk, position, wished(ratio_new=1, ratio_old=1))


def test_the_database_keeps_adjustments_as_they_are(desk, held):
    adjust(desk, held(1), wished(ratio_new=1, ratio_old=1))

    for change in (lambda: Adjustment.objects.update(reason="x"), lambda: Adjustment.objects.all().delete()):
        with pytest.raises(DatabaseError, match="Cannot update or delete"), transaction.atomic():
            change()


def correction(**changes):
    return wished(kind=Kind.CORRECTION, quantity=7, price=Decimal(1400), **changes)


def test_a_correction_counts_after_what_the_exchanges_clock_dated_ahead_of_ours(desk, held, clock):
    position = held(10)
    clock.advance(seconds=-5)

    made = adjust(desk, position, correction())

    assert (made.quantity_after, position.quantity) == (7, 7)


def test_a_fill_in_the_second_of_a_correction_before_it_is_not_lost(desk, held, wish, wired, clock):
    position = held(10)
    adjust(desk, position, correction())
    order = decide_manual(desk, wish(quantity=2))
    filled_at = Adjustment.objects.get().at.replace(microsecond=0)
    broker = BookGateway(orders=[report_of(order, "COMPLETE")], trades=[trade_of(order, "T1", 2, filled_at=filled_at)])

    reconcile(wired(desk, gateway=broker))

    assert Position.objects.get().quantity == 9


def test_no_correction_is_made_while_an_order_may_fill(desk, held, resting):
    position = held(10)
    resting()

    with pytest.raises(AdjustmentRefused, match="unfinished"):
        adjust(desk, position, correction())


def test_a_paper_book_that_was_forgotten_begins_without_its_adjustments(desk, held):
    position = held(10)
    adjust(desk, position, wished(kind=Kind.CORRECTION, quantity=7, price=Decimal(1400)))
    line = Line.of(position)

    forget_paper_book()

    assert recompute_position(line, now=desk.clock()).quantity == 0
