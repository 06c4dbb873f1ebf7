"""
The tables held against the trail: each row must be as its last entries left it.

Whoever owns the tables can switch a trigger off, change what he likes, and switch it on again: every entry is then as
it was sealed, and none tells of it. The rows do. Columns that the trail masks or leaves out are not known to it; nor
are rows that are older than it, or of a table whose rows are the record of their own coming.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.db import connection, transaction
from django.db.models import DateTimeField, Model

from risk.audit.coverage import COVERED, SECRETS, Cover

FINDINGS_A_TABLE_MAX = 20

# What the trail said last of each column of each row. Moments are written as the session's time zone has them.
_SAID = """
    SELECT DISTINCT ON (row_pk, key) row_pk, key, id, operation,
           CASE operation WHEN 'UPDATE' THEN value -> 1 ELSE value END AS value
    FROM risk_auditentry, jsonb_each(changes)
    WHERE table_name = %(table)s AND NOT key = ANY (%(unknown)s)
    ORDER BY row_pk, key, id DESC
"""
_CHANGED = """
    SELECT row_pk, key, id FROM ({said}) AS said JOIN (SELECT to_jsonb(each) AS row FROM {table} AS each) AS now
        ON row ->> %(pk)s = row_pk
    WHERE operation <> 'DELETE' AND row ? key AND CASE WHEN key = ANY (%(moments)s)
        THEN (value #>> %(whole)s)::timestamptz IS DISTINCT FROM (row ->> key)::timestamptz
        ELSE value IS DISTINCT FROM row -> key END
    ORDER BY id LIMIT %(most)s
"""
_GONE_OR_BACK = """
    SELECT row_pk, entry, operation FROM (
        SELECT DISTINCT ON (row_pk) row_pk, id AS entry, operation FROM risk_auditentry WHERE table_name = %(table)s
        ORDER BY row_pk, id DESC
    ) AS last LEFT JOIN {table} AS each ON each.{pk}::text = row_pk
    WHERE (operation = 'DELETE') = (each.{pk} IS NOT NULL)
    ORDER BY entry LIMIT %(most)s
"""
_CAME = """
    SELECT each.{pk}::text FROM {table} AS each
    WHERE each.{pk} > (SELECT min(row_pk::bigint) FROM risk_auditentry
                       WHERE table_name = %(table)s AND operation = 'INSERT')
        AND NOT EXISTS (SELECT FROM risk_auditentry WHERE table_name = %(table)s AND operation = 'INSERT'
                        AND row_pk = each.{pk}::text)
    ORDER BY each.{pk} LIMIT %(most)s
"""


def verify_rows() -> list[str]:
    """Return, in words, each row that is not as the trail says; of a table at most `FINDINGS_A_TABLE_MAX` of a kind."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")  # it reads the whole trail, once for each table
        found: list[str] = []
        for label, cover in COVERED.items():
            found += _findings(cursor, apps.get_model(label), cover)
    return found


def _findings(cursor: Any, model: type[Model], cover: Cover) -> Iterator[str]:
    options = model._meta  # noqa: SLF001 - Django's own way to ask a model about its table
    moments = [field.column for field in options.concrete_fields if isinstance(field, DateTimeField)]
    values = {
        "table": options.db_table,
        "pk": options.pk.column,
        "unknown": sorted({*SECRETS, *cover.masked, *cover.unwatched}),
        "moments": moments,
        "whole": [],  # the path to a value itself, as text
        "most": FINDINGS_A_TABLE_MAX,
    }
    quoted = connection.ops.quote_name
    names = {"said": _SAID, "table": quoted(options.db_table), "pk": quoted(str(options.pk.column))}

    def asked(statement: str) -> Iterator[Any]:
        cursor.execute(statement.format(**names), values)
        yield from cursor.fetchall()

    table = options.db_table
    for row, column, entry in asked(_CHANGED):
        yield f"{table} {row}: {column} is not what entry {entry} left there, and no entry says why"
    for row, entry, operation in asked(_GONE_OR_BACK):
        what = f"is there, and entry {entry} deleted it" if operation == "DELETE" else "is gone, and no entry says so"
        yield f"{table} {row} {what}"
    if cover.inserts:
        for (row,) in asked(_CAME):
            yield f"{table} {row} is there, and no entry says since when"
