"""Two people at the same moment, on the way to live money: one order, one step, one preset."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
from django.utils import timezone

from orders.going_live import StepRefused, pass_step
from orders.line_proof import Asked, ProofRefused, prove
from orders.models import GoingLiveStep, LineProof
from orders.small_limits import hold_small
from risk.four_eyes import ChangeRefused
from risk.limit_versions import LimitsChanged
from tests.orders.test_going_live import rehearsed
from tests.orders.test_small_limits import wished

from .together import Together, held_up

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("tokens", [("rita's", "priya's"), ("one form", "one form")])
def test_two_who_prove_the_line_at_once_place_one_order(desk, paper, tokens):
    quick = replace(desk, pause=lambda seconds: None)
    asked = [Asked(token=each, exchange="NSE", symbol="RELIANCE", by=each, shown=0) for each in tokens]

    with held_up("orders_lineproof") as wait_for:
        both = Together(*(partial(prove, quick, each) for each in asked))
        wait_for(2)
    results = both.join()

    refused = [each for each in results if isinstance(each, ProofRefused)]
    assert len(refused) == (0 if tokens[0] == tokens[1] else 1)
    assert not [each for each in results if not isinstance(each, LineProof | ProofRefused)]
    assert LineProof.objects.count() == 1
    assert len(paper.accepted()) == 1


def test_two_who_pass_a_step_at_once_pass_one(desk):
    rehearsed()
    said = {"by": "rita", "reason": "", "now": timezone.now()}

    with held_up("orders_goinglivestep") as wait_for:
        both = Together(*[partial(pass_step, "REHEARSE", **said)] * 2)
        wait_for(2)
    results = both.join()

    assert {type(each) for each in results} == {GoingLiveStep, StepRefused}
    assert GoingLiveStep.objects.count() == 1


def test_two_who_hold_the_limits_small_at_once_hold_them_once(desk):
    wish = wished(now=timezone.now())

    with held_up("orders_goinglivestep") as wait_for:
        both = Together(*[partial(hold_small, "NSE", "RELIANCE", wish)] * 2)
        wait_for(2)
    results = both.join()

    refused = [each for each in results if isinstance(each, ChangeRefused | LimitsChanged)]
    assert len(refused) == 1
    assert GoingLiveStep.objects.filter(said="PRESET").count() == 1
