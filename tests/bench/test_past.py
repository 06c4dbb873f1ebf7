"""The past of a bench: over, balanced, and followed by whatever the executor does next."""

from __future__ import annotations

import pytest
from django.db.models import Count, F, Q, Sum

from orders.lifecycle import UNFINISHED
from orders.models import Fill, Order, Position, Signal
from orders.reconciliation import reconcile
from risk.models import Incident
from tests.bench.past import fill_past
from tests.orders.conftest import follow  # noqa: F401


@pytest.mark.django_db(transaction=True)
def test_the_past_changes_nothing_of_today(desk, follow, received):  # noqa: F811
    first = follow(received(signal_id="first"))
    before = Position.objects.values().get(symbol=first.symbol)

    fill_past(30, [first.symbol, "INFY"])
    fill_past(30, [first.symbol, "INFY"])
    reconcile(desk)

    past = Order.objects.filter(client_order_id__startswith="PAST")
    assert past.count() == past.filter(trading_date__lt=first.trading_date).count() == 60
    assert not past.filter(Q(status__in=UNFINISHED) | Q(signal=None) | Q(decision=None)).exists()
    counted = past.annotate(filled=Sum("fills__quantity", default=0), rows=Count("fills"))
    assert not counted.exclude(filled=F("filled_quantity")).exists()
    assert Fill.objects.filter(order__in=past).count() == 20
    for symbol in (first.symbol, "INFY"):
        filled = past.filter(symbol=symbol).values("side").order_by("side").annotate(all=Sum("filled_quantity"))
        assert len({side["all"] for side in filled}) == 1
        assert len(filled) == 2
    same = {"quantity", "average_price", "cost", "realised_pnl"}
    after = Position.objects.values().get(symbol=first.symbol)
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    assert not Incident.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_what_comes_after_the_past_has_higher_ids(follow, received):  # noqa: F811
    first = follow(received(signal_id="first"))

    fill_past(60)
    second = received(signal_id="second", symbol="INFY")

    assert second.pk > Signal.objects.exclude(pk=second.pk).latest("pk").pk > first.signal.pk
