"""What else goes wrong: the broker's answers, cut connections, stopped servers, a leader that is only paused."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable

import redis

from tests.soak.cast import Cast
from tests.soak.ground import wait_for

# Every answer that says nothing for sure, every plain refusal, and what may happen to an order or a cancel.
BROKER = (
    "place:drop_before",
    "place:drop_after",
    "place:drop_mid_answer",
    "place:error_503",
    "place:error_502_html",
    "place:error_504",
    "place:error_429",
    "place:error_503_after",
    "place:error_502_after",
    "place:error_504_after",
    "place:error_429_after",
    "place:error_400_timeout_after",
    "place:empty_success",
    "place:late_after:seconds=1.5",
    "place:delay:seconds=1",
    "place:trickle:seconds=0.01",
    "place:refuse_margin",
    "place:refuse_input",
    "place:hide:seconds=2",
    "place:hold_fill",
    "place:reject_later:seconds=1",
    "place:stuck:seconds=1",
    "place:partial_fill:shares=0",
    "place:drop_after:hide_seconds=9",
    "place:error_504_after:hide_seconds=2",
    "modify:drop_before",
    "modify:drop_after",
    "modify:error_503_after",
    "modify:error_429",
    "modify:refuse_input",
    "modify:ignore",
    "cancel:drop_before",
    "cancel:drop_after",
    "cancel:error_503",
    "cancel:ignore",
    "cancel:fill_first",
    "orders:error_503",
    "orders:drop_mid_answer",
    "orders:error_502_html",
    "trades:drop_before",
    "positions:error_504",
    "quote:error_503",
    "quote:drop_before",
)


def cut_the_leaders_connections(cast: Cast) -> None:
    """End every connection to PostgreSQL but our own."""
    cast.ground.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")


def cut_one_connection(cast: Cast) -> None:
    cast.ground.rows(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        " AND backend_type = 'client backend' ORDER BY random() LIMIT 1"
    )


def cut_redis_connections(cast: Cast) -> None:
    with contextlib.suppress(redis.RedisError):
        client = cast.ground.redis()
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        client.execute_command("CLIENT", "KILL", "TYPE", "pubsub", "SKIPME", "yes")
        client.close()


def kill_postgres(cast: Cast) -> None:
    cast.ground.kill_and_start(cast.ground.postgres)


def kill_valkey(cast: Cast) -> None:
    cast.ground.kill_and_start(cast.ground.valkey)


def kill_paper(cast: Cast) -> None:
    cast.ground.kill_and_start_paper()


def pause(cast: Cast, pid: int, seconds: float) -> None:
    """Stop a process for a while, and let the others go on."""
    os.kill(pid, signal.SIGSTOP)
    with contextlib.suppress(Exception):
        wait_for(lambda: cast.turn() or pid in cast.ended, "", seconds)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def pause_paper(cast: Cast) -> None:
    pause(cast, cast.ground.paper.process.pid, 2.0)


def pause_valkey(cast: Cast) -> None:
    pause(cast, cast.ground.valkey.process.pid, 2.0)


def pause_the_leader(cast: Cast) -> None:
    """Pause the leader until another one leads, as it must within seconds, and wake it up."""
    since = wait_for(lambda: cast.turn() or cast.ground.rows("SELECT now()"), "PostgreSQL answers")[0][0]
    leader = wait_for(lambda: cast.turn() or cast.leader(since), "an executor leads")
    os.kill(leader, signal.SIGSTOP)
    try:
        wait_for(lambda: cast.turn() or cast.leader() not in {None, leader}, "another executor leads", 30)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(leader, signal.SIGCONT)


OUTAGES: dict[str, Callable[[Cast], None]] = {
    "PostgreSQL: all connections cut": cut_the_leaders_connections,
    "PostgreSQL: one connection cut": cut_one_connection,
    "PostgreSQL: killed and started": kill_postgres,
    "Valkey: connections cut": cut_redis_connections,
    "Valkey: killed and started": kill_valkey,
    "Valkey: paused": pause_valkey,
    "paper Kite: killed and started": kill_paper,
    "paper Kite: paused": pause_paper,
    "the leader: paused": pause_the_leader,
}
