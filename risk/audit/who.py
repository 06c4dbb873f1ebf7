"""
Who is at work, why, and in which request: said to the database with every statement that writes.

It stands in a comment before the statement, where the triggers of the trail read it. So nothing is kept in a database
session that a rollback could turn back, a pool hand to somebody else, or the next request inherit, and it costs no
round trip. Whoever writes SQL can also write such a comment: the database's own words for who is connected stand
beside it in every entry.
"""

from __future__ import annotations

import functools
import getpass
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

# Both fit, each letter escaped, into as much of a statement as the trigger looks at.
ACTOR_LETTERS_MAX = 150
REASON_LETTERS_MAX = 500

_WRITES = re.compile(r"\s*(?:INSERT|UPDATE|DELETE|WITH|MERGE|COPY|DO|CALL)\b", re.IGNORECASE)

_actor: ContextVar[str | Callable[[], str] | None] = ContextVar("audit_actor", default=None)
_request_id: ContextVar[str] = ContextVar("audit_request_id", default="")
_reason: ContextVar[str] = ContextVar("audit_reason", default="")


@contextmanager
def acting(actor: str | Callable[[], str], *, request_id: str = "") -> Iterator[None]:
    """Have what is written meanwhile, by this thread, be somebody's. A function is asked at each write."""
    who, request = _actor.set(actor), _request_id.set(request_id)
    try:
        yield
    finally:
        _actor.reset(who)
        _request_id.reset(request)


@contextmanager
def because(reason: str) -> Iterator[None]:
    """Have what is written meanwhile, by this thread, be for this reason."""
    before = _reason.set(reason or _reason.get())
    try:
        yield
    finally:
        _reason.reset(before)


def explained(use_case: Callable[P, R]) -> Callable[P, R]:
    """Have what a use case writes be for the reason it is given by that name, or that is in the wish it is given."""

    @functools.wraps(use_case)
    def for_its_reason(*args: P.args, **kwargs: P.kwargs) -> R:
        wishes = (each for each in (*args, *kwargs.values()) if is_dataclass(each) and hasattr(each, "reason"))
        reason = kwargs["reason"] if "reason" in kwargs else getattr(next(wishes, None), "reason", "")
        with because(str(reason)):
            return use_case(*args, **kwargs)

    return for_its_reason


def sign(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
    """Put who and why before a statement that writes: one of Django's wrappers around each statement."""
    if isinstance(sql, str) and _WRITES.match(sql):
        actor = _actor.get()
        named = _command_line() if actor is None else actor if isinstance(actor, str) else actor()
        sql = _comment(named, _reason.get(), _request_id.get()) + sql
    return execute(sql, params, many, context)


def sign_statements(*, connection: Any, **_: Any) -> None:
    """Have a new connection's statements signed: for Django's `connection_created`, sent at each reconnect, too."""
    if sign not in connection.execute_wrappers:
        connection.execute_wrappers.insert(0, sign)


@functools.lru_cache(maxsize=64)
def _comment(actor: str, reason: str, request_id: str) -> str:
    words = {"actor": actor[:ACTOR_LETTERS_MAX], "reason": reason[:REASON_LETTERS_MAX], "request": request_id[:32]}
    said = json.dumps({name: _storable(text) for name, text in words.items() if text})
    # No letter may end the comment, begin another, or stand for a parameter.
    return f"/*desk {said.translate(_ESCAPES)}*/ "


_ESCAPES = {ord(letter): f"\\u{ord(letter):04x}" for letter in "*/%"}


def _storable(text: str) -> str:
    """Return the text without what no column takes."""
    return text.encode("utf-8", "replace").decode().replace("\x00", "␀")


@functools.cache
def _command_line() -> str:
    """Return who runs this process and what: whoever writes outside a request and a thread of the executor."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container may run as a number that has no name
        user = str(os.getuid())
    program = Path(sys.argv[0])
    command = sys.argv[1] if program.name == "manage.py" and len(sys.argv) > 1 else program.name
    return f"command line: {user} {command}"
