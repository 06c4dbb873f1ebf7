"""A paper Kite server in a process of its own, with its control routes as methods."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import requests
from kiteconnect import KiteConnect

REPOSITORY = Path(__file__).resolve().parents[3]
LISTENING = re.compile(r"paper kite listening on (http://\S+:(\d+))")

API_SECRET = "paper"


class PaperProcess:
    """Without rate limits, as tests ask oftener than a client may, unless they are what is tested."""

    def __init__(self, state_dir: Path, *options: str, rate_limits: bool = False, stderr: int | None = None) -> None:
        self.state_dir = state_dir
        command = [sys.executable, "-m", "orders.paper", "--port", "0", "--state-dir", str(state_dir), *options]
        command += [] if rate_limits else ["--no-rate-limits"]
        self.process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=stderr, text=True)
        found = LISTENING.fullmatch(self.process.stdout.readline().strip())
        if not found:
            self.stop()
            raise AssertionError("the paper server did not start")
        self.root, self.port = found[1], int(found[2])
        self.http = requests.Session()
        self.http.trust_env = False
        self.clients = []

    def kite(self, timeout: float = 7) -> KiteConnect:
        client = KiteConnect(api_key="paper", access_token="paper", root=self.root, timeout=timeout)
        client.reqsession.trust_env = False
        self.clients.append(client)
        return client

    def request_token(self, api_key: str) -> str:
        """Log in as a person does, and return what the page shows."""
        page = self.http.post(f"{self.root}/connect/login", data={"api_key": api_key}, timeout=5)
        return re.search(r"<code>([\w-]+)</code>", page.text)[1]

    def log_in(self, api_key: str) -> str:
        """Return an access token for this key."""
        client = self.kite()
        client.api_key = api_key
        return client.generate_session(self.request_token(api_key), API_SECRET)["access_token"]

    def control(self, method: str, path: str, json: object = None) -> object:
        answer = self.http.request(method, f"{self.root}/paper/{path}", json=json, timeout=5)
        answer.raise_for_status()
        return answer.json()

    def set_price(self, key: str, price: str | None) -> None:
        exchange, symbol = key.split(":")
        self.control("PUT", f"prices/{exchange}/{requests.utils.quote(symbol, safe='')}", {"price": price})

    def set_clock(self, moment: datetime | None) -> None:
        """Let its clock run from this moment, or be the machine's again when None."""
        if moment is None:
            self.control("DELETE", "clock")
        else:
            self.control("POST", "clock", {"at": moment.isoformat()})

    def fault(self, route: str, do: str, **more: float) -> None:
        self.control("POST", "faults", {"route": route, "do": do, **more})

    def journal(self) -> list[dict]:
        return self.control("GET", "journal")

    def accepted(self) -> list[str]:
        return [row["order_id"] for row in self.journal() if row["event"] == "accepted"]

    def reset(self) -> str:
        return self.control("POST", "reset")["data"]["archived"]

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        return self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> int:
        self.close_clients()
        if self.process.poll() is None:
            self.process.send_signal(how)
        code = self.process.wait(10)
        self.process.stdout.close()
        if self.process.stderr is not None:
            self.process.stderr.close()
        return code

    def close_clients(self) -> None:
        for client in getattr(self, "clients", ()):
            client.reqsession.close()
        if hasattr(self, "http"):
            self.http.close()


def until(holds: Callable[[], object], seconds: float = 5) -> object:
    """Return what `holds` returns as soon as that is true; fail when it is not in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = holds()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s")
