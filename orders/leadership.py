"""
Leadership: of several executors one leads, the others stand by.

The leader holds a PostgreSQL advisory lock on a connection of its own, never a pooled one; losing that connection is
losing leadership. A leader that is paused keeps its lock, so a standby that sees no heartbeat for four seconds ends the
leader's connection from outside. This keeps two executors from doing work twice; it is not what prevents an order from
being sent twice: that is the conditional UPDATE when it is submitted.
"""

from __future__ import annotations

import os
import socket
import zlib
from datetime import datetime, timedelta

import psycopg
import structlog
from django.db import connection, transaction
from psycopg import sql

from orders.models import ExecutorHeartbeat

log = structlog.get_logger(__name__)

HEARTBEAT_SECONDS = 1.0
SILENCE_SECONDS = 4.0


class LeadershipLost(Exception):
    """The connection that held the lock is gone; another executor may lead already."""


class Leadership:
    """One process's claim to lead the executors of a mode."""

    def __init__(self, mode: str) -> None:
        self.mode = mode
        self._key = zlib.crc32(f"order-executor:{mode}".encode())
        self._connection: psycopg.Connection[tuple[object, ...]] | None = None

    def try_to_lead(self, now: datetime) -> bool:
        """Take the lock if it is free. Return whether this process leads."""
        if self._connection is None:
            self._connection = _direct_connection()
        got = self._connection.execute("SELECT pg_try_advisory_lock(%s)", [self._key]).fetchone()
        if got is None or not got[0]:
            return False
        ExecutorHeartbeat.objects.update_or_create(
            mode=self.mode,
            defaults={
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "backend_pid": self._connection.info.backend_pid,
                "started_at": now,
                "beat_at": now,
            },
        )
        log.info("leadership.taken", mode=self.mode, pid=os.getpid())
        return True

    def beat(self, now: datetime) -> None:
        """Show that the leader is alive. Raise `LeadershipLost` when the lock's connection is gone."""
        assert self._connection is not None, "only a leader beats"
        try:
            self._connection.execute("SELECT 1")
        except psycopg.Error as error:
            raise LeadershipLost(f"the connection that held the leader's lock is gone: {error}") from error
        ExecutorHeartbeat.objects.filter(mode=self.mode, pid=os.getpid()).update(beat_at=now)

    def end_a_silent_leader(self, now: datetime) -> bool:
        """End the connection of a leader that has been silent too long, so that its lock is free."""
        silent = ExecutorHeartbeat.objects.filter(
            mode=self.mode, beat_at__lt=now - timedelta(seconds=SILENCE_SECONDS)
        ).first()
        if silent is None:
            return False
        with transaction.atomic(), connection.cursor() as cursor:
            # Only a backend that holds our lock: a number may have been given to another connection since.
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted"
                " AND objid = %s AND classid = 0 AND pid = %s"
                " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
                [self._key, silent.backend_pid],
            )
            ended = cursor.fetchone() is not None
        if ended:
            log.warning("leadership.silent_leader_ended", mode=self.mode, pid=silent.pid)
        return ended

    def give_up(self) -> None:
        """Close the connection, and with it let go of the lock."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _direct_connection() -> psycopg.Connection[tuple[object, ...]]:
    parameters = {
        name: value
        for name, value in connection.get_connection_params().items()
        if name in {"host", "port", "user", "password", "dbname", "sslmode", "connect_timeout"}
    }
    direct = psycopg.connect(**parameters, autocommit=True)
    direct.execute(sql.SQL("SET application_name = 'order-executor leader'"))
    return direct
