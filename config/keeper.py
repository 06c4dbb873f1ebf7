"""
The keeper: one process that runs the local servers for as long as any process uses them.

`python -m config.keeper`, started by the first process that needs a server (`attachment.py`). It looks at
the locks of the local folder several times a second, so it leaves within a second of its last user, however
that one ended; and the servers end with the keeper, however it ended: they asked the kernel for that.
"""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import FrameType

from config.local_folder import (
    LocalFolder,
    LocalServersFailed,
    ServerStatus,
    lock,
    lock_within,
    write_private,
)
from config.local_server import LocalServer
from config.local_services import SERVERS

log = logging.getLogger("keeper")

TURN_SECONDS = 0.2
STARTING_TURN_SECONDS = 0.02
START_SECONDS_MAX = 60.0
BACK_OFF_FIRST_SECONDS = 0.5
BACK_OFF_MAX_SECONDS = 30.0
STEADY_SECONDS = 60.0
LEAVE_SECONDS_MAX = 5.0
LOCK_SECONDS_MAX = 2.0  # others hold the keeper's lock for a moment when they look
# A server killed a moment ago may need a second try; what fails three times is told to who waits for it.
QUIET_FAILURES = 2


@dataclass
class Charge:
    """One server in the keeper's care."""

    server: LocalServer
    failures: int = 0
    launch_at: float = 0.0  # monotonic seconds, as all times here
    launched_at: float = 0.0
    ready: bool = False
    was_ready: bool = False
    problem: str = ""

    def look(self, now: float) -> None:
        """Bring the server one step further: launch it, see whether it answers, or note its death."""
        if self.server.process is None:
            if now >= self.launch_at:
                self._launch(now)
        elif not self.server.runs():
            code = self.server.process.returncode
            self._fail(f"{self.server.title} ended with {code}: read {self.server.log}.", now)
        elif not self.ready:
            self._check(now)
        elif self.failures and now - self.launched_at > STEADY_SECONDS:
            self.failures = 0

    def _launch(self, now: float) -> None:
        try:
            self.server.launch()
        except LocalServersFailed as reason:
            self._fail(str(reason), now, final=True)
        except OSError as error:
            self._fail(f"{self.server.title} does not start ({error}): mend that and try again.", now, final=True)
        else:
            self.launched_at = now

    def _check(self, now: float) -> None:
        if self.server.is_ready():
            self.ready = self.was_ready = True
            self.problem = ""
            log.info("server.started name=%s port=%s", self.server.name, self.server.port)
        elif now - self.launched_at > START_SECONDS_MAX:
            self.server.stop()
            self._fail(f"{self.server.title} did not answer in time: read {self.server.log}.", now)

    def _fail(self, reason: str, now: float, *, final: bool = False) -> None:
        pause = min(BACK_OFF_FIRST_SECONDS * 2 ** min(self.failures, 10), BACK_OFF_MAX_SECONDS)
        log.error("server.failed name=%s restart_in=%.1fs reason=%s", self.server.name, pause, reason)
        self.failures += 1
        self.launch_at = now + pause
        self.ready = False
        self.server.process = None
        if final or self.failures > QUIET_FAILURES:
            self.problem = reason
        if not self.was_ready:
            self.server.port = 0  # nobody was told it yet, and it may be what stands in the way

    @property
    def status(self) -> ServerStatus:
        return {"url": self.server.url() if self.ready else "", "problem": self.problem}


class Keeper:
    def __init__(self, own: int, folder: LocalFolder, environment: Mapping[str, str]) -> None:
        self.own = own  # the descriptor of the lock that makes this process the keeper
        self.folder = folder
        self.environment = environment
        self.charges: dict[str, Charge] = {}
        self.published: dict[str, ServerStatus] = {}
        self.stopping = False

    def run(self) -> None:
        """Keep the wanted servers running until their last user has gone, or somebody asks to stop."""
        try:
            while not self.stopping:
                self._look_after_servers()
                if self._is_alone():
                    break
                time.sleep(self._pause())
            else:
                lock_within(self.folder.start_lock, fcntl.LOCK_EX, LEAVE_SECONDS_MAX)
        finally:
            self._stop_servers()
        log.info("keeper.left")

    def stop(self, _number: int, _frame: FrameType | None) -> None:
        self.stopping = True

    def _look_after_servers(self) -> None:
        for name in SERVERS:
            if name in self.charges:
                self.charges[name].look(time.monotonic())
            elif name in self.folder.wanted():
                self.charges[name] = Charge(SERVERS[name](self.folder, self.environment))
        self._publish()

    def _publish(self) -> None:
        status = {name: charge.status for name, charge in self.charges.items()}
        if status != self.published and self.folder.root.exists():
            urls = {SERVERS[name].variable: one["url"] for name, one in status.items() if one["url"]}
            write_private(self.folder.urls, "".join(f"{variable}={url}\n" for variable, url in urls.items()))
            self.folder.publish(status)
            self.published = status

    def _is_alone(self) -> bool:
        """
        Say whether nobody uses the servers any more, or their folder was deleted.

        When it is so, the start lock stays with this process to its end: a newcomer waits for it, then
        finds no keeper and starts another. A quicker newcomer holds the start lock, and we look again.
        """
        if self._folder_is_gone():
            log.error("folder.deleted path=%s", self.folder.root)
            return True
        users = lock(self.folder.users_lock, fcntl.LOCK_EX)
        if users is None:
            return False
        start = lock(self.folder.start_lock, fcntl.LOCK_EX)
        os.close(users)
        return start is not None

    def _folder_is_gone(self) -> bool:
        try:
            return os.fstat(self.own).st_ino != self.folder.keeper_lock.stat().st_ino
        except FileNotFoundError:
            return True

    def _pause(self) -> float:
        settled = all(charge.ready or charge.problem for charge in self.charges.values())
        return TURN_SECONDS if self.charges and settled else STARTING_TURN_SECONDS

    def _stop_servers(self) -> None:
        servers = [charge.server for charge in self.charges.values()]
        for server in servers:
            server.ask_to_stop()
        for server in servers:
            server.wait_until_stopped()
        if self.folder.root.exists():
            self.folder.forget_keeper()


def detach() -> None:
    """Go on as a child of nobody in particular: who started the keeper may leave before it, or stay for days."""
    if os.fork():
        os._exit(0)


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s.%(msecs)03dZ %(message)s", datefmt="%Y-%m-%dT%H:%M:%S")
    logging.Formatter.converter = time.gmtime
    folder = LocalFolder.named_by(os.environ)
    own = lock_within(folder.keeper_lock, fcntl.LOCK_EX, LOCK_SECONDS_MAX)
    if own is None:
        sys.exit("Another keeper runs.")
    detach()
    os.write(own, f"{os.getpid()}\n".encode())
    keeper = Keeper(own, folder, os.environ)
    signal.signal(signal.SIGTERM, keeper.stop)
    signal.signal(signal.SIGINT, keeper.stop)
    keeper.run()


if __name__ == "__main__":
    main()
