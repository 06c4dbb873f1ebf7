"""
What the last decisions would have been under other limits, each at the edge of what changes it and just past it.

₹1,000 an entry rounds up to one RELIANCE at 1,407.00, half a percent past its last price of 1,400.00.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from orders.deciding import OrderDenied, decide_manual
from orders.models import Decision
from orders.simulation import UNKNOWN, Simulation, simulate, simulated
from risk import limit_versions
from risk.models import InstrumentLimit, RiskSettings

D = Decimal


def under(**changes: Any) -> Simulation:
    return simulate("PAPER", replace(RiskSettings.objects.get().limits(), **changes), now=timezone.now())


def only(simulation: Simulation) -> tuple[str, str, str]:
    (changed,) = simulation.changed
    return changed.decision.outcome, changed.outcome, changed.reason


def test_under_the_limits_in_force_every_decision_is_the_same(follow, received):
    follow(received())
    follow(received(cms_score=60))
    follow(received(signal_type="SELL", cms_score=-75))
    follow(received(quantity=1, order_type="LIMIT", price="1390.05"))

    simulation = under()

    assert Decision.objects.count() == simulation.looked_at == simulation.same >= 4
    assert simulation.outcomes == simulation.outcomes_then


@pytest.mark.parametrize(("limit", "changes"), [("1407.00", 0), ("1406.99", 1)])
def test_a_tighter_limit_refuses_what_was_approved_just_past_its_edge(follow, received, limit, changes):
    follow(received())

    simulation = under(position_value_max=D(limit))

    assert len(simulation.changed) == changes
    if changes:
        reason = "POSITION_VALUE_EXCEEDED: position value 1407.00 INR, the limit is 1406.99 INR"
        assert only(simulation) == ("APPROVED", "DENIED", reason)


@pytest.mark.parametrize(("trades", "changes"), [(1, 0), (0, 1)])
def test_the_days_trades_are_those_of_then(follow, received, trades, changes):
    follow(received())

    simulation = under(daily_trades_max=trades)

    assert len(simulation.changed) == changes
    if changes:
        assert only(simulation) == ("APPROVED", "DENIED", "DAILY_TRADES_EXCEEDED: 0 trades today, the limit is 0")


def test_a_looser_limit_approves_what_was_denied(desk, wish, received):
    RiskSettings.objects.update(order_value_max=D(1404))
    with pytest.raises(OrderDenied):
        decide_manual(desk, wish(limit_price=D(1405)))

    assert under(order_value_max=D("1404.99")).changed == []
    assert only(under(order_value_max=D("1405.00"))) == ("DENIED", "APPROVED", "")


def test_the_symbols_own_limits_hold_there_too(desk, follow, received):
    follow(received())
    now = desk.clock()
    blocked = InstrumentLimit(exchange="NSE", symbol="RELIANCE", blocked=True)
    limit_versions.save_instrument(blocked, by="rita", reason="results", now=now)

    then, again, reason = only(under())
    assert (then, again) == ("APPROVED", "DENIED")
    assert reason.startswith("INSTRUMENT_BLOCKED")


def test_an_automatic_order_is_sized_anew(follow, received):
    follow(received())

    assert under(position_size=D("2813.99")).changed == []
    (larger,) = under(position_size=D(2814)).changed
    assert (larger.order_then, larger.order) == ("BUY 1 RELIANCE at 1407", "BUY 2 RELIANCE at 1407")
    (nearer,) = under(slippage_percent=D("0.1")).changed
    assert (nearer.order, nearer.outcome) == ("BUY 1 RELIANCE at 1401.4", "APPROVED")


def test_a_weak_signal_that_would_pass_has_no_price_and_that_is_said(follow, received):
    follow(received(cms_score=60))

    assert under(cms_buy_threshold=D(60)).changed == []
    then, now, reason = only(under(cms_buy_threshold=D("59.99")))
    assert (then, now) == ("IGNORED", UNKNOWN)
    assert "asked for a price" in reason


def test_only_the_last_ones_of_the_mode_are_looked_at(follow, received):
    for _ in range(3):
        follow(received(cms_score=5))

    limits = RiskSettings.objects.get().limits()

    assert simulate("PAPER", limits, now=timezone.now(), last=2).looked_at == 2
    assert simulate("LIVE", limits, now=timezone.now()).looked_at == 0


def test_what_kept_too_little_is_counted_and_not_guessed(follow, received):
    follow(received())
    older, other = Decision.objects.get(), Decision.objects.get()
    del older.facts["proposed"]["advice"], older.facts["shape"]
    del other.facts["portfolio"]["trades_today"]

    limits = replace(RiskSettings.objects.get().limits(), daily_trades_max=0)
    simulation = simulated([older, other], limits, now=timezone.now())

    assert (simulation.looked_at, simulation.unreadable, len(simulation.changed), simulation.same) == (2, 1, 1, 0)


def test_nothing_is_written_and_nobody_is_asked(follow, received, paper, django_assert_num_queries):
    follow(received())
    limits = replace(RiskSettings.objects.get().limits(), daily_trades_max=0)
    asked = len(paper.journal())

    with django_assert_num_queries(2):  # the decisions, and the limits of single symbols
        simulate("PAPER", limits, now=timezone.now())

    assert len(paper.journal()) == asked
