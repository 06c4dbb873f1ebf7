"""
API tokens: made, known again, counted and revoked.

A token is `oex_`, an id that is no secret and is looked up by, and 256 bits that are drawn here, shown once and kept as
a digest. How often one is used is kept on its row, moved on by a conditional UPDATE: so the limit holds across all web
processes, and through any pool of connections.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

import structlog
from django.contrib.auth.models import User
from django.db import IntegrityError
from django.db.models import Case, DateTimeField, DurationField, ExpressionWrapper, F, Q, QuerySet, Value, When

from orders.models import ApiToken, RefusedAddress
from risk.audit.who import explained

SEND_SIGNALS = "signals:write"


@dataclass(frozen=True, kw_only=True)
class Scope:
    """One thing that a token may be for: what that is in words, and the permission that its owner needs."""

    words: str
    permission: str


SCOPES: dict[str, Scope] = {
    SEND_SIGNALS: Scope(words="send signals", permission="orders.send_signal"),
    "signals:read": Scope(words="read signals", permission="orders.view_signal"),
    "orders:read": Scope(words="read orders, their events and fills", permission="orders.view_order"),
    "orders:cancel": Scope(words="cancel orders", permission="orders.cancel_order"),
    "positions:read": Scope(words="read positions", permission="orders.view_position"),
    "decisions:read": Scope(words="read decisions", permission="orders.view_decision"),
    "limits:read": Scope(words="read the limits in force", permission="risk.view_risksettings"),
    "trading:read": Scope(words="read the switch and the desk's health", permission="risk.view_tradingcontrol"),
    "trading:halt": Scope(words="halt trading, turn auto-trading off", permission="risk.halt_trading"),
    "trading:auto": Scope(words="turn auto-trading on", permission="risk.switch_auto_trading"),
    "trading:resume": Scope(words="resume trading", permission="risk.resume_trading"),
}
NAME_LETTERS_MAX = 60
PER_MINUTE_MAX = 6000
DAYS_MAX = 3650  # that one is good for, unless it has no end
FAILURES_PER_MINUTE = 20  # from one address
MINUTE = timedelta(minutes=1)
SEEN_BY = re.compile(rb"oex_[0-9a-f]{16}_[0-9a-f]{64}")  # a token within any text
_PARTS = re.compile(r"oex_([0-9a-f]{16})_([0-9a-f]{64})", re.ASCII)

log = structlog.get_logger(__name__)


class TokenRefused(Exception):
    """The token cannot be made as wished; the text says why."""


class TooMany(Exception):
    """The minute's share is spent. `wait_seconds` says when there is room again."""

    def __init__(self, wait: timedelta) -> None:
        self.wait_seconds = max(1, math.ceil(wait.total_seconds()))
        super().__init__(f"too many: again in {self.wait_seconds} s")


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A token as somebody wants it."""

    name: str
    owner: User
    scopes: Collection[str]
    per_minute: int = 60
    expires_at: datetime | None = None
    in_body: bool = False


def make(wish: Wish, *, by: str, now: datetime) -> tuple[ApiToken, str]:
    """Keep a new token, and return it with the only copy of what opens the API. Raise `TokenRefused`."""
    if against := refusal(wish, now):
        raise TokenRefused(against)
    key_id, secret = secrets.token_hex(8), secrets.token_hex(32)
    try:
        token = ApiToken.objects.create(
            name=wish.name.strip(),
            owner=wish.owner,
            key_id=key_id,
            digest=_digest(secret),
            scopes=[scope for scope in SCOPES if scope in wish.scopes],
            in_body=wish.in_body,
            per_minute=wish.per_minute,
            created_at=now,
            created_by=by,
            expires_at=wish.expires_at,
        )
    except IntegrityError as taken:
        raise TokenRefused(f"there is a token named {wish.name.strip()}: revoke it, or give another name") from taken
    log.warning("api_token.made", name=token.name, owner=wish.owner.get_username(), scopes=token.scopes, by=by)
    return token, f"oex_{key_id}_{secret}"


def refusal(wish: Wish, now: datetime) -> str:
    """Return why there can be no such token; empty when there can."""
    name, owner = wish.name.strip(), wish.owner
    if not name or not name.isprintable() or len(name) > NAME_LETTERS_MAX:
        return f"give it a name of up to {NAME_LETTERS_MAX} letters"
    if ApiToken.objects.filter(name=name, revoked_at=None).exists():
        return f"there is a token named {name}: revoke it, or give another name"
    if unknown := set(wish.scopes) - set(SCOPES):
        return f"there is no scope {', '.join(sorted(unknown))}"
    if not wish.scopes:
        return "give it a scope: without one it may do nothing"
    if wish.in_body and set(wish.scopes) != {SEND_SIGNALS}:
        return f"a token for TradingView's alerts has the scope {SEND_SIGNALS} and no other"
    if not owner.is_active:
        return f"{owner} is inactive"
    if lacking := [scope for scope in wish.scopes if not owner.has_perm(SCOPES[scope].permission)]:
        return f"{owner} may not {', or '.join(SCOPES[scope].words for scope in lacking)}, and so the token may not"
    if not 1 <= wish.per_minute <= PER_MINUTE_MAX:
        return f"requests a minute: from 1 to {PER_MINUTE_MAX}"
    if wish.expires_at is not None and wish.expires_at <= now:
        return "it would have expired already"
    return ""


@explained
def revoke(token: ApiToken, *, by: str, reason: str, now: datetime) -> bool:
    """Let it open nothing any more. Return whether it was this call that did it: the first reason stays."""
    changes = {"revoked_at": now, "revoked_by": by, "revoke_reason": reason}
    revoked = bool(ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(**changes))
    token.refresh_from_db()
    if revoked:
        log.warning("api_token.revoked", name=token.name, by=by, reason=reason)
    return revoked


def find(text: str, *, now: datetime) -> ApiToken | None:
    """Return the token that the text is, with its owner; None for one that opens nothing now."""
    parts = _PARTS.fullmatch(text)
    if parts is None:
        return None
    key_id, secret = parts.groups()
    token = ApiToken.objects.select_related("owner").filter(key_id=key_id).first()
    # Compared in the same time whether there is one or not, and whatever it differs in.
    proven = hmac.compare_digest(token.digest if token else "0" * 64, _digest(secret))
    if token is None or not proven:
        return None
    if dead := token.dead_because(now):
        log.warning("api_token.dead", name=token.name, reason=dead)
        return None
    return token


def count_use(token: ApiToken, *, address: str, now: datetime, stops: bool = False, always: bool = False) -> None:
    """
    Count one request, and note when and whence. Raise `TooMany` once the minute's share is spent.

    What `stops` an order has a share of its own: whoever has read too often can still cancel. What must `always` go
    through, such as a halt, counts among the others, and is not refused when nothing is left.
    """
    column = "stops_spent_until" if stops else "spent_until"
    rows = ApiToken.objects.filter(pk=token.pk)
    seen = {"last_used_at": now, "last_used_from": address}
    if _took(rows, column, token.per_minute, now, **seen):
        return
    if not always:
        raise TooMany(_wait(rows, column, token.per_minute, now))
    rows.update(**seen)


def count_failure(address: str, *, now: datetime) -> None:
    """
    Count a token that opened nothing. Raise `TooMany` once an address has sent its share of them.

    One that opens something is never refused for its neighbours: nobody guesses 256 bits, and a halt must get through.
    """
    known = _neighbourhood(address)
    rows = RefusedAddress.objects.filter(address=known)
    if _took(rows, "spent_until", FAILURES_PER_MINUTE, now):
        return
    RefusedAddress.objects.filter(Q(spent_until__lt=now) | Q(spent_until__gt=now + MINUTE)).delete()
    _, is_new = RefusedAddress.objects.get_or_create(
        address=known, defaults={"spent_until": now + _share(FAILURES_PER_MINUTE)}
    )
    if not is_new and not _took(rows, "spent_until", FAILURES_PER_MINUTE, now):
        raise TooMany(_wait(rows, "spent_until", FAILURES_PER_MINUTE, now))


def _took(rows: QuerySet[Any], column: str, per_minute: int, now: datetime, **also: Any) -> bool:
    """
    Move the column on by one share of a minute, in one statement, unless that would be more than a minute ahead.

    What is farther ahead already was written before the clock was set back, and begins anew.
    """
    room, share = now + MINUTE, _share(per_minute)
    nothing_spent = Q(**{column: None}) | Q(**{f"{column}__gt": room}) | Q(**{f"{column}__lt": now})
    begins = Case(
        When(nothing_spent, then=Value(now, DateTimeField())), default=F(column), output_field=DateTimeField()
    )
    moved = ExpressionWrapper(begins + Value(share, DurationField()), output_field=DateTimeField())
    fits = nothing_spent | Q(**{f"{column}__lte": room - share})
    return bool(rows.filter(fits).update(**{column: moved, **also}))


def _wait(rows: QuerySet[Any], column: str, per_minute: int, now: datetime) -> timedelta:
    spent_until = rows.values_list(column, flat=True).first() or now
    return spent_until + _share(per_minute) - (now + MINUTE)


def _share(per_minute: int) -> timedelta:
    """Return a request's part of a minute, cut and not rounded: as many as are allowed fit."""
    return timedelta(microseconds=60_000_000 // per_minute)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _neighbourhood(address: str) -> str:
    """Return what one caller commands: an address, or the network that every host of IPv6 has to itself."""
    try:
        known = ip_address(address)
    except ValueError:
        return "unknown"
    return str(ip_network((known, 64), strict=False)) if isinstance(known, IPv6Address) else str(known)
