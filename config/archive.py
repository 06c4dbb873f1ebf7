"""
A closed month of the ledger as files that any tool reads: one CSV a table, and a manifest with their digests.

Both modes are in it, in UTF-8, moments in UTC, and the month is that of Mumbai. The rows go from the database to the
file as they come, so that a large month takes no more memory than a small one; and the same rows make the same bytes.
Nothing here or elsewhere deletes a row of the ledger: an archive is a copy.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import psycopg
from django.apps import apps
from django.conf import settings
from psycopg import sql

from config.archived_tables import ARCHIVED
from config.backup import parameters_of_the_database, sha256, sync
from orders.broker.kite_rows import IST

MANIFEST = "manifest.json"
FORMAT = 1
# What a session of the server might say otherwise, and the bytes with it.
SAME_BYTES = (
    "SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO, YMD'; SET LOCAL IntervalStyle = 'iso_8601';"
    " SET LOCAL bytea_output = 'hex'; SET LOCAL extra_float_digits = 1; SET LOCAL client_encoding = 'UTF8'"
)


class ArchiveRefused(Exception):
    """The month is not archived, or an archive is not looked at; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Month:
    """A calendar month in Mumbai."""

    first: date

    @classmethod
    def named(cls, text: str) -> Month:
        """Return the month written like 2026-11. Raise `ArchiveRefused` for anything else."""
        if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", text):
            raise ArchiveRefused(f"{text!r} is no month: give one such as 2026-11")
        return cls(first=date.fromisoformat(f"{text}-01"))

    def __str__(self) -> str:
        return f"{self.first:%Y-%m}"

    @property
    def next_first(self) -> date:
        return (self.first + timedelta(days=31)).replace(day=1)

    @property
    def begins_at(self) -> datetime:
        return datetime.combine(self.first, time.min, tzinfo=IST)

    @property
    def ends_at(self) -> datetime:
        """Return the first moment that is not in it any more."""
        return datetime.combine(self.next_first, time.min, tzinfo=IST)


def export(month: Month, into: Path, *, now: datetime) -> Path:
    """
    Write the month into a folder of its own and return that. It appears whole and on the disk, or not at all.

    Raise `ArchiveRefused` for a month that is not over, and for one that is there already.
    """
    if now < month.ends_at:
        raise ArchiveRefused(f"{month} is not over in Mumbai: it can be archived from {month.next_first} on")
    folder = into / f"order-executor-{month}"
    if folder.exists():
        raise ArchiveRefused(f"{folder} is there already: --verify {folder} holds it against the database")
    draft = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    try:
        _make(into)
        draft.mkdir(mode=0o700)
        with _snapshot() as ledger:
            written = [_write(ledger, table, month, draft) for table in tables()]
            manifest = _manifest(ledger, month, written)
        (draft / MANIFEST).write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        for path in (*draft.iterdir(), draft):
            sync(path)
        _reveal(draft, folder)
    except (OSError, psycopg.Error) as trouble:
        raise ArchiveRefused(f"{month} was not archived: {' '.join(str(trouble).split())}") from trouble
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def _make(folder: Path) -> None:
    """Make the folder and those above it that are lacking, so that each outlasts a loss of power."""
    if not folder.exists():
        _make(folder.parent)
        folder.mkdir(exist_ok=True)
        sync(folder.parent)


def _reveal(draft: Path, folder: Path) -> None:
    """Give the draft its name; where that may not outlast a loss of power, take it back."""
    draft.rename(folder)
    try:
        sync(folder.parent)
    except OSError:
        folder.rename(draft)
        raise


def verify(folder: Path) -> list[str]:
    """
    Hold an archive against its manifest and then against the database. Return each difference, in words.

    Raise `ArchiveRefused` where there is no manifest to go by.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        month, listed = Month.named(manifest["month"]), {each["file"]: each for each in manifest["tables"]}
    except (OSError, ValueError, KeyError, TypeError) as trouble:
        raise ArchiveRefused(f"{folder} has no manifest that can be read: {trouble}") from trouble
    found = {path.name for path in folder.iterdir()} - {MANIFEST}
    differences = [f"{name} is not in the manifest" for name in sorted(found - listed.keys())]
    differences += [f"{name} is missing" for name in sorted(listed.keys() - found)]
    for name in sorted(found & listed.keys()):
        if sha256(folder / name) != listed[name]["sha256"]:
            differences.append(f"{name} is not as it was written")
    return [*differences, *_against_the_database(month, manifest)]


def _against_the_database(month: Month, manifest: dict[str, Any]) -> Iterator[str]:
    with _snapshot() as ledger:
        for table in tables():
            told = next((each for each in manifest["tables"] if each["table"] == table.name), None)
            if told is None:
                yield f"{table.name} is not in the archive: it was made by another version"
                continue
            digest, rows = hashlib.sha256(), _count(ledger, table, month)
            _stream(ledger, table, month, digest.update)
            if (told["rows"], told["sha256"]) != (rows, digest.hexdigest()):
                yield f"{table.name} is another in the database: {told['rows']} rows archived, {rows} there"


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of the ledger, its columns as the models have them, and the column that says which month a row is of."""

    name: str
    month_by: str
    is_date: bool
    columns: tuple[str, ...]
    types: tuple[str, ...]


def tables() -> list[Table]:
    return [_table(label, month_by) for label, month_by in ARCHIVED.items()]


def _table(label: str, month_by: str) -> Table:
    options = apps.get_model(label)._meta  # noqa: SLF001 - Django documents it
    fields = options.concrete_fields
    return Table(
        name=options.db_table,
        month_by=month_by,
        is_date=options.get_field(month_by).get_internal_type() == "DateField",
        columns=tuple(field.column for field in fields),
        types=tuple(field.get_internal_type() for field in fields),
    )


@contextlib.contextmanager
def _snapshot() -> Iterator[psycopg.Connection[Any]]:
    """Read all tables as they are at one moment."""
    with psycopg.connect(**parameters_of_the_database()) as ledger:
        ledger.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        ledger.read_only = True
        ledger.execute(SAME_BYTES)
        yield ledger


def _rows(table: Table, month: Month, columns: sql.Composable) -> sql.Composed:
    since, until = (month.first, month.next_first) if table.is_date else (month.begins_at, month.ends_at)
    return sql.SQL("SELECT {} FROM {} WHERE {month} >= {} AND {month} < {}").format(
        columns, sql.Identifier(table.name), since, until, month=sql.Identifier(table.month_by)
    )


def _count(ledger: psycopg.Connection[Any], table: Table, month: Month) -> int:
    found = ledger.execute(_rows(table, month, sql.SQL("count(*)"))).fetchone()
    assert found is not None, "an aggregate has a row"
    return int(found[0])


def _stream(
    ledger: psycopg.Connection[Any],
    table: Table,
    month: Month,
    take: Callable[[bytes | bytearray | memoryview], object],
) -> None:
    """Hand the table's rows of the month over as CSV, a piece at a time, in the order of their keys."""
    columns = sql.SQL(", ").join(map(sql.Identifier, table.columns))
    rows = _rows(table, month, columns) + sql.SQL(" ORDER BY id")
    copy = sql.SQL("COPY ({}) TO STDOUT WITH (FORMAT csv, HEADER true)").format(rows)
    with ledger.cursor() as cursor, cursor.copy(copy) as pieces:
        for piece in pieces:
            take(piece)


def _write(ledger: psycopg.Connection[Any], table: Table, month: Month, folder: Path) -> dict[str, Any]:
    digest, path = hashlib.sha256(), folder / f"{table.name}.csv"
    with path.open("xb") as file:

        def take(piece: bytes | bytearray | memoryview) -> None:
            digest.update(piece)
            file.write(piece)

        _stream(ledger, table, month, take)
    return {
        "table": table.name,
        "file": path.name,
        "month_by": table.month_by,
        "rows": _count(ledger, table, month),
        "columns": [{"name": name, "type": kind} for name, kind in zip(table.columns, table.types, strict=True)],
        "sha256": digest.hexdigest(),
    }


def _manifest(ledger: psycopg.Connection[Any], month: Month, tables: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what the archive says of itself: nothing of when or where it was made, so that it is the same again."""
    head = "SELECT digest FROM risk_auditseal WHERE at < %s ORDER BY id DESC LIMIT 1"
    before, after = (ledger.execute(head, [moment]).fetchone() for moment in (month.begins_at, month.ends_at))
    return {
        "format": FORMAT,
        "month": str(month),
        "time_zone": "Asia/Kolkata",
        "from": month.begins_at.isoformat(),
        "until": month.ends_at.isoformat(),
        "version": settings.VERSION,
        "audit": {"head_before": before[0] if before else "", "head": after[0] if after else ""},
        "tables": tables,
    }
