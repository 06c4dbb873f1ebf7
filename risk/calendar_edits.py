"""
An edit of the calendar as data: it can be carried out now, or wait as a row and be carried out later.

Values are text, as JSON keeps them. A row is named by its id, or, where a file replaces it, by what makes it one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from django.db.models import Field

from risk.models import CalendarDay, CalendarYear, SessionRule

CalendarRow = CalendarDay | CalendarYear | SessionRule
_TABLES: Mapping[str, type[CalendarRow]] = {"day": CalendarDay, "year": CalendarYear, "hours": SessionRule}
_MAKES_IT_ONE = {"day": ("date",), "year": ("year",), "hours": ("group", "effective_from")}
_NOT_EDITED = {"id", "entered_by", "entered_at"}


@dataclass(frozen=True, kw_only=True)
class RowEdit:
    """One row put in its place, or removed where it has no values. Without an id it replaces the one of its key."""

    table: str
    id: int | None
    values: Mapping[str, str | None] | None

    @classmethod
    def put(cls, row: CalendarRow) -> RowEdit:
        """Return the edit after which the calendar has the row as it is here."""
        values = {each.name: _as_text(each, row) for each in _columns(type(row))}
        return cls(table=_table_of(row), id=row.pk, values=values)

    @classmethod
    def removal(cls, row: CalendarRow) -> RowEdit:
        return cls(table=_table_of(row), id=row.pk, values=None)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def carry_out(self, *, by: str, now: datetime) -> None:
        row = self.row_now()
        if self.values is None:
            assert row is not None, "what was removed meanwhile made the edit stale"
            row.delete()
            return
        row = row or _TABLES[self.table]()
        for each in _columns(type(row)):
            setattr(row, each.name, self._value(each))
        row.entered_by, row.entered_at = by, now
        row.save()

    def row_now(self) -> CalendarRow | None:
        """Return the row that it changes; None where it adds one."""
        named: dict[str, Any] = {"pk": self.id}
        if self.id is None:
            assert self.values is not None, "what is removed has an id"
            named = {name: self.values[name] for name in _MAKES_IT_ONE[self.table]}
        return _TABLES[self.table].objects.filter(**named).first()

    def steps(self) -> list[tuple[str, str, str]]:
        """Return (column in words, before, after) of what it changes of the calendar as it is now."""
        before = self.row_now()
        told = []
        for each in _columns(_TABLES[self.table]):
            was = _as_text(each, before) if before is not None else None
            becomes = self.values[each.name] if self.values is not None else None
            if (was or "") != (becomes or ""):
                told.append((str(each.verbose_name), was or "", becomes or ""))
        return told

    def _value(self, column: Field[Any, Any]) -> Any:
        assert self.values is not None, "what is removed has no values"
        text = self.values[column.name]
        return None if text is None else column.to_python(text)


def as_one(edits: Sequence[RowEdit], *, by: str, now: datetime) -> Callable[[], None]:
    """Return the edits as the one that `risk.calendar.change` carries out."""

    def edit() -> None:
        for each in edits:
            each.carry_out(by=by, now=now)

    return edit


def from_json(kept: Sequence[Mapping[str, Any]]) -> list[RowEdit]:
    return [RowEdit(**each) for each in kept]


def _columns(table: type[CalendarRow]) -> list[Field[Any, Any]]:
    columns = table._meta.concrete_fields  # noqa: SLF001 - Django documents it
    return [each for each in columns if each.name not in _NOT_EDITED]


def _table_of(row: CalendarRow) -> str:
    return next(name for name, table in _TABLES.items() if isinstance(row, table))


def _as_text(column: Field[Any, Any], row: CalendarRow) -> str | None:
    return None if getattr(row, column.name) is None else column.value_to_string(row)
