"""Things that happen at the same time, made certain to: a table that holds writers up until all of them wait."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
from django.db import connection

from .paper.paper_process import until


def direct_connection() -> psycopg.Connection[tuple[Any, ...]]:
    """Open a connection of our own to the test's database: it sees only what was committed."""
    parameters = connection.get_connection_params()
    wanted = {name: parameters[name] for name in ("host", "port", "user", "password", "dbname") if name in parameters}
    return psycopg.connect(**wanted, autocommit=True)


@contextlib.contextmanager
def held_up(table: str) -> Iterator[Callable[[int], None]]:
    """Let nobody write into the table; the block gets a function that waits until so many sessions stand still."""
    with direct_connection() as other, direct_connection() as watcher, other.transaction():
        other.execute(f'LOCK TABLE "{table}" IN EXCLUSIVE MODE')

        def wait_for(count: int) -> None:
            waiting = "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted"
            until(lambda: watcher.execute(waiting).fetchone()[0] >= count)

        yield wait_for


class Together:
    """Calls running in threads, each with a database connection of its own."""

    def __init__(self, *calls: Callable[[], Any]) -> None:
        self.results: list[Any] = [None] * len(calls)
        self._threads = [threading.Thread(target=self._run, args=(n, call)) for n, call in enumerate(calls)]
        for thread in self._threads:
            thread.start()

    def _run(self, number: int, call: Callable[[], Any]) -> None:
        try:
            self.results[number] = call()
        except Exception as error:  # noqa: BLE001 - the test looks at it
            self.results[number] = error
        finally:
            connection.close()

    def join(self) -> list[Any]:
        for thread in self._threads:
            thread.join(20)
            assert not thread.is_alive()
        return self.results
