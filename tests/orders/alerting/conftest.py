"""
The cast of alerts: a desk without a broker, channels that keep what they were told, and webhooks that really listen.

The clock stands still and the stopwatch goes by it, so that a minute passes when a test says so.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from orders.alert_urls import Address
from orders.alerting.sender import Sender, Setup
from orders.alerting.wording import Words
from orders.broker.sessions import TokenVault
from orders.desk import Desk
from orders.lifecycle import OrderStatus
from orders.models import Alert, AlertDelivery, AlertMessage, AlertSender, Order
from risk.models import Incident, Mode, RiskSettings
from tests.conftest import StillClock
from tests.orders.paper.paper_process import until
from tests.orders.stand_ins import BookGateway


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def desk(db: None, clock: StillClock) -> Desk:
    """Alerts are about rows: no broker is asked for anything. Trades are many before they near their limit."""
    RiskSettings.objects.update(daily_trades_max=5000)
    vault = TokenVault(Mode.PAPER, secret_key="a secret of the suite")
    return Desk(mode=Mode.PAPER, gateway=BookGateway(), vault=vault, clock=clock)


@dataclass
class Told:
    """A channel that keeps what it was told. `errors` are said one after the other, and then it takes everything."""

    errors: list[str] = field(default_factory=list)
    words: list[Words] = field(default_factory=list)

    def __call__(self, words: Words) -> str:
        self.words.append(words)
        return self.errors.pop(0) if self.errors else ""

    @property
    def titles(self) -> list[str]:
        return [words.title for words in self.words]


class Hanging:
    """A channel that never answers, until it is let go."""

    def __init__(self) -> None:
        self.calls = 0
        self.let_go = threading.Event()

    def __call__(self, words: Words) -> str:
        self.calls += 1
        self.let_go.wait(30)
        return ""


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    channel = Hanging()
    yield channel
    channel.let_go.set()


@dataclass
class Running:
    """A sender under the test's hand: `turns` takes turns until every attempt that was begun has been noted."""

    sender: Sender

    def turns(self, count: int = 1) -> None:
        for _ in range(count):
            self.sender.turn()
            until(lambda: not any(self._is_waited_for(post) for post in self.sender._posts.values()))
            self.sender.turn()

    def _is_waited_for(self, post: Any) -> bool:
        attempt = post._attempt
        return attempt is not None and attempt.answer is None and not isinstance(attempt._tell, Hanging)


@pytest.fixture
def start(desk: Desk, clock: StillClock) -> Callable[..., Running]:
    """Return a sender with these channels, by name, which has taken its first turn: what was before is history."""

    def make(*, at: Desk = desk, first_turn: bool = True, **given: Any) -> Running:
        setup = {name: given.pop(name) for name in ("base_url", "quiet", "ping") if name in given}
        channels = [Address(url=f"json://{name}", label=f"json://{name}", key=name) for name in given]
        sender = Sender(
            at,
            Setup(channels=channels, tellers=given, **setup),
            stopwatch=lambda: clock().timestamp(),
        )
        running = Running(sender)
        if first_turn:
            sender.turn()
        return running

    return make


@pytest.fixture
def order(desk: Desk, clock: StillClock) -> Callable[..., Order]:
    """Write an order of ours at the broker; a status advances it there."""
    made: list[Order] = []

    def make(status: str = "", *, note: str = "so said the broker", **changes: Any) -> Order:
        number = len(made) + 1
        usual: dict[str, Any] = {
            "mode": desk.mode,
            "client_order_id": f"TEST{number}",
            "broker_order_id": f"SIM{number}",
            "origin": "MANUAL",
            "created_by": "priya",
            "exchange": "NSE",
            "symbol": "RELIANCE",
            "side": "BUY",
            "product": "CNC",
            "order_type": "LIMIT",
            "quantity": 10,
            "price": 1405,
            "status": "OPEN",
            "trading_date": desk.today(),
            "created_at": clock(),
        }
        row = Order.objects.create(**{**usual, **changes})
        made.append(row)
        if status:
            filled = {"filled_quantity": 10, "average_price": 1400} if status == "FILLED" else {}
            assert row.advance(OrderStatus(status), at=clock(), note=note, **filled)
        return row

    return make


@pytest.fixture
def incident(desk: Desk, clock: StillClock) -> Callable[..., Incident]:
    def make(kind: str, *, title: str = "something happened", **details: Any) -> Incident:
        return Incident.objects.open(kind, **{"mode": desk.mode, "title": title, "now": clock(), **details})

    return make


def kinds(mode: str = "PAPER") -> list[str]:
    """Return the kinds of what was noticed, oldest first."""
    return list(Alert.objects.filter(mode=mode).order_by("pk").values_list("kind", flat=True))


def states() -> dict[str, str]:
    """Return the state of each channel's only delivery."""
    return dict(AlertDelivery.objects.values_list("channel", "state"))


def forget_alerts() -> None:
    """Leave no row behind: for tests that commit."""
    Alert.objects.all().delete()
    AlertDelivery.objects.all().delete()
    AlertMessage.objects.all().delete()
    AlertSender.objects.all().delete()


class Webhook:
    """A real server on this machine that keeps each message it is posted, answering with `status`."""

    def __init__(self) -> None:
        self.posted: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.status = 200
        self.holds_back = threading.Event()
        self.holds_back.set()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                hook.posted.append(json.loads(body))
                hook.asked.append(self.path)
                hook.holds_back.wait(30)
                self.send_response(hook.status)
                self.end_headers()

            def do_GET(self) -> None:
                hook.asked.append(self.path)
                self.send_response(hook.status)
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    @property
    def at(self) -> str:
        return f"127.0.0.1:{self.server.server_port}"

    def titles(self) -> list[str]:
        return [each["title"] for each in self.posted]

    def stop(self) -> None:
        self.holds_back.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def webhooks() -> Iterator[Callable[[], Webhook]]:
    running: list[Webhook] = []

    def make() -> Webhook:
        running.append(Webhook())
        return running[-1]

    yield make
    for each in running:
        each.stop()
