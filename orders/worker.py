"""What was received is decided, oldest first, and what was approved is sent: one worker, a turn at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta

import structlog
from django.db.models import Q

from orders import missed_exits
from orders.agenda import Agenda, agenda
from orders.deciding import decide
from orders.desk import Desk
from orders.execution import cancel, doubt_overdue, submit
from orders.governor import pause_before_cancel
from orders.lifecycle import OrderStatus
from orders.loops import AWAY, always
from orders.models import Order, Signal
from orders.models.signal import NEXT
from orders.quotes import expect_quotes
from orders.right_of_way import RightOfWay
from orders.screening import Run, conclude_what_leads_nowhere
from orders.waiting import waits_for_room
from risk import calendar_approvals, limit_versions
from risk.engine.facts import Origin, Side, TradingState
from risk.models import Incident, TradingControl

log = structlog.get_logger(__name__)

READY_SECONDS = 0.2  # how long a turn waits for a book that was read
IDLE_SECONDS = 0.25  # how long for a signal; what another process wrote down is found after it
RUNS_MAX = 2  # of decisions that lead nowhere, in one turn


class Worker:
    """Decides what was received, oldest first, and sends what was approved."""

    def __init__(
        self,
        desk: Desk,
        *,
        ready: threading.Event,
        sent: Callable[[], None],
        leads: Callable[[], bool] = always,
        took: Callable[[float], None] = lambda seconds: None,
        right_of_way: RightOfWay | None = None,
    ) -> None:
        """
        `leads` is asked again before each step: this process may have been paused, and another one leads.

        `took` is told how long the broker needed for an order that it answered. `right_of_way` is taken while it
        looks for signals, decides them and sends their orders.
        """
        self._desk = desk
        self._ready = ready
        self._sent = sent
        self._leads = leads
        self._took = took
        self._right_of_way = right_of_way or RightOfWay()
        self._wake = threading.Event()

    def heard(self) -> None:
        """Say that there is something to decide."""
        self._wake.set()

    def turn(self) -> None:
        """Finish what was begun, then decide what waits. Work comes first, so that a restart is no special case."""
        ready = self._ready.wait(READY_SECONDS)
        self._wake.clear()  # before looking: what comes from here on rings again
        with self._right_of_way.taken():
            is_done = self._do_what_there_is(ready)
        if is_done:
            self._wake.wait(IDLE_SECONDS)

    def _do_what_there_is(self, ready: bool) -> bool:
        """Return whether nothing but what must wait is left."""
        there_is = agenda(self._desk.mode)
        if there_is.is_halted:
            self._finish_the_halt()  # cancels do not wait for a book that can be read
        if not ready:
            return False
        if there_is.begun:
            self._finish_what_was_begun()
        # The signal of an order that was begun and is withdrawn waits again.
        if (there_is.waiting or there_is.begun) and not self._decide_what_waits(there_is):
            return False
        if there_is.wished:  # nothing is left to decide but what must wait
            limit_versions.carry_out(now=self._desk.clock())
            calendar_approvals.carry_out(now=self._desk.clock())
        return True

    def reset(self) -> None:
        self._wake.clear()

    def _finish_what_was_begun(self) -> None:
        if doubt_overdue(self._desk):
            self._sent()
        now, age_max = self._desk.clock(), timedelta(seconds=self._desk.rules.decision_age_max_seconds)
        old = Q(created_at__lt=now - age_max) | Q(created_at__gt=now + age_max)  # the clock was set back meanwhile
        unsent = Order.objects.unsent(self._desk.mode).filter(old | Q(origin=Origin.AUTO))
        for order in sorted(unsent, key=lambda order: order.side == Side.BUY):  # what closes first
            self._submit(order)  # which withdraws an old one, and has its signal decided again

    def _finish_the_halt(self) -> None:
        """Ask for the cancels of a halt whose process died right after it; exits made during the halt go on."""
        control = TradingControl.objects.get(mode=self._desk.mode)
        if control.state != TradingState.HALTED or control.lifts_to:  # a halt for the login leaves what rests alone
            return
        # Whatever their times say: the halt was dated before it had the lock, and by another machine's clock perhaps.
        for order in Order.objects.unfinished(self._desk.mode).filter(is_exit=False, cancel_requested_at=None):
            pause_before_cancel(self._desk)
            cancel(self._desk, order, by=control.changed_by, reason=f"trading halted: {control.reason}")

    def _decide_what_waits(self, there_is: Agenda) -> bool:
        """Decide what waits. Return whether nothing but what must wait is left of it."""
        if len(there_is.waiting) == 1 and not there_is.begun:
            return self._decide_all(list(there_is.waiting))
        runs = self._conclude_what_leads_nowhere() if len(there_is.waiting) > 1 else None
        oldest = NEXT.rows(mode=self._desk.mode)
        if runs is None:
            return self._decide_all(oldest)
        must_wait = self._decide_all([signal for signal in oldest if runs.leaves(signal)])
        return must_wait and (runs.is_the_end or runs.concluded == 0)

    def _conclude_what_leads_nowhere(self) -> Run | None:
        """
        Decide what leads nowhere in a few runs, and return what they saw; None when that tripped over something.

        No more of them than a signal to close may wait for: the rest is for the next turn.
        """
        run = None
        try:
            for _ in range(RUNS_MAX):
                if not self._leads():
                    return None
                run = conclude_what_leads_nowhere(self._desk, since=run)
                if run.is_the_end:
                    break
        except AWAY:
            raise
        except Exception:
            # One signal it is that trips over a defect of ours; decided alone, it holds up no other.
            log.critical("signals.run_failed", exc_info=True)
            return None
        return run

    def _decide_all(self, signals: list[Signal]) -> bool:
        """Decide what closes first, then what opens until one finds no room. Return whether all of them must wait."""
        expect_quotes(self._desk, [(signal.exchange, signal.symbol) for signal in signals])
        opening = [signal for signal in signals if signal.signal_type == Side.BUY]
        turns = [self._decide(signal) for signal in signals if signal not in opening]
        for number, signal in enumerate(opening, start=1):
            turns.append(self._decide(signal))
            if waits_for_room(signal):  # as the others would; one to close that comes meanwhile must not wait for them
                Signal.objects.wait_like(signal, opening[number:])
                break
        return all(turns)

    def _decide(self, signal: Signal) -> bool:
        """Decide one signal and send its order. Return whether it must wait and be asked again."""
        if not self._leads():
            return False
        with structlog.contextvars.bound_contextvars(signal=signal.signal_id):
            try:
                order = decide(self._desk, signal)
            except AWAY:
                raise
            except Exception as defect:
                # A signal that trips over a defect of ours must not hold up the others.
                log.critical("signal.failed", exc_info=True)
                self._fail(signal, f"{type(defect).__name__}: {defect}")
                return False
            if order is not None:
                self._submit(order)
                self._sent()
            else:
                signal.refresh_from_db()
            return order is None and signal.status == Signal.Status.RECEIVED

    def _submit(self, order: Order) -> None:
        """Send an order, unless another executor leads by now: that one decides its signal again."""
        if not self._leads():
            return
        asked_at = time.monotonic()
        try:
            submit(self._desk, order)
            if order.status != OrderStatus.IN_DOUBT and self._leads():  # a doubt tells of itself, a pause is our own
                self._took(time.monotonic() - asked_at)
        except AWAY:
            raise
        except Exception as defect:
            # Whatever it tripped over, its row says how far it got: unsent it is withdrawn, sent it is in doubt soon.
            log.critical("order.failed", order=order.client_order_id, exc_info=True)
            Incident.objects.open(
                Incident.Kind.SIGNAL_FAILED,
                mode=self._desk.mode,
                subject=order.client_order_id or "",
                title=f"{order} could not be sent, or its answer not be taken"[:200],
                detail=f"a defect of ours: {type(defect).__name__}: {defect}".replace("\x00", "␀"),
                what_to_do="The order's page shows how far it got. The executor's log has the traceback.",
                symbol=order.symbol,
                client_order_id=order.client_order_id or "",
                now=self._desk.clock(),
            )

    def _fail(self, signal: Signal, reason: str) -> None:
        now = self._desk.clock()
        reason = reason.replace("\x00", "␀")  # which no column takes: telling of one defect must not be another
        Incident.objects.open(
            Incident.Kind.SIGNAL_FAILED,
            mode=self._desk.mode,
            subject=signal.signal_id[:60],
            title=f"{signal} could not be decided",
            detail=reason,
            what_to_do="It was not acted on. The executor's log has the traceback.",
            symbol=signal.symbol,
            now=now,
        )
        missed_exits.keep(self._desk, signal, why=f"a defect of ours: {reason}")
        # Last: whatever comes between, no signal is failed without its incident.
        signal.conclude(Signal.Status.FAILED, reason=f"a defect of ours: {reason}", now=now)
