"""The table of mutations cannot rot: what each breaks stands in the code once, and the test that notices exists."""

from __future__ import annotations

from pathlib import Path

import pytest

from .table import MUTATIONS

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_what_is_broken_stands_in_the_code_once_and_its_test_exists(mutation):
    file, _, name = mutation.test.partition("::")

    assert (ROOT / mutation.file).read_text().count(mutation.old) == 1
    assert mutation.new != mutation.old
    assert f"def {name}(" in (ROOT / file).read_text()


def test_every_mutation_has_a_name_of_its_own():
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS)
