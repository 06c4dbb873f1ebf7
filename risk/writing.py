"""
Rows that every order writes: a statement is made once for a model, and a change goes with what tells of it in one trip.

Django makes an INSERT or UPDATE anew each time. What is written here is the same, value for value, by the fields' own
rules; signals of `save` are not sent, and nobody listens to them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple, TypeVar

from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.models import Model
from django.db.models.expressions import DatabaseDefault

from risk.prepared import prepared_cursor

Row = TypeVar("Row", bound=Model)


def insert(row: Row) -> Row:
    """Write a new row down and give it its id."""
    with prepared_cursor() as cursor:
        cursor.execute(f"{_insert(type(row))} RETURNING {_column(type(row), 'pk')}", _values(row))
        (row.pk,) = cursor.fetchone()
    return _is_written(row)


class Change(NamedTuple):
    """What is to be changed of a row where it still is as expected."""

    row: Model
    changes: Mapping[str, Any]
    where: Mapping[str, Any]


def insert_chain(*links: tuple[Model, str], change: Change | None = None) -> bool:
    """
    Write new rows down in one statement and give them their ids: each with the name by which it refers to the one
    before it, empty for the first. Return whether the change that goes with them took effect; without one, True.
    """
    rows = [row for row, _ in links]
    kinds = tuple((type(row), refers) for row, refers in links)
    values = [
        value
        for row, refers in links
        for field, value in zip(_written(type(row)), _values(row), strict=True)
        if not refers or field.name != refers
    ]
    changed: tuple[Any, ...] = ()
    if change is not None:
        kind = type(change.row)
        changed = (kind, tuple(change.changes), tuple(change.where))
        values += [*_prepared(kind, change.changes), change.row.pk, *_prepared(kind, change.where)]
    with prepared_cursor() as cursor:
        cursor.execute(_insert_chain(kinds, *changed), values)
        *ids, took_effect = cursor.fetchone()
    for row, pk in zip(rows, ids, strict=True):
        row.pk = pk
        _is_written(row)
    for (row, refers), before in zip(links[1:], rows, strict=False):
        setattr(row, refers, before)
    if change is not None and took_effect:
        _take_effect(change.row, change.changes)
    return bool(took_effect)


def update(row: Model, changes: Mapping[str, Any], *, where: Mapping[str, Any]) -> bool:
    """
    Change a row where it still is as expected. Return whether it was; then the row has the changes.

    What others changed of it is not read: see `update_and_tell`.
    """
    kind = type(row)
    given, expected = _prepared(kind, changes), _prepared(kind, where)
    with prepared_cursor() as cursor:
        cursor.execute(_update(kind, tuple(changes), tuple(where)), [*given, row.pk, *expected])
        changed = bool(cursor.rowcount)
    if changed:
        _take_effect(row, changes)
    return changed


def update_and_tell(row: Model, changes: Mapping[str, Any], event: Model, *, where: Mapping[str, Any]) -> bool:
    """
    Change a row where it still is as expected, and only then write the event, in one statement.

    Return whether it was. The row then is as the database has it now, what others changed of it included.
    """
    kind = type(row)
    given, expected = _prepared(kind, changes), _prepared(kind, where)
    statement = _update_and_tell(kind, tuple(changes), tuple(where), type(event))
    with prepared_cursor() as cursor:
        cursor.execute(statement, [*given, row.pk, *expected, *_values(event)])
        found = cursor.fetchone()
    if found is not None:
        take_over(row, found)
    return found is not None


def take_over(row: Model, found: Sequence[Any]) -> None:
    """Give the row these values of its columns; what it refers to is kept where it still is that."""
    fields: Sequence[Any] = row._meta.concrete_fields
    for field, value in zip(fields, found, strict=True):
        if field.is_relation and field.is_cached(row) and getattr(row, field.attname) != value:
            field.delete_cached_value(row)
        setattr(row, field.attname, value)


def _take_effect(row: Model, changes: Mapping[str, Any]) -> None:
    for name, value in changes.items():
        setattr(row, name, value)


def _is_written(row: Row) -> Row:
    row._state.adding, row._state.db = False, connection.alias
    return row


@cache
def _insert(kind: type[Model], source: str = "", refers: str = "") -> str:
    """Return the INSERT of one row; where a source is named, for each row of that, which it may refer to."""
    fields = _written(kind)
    places = ", ".join(f"{source}.id" if field.name == refers else f"%s::{base_type(field)}" for field in fields)
    given = f"SELECT {places} FROM {source}" if source else f"VALUES ({places})"  # noqa: S608 - of names
    return f"INSERT INTO {_quote(kind._meta.db_table)} ({_columns(fields)}) {given}"


def base_type(field: Any) -> str:
    """Return the column's type without its size: a cast to one with a size would cut off what the column refuses."""
    return re.sub(r"\(.*?\)", "", field.cast_db_type(connection))


@cache
def _insert_chain(
    kinds: tuple[tuple[type[Model], str], ...],
    changed: type[Model] | None = None,
    changes: tuple[str, ...] = (),
    expected: tuple[str, ...] = (),
) -> str:
    """Return the INSERTs of rows of these kinds, each of which refers to the one before, with an UPDATE beside them."""
    made = [
        f"made{place} AS ({_insert(kind, f'made{place - 1}' if place else '', refers)}"
        f" RETURNING {_column(kind, 'pk')} AS id)"
        for place, (kind, refers) in enumerate(kinds)
    ]
    took_effect = "true"
    if changed is not None:
        made.append(f"changed AS ({_update(changed, changes, expected)} RETURNING 1)")
        took_effect = "EXISTS (SELECT FROM changed)"
    names = [f"made{place}" for place in range(len(kinds))]
    ids = ", ".join(f"{name}.id" for name in names)
    return f"WITH {', '.join(made)} SELECT {ids}, {took_effect} FROM {', '.join(names)}"  # noqa: S608 - of names


@cache
def _update(kind: type[Model], changed: tuple[str, ...], expected: tuple[str, ...]) -> str:
    """Return the UPDATE of one row that still is as expected."""
    assigned = ", ".join(f"{_column(kind, name)} = %s" for name in changed)
    holds = " AND ".join(f"{_column(kind, name)} = %s" for name in ("pk", *expected))
    return f"UPDATE {_quote(kind._meta.db_table)} SET {assigned} WHERE {holds}"  # noqa: S608 - of names


@cache
def _update_and_tell(kind: type[Model], changed: tuple[str, ...], expected: tuple[str, ...], event: type[Model]) -> str:
    """Return it with the INSERT of what is told of the row, and the row as it is then."""
    columns, told = _columns(kind._meta.concrete_fields), _insert(event, "changed")
    update = f"{_update(kind, changed, expected)} RETURNING {columns}"
    return f"WITH changed AS ({update}), told AS ({told}) SELECT {columns} FROM changed"  # noqa: S608 - of names


def _values(row: Model) -> list[Any]:
    here = connections[DEFAULT_DB_ALIAS]  # the proxy would look it up for each field, several times
    return [field.get_db_prep_save(_value(row, field), here) for field in _written(type(row))]


def _value(row: Model, field: Any) -> Any:
    value = field.pre_save(row, True)
    if isinstance(value, DatabaseDefault):  # a constant, which the database would put there itself
        (constant,) = value.get_source_expressions()
        value = constant.value
        setattr(row, field.attname, value)
    return value


@cache
def _written(kind: type[Model]) -> list[Any]:
    """Return the fields that are not the database's to fill."""
    return [field for field in kind._meta.concrete_fields if not (field.primary_key or field.generated)]


def _prepared(kind: type[Model], values: Mapping[str, Any]) -> list[Any]:
    return [_field(kind, name).get_db_prep_save(value, connection) for name, value in values.items()]


def _column(kind: type[Model], name: str) -> str:
    return _quote(_field(kind, name).column)


def _field(kind: type[Model], name: str) -> Any:
    return kind._meta.pk if name == "pk" else kind._meta.get_field(name)


def _columns(fields: Iterable[Any]) -> str:
    return ", ".join(_quote(field.column) for field in fields)


def _quote(name: str) -> str:
    return connection.ops.quote_name(name)
