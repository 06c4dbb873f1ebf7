"""
Faults on demand: what a rehearsal or a test wants the next requests to suffer.

A fault has two parts that combine freely: what the client gets to see, and what happens to the order. Which
requests it strikes is in `queue`, what each answer looks like in `misbehaviour`.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from orders.paper.exchange.quirks import Quirks

DAY_SECONDS = 86_400


class Route(StrEnum):
    PLACE = "place"
    MODIFY = "modify"
    CANCEL = "cancel"
    ORDERS = "orders"
    TRADES = "trades"
    POSITIONS = "positions"
    HOLDINGS = "holdings"
    MARGINS = "margins"
    QUOTE = "quote"
    INSTRUMENTS = "instruments"
    HISTORICAL = "historical"
    GTT = "gtt"
    CALCULATORS = "calculators"
    PROFILE = "profile"
    SESSION = "session"
    ANY = "any"  # every request over HTTP
    UPDATES = "updates"  # order updates over the socket
    STREAM = "stream"  # the socket itself


class Kind(StrEnum):
    """What is done; where the name ends in `after`, the request is carried out before."""

    # The connection ends, as a server that goes away ends it (FIN), or as one that knows nothing of it does (RST).
    DROP_BEFORE = "drop_before"
    DROP_AFTER = "drop_after"
    DROP_MID_ANSWER = "drop_mid_answer"
    RESET_BEFORE = "reset_before"
    RESET_AFTER = "reset_after"
    RESET_MID_ANSWER = "reset_mid_answer"
    # An error in Kite's envelope, or (html, and 502_after) a page of the proxy in front of it.
    ERROR_502_JSON = "error_502_json"
    ERROR_502_HTML = "error_502_html"
    ERROR_503 = "error_503"
    ERROR_503_HTML = "error_503_html"
    ERROR_504 = "error_504"
    ERROR_504_HTML = "error_504_html"
    ERROR_429 = "error_429"
    ERROR_502_JSON_AFTER = "error_502_json_after"
    ERROR_502_AFTER = "error_502_after"
    ERROR_503_AFTER = "error_503_after"
    ERROR_503_HTML_AFTER = "error_503_html_after"
    ERROR_504_AFTER = "error_504_after"
    ERROR_504_HTML_AFTER = "error_504_html_after"
    ERROR_429_AFTER = "error_429_after"
    ERROR_400_TIMEOUT_AFTER = "error_400_timeout_after"
    REFUSE_MARGIN = "refuse_margin"
    REFUSE_INPUT = "refuse_input"
    TOKEN = "token"  # noqa: S105 - the kind of a fault
    # These seconds pass on the machine's clock: they are the network's.
    DELAY = "delay"  # the request is carried out so much later, and answered then
    DELAY_AFTER = "delay_after"  # carried out at once, answered so much later
    LATE_AFTER = "late_after"  # answered 504 at once, carried out so much later
    TRICKLE = "trickle"  # carried out, and answered a byte at a time
    EMPTY_SUCCESS = "empty_success"
    # What happens to a new order; the seconds pass on the paper Kite's clock.
    HIDE = "hide"
    HOLD_FILL = "hold_fill"
    REJECT_LATER = "reject_later"
    STUCK = "stuck"
    PARTIAL_FILL = "partial_fill"
    # What happens to a change of one.
    IGNORE = "ignore"
    FILL_FIRST = "fill_first"
    # What happens to an order update.
    DUPLICATE = "duplicate"
    LATE = "late"
    MISSING = "missing"
    OUT_OF_ORDER = "out_of_order"
    # What happens to the socket.
    SILENT = "silent"
    DROP = "drop"
    REFUSE = "refuse"
    STRAY_PONG = "stray_pong"


ORDER_KINDS = frozenset({Kind.HIDE, Kind.HOLD_FILL, Kind.REJECT_LATER, Kind.STUCK, Kind.PARTIAL_FILL})
UPDATE_KINDS = frozenset({Kind.DUPLICATE, Kind.LATE, Kind.MISSING, Kind.OUT_OF_ORDER})
STREAM_KINDS = frozenset({Kind.SILENT, Kind.DROP, Kind.REFUSE, Kind.STRAY_PONG})
# Those that are for some routes only; all others are for any request over HTTP.
ROUTES_OF = {
    **dict.fromkeys(ORDER_KINDS, (Route.PLACE, Route.ANY)),
    Kind.IGNORE: (Route.MODIFY, Route.CANCEL),
    Kind.FILL_FIRST: (Route.CANCEL,),
    **dict.fromkeys(UPDATE_KINDS, (Route.UPDATES,)),
    **dict.fromkeys(STREAM_KINDS, (Route.STREAM,)),
}
OVER_HTTP = tuple(route for route in Route if route not in (Route.UPDATES, Route.STREAM))
NEED_SECONDS = frozenset({Kind.DELAY, Kind.DELAY_AFTER, Kind.LATE_AFTER, Kind.HIDE, Kind.STUCK, Kind.LATE})
TAKE_SECONDS = NEED_SECONDS | {Kind.REJECT_LATER, Kind.TRICKLE}
NOT_REACHING_ORDERS = frozenset(
    {
        Kind.DROP_BEFORE,
        Kind.RESET_BEFORE,
        Kind.ERROR_502_JSON,
        Kind.ERROR_502_HTML,
        Kind.ERROR_503,
        Kind.ERROR_503_HTML,
        Kind.ERROR_504,
        Kind.ERROR_504_HTML,
        Kind.ERROR_429,
        Kind.REFUSE_MARGIN,
        Kind.REFUSE_INPUT,
        Kind.TOKEN,
    }
)
# What these do to the order is said by the kind already.
SAID_BY_KIND = {
    Kind.HIDE: "hide_seconds",
    Kind.STUCK: "stuck_seconds",
    Kind.REJECT_LATER: "reject_seconds",
    Kind.HOLD_FILL: "hold",
}


class Fault(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    route: Route
    do: Kind
    times: int = Field(default=1, ge=1, le=100_000)
    seconds: float | None = Field(default=None, ge=0, le=DAY_SECONDS, allow_inf_nan=False)
    skip: int = Field(default=0, ge=0, le=100_000)  # so many requests of the route pass first
    probability: float = Field(default=1, gt=0, le=1, allow_inf_nan=False)  # of those that come then
    seed: int = 0  # another seed strikes others of them
    # What happens to the order, beside what the client sees.
    hide_seconds: float | None = Field(default=None, ge=0, le=DAY_SECONDS, allow_inf_nan=False)
    stuck_seconds: float | None = Field(default=None, ge=0, le=DAY_SECONDS, allow_inf_nan=False)
    reject_seconds: float | None = Field(default=None, ge=0, le=DAY_SECONDS, allow_inf_nan=False)
    hold: bool = False
    shares: int | None = Field(default=None, ge=0, le=999_999_999)  # that may fill

    @model_validator(mode="after")
    def check_meaning(self) -> Fault:
        """Refuse what cannot be, and what would have no effect: a typing error must not pass for a fault."""
        allowed = ROUTES_OF.get(self.do, OVER_HTTP)
        if self.route not in allowed:
            raise ValueError(f"{self.do} is for the route {' or '.join(allowed)}")
        if self.do in NEED_SECONDS and self.seconds is None:
            raise ValueError(f"{self.do} needs seconds")
        if self.do not in TAKE_SECONDS and self.seconds is not None:
            raise ValueError(f"{self.do} takes no seconds")
        if self.do is Kind.PARTIAL_FILL and self.shares is None:
            raise ValueError(f"{self.do} needs shares")
        if self.seed and self.probability == 1:
            raise ValueError("seed is for a probability below 1")
        if self._shapes_order and (self.route is not Route.PLACE or self.do in NOT_REACHING_ORDERS):
            raise ValueError("what happens to an order can be said of the route place, when the order gets there")
        self._check_order()
        return self

    def _check_order(self) -> None:
        """Refuse two things that cannot both happen to an order."""
        said = SAID_BY_KIND.get(self.do)
        if said and getattr(self, said) is not None and getattr(self, said) is not False:
            raise ValueError(f"{self.do} says by itself what {said} says")
        quirks = self.quirks
        if quirks.held and quirks.fill_at_most is not None:
            raise ValueError("an order that is held fills no shares")
        if quirks.rejected_after is None:
            return
        if quirks.held or quirks.fill_at_most is not None:
            raise ValueError("an order that is rejected fills no shares")
        if quirks.stuck_for is not None and quirks.stuck_for > quirks.rejected_after:
            raise ValueError("an order that is stuck for longer is not rejected before")

    def strikes(self, route: Route) -> bool:
        """Tell whether a request of this route is one that it waits for."""
        if self.do in ORDER_KINDS:
            return route is Route.PLACE
        if self.route is Route.ANY:
            return route in OVER_HTTP
        return self.route is route

    @property
    def duration(self) -> timedelta:
        return timedelta(seconds=self.seconds or 0)

    @property
    def quirks(self) -> Quirks:
        """Return how the order is to be treated."""
        hide, stuck, reject = self.hide_seconds, self.stuck_seconds, self.reject_seconds
        match self.do:
            case Kind.HIDE:
                hide = self.seconds
            case Kind.STUCK:
                stuck = self.seconds
            case Kind.REJECT_LATER:
                reject = self.seconds or 0
        return Quirks(
            hidden_for=lasting(hide),
            stuck_for=lasting(stuck),
            rejected_after=lasting(reject),
            held=self.hold or self.do is Kind.HOLD_FILL,
            fill_at_most=self.shares,
            ignored=self.do is Kind.IGNORE,
            fill_first=self.do is Kind.FILL_FIRST,
        )

    @property
    def _shapes_order(self) -> bool:
        """Tell whether more is said of the order than the kind says by itself."""
        said = (self.hide_seconds, self.stuck_seconds, self.reject_seconds)
        return self.hold or any(value is not None for value in said) or self._shares_aside

    @property
    def _shares_aside(self) -> bool:
        return self.shares is not None and self.do is not Kind.PARTIAL_FILL


# Several, in order.
SCRIPT: TypeAdapter[list[Fault]] = TypeAdapter(Annotated[list[Fault], Field(min_length=1)])


def lasting(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)
