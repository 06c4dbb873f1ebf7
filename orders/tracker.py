"""The broker's book is followed: at start before anything is sent, on nudges, and regularly."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import date, datetime

import structlog
from django.db import transaction
from django.db.models import Value
from django.db.models.functions import Concat
from django.utils import timezone

from orders.believed import Beliefs
from orders.broker.gateway import BrokerUnreachable, SessionRefused
from orders.desk import Desk
from orders.differences import tell_of_past_days
from orders.execution import doubt_overdue
from orders.flattening import carry_on
from orders.logins import login_refused
from orders.loops import always
from orders.losses import watch_limits
from orders.models import BrokerSession, Flatten, Order
from orders.modifying import finish_modifications
from orders.observations import Observations
from orders.quotes import follow_prices, load_instruments
from orders.reconciliation import carry_out_cancels, reconcile
from orders.right_of_way import RightOfWay
from orders.session_hours import is_in_session, tell_of_the_calendar
from risk import control as switch
from risk.models import Incident

log = structlog.get_logger(__name__)

LIVE_READ_SECONDS_MIN = 1.0
PAPER_READ_SECONDS_MIN = 0.5  # a read is four requests, and the paper server takes ten a second as Kite does
READING_SHARE = 6  # times what a turn took are between the beginnings of two
LOOK_SECONDS = 1.0  # how often a tracker that waits looks for a reason to read sooner
FAILED_READS_MAX = 3  # in a row; then auto-trading goes off
PATIENCE = 2  # times the seconds of a slow answer without a good one; then too


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
        at_day_end: Callable[[], None] = lambda: None,
        right_of_way: RightOfWay | None = None,
    ) -> None:
        """
        `at_day_end` is called after each good reading of the book, and looks itself whether the day is over.

        The reading of the book gives way to who decides and sends; cancels, what is overdue and the limits do not.
        """
        self._desk = desk
        self._at_day_end = at_day_end
        self._right_of_way = right_of_way or RightOfWay()
        self._leads = leads
        self._stopwatch = stopwatch
        self._beliefs = Beliefs()
        self._observations = Observations(desk, stopwatch=stopwatch)
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
        finish_modifications(self._desk)  # with or without a login: then the book, when it can be read, judges them
        if not self._desk.vault.is_valid(self._desk.clock()):
            # A gate, not an outage: until somebody logs in nothing is read and nothing is sent.
            if self._logged_in:
                log.warning("broker.waiting_for_login", mode=self._desk.mode)
            self._logged_in = False
            doubt_overdue(self._desk)  # no book explains it first
            carry_on(self._desk)  # which says what it waits for
            self._nudge.wait(self._busy_seconds)
            return
        carry_out_cancels(self._desk)  # first: a book that cannot be read must not keep a cancel from leaving
        asked_at = self._stopwatch()
        try:
            self._prepare()
            asked_at = self._stopwatch()
            with self._right_of_way.given(self._stopwatch) as way:
                reconcile(self._desk, self._beliefs)
            took = self._stopwatch() - asked_at - way.waited  # that was ours, not the broker's
            carry_out_cancels(self._desk)
            carry_on(self._desk)
            watch_limits(self._desk)
            self._observations.keep(with_funds=True)
            self._load_instruments()  # the book is followed without the list, too
            if self._leads():
                self._at_day_end()  # last
        except (BrokerUnreachable, SessionRefused) as trouble:
            doubt_overdue(self._desk)
            carry_on(self._desk)
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
            tell_of_the_calendar(self._desk)

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
        with self._right_of_way.given():
            follow_prices(self._desk)
        if self._failures:  # no turn came so far as to look
            watch_limits(self._desk)
        self._hold_back()
        busy = self._is_busy()
        end = time.monotonic() + (self._busy_seconds if busy else self._idle_seconds)
        while (left := end - time.monotonic()) > 0:
            if self._nudge.wait(min(left, LOOK_SECONDS)) or self._postback_came() or (not busy and self._is_busy()):
                return
            with self._right_of_way.given():
                follow_prices(self._desk)
            watch_limits(self._desk)
            self._observations.keep()

    def _hold_back(self) -> None:
        """
        Read no oftener than the broker allows, and for no more than a sixth of the time, or once in the seconds of a
        busy desk where that is more: the worker needs the rest. Nudges meanwhile coalesce into the next read.
        """
        least = LIVE_READ_SECONDS_MIN if self._desk.is_live else PAPER_READ_SECONDS_MIN
        passed = time.monotonic() - self._read_at
        least = max(least, min(READING_SHARE * passed, self._busy_seconds))
        time.sleep(max(0.0, least - (0.0 if self._failures else passed)))

    def _is_busy(self) -> bool:
        """Return whether the book may change by itself: then the stream is not relied on to say so."""
        if self._failures or not self._desk.is_live:
            return True
        mode, today = self._desk.mode, self._desk.today()
        open_ends = (
            Order.objects.unfinished(mode),
            Order.objects.to_cancel(mode, today),
            Order.objects.not_borne_out(mode, today),
            Flatten.objects.under_way(mode),
        )
        return any(rows.exists() for rows in open_ends)

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
        self._stop_for_an_outage(title, reason)
        self._outage_told = True  # not before: the database may be away, too

    def _stop_for_an_outage(self, title: str, reason: str) -> None:
        """Turn auto-trading off and open an incident: both, or neither, and it is tried again."""
        mode, now = self._desk.mode, self._desk.clock()
        with transaction.atomic(durable=True):
            switch.auto_trading_off(mode, by="executor", reason=title[0].lower() + title[1:], now=now)
            Incident.objects.open(
                Incident.Kind.BROKER_UNREACHABLE,
                mode=mode,
                title=title,
                detail=reason,
                what_to_do="Auto-trading was turned off. Turn it on again when the broker answers.",
                now=now,
            )
