"""
Faults on demand: what a rehearsal or a test wants the next requests to suffer.

A fault waits for requests of its route, spends itself on as many as it was given times, and is gone. What
each kind does to a request is in `misbehaviour`.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field, model_validator

from orders.paper.exchange.exchange import NO_QUIRKS, Quirks


class Route(StrEnum):
    PLACE = "place"
    MODIFY = "modify"
    CANCEL = "cancel"
    ORDERS = "orders"
    TRADES = "trades"
    POSITIONS = "positions"
    QUOTE = "quote"
    ANY = "any"


class Kind(StrEnum):
    DROP_BEFORE = "drop_before"
    DROP_AFTER = "drop_after"
    ERROR_503 = "error_503"
    ERROR_502_HTML = "error_502_html"
    ERROR_504 = "error_504"
    ERROR_503_AFTER = "error_503_after"
    ERROR_429 = "error_429"
    ERROR_400_TIMEOUT_AFTER = "error_400_timeout_after"
    REFUSE_MARGIN = "refuse_margin"
    REFUSE_INPUT = "refuse_input"
    TOKEN = "token"  # noqa: S105 - the kind of a fault
    DELAY = "delay"
    LATE_AFTER = "late_after"
    HIDE = "hide"
    HOLD_FILL = "hold_fill"
    REJECT_LATER = "reject_later"
    EMPTY_SUCCESS = "empty_success"
    TRICKLE = "trickle"


# These shape the life of a new order, so only a placement can suffer them.
ORDER_KINDS = frozenset({Kind.HIDE, Kind.HOLD_FILL, Kind.REJECT_LATER})
NEED_SECONDS = frozenset({Kind.DELAY, Kind.LATE_AFTER, Kind.HIDE})


class Fault(BaseModel):
    model_config = ConfigDict(extra="forbid")

    route: Route
    do: Kind
    times: int = Field(default=1, ge=1, le=100_000)
    seconds: float | None = Field(default=None, ge=0, le=86_400, allow_inf_nan=False)

    @model_validator(mode="after")
    def check_meaning(self) -> Fault:
        if self.do in ORDER_KINDS and self.route not in (Route.PLACE, Route.ANY):
            raise ValueError(f"{self.do} is for the route place")
        if self.do in NEED_SECONDS and self.seconds is None:
            raise ValueError(f"{self.do} needs seconds")
        return self

    def strikes(self, route: Route) -> bool:
        if self.do in ORDER_KINDS:
            return route is Route.PLACE
        return self.route in (route, Route.ANY)

    @property
    def duration(self) -> timedelta:
        return timedelta(seconds=self.seconds or 0)

    @property
    def quirks(self) -> Quirks:
        """Return how the placed order is to be treated."""
        match self.do:
            case Kind.HIDE:
                return Quirks(hidden_for=self.duration)
            case Kind.HOLD_FILL:
                return Quirks(held=True)
            case Kind.REJECT_LATER:
                return Quirks(rejected_after=self.duration)
            case _:
                return NO_QUIRKS


class FaultQueue:
    def __init__(self) -> None:
        self.waiting: list[Fault] = []

    def add(self, fault: Fault) -> None:
        self.waiting.append(fault)

    def clear(self) -> None:
        self.waiting.clear()

    def take(self, route: Route) -> Fault | None:
        """Return the oldest fault for a request of this route, one time less of it left."""
        for fault in self.waiting:
            if fault.strikes(route):
                fault.times -= 1
                if not fault.times:
                    self.waiting.remove(fault)
                return fault
        return None
