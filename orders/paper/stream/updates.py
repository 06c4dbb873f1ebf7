"""
The way of an order update to the wire: straight, unless a fault holds it back, doubles it or loses it.

Pure but for what it keeps: it is given the moment, and returns the messages that are to be sent now, in order.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from orders.paper.stream.mishaps import AskUpdateFault, UpdateKind

# Held-back updates beyond this many are sent at once: a forgotten fault must not fill the memory.
HELD_MAX = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Late:
    message: bytes
    due: datetime


class Updates:
    def __init__(self, update_fault: AskUpdateFault) -> None:
        self.update_fault = update_fault
        self.late: list[Late] = []
        self.overtaken: list[bytes] = []  # waiting for the next update to go first

    def tell(self, message: bytes, now: datetime) -> list[bytes]:
        """Take one update and return what is to be sent now: nothing, it, it twice, or it and what it overtook."""
        fault = self.update_fault(now)
        if fault is None or len(self.late) + len(self.overtaken) >= HELD_MAX:
            return self._with_overtaken(message)
        match fault.kind:
            case UpdateKind.DUPLICATE:
                return self._with_overtaken(message, message)
            case UpdateKind.LATE:
                self.late.append(Late(message=message, due=now + fault.after))
            case UpdateKind.OUT_OF_ORDER:
                self.overtaken.append(message)
            case UpdateKind.MISSING:
                pass
        return []

    def due(self, now: datetime) -> list[bytes]:
        """Return the late ones whose time has come, and forget them."""
        if not self.late:
            return []
        ripe = sorted((one for one in self.late if one.due <= now), key=lambda one: one.due)
        self.late = [one for one in self.late if one.due > now]
        return [one.message for one in ripe]

    def _with_overtaken(self, *messages: bytes) -> list[bytes]:
        overtaken, self.overtaken = self.overtaken, []
        return [*messages, *overtaken]
