"""
A backup: one consistent dump of the whole database, proven readable before it counts, and the rotation of older ones.

Rows are counted in the very snapshot that is dumped, so that a restore can be held against it. What a backup came to is
the files themselves; no row says so, since a restored row would say it of another day.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.db import connection
from psycopg import sql

from config.local_folder import lock
from config.postgres_tools import VARIABLES, Tools, ToolsFailed, surroundings, tools_for
from orders.backup_files import Backup, Rotation, backups, named, outlived

CHUNK_BYTES = 1 << 20
LOCK_WAIT_MS = 60_000  # for a migration under way; longer, and it is a failure that is told
WITHOUT_LIMITS = " -c statement_timeout=0 -c idle_in_transaction_session_timeout=0 -c lock_timeout=60s"


class BackupFailed(Exception):
    """No backup was taken; the message is one sentence that says why, or what to do."""


@dataclass(frozen=True, kw_only=True)
class Taken:
    backup: Backup
    size: int  # bytes
    rows: int
    removed: list[Backup]


def take(folder: Path, rotation: Rotation, *, now: datetime) -> Taken:
    """Dump the database into the folder, prove it, and remove what the rotation keeps no more. Raise `BackupFailed`."""
    with _alone(folder):
        backup = named(folder, now)
        if backup.dump.exists():
            raise BackupFailed(f"{backup.dump} is there already: there is one backup a second at most")
        try:
            rows = _write(backup)
            # By a clock that was set back, an older one may look like the newer.
            removed = [each for each in outlived(backups(folder), rotation) if each.dump != backup.dump]
            for each in removed:
                for file in each.files:
                    file.unlink(missing_ok=True)
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            what = "the disk is full" if full else error.strerror
            raise BackupFailed(f"{folder} cannot be written to: {what}") from error
        except (ToolsFailed, psycopg.Error) as trouble:
            raise BackupFailed(" ".join(str(trouble).split())) from trouble
        return Taken(backup=backup, size=backup.dump.stat().st_size, rows=rows, removed=removed)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Make the folder, and let nobody else take a backup into it meanwhile."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        held = lock(folder / "lock", fcntl.LOCK_EX)
    except OSError as error:
        raise BackupFailed(f"{folder} cannot be written to: {error.strerror}") from error
    if held is None:
        raise BackupFailed(f"another backup into {folder} is under way: it is left to finish")
    try:
        yield
    finally:
        os.close(held)


def _write(backup: Backup) -> int:
    """Write the three files under other names, prove them, and give them their own, the dump last."""
    folder = backup.dump.parent
    for left in folder.glob(".order-executor-*.partial"):  # of a run that was killed: nobody else is at work here
        left.unlink()
    drafts = [file.with_name(f".{file.name}.partial") for file in backup.files]
    dump, contents, checksums = drafts
    try:
        for draft in drafts:
            os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        told = _dump(dump, backup)
        contents.write_text(json.dumps(told, indent=1, sort_keys=True) + "\n")
        lines = [f"{sha256(draft)}  {file.name}\n" for draft, file in zip(drafts[:2], backup.files[:2], strict=True)]
        checksums.write_text("".join(lines))
        for draft in drafts:
            sync(draft)
        for draft, file in reversed(list(zip(drafts, backup.files, strict=True))):
            draft.rename(file)
        sync(folder)
    finally:
        for draft in drafts:
            draft.unlink(missing_ok=True)
    return sum(told["rows"].values())


def _dump(draft: Path, backup: Backup) -> dict[str, Any]:
    """Dump into the draft and read all of it once more; return what is in it."""
    parameters = parameters_of_the_database()
    with psycopg.connect(**parameters) as snapshot:
        snapshot.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        snapshot.read_only = True
        tools = tools_for(snapshot.info.server_version // 10_000, os.environ)
        name = snapshot.execute("SELECT pg_export_snapshot()").fetchone()
        assert name is not None, "a function returns a row"
        env = surroundings(parameters)
        options = ["--format=custom", "--no-password", f"--lock-wait-timeout={LOCK_WAIT_MS}"]
        tools.run("pg_dump", [*options, f"--snapshot={name[0]}", f"--file={draft}"], env)
        told = _contents(snapshot, tools, backup)
    tools.run("pg_restore", ["--list", str(draft)], env)
    tools.run("pg_restore", ["--file=/dev/null", str(draft)], env)  # the list is in its first bytes: this reads it all
    return told


def parameters_of_the_database() -> dict[str, Any]:
    """Return how to connect to the desk's database past Django, with all the time that a long read takes."""
    given = connection.get_connection_params()
    parameters = {name: value for name, value in given.items() if name in VARIABLES}
    return {**parameters, "options": f"{given.get('options', '')}{WITHOUT_LIMITS}"}


def _contents(snapshot: psycopg.Connection[Any], tools: Tools, backup: Backup) -> dict[str, Any]:
    head = snapshot.execute("SELECT digest FROM risk_auditseal ORDER BY id DESC LIMIT 1").fetchone()
    migrations = snapshot.execute("SELECT app, name FROM django_migrations ORDER BY app, name").fetchall()
    return {
        "taken_at": backup.taken_at.isoformat(),
        "mode": settings.TRADING_MODE,
        "version": settings.VERSION,
        "server": snapshot.info.server_version // 10_000,
        "tools": tools.major,
        "migrations": [list(each) for each in migrations],
        "audit_head": head[0] if head else "",
        "rows": counted(snapshot),
    }


def counted(database: psycopg.Connection[Any]) -> dict[str, int]:
    """Return how many rows each table has, by its name."""
    tables = database.execute(TABLES).fetchall()
    rows = {}
    for schema, table in tables:
        count = database.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, table))).fetchone()
        assert count is not None, "an aggregate has a row"
        rows[table if schema == "public" else f"{schema}.{table}"] = int(count[0])
    return rows


TABLES = (
    "SELECT nspname, relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace"
    " WHERE relkind IN ('r', 'p') AND nspname <> 'information_schema' AND nspname NOT LIKE 'pg\\_%' ORDER BY 1, 2"
)


def sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Have a file, or the names in a folder, outlast a loss of power from here on."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_whole(backup: Backup) -> Mapping[str, Any]:
    """Hold the files against their checksums and return what is in the dump. Raise `BackupFailed`."""
    for file in backup.files:
        if not file.is_file():
            raise BackupFailed(f"{file} is missing: a backup is a dump and the two files beside it")
    written = dict(line.split("  ", 1)[::-1] for line in backup.checksums.read_text().splitlines() if "  " in line)
    for file in backup.files[:2]:
        if written.get(file.name) != sha256(file):
            raise BackupFailed(f"{file} is damaged: it is not what {backup.checksums.name} says")
    contents: dict[str, Any] = json.loads(backup.contents.read_text())
    return contents
