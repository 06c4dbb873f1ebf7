"""
Zerodha through the Kite Connect SDK; the paper Kite server through the same code. The only module that knows the SDK.

The SDK raises a class by the error's name, loses the classes it does not know (margin errors among them), never looks
at the HTTP status, and lets the exceptions of `requests` and plain KeyErrors through. So the outcome of a place is
read here from the status, the text and the kind of failure, and whatever is not surely "not placed" is unknown
(Kite Connect v3, Exceptions and errors; and the order time-out that came as a 400 and was placed).
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar
from urllib.parse import urlencode

import structlog
from kiteconnect import KiteConnect
from kiteconnect.exceptions import DataException, KiteException, NetworkException, TokenException

from orders.broker import kite_rows
from orders.broker.deadline import DeadlineSession, ReadingSession, deadline
from orders.broker.gateway import (
    BrokerBook,
    BrokerUnreachable,
    Depth,
    GatewayError,
    HoldingReport,
    InstrumentReport,
    MarketQuote,
    NotSent,
    OrderRefused,
    OrderReport,
    OrderRequest,
    OutcomeUnknown,
    SessionRefused,
    Terms,
    TooManyRequests,
    TradeReport,
)
from orders.broker.rows_as_sent import RowReader, RowsAsSent
from orders.redaction import hide

LOGIN_PAGE = "https://kite.zerodha.com/connect/login"
CALL_SECONDS = 8.0  # the longest that one call may take in all
SOCKET_SECONDS = (3.05, 7.0)  # to connect, and for each wait on the socket
USER_ID_LENGTH_MAX, TOKEN_LENGTH_MAX = 32, 1000

_MAYBE_PLACED = re.compile(r"time[ds]?[ -]?out|check the order ?book", re.IGNORECASE)
TOO_MANY_REQUESTS = 429
_SURELY_NOT_PLACED = frozenset({400, 403, 404, 405, 410, 428, 429})

Answer = TypeVar("Answer")

log = structlog.get_logger(__name__)


class _Client(KiteConnect):  # type: ignore[misc]
    """The SDK's client, which leaves times as the text that was sent: `kite_rows` reads them a hundred times faster."""

    def _format_response(self, data: Any) -> Any:
        return data


class KiteMarket:
    """
    What the login and the market of one account say, and nothing that trades: it has no orders, and its requests are
    held to reading where they leave. Safe to share between threads: each has its own client.
    """

    _session: type[DeadlineSession] = ReadingSession

    def __init__(
        self, *, api_key: str, root: str, access_token: Callable[[], str], login_page: str = LOGIN_PAGE
    ) -> None:
        """`access_token` is asked before each call, so that a new login is used at once."""
        self._api_key = api_key
        self._root = root
        self._login_page = login_page
        self._access_token = access_token
        self._clients = threading.local()

    def quotes(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], MarketQuote]:
        return _read(lambda: self._quoted(keys, kite_rows.market_quote))

    def depths(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Depth]:
        """Read the same with what can be bought and sold now."""
        return _read(lambda: self._quoted(keys, kite_rows.market_depth))

    def instruments(self, exchange: str) -> list[InstrumentReport]:
        def read() -> list[InstrumentReport]:
            unreadable: list[str] = []
            listed = _reports(kite_rows.instrument_report, self._client().instruments(exchange), unreadable)
            if not listed:
                raise ValueError(f"the list of {exchange} instruments is empty")
            if unreadable:
                log.warning("instruments.unreadable", exchange=exchange, count=len(unreadable), first=unreadable[0])
            return list(listed)

        return _read(read)

    def user_id(self) -> str:
        return _read(lambda: kite_rows.word(self._client().profile()["user_id"], longest=USER_ID_LENGTH_MAX))

    def login_url(self, **echoed: str) -> str:
        """Return where a person logs in. Kite gives what is `echoed` back with the request token."""
        wanted = {"api_key": self._api_key, "v": "3"}
        if echoed:
            wanted["redirect_params"] = urlencode(echoed)
        return f"{self._login_page}?{urlencode(wanted)}"

    def exchange_request_token(self, request_token: str, api_secret: str) -> tuple[str, str]:
        """
        Return (user id, access token) for the request token that Kite's login page gave. It works once.

        Raise `SessionRefused` when Kite said no, `BrokerUnreachable` when it did not answer, or not with a login.
        """
        for secret in (request_token, api_secret):
            hide(secret)

        def exchange() -> tuple[str, str]:
            session = self._client().generate_session(request_token, api_secret)
            user_id = kite_rows.word(session["user_id"], longest=USER_ID_LENGTH_MAX)
            return user_id, kite_rows.word(session["access_token"], longest=TOKEN_LENGTH_MAX)

        user_id, access_token = _read(exchange)
        hide(access_token)
        return user_id, access_token

    def _quoted(
        self, keys: Iterable[tuple[str, str]], read: Callable[[dict[str, Any]], Answer | None]
    ) -> dict[tuple[str, str], Answer]:
        names = {f"{exchange}:{symbol}": (exchange, symbol) for exchange, symbol in keys}
        rows = self._client().quote(list(names))
        quotes = {key: read(rows.get(name, {})) for name, key in names.items()}
        return {key: quote for key, quote in quotes.items() if quote is not None}

    def _client(self) -> KiteConnect:
        client: KiteConnect | None = getattr(self._clients, "kite", None)
        if client is None:
            client = _Client(api_key=self._api_key, root=self._root, timeout=SOCKET_SECONDS)
            client.reqsession = self._session()
            self._clients.kite = client
        client.set_access_token(self._access_token())
        return client


class KiteGateway(KiteMarket):
    """One account at Zerodha, or at the paper Kite server."""

    _session = DeadlineSession

    def __init__(
        self, *, api_key: str, root: str, access_token: Callable[[], str], login_page: str = LOGIN_PAGE
    ) -> None:
        super().__init__(api_key=api_key, root=root, access_token=access_token, login_page=login_page)
        self._orders_seen: RowReader[OrderReport] = RowReader()
        self._trades_seen: RowReader[TradeReport] = RowReader()

    def place(self, request: OrderRequest, *, send_by: float) -> str:
        arguments = {
            "exchange": request.exchange,
            "tradingsymbol": request.symbol,
            "transaction_type": request.side,
            "quantity": request.quantity,
            "product": request.product,
            "order_type": request.order_type,
            "validity": "DAY",
            "tag": request.tag,
        }
        if request.order_type == "MARKET":
            arguments["market_protection"] = -1  # refused without it since April 2026
        else:
            assert request.price is not None, "a LIMIT order has a price"
            arguments["price"] = float(request.price)
        client = self._client_for_writing()
        return _write(lambda: _order_id(client.place_order("regular", **arguments)), send_by=send_by)

    def modify(self, broker_order_id: str, terms: Terms, *, send_by: float) -> None:
        client = self._client_for_writing()
        # All the terms, changed or not: what somebody else changes meanwhile is then not mixed with them.
        arguments = {
            "quantity": terms.quantity,
            "price": float(terms.price),
            "order_type": "LIMIT",
            "validity": "DAY",
        }

        def call() -> None:
            answered = _order_id(client.modify_order("regular", broker_order_id, **arguments))
            if answered != broker_order_id:
                raise TypeError(f"{broker_order_id} was modified, and the answer is of {answered}")

        _write(call, send_by=send_by)

    def cancel(self, broker_order_id: str) -> None:
        client = self._client_for_writing()
        _write(lambda: client.cancel_order("regular", broker_order_id))

    def book(self, as_of: datetime) -> BrokerBook:
        unreadable: list[str] = []
        orders = _read(lambda: _reports(kite_rows.order_report, self._client().orders(), unreadable, self._orders_seen))
        trades = _read(lambda: _reports(kite_rows.trade_report, self._client().trades(), unreadable, self._trades_seen))
        return _read(lambda: self._book_of(as_of, orders, trades, tuple(unreadable)))

    def positions(self) -> dict[tuple[str, str], int]:
        return _read(lambda: _net(self._holds()))

    def available_funds(self) -> Decimal:
        return _read(lambda: kite_rows.amount(self._client().margins("equity")["net"]))

    def _book_of(
        self,
        as_of: datetime,
        orders: tuple[OrderReport, ...],
        trades: tuple[TradeReport, ...],
        unreadable: tuple[str, ...],
    ) -> BrokerBook:
        """Return the book with the positions and holdings, which are read now."""
        day, held = self._client().positions()["net"], self._client().holdings()
        rows = [*day, *map(_held, held)]
        return BrokerBook(
            as_of=as_of,
            orders=orders,
            trades=trades,
            positions=_net(rows),
            last_prices=_prices(rows, "last_price"),
            close_prices=_prices(rows, "close_price"),
            holdings=_holdings(held),
            unreadable=unreadable,
        )

    def _holds(self) -> list[dict[str, Any]]:
        return [*self._client().positions()["net"], *map(_held, self._client().holdings())]

    def _client_for_writing(self) -> KiteConnect:
        """Return the client. What fails here, such as reading the token, failed before anything could leave."""
        try:
            return self._client()
        except Exception as error:
            raise NotSent(f"not sent: {_brief(error)}") from error


def _write(call: Callable[[], Answer], *, send_by: float | None = None) -> Answer:
    """Make a call that changes something and map its failure to one of the outcomes."""
    with deadline(CALL_SECONDS, send_by=send_by) as under_way:
        try:
            return call()
        except NotSent:
            raise
        except KiteException as error:
            raise _outcome(error) from error
        except Exception as error:
            # Before the request left, it was surely not placed: no address, no connection, no handshake. After that
            # nothing that comes out of the SDK (KeyError, TypeError, a broken body) says what the broker did.
            if under_way.sock is None:
                raise OrderRefused(f"not sent: {_brief(error)}") from error
            raise OutcomeUnknown(_brief(error)) from error


def _read(call: Callable[[], Answer]) -> Answer:
    """Make a call that changes nothing. Whatever goes wrong, we simply do not know."""
    try:
        with deadline(CALL_SECONDS):
            return call()
    except TokenException as error:
        raise SessionRefused(kite_rows.said(error)) from error
    except Exception as error:
        raise BrokerUnreachable(_brief(error)) from error


def _outcome(error: KiteException) -> GatewayError:
    # The class alone says little: names the SDK does not know become GeneralException. The status and the text decide;
    # and a network or data error is the broker's own word that something went wrong on the way.
    if isinstance(error, DataException) or (isinstance(error, NetworkException) and error.code != TOO_MANY_REQUESTS):
        return OutcomeUnknown(kite_rows.said(error))
    if _MAYBE_PLACED.search(str(error)) or error.code not in _SURELY_NOT_PLACED:
        return OutcomeUnknown(kite_rows.said(error))
    if isinstance(error, TokenException):
        return SessionRefused(kite_rows.said(error))
    return (
        TooManyRequests(kite_rows.said(error))
        if error.code == TOO_MANY_REQUESTS
        else OrderRefused(kite_rows.said(error))
    )


def _order_id(answer: Any) -> str:
    """Return the broker's id. Raise `TypeError` for what cannot be one: then nobody knows what became of the order."""
    if not isinstance(answer, str) or not answer.isalnum():
        raise TypeError(f"an order id was expected, not {answer!r}")
    return answer


def _held(row: dict[str, Any]) -> dict[str, Any]:
    """
    Return a holding's row with what was held when the day began as its quantity.

    Zerodha's sample rows leave out of `quantity` what is still to be settled, its documentation counts it; both
    agree on `opening_quantity`. What was sold today is among the positions.
    """
    return {**row, "quantity": row.get("opening_quantity", row["quantity"])}


def _holdings(rows: list[dict[str, Any]]) -> tuple[HoldingReport, ...]:
    """Return the rows for a page to show; one that makes no sense is left out, and logged."""
    unreadable: list[str] = []
    reports = _reports(kite_rows.holding_report, list(map(_held, rows)), unreadable)
    if unreadable:
        log.warning("holdings.unreadable", count=len(unreadable), first=unreadable[0])
    # One symbol is one row: of two, what is shown would be half of what is held.
    return tuple({(each.exchange, each.symbol): each for each in reports}.values())


def _net(rows: list[dict[str, Any]]) -> dict[tuple[str, str], int]:
    net: dict[tuple[str, str], int] = {}
    for row in rows:
        key = (row["exchange"], row["tradingsymbol"])
        net[key] = net.get(key, 0) + int(row["quantity"])
        if abs(net[key]) > kite_rows.SHARES_MAX:
            raise ValueError(f"{net[key]} shares of {key} are more than there can be")
    return net


def _prices(rows: list[dict[str, Any]], name: str) -> dict[tuple[str, str], Decimal]:
    """Return the prices of this name that the rows bring along; one without a sensible price has none."""
    told = {(row["exchange"], row["tradingsymbol"]): row.get(name) for row in rows}
    prices = {key: kite_rows.price_told(price) for key, price in told.items() if isinstance(price, int | float)}
    return {key: price for key, price in prices.items() if price is not None}


def _reports(
    read: Callable[[dict[str, Any]], Answer],
    rows: Any,
    unreadable: list[str],
    seen: RowReader[Answer] | None = None,
) -> tuple[Answer, ...]:
    """Read each row by itself: one that makes no sense must not hide the others. It is named in `unreadable`."""

    def report(row: dict[str, Any]) -> Answer | None:
        try:
            return read(row)
        except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            unreadable.append(f"{_brief(error)} in {row!r}"[:500])
            return None

    if seen is not None and isinstance(rows, RowsAsSent):
        return seen.reports(rows, report)
    if not isinstance(rows, list):
        raise TypeError(f"a list of rows was expected, not {type(rows).__name__}")
    return tuple(made for made in map(report, rows) if made is not None)


def _brief(error: BaseException) -> str:
    return kite_rows.said(f"{type(error).__name__}: {error}"[:500])
