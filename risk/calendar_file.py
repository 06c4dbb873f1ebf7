"""
The exchange's list of holidays as a file: bytes → days, or `CalendarFileError` naming every line that makes no sense.

Two headers are known. The NSE's own download has `Date` (26-Jan-2026) and `Description`, and lists holidays. Ours has
`date` (2026-01-26), `kind`, `open`, `close`, `name`, and may have `segment`, `source` and `status`.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time

from risk.engine.sessions import DayKind
from risk.models.calendar import FIRST_YEAR, LAST_YEAR, CalendarDay

BYTES_MAX = 1_000_000
LINES_TOLD_MAX = 20
BOTH_SEGMENTS = {"", "CM+FO"}
CONFIRMED = {"", "confirmed"}
TEXT_MAX = {"name": 200, "source": 300, "note": 300}  # characters, as the columns hold


class CalendarFileError(Exception):
    """The file cannot be loaded; each error names its line, and nothing of the file is kept."""

    def __init__(self, errors: Sequence[str]) -> None:
        more = [f"and {len(errors) - LINES_TOLD_MAX} more"] if len(errors) > LINES_TOLD_MAX else []
        super().__init__("; ".join([*errors[:LINES_TOLD_MAX], *more]))
        self.errors = list(errors)


@dataclass(frozen=True, kw_only=True)
class DayRow:
    """One line of the file."""

    date: date
    kind: DayKind
    opens: time | None
    closes: time | None
    name: str
    source: str
    note: str


def read_days(raw: bytes) -> list[DayRow]:
    """Return the days of the file, in its order. Raise `CalendarFileError`."""
    rows = _rows(raw)
    days: list[DayRow] = []
    errors: list[str] = []
    lines: dict[date, int] = {}
    for line, row in rows:
        try:
            day = _day(row)
            if day.date in lines:
                raise ValueError(f"{day.date} stands on line {lines[day.date]} already")
        except ValueError as trouble:
            errors.append(f"line {line}: {trouble}")
        else:
            lines[day.date] = line
            days.append(day)
    if errors:
        raise CalendarFileError(errors)
    if not days:
        raise CalendarFileError(["there is no day in the file"])
    return days


def _rows(raw: bytes) -> list[tuple[int, dict[str, str]]]:
    """Return (line, fields by lower-case name) of every line that is not blank."""
    if len(raw) > BYTES_MAX:
        raise CalendarFileError([f"the file has {len(raw)} bytes: a calendar has at most {BYTES_MAX}"])
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CalendarFileError([f"byte {error.start} is not UTF-8: save the file as CSV in UTF-8"]) from error
    reader = csv.DictReader(text.splitlines(keepends=True), strict=True)
    try:
        names = [(name or "").strip().lower() for name in reader.fieldnames or []]
        reader.fieldnames = names
        if "date" not in names or not {"name", "description"} & set(names):
            raise CalendarFileError(["line 1: the header needs the columns date and name (or the NSE's Description)"])
        return [(reader.line_num, _fields(row)) for row in reader if any(_fields(row).values())]
    except csv.Error as error:
        raise CalendarFileError([f"line {reader.reader.line_num}: {error}"]) from error


def _fields(row: Mapping[str | None, object]) -> dict[str, str]:
    """Return the fields without blanks around them; what stands beyond the header is kept under "beyond"."""
    return {
        name or "beyond": value.strip() if isinstance(value, str) else str(value or "") for name, value in row.items()
    }


def _day(row: Mapping[str, str]) -> DayRow:
    if row.get("beyond"):
        raise ValueError("it has more fields than the header")
    if row.get("segment", "") not in BOTH_SEGMENTS:
        raise ValueError(f"segment {row['segment']!r}: only days of both CM and FO are kept, as CM+FO")
    opens, closes = _time(row, "open"), _time(row, "close")
    kind = (row.get("kind") or DayKind.HOLIDAY).upper()
    if kind not in CalendarDay.Kind.values:
        raise ValueError(f"kind {row['kind']!r} is neither HOLIDAY nor SPECIAL")
    if (opens is None) != (closes is None):
        raise ValueError("give both times or neither")
    if opens is not None and closes is not None and opens >= closes:
        raise ValueError(f"it opens at {opens} and closes at {closes}")
    if kind == DayKind.HOLIDAY and opens is not None:
        raise ValueError("a holiday has no hours")
    status = row.get("status", "")
    texts = {
        "name": row.get("name") or row.get("description", ""),
        "source": row.get("source", ""),
        "note": "" if status in CONFIRMED else status,
    }
    if not texts["name"]:
        raise ValueError("the day has no name")
    for column, text in texts.items():
        if len(text) > TEXT_MAX[column] or "\x00" in text:
            raise ValueError(f"the {column} is longer than {TEXT_MAX[column]} characters, or no text")
    return DayRow(date=_date(row["date"]), kind=DayKind(kind), opens=opens, closes=closes, **texts)


def _date(text: str) -> date:
    for shape in ("%Y-%m-%d", "%d-%b-%Y"):
        try:
            day = datetime.strptime(text, shape).date()  # noqa: DTZ007 - a date has no zone
        except ValueError:
            continue
        if not FIRST_YEAR <= day.year <= LAST_YEAR:
            raise ValueError(f"the year of {text} is not from {FIRST_YEAR} to {LAST_YEAR}")
        return day
    raise ValueError(f"date {text!r}: write it like 2026-01-26 or 26-Jan-2026")


def _time(row: Mapping[str, str], column: str) -> time | None:
    text = row.get(column, "")
    if not text:
        return None
    try:
        return datetime.strptime(text, "%H:%M").time()  # noqa: DTZ007 - the exchange's wall clock
    except ValueError:
        raise ValueError(f"{column} {text!r}: write it like 09:15") from None
