"""What was received is decided, oldest first, and what was approved is sent: one worker, a turn at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta

import structlog
from django.db.models import Q

from orders.deciding import decide, waits_for_room
from orders.desk import Desk
from orders.execution import cancel, doubt_overdue, submit
from orders.lifecycle import OrderStatus
from orders.loops import AWAY, always
from orders.models import Order, Signal
from orders.quotes import expect_quotes
from risk import limit_versions
from risk.engine.facts import Origin, Side, TradingState
from risk.models import Incident, TradingControl

log = structlog.get_logger(__name__)


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
    ) -> None:
        """
        `leads` is asked again before each step: this process may have been paused, and another one leads.

        `took` is told how long the broker needed for an order that it answered.
        """
        self._desk = desk
        self._ready = ready
        self._sent = sent
        self._leads = leads
        self._took = took
        self._wake = threading.Event()

    def heard(self) -> None:
        """Say that there is something to decide."""
        self._wake.set()

    def turn(self) -> None:
        """Finish what was begun, then decide what waits. Work comes first, so that a restart is no special case."""
        ready = self._ready.wait(0.2)
        self._finish_the_halt()  # cancels do not wait for a book that can be read
        if not ready:
            return
        self._wake.clear()
        self._finish_what_was_begun()
        if self._decide_all(list(Signal.objects.next_of_each_symbol(self._desk.mode))):
            limit_versions.carry_out(now=self._desk.clock())  # nothing is left to decide but what must wait
            self._wake.wait(0.25)

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
            cancel(self._desk, order, by=control.changed_by, reason=f"trading halted: {control.reason}")

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
        # Last: whatever comes between, no signal is failed without its incident.
        signal.conclude(Signal.Status.FAILED, reason=f"a defect of ours: {reason}", now=now)
