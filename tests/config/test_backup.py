"""A backup is read back before it counts, says what was in it, and leaves nothing behind when it fails."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import stat
import subprocess
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from config import backup, postgres_tools
from config.backup import BackupFailed, check_whole, take
from config.local_folder import lock
from config.postgres_tools import Tools, ToolsFailed, surroundings, tools_for
from orders.backup_files import Rotation, backups, named, newest
from risk.models import CalendarDay, Incident, Mode, TradingControl
from tests.faults.small_disk import mounted

pytestmark = pytest.mark.django_db(transaction=True)

ALL = Rotation(1000, 0, 0)
NOW = datetime(2026, 11, 27, 13, 30, tzinfo=UTC)  # seven in the evening in Mumbai


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != "lock")


@pytest.fixture
def kept_in(settings: Any, tmp_path: Path) -> Path:
    settings.BACKUP_DIR = tmp_path / "backups"
    return settings.BACKUP_DIR


def test_it_is_three_files_for_their_owner_alone_that_hold_together(tmp_path):
    taken = take(tmp_path, ALL, now=NOW)

    assert left_in(tmp_path) == sorted(file.name for file in taken.backup.files)
    assert {stat.S_IMODE(file.stat().st_mode) for file in taken.backup.files} == {0o600}
    checked = subprocess.run(
        ["sha256sum", "--check", "--strict", taken.backup.checksums.name],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout.count(": OK")) == (0, 2)


def test_it_says_what_is_in_it(tmp_path):
    taken = take(tmp_path, ALL, now=NOW)

    told = check_whole(taken.backup)
    assert told["rows"]["risk_tradingcontrol"] == TradingControl.objects.count() == len(Mode)
    assert taken.rows == sum(told["rows"].values())
    assert ["orders", "0001_initial"] in told["migrations"]
    assert told["taken_at"] == "2026-11-27T13:30:00+00:00"


def test_rows_that_come_while_it_is_dumped_are_neither_counted_nor_dumped(tmp_path, monkeypatch):
    """The count and the dump are of one snapshot: else a restore could not be held against them."""
    run, before = Tools.run, CalendarDay.objects.count()

    def run_beside_a_writer(self, program, arguments, env):
        if program == "pg_dump":
            CalendarDay.objects.create(date="2031-01-01", kind="HOLIDAY", name="x", entered_by="x", entered_at=NOW)
        return run(self, program, arguments, env)

    monkeypatch.setattr(Tools, "run", run_beside_a_writer)
    taken = take(tmp_path, ALL, now=NOW)

    assert check_whole(taken.backup)["rows"]["risk_calendarday"] == before
    script = run(tools_for(18, os.environ), "pg_restore", ["--file=-", str(taken.backup.dump)], surroundings({}))
    assert "2031-01-01" not in script


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_damaged_file_is_told_of(tmp_path, which):
    taken = take(tmp_path, ALL, now=NOW)
    file = taken.backup.files[which]
    content = bytearray(file.read_bytes())
    content[len(content) // 2 if which < 2 else 0] ^= 0x01

    file.write_bytes(content)

    with pytest.raises(BackupFailed, match=r"is damaged: it is not what order-executor-20261127T133000Z\.sha256 says"):
        check_whole(taken.backup)


def test_half_a_dump_is_told_of(tmp_path):
    taken = take(tmp_path, ALL, now=NOW)

    os.truncate(taken.backup.dump, taken.size // 2)

    with pytest.raises(BackupFailed, match="is damaged"):
        check_whole(taken.backup)


def test_a_dump_that_was_written_by_half_does_not_come_to_count(tmp_path, monkeypatch):
    """Its list of contents stands in its first bytes, and reads well of half a file, too: all of it must be read."""
    run = Tools.run

    def cut_short(self, program, arguments, env):
        said = run(self, program, arguments, env)
        if program == "pg_dump":
            draft = next(each.partition("=")[2] for each in arguments if each.startswith("--file="))
            os.truncate(draft, Path(draft).stat().st_size - 2000)
        return said

    monkeypatch.setattr(Tools, "run", cut_short)

    with pytest.raises(BackupFailed, match="pg_restore: "):
        take(tmp_path, ALL, now=NOW)
    assert left_in(tmp_path) == []


def test_a_missing_checksum_is_no_backup(tmp_path):
    taken = take(tmp_path, ALL, now=NOW)
    taken.backup.checksums.unlink()

    with pytest.raises(BackupFailed, match="sha256 is missing: a backup is a dump and the two files beside it"):
        check_whole(taken.backup)


def test_a_full_disk_is_said_and_the_backup_of_yesterday_stays(tmp_path):
    with mounted(1) as disk:
        first = take(disk.place, Rotation(1, 0, 0), now=NOW)
        disk.fill()

        with pytest.raises(BackupFailed, match=r"No space left on device|the disk is full"):
            take(disk.place, Rotation(1, 0, 0), now=NOW + timedelta(days=1))

        assert backups(disk.place) == [first.backup]
        check_whole(first.backup)
        assert not list(disk.place.glob(".*"))


def test_a_limit_on_the_size_of_files_ends_it_likewise(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, hard))
    try:
        with pytest.raises(BackupFailed, match="pg_dump: was ended by SIGXFSZ"):
            take(tmp_path, ALL, now=NOW)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert left_in(tmp_path) == []


def test_two_at_a_time_are_one(tmp_path):
    held = lock(tmp_path / "lock", fcntl.LOCK_EX)
    try:
        with pytest.raises(BackupFailed, match=r"another backup into .* is under way: it is left to finish"):
            take(tmp_path, ALL, now=NOW)
    finally:
        os.close(held)

    take(tmp_path, ALL, now=NOW)


def test_the_lock_is_held_while_it_is_dumped(tmp_path, monkeypatch):
    run, refused = Tools.run, []

    def run_beside_another(self, program, arguments, env):
        if program == "pg_dump":
            with pytest.raises(BackupFailed, match="is under way"):
                take(tmp_path, ALL, now=NOW + timedelta(seconds=1))
            refused.append(program)
        return run(self, program, arguments, env)

    monkeypatch.setattr(Tools, "run", run_beside_another)
    take(tmp_path, ALL, now=NOW)

    assert refused == ["pg_dump"]
    assert len(backups(tmp_path)) == 1


def test_what_a_killed_run_left_is_cleared_away_and_nothing_else(tmp_path):
    (tmp_path / ".order-executor-20261126T133000Z.dump.partial").write_text("half")
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "order-executor-20260101T000000Z.dump.old").write_text("mine, too")

    taken = take(tmp_path, Rotation(1, 0, 0), now=NOW)

    mine = ["notes.txt", "order-executor-20260101T000000Z.dump.old"]
    assert left_in(tmp_path) == sorted([*mine, *(file.name for file in taken.backup.files)])


def test_the_rotation_takes_all_three_files_of_the_oldest(tmp_path):
    first, second, third = (take(tmp_path, Rotation(2, 0, 0), now=NOW + timedelta(days=day)) for day in range(3))

    assert (first.removed, second.removed, third.removed) == ([], [], [first.backup])
    assert left_in(tmp_path) == sorted(file.name for each in (second, third) for file in each.backup.files)


def test_what_was_just_taken_stays_although_an_older_one_is_dated_later(tmp_path):
    """Its clock was set back: of one day the rotation keeps the later, by their names."""
    take(tmp_path, Rotation(1, 0, 0), now=NOW + timedelta(minutes=50))

    taken = take(tmp_path, Rotation(1, 0, 0), now=NOW)

    assert taken.backup.dump.exists()
    assert taken.backup in backups(tmp_path)


def test_a_backup_that_fails_removes_no_older_one(tmp_path, monkeypatch):
    first = take(tmp_path, Rotation(1, 0, 0), now=NOW)
    monkeypatch.setattr(Tools, "run", lambda *_: (_ for _ in ()).throw(ToolsFailed("pg_dump: no")))

    with pytest.raises(BackupFailed, match="pg_dump: no"):
        take(tmp_path, Rotation(1, 0, 0), now=NOW + timedelta(days=1))

    assert backups(tmp_path) == [first.backup]


def test_the_snapshot_may_stand_still_for_as_long_as_the_dump_takes():
    """The desk's own sessions are ended after five seconds without a statement, and statements after eight."""
    with psycopg.connect(**backup.parameters_of_the_database()) as snapshot:
        for setting in ("idle_in_transaction_session_timeout", "statement_timeout"):
            assert snapshot.execute(f"SHOW {setting}").fetchone() == ("0",)


# --- The programs ----------------------------------------------------------------------------------------------------


def fake_tools(folder: Path, major: int) -> Path:
    folder.mkdir()
    for program in ("pg_dump", "pg_restore"):
        (folder / program).write_text(f"#!/bin/sh\necho 'pg_dump (PostgreSQL) {major}.1'\n")
        (folder / program).chmod(0o755)
    return folder


def test_without_pg_dump_it_says_what_to_install(tmp_path):
    with pytest.raises(ToolsFailed, match=r"there is no pg_dump on this machine: install PostgreSQL's client programs"):
        tools_for(18, {"PG_BIN": str(tmp_path)})


def test_a_server_that_is_newer_than_the_programs_is_named(tmp_path):
    fake_tools(tmp_path / "bin", 17)

    with pytest.raises(ToolsFailed, match=r"the server is PostgreSQL 18 and the newest pg_dump here is of 17"):
        tools_for(18, {"PG_BIN": str(tmp_path / "bin")})


@pytest.mark.parametrize(("server", "chosen"), [(16, 16), (17, 18), (18, 18), (15, 16)])
def test_the_programs_of_the_servers_own_version_come_first_then_the_next_newer(tmp_path, monkeypatch, server, chosen):
    folders = [fake_tools(tmp_path / str(major), major) for major in (19, 16, 18)]
    monkeypatch.setattr(postgres_tools, "_folders", lambda _: iter(folders))

    assert tools_for(server, {}).major == chosen


def test_the_password_is_on_no_command_line_and_in_no_message(tmp_path, monkeypatch):
    """A program in pg_dump's place keeps what it was started with."""
    folder = tmp_path / "bin"
    fake_tools(folder, 18)
    seen = tmp_path / "seen"
    (folder / "pg_dump").write_text(
        "#!/bin/sh\n"
        'if [ "$1" = --version ]; then echo "pg_dump (PostgreSQL) 18.1"; exit; fi\n'
        f'echo "$@" > {seen}; env >> {seen}; echo "refused: $PGPASSWORD" >&2; exit 1\n'
    )
    password = connection.get_connection_params()["password"]
    monkeypatch.setenv("PG_BIN", str(folder))
    monkeypatch.setenv("KITE_API_SECRET", "of the broker")

    with pytest.raises(BackupFailed) as failure:
        take(tmp_path / "backups", ALL, now=NOW)

    arguments, *environment = seen.read_text().splitlines()
    assert password not in arguments
    assert f"PGPASSWORD={password}" in environment
    assert "of the broker" not in seen.read_text()
    assert password not in str(failure.value)


# --- The command -----------------------------------------------------------------------------------------------------


def test_the_command_tells_of_a_failure_as_an_incident_and_resolves_it_with_the_next_backup(kept_in, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(backup, "_write", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        for _ in range(2):
            with pytest.raises(CommandError, match=r"no backup was taken: .* cannot be written to: the disk is full"):
                call_command("backup")
    incident = Incident.objects.get(kind=Incident.Kind.BACKUP_FAILED)
    assert (incident.count, incident.mode, incident.stops_opening) == (2, Mode.PAPER, False)

    call_command("backup")

    incident.refresh_from_db()
    assert incident.status == Incident.Status.RESOLVED
    assert incident.note == f"{newest(kept_in, now=timezone.now()).dump.name} was taken"


def test_where_one_is_younger_than_a_day_none_is_due(kept_in):
    now = timezone.now()
    kept_in.mkdir()
    for file in named(kept_in, now - timedelta(hours=23, minutes=59)).files:
        file.write_text("x")

    call_command("backup", "--if-due")
    assert len(backups(kept_in)) == 1

    young = backups(kept_in)[0]
    for file, older in zip(young.files, named(kept_in, now - timedelta(days=1)).files, strict=True):
        file.rename(older)
    call_command("backup", "--if-due")
    assert len(backups(kept_in)) == 2


def test_a_backup_holds_up_nobody_who_writes(tmp_path, monkeypatch):
    """While pg_dump reads, the switch is moved by another."""
    run, moved = Tools.run, threading.Event()

    def run_beside_a_writer(self, program, arguments, env):
        said = run(self, program, arguments, env)
        if program == "pg_dump":
            TradingControl.objects.filter(mode=Mode.PAPER).update(reason="written meanwhile")
            moved.set()
        return said

    monkeypatch.setattr(Tools, "run", run_beside_a_writer)
    take(tmp_path, ALL, now=NOW)

    assert moved.is_set()
    assert json.loads(newest(tmp_path, now=NOW).contents.read_text())["mode"] == "PAPER"
