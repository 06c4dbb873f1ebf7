"""
What each answer to a place means (Kite Connect v3, Exceptions), through the real SDK over HTTP, row by row.

REFUSED is surely not placed; UNKNOWN is everything that is not surely one of the two. The paper server's journal is
the witness of what arrived; a raw server gives the answers that no paper server can be asked for.
"""

from __future__ import annotations

import contextlib
import socket
import time
from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from orders.broker.deadline import boot_clock
from orders.broker.gateway import (
    BrokerUnreachable,
    NotSent,
    OrderRefused,
    OrderRequest,
    OutcomeUnknown,
    SessionRefused,
    TooManyRequests,
)
from orders.broker.kite import KiteGateway

from .paper.paper_process import until
from .raw_server import RawServer, http, kite_error, raw

__all__ = ["raw"]

IST = ZoneInfo("Asia/Kolkata")
TIMED_OUT = "Order request timed out. Please check the order book and confirm before placing again."


def request(**changes):
    usual = {
        "tag": "TEST0000000000000001",
        "exchange": "NSE",
        "symbol": "RELIANCE",
        "side": "BUY",
        "product": "CNC",
        "order_type": "LIMIT",
        "quantity": 3,
        "price": Decimal("1390.10"),
    }
    return OrderRequest(**{**usual, **changes})


def soon() -> float:
    return boot_clock() + 5


@pytest.fixture
def gateway_at():
    """Return a gateway for the server at an address."""
    gateways = []

    def make(root: str) -> KiteGateway:
        gateways.append(KiteGateway(api_key="paper", root=root, access_token=lambda: "paper"))
        return gateways[-1]

    yield make
    for gateway in gateways:
        if client := getattr(gateway._clients, "kite", None):
            client.reqsession.close()


@pytest.fixture
def gateway(gateway_at, paper):
    return gateway_at(paper.root)


@pytest.fixture
def to_raw(gateway_at, raw: RawServer):
    """Place an order at the raw server, which answers like this."""

    def place(*answers):
        raw.answer(*answers)
        return gateway_at(raw.root).place(request(), send_by=soon())

    return place


@pytest.fixture
def impatient(monkeypatch):
    """A call may take 0.3 s in all."""
    monkeypatch.setattr("orders.broker.kite.CALL_SECONDS", 0.3)


def test_an_order_that_is_taken_returns_the_brokers_id(gateway, paper):
    broker_order_id = gateway.place(request(), send_by=soon())

    assert paper.accepted() == [broker_order_id]
    (accepted,) = (row for row in paper.journal() if row["event"] == "accepted")
    assert (accepted["tag"], accepted["tradingsymbol"], accepted["transaction_type"]) == (
        "TEST0000000000000001", "RELIANCE", "BUY",
    )  # fmt: skip
    assert (accepted["quantity"], accepted["order_type"], accepted["price"]) == (3, "LIMIT", 1390.1)


def test_a_market_order_goes_with_market_protection(gateway, paper):
    gateway.place(request(order_type="MARKET", price=None), send_by=soon())

    (accepted,) = (row for row in paper.journal() if row["event"] == "accepted")
    assert accepted["order_type"] == "MARKET"


@pytest.mark.parametrize(
    ("fault", "outcome", "placed"),
    [
        ("drop_before", OutcomeUnknown, 0),
        ("drop_after", OutcomeUnknown, 1),
        ("error_503", OutcomeUnknown, 0),
        ("error_503_after", OutcomeUnknown, 1),
        ("error_504", OutcomeUnknown, 0),
        ("error_502_html", OutcomeUnknown, 0),
        ("error_400_timeout_after", OutcomeUnknown, 1),
        ("empty_success", OutcomeUnknown, 1),
        ("error_429", TooManyRequests, 0),
        ("refuse_margin", OrderRefused, 0),
        ("refuse_input", OrderRefused, 0),
        ("token", SessionRefused, 0),
    ],
)
def test_each_fault_of_the_broker_has_its_outcome_and_nothing_is_sent_again(gateway, paper, fault, outcome, placed):
    paper.fault("place", fault)

    with pytest.raises(outcome) as raised:
        gateway.place(request(), send_by=soon())

    assert type(raised.value) is outcome
    assert len(paper.accepted()) == placed


def test_an_order_that_arrives_after_its_answer_is_unknown(gateway, paper):
    paper.fault("place", "late_after", seconds=0.2)

    with pytest.raises(OutcomeUnknown):
        gateway.place(request(), send_by=soon())

    assert until(paper.accepted)


def test_an_answer_that_does_not_come_in_time_is_unknown(gateway, paper, impatient):
    paper.fault("place", "delay", seconds=1.0)

    with pytest.raises(OutcomeUnknown):
        gateway.place(request(), send_by=soon())

    assert until(paper.accepted)


def test_an_answer_that_dribbles_is_given_up_at_the_deadline_of_the_whole_call(gateway, paper, impatient):
    paper.fault("place", "trickle", seconds=0.1)
    began = time.monotonic()

    with pytest.raises(OutcomeUnknown):
        gateway.place(request(), send_by=soon())

    assert 0.3 <= time.monotonic() - began < 2
    assert len(paper.accepted()) == 1


def test_a_server_that_never_ends_its_headers_is_given_up_too(to_raw, impatient):
    def dribble(sock: socket.socket) -> None:
        sock.sendall(b"HTTP/1.1 200 OK\r\n")
        for _ in range(40):
            sock.sendall(b"X-More: and more\r\n")
            time.sleep(0.05)

    began = time.monotonic()

    with pytest.raises(OutcomeUnknown):
        to_raw(dribble)

    assert time.monotonic() - began < 1.5


REFUSED = [
    (400, "InputException", "Invalid `price`."),
    (400, "OrderException", "Freeze quantity exceeded."),
    (400, "MarginException", "Insufficient funds."),
    (400, "HoldingException", "Insufficient holdings."),
    (400, "UserException", "Account blocked."),
    (428, "HoldingException", "Authorise at CDSL."),
    (403, "PermissionException", "Insufficient permission for that call."),
    (404, "GeneralException", "Route not found"),
    (405, "GeneralException", "Method not allowed"),
    (410, "GeneralException", "Gone"),
    (429, "NetworkException", "Too many requests"),
]


@pytest.mark.parametrize(("status", "error_type", "text"), REFUSED)
def test_what_is_surely_not_placed_is_refused_with_kites_words(to_raw, status, error_type, text):
    with pytest.raises(OrderRefused) as raised:
        to_raw(kite_error(status, error_type, text))

    assert type(raised.value) is (TooManyRequests if status == 429 else OrderRefused)
    assert str(raised.value) == text


def test_a_dead_login_is_refused_as_such(to_raw):
    with pytest.raises(SessionRefused, match="Incorrect"):
        to_raw(kite_error(403, "TokenException", "Incorrect `api_key` or `access_token`."))


@pytest.mark.parametrize(
    ("status", "error_type", "text"),
    [
        (400, "OrderException", TIMED_OUT),
        (400, "InputException", TIMED_OUT),
        (400, "GeneralException", "Request timeout"),
        (400, "OrderException", "Time-out at the exchange"),
        (400, "OrderException", "The request TIMED OUT"),
        (400, "OrderException", "Please check the orderbook"),
        (403, "PermissionException", "timed out"),
        (429, "NetworkException", "timed out"),
        (500, "GeneralException", "Something went wrong"),
        (500, "OrderException", "Unexpected"),
        (502, "NetworkException", "OMS down"),
        (503, "NetworkException", "API down"),
        (504, "NetworkException", "Gateway timed out"),
        (502, "DataException", "Unparseable"),
        (400, "DataException", "Unparseable"),
        (400, "NetworkException", "Connection to the OMS was lost"),
        (401, "GeneralException", "Not listed"),
        (409, "GeneralException", "Not listed"),
        (422, "InputException", "Not listed"),
    ],
)
def test_what_is_not_surely_refused_is_unknown(to_raw, status, error_type, text):
    with pytest.raises(OutcomeUnknown):
        to_raw(kite_error(status, error_type, text))


@pytest.mark.parametrize(
    "answer",
    [
        http(200, {"status": "success", "data": None}),
        http(200, {"status": "success", "data": {}}),
        http(200, {"status": "success", "data": {"order_id": None}}),
        http(200, {"status": "success", "data": {"order_id": ""}}),
        http(200, {"status": "success", "data": []}),
        http(200, {"status": "success"}),
        http(200, {}),
        http(200, []),
        http(200, "null"),
        http(200, "{"),
        http(200, ""),
        http(200, {"status": "success", "data": {"order_id": "1"}}, content_type=None),
        http(200, "<html>", content_type="text/html"),
        http(200, "a,b", content_type="text/csv"),
        http(400, {"status": "error"}),
        http(400, {"status": "error", "error_type": "InputException"}),
        http(400, {"status": "error", "message": "no"}),
        http(403, "<html>", content_type="text/html"),
        http(429, "<html>", content_type="text/html"),
        http(502, "<html>", content_type="text/html"),
        http(100, ""),
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"220 smtp.example.com ESMTP\r\n",
        b"",
    ],
)
def test_an_answer_that_cannot_be_made_sense_of_is_unknown(to_raw, answer):
    with pytest.raises(OutcomeUnknown):
        to_raw(answer)


def test_a_connection_that_is_reset_is_unknown(to_raw):
    def reset(sock: socket.socket) -> None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")

    with pytest.raises(OutcomeUnknown):
        to_raw(reset)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_is_unknown(to_raw, raw, status):
    elsewhere = RawServer()
    elsewhere.answer(http(200, {"status": "success", "data": {"order_id": "1"}}))

    with pytest.raises(OutcomeUnknown):
        to_raw(http(status, "", content_type="text/html", Location=f"{elsewhere.root}/orders/regular"))

    elsewhere.stop()
    assert (len(raw.requests), elsewhere.requests) == (1, [])


def test_a_port_where_nobody_listens_was_not_sent(gateway_at):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    with pytest.raises(OrderRefused, match="not sent"):
        gateway_at(f"http://127.0.0.1:{port}").place(request(), send_by=soon())


def test_a_name_that_does_not_resolve_was_not_sent(gateway_at):
    with pytest.raises(OrderRefused, match="not sent"):
        gateway_at("http://kite.invalid:80").place(request(), send_by=soon())


def test_a_handshake_that_fails_was_not_sent(gateway_at, raw):
    """The table: an SSL error at connect is "not sent", for the request is written after it."""
    raw.listens_first = False
    raw.answer(b"this is not TLS\r\n")

    with pytest.raises(OrderRefused, match="not sent"):
        gateway_at(raw.root.replace("http:", "https:")).place(request(), send_by=soon())


def test_what_must_have_left_by_now_does_not_leave(gateway, paper):
    with pytest.raises(NotSent):
        gateway.place(request(), send_by=boot_clock() - 0.001)

    assert paper.journal() == []


def test_not_a_byte_leaves_too_late(gateway_at, raw):
    raw.answer(http(200, {"status": "success", "data": {"order_id": "1"}}))

    with pytest.raises(NotSent):
        gateway_at(raw.root).place(request(), send_by=boot_clock() - 0.001)

    assert raw.requests == []


def test_a_connection_that_was_kept_open_looks_at_the_clock_too(gateway, paper):
    gateway.place(request(), send_by=soon())

    with pytest.raises(NotSent):
        gateway.place(request(), send_by=boot_clock() - 0.001)

    assert len(paper.accepted()) == 1
    gateway.place(request(), send_by=soon())
    assert len(paper.accepted()) == 2


def test_neither_a_netrc_nor_a_proxy_of_the_environment_is_used(gateway, paper, raw, monkeypatch, tmp_path):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, raw.root)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    raw.answer(http(200, {"status": "success", "data": {"order_id": "from the proxy"}}))

    assert gateway.place(request(), send_by=soon()).startswith("SIM")

    assert raw.requests == []


def test_the_token_of_the_moment_is_sent(raw):
    tokens = iter(["first", "second"])
    gateway = KiteGateway(api_key="key", root=raw.root, access_token=lambda: next(tokens))
    raw.answer(http(200, {"status": "success", "data": {"order_id": "1"}}))

    gateway.place(request(), send_by=soon())
    gateway.place(request(), send_by=soon())

    assert b"Authorization: token key:first" in raw.requests[0]
    assert b"Authorization: token key:second" in raw.requests[1]


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [("refuse_input", OrderRefused), ("error_503", OutcomeUnknown), ("drop_after", OutcomeUnknown)],
)
def test_a_cancel_has_the_same_outcomes(gateway, paper, fault, outcome):
    broker_order_id = gateway.place(request(), send_by=soon())
    paper.fault("cancel", fault)

    with pytest.raises(outcome):
        gateway.cancel(broker_order_id)


def test_a_cancel_that_is_accepted_shows_in_the_book(gateway, paper):
    broker_order_id = gateway.place(request(), send_by=soon())

    gateway.cancel(broker_order_id)

    assert [order.status for order in gateway.book(datetime.now(IST)).orders] == ["CANCELLED"]


READS = {
    "book": lambda gateway: gateway.book(datetime.now(IST)),
    "positions": lambda gateway: gateway.positions(),
    "quotes": lambda gateway: gateway.quotes([("NSE", "RELIANCE")]),
    "available_funds": lambda gateway: gateway.available_funds(),
    "instruments": lambda gateway: gateway.instruments("NSE"),
    "user_id": lambda gateway: gateway.user_id(),
}


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("fault", ["drop_before", "error_503", "error_502_html", "error_429", "refuse_input"])
def test_a_read_that_fails_only_leaves_us_without_news(gateway, paper, read, fault):
    paper.fault("any", fault)

    with pytest.raises(BrokerUnreachable):
        READS[read](gateway)


@pytest.mark.parametrize("read", READS)
def test_a_read_with_a_dead_login_says_so(gateway, paper, read):
    paper.fault("any", "token")

    with pytest.raises(SessionRefused):
        READS[read](gateway)


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize(
    "answer",
    [
        http(200, {"status": "success", "data": None}),
        http(200, {"status": "success", "data": [{"exchange": "NSE"}]}),
        http(200, {"status": "success", "data": {"net": [{"exchange": "NSE"}], "NSE:RELIANCE": {"last_price": "?"}}}),
    ],
)
def test_a_read_that_makes_no_sense_leaves_us_without_news(gateway_at, raw, read, answer):
    raw.answer(answer)

    with pytest.raises(BrokerUnreachable):
        READS[read](gateway_at(raw.root))


def test_an_errors_words_can_be_kept_whatever_they_hold(gateway_at, raw):
    raw.answer(http(503, {"status": "error", "error_type": "NetworkException", "message": "down\x00 \ud800"}))

    with pytest.raises(BrokerUnreachable) as away:
        gateway_at(raw.root).positions()

    assert str(away.value) == "NetworkException: down␀ ?"


@pytest.mark.parametrize("price", ["NaN", "Infinity", "-1400.0", "0"])
def test_a_last_price_that_is_none_is_unknown(gateway_at, raw, price):
    raw.answer(http(200, f'{{"status": "success", "data": {{"NSE:RELIANCE": {{"last_price": {price}}}}}}}'))

    with contextlib.suppress(BrokerUnreachable):
        assert gateway_at(raw.root).quotes([("NSE", "RELIANCE")]) == {}


@pytest.mark.parametrize("limits", ['"lower_circuit_limit": 0, "upper_circuit_limit": NaN', '"depth": {}'])
def test_circuit_limits_that_are_none_are_unknown(gateway_at, raw, limits):
    row = f'{{"last_price": 1400.0, {limits}}}'
    raw.answer(http(200, f'{{"status": "success", "data": {{"NSE:RELIANCE": {row}}}}}'))

    (quote,) = gateway_at(raw.root).quotes([("NSE", "RELIANCE")]).values()

    assert (quote.last_price, quote.lower_circuit, quote.upper_circuit) == (1400, None, None)


@pytest.mark.parametrize("net", ["NaN", "null", "true", '"much"', "{}"])
def test_funds_that_are_no_number_are_unknown(gateway_at, raw, net):
    raw.answer(http(200, f'{{"status": "success", "data": {{"net": {net}}}}}'))

    with pytest.raises(BrokerUnreachable):
        gateway_at(raw.root).available_funds()


def test_a_debt_is_told_as_one(gateway_at, raw):
    raw.answer(http(200, '{"status": "success", "data": {"net": -204.1}}'))

    assert gateway_at(raw.root).available_funds() == Decimal("-204.1")


def test_what_is_blocked_by_an_order_is_not_available(gateway):
    before = gateway.available_funds()

    gateway.place(request(), send_by=soon())

    assert before == 1_000_000_000
    assert gateway.available_funds() == before - request().quantity * request().price


def test_a_read_that_dribbles_is_given_up_at_the_deadline(gateway, paper, impatient):
    paper.fault("positions", "trickle", seconds=0.1)
    gateway.place(request(price=Decimal("1405.00")), send_by=soon())

    with pytest.raises(BrokerUnreachable):
        gateway.positions()


def test_the_book_shows_orders_trades_and_positions_in_exact_decimals_and_indian_time(gateway, paper):
    paper.set_price("NSE:RELIANCE", "204.10")
    before = datetime.now(IST).replace(microsecond=0)
    broker_order_id = gateway.place(request(price=Decimal("204.20")), send_by=soon())

    book = gateway.book(datetime.now(IST))

    (order,), (trade,) = book.orders, book.trades
    assert (order.broker_order_id, order.tag, order.status) == (broker_order_id, "TEST0000000000000001", "COMPLETE")
    assert (order.quantity, order.filled_quantity, order.price) == (3, 3, Decimal("204.2"))
    assert (trade.broker_order_id, trade.quantity, trade.price) == (broker_order_id, 3, Decimal("204.1"))
    assert book.positions == {("NSE", "RELIANCE"): 3}
    for moment in (order.placed_at, trade.filled_at):
        assert moment.utcoffset() == timedelta(hours=5, minutes=30)
        assert before <= moment <= before + timedelta(seconds=10)


def test_holdings_count_beside_positions(gateway_at, raw):
    net = {"exchange": "NSE", "tradingsymbol": "INFY"}
    raw.answer(
        http(200, {"status": "success", "data": {"net": [{**net, "quantity": -2}], "day": []}}),
        http(200, {"status": "success", "data": [{**net, "quantity": 5, "t1_quantity": 4}]}),
    )

    assert gateway_at(raw.root).positions() == {("NSE", "INFY"): 3}


@pytest.mark.parametrize(
    ("quantity", "t1_quantity", "used_quantity"),
    [(0, 2, 0), (2, 2, 0), (2, 0, 1), (1, 0, 1)],
    ids=["left out of the quantity", "counted in it", "sold in part", "sold and taken off"],
)
def test_shares_still_to_be_settled_are_held(gateway_at, raw, quantity, t1_quantity, used_quantity):
    net = {"exchange": "NSE", "tradingsymbol": "RELIANCE"}
    sold = [{**net, "quantity": -used_quantity}]
    held = {"quantity": quantity, "t1_quantity": t1_quantity, "used_quantity": used_quantity, "opening_quantity": 2}
    raw.answer(
        http(200, {"status": "success", "data": {"net": sold, "day": sold}}),
        http(200, {"status": "success", "data": [net | held]}),
    )

    assert gateway_at(raw.root).positions() == {("NSE", "RELIANCE"): 2 - used_quantity}


def test_an_unknown_symbol_has_no_last_price(gateway):
    known = ("NSE", "RELIANCE")

    quotes = gateway.quotes([("NSE", "NOSUCHSHARE"), known])

    assert list(quotes) == [known]
    quote = quotes[known]
    assert quote.last_price == Decimal("1400.00")
    assert quote.lower_circuit < quote.last_price < quote.upper_circuit


def test_instruments_have_lots_and_ticks(gateway):
    reliance = next(one for one in gateway.instruments("NSE") if one.symbol == "RELIANCE")

    assert (reliance.exchange, reliance.lot_size, reliance.tick_size) == ("NSE", 1, Decimal("0.1"))
