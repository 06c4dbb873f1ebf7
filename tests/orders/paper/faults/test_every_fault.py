"""
Every fault there is, as the SDK sees it, and what is true of the order behind it.

Each table states it kind by kind; `test_every_kind_is_in_one_of_the_tables` keeps them whole. The faults are asked
for as JSON over the control route and as words of the command, and nothing is slept: where seconds are the paper
Kite's, its clock is moved.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import RemoteDisconnected

import pytest
from kiteconnect.exceptions import (
    DataException,
    GeneralException,
    InputException,
    NetworkException,
    OrderException,
    TokenException,
)
from requests.exceptions import ChunkedEncodingError, ReadTimeout
from requests.exceptions import ConnectionError as Disconnected
from urllib3.exceptions import IncompleteRead, ReadTimeoutError

from orders.paper.faults.faults import NOT_REACHING_ORDERS, ROUTES_OF, Kind
from orders.paper.faults.misbehaviour import INSTEAD
from tests.orders.paper.paper_process import PaperProcess, until
from tests.orders.paper.stream.conftest import Ticker, TickerProcess

from .conftest import Asker

PATIENCE = 0.1  # seconds that a client waits where it is to lose its patience
LATE = 0.3  # and how late it comes then


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What is true when a fault struck the placement of a limit order that rests, or of a market order."""

    # Seen by the client: an exception with its code, its text and, of the network's, what is in it; or an order id.
    seen: type[Exception] | None = None
    code: int | None = None
    says: str = ""
    inside: type[Exception] | None = None
    # True of the order: accepted before the answer, later, or not at all; what the book shows then, and after a while.
    accepted: str = "no"  # or at once, later
    book: tuple[str, ...] = ()
    becomes: tuple[str, ...] = ()
    filled: int = 0
    # Whether a second try is needed for an order to be at work, and right: without need it would be a second order.
    retry: bool = False
    # What is asked of the fault and of the order; seconds that pass on the paper Kite's clock.
    ask: dict = field(default_factory=dict)
    market: bool = False
    passes: float = 0
    impatient: bool = False


def not_placed(seen, **more) -> Claim:
    return Claim(seen=seen, accepted="no", retry=True, **more)


def placed(seen=None, **more) -> Claim:
    return Claim(
        **{"seen": seen, "accepted": "at once", "book": ("OPEN",), "becomes": ("OPEN",), "retry": False} | more
    )


# Pages of a proxy, for which the SDK has a code of its own, whatever the status was.
PAGE_502, PAGE_503, PAGE_504 = (
    {"code": 502, "says": f"<title>{title}</title>"}
    for title in ("502 Bad Gateway", "503 Service Unavailable", "504 Gateway Timeout")
)

ON_PLACING = {
    Kind.DROP_BEFORE: not_placed(Disconnected, inside=RemoteDisconnected),
    Kind.DROP_AFTER: placed(Disconnected, inside=RemoteDisconnected),
    Kind.DROP_MID_ANSWER: placed(ChunkedEncodingError, inside=IncompleteRead),
    Kind.RESET_BEFORE: not_placed(Disconnected, inside=ConnectionResetError),
    Kind.RESET_AFTER: placed(Disconnected, inside=ConnectionResetError),
    Kind.RESET_MID_ANSWER: placed(ChunkedEncodingError, inside=ConnectionResetError),
    Kind.ERROR_502_JSON: not_placed(DataException, code=502, says="the OMS"),
    Kind.ERROR_502_HTML: not_placed(DataException, **PAGE_502),
    Kind.ERROR_503: not_placed(NetworkException, code=503, says="the OMS"),
    Kind.ERROR_503_HTML: not_placed(DataException, **PAGE_503),
    Kind.ERROR_504: not_placed(NetworkException, code=504, says="timed out"),
    Kind.ERROR_504_HTML: not_placed(DataException, **PAGE_504),
    Kind.ERROR_429: not_placed(NetworkException, code=429, says="Too many requests"),
    Kind.ERROR_502_JSON_AFTER: placed(DataException, code=502, says="the OMS"),
    Kind.ERROR_502_AFTER: placed(DataException, **PAGE_502),
    Kind.ERROR_503_AFTER: placed(NetworkException, code=503, says="the OMS"),
    Kind.ERROR_503_HTML_AFTER: placed(DataException, **PAGE_503),
    Kind.ERROR_504_AFTER: placed(NetworkException, code=504, says="timed out"),
    Kind.ERROR_504_HTML_AFTER: placed(DataException, **PAGE_504),
    Kind.ERROR_429_AFTER: placed(NetworkException, code=429, says="Too many requests"),
    Kind.ERROR_400_TIMEOUT_AFTER: placed(OrderException, code=400, says="check the order book"),
    Kind.REFUSE_MARGIN: not_placed(GeneralException, code=400, says="Insufficient funds"),
    Kind.REFUSE_INPUT: not_placed(InputException, code=400, says="Invalid order"),
    Kind.TOKEN: not_placed(TokenException, code=403, says="access_token"),
    Kind.DELAY: placed(
        ReadTimeout, inside=ReadTimeoutError, accepted="later", book=(), impatient=True, ask={"seconds": LATE}
    ),
    Kind.DELAY_AFTER: placed(ReadTimeout, inside=ReadTimeoutError, impatient=True, ask={"seconds": LATE}),
    Kind.LATE_AFTER: placed(
        NetworkException, code=504, says="timed out", accepted="later", book=(), ask={"seconds": LATE}
    ),
    Kind.TRICKLE: placed(ask={"seconds": 0.001}),
    Kind.EMPTY_SUCCESS: placed(TypeError, says="NoneType"),
    Kind.HIDE: placed(book=(), ask={"seconds": 5}, passes=5),
    Kind.HOLD_FILL: placed(market=True),
    Kind.PARTIAL_FILL: placed(market=True, filled=4, ask={"shares": 4}),
    Kind.REJECT_LATER: placed(
        book=("VALIDATION PENDING",), becomes=("REJECTED",), ask={"seconds": 5}, passes=5, retry=True
    ),
    Kind.STUCK: placed(book=("PUT ORDER REQ RECEIVED",), ask={"seconds": 5}, passes=5),
}


@dataclass(frozen=True, kw_only=True)
class Change:
    """What a client is answered to a change of an order at 1490, and what the book says of the order then."""

    status: str
    price: float = 1490.0
    filled: int = 0


ON_CHANGING = {
    (Kind.IGNORE, "modify"): Change(status="OPEN"),
    (Kind.IGNORE, "cancel"): Change(status="OPEN"),
    (Kind.FILL_FIRST, "cancel"): Change(status="COMPLETE", filled=10),
}

# Which of two updates, about the first order and the second, arrive; and which when five seconds have passed.
ON_UPDATES = {
    Kind.DUPLICATE: (["first", "first", "second"], []),
    Kind.MISSING: (["second"], []),
    Kind.OUT_OF_ORDER: (["second", "first"], []),
    Kind.LATE: (["second"], ["first"]),
}

# What KiteTicker calls by itself, the socket being open or about to be; and whether an update then arrives.
ON_THE_SOCKET = {
    Kind.DROP: (["close", "connect"], True),
    Kind.STRAY_PONG: (["close", "connect"], True),  # the SDK's watchdog is armed by it, and gives up
    Kind.REFUSE: (["error", "close", "connect"], True),
    Kind.SILENT: ([], False),
}

TABLES = (
    set(ON_PLACING),
    {kind for kind, _ in ON_CHANGING},
    set(ON_UPDATES),
    set(ON_THE_SOCKET),
)


def test_every_kind_is_in_one_of_the_tables():
    assert sorted(kind for table in TABLES for kind in table) == sorted(Kind)
    assert {(kind, route) for kind in (Kind.IGNORE, Kind.FILL_FIRST) for route in ROUTES_OF[kind]} == set(ON_CHANGING)


def test_the_faults_that_reach_no_order_are_those_of_the_table():
    assert {kind for kind, claim in ON_PLACING.items() if claim.accepted == "no"} == NOT_REACHING_ORDERS
    assert set(INSTEAD) < NOT_REACHING_ORDERS


# --- Looking ---------------------------------------------------------------------------------------------------------


def statuses(kite) -> tuple[str, ...]:
    return tuple(row["status"] for row in kite.orders())


def met(claim: Claim, error: BaseException) -> None:
    """Check that this is the exception the client was said to see."""
    assert type(error) is claim.seen
    assert getattr(error, "code", None) == claim.code
    assert claim.says in str(error)
    if claim.inside is not None:
        causes = [error, *error.args]
        causes += [cause for one in causes for cause in getattr(one, "args", ())]
        # By its very type: RemoteDisconnected, of a FIN, is a ConnectionResetError as well.
        assert claim.inside in [type(cause) for cause in causes]


def seen_by(act, claim: Claim) -> str | None:
    """Return the answer to the act when none but an answer is claimed."""
    if claim.seen is None:
        return act()
    with pytest.raises(claim.seen) as raised:
        act()
    met(claim, raised.value)
    return None


# --- Placing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ON_PLACING)
def test_a_fault_on_placing_does_what_the_table_says(ask, paper_clock, kite, paper, order, market_order, kind):
    claim = ON_PLACING[kind]
    ask({"route": "place", "do": kind, **claim.ask})
    client = paper.kite(timeout=PATIENCE) if claim.impatient else kite
    terms = (market_order if claim.market else order)(tag="mine")

    answer = seen_by(lambda: client.place_order(**terms), claim)

    assert len(paper.accepted()) == (claim.accepted == "at once")
    assert statuses(kite) == claim.book
    if claim.accepted == "later":
        until(paper.accepted)
    assert answer == (paper.accepted()[0] if claim.seen is None else None)
    if claim.passes:
        paper_clock.pass_on(claim.passes - 0.001)
        assert statuses(kite) == claim.book
        paper_clock.pass_on(0.001)
    assert statuses(kite) == claim.becomes
    assert [row["filled_quantity"] for row in kite.orders()] == [claim.filled] * len(claim.becomes)
    (strike,) = paper.control("GET", "faults/struck")["data"]
    assert (strike["tag"], strike["order_ids"]) == ("mine", paper.accepted())

    if claim.retry:
        kite.place_order(**terms)
    assert [row["tag"] for row in kite.orders() if row["status"] not in ("REJECTED", "CANCELLED")] == ["mine"]
    assert paper.control("GET", "faults")["data"] == []


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind.startswith("error_")])
def test_an_error_has_the_status_of_its_name_and_comes_as_json_or_as_a_page(paper, kind):
    page = "html" in kind or kind is Kind.ERROR_502_AFTER
    paper.fault("place", kind)

    answer = paper.http.post(f"{paper.root}/orders/regular", headers={"Authorization": "token paper:paper"}, timeout=5)

    assert str(answer.status_code) == kind.split("_")[1]
    assert answer.headers["Content-Type"].split(";")[0] == ("text/html" if page else "application/json")


# --- Changing --------------------------------------------------------------------------------------------------------


def cancel(kite, order_id: str) -> str:
    return kite.cancel_order("regular", order_id)


def modify(kite, order_id: str) -> str:
    return kite.modify_order("regular", order_id, price=1480.0)


@pytest.mark.parametrize(("kind", "route"), ON_CHANGING)
def test_a_change_that_is_answered_as_done_and_is_not(ask, kite, order, kind, route):
    claim = ON_CHANGING[kind, route]
    order_id = kite.place_order(**order())
    ask({"route": route, "do": kind})

    assert (cancel if route == "cancel" else modify)(kite, order_id) == order_id

    (row,) = kite.orders()
    assert (row["status"], row["price"], row["filled_quantity"]) == (claim.status, claim.price, claim.filled)


@pytest.mark.parametrize("route", ["cancel", "modify"])
@pytest.mark.parametrize("kind", [kind for kind in ON_PLACING if kind not in ROUTES_OF])
def test_a_change_is_seen_and_made_as_a_placement_would_be(kite, paper, order, kind, route):
    claim = ON_PLACING[kind]
    order_id = kite.place_order(**order(tag="mine"))
    Asker(paper, "control")({"route": route, "do": kind, **claim.ask})
    client = paper.kite(timeout=PATIENCE) if claim.impatient else kite

    def act() -> str:
        return (cancel if route == "cancel" else modify)(client, order_id)

    def made() -> bool:
        row = kite.orders()[0]
        return row["status"] == "CANCELLED" if route == "cancel" else row["price"] == 1480.0

    seen_by(act, claim)

    assert made() == (claim.accepted == "at once")
    if claim.accepted == "later":
        until(made)
    (strike,) = paper.control("GET", "faults/struck")["data"]
    assert (strike["tag"], strike["order_ids"]) == ("mine", [order_id])


# --- Reading ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [kind for kind in ON_PLACING if kind not in ROUTES_OF and kind != Kind.EMPTY_SUCCESS])
def test_a_read_is_seen_as_a_placement_would_be(kite, paper, kind):
    claim = ON_PLACING[kind]
    Asker(paper, "control")({"route": "profile", "do": kind, **claim.ask})
    client = paper.kite(timeout=PATIENCE) if claim.impatient else kite

    seen_by(client.profile, claim)

    assert kite.profile()["broker"]


def test_an_empty_success_to_a_read_is_an_answer_without_anything(kite, paper):
    paper.fault("profile", "empty_success")

    assert kite.profile() is None


# --- Order updates and the socket ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tickers(paper_server: PaperProcess) -> Iterator[TickerProcess]:
    process = TickerProcess(paper_server.root.replace("http", "ws"))
    yield process
    process.stop()


@pytest.fixture
def ticker(paper, tickers) -> Iterator[Ticker]:
    one = tickers.ticker(token=paper.log_in("key"))
    one.hear("connect")
    yield one
    one.do("close")
    with suppress(AssertionError):
        one.hear("close")


def heard(ticker: Ticker, how_many: int) -> list[str]:
    """Return the tags of the next updates about an order of this test."""
    tags: list[str] = []
    while len(tags) < how_many:
        tag = ticker.hear("order_update")["row"]["tag"]
        tags += [tag] if tag in ("first", "second", "third", "afterwards") else []
    return tags


@pytest.mark.processes
@pytest.mark.parametrize("kind", ON_UPDATES)
def test_a_fault_on_updates_does_what_the_table_says(paper_clock, kite, paper, ticker, order, kind):
    at_once, later = ON_UPDATES[kind]
    Asker(paper, "command")({"route": "updates", "do": kind} | ({"seconds": 5} if later else {}))

    for tag in ("first", "second"):
        kite.place_order(**order(tag=tag))

    assert heard(ticker, len(at_once)) == at_once
    if later:
        paper_clock.pass_on(5)
        assert heard(ticker, len(later)) == later
    kite.place_order(**order(tag="third"))
    assert heard(ticker, 1) == ["third"]


@pytest.mark.processes
@pytest.mark.parametrize("kind", ON_THE_SOCKET)
def test_a_fault_on_the_socket_does_what_the_table_says(kite, paper, tickers, ticker, order, kind):
    events, hears = ON_THE_SOCKET[kind]
    Asker(paper, "command")({"route": "stream", "do": kind})
    one = tickers.ticker(token=paper.log_in("key")) if kind is Kind.REFUSE else ticker

    for event in events:
        one.hear(event)

    until(lambda: paper.control("GET", "faults")["data"] == [])
    witness = tickers.ticker(token=paper.log_in("key"))
    witness.hear("connect")
    kite.place_order(**order(tag="afterwards"))
    assert heard(witness, 1) == ["afterwards"]
    if hears:
        assert heard(one, 1) == ["afterwards"]
    else:
        told = [line for line in tickers.told if line["ticker"] == one.name and line["event"] == "order_update"]
        assert told == []
    witness.do("close")
    if one is not ticker:
        one.do("close")
