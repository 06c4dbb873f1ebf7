"""
What a receiver heard and could not write down yet, and the times in which it could not hear at all.

Both are bounded, and whatever is lost is said.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime
from itertools import islice

import structlog

from orders.broker.kite_rows import IST
from orders.desk import Desk
from orders.inbox import Received
from risk.models import Incident

log = structlog.get_logger(__name__)

KEPT_MAX = 10_000  # messages of the channel, while nothing can be written down
KEPT_BYTES_MAX = 32 * 1024 * 1024


class Backlog:
    """What was heard and is not written down yet: bounded in messages and bytes."""

    def __init__(self, messages_max: int, bytes_max: int = KEPT_BYTES_MAX) -> None:
        self._messages_max = messages_max
        self._bytes_max = bytes_max
        self._kept: deque[Received] = deque()
        self._bytes = 0
        self.lost = 0
        self._lost_from: datetime | None = None

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, message: Received, now: datetime) -> None:
        """Keep a message; beyond the bound the oldest goes, which by then is the least likely to be acted on."""
        self._kept.append(message)
        self._bytes += len(message.raw)
        while len(self._kept) > self._messages_max or self._bytes > self._bytes_max:
            self.forget(1)
            if not self.lost:
                self._lost_from = now
                log.critical("channel.backlog_full", messages=len(self._kept), bytes=self._bytes)
            self.lost += 1

    def oldest(self, count: int) -> list[Received]:
        return list(islice(self._kept, count))

    def forget(self, count: int) -> None:
        for _ in range(count):
            self._bytes -= len(self._kept.popleft().raw)

    def tell(self, desk: Desk) -> None:
        assert self._lost_from is not None, "what is lost was lost at some time"
        Incident.objects.open(
            Incident.Kind.SIGNAL_GAP,
            mode=desk.mode,
            subject=f"backlog {self._lost_from:%Y-%m-%dT%H:%M:%S.%f}",
            title=f"{self.lost} messages of the channel were lost: nothing could be written down",
            detail=f"The first of them at {self._lost_from.astimezone(IST):%d %b %H:%M:%S}; the newest "
            f"{self._messages_max} were kept, the older ones were not.",
            what_to_do="Ask the publisher to send them again through the stream, which keeps what nobody heard.",
            now=desk.clock(),
        )
        self.lost, self._lost_from = 0, None


class Gap:
    """The time in which something could not be heard: one incident, opened when it begins and completed at its end."""

    def __init__(self, *, what: str, meaning: str, since: datetime, reason: str) -> None:
        self._what = what
        self._meaning = meaning
        self._since = since
        self._reason = reason
        self.until: datetime | None = None

    def tell(self, desk: Desk) -> None:
        """Open the incident, and complete it when the gap has ended. A person may have resolved it meanwhile."""
        subject = f"{self._what} {self._since:%Y-%m-%dT%H:%M:%S.%f}"[:60]
        since = f"{self._since.astimezone(IST):%d %b %H:%M:%S}"
        if self.until is None:
            title = f"The {self._what} is not heard since {since}"
        else:
            title = f"The {self._what} was not heard from {since} until {self.until.astimezone(IST):%d %b %H:%M:%S}"
        told = Incident.objects.filter(fingerprint=f"{desk.mode}:{Incident.Kind.SIGNAL_GAP}:{subject}")
        if told.update(title=title[:200], last_at=desk.clock()):
            return
        Incident.objects.open(
            Incident.Kind.SIGNAL_GAP,
            mode=desk.mode,
            subject=subject,
            title=title[:200],
            detail=self._reason[:1000].replace("\x00", "␀"),
            what_to_do=self._meaning,
            now=desk.clock(),
        )
