"""The cursor of what is asked and written again and again: PostgreSQL plans its statements once."""

from __future__ import annotations

import itertools
import re
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from django.db import DEFAULT_DB_ALIAS, connection, connections
from psycopg.adapt import AdaptersMap
from psycopg.types.datetime import TimestamptzLoader

_adapters: WeakKeyDictionary[psycopg.Connection[Any], AdaptersMap] = WeakKeyDictionary()


def prepared_cursor() -> Any:
    """
    Return such a cursor in Django's wrapper, as `connection.cursor` would, with its errors.

    Where somebody looks at the statements it is Django's own: then they are told with their values.
    """
    here: Any = connections[DEFAULT_DB_ALIAS]  # the proxy would look it up each time
    if is_looked_at():
        return here.cursor()
    ensure_connection()
    here.validate_thread_sharing()
    return here.make_cursor((_InUtc if here.timezone_name == "UTC" else _Prepared)(here.connection))


def is_looked_at() -> bool:
    """Return whether each statement is to go through Django: somebody looks at it, or puts something before it."""
    return connections[DEFAULT_DB_ALIAS].queries_logged or ignores_triggers()


def adapters(here: Any) -> AdaptersMap:
    """
    Return what reads and writes the values of Django's connection, which is there.

    What PostgreSQL says in UTC, psycopg reads at five times Django's pace.
    """
    return _in_utc(here.connection) if here.timezone_name == "UTC" else here.connection.adapters


class _Prepared(psycopg.RawCursor[Any]):
    """
    A cursor whose statements PostgreSQL plans once: to plan them takes it longer than to carry them out.

    All that never changes stands in the SQL itself, so that a plan for any values still knows the partial indexes.
    """

    def execute(self, query: Any, params: Any = None, **more: Any) -> _Prepared:
        return super().execute(query if params is None else numbered(query), params, prepare=True, **more)


@lru_cache(maxsize=256)
def numbered(query: str) -> bytes:
    """
    Return the statement with $1, $2 … where it has %s.

    psycopg does so, too, but in a long one it looks for them each time anew: that takes as long as a small question.
    """
    numbers = itertools.count(1)
    return re.sub("%[s%]", lambda found: "%" if found[0] == "%%" else f"${next(numbers)}", query).encode()


class _InUtc(_Prepared):
    """Such a cursor, for a line whose times are in UTC."""

    @property
    def adapters(self) -> AdaptersMap:
        """What reads and writes values."""
        return _in_utc(self.connection)


def _in_utc(line: psycopg.Connection[Any]) -> AdaptersMap:
    """Return one for each line: to make it takes longer than many a question."""
    known = _adapters.get(line)
    if known is None:
        known = _adapters[line] = AdaptersMap(line.adapters)
        known.register_loader("timestamptz", TimestamptzLoader)
    return known


def ensure_connection() -> None:
    """Do what Django does before each cursor of its own: a line that was cut meanwhile is made anew."""
    connection.close_if_health_check_failed()
    connection.ensure_connection()


def ignores_triggers() -> bool:
    """Return whether what is sent now is told to pass a trigger by: that is put before the statement."""
    return any(wrapper.__module__.startswith("pgtrigger.") for wrapper in connection.execute_wrappers)
