"""
Rows that come by the hundred, put into a table by COPY: a fraction of what an INSERT of as many costs. One that comes
alone is put in by an INSERT, which takes a trip less.

Only for tables whose rows are the record of their own coming. A COPY passes by what signs the statements that write, so
an entry of the trail would name the database's user and not who is at work.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from itertools import chain, islice

from django.db import connection
from django.db.models import Model

from risk.audit.coverage import COVERED
from risk.prepared import prepared_cursor


def copy_in(model: type[Model], columns: tuple[str, ...], rows: Iterable[Sequence[object]]) -> None:
    """
    Add the rows, each with a value for each of the columns, as the driver takes it; JSON as its text.

    Nothing is filled in: a column with no value in the database is named. Raise what an INSERT would.
    """
    assert connection.in_atomic_block, "half of the rows are none"
    coming = iter(rows)
    first = tuple(islice(coming, 2))
    if len(first) == 1:
        with prepared_cursor() as cursor:
            cursor.execute(_insert(model, columns), first[0])
        return
    with (
        connection.wrap_database_errors,
        connection.cursor() as cursor,
        cursor.cursor.copy(_copy(model, columns)) as table,
    ):
        for row in chain(first, coming):
            table.write_row(row)


@cache
def _copy(model: type[Model], columns: tuple[str, ...]) -> str:
    return f"COPY {_table(model, columns)} FROM STDIN"


@cache
def _insert(model: type[Model], columns: tuple[str, ...]) -> str:
    return f"INSERT INTO {_table(model, columns)} VALUES ({', '.join(['%s'] * len(columns))})"  # noqa: S608 - of names


def _table(model: type[Model], columns: tuple[str, ...]) -> str:
    options = model._meta  # noqa: SLF001 - Django's own way to ask a model about its table
    assert not COVERED[options.label].inserts, f"who adds rows of {options.label} is in the trail"
    names = ", ".join(connection.ops.quote_name(column) for column in columns)
    return f"{connection.ops.quote_name(options.db_table)} ({names})"
