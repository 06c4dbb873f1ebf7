"""The workbook that is sent while it is written: a whole one, which other programs read back as it was."""

from __future__ import annotations

import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import load_workbook

from orders.admin.workbook import CELL_LETTERS_MAX, workbook


def read(pieces):
    return [list(row) for row in load_workbook(io.BytesIO(b"".join(pieces))).active.values]


def test_texts_and_numbers_are_read_back_as_such():
    rows = [("1400.1000", "007"), ("-2", "<b> & 'x' \"y\""), (None, None)]

    found = read(workbook(["Price", "Id"], [rows[:2], rows[2:]], [True, False]))

    assert found == [["Price", "Id"], [1400.1, "007"], [-2, "<b> & 'x' \"y\""], [None, None]]


def test_a_row_may_end_early_and_a_sheet_may_have_no_rows():
    assert read(workbook(["Price", "Id"], [[("told",)]], [False, False])) == [["Price", "Id"], ["told", None]]
    assert read(workbook(["Price", "Id"], [], [True, False])) == [["Price", "Id"]]


@given(words=st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=20))
def test_any_text_survives(words):
    assert read(workbook(["Reason"], [[(words,)]], [False])) == [["Reason"], [words]]


@pytest.mark.parametrize("odd", ["\x07", "\x1f", "\ufffe", "\uffff"])
def test_what_no_sheet_can_hold_is_left_out(odd):
    assert read(workbook(["Reason"], [[(f"a{odd}b",)]], [False]))[1] == ["ab"]


@pytest.mark.parametrize(
    ("letters", "kept"), [(CELL_LETTERS_MAX, CELL_LETTERS_MAX), (CELL_LETTERS_MAX + 1, CELL_LETTERS_MAX)]
)
def test_a_cell_is_as_long_as_excel_lets_it_be(letters, kept):
    [[text]] = read(workbook(["Reason"], [[("x" * letters,)]], [False]))[1:]

    assert len(text) == kept


def test_it_comes_in_pieces_and_is_whole_at_the_end():
    chunks = iter([[("1",)], [("2",)], [("3",)]])

    pieces = workbook(["Number"], chunks, [True])
    sent = [next(pieces)]

    assert sent[0]
    assert len(list(chunks)) == 3, "its heads wait for no row"
    whole = io.BytesIO(b"".join([*sent, *pieces]))
    assert zipfile.ZipFile(whole).testzip() is None
