"""What the README says that the code says too."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

from django.core.management import call_command

from risk.engine.rules import RULES, as_table

README = Path(__file__).resolve().parents[1] / "README.md"


def test_the_table_of_controls_is_that_of_the_catalogue():
    readme, (header, *_) = README.read_text(), as_table().splitlines()
    start = readme.index(header)
    assert readme[start:].split("\n\n")[0].strip() == as_table()


def test_the_table_has_a_row_for_each_control_and_no_cell_that_breaks_it():
    _, _, *rows = as_table().splitlines()

    assert [row.split("`")[1] for row in rows] == [control.code for control in RULES]
    assert {row.count("|") for row in rows} == {5}


def test_the_command_prints_the_table():
    out = StringIO()

    call_command("controls", stdout=out)

    assert out.getvalue().strip() == as_table()
