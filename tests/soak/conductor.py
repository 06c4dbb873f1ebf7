"""The course of a run: start, kill after kill, the last trades of the day, and the time to settle."""

from __future__ import annotations

import math
import os
import secrets
import signal
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.soak import faults
from tests.soak.cast import Cast
from tests.soak.crash_points import Armed, Point
from tests.soak.ground import Ground, NotInTime, wait_for
from tests.soak.plan import Plan

POINT_SECONDS = 2.0  # in which the point just armed, or one armed before it, should be reached
POINT_SECONDS_MAX = 20.0  # when many wait already
WAITING_MAX = 5
AT_A_TAKE_OVER = {"orders.leadership:Leadership.try_to_lead", "orders.tracker:reconcile"}
SETTLE_SECONDS = 120.0
SETTLE_SECONDS_FAILED = 10.0
SIGNALS_A_SECOND = 4.0
LAST_TRADES = 3


RESTING = (
    "SELECT id FROM orders_order WHERE status = 'OPEN' AND cancel_requested_at IS NULL"
    " AND (%s = 'cancel' OR (price = 280 AND broker_status = 'OPEN')) ORDER BY id DESC LIMIT 1"
)
WAITING = "SELECT count(*) FROM orders_signal WHERE status = 'RECEIVED'"


class Conductor:
    """Leads a run through its plan and counts what happened."""

    def __init__(self, ground: Ground, seed: int, *, broken: str = "") -> None:
        self.ground = ground
        self.broken = broken
        self.seed = seed
        self.killed: Counter[str] = Counter()  # by point; "" for the timed ones
        self.outages: Counter[str] = Counter()
        self.waiting: list[Point] = []  # armed and not reached
        self.plan = Plan(seed)
        self.began = time.monotonic()
        self.trades_max = 0
        self.ledger = ground.folder / "published.jsonl"

    def begin(self) -> None:
        self.armed = Armed(self.ground.folder / "armed")
        self.cast = Cast(self.ground, broken=self.broken)
        if self.cast.run("prepare", "prepare.log"):
            raise RuntimeError((self.cast.logs / "prepare.log").read_text()[-3000:])
        self.cast.wait_for_a_leader()
        self.run_name = f"soak{self.seed}-{secrets.token_hex(3)}"
        self.publisher = self.cast.fork(
            "publisher",
            "publisher.log",
            seed=self.seed,
            run=self.run_name,
            ledger=str(self.ledger),
            a_second=SIGNALS_A_SECOND,
        )
        self.operator = self.cast.fork("operator", "operator.log", seed=self.seed)

    def end(self) -> None:
        """End every process that was forked."""
        if hasattr(self, "cast"):
            self.cast.stop()

    def kill(self) -> None:
        """Have a process killed, at a named point or at a drawn time, whichever had fewer, amid other trouble."""
        self.cast.wait_for_a_leader()
        if outage := self.plan.outage():
            self._note("outage", outage)
            faults.OUTAGES[outage](self.cast)
            self.outages[outage] += 1
            self.cast.wait_for_a_leader()
        if fault := self.plan.broker_fault():
            self._note("fault", fault)
            self.ground.fault(fault)
        if self.killed[""] * 2 < self.kills or not self._kill_at_a_point():
            self._kill_after(self.plan.seconds())
        self._count_the_reached()

    def is_beyond_repair(self) -> bool:
        """Tell whether something happened that no operator can explain: nothing opens now, and the run has failed."""
        beyond = "SELECT 1 FROM risk_incident WHERE kind IN ('DOUBLED_ORDER', 'UNKNOWN_ORDER', 'OVERFILL') LIMIT 1"
        return bool(self.ground.rows(beyond))

    @property
    def kills(self) -> int:
        return sum(self.killed.values())

    def _kill_at_a_point(self) -> bool:
        """
        Arm the next point and wait until any that is armed was reached. Return whether one was.

        One that is not reached in time stays armed: a doubt takes seconds to end, and other kills go on meanwhile.
        """
        point = self.plan.point()
        if point.action:
            return self._kill_staff_at(point)
        if point not in self.waiting:
            for need in point.needs:
                self.ground.fault(need)
            self.armed.arm(point)
            self.waiting.append(point)
            self._note("armed", point.name)
            self._begin(point)
        if point.owner in AT_A_TAKE_OVER:
            self._kill_after(0)
        patience = POINT_SECONDS if len(self.waiting) < WAITING_MAX else POINT_SECONDS_MAX
        return self._within(patience, self._count_the_reached)

    def _count_the_reached(self) -> int:
        reached = [point for point in self.waiting if self.armed.is_reached(point)]
        for point in reached:
            self.armed.disarm(point)
            self.waiting.remove(point)
            self.killed[point.name] += 1
            self._note("killed", point.name)
        return len(reached)

    def _kill_staff_at(self, point: Point) -> bool:
        """Have a staff action die at the point, then carried out again with the same token, as a browser retries."""
        token = f"{self.run_name}-{secrets.token_hex(4)}"
        order = self._order_for(point.action, token)
        if order is None:
            return False
        self.armed.arm(point)
        code = self._staff(point.action, token, order)
        self.armed.disarm(point)
        if code == -signal.SIGKILL:
            self.killed[point.name] += 1
        self._note("killed" if code == -signal.SIGKILL else "not reached", point.name)
        self._staff(point.action, token, order)
        return code == -signal.SIGKILL

    def _begin(self, point: Point) -> None:
        """Have staff do what brings the executor to the point."""
        token = f"{self.run_name}-{secrets.token_hex(4)}"
        order = self._order_for(point.begun_by, token) if point.begun_by else None
        if order is not None:
            self._staff(point.begun_by, token, order)

    def _staff(self, action: str, token: str, order: int = 0) -> int:
        return self.cast.run("staff", "staff.log", action=action, token=token, order=order, broken=self.broken)

    def _order_for(self, action: str, token: str) -> int | None:
        """Return the row of an order that the action can be done to; 0 where it needs none."""
        if action == "mark":
            found = self.ground.rows(
                "SELECT o.id FROM orders_order o WHERE o.status = 'FILLED' AND NOT EXISTS"
                " (SELECT 1 FROM orders_fill f WHERE f.order_id = o.id AND f.source = 'HAND') LIMIT 1"
            )
            return found[0][0] if found else None
        if action in {"exit", "flatten", "press"}:  # something to be out of
            self._staff("order", f"{token}-first")
        if action not in {"cancel", "modify"}:
            return 0
        if action == "cancel":
            self.ground.fault("place:hold_fill")
        self._staff("order" if action == "cancel" else "rest", f"{token}-first")
        found: list[tuple[Any, ...]] = []
        # What the book does not show yet is not modified.
        self._within(3, lambda: found.extend(self.ground.rows(RESTING, action)) or found)
        return found[0][0] if found else None

    def _kill_after(self, seconds: float) -> None:
        leader = self.cast.wait_for_a_leader()
        self._within(seconds, lambda: False)
        try:
            os.kill(leader, signal.SIGKILL)
        except ProcessLookupError:
            return  # it ended by itself meanwhile, and that is no kill
        self._within(10, lambda: leader not in self.cast.executors)
        self.killed[""] += 1
        self._note("killed", "")

    def _note(self, what: str, which: str) -> None:
        """Keep the course of the run, beside the logs."""
        with (self.ground.folder / "course.log").open("a") as course:
            course.write(f"{time.monotonic() - self.began:9.2f} {self.kills:5d} {what:12s} {which or 'at a time'}\n")

    def _within(self, seconds: float, holds: Callable[[], bool]) -> bool:
        try:
            return bool(wait_for(lambda: self.cast.turn() or holds(), "", seconds))
        except NotInTime:
            return False

    def squeeze(self) -> None:
        """Let the day's trades bind: so few are left that the next signals use them up, through a few more kills."""
        self.cast.wait_for_a_leader()
        lowered = self.ground.rows("SELECT title FROM risk_incident WHERE kind = 'LIMITS_LOWERED'")
        assert not lowered, f"the run traded under other limits than its own: {lowered}"
        sent = "SELECT count(*) >= %s FROM orders_order WHERE broker_order_id <> ''"
        # A short run may have spent its time in doubts: it goes on until there was an order for two kills.
        self._within(30, lambda: self.ground.rows(sent, self.kills / 2) == [(True,)])
        done = wait_for(
            lambda: self.ground.rows("SELECT count(*) FROM orders_order WHERE status <> 'WITHDRAWN'"), "orders counted"
        )[0][0]
        self.trades_max = done + LAST_TRADES
        self.cast.run("squeeze", "prepare.log", limits={"daily_trades_max": self.trades_max})
        refused = "SELECT 1 FROM orders_decision WHERE reason LIKE '%%DAILY_TRADES%%' LIMIT 1"
        self._within(30, lambda: bool(self.ground.rows(refused)))

    def settle(self) -> None:
        """Stop publishing, take all faults back, and wait until nothing is under way any more."""
        os.kill(self.publisher, signal.SIGTERM)
        self.cast.end_of(self.publisher)
        self.ground.clear_faults()
        for point in self.waiting:
            self.armed.disarm(point)
        self._wait_for_the_end(SETTLE_SECONDS_FAILED if self.is_beyond_repair() else SETTLE_SECONDS)
        os.kill(self.operator, signal.SIGTERM)
        self.cast.end_of(self.operator)

    def _wait_for_the_end(self, patience: float) -> None:
        """Wait until nothing is under way, as long as ever fewer signals wait: the machine may be busy."""
        waiting = math.inf
        while not self._within(patience, self._is_settled):
            before = waiting
            waiting = wait_for(lambda: self.ground.rows(WAITING), "signals counted")[0][0]
            if waiting >= before:
                return

    def _is_settled(self) -> bool:
        open_ends = self.ground.rows(
            "SELECT (SELECT count(*) FROM orders_order WHERE status IN"
            " ('PENDING', 'SUBMITTING', 'IN_DOUBT', 'OPEN', 'PARTIALLY_FILLED'))"
            " + (SELECT count(*) FROM orders_ordermodification WHERE ended_at IS NULL)"
            " + (SELECT count(*) FROM orders_flatten WHERE state = 'UNDER_WAY'),"
            " (SELECT count(*) FROM orders_signal WHERE status = 'RECEIVED'),"
            " (SELECT count(*) FROM risk_incident WHERE stops_opening AND status <> 'RESOLVED'),"
            " (SELECT reconciled_at > now() - interval '3 seconds' FROM orders_brokersession WHERE mode = 'PAPER')"
        )
        if not open_ends or open_ends[0] != (0, 0, 0, True):
            return False
        client = self.ground.redis()
        groups = client.xinfo_groups("signals:stream")
        client.close()
        return all(group["pending"] == 0 and group["lag"] == 0 for group in groups)
