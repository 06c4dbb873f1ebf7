"""What is worth telling, before it is a row: a value that the watchers make and the outbox writes down."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from orders.models import Alert
from orders.redaction import strike_out

Kind = Alert.Kind

TITLE_MAX = 200
TEXT_MAX = 2000

# What nobody may be told late of, in a storm of other things, or not at all.
URGENT = frozenset(
    {
        Kind.ORDER_IN_DOUBT,
        Kind.BREAKER,
        Kind.HALTED,
        Kind.LOGIN_NEEDED,
        Kind.NOT_READY,
        Kind.EXECUTOR_SILENT,
        Kind.STOPS_OPENING,
    }
)
NEVER_QUIET = frozenset({Kind.HALTED, Kind.ORDER_IN_DOUBT, Kind.EXECUTOR_SILENT})


class CannotBeQuiet(Exception):
    """ALERT_QUIET names what is no kind of alert, or one that is always sent; the text says which."""


@dataclass(frozen=True, kw_only=True)
class News:
    """One thing that happened. `source` is the same whenever the same thing is noticed; `path` leads to its page."""

    kind: Kind
    source: str
    at: datetime
    title: str
    text: str = ""
    what_to_do: str = ""
    path: str = ""

    def as_row(self, mode: str, *, now: datetime, quiet: frozenset[Kind] = frozenset()) -> Alert:
        """Return its row, without what is hidden from logs: it leaves this machine."""
        return Alert(
            mode=mode,
            kind=self.kind,
            source=self.source[:120],
            at=self.at,
            noticed_at=now,
            is_urgent=self.kind in URGENT,
            is_quiet=self.kind in quiet,
            title=_plain(self.title, TITLE_MAX),
            text=_plain(self.text, TEXT_MAX),
            what_to_do=_plain(self.what_to_do, TEXT_MAX),
            path=self.path,
        )


def quiet_kinds(named: Iterable[str]) -> frozenset[Kind]:
    """Return the kinds of these names. Raise `CannotBeQuiet`."""
    found = set()
    for name in (each.strip().upper() for each in named):
        if name not in Kind.values:
            raise CannotBeQuiet(f"ALERT_QUIET names {name!r}: the kinds of alerts are {', '.join(Kind.values)}")
        if name in NEVER_QUIET:
            raise CannotBeQuiet(f"ALERT_QUIET names {name}, which is always sent: take it out")
        found.add(Kind(name))
    return frozenset(found)


def _plain(text: str, length: int) -> str:
    """Return the text as a column takes it: struck out before it is cut, so that no half of a secret is left."""
    told = strike_out(text.replace("\x00", "␀")).strip()
    return told if len(told) <= length else f"{told[: length - 1]}…"
