"""
What can be made to go wrong with the stream, and where the stream asks whether something should.

Users of the real one report each of these: updates lost, doubled, late or in the wrong order, sockets that
stay open and say nothing, and a stray pong that arms the SDK's watchdog, which then drops the link.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class UpdateKind(StrEnum):
    DUPLICATE = "duplicate"  # sent twice
    LATE = "late"  # sent `after` later than it should
    MISSING = "missing"  # never sent
    # Sent right after the next one, whichever order that is about, or alone when none comes.
    OUT_OF_ORDER = "out_of_order"


@dataclass(frozen=True, kw_only=True, slots=True)
class UpdateFault:
    """What happens to one order update."""

    kind: UpdateKind
    after: timedelta = timedelta(0)  # of LATE, on the paper Kite's clock


class StreamMishap(StrEnum):
    SILENT = "silent"  # the open connections stay open and never say anything again, not even a heartbeat
    DROP = "drop"  # the open connections break, without a goodbye
    REFUSE = "refuse"  # the handshake is answered 403
    STRAY_PONG = "stray_pong"  # the open connections get a pong that they never asked for


# What can happen at a handshake, and what between two looks at the market.
AT_HANDSHAKE = frozenset({StreamMishap.REFUSE})
AT_TICK = frozenset({StreamMishap.SILENT, StreamMishap.DROP, StreamMishap.STRAY_PONG})

# Asked once for each order update.
AskUpdateFault = Callable[[datetime], UpdateFault | None]
# Asked at each handshake and, while anyone is connected, at each tick; with the kinds that can happen there.
AskMishap = Callable[[datetime, Collection[StreamMishap]], StreamMishap | None]


def no_update_fault(now: datetime) -> UpdateFault | None:
    """Let every update pass."""
    return None


def no_mishap(now: datetime, possible: Collection[StreamMishap]) -> StreamMishap | None:
    """Let everything go well."""
    return None
