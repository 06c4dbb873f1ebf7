"""Many rows in one statement, where Django's own ways would need one for each, or text that grows with their square."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from django.db import connection
from django.db.models import Model

from risk.writing import base_type

AS_READ = "as_read"  # a column beside the model's own


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
    options = rows[0]._meta  # noqa: SLF001 - Django's own way to ask a model about its table
    by_name: dict[str, Any] = {field.name: field for field in options.concrete_fields}
    fields: list[Any] = [options.pk, *(by_name[name] for name in names)]
    quote = connection.ops.quote_name
    changes = ", ".join(f"{quote(field.column)} = said.{quote(field.column)}" for field in fields[1:])
    found = f"kept.{quote(fields[0].column)} = said.{quote(fields[0].column)}"
    said = _as_rows(rows, fields)
    if unless_changed is not None:
        name, as_read = unless_changed
        found += f" AND kept.{quote(by_name[name].column)} = said.{AS_READ}"
        said = [{**row, AS_READ: value} for row, value in zip(said, as_read, strict=True)]
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {quote(options.db_table)} AS kept SET {changes} FROM {_said(fields)} WHERE {found}",  # noqa: S608 - of a model's own names
            [_as_json(said)],
        )
        return int(cursor.rowcount)


def insert_rows(rows: Sequence[Model], *, ignore_conflicts: bool = False) -> int:
    """
    Insert the rows, all of one model, in their order, and return how many there are now; they do not get their keys.

    With `ignore_conflicts` one that a unique constraint refuses is left out. As `bulk_create`, which takes longer to
    quote the texts than it takes to write them.
    """
    if not rows:
        return 0
    options = rows[0]._meta  # noqa: SLF001 - Django's own way to ask a model about its table
    fields: list[Any] = [field for field in options.concrete_fields if not field.primary_key]
    columns = ", ".join(connection.ops.quote_name(field.column) for field in fields)
    table, otherwise = (
        connection.ops.quote_name(options.db_table),
        " ON CONFLICT DO NOTHING" if ignore_conflicts else "",
    )
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {_said(fields)}{otherwise}",  # noqa: S608 - likewise
            [_as_json(_as_rows(rows, fields))],
        )
        return int(cursor.rowcount)


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
