"""Whatever is sent, wherever: the answer is Kite's, and nothing breaks behind it."""

from __future__ import annotations

import json
import socket
from urllib.parse import quote

import pytest
import requests
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from orders.paper.market.instruments import INSTRUMENTS
from orders.paper.program import REQUEST_LINE_BYTES_MAX

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
ROUTES = [
    ("GET", "/orders"),
    ("POST", "/orders/{}"),
    ("GET", "/orders/{}"),
    ("GET", "/orders/{}/trades"),
    ("PUT", "/orders/{}/{}"),
    ("DELETE", "/orders/{}/{}"),
    ("GET", "/trades"),
    ("GET", "/portfolio/positions"),
    ("PUT", "/portfolio/positions"),
    ("GET", "/portfolio/holdings"),
    ("GET", "/portfolio/holdings/auctions"),
    ("POST", "/portfolio/holdings/authorise"),
    ("GET", "/user/profile"),
    ("GET", "/user/margins"),
    ("GET", "/user/margins/{}"),
    ("GET", "/quote"),
    ("GET", "/quote/ohlc"),
    ("GET", "/quote/ltp"),
    ("GET", "/instruments"),
    ("GET", "/instruments/{}"),
    ("GET", "/instruments/historical/{}/{}"),
    ("GET", "/instruments/trigger_range/{}"),
    ("GET", "/gtt/triggers"),
    ("POST", "/gtt/triggers"),
    ("GET", "/gtt/triggers/{}"),
    ("PUT", "/gtt/triggers/{}"),
    ("DELETE", "/gtt/triggers/{}"),
    ("POST", "/margins/orders"),
    ("POST", "/margins/basket"),
    ("POST", "/charges/orders"),
    ("GET", "/mf/orders"),
    ("POST", "/mf/orders"),
    ("GET", "/mf/instruments"),
    ("GET", "/alerts"),
    ("GET", "/alerts/{}"),
    ("POST", "/session/token"),
    ("DELETE", "/session/token"),
    ("POST", "/session/refresh_token"),
    ("GET", "/connect/login"),
    ("POST", "/connect/login"),
    ("PATCH", "/orders"),
    ("GET", "/{}"),
    ("GET", "/"),
    ("GET", "/ws"),
    ("PUT", "/paper/prices/NSE/{}"),
    ("POST", "/paper/faults"),
    ("POST", "/paper/clock"),
    ("POST", "/paper/funds"),
    ("POST", "/paper/holdings/NSE/{}"),
]
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
    with socket.create_connection(("127.0.0.1", victim.port), timeout=5) as connection:
        connection.sendall(content)
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(5)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk

    assert answer == b"" or answer.startswith(b"HTTP/1.")
    assert b"Traceback" not in answer
    assert victim.http.get(f"{victim.root}/user/profile", headers=HEADERS, timeout=5).status_code == 200


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
