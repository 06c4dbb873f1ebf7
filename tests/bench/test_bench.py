"""The bench runs: a short one of each part that needs no million orders, with a figure for everything it names."""

from __future__ import annotations

import pytest

from tests.bench.run import bench


@pytest.mark.proof
@pytest.mark.parametrize("part", ["orders", "receiving", "nowhere", "reconciling", "starting"])
def test_a_short_run_measures_everything_it_names(part):
    figures = bench([part], rounds=1, messages=20, say=lambda line: None)

    assert figures
    assert all(figure.measured > 0 for figure in figures)
    assert all(figure.floor is None or figure.floor > 0 for figure in figures)
