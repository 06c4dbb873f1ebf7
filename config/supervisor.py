"""
`manage.py up`: the whole local set under one roof.

It attaches to the local servers, prepares the database, runs the executor, the web server and the sender of alerts, and
starts again what dies. It stops them in order: who would raise an alarm, what sends orders, what shows them, and last
the servers under all of them.
"""

from __future__ import annotations

import fcntl
import http.client
import os
import select
import sys
import time
from collections.abc import Iterable, Mapping
from types import FrameType
from typing import TextIO

from config.attachment import Attachment, attach
from config.children import BACK_OFF_FIRST_SECONDS, BACK_OFF_MAX_SECONDS, Child, LogTail
from config.first_admin import NAME
from config.local_folder import PROJECT, LocalFolder, LocalServersFailed, lock
from config.local_server import HOST, port_is_free
from config.nights import Nights

TURN_SECONDS = 0.1
LOOK_SECONDS = 1.0
ANSWER_SECONDS = 2.0
STOP_SECONDS_MAX = 15.0
KEEPER_SECONDS_MAX = 30.0
SERVER_ERROR = 500
# The executor says this when it hears the channel: what is published before is lost. A standby, or an executor whose
# log level is higher, never says it; then so many seconds of life must do.
LISTENING = "channel.subscribed"
LISTENING_SECONDS_MAX = 5.0
ALERTS_SECONDS_MAX = 30.0  # they wait for the others for so long: who never gets ready is to be told of, too


class CannotRun(Exception):
    """The local set cannot run; the message is one sentence that says what to do."""


class Supervisor:
    def __init__(self, port: int, environment: Mapping[str, str], out: TextIO) -> None:
        self.port = port
        self.environment = environment
        self.out = out
        self.signals = 0
        self.folder = LocalFolder.named_by(environment)
        self.attachment = Attachment(self.folder)
        self.servers_log = LogTail(self.folder.log / "keeper.log")
        manage = [sys.executable, str(PROJECT / "manage.py")]
        self.preparation = Child("prepare", [*manage, "prepare"], environment)
        self.executor = Child("executor", [*manage, "listen_signals"], environment)
        self.web = Child("web", _web_command(port), environment)
        self.alerts = Child("alerts", [*manage, "send_alerts"], environment)
        self.backup = Child("backup", [*manage, "backup", "--if-due"], environment)
        self._nights = Nights(self.folder, environment)
        self._listening = False
        self._keeper_looked_at = 0.0
        self._keeper_pause = 0.0

    def stop(self, _number: int, _frame: FrameType | None) -> None:
        self.signals += 1

    def run(self) -> None:
        """Run until a signal asks to stop. Raise `CannotRun` or `LocalServersFailed`."""
        if not port_is_free(self.port):
            raise CannotRun(f"Port {self.port} is taken: choose another one, such as PORT={self.port + 1}.")
        self.folder.create()
        alone = lock(self.folder.up_lock, fcntl.LOCK_EX)
        if alone is None:
            raise CannotRun(f"Another `manage.py up` runs with {self.folder.root}: stop that one first.")
        try:
            self.attachment = attach(self.environment)
            if first_password := self._prepare():
                self._run_parts(first_password)
        finally:
            self._stop()
            os.close(alone)

    def _prepare(self) -> str | None:
        """Bring the database up to date; return how to log in, or None when asked to stop meanwhile."""
        before = self._kept_password()
        self.preparation.start()
        while self.preparation.runs() and not self.signals:
            self._turn([self.preparation])
        if self.signals:
            return None
        self._forward([self.preparation])
        if self.preparation.bury() != 0:
            raise CannotRun("The database could not be prepared: mend what is said above and start again.")
        after = self._kept_password()
        if not after:
            return f"log in as {NAME}; `python manage.py changepassword {NAME}` sets a new password"
        if after == before:
            return f"log in as {NAME}; the password of the first start is kept in {self.folder.admin_password}"
        return f"log in as {NAME} with the password {after}   (kept in {self.folder.admin_password})"

    def _kept_password(self) -> str:
        file = self.folder.admin_password
        return file.read_text().strip() if file.exists() else ""

    def _run_parts(self, how_to_log_in: str) -> None:
        parts = [self.executor, self.web]
        announced, anyway_at = False, time.monotonic() + ALERTS_SECONDS_MAX
        while not self.signals:
            for part in parts:
                self._keep_alive(part)
            self._back_up(time.monotonic())
            self._turn([*parts, self.backup])
            self._keep_keeper(time.monotonic())
            if not announced and self._executor_listens() and self.web.runs() and _answers(self.port):
                announced = True
                self._announce(how_to_log_in)
            if self.alerts not in parts and (announced or time.monotonic() >= anyway_at):
                parts.append(self.alerts)  # after the others: nobody waits for it

    def _executor_listens(self) -> bool:
        return self.executor.runs() and (self._listening or self.executor.age() > LISTENING_SECONDS_MAX)

    def _keep_alive(self, part: Child) -> None:
        if part.process is None:
            if time.monotonic() >= part.start_at:
                part.start()
        elif not part.runs():
            self._forward([part])
            status = part.bury()
            pause = part.postpone(time.monotonic())
            self._say(part.name, f"ended with {status}; starting again in {pause:g} s")

    def _back_up(self, now: float) -> None:
        """Take the night's backup; what it says is passed on, and one that failed is tried again later."""
        if self.backup.process is None:
            if self._nights.is_due(now):
                self.backup.start()
        elif not self.backup.runs():
            self._forward([self.backup])
            self.backup.bury()

    def _keep_keeper(self, now: float) -> None:
        """Start the local servers again when their keeper was killed."""
        if self.attachment.users is None or now - self._keeper_looked_at < max(LOOK_SECONDS, self._keeper_pause):
            return
        self._keeper_looked_at = now
        if self.folder.keeper_runs():
            self._keeper_pause = 0.0
            return
        self._say("servers", "their keeper is gone; starting again")
        self._keeper_pause = min(max(2 * self._keeper_pause, BACK_OFF_FIRST_SECONDS), BACK_OFF_MAX_SECONDS)
        try:
            renewed = attach(self.environment)
        except LocalServersFailed as reason:
            self._say("servers", str(reason))
            return
        self.attachment.release()
        same = renewed.urls == self.attachment.urls
        self.attachment = renewed
        if not same:
            raise CannotRun("The local servers came back at other addresses: start again.")

    def _turn(self, children: Iterable[Child]) -> None:
        """Wait a moment for something to be said, and pass it on."""
        talking = [child for child in children if child.process is not None]
        select.select([child.output for child in talking if child.runs()], [], [], TURN_SECONDS)
        self._forward(talking)

    def _forward(self, children: Iterable[Child]) -> None:
        for line in self.servers_log.read():
            self._say("servers", line)
        for child in children:
            for line in child.read():
                self._say(child.name, line)
                self._listening = self._listening or (child is self.executor and LISTENING in line)

    def _say(self, name: str, line: str) -> None:
        self.out.write(f"{name:<8} | {line}\n")
        self.out.flush()

    def _announce(self, how_to_log_in: str) -> None:
        python = ".venv/bin/python" if sys.executable.startswith(str(PROJECT / ".venv")) else "python"
        source = f". {self.folder.urls}; " if "REDIS_URL" in self.attachment.urls else ""
        fields = '"signal_type": "BUY", "symbol": "RELIANCE", "cms_score": 75.0'
        message = f"""'{{{fields}, "timestamp": "'$(date -u +%FT%TZ)'"}}'"""
        lines = [
            f"ready: http://{HOST}:{self.port}/admin/",
            f"  {how_to_log_in}",
            f"  send a signal with  {python} manage.py publish_signal BUY RELIANCE --cms 75",
            f"""  or with  {source}redis-cli -u "$REDIS_URL" PUBLISH signals {message}""",
            "  stop with Ctrl-C",
        ]
        self.out.write("\n".join([*lines, ""]))
        self.out.flush()

    def _stop(self) -> None:
        # The alerts first: no alarm of a stop that is meant.
        children = [self.preparation, self.alerts, self.backup, self.executor, self.web]
        for child in children:
            self._end(child)
        if self.attachment.release():
            self._wait_for_keeper()
        elif self.attachment.urls:
            self._say("servers", "left to the other processes that use them")

    def _end(self, child: Child) -> None:
        """Ask the child to stop and wait for it; kill it when that takes too long, or at a second signal."""
        if child.process is None:
            return
        child.ask_to_stop()
        end = time.monotonic() + STOP_SECONDS_MAX
        while child.runs() and time.monotonic() < end and self.signals <= 1:
            self._turn([child])
        child.kill()
        self._forward([child])
        child.bury()
        self._say(child.name, "stopped")

    def _wait_for_keeper(self) -> None:
        end = time.monotonic() + KEEPER_SECONDS_MAX
        while self.folder.keeper_runs() and time.monotonic() < end and self.signals <= 1:
            self._turn([])
        self._forward([])


def _web_command(port: int) -> list[str]:
    return [sys.executable, "-m", "gunicorn", "--config", "python:config.web_server", "--bind", f"{HOST}:{port}"]


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", "/admin/login/")
        return connection.getresponse().status < SERVER_ERROR
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
