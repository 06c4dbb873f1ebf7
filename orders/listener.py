"""
The executor in one process: two receivers, one worker, one tracker, the broker's stream, who seals, and who reads
ahead, each a thread; this is what `listen_signals` runs.

Leadership comes first and then the broker's book: nothing is sent before it was read once. A process that loses
leadership, or the database, stands by without ending: what it heard and could not write down yet is still in its
memory. The death of a thread ends the process.
"""

from __future__ import annotations

import os
import random
import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import structlog
from django.db import Error, connection

from orders.broker.deadline import boot_clock
from orders.broker.prices import StreamedPrices
from orders.broker.stream import KiteStream
from orders.desk import Desk
from orders.end_of_day import DayEnd
from orders.leadership import HEARTBEAT_SECONDS, Leadership, LeadershipLost, Reign
from orders.line_proof import break_off_overdue
from orders.logins import login_refused
from orders.loops import Loop
from orders.quotes import ReadAhead
from orders.receivers import ChannelReceiver, StreamReceiver, connect
from orders.right_of_way import RightOfWay
from orders.sealer import Sealer
from orders.shadowing import Closes
from orders.sweeping import Sweep
from orders.tracker import Tracker
from orders.worker import Worker

log = structlog.get_logger(__name__)

JOIN_SECONDS = 15.0
STAND_BY_SECONDS = 0.25
DATABASE_PAUSE_SECONDS_MAX = 2.0


class ExecutorDied(Exception):
    """One of the executor's loops ended by itself; the log says why. Start the process again."""


class Listener:
    """Everything behind `listen_signals`, from waiting for leadership to the last turn."""

    def __init__(self, desk: Desk, *, redis_url: str, channel: str, stream: str, group: str) -> None:
        desk = replace(desk, streamed_prices=streamed_prices(desk))
        self._desk = desk
        self._stopping = threading.Event()
        self._reign = reign = Reign()
        ready = threading.Event()
        way = RightOfWay()
        self._sweep = Sweep(way)
        tracker = Tracker(desk, ready=ready, leads=reign.leads, at_day_end=AfterReading(desk).look, right_of_way=way)
        self._wake_tracker = tracker.nudge
        worker = Worker(
            desk, ready=ready, sent=tracker.nudge, leads=reign.leads, took=tracker.order_took, right_of_way=way
        )
        consumer = f"{socket.gethostname()}-{os.getpid()}"
        self.ready = ready
        self._led = [
            Loop("tracker", tracker, self._stopping, leads=reign.leads),
            Loop("worker", worker, self._stopping, leads=reign.leads),
            Loop(
                "stream",
                StreamReceiver(
                    desk, connect(redis_url), stream=stream, group=group, consumer=consumer, heard=worker.heard
                ),
                self._stopping,
                leads=reign.leads,
            ),
        ]
        # No part of a reign: two that seal take turns, and a new one waits for no seal and for nothing read ahead.
        self._loops = [
            *self._led,
            Loop("sealer", Sealer(desk, self._stopping), self._stopping, leads=reign.leads),
            Loop("ahead", ReadAhead(desk), self._stopping, leads=reign.leads),
        ]
        # The channel forgets what nobody hears, so it is listened to until another executor is known to do so.
        self._channel = ChannelReceiver(
            desk, connect(redis_url), channel=channel, heard=worker.heard, leads=reign.leads, rests=reign.another_leads
        )
        self._loops.append(Loop("channel", self._channel, self._stopping))
        # It only listens: no new reign has to wait for the end of its turn.
        self._broker_stream = broker_stream(desk, nudge=tracker.nudge)
        if self._broker_stream is not None:
            self._loops.append(Loop("broker stream", self._broker_stream, self._stopping, leads=reign.leads))

    def stop(self) -> None:
        """Ask for the end; `run` returns after the turns under way."""
        self._stopping.set()

    def run(self) -> None:
        """Lead, or stand by until leading is possible, until stopped. Raise `ExecutorDied` when a loop died."""
        leadership = Leadership(self._desk.mode)
        try:
            while self._lead(leadership):
                for loop in self._loops:
                    if loop.ident is None:
                        loop.start()
                self._watch(leadership)
        finally:
            self.stop()
            self._wake_tracker()  # it may be in the middle of a long wait
            for loop in self._loops:
                if loop.ident is not None:
                    loop.join(JOIN_SECONDS)
            if self._broker_stream is not None:
                self._broker_stream.close()
            self._channel.tell_what_is_lost()
            leadership.give_up()
            connection.close()

    def _lead(self, leadership: Leadership) -> bool:
        """Wait for the leader's lock. Return False when stopped before it came."""
        told = ""
        pause = 0.0
        while not self._stopping.wait(pause):
            self._check_loops()
            try:
                if self._takes_over(leadership):
                    return True
            except (LeadershipLost, Error) as trouble:
                leadership.give_up()
                connection.close()
                self._reign.end()  # nobody can be seen to lead
                if told != "away":
                    log.error("leadership.database_away", mode=self._desk.mode, reason=str(trouble)[:300])
                    told = "away"
                pause = min(DATABASE_PAUSE_SECONDS_MAX, max(STAND_BY_SECONDS, pause * 2))
            else:
                if told != "standing by":
                    log.info("leadership.standing_by", mode=self._desk.mode)
                    told = "standing by"
                pause = STAND_BY_SECONDS
        return False

    def _takes_over(self, leadership: Leadership) -> bool:
        """Return whether this process leads from now on. What an earlier reign began must have ended before."""
        if not all(loop.at_rest.is_set() for loop in self._led):
            self._wake_tracker()  # it may be in the middle of a long wait
            return False
        self.ready.clear()  # first the broker's book is read, whoever read it before
        asked_at = boot_clock()
        if leadership.try_to_lead():
            self._reign.extend(asked_at)
            return True
        self._reign.leave_to_another()
        leadership.end_a_silent_leader()
        return False

    def _watch(self, leadership: Leadership) -> None:
        """Beat until stopped or until leadership is lost."""
        while not self._stopping.wait(HEARTBEAT_SECONDS):
            self._check_loops()
            if not self._reign.leads():
                log.warning("leadership.paused", mode=self._desk.mode)
            asked_at = boot_clock()
            try:
                leadership.beat()
            except LeadershipLost as loss:
                self._reign.end()
                leadership.give_up()
                log.error("leadership.lost", mode=self._desk.mode, reason=str(loss)[:300])
                return
            self._reign.extend(asked_at)
            self._sweep.look()

    def _check_loops(self) -> None:
        dead = [loop.name for loop in self._loops if loop.ident is not None and not loop.is_alive()]
        if dead:
            raise ExecutorDied(f"{', '.join(dead)} ended by itself")


class AfterReading:
    """What the leader sees to after each reading of the book; the day's report, which may find it away, is last."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._closes = Closes(desk)
        self.day_end = DayEnd(desk)

    def look(self) -> None:
        break_off_overdue(self._desk)
        self._closes.look()
        self.day_end.look()


def streamed_prices(desk: Desk) -> StreamedPrices | None:
    if desk.stream is None:
        return None
    return StreamedPrices(age_max=timedelta(seconds=desk.rules.streamed_price_age_max_seconds))


def broker_stream(desk: Desk, *, nudge: Callable[[], None]) -> KiteStream | None:
    """Return the stream of the desk's account, which waits while there is no login to use."""
    if desk.stream is None:
        return None
    assert desk.streamed_prices is not None, "who hears the stream keeps its prices"
    vault, clock = desk.vault, desk.clock
    return KiteStream(
        url=desk.stream.url,
        api_key=desk.stream.api_key,
        access_token=lambda: vault.token() if vault.is_valid(clock()) else "",
        refused=lambda reason, asked_at: login_refused(desk, reason, asked_at=asked_at),
        nudge=nudge,
        prices=desk.streamed_prices,
        clock=clock,
        rng=random.Random(),  # noqa: S311 - spreads the attempts of several executors, and hides nothing
    )
