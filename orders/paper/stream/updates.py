"""
The way of an order update to the wire: straight, unless a fault holds it back, doubles it or loses it.

Pure but for what it keeps: it is given the moment, and returns the messages that are to be sent now, in order.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from orders.paper.stream.mishaps import AskUpdateFault, UpdateKind

# Held-back updates beyond this many are sent at once: a forgotten fault must not fill the memory.
HELD_MAX = 10_000


# One that is to be overtaken goes out without a successor after this long, on the paper Kite's clock: the last
# update of a day has none, and out of order is not missing.
OVERTAKEN_SECONDS_MAX = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    message: bytes
    due: datetime
    behind_next: bool  # goes out with the next update that is told, if that comes sooner


class Updates:
    def __init__(self, update_fault: AskUpdateFault) -> None:
        self.update_fault = update_fault
        self.held: list[Held] = []

    def tell(self, message: bytes, now: datetime) -> list[bytes]:
        """Take one update and return what is to be sent now: nothing, it, it twice, or it and what it overtook."""
        fault = self.update_fault(now)
        if fault is None or len(self.held) >= HELD_MAX:
            return [message, *self._overtaken()]
        match fault.kind:
            case UpdateKind.DUPLICATE:
                return [message, message, *self._overtaken()]
            case UpdateKind.LATE:
                self.held.append(Held(message=message, due=now + fault.after, behind_next=False))
            case UpdateKind.OUT_OF_ORDER:
                due = now + timedelta(seconds=OVERTAKEN_SECONDS_MAX)
                self.held.append(Held(message=message, due=due, behind_next=True))
            case UpdateKind.MISSING:
                pass
        return []

    def due(self, now: datetime) -> list[bytes]:
        """Return the held ones whose time has come, and forget them."""
        if not self.held:
            return []
        ripe = sorted((one for one in self.held if one.due <= now), key=lambda one: one.due)
        self.held = [one for one in self.held if one.due > now]
        return [one.message for one in ripe]

    def forget(self) -> None:
        """Never send what is held back."""
        self.held = []

    def _overtaken(self) -> list[bytes]:
        overtaken = [one.message for one in self.held if one.behind_next]
        if overtaken:
            self.held = [one for one in self.held if not one.behind_next]
        return overtaken
