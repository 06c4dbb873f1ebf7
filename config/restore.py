"""
A restore: a backup into an empty database, held against what was dumped, and made safe before anybody can use it.

Until the end the database is read-only by its own default, so that one whose restore was cut short sends no order.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import psycopg
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from config.backup import TABLES, WITHOUT_LIMITS, BackupFailed, check_whole, counted, parameters_of_the_database
from config.local_folder import PROJECT
from config.postgres_tools import TOLD_LETTERS_MAX, ToolsFailed, surroundings, tools_for
from orders.backup_files import Backup
from orders.leadership import APPLICATION
from orders.restored import make_safe
from risk.audit import sealing, triggers

OWN_APPS = frozenset({"orders", "risk"})


class RestoreRefused(Exception):
    """The backup is not restored there; the message says why, and what to do."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """The database to restore into: what libpq is told of it, and its address for Django, both with the password."""

    parameters: Mapping[str, Any]
    url: str

    @property
    def name(self) -> str:
        return str(self.parameters.get("dbname", ""))


def target_of(address: str) -> Target:
    """
    Return the database at this address, or the desk's own for none.

    Raise `RestoreRefused` for an address with a password: it comes from PGPASSWORD, or a password file.
    """
    if not address:
        return Target(parameters=parameters_of_the_database(), url=os.environ.get("DATABASE_URL", ""))
    if urlsplit(address).password:
        raise RestoreRefused(
            "leave the password out of the address: every user of this machine sees a command line. "
            "Set PGPASSWORD, or write it into ~/.pgpass"
        )
    try:
        parameters = conninfo_to_dict(address)
    except psycopg.ProgrammingError as trouble:
        raise RestoreRefused(f"{address!r} is no address of a database: {' '.join(str(trouble).split())}") from trouble
    if not parameters.get("dbname"):
        raise RestoreRefused(f"{address!r} names no database")
    return Target(parameters={"connect_timeout": 10, **parameters, "options": WITHOUT_LIMITS.strip()}, url=address)


def restore(backup: Backup, target: Target) -> dict[str, int]:
    """
    Restore the backup into the target, which must be empty and unused. Return the rows of each table.

    Raise `RestoreRefused` or `BackupFailed` with nothing changed, `ToolsFailed` with nothing restored.
    """
    contents = check_whole(backup)
    _check_version(contents)
    try:
        with psycopg.connect(**target.parameters, autocommit=True) as database:
            database.execute("SET default_transaction_read_only = off")  # as a restore that failed left it
            server = database.info.server_version // 10_000
            _check_target(database, server, contents, target)
            tools = tools_for(max(server, int(contents["tools"])), os.environ)
            env = surroundings(target.parameters)
            tools.run("pg_restore", ["--list", str(backup.dump)], env)
            _set_read_only(database, target)
            _check_target(database, server, contents, target)  # who came before that may write
            env["PGOPTIONS"] = "-c default_transaction_read_only=off"
            options = ["--exit-on-error", "--single-transaction", "--no-owner", "--no-privileges", "--no-password"]
            tools.run("pg_restore", [*options, f"--dbname={target.name}", str(backup.dump)], env)
            rows = counted(database)
    except psycopg.Error as trouble:
        raise RestoreRefused(f"{target.name}: {' '.join(str(trouble).split())}") from trouble
    if differ := {table for table in rows | contents["rows"] if rows.get(table) != contents["rows"].get(table)}:
        raise BackupFailed(f"the restored rows are not those that were dumped: {', '.join(sorted(differ))}")
    return rows


def make_usable(backup: Backup, target: Target) -> dict[str, Any]:
    """
    Bring the restored database up to date, make it safe and let it be written to: in a process that has it for its own.

    Return what that found. Raise `ToolsFailed`: then it stays read-only.
    """
    answer = subprocess.run(  # noqa: S603  # our own program, no shell
        [sys.executable, str(PROJECT / "manage.py"), "settle_restored", "--taken-at", backup.taken_at.isoformat()],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **_for_django(target)},
    )
    if answer.returncode:
        said = " ".join((answer.stderr or answer.stdout).split())[-TOLD_LETTERS_MAX:]
        raise ToolsFailed(f"restored, but not made safe, so that it stays read-only: {said}")
    found: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return found


def _for_django(target: Target) -> dict[str, str]:
    given = {name: str(value) for name, value in surroundings(target.parameters).items() if name.startswith("PG")}
    given.pop("PGAPPNAME", None)
    return {**given, **({"DATABASE_URL": target.url} if target.url else {})}


def _check_version(contents: Mapping[str, Any]) -> None:
    """Raise `RestoreRefused` for a dump that this version of the software is too old to understand."""
    known = MigrationLoader(None, ignore_no_migrations=True).disk_migrations
    newer = [f"{app}.{name}" for app, name in contents["migrations"] if app in OWN_APPS and (app, name) not in known]
    if newer:
        raise RestoreRefused(
            f"it was made by a newer version of this software, {contents['version']}, whose {newer[0]} is not here: "
            f"restore it with that version"
        )


def _check_target(database: psycopg.Connection[Any], server: int, contents: Mapping[str, Any], target: Target) -> None:
    if server < int(contents["server"]):
        raise RestoreRefused(
            f"the dump is of PostgreSQL {contents['server']} and this server is {server}: take one as new"
        )
    others = database.execute(
        "SELECT application_name FROM pg_stat_activity WHERE datname = current_database()"
        # Of others' sessions a role that is no member of theirs is not told the kind.
        " AND pid <> pg_backend_pid() AND coalesce(backend_type, 'client backend') = 'client backend'"
    ).fetchall()
    if any(name == APPLICATION for (name,) in others):
        raise RestoreRefused(f"an executor is running on {target.name}: stop it first")
    if others:
        raise RestoreRefused(f"{len(others)} others are connected to {target.name}: stop them first")
    if tables := database.execute(TABLES).fetchall():
        raise RestoreRefused(
            f"{target.name} is not empty, it has {len(tables)} tables: make a new database and restore into that. "
            f"Nothing is ever restored over what is there"
        )


def _set_read_only(database: psycopg.Connection[Any], target: Target) -> None:
    try:
        database.execute(sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(_name_of(database)))
    except psycopg.errors.InsufficientPrivilege as refusal:
        raise RestoreRefused(f"{database.info.user} does not own {target.name}: restore as its owner") from refusal


def _name_of(database: psycopg.Connection[Any]) -> sql.Identifier:
    return sql.Identifier(database.info.dbname)


def settle(*, taken_at: datetime, now: datetime) -> dict[str, Any]:
    """Make Django's own database, which was just restored, current and safe, and let it be written to by all again."""
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = off")  # for this process and no other
    waiting = MigrationExecutor(connection)
    plan = waiting.migration_plan(waiting.loader.graph.leaf_nodes())
    call_command("migrate", interactive=False, verbosity=0)
    make_safe(taken_at=taken_at, now=now)
    audit = sealing.verify()
    findings = [*audit.findings, *triggers.missing(), *triggers.strange()]
    with connection.cursor() as cursor:
        name = connection.ops.quote_name(connection.settings_dict["NAME"])
        cursor.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    return {
        "migrations": len(plan),
        "entries": audit.entries,
        "seals": audit.seals,
        "head": audit.head,
        "findings": findings,
    }
