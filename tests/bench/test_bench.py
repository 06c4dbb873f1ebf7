"""The bench runs: a short one of each part that needs no million orders, with a figure for everything it names."""

from __future__ import annotations

import pytest

from tests.bench import growth, pages
from tests.bench.run import bench


@pytest.mark.proof
@pytest.mark.parametrize("part", ["orders", "receiving", "nowhere", "reconciling", "starting"])
def test_a_short_run_measures_everything_it_names(part):
    figures = bench([part], rounds=1, messages=20, say=lambda line: None)

    assert figures
    assert all(figure.measured > 0 for figure in figures)
    assert all(figure.floor is None or figure.floor > 0 for figure in figures)


@pytest.mark.proof
def test_growth_is_measured_from_an_empty_book_to_its_pages_and_files(monkeypatch):
    monkeypatch.setattr(growth, "PAST", (1200, 2400))
    monkeypatch.setattr(growth, "TODAY", 200)
    monkeypatch.setattr(growth, "MINUTE_SECONDS", 0)
    monkeypatch.setattr(pages, "FILE_ROWS", 1000)

    figures = bench(["growth"], rounds=1, messages=20, say=lambda line: None)

    assert len(figures) == 2 + 1 + 4 + len(pages.PAGES) + 3
    assert all(figure.measured > 0 for figure in figures if "memory" not in figure.name)
