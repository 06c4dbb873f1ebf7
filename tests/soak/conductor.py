"""The course of a run: start, kill after kill, the last trades of the day, and the time to settle."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
from collections import Counter
from collections.abc import Callable

from tests.soak import faults
from tests.soak.cast import Cast
from tests.soak.crash_points import Armed, Point
from tests.soak.ground import Ground, NotInTime, wait_for
from tests.soak.plan import Kill

POINT_SECONDS = 20.0  # in which an armed point must be reached, else the kill is a timed one and the point comes again
SETTLE_SECONDS = 120.0
SIGNALS_A_SECOND = 4.0
LAST_TRADES = 3


class Conductor:
    """Leads a run through its plan and counts what happened."""

    def __init__(self, ground: Ground, seed: int, say: Callable[[str], None]) -> None:
        self.ground = ground
        self.seed = seed
        self.say = say
        self.killed: Counter[str] = Counter()  # by point; "" for the timed ones
        self.outages: Counter[str] = Counter()
        self.missed: list[Point] = []
        self.trades_max = 0
        self.ledger = ground.folder / "published.jsonl"

    def begin(self) -> None:
        self.armed = Armed(self.ground.folder / "armed")
        self.cast = Cast(self.ground)
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

    def kill(self, kill: Kill) -> None:
        """Carry out one kill of the plan, with what goes wrong before it."""
        self.cast.wait_for_a_leader()
        if kill.outage:
            faults.OUTAGES[kill.outage](self.cast)
            self.outages[kill.outage] += 1
            self.cast.wait_for_a_leader()
        if kill.broker_fault:
            self.ground.fault(kill.broker_fault)
        point = kill.point or (self.missed.pop(0) if self.missed and kill.number % 4 == 0 else None)
        if point is not None and self._kill_at(point):
            self.killed[point.name] += 1
            return
        if point is not None:
            self.missed.append(point)
        self._kill_after(kill.after)
        self.killed[""] += 1

    def _kill_at(self, point: Point) -> bool:
        """Arm the point and lead the executor or a member of staff there. Return whether it was reached."""
        if point.action:
            return self._kill_staff_at(point)
        for need in point.needs:
            self.ground.fault(need)
        self.armed.arm(point)
        if point.owner in {"orders.leadership:Leadership.try_to_lead", "orders.loops:reconcile"}:
            with contextlib.suppress(ProcessLookupError):  # whoever comes next is to pass it
                os.kill(self.cast.wait_for_a_leader(), signal.SIGKILL)
        reached = self._within(POINT_SECONDS, self.armed.reached)
        self.armed.arm(None)
        return reached

    def _kill_staff_at(self, point: Point) -> bool:
        """Have a staff action die at the point, then carried out again with the same token, as a browser retries."""
        token = f"{self.run_name}-{secrets.token_hex(4)}"
        order = self._order_for(point.action, token)
        if order is None:
            return False
        self.armed.arm(point)
        code = self.cast.run("staff", "staff.log", action=point.action, token=token, order=order)
        self.armed.arm(None)
        self.cast.run("staff", "staff.log", action=point.action, token=token, order=order)
        return code == -signal.SIGKILL

    def _order_for(self, action: str, token: str) -> int | None:
        """Return the row of an order that the action can be done to; 0 where it needs none."""
        if action == "mark":
            found = self.ground.rows(
                "SELECT o.id FROM orders_order o WHERE o.status = 'FILLED' AND NOT EXISTS"
                " (SELECT 1 FROM orders_fill f WHERE f.order_id = o.id AND f.source = 'HAND') LIMIT 1"
            )
            return found[0][0] if found else None
        if action == "exit":
            self.cast.run("staff", "staff.log", action="order", token=f"{token}-first", order=0)
        if action != "cancel":
            return 0
        self.ground.fault("place:hold_fill")
        self.cast.run("staff", "staff.log", action="order", token=f"{token}-first", order=0)
        found = self.ground.rows(
            "SELECT id FROM orders_order WHERE status = 'OPEN' AND cancel_requested_at IS NULL ORDER BY id DESC LIMIT 1"
        )
        return found[0][0] if found else None

    def _kill_after(self, seconds: float) -> None:
        leader = self.cast.wait_for_a_leader()
        self._within(seconds, lambda: False)
        with contextlib.suppress(ProcessLookupError):
            os.kill(leader, signal.SIGKILL)
        self._within(10, lambda: leader not in self.cast.executors)

    def _within(self, seconds: float, holds: Callable[[], bool]) -> bool:
        try:
            return bool(wait_for(lambda: self.cast.turn() or holds(), "", seconds))
        except NotInTime:
            return False

    def squeeze(self) -> None:
        """Let the day's trades bind: so few are left that the next signals use them up, through a few more kills."""
        self.cast.wait_for_a_leader()
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
        self.armed.arm(None)
        with contextlib.suppress(NotInTime):
            wait_for(lambda: self.cast.turn() or self._is_settled(), "everything ended", SETTLE_SECONDS)
        os.kill(self.operator, signal.SIGTERM)
        self.cast.end_of(self.operator)

    def _is_settled(self) -> bool:
        open_ends = self.ground.rows(
            "SELECT (SELECT count(*) FROM orders_order WHERE status IN"
            " ('PENDING', 'SUBMITTING', 'IN_DOUBT', 'OPEN', 'PARTIALLY_FILLED')),"
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
