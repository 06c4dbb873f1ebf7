"""
Many rows in one statement, where Django's own ways would need one for each, or text that grows with their square.

The statements are the same each time, so they are made once and PostgreSQL plans them once; the rows are one parameter.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

from django.db import connection
from django.db.models import BooleanField, F, Func, Model, TextField, Value

from risk.prepared import prepared_cursor
from risk.writing import base_type

AS_READ = "as_read"  # a column beside the model's own

Row = TypeVar("Row", bound=Model)


class IsAnyOf(Func):
    """
    Whether a column is any of the values, of this type, that `as_text` made one text: a `Question` takes no lists.

    It is asked by the column's index, however little PostgreSQL knows of the table.
    """

    arg_joiner = " = ANY(ARRAY(SELECT json_array_elements_text("
    template = "(%(expressions)s::json)::%(of)s)))"
    output_field = BooleanField()

    def __init__(self, column: str, values: str, *, of: str) -> None:
        super().__init__(F(column), Value(values, TextField()), of=of)


def as_text(values: Iterable[int | str]) -> str:
    """Return the values as the one text that `IsAnyOf` takes."""
    return json.dumps(list(values))


def write_columns(
    rows: Sequence[Model], names: Sequence[str], *, unless_changed: tuple[str, Sequence[str]] | None = None
) -> int:
    """
    Write these fields of the rows, all of one model, where their primary keys are. Return how many rows there were.

    With `unless_changed` only where a field of text still is as it was read: its name, and a value for each row. As
    `bulk_update`, but the statement is as long as what it writes. The caller is in a transaction.
    """
    if not rows:
        return 0
    kind = type(rows[0])
    said = _as_rows(rows, _fields(kind, ("pk", *names)))
    if unless_changed is not None:
        for row, value in zip(said, unless_changed[1], strict=True):
            row[AS_READ] = value
    with prepared_cursor() as cursor:
        cursor.execute(_update(kind, tuple(names), unless_changed[0] if unless_changed else ""), [_as_json(said)])
        return int(cursor.rowcount)


def set_columns(
    kind: type[Model], changes: Mapping[str, Any], *, where: Mapping[str, Any], but: Collection[int] = ()
) -> int:
    """
    Write these values to every row of the model that has those of `where`, but for the ones of these primary keys.

    Return how many there were. As `update` of a queryset, whose statement is made anew each time.
    """
    values = [
        field.get_db_prep_save(value, connection)
        for said in (changes, where)
        for field, value in zip(_fields(kind, tuple(said)), said.values(), strict=True)
    ]
    with prepared_cursor() as cursor:
        cursor.execute(_set(kind, tuple(changes), tuple(where)), [*values, list(but)])
        return int(cursor.rowcount)


def put_rows(rows: Sequence[Model]) -> None:
    """Write the rows, all of one model and with their primary keys, as they are: over what there is, or anew."""
    if rows:
        kind = type(rows[0])
        with prepared_cursor() as cursor:
            cursor.execute(_put(kind), [_as_json(_as_rows(rows, _fields(kind)))])


def insert_each(kind: type[Model], names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """
    Insert rows of the model in their order: of each the values of these fields, which are all it has but its key.

    As `bulk_create`, which takes longer to quote the texts than it takes to write them.
    """
    if rows:
        columns = [field.column for field in _fields(kind, tuple(names))]
        said = [dict(zip(columns, row, strict=True)) for row in rows]
        with prepared_cursor() as cursor:
            cursor.execute(_insert(kind, tuple(names)), [_as_json(said)])


def insert_new(rows: Sequence[Row], *, once: Sequence[str], read: Sequence[str]) -> list[Row]:
    """
    Insert the rows, all of one model, in their order; return those that no unique constraint refuses.

    Each of these gets its key, and the fields to be `read` as the database keeps them. `once` are the fields that tell
    the rows apart, of which the database keeps each letter.
    """
    if not rows:
        return []
    kind = type(rows[0])
    names = tuple(field.name for field in _fields(kind) if not field.primary_key)
    with prepared_cursor() as cursor:
        cursor.execute(
            f"{_insert(kind, names)} ON CONFLICT DO NOTHING RETURNING {_columns(kind, ('pk', *read, *once))}",
            [_as_json(_as_rows(rows, _fields(kind, names)))],
        )
        written = {tuple(row[1 + len(read) :]): row[: 1 + len(read)] for row in cursor.fetchall()}
    inserted = []
    for row in rows:
        kept = written.pop(tuple(getattr(row, name) for name in once), None)
        if kept is not None:
            row.pk, row._state.adding, row._state.db = kept[0], False, connection.alias  # noqa: SLF001 - as Django would
            for name, value in zip(read, kept[1:], strict=True):
                setattr(row, name, value)
            inserted.append(row)
    return inserted


@cache
def _update(kind: type[Model], names: tuple[str, ...], unless_changed: str) -> str:
    fields = _fields(kind, ("pk", *names))
    key, *changed = (connection.ops.quote_name(field.column) for field in fields)
    found = f"kept.{key} = said.{key}"
    if unless_changed:
        found += f" AND kept.{_columns(kind, (unless_changed,))} = said.{AS_READ}"
    changes = ", ".join(f"{column} = said.{column}" for column in changed)
    return f"UPDATE {_table(kind)} AS kept SET {changes} FROM {_said(fields)} WHERE {found}"  # noqa: S608 - of a model's own names


@cache
def _set(kind: type[Model], names: tuple[str, ...], where: tuple[str, ...]) -> str:
    changes = ", ".join(f"{_columns(kind, (name,))} = %s" for name in names)
    found = " AND ".join(f"{_columns(kind, (name,))} = %s" for name in where)
    return f"UPDATE {_table(kind)} SET {changes} WHERE {found} AND NOT {_columns(kind, ('pk',))} = ANY(%s::bigint[])"  # noqa: S608 - likewise


@cache
def _insert(kind: type[Model], names: tuple[str, ...]) -> str:
    columns = _columns(kind, names)
    return f"INSERT INTO {_table(kind)} ({columns}) SELECT {columns} FROM {_said(_fields(kind, names))}"  # noqa: S608 - likewise


@cache
def _put(kind: type[Model]) -> str:
    key, others = _columns(kind, ("pk",)), [field.name for field in _fields(kind) if not field.primary_key]
    changes = ", ".join(f"{column} = EXCLUDED.{column}" for column in (_columns(kind, (name,)) for name in others))
    return f"{_insert(kind, ('pk', *others))} ON CONFLICT ({key}) DO UPDATE SET {changes}"


@cache
def _fields(kind: type[Model], names: tuple[str, ...] | None = None) -> list[Any]:
    options: Any = kind._meta  # noqa: SLF001 - Django's own way to ask a model about its table
    by_name = {"pk": options.pk, **{field.name: field for field in options.concrete_fields}}
    return list(options.concrete_fields) if names is None else [by_name[name] for name in names]


def _table(kind: type[Model]) -> str:
    return connection.ops.quote_name(kind._meta.db_table)  # noqa: SLF001 - likewise


def _columns(kind: type[Model], names: tuple[str, ...]) -> str:
    return ", ".join(connection.ops.quote_name(field.column) for field in _fields(kind, names))


def _said(fields: Sequence[Any]) -> str:
    """Return the SQL of a table with these columns, which is read from the statement's one parameter."""
    columns = [f"{connection.ops.quote_name(field.column)} {base_type(field)}" for field in fields]
    return f"json_to_recordset(%s::json) AS said({', '.join([*columns, f'{AS_READ} text'])})"


def _as_rows(rows: Sequence[Model], fields: Sequence[Any]) -> list[dict[str, Any]]:
    names = [(field.column, field.attname) for field in fields]
    return [{column: getattr(row, name) for column, name in names} for row in rows]


def _as_json(rows: list[dict[str, Any]]) -> str:
    """Return the rows as JSON; numbers and moments as text, which PostgreSQL reads to the last digit."""
    return json.dumps(rows, default=str)
