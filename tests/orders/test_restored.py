"""
A backup restored: row by row what it was, halted, and unable to send a second time what it has forgotten.

The server is the suite's own; each test restores into a database that it makes and drops.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from config import restore as restoring
from config.backup import TABLES, BackupFailed, sha256, take
from config.postgres_tools import ToolsFailed
from config.restore import RestoreRefused, Target, make_usable, restore, target_of
from orders import by_hand
from orders.backup_files import Backup, Rotation
from orders.deciding import InvalidOrder, OrderDenied, decide
from orders.inbox import Received, record
from orders.leadership import Leadership
from orders.models import BrokerSession, MissedExit, Signal
from orders.reconciliation import reconcile
from orders.restored import WHY, make_safe
from risk import control
from risk.audit import sealing
from risk.models import AuditSeal, Incident, Mode, TradingControl

EMPTY = "restored_here"
KEEP_ALL = Rotation(1000, 0, 0)


# --- The cast --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def beside(name: str) -> Iterator[psycopg.Connection[Any]]:
    """Connect to another database of the suite's server."""
    given = connection.get_connection_params()
    parameters = {each: given[each] for each in ("host", "port", "user", "password")}
    with psycopg.connect(**parameters, dbname=name, autocommit=True) as other:
        yield other


@pytest.fixture
def empty(worker_id: str) -> Iterator[str]:
    """An empty database of the suite's server."""
    name = f"{EMPTY}_{worker_id}"
    with beside("postgres") as server:
        server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        server.execute(f"CREATE DATABASE {name}")
        yield name
        server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture
def target(empty: str, monkeypatch: pytest.MonkeyPatch, paper: Any) -> Target:
    """The empty database as a person names it: the password is in the environment."""
    given = connection.get_connection_params()
    monkeypatch.setenv("PGPASSWORD", given["password"])
    monkeypatch.setenv("PAPER_KITE_URL", paper.root)
    return target_of(f"postgresql://{given['user']}@{given['host']}:{given['port']}/{empty}")


@pytest.fixture
def traded(desk: Any, resting: Any, held: Any, received: Any, follow: Any) -> None:
    """A day's book, sealed: orders filled, resting and refused, a signal that is none, a position."""
    follow(received(symbol="INFY"))
    record(desk, [Received(raw=b"not a signal \x00\xff \xe2\x82\xb9", source=Signal.Source.CHANNEL)])
    held(2)
    resting(symbol="INFY")
    follow(received(signal_type="SELL", cms_score=-75))
    sealing.seal(now=desk.clock())
    reconcile(desk)


@pytest.fixture
def backup(traded: None, desk: Any, tmp_path: Path) -> Backup:
    return take(tmp_path, KEEP_ALL, now=desk.clock()).backup


def rows_of(database: psycopg.Connection[Any]) -> dict[str, bytes]:
    """Return each table's rows as PostgreSQL writes them, sorted."""
    rows = {}
    for schema, table in database.execute(TABLES).fetchall():
        with database.cursor() as cursor, cursor.copy(f"COPY {schema}.{table} TO STDOUT") as copied:
            rows[table] = b"\n".join(sorted(b"".join(map(bytes, copied)).splitlines()))
    return rows


def forged(backup: Backup, **changes: Any) -> Backup:
    """Change what the backup says of itself, checksum included."""
    contents = {**json.loads(backup.contents.read_text()), **changes}
    backup.contents.write_text(json.dumps(contents))
    lines = [f"{sha256(file)}  {file.name}\n" for file in backup.files[:2]]
    backup.checksums.write_text("".join(lines))
    return backup


def is_empty(name: str) -> bool:
    with beside(name) as other:
        return not other.execute(TABLES).fetchall()


# --- There and back --------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_every_row_of_every_table_comes_back_and_trading_is_halted(backup, target, desk):
    """The whole command, by which a person does it."""
    with beside(connection.settings_dict["NAME"]) as original:
        before = rows_of(original)
    restored = restore(backup, target)
    with beside(target.name) as other:
        after = rows_of(other)

    assert after.keys() == before.keys()
    assert [table for table in before if before[table] != after[table]] == []
    assert restored["orders_order"] == before["orders_order"].count(b"\n") + 1 >= 3

    found = make_usable(backup, target)

    assert (found["findings"], found["migrations"]) == ([], 0)
    assert found["seals"] == AuditSeal.objects.count() >= 1
    with beside(target.name) as other:
        switches = other.execute(
            "SELECT state, auto_trading, restored_at > now() - interval '1 minute' FROM risk_tradingcontrol"
        )
        assert switches.fetchall() == [("HALTED", False, True)] * len(Mode)
        told = "SELECT mode, stops_opening, title FROM risk_incident WHERE kind = 'RESTORED' ORDER BY mode"
        assert [(mode, stops) for mode, stops, _ in other.execute(told)] == [(mode, True) for mode in sorted(Mode)]
        assert other.execute(
            "SELECT count(*) FROM orders_brokersession WHERE reconciled_at IS NOT NULL"
        ).fetchone() == (0,)
        assert other.execute("SHOW default_transaction_read_only").fetchone() == ("off",)
        untouched = {
            "orders_order",
            "orders_fill",
            "orders_signal",
            "orders_position",
            "orders_orderevent",
            "auth_user",
        }
        now = rows_of(other)
        assert [table for table in untouched if now[table] != before[table]] == []


@pytest.mark.django_db(transaction=True)
def test_a_restore_that_is_cut_short_leaves_a_database_that_nobody_can_write_to(backup, target, monkeypatch):
    monkeypatch.setattr(restoring, "PROJECT", Path("/nowhere"))

    restore(backup, target)
    with pytest.raises(ToolsFailed, match="restored, but not made safe, so that it stays read-only"):
        make_usable(backup, target)

    with beside(target.name) as other, pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        other.execute("UPDATE risk_tradingcontrol SET auto_trading = true")


@pytest.mark.django_db(transaction=True)
def test_a_dump_of_an_older_version_is_brought_up_to_date(desk, target, tmp_path):
    """As one of before five migrations: what they add, and the lines that say they were made, are taken away."""
    backup = take(tmp_path, KEEP_ALL, now=desk.clock()).backup
    restore(backup, target)
    with beside(target.name) as other:
        other.execute("SET default_transaction_read_only = off")
        other.execute("ALTER TABLE orders_brokersession DROP COLUMN stream_connects")
        other.execute("DROP INDEX order_of_no_signal, order_event_move")
        other.execute("DELETE FROM django_migrations WHERE app = 'orders' AND name >= '0035'")

    found = make_usable(backup, target)

    assert (found["migrations"], found["findings"]) == (5, [])
    with beside(target.name) as other:
        assert other.execute("SELECT count(stream_connects) FROM orders_brokersession").fetchone() is not None


# --- Refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_nothing_is_restored_from_a_damaged_file_or_over_what_is_there_or_beside_an_executor(backup, target, desk):
    with beside(target.name) as other:
        other.execute("CREATE TABLE mine (id int)")
        with pytest.raises(RestoreRefused, match="1 others are connected to"):
            restore(backup, target)
    with pytest.raises(RestoreRefused, match="is not empty, it has 1 tables: make a new database"):
        restore(backup, target)
    with beside(target.name) as other:
        other.execute("DROP TABLE mine")

    content = backup.dump.read_bytes()
    backup.dump.write_bytes(content[: len(content) // 2])
    with pytest.raises(BackupFailed, match="is damaged"):
        restore(backup, target)
    forged(backup)  # half a file, and a checksum that says that it is so
    with pytest.raises(ToolsFailed, match="pg_restore: "):
        restore(backup, target)
    assert is_empty(target.name)


@pytest.mark.django_db(transaction=True)
def test_an_executor_on_the_target_is_named(backup, desk):
    leadership = Leadership(desk.mode)
    own = target_of("")
    assert leadership.try_to_lead()
    try:
        with pytest.raises(RestoreRefused, match="an executor is running on"):
            restore(backup, own)
    finally:
        leadership.give_up()
        connection.close()


@pytest.fixture
def owner(target: Target, worker_id: str) -> Iterator[Target]:
    """The same database as its owner names it: a role that is no superuser, and no member of any other."""
    role = f"restorer_{worker_id}"
    with beside("postgres") as server:
        server.execute(f"DROP ROLE IF EXISTS {role}")
        server.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'of the suite'")
        server.execute(f"ALTER DATABASE {target.name} OWNER TO {role}")
        yield Target(parameters={**target.parameters, "user": role, "password": "of the suite"}, url=target.url)
        server.execute(f"DROP DATABASE {target.name} WITH (FORCE)")  # with all that is his in it
        server.execute(f"DROP ROLE {role}")


def default_of(name: str) -> str:
    """Return whether who connects now may only read."""
    with beside(name) as other:
        return other.execute("SHOW default_transaction_read_only").fetchone()[0]


@pytest.mark.django_db(transaction=True)
def test_the_session_of_another_role_is_seen_though_its_kind_is_not_told(backup, target, owner):
    with beside(target.name) as other:
        hidden = "SELECT backend_type FROM pg_stat_activity WHERE pid = %s"
        with psycopg.connect(**owner.parameters) as own:
            assert own.execute(hidden, [other.info.backend_pid]).fetchone() == (None,)
        with pytest.raises(RestoreRefused, match=f"1 others are connected to {target.name}: stop them first"):
            restore(backup, owner)
        other.execute("SELECT 1")  # it was not thrown out, either
    assert (is_empty(target.name), default_of(target.name)) == (True, "off")

    assert restore(backup, owner)["orders_order"] > 0


@pytest.mark.django_db(transaction=True)
def test_who_comes_while_it_is_made_read_only_stops_it_and_it_is_tried_again(backup, target, owner, monkeypatch):
    """Who connected a moment before may write for as long as he stays."""
    make_read_only = restoring._set_read_only
    with contextlib.ExitStack() as came:

        def just_before(database: Any, of: Target) -> None:
            came.enter_context(beside(target.name))
            make_read_only(database, of)

        monkeypatch.setattr(restoring, "_set_read_only", just_before)
        with pytest.raises(RestoreRefused, match="1 others are connected"):
            restore(backup, owner)
        assert (is_empty(target.name), default_of(target.name)) == (True, "on")
    monkeypatch.setattr(restoring, "_set_read_only", make_read_only)

    assert restore(backup, owner)["orders_order"] > 0
    assert default_of(target.name) == "on"


@pytest.mark.django_db(transaction=True)
def test_one_that_failed_half_way_leaves_nothing_and_is_tried_again(backup, target, desk):
    whole, kept = backup.dump.read_bytes(), {file: file.read_bytes() for file in backup.files}
    backup.dump.write_bytes(whole[: len(whole) * 9 // 10])  # its list is at the beginning, and whole
    with pytest.raises(ToolsFailed, match="pg_restore: "):
        restore(forged(backup), target)
    assert (is_empty(target.name), default_of(target.name)) == (True, "on")
    for file, content in kept.items():
        file.write_bytes(content)

    restore(backup, target)
    found = make_usable(backup, target)

    assert found["findings"] == []
    assert default_of(target.name) == "off"
    with beside(target.name) as other:
        states = other.execute("SELECT DISTINCT state, auto_trading FROM risk_tradingcontrol").fetchall()
    assert states == [("HALTED", False)]


@pytest.mark.django_db(transaction=True)
def test_one_that_was_not_made_safe_is_not_restored_over(backup, target, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(restoring, "PROJECT", Path("/nowhere"))
        restore(backup, target)
        with pytest.raises(ToolsFailed):
            make_usable(backup, target)

    with pytest.raises(RestoreRefused, match="is not empty"):
        restore(backup, target)
    assert default_of(target.name) == "on"

    make_usable(backup, target)
    assert default_of(target.name) == "off"
    with beside(target.name) as other:
        assert other.execute("SELECT DISTINCT state FROM risk_tradingcontrol").fetchall() == [("HALTED",)]


@pytest.mark.django_db(transaction=True)
def test_what_a_newer_version_or_server_made_is_not_guessed_at(backup, target):
    migrations = json.loads(backup.contents.read_text())["migrations"]

    with pytest.raises(RestoreRefused, match=r"a newer version of this software, 9\.9, whose orders\.0999_later"):
        restore(forged(backup, migrations=[*migrations, ["orders", "0999_later"]], version="9.9"), target)
    with pytest.raises(RestoreRefused, match="the dump is of PostgreSQL 99 and this server is"):
        restore(forged(backup, migrations=migrations, server=99), target)
    assert is_empty(target.name)


@pytest.mark.django_db(transaction=True)
def test_rows_that_are_not_those_that_were_dumped_are_told_of(backup, target):
    rows = json.loads(backup.contents.read_text())["rows"]

    with pytest.raises(BackupFailed, match=r"not those that were dumped: orders_fill$"):
        restore(forged(backup, rows={**rows, "orders_fill": rows["orders_fill"] + 1}), target)


def test_a_password_on_the_command_line_is_refused():
    with pytest.raises(RestoreRefused, match="leave the password out of the address"):
        target_of("postgresql://user:secret-word@host/ledger")


def test_without_its_name_typed_nothing_is_restored(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    file = str(tmp_path / "order-executor-20261127T183005Z.dump")

    for given in ((), ("--confirm", "ledger2")):
        with pytest.raises(CommandError, match="nothing was done: confirm with --confirm ledger, "):
            call_command("restore", file, "--into", "postgresql://user@127.0.0.1:1/ledger", *given)
    with pytest.raises(CommandError, match="has not the name of a backup"):
        call_command("restore", str(tmp_path / "ledger.dump"))


# --- What was forgotten is not done again ----------------------------------------------------------------------------


@pytest.fixture
def restored(desk: Any) -> Any:
    """The desk's database as a restore leaves it, and as a person may have let it trade again in a hurry."""

    def settle() -> None:
        make_safe(taken_at=desk.clock() - timedelta(hours=1), now=desk.clock())

    return settle


def trade_again(desk: Any) -> None:
    shown = TradingControl.objects.get(mode=desk.mode).version
    control.resume(desk.mode, by="rita", reason="compared", now=desk.clock(), version_shown=shown)
    control.auto_trading_on(desk.mode, by="rita", reason="compared", now=desk.clock(), version_shown=shown + 1)


def resolve_all(desk: Any) -> None:
    for incident in Incident.objects.unresolved():
        incident.resolve(by="rita", note="compared", now=desk.clock())


@pytest.mark.django_db
def test_a_restored_desk_opens_nothing_until_a_person_has_seen_to_it(desk, restored, received, wish):
    restored()

    signal = received()
    assert decide(desk, signal) is None
    with pytest.raises(OrderDenied, match="TRADING_HALTED"):
        by_hand.place(desk, wish())
    switches = TradingControl.objects.values_list("state", "auto_trading")
    assert set(switches) == {("HALTED", False)}
    assert BrokerSession.objects.get(mode=desk.mode).reconciled_at is None


@pytest.mark.django_db
def test_a_signal_of_before_the_restore_is_never_acted_on_however_fast_the_desk_trades_again(
    desk, restored, received, paper
):
    before = desk.clock().isoformat()
    restored()
    trade_again(desk)
    resolve_all(desk)
    reconcile(desk)

    signal = received(timestamp=before)
    assert decide(desk, signal) is None

    signal.refresh_from_db()
    assert (signal.status, signal.reason) == (Signal.Status.EXPIRED, WHY)
    assert paper.accepted() == []


@pytest.mark.django_db
@pytest.mark.parametrize(("microseconds", "acted_on"), [(0, False), (1, True)])
def test_the_moment_of_the_restore_itself_is_of_before(desk, restored, received, microseconds, acted_on):
    restored()
    trade_again(desk)
    resolve_all(desk)
    reconcile(desk)
    moment = TradingControl.objects.get(mode=desk.mode).restored_at + timedelta(microseconds=microseconds)

    order = decide(desk, received(timestamp=moment.isoformat()))

    assert (order is not None) == acted_on


@pytest.mark.django_db
def test_one_that_would_have_closed_waits_for_a_person_and_may_be_repeated_by_one(desk, held, restored, received):
    held(1)
    before = desk.clock().isoformat()
    restored()
    trade_again(desk)
    resolve_all(desk)
    reconcile(desk)

    signal = received(signal_type="SELL", cms_score=-75, timestamp=before)
    assert decide(desk, signal) is None

    assert MissedExit.objects.get(signal=signal).why == WHY
    repeated = received(signal_type="SELL", cms_score=-75, timestamp=before, signal_id="again")
    Signal.objects.filter(pk=repeated.pk).update(source=Signal.Source.STAFF)
    repeated.refresh_from_db()
    order = decide(desk, repeated)
    assert order is not None
    assert order.side == "SELL"


@pytest.mark.django_db
def test_an_order_that_the_restored_book_lacks_stops_what_opens(desk, follow, received, restored, paper):
    """The same signal would get the id of the order that was forgotten: the broker's book has it already."""
    order = follow(received(signal_id="one"))
    forget(order)
    restored()
    trade_again(desk)
    Incident.objects.filter(kind=Incident.Kind.RESTORED).update(status="RESOLVED", is_open=False)

    reconcile(desk)

    unknown = Incident.objects.get(kind=Incident.Kind.UNKNOWN_ORDER)
    assert (unknown.stops_opening, order.client_order_id in unknown.detail) == (True, True)
    assert decide(desk, received(signal_id="two")) is None
    assert "INCIDENT_OPEN" in Signal.objects.get(signal_id="two").reason
    assert len(paper.accepted()) == 1


@pytest.mark.django_db
def test_a_page_that_was_open_before_the_restore_sends_its_order_no_second_time(desk, wish, restored, paper):
    order = by_hand.place(desk, wish(token="the page"))
    forget(order)
    restored()
    trade_again(desk)
    reconcile(desk)
    resolve_all(desk)

    with pytest.raises(InvalidOrder, match=f"the broker has {order.client_order_id} already, of before the restore"):
        by_hand.place(desk, wish(token="the page"))

    assert [row["tag"] for row in paper.journal() if row["event"] == "accepted"] == [order.client_order_id]
    assert by_hand.place(desk, wish(token="another page")).status == "OPEN"


def forget(order: Any) -> None:
    """Let the ledger be as it was before the order's signal came."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("DELETE FROM orders_orderevent; DELETE FROM orders_fill; DELETE FROM orders_brokermessage")
        cursor.execute("DELETE FROM orders_positionday; DELETE FROM orders_position; DELETE FROM orders_order")
        cursor.execute("DELETE FROM orders_decision; DELETE FROM orders_signal")
        cursor.execute("SET LOCAL session_replication_role = origin")


@pytest.mark.django_db
def test_a_signal_sent_again_with_a_new_time_is_no_second_order(desk, follow, received, restored, paper):
    """Its row is forgotten and its id is not: the publisher stamps anew what it sends again."""
    order = follow(received(signal_id="one"))
    forget(order)
    restored()
    trade_again(desk)
    reconcile(desk)
    resolve_all(desk)
    later = TradingControl.objects.get(mode=desk.mode).restored_at + timedelta(microseconds=1)

    again = received(signal_id="one", timestamp=later.isoformat())
    assert decide(desk, again) is None

    again.refresh_from_db()
    assert (again.status, len(paper.accepted())) == (Signal.Status.EXPIRED, 1)
