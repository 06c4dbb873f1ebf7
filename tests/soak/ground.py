"""The servers of a run: PostgreSQL, Valkey and the paper Kite, in a folder of the run's own; they can be killed."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import redis
import requests

from config.local_folder import LocalFolder
from config.local_server import LocalServer
from config.local_services import Postgres, Valkey
from tests.orders.paper.paper_process import PaperProcess
from tests.soak.limits import CEILINGS
from tests.soak.prices import PRICES

POLL_SECONDS = 0.02
ANSWER_SECONDS_MAX = 60.0


class NotInTime(Exception):
    """Something that had to happen did not; the text says what."""


def wait_for(holds: Callable[[], Any], what: str, seconds: float = ANSWER_SECONDS_MAX) -> Any:
    """Return what `holds` returns as soon as that is true. Raise `NotInTime`."""
    end = time.monotonic() + seconds
    while True:
        found = holds()
        if found:
            return found
        if time.monotonic() > end:
            raise NotInTime(f"{what}: not within {seconds:.0f} s")
        time.sleep(POLL_SECONDS)


class Ground:
    """All three servers, from their start to their removal. What is stopped comes back on the same port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._local = LocalFolder(folder / "servers")
        self._local.create()
        self.postgres: LocalServer = Postgres(self._local, os.environ)
        self.valkey: LocalServer = Valkey(self._local, os.environ)
        self.paper: PaperProcess
        self._connection: psycopg.Connection[Any] | None = None
        self._secret = secrets.token_urlsafe(30)

    def start(self) -> None:
        for server in (self.postgres, self.valkey):
            self.launch(server)
        self.start_paper(0)
        for symbol, price in PRICES.items():
            self.paper.set_price(f"NSE:{symbol}", price)

    def launch(self, server: LocalServer) -> None:
        server.launch()

        def ready() -> bool:
            if not server.runs():
                server.launch()
            return server.is_ready()

        wait_for(ready, f"{server.title} answers")

    def start_paper(self, port: int) -> None:
        options = ["--port", str(port), "--cash", "1000000000"]
        self.paper = PaperProcess(self.folder / "paper", *options)

    def environment(self) -> dict[str, str]:
        """Return what the project's processes are to see, and nothing of the caller's own wiring."""
        own = {name: value for name, value in os.environ.items() if not name.startswith(("KITE_", "PAPER_", "SIGNAL_"))}
        return {
            **own,
            **CEILINGS,
            "DATABASE_URL": self.postgres.url(),
            "REDIS_URL": self.valkey.url(),
            "PAPER_KITE_URL": self.paper.root,
            "ORDER_EXECUTOR_LOCAL": str(self.folder / "servers"),
            "SECRET_KEY": self._secret,
            "ABSENCE_WINDOW_SECONDS": "3",
            "ENABLE_AUTO_TRADING": "true",
            "DJANGO_SETTINGS_MODULE": "config.settings",
        }

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return what PostgreSQL answers; while it is away, nothing."""
        try:
            if self._connection is None or self._connection.closed:
                self._connection = psycopg.connect(self.postgres.url(), autocommit=True, connect_timeout=5)
            return self._connection.execute(query, values).fetchall()
        except psycopg.OperationalError:
            if self._connection is not None:
                self._connection.close()
            return []

    def redis(self) -> redis.Redis:
        return redis.Redis.from_url(self.valkey.url(), protocol=2, socket_timeout=5)

    def journal(self) -> list[dict[str, Any]]:
        return self.paper.http.get(f"{self.paper.root}/paper/journal", timeout=60).json()

    def fault(self, spelled: str) -> None:
        """Ask the paper Kite for a fault, spelled as on its command line; lost when it is away."""
        route, kind, *more = spelled.split(":")
        wanted: dict[str, Any] = {"route": route, "do": kind}
        for pair in ",".join(more).split(",") if more else ():
            name, value = pair.split("=")
            wanted[name] = float(value) if "seconds" in name else int(value)
        with contextlib.suppress(requests.RequestException):
            self.paper.control("POST", "faults", wanted)

    def clear_faults(self) -> None:
        with contextlib.suppress(requests.RequestException):
            self.paper.control("DELETE", "faults")

    def kill_and_start(self, server: LocalServer) -> None:
        assert server.process is not None, "it was started"
        server.process.kill()
        server.process.wait()
        self.launch(server)

    def kill_and_start_paper(self) -> None:
        port = self.paper.port
        self.paper.kill()
        self.start_paper(port)

    def stop(self) -> None:
        if self._connection is not None:
            self._connection.close()
        if hasattr(self, "paper"):
            with contextlib.suppress(Exception):
                self.paper.process.send_signal(signal.SIGCONT)
                self.paper.stop()
        for server in (self.postgres, self.valkey):
            if server.process is not None:
                server.process.send_signal(signal.SIGCONT)
            server.stop()

    def remove(self) -> None:
        """Delete the folder, and the cluster that it only links to when others cannot reach it."""
        for cluster in (self.folder / "servers").glob("postgres[0-9][0-9]"):
            if cluster.is_symlink():
                shutil.rmtree(cluster.resolve().parent, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)
