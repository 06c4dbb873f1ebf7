"""
Which requests a fault strikes.

A fault waits for requests of its route, spends itself on as many as it was given times, and is gone. The third
place is the third request of that route since the fault was asked for, whatever the ones before were answered,
and also when another fault struck them. One that the server did not let in is not counted: it came without a
session, above the rate limit, or not whole. Of several faults that wait for the same request the oldest strikes
it, and the others strike the next one that they may.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from orders.paper.exchange.journal import JournalUnwritable
from orders.paper.exchange.quirks import Quirks
from orders.paper.faults.faults import Fault, Kind, Route

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """Which order a request is about, as far as it says."""

    tag: str | None = None
    order_id: str | None = None


NOTHING_KNOWN = Subject()


@dataclass(frozen=True, kw_only=True, slots=True)
class Strike:
    """A fault that met a request; the number is the one it has in the journal, and so have orders that follow."""

    fault: Fault
    number: int | None

    @property
    def quirks(self) -> Quirks:
        return replace(self.fault.quirks, strike=self.number)


# Writes down that a fault struck its so manieth request, and returns the number of the strike.
OnStrike = Callable[[Fault, Route, int, Subject], int]


@dataclass(kw_only=True, slots=True)
class Pending:
    """A fault that waits: how many requests it has seen, and how many it struck."""

    fault: Fault
    seen: int = 0
    struck: int = 0

    @property
    def spent(self) -> bool:
        return self.struck >= self.fault.times

    def meets(self) -> bool:
        """Count a request that it waits for, and tell whether it would strike it."""
        self.seen += 1
        if self.seen <= self.fault.skip:
            return False
        return self.fault.probability == 1 or drawn(self.fault.seed, self.seen) < self.fault.probability


class FaultQueue:
    def __init__(self, faults: Iterable[Fault] = (), on_strike: OnStrike | None = None) -> None:
        self.waiting = [Pending(fault=fault) for fault in faults]
        self.on_strike = on_strike

    def add(self, fault: Fault) -> None:
        self.waiting.append(Pending(fault=fault))

    def clear(self) -> None:
        self.waiting.clear()

    def meet(self, route: Route, about: Subject = NOTHING_KNOWN, kinds: frozenset[Kind] | None = None) -> Strike | None:
        """
        Count a request of this route, and return the strike of the oldest fault that strikes it, if any does.

        With kinds, only faults of these are looked at. Raise `JournalUnwritable` when the strike cannot be
        written down: it did not happen, and its fault is not spent.
        """
        asked = [one for one in self.waiting if one.fault.strikes(route) and (kinds is None or one.fault.do in kinds)]
        willing = [one for one in asked if one.meets()]
        return self._strike(willing[0], route, about) if willing else None

    def take(self, route: Route, kinds: frozenset[Kind] | None = None) -> Fault | None:
        """Return the fault that strikes what now happens on the socket; none when that cannot be written down."""
        try:
            strike = self.meet(route, kinds=kinds)
        except JournalUnwritable as failure:
            # Nobody waits for an answer here, and what happened is not to fail with its telling.
            log.error("A fault of the route %s did not strike: %s.", route, failure)
            return None
        return None if strike is None else strike.fault

    def describe(self) -> list[dict[str, object]]:
        """Return what waits, and how far each of it has come."""
        return [
            pending.fault.model_dump(mode="json", exclude_defaults=True)
            | {"left": pending.fault.times - pending.struck, "seen": pending.seen, "struck": pending.struck}
            for pending in self.waiting
        ]

    def _strike(self, pending: Pending, route: Route, about: Subject) -> Strike:
        number = self.on_strike(pending.fault, route, pending.struck + 1, about) if self.on_strike else None
        pending.struck += 1
        if pending.spent:
            self.waiting.remove(pending)
        return Strike(fault=pending.fault, number=number)


def drawn(seed: int, number: int) -> float:
    """Return a number from 0 up to, not with, 1 that is always the same for the same arguments."""
    digest = hashlib.blake2b(f"{seed}:{number}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64
