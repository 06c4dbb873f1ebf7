"""
What is unsafe for live money in the servers that the desk relies on: PostgreSQL, Redis and this machine's clock.

They are asked, a few questions each, by `manage.py check --deploy --database default` and by the Start of day. One that
does not answer is not told of here: that it is away is said elsewhere.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core import checks
from django.db import Error, connection

from config.live_checks import Found, warning
from orders.receivers import keeps_its_data

_ASKED = (
    "SELECT current_setting('fsync') = 'on' AND current_setting('full_page_writes') = 'on',"
    " current_setting('synchronous_commit') IN ('on', 'remote_apply'), role.rolsuper OR role.rolreplication,"
    " EXISTS (SELECT FROM pg_class WHERE relname = 'risk_auditentry' AND relowner = role.oid),"
    " EXISTS (SELECT FROM pg_class WHERE relname IN ('risk_auditentry', 'risk_auditseal') AND relkind = 'r'"
    " AND has_table_privilege(oid, 'UPDATE, DELETE')), role.rolname"
    " FROM pg_roles AS role WHERE role.rolname = current_user"
)
_UNSYNCHRONISED = 5  # TIME_ERROR of adjtimex(2)


def servers_are_safe(*, databases: Sequence[str] | None = None, **_: Any) -> list[checks.CheckMessage]:
    """Return what is unsafe in the servers of a desk with a real account; nothing on paper, or when not asked."""
    if not databases or settings.TRADING_MODE == "PAPER":
        return []
    return [*_postgres(), *_redis(), *_clock()]


def _postgres() -> Found:
    try:
        with connection.cursor() as cursor:
            cursor.execute(_ASKED)
            durable, waits, mighty, owns, rewrites, role = cursor.fetchone()
    except Error:
        return
    if not durable:
        hint = "Set fsync and full_page_writes to on in postgresql.conf."
        yield warning(20, "PostgreSQL may lose what it said was written, when the power fails.", hint)
    if not waits:
        hint = "Leave synchronous_commit on; a pooler must pass on the options that the desk connects with."
        yield warning(21, "PostgreSQL says that an order is written down before it is.", hint)
    if mighty:
        hint = "Use a role of its own, as deploy/postgresql/roles.sql makes it."
        yield warning(22, f"The desk is {role}, which may switch off every protection of the audit trail.", hint)
    elif owns:
        hint = "Let another role own them: deploy/postgresql/roles.sql and grants.sql."
        yield warning(23, f"The desk is {role}, which owns the tables of the audit trail and may drop them.", hint)
    elif rewrites:
        hint = "Run deploy/postgresql/grants.sql as the tables' owner, after every `prepare`."
        yield warning(27, f"The desk is {role}, which may change and delete what the audit trail holds.", hint)


def _redis() -> Found:
    address = urlsplit(settings.REDIS_URL)
    if not address.password and not is_loopback(address.hostname or ""):
        hint = "Set requirepass there, and give the password in REDIS_URL."
        yield warning(24, f"Whoever reaches {address.hostname} can send signals: Redis asks for no password.", hint)
    if keeps_its_data(settings.REDIS_URL) is False:
        hint = "Set appendonly yes there, and appendfsync always."
        yield warning(25, "Redis forgets the stream of signals when it ends.", hint)


def _clock() -> Found:
    if clock_state() == _UNSYNCHRONISED:
        hint = "Install chrony or systemd-timesyncd: limits a day, the age of signals and the calendar go by the clock."
        yield warning(26, "This machine's clock is not synchronised.", hint)


def is_loopback(host: str) -> bool:
    try:
        return host in ("", "localhost") or ip_address(host).is_loopback
    except ValueError:
        return False


def clock_state() -> int:
    """Return what the kernel says of its clock, -1 where it may not be asked."""
    asked = ctypes.create_string_buffer(512)  # a `struct timex` of zeros changes nothing
    return int(ctypes.CDLL(None).adjtimex(asked))
