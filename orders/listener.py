"""
The executor in one process: two receivers, one worker, one tracker, each a thread; this is what `listen_signals` runs.

Leadership comes first and then the broker's book: nothing is sent before it was read once. The death of a thread ends
the process.
"""

from __future__ import annotations

import os
import socket
import threading

import structlog
from django.db import InterfaceError, OperationalError, connection

from orders.desk import Desk
from orders.leadership import HEARTBEAT_SECONDS, Leadership, LeadershipLost
from orders.loops import Loop, Tracker, Worker
from orders.receivers import ChannelReceiver, StreamReceiver, connect

log = structlog.get_logger(__name__)

JOIN_SECONDS = 15.0


class ExecutorDied(Exception):
    """One of the executor's loops ended by itself; the log says why. Start the process again."""


class Listener:
    """Everything behind `listen_signals`, from waiting for leadership to the last turn."""

    def __init__(self, desk: Desk, *, redis_url: str, channel: str, stream: str, group: str) -> None:
        self._desk = desk
        self._stopping = threading.Event()
        ready = threading.Event()
        tracker = Tracker(desk, ready=ready)
        worker = Worker(desk, ready=ready, sent=tracker.nudge)
        consumer = f"{socket.gethostname()}-{os.getpid()}"
        self.ready = ready
        self._loops = [
            Loop("tracker", tracker, self._stopping),
            Loop("worker", worker, self._stopping),
            Loop(
                "channel",
                ChannelReceiver(desk, connect(redis_url), channel=channel, heard=worker.heard),
                self._stopping,
            ),
            Loop(
                "stream",
                StreamReceiver(
                    desk, connect(redis_url), stream=stream, group=group, consumer=consumer, heard=worker.heard
                ),
                self._stopping,
            ),
        ]

    def stop(self) -> None:
        """Ask for the end; `run` returns after the turns under way."""
        self._stopping.set()

    def run(self) -> None:
        """
        Lead, or stand by until leading is possible, until stopped.

        Raise `ExecutorDied` when a loop died and `LeadershipLost` when the lock's connection did.
        """
        leadership = Leadership(self._desk.mode)
        try:
            if not self._lead(leadership):
                return
            for loop in self._loops:
                loop.start()
            self._watch(leadership)
        finally:
            self.stop()
            for loop in self._loops:
                if loop.ident is not None:
                    loop.join(JOIN_SECONDS)
            leadership.give_up()
            connection.close()

    def _lead(self, leadership: Leadership) -> bool:
        """Wait for the leader's lock. Return False when stopped before it came."""
        told = False
        while not self._stopping.is_set():
            if leadership.try_to_lead(self._desk.clock()):
                return True
            if not told:
                log.info("leadership.standing_by", mode=self._desk.mode)
                told = True
            leadership.end_a_silent_leader(self._desk.clock())
            self._stopping.wait(HEARTBEAT_SECONDS)
        return False

    def _watch(self, leadership: Leadership) -> None:
        while not self._stopping.wait(HEARTBEAT_SECONDS):
            dead = [loop.name for loop in self._loops if not loop.is_alive()]
            if dead:
                raise ExecutorDied(f"{', '.join(dead)} ended by itself")
            try:
                leadership.beat(self._desk.clock())
            except (OperationalError, InterfaceError) as error:
                raise LeadershipLost(f"the database cannot be reached: {error}") from error
