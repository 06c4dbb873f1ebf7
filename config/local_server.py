"""
One server run by this project itself: its port, its lock, its launch and its end.

Each listens on loopback only, keeps its data in the local folder, and ends with the process that launched it.
Who launches them, and for how long they run, is the business of `keeper.py`.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar

from config.local_folder import PROJECT, LocalFolder, LocalServersFailed, lock_within, write_private
from config.server_binaries import Identity

HOST = "127.0.0.1"
# Below the range from which the kernel draws the ports of outgoing connections, so that a port stays free.
PORTS = range(20_000, 30_000)
PREDECESSOR_SECONDS = 15.0
LOG_BYTES_MAX = 5_000_000
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)


def port_is_free(port: int) -> bool:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the servers do
        try:
            listener.bind((HOST, port))
        except OSError:
            return False
    return True


def choose_port(record: Path, name: str) -> int:
    """Return the port the server had last time, or a new one when that is taken, and record it."""
    ports: dict[str, int] = json.loads(record.read_text()) if record.exists() else {}
    if name not in ports or not port_is_free(ports[name]):
        candidates = random.sample(PORTS, len(PORTS))
        ports[name] = next(port for port in candidates if port not in ports.values() and port_is_free(port))
        write_private(record, json.dumps(ports))
    return ports[name]


def password(file: Path) -> str:
    if not file.exists():
        write_private(file, secrets.token_urlsafe(24))
    return file.read_text()


def die_with_parent(death: signal.Signals) -> Callable[[], None]:
    """Return what a child does before it becomes a server: ask for a signal when its parent dies."""
    parent = os.getpid()

    def ask() -> None:
        if sys.platform == "linux":
            LIBC.prctl(PR_SET_PDEATHSIG, death, 0, 0, 0)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)

    return ask


class LocalServer(ABC):
    """One local server, from its launch to its end."""

    name: ClassVar[str]
    title: ClassVar[str]
    variable: ClassVar[str]
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    kill_signal: ClassVar[signal.Signals] = signal.SIGKILL

    def __init__(self, folder: LocalFolder, environment: Mapping[str, str], *, durable: bool = True) -> None:
        self.folder = folder
        self.environment = environment
        self.durable = durable
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def home(self) -> Path:
        return self.folder.root

    @property
    def log(self) -> Path:
        return self.folder.log / f"{self.name}.log"

    @abstractmethod
    def url(self) -> str: ...

    @abstractmethod
    def is_ready(self) -> bool: ...

    @abstractmethod
    def prepare(self) -> tuple[list[str], Identity]:
        """Lay out the data and return the command, and the user who is to run it."""

    def launch(self) -> None:
        """
        Start the server; `is_ready` says when it answers.

        The server inherits a lock on its data. So one that outlived its keeper by a moment is waited for,
        and two can never write to the same data.
        """
        guard = lock_within(self.home / f"{self.name}.lock", fcntl.LOCK_EX, PREDECESSOR_SECONDS)
        if guard is None:
            raise LocalServersFailed(f"An earlier {self.title} still writes to {self.home}: end that process first.")
        try:
            self.port = self.port or choose_port(self.home / "ports.json", self.name)
            command, identity = self.prepare()
            self.process = self._spawn(command, identity, guard)
        finally:
            os.close(guard)

    def _spawn(self, command: list[str], identity: Identity, guard: int) -> subprocess.Popen[bytes]:
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES_MAX:
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("ab") as log:
            return subprocess.Popen(  # noqa: S603  # a program of ours, no shell
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/" if identity else PROJECT,
                env=self.surroundings(),
                pass_fds=(guard,),
                start_new_session=True,
                preexec_fn=die_with_parent(self.stop_signal),  # there are no threads here
                **identity,
            )

    def surroundings(self) -> dict[str, str]:
        """Return the server's environment: no secrets of ours, since it may run as another user."""
        return {key: self.environment[key] for key in ("PATH", "LD_LIBRARY_PATH", "TZ") if key in self.environment}

    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def ask_to_stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(self.stop_signal)

    def wait_until_stopped(self, seconds: float = 10.0) -> None:
        if self.process is None:
            return
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.send_signal(self.kill_signal)
            self.process.wait()

    def stop(self) -> None:
        self.ask_to_stop()
        self.wait_until_stopped()
