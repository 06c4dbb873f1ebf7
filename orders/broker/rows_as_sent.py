"""
The rows of a long list as the broker sent them: what a row says as it did before is not read a second time.

A book of 5,000 orders is five megabytes of JSON, of which next to nothing is new from one second to the next. It is
gone through row by row: decoded in one piece it would keep every other thread of the process waiting meanwhile.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import chain
from typing import Any, Generic, NamedTuple, TypeVar

import requests

_A_LIST = re.compile(r'\s*\{\s*"status"\s*:\s*"success"\s*,\s*"data"\s*:\s*\[')
_ITS_END = re.compile(r"\s*\}\s*\Z")
_BLANK = re.compile(r"[ \t\n\r]*")
_OBJECT_END = "}"  # what begins as 1 did may be 15 or 1.5 now; an object ends where it did
PAGE_ROWS = 32
PIECE_BYTES = 256 * 1024  # at a time; by ten kilobytes, as `requests` reads, a full book takes nearly twice as long
_read_value = json.JSONDecoder().raw_decode

Report = TypeVar("Report")


class RowsAsSent(Sequence[Any]):
    """A list in JSON whose first row begins at `start` of the text. It is decoded for who asks for a row by itself."""

    def __init__(self, text: str, start: int) -> None:
        self.text = text
        self.start = start

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, which: Any) -> Any:
        return self._rows[which]

    @cached_property
    def _rows(self) -> list[Any]:
        rows: list[Any] = json.loads(self.text)["data"]
        return rows


class AnswerWithRows(requests.Response):
    """An answer whose list is left as it was sent; any other answer is decoded as ever."""

    def iter_content(self, chunk_size: int | None = 1, decode_unicode: bool = False) -> Iterator[Any]:
        return super().iter_content(max(chunk_size or 0, PIECE_BYTES), decode_unicode)

    def json(self, **how: Any) -> Any:
        try:
            text = self.content.decode()
        except UnicodeDecodeError:
            return super().json(**how)
        found = _A_LIST.match(text)
        if found is None or not _ITS_END.match(text, text.rfind("]") + 1):
            return super().json(**how)
        return {"status": "success", "data": RowsAsSent(text, found.end())}


class _Row(NamedTuple, Generic[Report]):
    start: int  # in the text of its page
    end: int
    report: Report | None  # None for a row that made no sense: it is read again


class _Page(NamedTuple, Generic[Report]):
    """Rows that stand one after another: where all of them are as they were, one comparison finds it."""

    text: str  # what stands between the rows included
    rows: tuple[_Row[Report], ...]
    reports: tuple[Report, ...]

    @property
    def is_complete(self) -> bool:
        """Return whether no row of it has to be read again, none may follow in it, and the last surely ends there."""
        return len(self.reports) == PAGE_ROWS and self.text.endswith(_OBJECT_END)


class RowReader(Generic[Report]):
    """
    Reads a list's rows, and remembers those of the last one, by their text and their place in it.

    Threads may share it: what one of them remembers takes the place of what another did, each as a whole.
    """

    def __init__(self) -> None:
        self._known: list[_Page[Report]] = []

    def reports(self, rows: RowsAsSent, read: Callable[[Any], Report | None]) -> tuple[Report, ...]:
        """
        Return the reports of the rows; `read` makes one of a row, or returns None when that is not possible.

        Raise `ValueError` when the text is no list of rows.
        """
        text, at, known = rows.text, _next(rows.text, rows.start), self._known
        now: list[_Page[Report]] = []
        while now or text[at : at + 1] != "]":
            before = known[len(now)] if len(now) < len(known) else None
            if before is not None and before.is_complete and text.startswith(before.text, at):
                page = before  # the same text is whole objects again, so it is the same rows
            else:
                page = _read_page(text, at, before, read)
            now.append(page)
            at = _next(text, at + len(page.text))
            if text[at : at + 1] != ",":
                break
            at = _next(text, at + 1)
        if text[at : at + 1] != "]" or not _ITS_END.match(text, at + 1):
            raise ValueError(f"the next row or the end was expected at {at}, not {text[at : at + 20]!r}")
        self._known = now
        return tuple(chain.from_iterable(page.reports for page in now))


def _read_page(
    text: str, start: int, known: _Page[Report] | None, read: Callable[[Any], Report | None]
) -> _Page[Report]:
    """Read rows from `start` on, as many as a page has or as follow; those that are as they were are known."""
    at, rows = start, list[_Row[Report]]()
    while True:
        before = known.rows[len(rows)] if known is not None and len(rows) < len(known.rows) else None
        report, end = None, at
        if known is not None and before is not None and before.report is not None:
            as_before = known.text[before.start : before.end]
            if as_before.endswith(_OBJECT_END) and text.startswith(as_before, at):
                report, end = before.report, at + len(as_before)
        if report is None:
            value, end = _read_value(text, at)
            report = read(value)
        rows.append(_Row(at - start, end - start, report))
        at = _next(text, end)
        if len(rows) == PAGE_ROWS or text[at : at + 1] != ",":
            reports = tuple(row.report for row in rows if row.report is not None)
            return _Page(text[start:end], tuple(rows), reports)
        at = _next(text, at + 1)


def _next(text: str, at: int) -> int:
    """Return where the next thing that is not blank stands."""
    if text[at : at + 1] > " ":  # as it is between rows that are sent without blanks, and dearer to find out below
        return at
    found = _BLANK.match(text, at)
    assert found is not None, "nothing is blank, too"
    return found.end()
