"""
The sending process, behind `manage.py send_alerts`: it looks at what others committed, writes alerts down, sends them.

Nothing waits for it. One thread looks and writes; calls to the outside run in threads of their own, and touch no
database. Of several such processes one leads.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import structlog
from django.conf import settings
from django.db import close_old_connections, connection

from orders import alert_urls
from orders.alert_urls import Address
from orders.alerting import mornings, outbox, ping, watching
from orders.alerting.channels import Answer, Post, Teller, open_channels
from orders.alerting.news import Kind, News, quiet_kinds
from orders.alerting.outage import Outage
from orders.alerting.pulse import Pulse
from orders.alerting.wording import Words
from orders.desk import Desk
from orders.loops import AWAY
from orders.models import AlertSender

log = structlog.get_logger(__name__)

TURN_SECONDS = 0.5
RENEW_SECONDS = 2.0
SELDOM_SECONDS = 2.0
LAST_ANSWERS_SECONDS = 2.0
WATCHERS = frozenset({*(table.name for table in watching.TABLES), "pulse", "mornings", "trades"})


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What the settings say of alerts."""

    channels: Sequence[Address] = ()
    tellers: dict[str, Teller]
    base_url: str = ""
    ping: Teller | None = None
    quiet: frozenset[Kind] = frozenset()

    @classmethod
    def from_settings(cls) -> Setup:
        """Read them. Raise `BadAddress` or `CannotBeQuiet`."""
        channels = alert_urls.addresses(settings.ALERT_URLS, secret_key=settings.SECRET_KEY)
        return cls(
            channels=channels,
            tellers=open_channels(channels),
            base_url=settings.BASE_URL,
            ping=partial(ping.ask_for, settings.ALERT_PING_URL) if settings.ALERT_PING_URL else None,
            quiet=quiet_kinds(settings.ALERT_QUIET),
        )


class Sender:
    """Takes turns; each is short, and one that finds the database away says so and is taken again."""

    def __init__(self, desk: Desk, setup: Setup, *, stopwatch: Callable[[], float] = time.monotonic) -> None:
        self._desk = desk
        self._setup = setup
        self._stopwatch = stopwatch
        self.name = f"{socket.gethostname()} pid {os.getpid()} {os.urandom(3).hex()}"
        self._posts = {key: Post(tell, stopwatch=stopwatch) for key, tell in setup.tellers.items()}
        self._labels = {each.key: each.label for each in setup.channels}
        self._outage = Outage(self._posts, mode=desk.mode, base_url=setup.base_url, stopwatch=stopwatch)
        self._pulse = Pulse(desk.mode, stopwatch=stopwatch)
        self._pinger = (
            ping.Pinger(Post(setup.ping, stopwatch=stopwatch), stopwatch=stopwatch, finished=self._pinged)
            if setup.ping
            else None
        )
        self._led_at: float | None = None
        self._another_leads = False
        self._seldom_at = stopwatch()
        self._defects: set[str] = set()
        self._unsaid: list[News] = []  # of an outage that is over, until it is a row
        self._unnoted: list[tuple[int, Answer]] = []  # of which delivery, until it is noted
        self._row: AlertSender | None = None
        self._kept_marks = ""

    def run(self, stopping: threading.Event) -> None:
        """Take turns until stopped."""
        log.info("alerts.started", mode=self._desk.mode, channels=list(self._labels.values()))
        pause = 0.0
        while not stopping.wait(pause):
            close_old_connections()
            self.turn()
            pause = TURN_SECONDS
        self.end()
        connection.close()

    def turn(self) -> None:
        now = self._desk.clock()
        self._collect_answers()
        try:
            leads = self._leads(now)
            self._unsaid += self._outage.is_over(now)
            self._note(self._unsaid, now)
            self._unsaid = []
            self._note_answers(now)
            if leads:
                self._look(now)
                outbox.join(self._desk.mode, self._setup.channels, now=now, base_url=self._setup.base_url)
                self._deliver(now)
                self._ping()
        except AWAY as trouble:
            connection.close()
            self._led_at = None
            self._outage.goes_on(f"{type(trouble).__name__}: {trouble}"[:300], now, mine=not self._another_leads)

    def _leads(self, now: datetime) -> bool:
        """Return whether this process leads, asking for it, or renewing it, every other second."""
        asked_at = self._stopwatch()
        if self._led_at is not None and asked_at - self._led_at < RENEW_SECONDS:
            return True
        led_before = self._led_at is not None
        row, _ = AlertSender.objects.get_or_create(mode=self._desk.mode)
        self._led_at = asked_at if AlertSender.lead(self._desk.mode, self.name) else None
        self._another_leads = self._led_at is None
        if self._led_at is not None and not led_before:
            self._take_over(row.until, now)
        return self._led_at is not None

    def _take_over(self, last_led: datetime | None, now: datetime) -> None:
        """Begin to lead: go on where another one stopped, or here and now when that was long ago."""
        self._row = AlertSender.objects.get(mode=self._desk.mode)
        self._pulse.forget()
        if last_led is None or now - last_led > outbox.TOO_LATE:
            watching.begin(self._row, now)
        taken = outbox.take_over(self._desk.mode, sender=self.name, at_work=self._at_work(), now=now)
        log.info("alerts.leading", mode=self._desk.mode, sender=self.name, taken_over=taken)

    def _at_work(self) -> set[int]:
        """Return the deliveries whose attempt runs, or ended and is not noted yet."""
        running = {post.at_work_on for post in self._posts.values() if not post.is_free}
        return {name for name in running if isinstance(name, int)} | {pk for pk, _ in self._unnoted}

    def _look(self, now: datetime) -> None:
        """Write down whatever is new."""
        row = self._row
        assert row is not None, "who leads has read it"
        for table in watching.TABLES:
            self._guarded(table.name, partial(self._look_at, table, row, now))
        self._guarded("pulse", lambda: self._note(self._pulse.look(now), now))
        self._guarded("mornings", partial(self._mornings, row, now))
        if self._stopwatch() >= self._seldom_at:
            self._seldom_at = self._stopwatch() + SELDOM_SECONDS
            self._guarded("trades", lambda: self._note(watching.trades(self._desk, now), now))
            outbox.drop(self._desk.mode, list(self._labels), now=now)
            self._keep_marks(row)

    def _look_at(self, table: watching.Table, row: AlertSender, now: datetime) -> None:
        found: list[News] = []
        for each in watching.look(table, row, now):
            self._guarded(f"{table.name} {each.pk}", partial(_tell, table, each, found))
        self._note(found, now)

    def _keep_marks(self, row: AlertSender) -> None:
        """Keep how far was looked, when that has changed; an older mark only has more looked at again."""
        marks = json.dumps(row.watched)
        if marks != self._kept_marks:
            row.save(update_fields=["watched"])
            self._kept_marks = marks

    def _mornings(self, row: AlertSender, now: datetime) -> None:
        """Take the looks of the morning that are due; each is kept as taken once what it found is written down."""
        for name, news in mornings.due(self._desk, row, now):
            self._note([news] if news else [], now)
            row.mornings[name] = str(self._desk.today())
            row.save(update_fields=["mornings"])

    def _note(self, found: Iterable[News], now: datetime) -> None:
        outbox.note(self._desk.mode, found, now=now, quiet=self._setup.quiet)

    def _guarded(self, name: str, act: Callable[[], object]) -> None:
        """Act; a defect of ours is told once in the log, and silences nothing else: what is next may be a halt."""
        try:
            act()
            self._defects.discard(name)
        except AWAY:
            raise
        except Exception:
            if name not in self._defects:
                log.critical("alerts.watcher_failed", watcher=name, exc_info=True)
            self._defects.add(name)

    def _deliver(self, now: datetime) -> None:
        """Begin the attempts that are due: one at a time of each channel."""
        for key, post in self._posts.items():
            delivery = outbox.due(self._desk.mode, key, now) if post.is_free else None
            if delivery is not None and outbox.claim(delivery, sender=self.name):
                message = delivery.message
                post.send(Words(title=message.title, text=message.text, tone=message.tone), delivery.pk)

    def _collect_answers(self) -> None:
        """Take how attempts ended out of the channels' way; noting it needs the database, and may have to wait."""
        for key, post in self._posts.items():
            name = post.at_work_on
            answer = post.answer()
            if answer is None:
                continue
            if answer.error:
                log.warning("alert.failed", channel=self._labels[key], error=answer.error)
            if name is self._outage:
                self._outage.answered(key, answer.error)
            else:
                self._unnoted.append((int(str(name)), answer))

    def _note_answers(self, now: datetime) -> None:
        while self._unnoted:
            pk, answer = self._unnoted[0]
            if answer.error:
                late = answer.may_have_arrived
                outbox.failed(pk, answer.error, sender=self.name, now=now, may_have_arrived=late)
            else:
                outbox.delivered(pk, sender=self.name, now=now)
            self._unnoted.pop(0)

    def _ping(self) -> None:
        if self._pinger is not None:
            executor_well = self._pulse.is_fresh() or not self._pulse.is_expected()
            self._pinger.turn(well=executor_well and not self._defects & WATCHERS)  # one that fails sees no halt

    def _pinged(self, error: str) -> None:
        if error:
            log.warning("alerts.ping_failed", error=error)
        AlertSender.objects.filter(mode=self._desk.mode).update(
            ping_error=error, **({} if error else {"pinged_at": self._desk.clock()})
        )

    def end(self) -> None:
        """Wait a moment for what is on its way, note it, and let another one lead."""
        until = self._stopwatch() + LAST_ANSWERS_SECONDS
        while not all(post.is_free for post in self._posts.values()) and self._stopwatch() < until:
            time.sleep(0.02)
            self._collect_answers()
        try:
            self._note_answers(self._desk.clock())
            if self._row is not None:
                self._keep_marks(self._row)
            AlertSender.give_up(self._desk.mode, self.name)
        except AWAY as trouble:
            log.warning("alerts.ended_without_the_database", reason=str(trouble)[:300])


def _tell(table: watching.Table, row: Any, found: list[News]) -> None:
    if news := table.news(row):
        found.append(news)
