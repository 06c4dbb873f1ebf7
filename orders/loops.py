"""
The loops of the executor: receive, work, track. Each is a thread that takes turns until it is told to stop.

A turn is short, so that a stop is heard, and none is begun without leadership. Redis, the database or the broker being
away is weathered: the turn is taken again after a pause that grows. Anything else is a defect: the thread ends, the
process with it, and whoever supervises starts it again, which is the same path as any start.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Protocol

import structlog
from django.db import InterfaceError, InternalError, OperationalError, close_old_connections, connection
from django.db.models import Q, Value
from django.db.models.functions import Concat
from django.utils import timezone

from orders.broker.gateway import BrokerUnreachable, SessionRefused
from orders.deciding import decide, waits_for_room
from orders.desk import Desk
from orders.differences import tell_of_past_days
from orders.execution import cancel, doubt_overdue, submit
from orders.lifecycle import OrderStatus
from orders.logins import login_refused
from orders.losses import watch_limits
from orders.models import BrokerSession, Order, Signal
from orders.quotes import expect_quotes, follow_prices, load_instruments
from orders.receivers import REDIS_AWAY
from orders.reconciliation import carry_out_cancels, reconcile
from orders.session_hours import is_in_session, tell_of_the_calendar
from risk import control as switch
from risk.engine.facts import Origin, Side, TradingState
from risk.models import Incident, TradingControl

log = structlog.get_logger(__name__)

PAUSE_SECONDS_MAX = 10.0
LIVE_READ_SECONDS_MIN = 1.0
PAPER_READ_SECONDS_MIN = 0.5  # a read is four requests, and the paper server takes ten a second as Kite does
LOOK_SECONDS = 1.0  # how often a tracker that waits looks for a reason to read sooner
FAILED_READS_MAX = 3  # in a row; then auto-trading goes off
PATIENCE = 2  # times the seconds of a slow answer without a good one; then too
NOT_LEADING_SECONDS = 0.1
# InternalError too: that is how a session ends that stood still in a transaction, and how a replica refuses to write.
AWAY = (*REDIS_AWAY, OperationalError, InterfaceError, InternalError)


def always() -> bool:
    return True


class Turns(Protocol):
    """Something that works in turns and can start afresh after an outage."""

    def turn(self) -> None: ...

    def reset(self) -> None: ...


class Loop(threading.Thread):
    """Takes turns while this process leads, until stopped, pausing longer and longer while what it needs is away."""

    def __init__(
        self, name: str, turns: Turns, stopping: threading.Event, *, leads: Callable[[], bool] = always
    ) -> None:
        super().__init__(name=name, daemon=True)
        self._turns = turns
        self._stopping = stopping
        self._leads = leads
        self.at_rest = threading.Event()
        self.at_rest.set()

    def run(self) -> None:
        pause = 0.0
        try:
            while not self._stopping.wait(pause):
                self.at_rest.clear()  # before asking: whoever ended the reign and waits must not miss a turn
                pause = self._turn(pause) if self._leads() else NOT_LEADING_SECONDS
                self.at_rest.set()
        except Exception:
            # The one place where a defect ends: the thread does, the process notices, and is started again.
            log.critical("loop.died", loop=self.name, exc_info=True)
        finally:
            connection.close()

    def _turn(self, pause: float) -> float:
        """Take one turn and return how long to pause before the next."""
        close_old_connections()
        try:
            self._turns.turn()
        except AWAY as error:
            if pause == 0.0:
                log.error("loop.waiting", loop=self.name, reason=f"{type(error).__name__}: {error}"[:300])
            connection.close()
            self._turns.reset()
            return min(PAUSE_SECONDS_MAX, max(0.2, pause * 2))
        if pause:
            log.warning("loop.going_on", loop=self.name)
        return 0.0


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
            self._wake.wait(0.25)  # nothing is left to decide but what must wait

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


class Tracker:
    """Follows the broker's book: at start before anything is sent, on nudges, and regularly."""

    def __init__(
        self,
        desk: Desk,
        *,
        ready: threading.Event,
        busy_seconds: float = 1.0,
        idle_seconds: float = 60.0,
        leads: Callable[[], bool] = always,
        stopwatch: Callable[[], float] = time.monotonic,
    ) -> None:
        self._desk = desk
        self._leads = leads
        self._stopwatch = stopwatch
        self._in_trouble_since: float | None = None
        self._order_took = 0.0  # seconds, since the last turn
        self._ready = ready
        self._busy_seconds = busy_seconds
        self._idle_seconds = idle_seconds
        self._nudge = threading.Event()
        self._prepared_on: date | None = None
        self._loaded_on: date | None = None
        self._logged_in = True
        self._failures = 0
        self._outage_told = False
        self._read_at = 0.0  # on the monotonic clock
        self._postback_at: datetime | None = None

    def nudge(self) -> None:
        """Say that something may have changed at the broker. Nudges coalesce."""
        self._nudge.set()

    def order_took(self, seconds: float) -> None:
        """Say how long the broker needed to answer an order."""
        self._order_took = max(self._order_took, seconds)

    def turn(self) -> None:
        """Read the book once and carry out what cancels are due, then wait for a nudge or the next time."""
        self._nudge.clear()
        self._read_at = time.monotonic()
        if not self._desk.vault.is_valid(self._desk.clock()):
            # A gate, not an outage: until somebody logs in nothing is read and nothing is sent.
            if self._logged_in:
                log.warning("broker.waiting_for_login", mode=self._desk.mode)
            self._logged_in = False
            doubt_overdue(self._desk)  # no book explains it first
            self._nudge.wait(self._busy_seconds)
            return
        carry_out_cancels(self._desk)  # first: a book that cannot be read must not keep a cancel from leaving
        asked_at = self._stopwatch()
        try:
            self._prepare()
            asked_at = self._stopwatch()
            reconcile(self._desk)
            took = self._stopwatch() - asked_at
            carry_out_cancels(self._desk)
            watch_limits(self._desk)
            self._load_instruments()  # last: the book is followed without the list, too
        except (BrokerUnreachable, SessionRefused) as trouble:
            doubt_overdue(self._desk)
            self._count_failure(str(trouble), since=asked_at)
        else:
            self._judge_pace(took, asked_at)
            self._logged_in = True
            self._ready.set()
        self._wait()

    def reset(self) -> None:
        self._nudge.clear()

    def _prepare(self) -> None:
        """Tell of past days and take over the account's user id, once a day."""
        today = self._desk.today()
        if self._prepared_on == today:
            return
        tell_of_past_days(self._desk)
        tell_of_the_calendar(self._desk)
        asked_at = self._desk.clock()
        used = self._desk.vault.row()
        try:
            user_id = self._desk.gateway.user_id()
        except SessionRefused as refusal:
            login_refused(self._desk, str(refusal), asked_at=asked_at)
            raise
        # Not over a login made meanwhile: that may be of another account, which live trading is not armed for.
        if BrokerSession.objects.filter(mode=self._desk.mode, logged_in_at=used.logged_in_at).update(user_id=user_id):
            self._prepared_on = today

    def _load_instruments(self) -> None:
        """Take over the day's instruments, once a day."""
        today = self._desk.today()
        if self._loaded_on == today:
            return
        count = load_instruments(self._desk, self._desk.rules.default_exchange)
        log.info("instruments.loaded", count=count, exchange=self._desk.rules.default_exchange)
        self._loaded_on = today

    def _wait(self) -> None:
        """Wait for a nudge or the next time to read. What other processes did is looked for meanwhile."""
        self._hold_back()
        busy = self._is_busy()
        end = time.monotonic() + (self._busy_seconds if busy else self._idle_seconds)
        while (left := end - time.monotonic()) > 0:
            follow_prices(self._desk)
            watch_limits(self._desk)
            if self._nudge.wait(min(left, LOOK_SECONDS)) or self._postback_came() or (not busy and self._is_busy()):
                return

    def _hold_back(self) -> None:
        """Read no oftener than the broker allows; nudges meanwhile coalesce into the next read."""
        least = LIVE_READ_SECONDS_MIN if self._desk.is_live else PAPER_READ_SECONDS_MIN
        passed = 0.0 if self._failures else time.monotonic() - self._read_at
        time.sleep(max(0.0, least - passed))

    def _is_busy(self) -> bool:
        """Return whether the book may change by itself: then the stream is not relied on to say so."""
        if self._failures or not self._desk.is_live:
            return True
        unfinished = Order.objects.unfinished(self._desk.mode).exists()
        return unfinished or Order.objects.to_cancel(self._desk.mode, self._desk.today()).exists()

    def _postback_came(self) -> bool:
        """Return whether the web process took a postback since this was last asked."""
        before, self._postback_at = self._postback_at, self._desk.vault.row().postback_at
        return self._postback_at != before

    def _judge_pace(self, took: float, asked_at: float) -> None:
        """Count a slow answer as none: what it says is old when it arrives."""
        order_took, self._order_took = self._order_took, 0.0
        slow, title = self._desk.rules.slow_seconds, "The broker answers too slowly"
        if not self._leads():
            return  # it is this process that stood still
        if took > slow:
            self._count_failure(f"its book took {took:.1f} s to be read", since=asked_at, title=title)
        elif order_took > slow:
            reason = f"an order took {order_took:.1f} s to be answered"
            self._count_failure(reason, since=asked_at - PATIENCE * slow, title=title)  # it was waited for, too
        else:
            self._count_success()

    def _count_success(self) -> None:
        if self._outage_told:
            again = f"It was read again at {timezone.localtime(self._desk.clock()):%d %b %H:%M:%S}."
            log.warning("broker.read_again", failures=self._failures)
            told = Incident.objects.unresolved().filter(mode=self._desk.mode, kind=Incident.Kind.BROKER_UNREACHABLE)
            told.update(detail=Concat("detail", Value(f"\n{again}")), last_at=self._desk.clock())
        self._failures, self._outage_told, self._in_trouble_since = 0, False, None

    def _count_failure(self, reason: str, *, since: float, title: str = "The broker cannot be read") -> None:
        """Turn auto-trading off, once, when too many answers in a row were bad or a good one is overdue."""
        self._failures += 1
        if self._in_trouble_since is None:
            self._in_trouble_since = since
        log.warning("broker.not_read", reason=reason, failures=self._failures)
        BrokerSession.objects.filter(mode=self._desk.mode).update(last_error=reason)
        overdue = self._stopwatch() - min(since, self._in_trouble_since) > PATIENCE * self._desk.rules.slow_seconds
        if not (overdue or self._failures >= FAILED_READS_MAX) or self._outage_told or not is_in_session(self._desk):
            return
        now = self._desk.clock()
        switch.auto_trading_off(self._desk.mode, by="executor", reason=title[0].lower() + title[1:], now=now)
        Incident.objects.open(
            Incident.Kind.BROKER_UNREACHABLE,
            mode=self._desk.mode,
            title=title,
            detail=reason,
            what_to_do="Auto-trading was turned off. Turn it on again when the broker answers.",
            now=now,
        )
        self._outage_told = True  # not before: the database may be away, too
