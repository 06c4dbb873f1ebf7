"""The table of a bench: what counts as met, and what another program reads of it."""

from __future__ import annotations

import json

import pytest

from tests.bench.report import Figure, as_json, as_table, percentile


@pytest.mark.parametrize(
    ("measured", "at_least", "met"),
    [(8.0, False, True), (8.01, False, False), (8.0, True, True), (7.99, True, False)],
)
def test_a_goal_is_met_at_its_limit_and_missed_just_past_it(measured, at_least, met):
    assert Figure(name="x", unit="ms", measured=measured, goal=8, at_least=at_least).is_met is met


@pytest.mark.parametrize(("measured", "met"), [(5.0, True), (5.01, False)])
def test_a_ratio_to_the_floor_has_a_limit_too(measured, met):
    assert Figure(name="x", unit="ms", measured=measured, goal=100, floor=2, ratio_max=2.5).is_met is met


def test_a_ratio_says_how_many_times_slower_for_times_and_for_paces():
    assert Figure(name="x", unit="ms", measured=6, floor=2).ratio == 3
    assert Figure(name="x", unit="a second", measured=100, at_least=True, floor=300).ratio == 3
    assert Figure(name="x", unit="ms", measured=6).ratio is None


def test_what_has_no_goal_is_neither_met_nor_missed():
    assert Figure(name="x", unit="ms", measured=6).is_met is None


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [([3, 1, 2], 50, 2), (range(1, 101), 99, 100), (range(1, 1001), 99, 991), ([7], 99, 7), ([1, 2], 0, 1)],
)
def test_a_percentile_is_a_value_that_was_measured(values, percent, expected):
    assert percentile(values, percent) == expected


def test_the_table_names_what_was_missed():
    table = as_table(
        [
            Figure(name="good", unit="ms", measured=2, goal=8, floor=1),
            Figure(name="bad", unit="a second", measured=20.5, goal=140, at_least=True),
        ]
    )

    good, bad = table.splitlines()[2:]
    assert good.split() == ["good", "(ms)", "≤", "8", "2", "1", "2.0", "×"]
    assert bad.split() == ["bad", "(a", "second)", "≥", "140", "20.50", "missed"]


def test_the_line_of_json_has_every_figure_with_its_goal_and_ratio():
    line = as_json([Figure(name="x", unit="ms", measured=6, goal=8, floor=2)])

    told = json.loads(line)
    assert "\n" not in line
    assert told["figures"] == [
        {
            "name": "x",
            "unit": "ms",
            "measured": 6,
            "goal": 8,
            "at_least": False,
            "floor": 2,
            "ratio_max": None,
            "ratio": 3.0,
            "is_met": True,
        }
    ]
    assert "cores" in told["machine"]
