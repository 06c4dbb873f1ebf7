"""A month of the ledger as files: what belongs to it, the same bytes each time, and what verifying finds."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import tracemalloc
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connection

from config import archive
from config.archive import ArchiveRefused, Month, export, tables, verify
from config.archived_tables import ARCHIVED, NOT_ARCHIVED
from orders.broker.kite_rows import IST
from orders.models import Order, Signal
from risk.audit import sealing
from risk.models import AuditSeal, Incident, Mode

OCTOBER = Month.named("2026-10")
NOVEMBER = datetime(2026, 11, 2, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def signal(signal_id: str, at: datetime, **changes: Any) -> Signal:
    fields = {
        "mode": Mode.PAPER,
        "signal_id": signal_id,
        "digest": "d",
        "source": "STREAM",
        "raw": b'\x00\xff,"\n',
        **changes,
    }
    return Signal.objects.create(received_at=at, **fields)


def order(our_id: str, day: date, **changes: Any) -> Order:
    same = {"mode": Mode.PAPER, "origin": "MANUAL", "exchange": "NSE", "symbol": "RELIANCE", "side": "BUY"}
    terms = {"product": "CNC", "order_type": "LIMIT", "quantity": 1, "price": "1400.05", "created_at": NOVEMBER}
    return Order.objects.create(client_order_id=our_id, trading_date=day, **{**same, **terms, **changes})


def rows(folder: Path, table: str) -> list[dict[str, str]]:
    with (folder / f"{table}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def told(folder: Path, table: str) -> dict[str, Any]:
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    return next(each for each in manifest["tables"] if each["table"] == table)


@pytest.mark.django_db(transaction=True)
def test_a_month_begins_and_ends_at_midnight_in_mumbai(tmp_path):
    for name, at in (
        ("before", OCTOBER.begins_at - MICROSECOND),
        ("first", OCTOBER.begins_at),
        ("last second", datetime(2026, 10, 31, 23, 59, 59, tzinfo=IST)),
        ("last", OCTOBER.ends_at - MICROSECOND),
        ("after", OCTOBER.ends_at),
    ):
        signal(name, at)
    for day in (date(2026, 9, 30), date(2026, 10, 1), date(2026, 10, 31), date(2026, 11, 1)):
        order(f"{day:%Y%m%d}", day)

    folder = export(OCTOBER, tmp_path, now=NOVEMBER)

    assert [row["signal_id"] for row in rows(folder, "orders_signal")] == ["first", "last second", "last"]
    assert [row["client_order_id"] for row in rows(folder, "orders_order")] == ["20261001", "20261031"]


@pytest.mark.django_db(transaction=True)
def test_what_is_in_a_row_can_be_read_by_any_tool(tmp_path):
    signal('₹ "quoted", = and\nbroken', OCTOBER.begins_at, reason="=1+1", cms_score="75.000000000001")
    order("A", date(2026, 10, 5), broker_order_id="", average_price=None)

    folder = export(OCTOBER, tmp_path, now=NOVEMBER)

    (row,), (placed,) = rows(folder, "orders_signal"), rows(folder, "orders_order")
    assert row["signal_id"] == '₹ "quoted", = and\nbroken'
    assert (row["reason"], row["cms_score"]) == ("=1+1", "75.000000000001")
    assert bytes.fromhex(row["raw"].removeprefix("\\x")) == b'\x00\xff,"\n'
    assert row["received_at"] == "2026-09-30 18:30:00+00"
    assert (placed["price"], placed["average_price"]) == ("1400.0500", "")
    assert [each["name"] for each in told(folder, "orders_signal")["columns"]] == list(row)


@pytest.mark.django_db(transaction=True)
def test_the_manifest_tells_rows_digests_version_and_the_heads_of_the_trail(tmp_path, settings):
    signal("one", OCTOBER.begins_at)
    Incident.objects.open("SIGNAL_GAP", mode=Mode.PAPER, title="x", now=OCTOBER.begins_at)
    (head,) = sealing.seal(now=OCTOBER.begins_at + timedelta(hours=1))
    assert AuditSeal.objects.count() == 1

    folder = export(OCTOBER, tmp_path, now=NOVEMBER)

    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["month"] == "2026-10"
    assert manifest["version"] == settings.VERSION
    assert manifest["audit"] == {"head_before": "", "head": head.digest}
    assert told(folder, "orders_signal")["rows"] == 1
    for each in manifest["tables"]:
        assert each["sha256"] == hashlib.sha256((folder / each["file"]).read_bytes()).hexdigest()
    assert {each["file"] for each in manifest["tables"]} == {path.name for path in folder.iterdir()} - {"manifest.json"}


@pytest.mark.django_db(transaction=True)
def test_the_same_month_is_the_same_bytes_whatever_the_server_is_set_to(tmp_path):
    for number in range(50):
        signal(f"s-{number}", OCTOBER.begins_at + timedelta(hours=number))
    first = export(OCTOBER, tmp_path / "first", now=NOVEMBER)
    Signal.objects.filter(signal_id="s-7").update(reason="x")  # moves the row in its table
    Signal.objects.filter(signal_id="s-7").update(reason="")
    name = connection.ops.quote_name(connection.settings_dict["NAME"])
    odd = {"TimeZone": "America/New_York", "DateStyle": "German", "bytea_output": "escape", "extra_float_digits": "-5"}
    with connection.cursor() as cursor:
        for setting, value in odd.items():
            cursor.execute(f"ALTER DATABASE {name} SET {setting} = '{value}'")
    try:
        second = export(OCTOBER, tmp_path / "second", now=NOVEMBER + timedelta(days=400))
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER DATABASE {name} RESET ALL")

    assert {path.name: path.read_bytes() for path in first.iterdir()} == {
        path.name: path.read_bytes() for path in second.iterdir()
    }


@pytest.mark.django_db(transaction=True)
def test_verifying_finds_what_was_changed_in_the_files_and_what_in_the_ledger(tmp_path):
    signal("one", OCTOBER.begins_at)
    order("A", date(2026, 10, 5))
    folder = export(OCTOBER, tmp_path, now=NOVEMBER)
    assert verify(folder) == []

    Signal.objects.filter(signal_id="one").update(duplicates=1)
    order("B", date(2026, 10, 6))
    assert sorted(verify(folder)) == [
        "orders_order is another in the database: 1 rows archived, 2 there",
        "orders_signal is another in the database: 1 rows archived, 1 there",
    ]
    Signal.objects.filter(signal_id="one").update(duplicates=0)

    with (folder / "orders_fill.csv").open("ab") as file:
        file.write(b"1,2,3\n")
    (folder / "orders_order.csv").unlink()
    (folder / "notes.txt").write_text("mine")
    found = verify(folder)
    assert "notes.txt is not in the manifest" in found
    assert "orders_order.csv is missing" in found
    assert "orders_fill.csv is not as it was written" in found


def test_a_month_that_is_not_over_is_refused_to_its_last_moment(tmp_path):
    with pytest.raises(ArchiveRefused, match="2026-10 is not over in Mumbai: it can be archived from 2026-11-01 on"):
        export(OCTOBER, tmp_path, now=OCTOBER.ends_at - MICROSECOND)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.django_db(transaction=True)
def test_it_is_over_at_midnight_in_mumbai_and_archived_once(tmp_path):
    folder = export(OCTOBER, tmp_path, now=OCTOBER.ends_at)

    with pytest.raises(ArchiveRefused, match=r"is there already: --verify .* holds it against the database"):
        export(OCTOBER, tmp_path, now=NOVEMBER)
    call_command("export_archive", verify=folder)


@pytest.mark.parametrize("text", ["2026-13", "2026-00", "2026-1", "26-10", "2026-10-01", "", "2026-10; DROP"])
def test_what_is_no_month_is_refused(text):
    with pytest.raises(ArchiveRefused, match="is no month: give one such as 2026-11"):
        Month.named(text)


@pytest.mark.parametrize(("text", "following"), [("2026-12", date(2027, 1, 1)), ("2028-02", date(2028, 3, 1))])
def test_a_month_ends_where_the_next_begins(text, following):
    assert Month.named(text).next_first == following


@pytest.mark.django_db(transaction=True)
def test_one_that_fails_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "_manifest", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))

    with pytest.raises(ArchiveRefused, match=r"2026-10 was not archived: .* No space left on device"):
        export(OCTOBER, tmp_path, now=NOVEMBER)
    assert list(tmp_path.iterdir()) == []


class Disk:
    """Keeps what is made to outlast a loss of power: each path as it is called then, with how many bytes it has."""

    def __init__(self, *, refuses: str = "") -> None:
        self.synced: list[tuple[Path, int]] = []
        self._refuses, self._sync = refuses, os.fsync

    def __call__(self, descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path.name == self._refuses:
            raise OSError(5, "Input/output error")
        self._sync(descriptor)
        self.synced.append((path, path.stat().st_size if path.is_file() else len(list(path.iterdir()))))


@pytest.mark.django_db(transaction=True)
def test_it_is_on_the_disk_before_it_is_said_to_be_there(tmp_path, monkeypatch):
    disk = Disk()
    monkeypatch.setattr(os, "fsync", disk)

    folder = export(OCTOBER, tmp_path / "kept" / "months", now=NOVEMBER)

    files = {path.name: path.stat().st_size for path in folder.iterdir()}
    above, made, drafted = disk.synced[:2], disk.synced[2:-2], disk.synced[-2:]
    assert [path for path, _ in above] == [tmp_path, tmp_path / "kept"]
    assert {path.name: size for path, size in made} == files
    assert {path.parent for path, _ in made} == {drafted[0][0]}
    assert drafted[0][0].name.endswith(".partial")
    assert drafted[0][1] == len(files)
    assert drafted[1] == (tmp_path / "kept" / "months", 1)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("refused", ["orders_order.csv", "manifest.json", "months"])
def test_what_may_not_outlast_a_loss_of_power_is_not_said_to_be_archived(tmp_path, monkeypatch, refused):
    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", Disk(refuses=refused))
        with pytest.raises(ArchiveRefused, match=r"2026-10 was not archived: .* Input/output error"):
            export(OCTOBER, tmp_path / "months", now=NOVEMBER)
    assert list((tmp_path / "months").iterdir()) == []

    assert verify(export(OCTOBER, tmp_path / "months", now=NOVEMBER)) == []


@pytest.mark.django_db(transaction=True)
def test_a_large_month_takes_no_more_memory_than_a_small_one(tmp_path):
    """Some ten megabytes of signals, of which less than two are held at a time."""
    small = signal("small", OCTOBER.ends_at)  # of another month
    names = [field.column for field in Signal._meta.concrete_fields if field.column != "id"]
    other = {"signal_id": "md5(n::text)", "raw": "decode(repeat('00', 3000), 'hex')", "received_at": "%s"}
    values = ", ".join(other.get(name, name) for name in names)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO orders_signal ({', '.join(names)}) SELECT {values}"  # noqa: S608 - our own names
            " FROM orders_signal, generate_series(1, 2000) AS n WHERE id = %s",
            [OCTOBER.begins_at, small.pk],
        )
    tracemalloc.start()
    try:
        folder = export(OCTOBER, tmp_path, now=NOVEMBER)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert (folder / "orders_signal.csv").stat().st_size > 10_000_000
    assert peak < 4_000_000


def test_every_table_of_the_ledger_is_archived_or_says_why_not():
    models = {model._meta.label for app in ("orders", "risk") for model in apps.get_app_config(app).get_models()}

    assert ARCHIVED.keys() | NOT_ARCHIVED.keys() == models
    assert not ARCHIVED.keys() & NOT_ARCHIVED.keys()
    assert {"raw", "access_token"} & {name for table in tables() for name in table.columns} == {"raw"}


def test_the_command_says_what_it_wants():
    with pytest.raises(CommandError):
        call_command("export_archive")
    with pytest.raises(CommandError, match="has no manifest that can be read"):
        call_command("export_archive", verify=Path("/nowhere"))
