"""
The stream's client against the paper server, and against servers that do what no honest one would.

Broken on purpose, and what went red: no watchdog — a link that falls silent is noticed; no nudge on connect — every
connect asks for the book; certificates not verified — a server that cannot prove who it is is not spoken to; the nudge
only of what we can read — an unreadable frame asks for the book all the same.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import itertools
import json
import random
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import structlog
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import Server, ServerConnection, serve

from orders.broker.prices import StreamedPrices
from orders.broker.stream import PAUSE_SECONDS_MAX, SILENCE_SECONDS, KiteStream

from .paper.paper_process import until
from .raw_server import raw
from .self_signed import SelfSigned

__all__ = ["raw"]

RELIANCE = 738561
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455


class Followed:
    """A stream whose turns a thread takes, with what came out of it."""

    def __init__(self, url: str, *, token: Callable[[], str] = lambda: "paper", **changes: Any) -> None:
        self.nudges = 0
        self.refusals: list[str] = []
        self.prices = StreamedPrices(age_max=timedelta(seconds=30))
        self.stream = KiteStream(
            **{
                "url": url,
                "api_key": "paper",
                "access_token": token,
                "refused": lambda reason, _: self.refusals.append(reason),
                "nudge": self._nudge,
                "prices": self.prices,
                "clock": timezone.now,
                "rng": random.Random(7),
                "silence_seconds": 4.0,
                **changes,
            }
        )
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def died(self) -> bool:
        return not self._thread.is_alive()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(20)
        self.stream.close()

    def _nudge(self) -> None:
        self.nudges += 1

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.stream.turn()


@pytest.fixture
def follow() -> Iterator[Callable[..., Followed]]:
    made: list[Followed] = []

    def make(url: str, **changes: Any) -> Followed:
        made.append(Followed(url, **changes))
        return made[-1]

    yield make
    for each in made:
        each.stop()


@pytest.fixture
def server() -> Iterator[Callable[..., str]]:
    """Serve each connection with the test's own handler and return the address."""
    running: list[Server] = []

    def start(handler: Callable[[ServerConnection], None], **options: Any) -> str:
        def serve_one(connection: ServerConnection) -> None:
            with contextlib.suppress(ConnectionClosed):
                handler(connection)

        made = serve(serve_one, "127.0.0.1", 0, **options)
        running.append(made)
        threading.Thread(target=made.serve_forever, daemon=True).start()
        scheme = "wss" if "ssl" in options else "ws"
        return f"{scheme}://127.0.0.1:{made.socket.getsockname()[1]}"

    yield start
    for each in running:
        each.shutdown()


def address(paper: Any) -> str:
    return paper.root.replace("http", "ws", 1) + "/ws"


def buy(paper: Any, price: float) -> str:
    return paper.kite().place_order(
        "regular",
        exchange="NSE",
        tradingsymbol="RELIANCE",
        transaction_type="BUY",
        quantity=1,
        product="CNC",
        order_type="LIMIT",
        price=price,
        validity="DAY",
    )


def beat(connection: ServerConnection) -> None:
    """Do what Kite does when it has nothing to say."""
    while True:
        connection.send(b"\x00")
        time.sleep(0.2)


# --- Order updates and prices ----------------------------------------------------------------------------------------


def test_an_order_update_asks_for_the_book(follow, paper):
    followed = follow(address(paper))
    until(followed.stream.is_alive)
    before = followed.nudges

    buy(paper, 1405.0)

    until(lambda: followed.nudges > before)


def test_a_followed_instrument_has_its_price_and_the_exchanges_time(follow, paper):
    followed = follow(address(paper))
    followed.prices.follow({("NSE", "RELIANCE"): RELIANCE})

    quote = until(lambda: followed.prices.last("NSE", "RELIANCE", now=timezone.now()))
    paper.set_price("NSE:RELIANCE", "1402.35")
    newer = until(
        lambda: (
            (found := followed.prices.last("NSE", "RELIANCE", now=timezone.now()))
            and found.price != quote.price
            and found
        )
    )

    assert quote.price == Decimal("1400.00")
    assert newer.price == Decimal("1402.35")
    assert newer.as_of >= quote.as_of


# --- The link --------------------------------------------------------------------------------------------------------


def test_a_link_that_falls_silent_is_noticed_within_ten_seconds_and_made_again(follow, paper):
    with structlog.testing.capture_logs() as logs:
        followed = follow(address(paper), silence_seconds=SILENCE_SECONDS)
        until(lambda: followed.stream.is_alive() and followed.nudges)

        paper.fault("stream", "silent")

        until(lambda: followed.stream.connects == 2, seconds=30)
        until(lambda: followed.nudges >= 2)
    assert followed.stream._prices.connects() == 2
    told = next(entry["reason"] for entry in logs if entry["event"] == "broker_stream.down")
    assert float(re.fullmatch(r"nothing was heard for ([\d.]+) s", told)[1]) < 10


def test_heartbeats_alone_keep_the_link(follow, paper):
    followed = follow(address(paper))
    until(followed.stream.is_alive)
    end = time.monotonic() + 6  # longer than the silence that ends it

    until(lambda: time.monotonic() > end, seconds=15)

    assert followed.stream.connects == 1
    assert followed.stream.is_alive()


def test_every_connect_asks_for_the_book_and_subscribes_again(follow, paper):
    followed = follow(address(paper))
    followed.prices.follow({("NSE", "RELIANCE"): RELIANCE})
    until(lambda: followed.prices.last("NSE", "RELIANCE", now=timezone.now()))
    before = followed.nudges

    for connects in (2, 3):
        paper.fault("stream", "drop")
        until(lambda connects=connects: followed.stream.connects == connects, seconds=15)

    until(lambda: followed.nudges >= before + 2)
    until(lambda: followed.prices.last("NSE", "RELIANCE", now=timezone.now()))


def test_prices_are_forgotten_when_the_link_ends(follow, server):
    let_go = threading.Event()
    url = server(lambda connection: let_go.wait(10))
    followed = follow(url)
    followed.prices.follow({("NSE", "RELIANCE"): RELIANCE})
    until(followed.stream.is_alive)
    forgotten = threading.Event()
    followed.prices.forget = forgotten.set

    let_go.set()

    assert forgotten.wait(10)


def test_a_server_that_turns_us_away_is_asked_less_and_less_often(follow, server):
    asked: list[float] = []
    url = server(lambda connection: asked.append(time.monotonic()))
    follow(url)

    until(lambda: len(asked) == 5, seconds=30)

    pauses = [later - earlier for earlier, later in itertools.pairwise(asked)]
    assert pauses[0] >= 0.25
    assert pauses[3] >= 2.0


def test_the_pause_never_grows_past_its_bound(follow):
    stream = follow("ws://127.0.0.1:1", token=lambda: "").stream
    for _ in range(50):
        stream._fail("away")

    assert stream._next_try_at - time.clock_gettime(time.CLOCK_BOOTTIME) <= PAUSE_SECONDS_MAX


def test_an_outage_is_told_once(follow):
    with structlog.testing.capture_logs() as logs:
        followed = follow("ws://127.0.0.1:9")
        until(lambda: followed.stream._failures >= 3, seconds=20)
        followed.stop()

    assert [entry["event"] for entry in logs] == ["broker_stream.down"]


# --- The login -------------------------------------------------------------------------------------------------------


def test_without_a_login_nobody_is_asked_and_a_new_one_is_used_at_once(follow, server):
    tokens = [""]
    paths: list[str] = []

    def handler(connection: ServerConnection) -> None:
        paths.append(connection.request.path)
        beat(connection)

    followed = follow(server(handler), token=lambda: tokens[-1])
    until(lambda: followed.stream._token_checked_at > 0)
    assert paths == []

    tokens.append("a&b")

    until(lambda: paths)
    assert paths == ["/?api_key=paper&access_token=a%26b"]


def test_a_newer_login_replaces_the_one_in_use(follow, server):
    tokens = ["old"]
    paths: list[str] = []

    def handler(connection: ServerConnection) -> None:
        paths.append(connection.request.path)
        beat(connection)

    follow(server(handler), token=lambda: tokens[-1])
    until(lambda: paths)

    tokens.append("new")

    until(lambda: len(paths) == 2)
    assert paths[1].endswith("access_token=new")


def test_a_login_that_ended_ends_the_link(follow, server):
    tokens = ["old"]
    followed = follow(server(beat), token=lambda: tokens[-1])
    until(followed.stream.is_alive)

    tokens.append("")

    until(lambda: not followed.stream.is_alive())


def test_a_refused_login_is_told_and_not_tried_again(follow, paper):
    tokens = ["paper"]
    paper.fault("stream", "refuse", times=1)
    followed = follow(
        address(paper),
        token=lambda: tokens[-1],
        refused=lambda reason, _: (followed.refusals.append(reason), tokens.append("")),
    )

    until(lambda: followed.refusals)
    until(lambda: followed.stream._token == "")
    until(lambda: time.clock_gettime(time.CLOCK_BOOTTIME) > followed.stream._next_try_at)

    assert followed.refusals == ["the stream answered 403"]
    assert followed.stream.connects == 0
    tokens.append("paper")
    until(followed.stream.is_alive)


def test_the_token_is_in_no_log(follow, caplog):
    caplog.set_level("DEBUG")
    with structlog.testing.capture_logs() as logs:
        followed = follow("ws://127.0.0.1:9", token=lambda: "s3cret")
        until(lambda: followed.stream._failures)
        followed.stop()

    assert "s3cret" not in caplog.text + str(logs)


# --- What is odd -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "frame",
    ["not json", "[" * 100_000, "null", "[1]", '{"type": 7}', b"\x00\x02\x00\x08", b"\xff" * 300],
    ids=["not json", "deep", "null", "a list", "no type", "cut short", "no ticks"],
)
def test_an_odd_frame_is_counted_and_the_next_one_heard(follow, server, frame):
    update = json.dumps({"type": "order", "data": None})

    def handler(connection: ServerConnection) -> None:
        for each in (frame, update):
            connection.send(each)
        beat(connection)

    followed = follow(server(handler))

    until(lambda: followed.stream.odd_frames == 1)
    until(lambda: followed.nudges >= 2)  # the connect, and the update
    assert followed.stream.connects == 1
    assert not followed.died


def test_an_unreadable_frame_asks_for_the_book_all_the_same(follow, server):
    def handler(connection: ServerConnection) -> None:
        connection.send('{"type": "order", "data": {')
        beat(connection)

    followed = follow(server(handler))

    until(lambda: followed.nudges == 2)


@pytest.mark.parametrize("frame", ["x" * 2_000_000, b"x" * 2_000_000], ids=["text", "binary"])
def test_a_huge_frame_ends_the_link_and_the_book_is_read_again(follow, server, frame):
    served: list[int] = []

    def handler(connection: ServerConnection) -> None:
        served.append(1)
        if len(served) == 1:
            connection.send(frame)
        beat(connection)

    followed = follow(server(handler))

    until(lambda: followed.stream.connects == 2, seconds=15)
    until(lambda: followed.nudges == 2)
    assert not followed.died


def test_a_server_that_pings_and_never_reads_is_left_as_any_silent_one(raw):
    sent_at: list[float] = []

    def flood(sock: socket.socket) -> None:
        key = re.search(rb"Sec-WebSocket-Key: (.*)\r", raw.requests[-1], re.IGNORECASE)[1]
        accepted = base64.b64encode(hashlib.sha1(key + GUID).digest())  # noqa: S324 - so the protocol has it
        sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
        sock.sendall(b"Sec-WebSocket-Accept: " + accepted + b"\r\n\r\n")
        while True:
            sock.sendall((b"\x89\x7d" + b"x" * 125) * 1000)
            sent_at.append(time.monotonic())

    raw.answer(flood)
    stream = stream_at(raw.root.replace("http", "ws"), token="paper", silence_seconds=0.1)
    stream.turn()
    until(lambda: sent_at and time.monotonic() - sent_at[-1] > 0.5)  # nothing goes in either direction any more
    turn = threading.Thread(target=stream.turn, daemon=True)
    turn.start()
    turn.join(5)

    assert not turn.is_alive()
    assert not stream.is_alive()


def test_what_kite_says_to_people_is_no_reason_to_read_the_book(follow, server):
    heard = threading.Event()

    def handler(connection: ServerConnection) -> None:
        connection.send(json.dumps({"type": "message", "data": "The market closes early today."}))
        connection.send(json.dumps({"type": "error", "data": "No such instrument."}))
        connection.send(b"\xff\xff\x00")  # odd, and so counted when the others have been heard
        heard.set()
        beat(connection)

    followed = follow(server(handler))

    until(lambda: followed.stream.odd_frames == 1)
    assert followed.nudges == 1  # the connect


@pytest.fixture(scope="module")
def deaf() -> KiteStream:
    """A stream that is never connected: what it hears is put into its ear."""
    return stream_at("ws://127.0.0.1:9", token="")


def stream_at(url: str, *, token: str, **more: float) -> KiteStream:
    """Return a stream that takes a turn when it is told to."""
    return KiteStream(
        url=url,
        api_key="paper",
        access_token=lambda: token,
        refused=lambda *_: None,
        nudge=lambda: None,
        prices=StreamedPrices(age_max=timedelta(seconds=2)),
        clock=timezone.now,
        rng=random.Random(7),
        **more,
    )


TELLING = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists)
FRAMES = (
    st.text()
    | st.binary()
    | st.dictionaries(st.sampled_from(["type", "data", "a"]), TELLING | st.just("order")).map(json.dumps)
    | st.integers(1, 100_000).map(lambda depth: '{"type": "error", "data": ' + "[" * depth + "]" * depth + "}")
)


@given(FRAMES)
def test_no_frame_does_more_harm_than_being_odd(deaf, frame):
    deaf._hear(frame)


def test_a_redirect_leads_nowhere_else(follow, server, paper):
    """The address holds the token, and prices are believed of the broker alone."""
    asked: list[str] = []
    elsewhere = server(lambda connection: asked.append(connection.request.path))

    def redirect(connection: ServerConnection, request: Request) -> Response:
        answer = connection.respond(302, "")
        answer.headers["Location"] = f"{elsewhere}{request.path}"
        return answer

    followed = follow(server(beat, process_request=redirect))

    until(lambda: followed.stream._failures >= 2, seconds=15)
    assert asked == []
    assert not followed.died


# --- TLS -------------------------------------------------------------------------------------------------------------


def test_a_server_that_cannot_prove_who_it_is_is_not_spoken_to(follow, server, tmp_path):
    paths: list[str] = []
    url = server(lambda connection: paths.append(connection.request.path), ssl=SelfSigned(tmp_path).server_context())

    with structlog.testing.capture_logs() as logs:
        followed = follow(url)
        until(lambda: followed.stream._failures >= 2, seconds=15)

    assert paths == []
    assert "CERTIFICATE_VERIFY_FAILED" in logs[0]["reason"]


def test_a_server_whose_authority_we_trust_is_heard(follow, server, tmp_path):
    certificate = SelfSigned(tmp_path)
    followed = follow(server(beat, ssl=certificate.server_context()), ca_file=str(certificate.path))

    until(followed.stream.is_alive)


def test_a_certificate_for_another_name_is_refused(follow, server, tmp_path):
    certificate = SelfSigned(tmp_path, name="somewhere.else")
    with structlog.testing.capture_logs() as logs:
        followed = follow(server(beat, ssl=certificate.server_context()), ca_file=str(certificate.path))
        until(lambda: followed.stream._failures, seconds=15)

    assert followed.stream.connects == 0
    assert "CERTIFICATE_VERIFY_FAILED" in logs[0]["reason"]
