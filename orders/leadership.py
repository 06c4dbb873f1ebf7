"""
Leadership: of several executors one leads, the others stand by.

The leader holds a PostgreSQL advisory lock on a connection of its own, never a pooled one; losing that connection is
losing leadership. A leader that is paused keeps its lock, so a standby that sees no new heartbeat for four seconds, by
its own stopwatch, ends the leader's connection from outside. No two clocks are ever compared, so that a clock set an
hour forward ends no healthy leader, and one set back hides no silent one.

A beat lets the process lead for three seconds more, by a clock that counts suspension: one that was paused wakes up
without leadership, and regains it only from the connection that held the lock. All this keeps two executors from doing
work twice; it is not what prevents an order from being sent twice: that is the conditional UPDATE when it is submitted.
"""

from __future__ import annotations

import os
import socket
import time
import zlib
from collections.abc import Callable
from typing import Any

import psycopg
import structlog
from django.db import connection, transaction
from psycopg import sql

from orders.broker.deadline import boot_clock
from orders.models import ExecutorHeartbeat

log = structlog.get_logger(__name__)

HEARTBEAT_SECONDS = 1.0
REIGN_SECONDS = 3.0  # less than the silence after which another may take over
SILENCE_SECONDS = 4.0
# Later settings win: a beat that hangs must not outlast what it grants.
LOCK_SESSION = " -c statement_timeout=2s -c lock_timeout=2s -c idle_in_transaction_session_timeout=5s"
APPLICATION = "order-executor leader"
PASSED_ON = frozenset(
    {"host", "port", "user", "password", "dbname", "sslmode", "sslrootcert", "connect_timeout", "options"}
    | {"keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout"}
)


class LeadershipLost(Exception):
    """The lock is not surely ours: its connection is gone, or was never made. Another executor may lead already."""


class Reign:
    """What the threads of this process may believe about who leads. Written by the thread that beats."""

    def __init__(self, clock: Callable[[], float] = boot_clock) -> None:
        self._clock = clock
        self._until: float | None = None
        self._another_leads = False

    def leads(self) -> bool:
        """Return whether this process leads now. Asked before each step, since a pause may lie before it."""
        return self._until is not None and self._clock() < self._until

    def another_leads(self) -> bool:
        """Return whether another executor was seen to lead; not leading alone does not say so."""
        return self._another_leads

    def extend(self, asked_at: float) -> None:
        """Lead on, counted from before the lock was asked for."""
        self._until, self._another_leads = asked_at + REIGN_SECONDS, False

    def end(self) -> None:
        """Lead no more; nobody knows yet who does."""
        self._until = None

    def leave_to_another(self) -> None:
        self._until, self._another_leads = None, True


class Leadership:
    """One process's claim to lead the executors of a mode."""

    def __init__(self, mode: str, stopwatch: Callable[[], float] = time.monotonic) -> None:
        self.mode = mode
        self._key = zlib.crc32(f"order-executor:{mode}".encode())
        self._stopwatch = stopwatch
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None
        self._taken: tuple[object, ...] | None = None  # when, by the database's clock: no two processes share it
        self._last_beat: tuple[object, ...] | None = None  # as seen of another leader,
        self._last_beat_seen_at = 0.0  # and when it was seen first

    def try_to_lead(self) -> bool:
        """Take the lock if it is free. Return whether this process leads; raise `LeadershipLost` without a database."""
        try:
            if self._connection is None:
                self._connection = _direct_connection()
            got = self._connection.execute("SELECT pg_try_advisory_lock(%s)", [self._key]).fetchone()
            if got is None or not got[0]:
                return False
            self._taken = self._connection.execute(_TAKE, [self.mode, socket.gethostname(), os.getpid()]).fetchone()
        except psycopg.Error as error:
            self.give_up()
            raise LeadershipLost(f"the leader's lock cannot be asked for: {error}") from error
        log.info("leadership.taken", mode=self.mode, pid=os.getpid())
        return True

    def beat(self) -> None:
        """
        Show that the leader is alive, through the connection that holds the lock.

        Raise `LeadershipLost` when that is gone, or is another backend than the one that took the lock, as behind a
        pooler, or when another process was given the lock through the same backend since.
        """
        assert self._connection is not None, "only a leader beats"
        assert self._taken is not None, "who leads took the lock at some time"
        try:
            written = self._connection.execute(_BEAT, [self.mode, *self._taken]).rowcount
        except psycopg.Error as error:
            raise LeadershipLost(f"the connection that held the leader's lock is gone: {error}") from error
        if not written:
            raise LeadershipLost("the heartbeat is not of the connection that took the leader's lock, or not ours")

    def end_a_silent_leader(self) -> bool:
        """End the connection of a leader that beat no more for too long, so that its lock is free."""
        row = ExecutorHeartbeat.objects.filter(mode=self.mode).values_list("backend_pid", "beat_at").first()
        if row is None or row != self._last_beat:
            self._last_beat, self._last_beat_seen_at = row, self._stopwatch()
            return False
        if self._stopwatch() - self._last_beat_seen_at <= SILENCE_SECONDS:
            return False
        with transaction.atomic(), connection.cursor() as cursor:
            # Only a backend that holds our lock: a number may have been given to another connection since.
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted"
                " AND objid = %s AND classid = 0 AND pid = %s"
                " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
                [self._key, row[0]],
            )
            ended = cursor.fetchone() is not None
        if ended:
            log.warning("leadership.silent_leader_ended", mode=self.mode, backend_pid=row[0])
        return ended

    def give_up(self) -> None:
        """Close the connection, and with it let go of the lock."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def standing_by(mode: str) -> int:
    """Return how many executors wait for the lock of the leader: they have a connection like its own."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND datname = current_database()"
            " AND pid NOT IN (SELECT backend_pid FROM orders_executorheartbeat WHERE mode = %s)",
            [APPLICATION, mode],
        )
        found: int = cursor.fetchone()[0]
    return found


_TABLE = sql.Identifier("orders_executorheartbeat")
# Both by the database's clock, and through the lock's own connection: no beat without the lock.
_TAKE = sql.SQL(
    "INSERT INTO {table} (mode, host, pid, backend_pid, started_at, beat_at)"
    " SELECT %s, %s, %s, pg_backend_pid(), taken_at, taken_at FROM clock_timestamp() AS taken_at"
    " ON CONFLICT (mode) DO UPDATE SET host = excluded.host, pid = excluded.pid,"
    " backend_pid = excluded.backend_pid, started_at = excluded.started_at, beat_at = excluded.beat_at"
    " RETURNING started_at"
).format(table=_TABLE)
_BEAT = sql.SQL(
    "UPDATE {table} SET beat_at = clock_timestamp()"
    " WHERE mode = %s AND started_at = %s AND backend_pid = pg_backend_pid()"
).format(table=_TABLE)


def _direct_connection() -> psycopg.Connection[tuple[Any, ...]]:
    parameters = {name: value for name, value in connection.get_connection_params().items() if name in PASSED_ON}
    parameters["options"] = f"{parameters.get('options', '')}{LOCK_SESSION}"
    return psycopg.connect(**parameters, autocommit=True, application_name=APPLICATION)
