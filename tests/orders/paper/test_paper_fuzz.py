"""Whatever is sent, wherever: the answer is Kite's, and nothing breaks behind it."""

from __future__ import annotations

import argparse
import json
import re
import socket
import tempfile
from urllib.parse import quote, urlencode

import pytest
import requests
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from orders.paper.market.instruments import INSTRUMENTS
from orders.paper.options import Options, add_arguments
from orders.paper.program import REQUEST_LINE_BYTES_MAX, open_paper
from orders.paper.server.site import build_site

from .paper_process import PaperProcess

HEADERS = {"Authorization": "token paper:paper", "Content-Type": "application/x-www-form-urlencoded"}
quickly = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

SENSIBLE = (
    "NSE INFY BUY SELL 1 10 CNC MIS MARKET LIMIT SL SL-M DAY IOC TTL -1 0 1500 1490 2 5 true single day overnight"
)
sensible = st.sampled_from(SENSIBLE.split())
awkward = st.sampled_from(
    ["1e5", "NaN", "inf", "1_0", "٣", " 1", "9" * 5000, "-0", "1500.123456789012", "", "\x00", "\ud7ff", "[]", "{}"]
)
texts = sensible | awkward | st.text(max_size=30)
FIELDS = (
    "exchange tradingsymbol transaction_type quantity product order_type price validity validity_ttl "
    "market_protection tag disclosed_quantity trigger_price iceberg_legs iceberg_quantity autoslice "
    "type condition orders old_product new_product position_type"
)
fields = st.sampled_from(FIELDS.split())
names = st.sampled_from(["i", "from", "to", "mode", "oi", "api_key"]) | st.text(max_size=5)
usual = {
    "exchange": "NSE",
    "tradingsymbol": "INFY",
    "transaction_type": "BUY",
    "quantity": "1",
    "product": "MIS",
    "order_type": "LIMIT",
    "price": "1500",
}


def every_route() -> list[tuple[str, str]]:
    """Return method and path of whatever the application answers, and of what it does not."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    with tempfile.TemporaryDirectory() as folder:
        paper = open_paper(Options.from_namespace(parser.parse_args(["--state-dir", folder])))
        router = build_site(paper).app.router
        paper.journal.close()
    found = {(route.method, re.sub(r"{[^}]*}", "{}", route.resource.canonical)) for route in router.routes()}
    return [*sorted(found), ("PATCH", "/orders"), ("GET", "/{}"), ("POST", "/quote")]


ROUTES = every_route()
WIRE_WORDS = (
    b"\r\n",
    b"\r\n\r\n",
    b"\x00",
    b"\xff",
    b"%",
    b"%ff",
    b"HTTP/1.1",
    b"-1",
    b"99999999999",
    b":",
    b"chunked",
)
parts = st.sampled_from(["regular", "amo", "co", "iceberg", "auction", "NSE", "408065", "day", "minute", "1", "INFY"])
ERRORS = {"InputException", "TokenException", "OrderException", "MarginException", "HoldingException"} | {
    "GeneralException",
    "NetworkException",
}


@settings(quickly, max_examples=150)
@given(changes=st.dictionaries(fields, texts), variety=parts)
def test_any_form_gets_kites_json(paper, changes, variety):
    answer = paper.http.post(f"{paper.root}/orders/{variety}", data=usual | changes, headers=HEADERS, timeout=5)

    content = answer.json()
    if answer.status_code == 200:
        assert content["data"]["order_id"].startswith("SIM")
    else:
        assert (answer.status_code, content["error_type"]) == (400, "InputException")


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory):
    """A server whose clock, prices and account may be turned upside down."""
    server = PaperProcess(tmp_path_factory.mktemp("victim"))
    yield server
    server.stop()


@settings(quickly, max_examples=400)
@given(
    route=st.sampled_from(ROUTES),
    segments=st.tuples(parts | st.text(min_size=1, max_size=20), parts | st.text(min_size=1, max_size=20)),
    query=st.lists(
        st.tuples(st.sampled_from(["i", "from", "to", "mode", "oi", "api_key"]) | st.text(max_size=5), texts)
    ),
    body=st.dictionaries(fields, texts) | st.binary(max_size=100) | st.none(),
)
@example(route=("GET", "/orders/{}"), segments=("%2e%2e", "x"), query=[], body=None)
@example(
    route=("GET", "/instruments/historical/{}/{}"),
    segments=("408065", "day"),
    query=[("from", "0001-01-01"), ("to", "0001-01-02")],
    body=None,
)
@example(
    route=("GET", "/instruments/historical/{}/{}"),
    segments=("408065", "minute"),
    query=[("from", "9999-12-30"), ("to", "9999-12-31")],
    body=None,
)
def test_every_route_answers_like_kite(victim, route, segments, query, body):
    method, path = route
    url = victim.root + path.format(*(quote(segment.encode(errors="replace"), safe="") for segment in segments))
    content = {name: text.encode(errors="replace") for name, text in body.items()} if isinstance(body, dict) else body
    params = [(name.encode(errors="replace"), text.encode(errors="replace")) for name, text in query]

    answer = victim.http.request(
        method, url, params=params, data=content, headers=HEADERS, timeout=10, allow_redirects=False
    )

    assert_kites(answer)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(fields, inner, max_size=6),
    max_leaves=12,
)
whole_order = st.fixed_dictionaries(
    {
        "exchange": st.just("NSE") | json_values,
        "tradingsymbol": st.sampled_from(["INFY", "SBIN"]) | json_values,
        "transaction_type": st.sampled_from(["BUY", "SELL"]) | json_values,
        "variety": st.sampled_from(["regular", "co"]) | json_values,
        "product": st.sampled_from(["CNC", "MIS"]) | json_values,
        "order_type": st.sampled_from(["MARKET", "LIMIT"]) | json_values,
        "quantity": st.integers(-1, 10**10) | json_values,
        "price": st.floats() | json_values,
        "trigger_price": st.floats() | json_values,
        "average_price": st.floats() | json_values,
    }
)


@settings(quickly, max_examples=150)
@given(
    path=st.sampled_from(["/margins/orders", "/margins/basket", "/charges/orders", "/paper/faults", "/paper/clock"]),
    content=json_values | st.lists(whole_order, max_size=3),
)
def test_any_json_gets_kites_json(victim, path, content):
    answer = victim.http.post(victim.root + path, data=json.dumps(content), headers=HEADERS, timeout=10)

    assert_kites(answer)


@settings(quickly, max_examples=100)
@given(content=st.binary(max_size=300))
@example(content=b"POST /orders/regular HTTP/1.1\r\nContent-Length: 99999999\r\n\r\nx")
@example(content=b"POST /orders/regular HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
@example(content=b"GET /orders HTTP/1.1\r\nHost: x\r\nAuthorization: token paper:paper\r\n\r\n" * 3)
@example(content=b"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
def test_any_bytes_leave_the_server_answering(victim, content):
    assert_sound(victim, sent_raw(victim, content))


def test_every_route_is_fuzzed():
    """As many as there are in the tables of the routes, so that a table left out of the site is noticed."""
    assert len(ROUTES) > 70
    assert {("POST", "/orders/{}"), ("DELETE", "/gtt/triggers/{}"), ("GET", "/"), ("POST", "/paper/reset")} < set(
        ROUTES
    )


edits = st.lists(
    st.tuples(
        st.floats(0, 1, exclude_max=True), st.integers(0, 6), st.binary(max_size=6) | st.sampled_from(WIRE_WORDS)
    ),
    min_size=1,
    max_size=4,
)


@settings(quickly, max_examples=300)
@given(
    route=st.sampled_from(ROUTES),
    changes=st.dictionaries(fields, sensible, max_size=3),
    chunked=st.booleans(),
    edits=edits,
)
def test_a_request_with_bytes_changed_anywhere_is_answered_or_refused(victim, route, changes, chunked, edits):
    """Requests that are nearly right go further in than noise does."""
    content = raw_request(*route, usual | changes, chunked)
    for place, length, replacement in edits:
        start = int(place * len(content))
        content = content[:start] + replacement + content[start + length :]

    assert_sound(victim, sent_raw(victim, content))


def raw_request(method: str, path: str, form: dict, chunked: bool) -> bytes:
    body = urlencode(form).encode()
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(body)
    lines = (
        f"{method} {path.format('regular', 'NSE')}?i=NSE:INFY&mode=compact HTTP/1.1".encode(),
        b"Host: 127.0.0.1",
        b"Authorization: token paper:paper",
        b"Content-Type: application/x-www-form-urlencoded",
        framing,
    )
    return b"\r\n".join(lines) + b"\r\n\r\n" + (b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if chunked else body)


def sent_raw(server: PaperProcess, content: bytes) -> bytes:
    answer = b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        connection.settimeout(5)
        try:
            connection.sendall(content)
            connection.shutdown(socket.SHUT_WR)
            while chunk := connection.recv(65536):
                answer += chunk
        except (ConnectionResetError, BrokenPipeError):
            pass  # it was refused before all of it had been sent
    return answer


def assert_sound(server: PaperProcess, answer: bytes) -> None:
    """Nothing, or HTTP; an error in the envelope, never a failure of the server; and it goes on."""
    assert answer == b"" or answer.startswith(b"HTTP/")
    assert b"Traceback" not in answer
    head, _, body = answer.partition(b"\r\n\r\n")
    status = head[9:12]
    assert status[:1] != b"5"
    if status[:1] == b"4" and b"application/octet-stream" not in head:
        assert b'"status": "error"' in body
        assert b'"error_type"' in body
    server.http.post(f"{server.root}/paper/sessions", timeout=5)  # that request, or one before, may have ended them
    assert server.http.get(f"{server.root}/user/profile", headers=HEADERS, timeout=5).status_code == 200


def assert_kites(answer: requests.Response) -> None:
    kind = answer.headers["Content-Type"].partition(";")[0]
    if len(answer.request.path_url) > REQUEST_LINE_BYTES_MAX - len("DELETE  HTTP/1.1"):
        assert answer.status_code == 400  # refused before anybody has read it
        return
    if kind == "application/json":
        content = answer.json()
        if answer.status_code != 200:
            assert (content["status"], content["data"]) == ("error", None)
            assert content["error_type"] in ERRORS
            assert content["message"]
            assert answer.status_code in (400, 403, 404, 405)
    else:
        assert answer.status_code in (200, 302)
        assert kind in ("text/csv", "text/html", "application/octet-stream")


def test_a_thousand_instruments_fit_into_one_request(victim):
    keys = [key for key, one in INSTRUMENTS.items() if not one.is_index][:250] * 4

    answer = victim.http.get(f"{victim.root}/quote/ltp", params={"i": keys}, headers=HEADERS, timeout=10)

    assert len(answer.json()["data"]) == 250
    assert (
        victim.http.get(
            f"{victim.root}/quote/ltp", params={"i": [*keys, "NSE:INFY"]}, headers=HEADERS, timeout=10
        ).json()["message"]
        == "At most 1000 instruments can be asked for at once."
    )
