"""
The named points at which a process kills itself, one between every two writes of the path.

Every executor carries all of them; none does anything until the conductor arms it in a file that all of them share.
The first process that reaches an armed point says so in that file and dies as by `kill -9`.
"""

from __future__ import annotations

import importlib
import mmap
import os
import signal
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

AT_REST, ARMED, REACHED = 0, 1, 2
DOUBT = "place:drop_after"
NEVER_ARRIVED = "place:drop_before"
RESTING = "place:hold_fill"
LATE = "place:drop_after:hide_seconds=9"  # longer than the shortened absence window with its two reads


@dataclass(frozen=True, kw_only=True)
class Point:
    """A point before or after a call of `owner`, written module:name; `needs` are broker faults that lead there."""

    name: str
    owner: str
    when: str  # before, after, or waiting: the request is on the wire, and its answer is not read
    needs: tuple[str, ...] = ()
    action: str = ""  # the staff action that passes it; else the executor does
    begun_by: str = ""  # the staff action that gives the executor something to do there


def _points(*rows: tuple[Any, ...], action: str = "", begun_by: str = "") -> tuple[Point, ...]:
    return tuple(
        Point(name=name, owner=owner, when=when, needs=tuple(needs), action=action, begun_by=begun_by)
        for name, when, owner, *needs in rows
    )


OF_A_FLATTEN = _points(
    # What a person pressed is carried out by the executor.
    ("flatten: still wanted, not begun", "after", "orders.flattening:_is_still_wanted"),
    ("flatten: exit not decided", "before", "orders.flattening:place"),
    ("flatten: exit sent, not counted", "after", "orders.flattening:place"),
    ("flatten: a position looked at", "after", "orders.flattening:_Turn.take"),
    ("flatten: ended, not committed", "after", "orders.models:Flatten.end"),
    begun_by="press",
)
EXECUTOR = _points(
    # Leadership and start.
    ("leading, heartbeat written, nothing started", "after", "orders.leadership:Leadership.try_to_lead"),
    ("leading, book not read", "before", "orders.tracker:reconcile"),
    ("book read and taken over for the first time", "after", "orders.tracker:reconcile"),
    # A signal is received.
    ("received, not recorded", "before", "orders.receivers:record"),
    ("rows of a batch made, not written", "after", "orders.inbox:_tell_gaps"),
    ("recorded, not acknowledged", "after", "orders.receivers:record"),
    ("acknowledged", "after", "redis:Redis.xack"),
    # It is decided.
    ("not decided", "before", "orders.worker:decide"),
    ("decision made, nothing written", "after", "orders.deciding:as_decided"),
    ("order written, not committed", "after", "orders.deciding:write_order"),
    ("decided, not sent", "before", "orders.worker:submit"),
    # It is sent.
    ("not claimed", "before", "orders.execution:_claim"),
    ("submitting, nothing sent", "before", "orders.broker.kite:KiteGateway.place"),
    ("sent, answer not read", "waiting", "orders.broker.kite:KiteGateway.place"),
    ("answer read, not written", "after", "orders.broker.kite:KiteGateway.place"),
    ("broker's id written, not committed", "after", "orders.execution:_take_the_answer"),
    ("bound", "after", "orders.execution:_bind"),
    ("refused, not written", "before", "orders.execution:_conclude", "place:refuse_margin"),
    ("refused and written", "after", "orders.execution:_conclude", "place:refuse_input"),
    # Its answer is not to be trusted.
    ("in doubt, not written", "before", "orders.execution:put_in_doubt", DOUBT),
    ("in doubt and auto-trading off, not committed", "after", "risk.control:auto_trading_off", DOUBT),
    ("in doubt", "after", "orders.execution:put_in_doubt", DOUBT),
    ("missed by a book, not written", "before", "orders.reconciliation:_miss", NEVER_ARRIVED),
    ("not placed, not written", "before", "orders.reconciliation:_not_placed", NEVER_ARRIVED),
    ("not placed, not committed", "after", "orders.reconciliation:_not_placed", NEVER_ARRIVED),
    ("adopted late, not committed", "after", "orders.reconciliation:tell_of_late_appearance", LATE),
    # The book is taken over.
    ("an order's row to be taken over", "before", "orders.reconciliation:_take_over"),
    ("an order's terms restated", "after", "orders.reconciliation:_restate"),
    ("fills recorded", "after", "orders.reconciliation:_record_fills"),
    ("fills settled, not committed", "after", "orders.reconciliation:settle"),
    ("an order's row taken over", "after", "orders.reconciliation:_take_over"),
    ("a run of orders to be taken over", "before", "orders.reconciliation:take_plain_over"),
    ("a run of orders taken over, not committed", "after", "orders.reconciliation:take_plain_over"),
    ("positions not compared", "before", "orders.reconciliation:compare_positions"),
    ("positions compared", "after", "orders.reconciliation:compare_positions"),
    # It is cancelled.
    ("cancel wished, not committed", "after", "orders.models:Order.request_cancel", RESTING),
    ("cancel not sent", "before", "orders.broker.kite:KiteGateway.cancel", RESTING),
    ("cancel sent, answer not read", "waiting", "orders.broker.kite:KiteGateway.cancel", RESTING),
    ("cancel sent", "after", "orders.broker.kite:KiteGateway.cancel", RESTING),
)
EXECUTOR = (
    *EXECUTOR,
    *OF_A_FLATTEN,
    *_points(
        ("modification moved, not committed", "after", "orders.models:OrderModification.advance"),
        begun_by="modify",
    ),
)
STAFF = (
    *_points(
        ("staff order: not decided", "before", "orders.by_hand:decide_manual"),
        ("staff order: written, not committed", "after", "orders.deciding:write_order"),
        ("staff order: not claimed", "before", "orders.execution:_claim"),
        ("staff order: submitting, nothing sent", "before", "orders.broker.kite:KiteGateway.place"),
        ("staff order: sent, answer not read", "waiting", "orders.broker.kite:KiteGateway.place"),
        ("staff order: answer read, not written", "after", "orders.broker.kite:KiteGateway.place"),
        ("staff order: bound", "after", "orders.execution:_bind"),
        action="order",
    ),
    *_points(
        ("staff exit: written, not committed", "after", "orders.deciding:write_order"),
        ("staff exit: decided, not sent", "before", "orders.by_hand:submit"),
        ("staff exit: sent, answer not written", "after", "orders.broker.kite:KiteGateway.place"),
        action="exit",
    ),
    *_points(
        ("staff cancel: wished, not committed", "after", "orders.models:Order.request_cancel"),
        ("staff cancel: wished, not sent", "before", "orders.broker.kite:KiteGateway.cancel"),
        ("staff cancel: sent", "after", "orders.broker.kite:KiteGateway.cancel"),
        action="cancel",
    ),
    *_points(
        ("staff halt: halted, cancels not wished", "before", "orders.execution:cancel_all"),
        ("staff halt: cancels wished", "after", "orders.execution:cancel_all"),
        action="halt",
    ),
    *_points(
        ("staff flatten: written, not committed", "after", "orders.flattening:_write_down"),
        ("staff flatten: written, no cancel sent", "before", "orders.flattening:carry_out_each"),
        ("staff flatten: written, no turn taken", "before", "orders.flattening:carry_on"),
        ("staff flatten: exit written, not committed", "after", "orders.deciding:write_order"),
        ("staff flatten: exit decided, not sent", "before", "orders.by_hand:submit"),
        ("staff flatten: exit sent, answer not read", "waiting", "orders.broker.kite:KiteGateway.place"),
        ("staff flatten: exit sent, not counted", "after", "orders.flattening:place"),
        action="flatten",
    ),
    *_points(
        ("staff modify: not decided", "before", "orders.modifying:_decide"),
        ("staff modify: decided, nothing written", "after", "orders.modifying:as_decided"),
        ("staff modify: wished, not claimed", "before", "orders.modifying:_claim"),
        ("staff modify: sending, nothing sent", "before", "orders.broker.kite:KiteGateway.modify"),
        ("staff modify: sent, answer not read", "waiting", "orders.broker.kite:KiteGateway.modify"),
        ("staff modify: answer read, not written", "after", "orders.broker.kite:KiteGateway.modify"),
        ("staff modify: answered", "after", "orders.modifying:_conclude"),
        action="modify",
    ),
    *_points(
        ("staff fill: written, not settled", "before", "orders.by_hand:settle"),
        ("staff fill: settled, not committed", "after", "orders.by_hand:settle"),
        action="mark",
    ),
)
POINTS = (*EXECUTOR, *STAFF)
NUMBER = {point.name: number for number, point in enumerate(POINTS, start=1)}


class Armed:
    """Which points are armed and which were reached, in a file that the conductor and its processes share."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(len(POINTS) + 1))
        with path.open("r+b") as file:
            self._states = mmap.mmap(file.fileno(), len(POINTS) + 1)

    def arm(self, point: Point) -> None:
        self._states[NUMBER[point.name]] = ARMED

    def disarm(self, point: Point) -> None:
        self._states[NUMBER[point.name]] = AT_REST

    def is_reached(self, point: Point) -> bool:
        return self._states[NUMBER[point.name]] == REACHED

    def strike(self, number: int) -> None:
        """Die if this point is armed."""
        if self._states[number] == ARMED:
            self._states[number] = REACHED
            os.kill(os.getpid(), signal.SIGKILL)


def carry(armed: Armed, points: Iterable[Point]) -> None:
    """Put the points into this process. A point whose owner is gone is an error: the path has changed."""
    by_owner: dict[str, list[Point]] = {}
    for point in points:
        by_owner.setdefault(point.owner, []).append(point)
    waiting = threading.local()
    for owner, of_it in by_owner.items():
        _wrap(owner, of_it, armed, waiting)
    _wrap_the_wire(waiting)


def _wrap(owner: str, points: list[Point], armed: Armed, waiting: threading.local) -> None:
    module, _, path = owner.partition(":")
    *outer, name = path.split(".")
    holder: Any = importlib.import_module(module)
    for part in outer:
        holder = getattr(holder, part)
    real: Callable[..., Any] = getattr(holder, name)
    numbers = {when: [NUMBER[p.name] for p in points if p.when == when] for when in ("before", "after", "waiting")}

    def passing(*args: Any, **kwargs: Any) -> Any:
        for number in numbers["before"]:
            armed.strike(number)
        outside = getattr(waiting, "reach", None)
        waiting.reach = (lambda: [armed.strike(n) for n in numbers["waiting"]]) if numbers["waiting"] else outside
        try:
            answer = real(*args, **kwargs)
        finally:
            waiting.reach = outside
        if answer is not False:  # it says that it did nothing
            for number in numbers["after"]:
                armed.strike(number)
        return answer

    setattr(holder, name, passing)


def _wrap_the_wire(waiting: threading.local) -> None:
    """Reach the points of a call whose request has left and whose answer is not read."""
    from urllib3.connection import HTTPConnection

    real = HTTPConnection.getresponse

    def getresponse(self: HTTPConnection, *args: Any, **kwargs: Any) -> Any:
        if reach := getattr(waiting, "reach", None):
            reach()
        return real(self, *args, **kwargs)

    HTTPConnection.getresponse = getresponse
