"""Every GTT (good till triggered) of the account; like the book, it changes only by applying an event."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from orders.paper.exchange.events import GttEnded, GttHappened, GttModified, GttPlaced, GttTriggered
from orders.paper.exchange.gtt_terms import GttTerms

VALID_FOR = timedelta(days=365)

Status = Literal["active", "triggered", "deleted", "expired"]


@dataclass(kw_only=True, slots=True)
class Gtt:
    gtt_id: int
    terms: GttTerms
    created_at: datetime
    updated_at: datetime
    status: Status = "active"
    results: dict[int, GttTriggered] = field(default_factory=dict)

    @property
    def expires_at(self) -> datetime:
        return self.created_at + VALID_FOR

    @property
    def listed(self) -> bool:
        """Tell whether it is still shown; a deleted one is not."""
        return self.status != "deleted"


class Gtts:
    def __init__(self) -> None:
        self.all: dict[int, Gtt] = {}
        self.active: dict[int, Gtt] = {}
        self.last_id = 0

    def apply(self, event: GttHappened) -> None:
        if isinstance(event, GttPlaced):
            gtt = Gtt(gtt_id=event.gtt_id, terms=event.terms, created_at=event.at, updated_at=event.at)
            self.all[gtt.gtt_id] = self.active[gtt.gtt_id] = gtt
            self.last_id = gtt.gtt_id
            return
        gtt = self.all[event.gtt_id]
        gtt.updated_at = event.at
        match event:
            case GttModified():
                gtt.terms = event.terms
            case GttEnded():
                gtt.status = event.status
            case GttTriggered():
                gtt.status = "triggered"
                gtt.results[event.leg] = event
        if gtt.status != "active":
            self.active.pop(gtt.gtt_id, None)

    def begin_anew(self, last_id: int) -> None:
        """Forget all of them; numbering goes on."""
        self.all, self.active, self.last_id = {}, {}, last_id
