"""Facts that are kept and read again are the same facts, whatever they are and whatever fact is added to them."""

from __future__ import annotations

import json
from dataclasses import is_dataclass, make_dataclass, replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from risk.engine import kept_facts
from risk.engine.decision import assess
from risk.engine.facts import Elsewhere, Portfolio, ProposedOrder, Traffic
from risk.engine.kept_facts import FactsUnreadable, kept, kept_part, restored

from .cast import BUY, LIMITS, NOW, PORTFOLIO, SELL

PLAIN = {
    str: st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    int: st.integers(),
    bool: st.booleans(),
    date: st.dates(),
    Decimal: st.decimals(allow_nan=False, allow_infinity=False),
    datetime: st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))])),
}


def anything(kind: Any) -> st.SearchStrategy[Any]:
    """Any value of the kind, found by its annotations: a fact that is added to the engine is drawn too."""
    if get_origin(kind) is UnionType:
        return st.one_of([st.none() if each is NoneType else anything(each) for each in get_args(kind)])
    if get_origin(kind) is tuple:
        return st.lists(anything(get_args(kind)[0]), max_size=3).map(tuple)
    if is_dataclass(kind):
        return st.builds(kind, **{name: anything(hint) for name, hint in get_type_hints(kind).items()})
    return st.sampled_from(list(kind)) if issubclass(kind, StrEnum) else PLAIN[kind]


@settings(suppress_health_check=[HealthCheck.too_slow])  # a busy machine draws so many facts slowly
@given(proposed=anything(ProposedOrder), portfolio=anything(Portfolio))
def test_any_facts_survive_being_kept(proposed: ProposedOrder, portfolio: Portfolio) -> None:
    assert restored(json.loads(json.dumps(kept(proposed, portfolio)))) == (proposed, portfolio)


@pytest.mark.parametrize("proposed", [BUY, SELL])
def test_the_same_decision_is_made_of_kept_facts(proposed: ProposedOrder) -> None:
    again = restored(json.loads(json.dumps(kept(proposed, PORTFOLIO))))

    assert assess(*again, LIMITS, NOW) == assess(proposed, PORTFOLIO, LIMITS, NOW)


def test_no_digit_and_no_microsecond_is_lost() -> None:
    quote = replace(PORTFOLIO.quote, price=Decimal("1400.10"), as_of=NOW - timedelta(microseconds=1))

    facts = kept(BUY, replace(PORTFOLIO, quote=quote))

    assert facts["shape"] == 2
    assert facts["portfolio"]["quote"] == {"price": "1400.10", "as_of": "2026-11-23T09:59:59.999999+05:30"}
    assert str(restored(facts)[1].quote.price) == "1400.10"


def test_what_was_kept_before_shapes_had_a_number_is_read() -> None:
    facts = kept(BUY, PORTFOLIO)
    del facts["shape"], facts["proposed"]["advice"]
    facts["portfolio"]["reconciled_at"] = "2026-11-23T04:29:30.123Z"

    proposed, portfolio = restored(facts)

    assert proposed == BUY
    assert portfolio.reconciled_at == datetime(2026, 11, 23, 4, 29, 30, 123000, tzinfo=UTC)


def test_many_moments_are_kept_as_microseconds_and_read_to_the_last_one() -> None:
    placed = tuple(NOW - timedelta(microseconds=each) for each in (59_999_999, 1, 0))

    facts = kept(BUY, replace(PORTFOLIO, traffic=Traffic(placed=placed)))

    newest = int(NOW.timestamp()) * 1_000_000
    assert facts["portfolio"]["traffic"]["placed"] == [newest - 59_999_999, newest - 1, newest]
    assert restored(json.loads(json.dumps(facts)))[1].traffic.placed == placed


def test_many_moments_that_were_kept_as_text_are_read() -> None:
    facts = kept(BUY, PORTFOLIO) | {"shape": 1}
    facts["portfolio"]["traffic"]["placed"] = ["2026-11-23T09:59:59.999999+05:30"]

    assert restored(facts)[1].traffic.placed == (NOW - timedelta(microseconds=1),)


def test_a_fact_that_exists_no_more_is_passed_over() -> None:
    facts = kept(BUY, PORTFOLIO)
    facts["portfolio"]["phase_of_the_moon"] = "full"

    assert restored(facts) == (BUY, PORTFOLIO)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda facts: facts.update(shape=3), "their shape is 3, this version reads up to 2"),
        (lambda facts: facts.pop("portfolio"), "portfolio"),
        (lambda facts: facts["portfolio"].pop("trades_today"), "trades_today"),
        (lambda facts: facts["portfolio"].update(trades_today="4"), "'4' is no int"),
        (lambda facts: facts["portfolio"].update(trades_today=True), "True is no int"),
        (lambda facts: facts["proposed"].update(limit_price="much"), "Invalid"),
        (lambda facts: facts["proposed"].update(action="SHORT"), "SHORT"),
        (lambda facts: facts["portfolio"].update(quote=5), "TypeError"),
        (lambda facts: facts["portfolio"]["quote"].update(as_of="yesterday"), "yesterday"),
        (lambda facts: facts["portfolio"]["quote"].update(as_of=5), "TypeError"),
        (lambda facts: facts["portfolio"]["traffic"].update(placed=[10**30]), "OverflowError"),
        (lambda facts: facts["portfolio"]["traffic"].update(placed=[True]), "TypeError"),
        (lambda facts: facts.update(proposed=[]), "Error"),
    ],
)
def test_what_cannot_be_read_says_so(spoil: Any, reason: str) -> None:
    facts = kept(BUY, PORTFOLIO)
    spoil(facts)

    with pytest.raises(FactsUnreadable, match=reason):
        restored(facts)


@pytest.mark.parametrize("value", [1.5, {"a": 1}, timedelta(1), b"x"])
def test_a_fact_of_a_kind_that_could_not_be_read_back_is_not_kept(value: Any) -> None:
    with pytest.raises(TypeError, match="is not kept exactly"):
        kept(replace(BUY, symbol=value), PORTFOLIO)


def test_a_fact_with_a_default_may_be_missing_and_one_without_may_not() -> None:
    older = make_dataclass("Facts", [("quantity", int)], frozen=True, kw_only=True)
    with_default = make_dataclass("Facts", [("quantity", int), ("note", str, "")], frozen=True, kw_only=True)
    without = make_dataclass("Facts", [("quantity", int), ("note", str)], frozen=True, kw_only=True)
    facts = kept_facts._kept(older(quantity=3))

    assert kept_facts._restored(with_default, facts) == with_default(quantity=3)
    with pytest.raises(KeyError, match="note"):
        kept_facts._restored(without, facts)


def test_another_symbol_is_kept_without_what_is_as_by_default_and_those_defaults_stay() -> None:
    """What was left out is read by today's defaults: changed, they would change what was decided by."""
    plain = Elsewhere(symbol="TCS", own=3, price=Decimal("3000.05"))

    _, portfolio = restored(kept(BUY, replace(PORTFOLIO, others=(plain,))))

    assert kept_part(replace(PORTFOLIO, others=(plain,)))["others"] == [{"symbol": "TCS", "own": 3, "price": "3000.05"}]
    assert portfolio.others == (plain,)
    assert (plain.working_buys, plain.working_sells, plain.market_buys_work) == (0, 0, False)
    assert (plain.external, plain.external_buys, plain.external_sells) == (0, 0, 0)
