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
from zoneinfo import ZoneInfo

import structlog
from kiteconnect import KiteConnect
from kiteconnect.exceptions import DataException, KiteException, NetworkException, TokenException

from orders.broker.deadline import DeadlineSession, deadline
from orders.broker.gateway import (
    BrokerBook,
    BrokerUnreachable,
    GatewayError,
    InstrumentReport,
    MarketQuote,
    NotSent,
    OrderRefused,
    OrderReport,
    OrderRequest,
    OutcomeUnknown,
    SessionRefused,
    TooManyRequests,
    TradeReport,
)

IST = ZoneInfo("Asia/Kolkata")
CALL_SECONDS = 8.0  # the longest that one call may take in all
SOCKET_SECONDS = (3.05, 7.0)  # to connect, and for each wait on the socket
WORD_LENGTH_MAX = 60  # Kite's longest, a trade id, is half of it
SYMBOL_LENGTH_MAX, USER_ID_LENGTH_MAX = 40, 32
SHARES_MAX = 2_000_000_000  # what the columns hold, far beyond any account
PRICE_MAX = Decimal(100_000_000)  # INR
YEARS = range(2000, 2100)

_MAYBE_PLACED = re.compile(r"time[ds]?[ -]?out|check the order ?book", re.IGNORECASE)
TOO_MANY_REQUESTS = 429
_SURELY_NOT_PLACED = frozenset({400, 403, 404, 405, 410, 428, 429})

Answer = TypeVar("Answer")

log = structlog.get_logger(__name__)


class KiteGateway:
    """One account at Zerodha, or at the paper Kite server. Safe to share between threads: each has its own client."""

    def __init__(self, *, api_key: str, root: str, access_token: Callable[[], str]) -> None:
        """`access_token` is asked before each call, so that a new login is used at once."""
        self._api_key = api_key
        self._root = root
        self._access_token = access_token
        self._clients = threading.local()

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

    def cancel(self, broker_order_id: str) -> None:
        client = self._client_for_writing()
        _write(lambda: client.cancel_order("regular", broker_order_id))

    def book(self, as_of: datetime) -> BrokerBook:
        unreadable: list[str] = []
        orders = _read(lambda: _reports(_order_report, self._client().orders(), unreadable))
        trades = _read(lambda: _reports(_trade_report, self._client().trades(), unreadable))
        positions, last_prices, close_prices = _read(
            lambda: (_net(held := self._holds()), _prices(held, "last_price"), _prices(held, "close_price"))
        )
        return BrokerBook(
            as_of=as_of,
            orders=orders,
            trades=trades,
            positions=positions,
            last_prices=last_prices,
            close_prices=close_prices,
            unreadable=tuple(unreadable),
        )

    def positions(self) -> dict[tuple[str, str], int]:
        return _read(lambda: _net(self._holds()))

    def quotes(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], MarketQuote]:
        names = {f"{exchange}:{symbol}": (exchange, symbol) for exchange, symbol in keys}

        def read() -> dict[tuple[str, str], MarketQuote]:
            rows = self._client().quote(list(names))
            quotes = {key: _market_quote(rows.get(name, {})) for name, key in names.items()}
            return {key: quote for key, quote in quotes.items() if quote is not None}

        return _read(read)

    def available_funds(self) -> Decimal:
        return _read(lambda: _amount(self._client().margins("equity")["net"]))

    def instruments(self, exchange: str) -> list[InstrumentReport]:
        def read() -> list[InstrumentReport]:
            unreadable: list[str] = []
            listed = _reports(_instrument, self._client().instruments(exchange), unreadable)
            if not listed:
                raise ValueError(f"the list of {exchange} instruments is empty")
            if unreadable:
                log.warning("instruments.unreadable", exchange=exchange, count=len(unreadable), first=unreadable[0])
            return list(listed)

        return _read(read)

    def user_id(self) -> str:
        return _read(lambda: _word(self._client().profile()["user_id"], longest=USER_ID_LENGTH_MAX))

    def login_url(self) -> str:
        return str(self._client().login_url())

    def exchange_request_token(self, request_token: str, api_secret: str) -> tuple[str, str]:
        """Return (user id, access token) for the request token that Kite's login page gave. Raise `SessionRefused`."""
        session = _read(lambda: self._client().generate_session(request_token, api_secret))
        return str(session["user_id"]), str(session["access_token"])

    def _holds(self) -> list[dict[str, Any]]:
        return [*self._client().positions()["net"], *map(_held, self._client().holdings())]

    def _client_for_writing(self) -> KiteConnect:
        """Return the client. What fails here, such as reading the token, failed before anything could leave."""
        try:
            return self._client()
        except Exception as error:
            raise NotSent(f"not sent: {_brief(error)}") from error

    def _client(self) -> KiteConnect:
        client: KiteConnect | None = getattr(self._clients, "kite", None)
        if client is None:
            client = KiteConnect(api_key=self._api_key, root=self._root, timeout=SOCKET_SECONDS)
            client.reqsession = DeadlineSession()
            self._clients.kite = client
        client.set_access_token(self._access_token())
        return client


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
        raise SessionRefused(_said(error)) from error
    except Exception as error:
        raise BrokerUnreachable(_brief(error)) from error


def _outcome(error: KiteException) -> GatewayError:
    # The class alone says little: names the SDK does not know become GeneralException. The status and the text decide;
    # and a network or data error is the broker's own word that something went wrong on the way.
    if isinstance(error, DataException) or (isinstance(error, NetworkException) and error.code != TOO_MANY_REQUESTS):
        return OutcomeUnknown(_said(error))
    if _MAYBE_PLACED.search(str(error)) or error.code not in _SURELY_NOT_PLACED:
        return OutcomeUnknown(_said(error))
    if isinstance(error, TokenException):
        return SessionRefused(_said(error))
    return TooManyRequests(_said(error)) if error.code == TOO_MANY_REQUESTS else OrderRefused(_said(error))


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


def _net(rows: list[dict[str, Any]]) -> dict[tuple[str, str], int]:
    net: dict[tuple[str, str], int] = {}
    for row in rows:
        key = (row["exchange"], row["tradingsymbol"])
        net[key] = net.get(key, 0) + int(row["quantity"])
        if abs(net[key]) > SHARES_MAX:
            raise ValueError(f"{net[key]} shares of {key} are more than there can be")
    return net


def _prices(rows: list[dict[str, Any]], name: str) -> dict[tuple[str, str], Decimal]:
    """Return the prices of this name that the rows bring along; one without a sensible price has none."""
    told = {(row["exchange"], row["tradingsymbol"]): row.get(name) for row in rows}
    prices = {key: _price(price) for key, price in told.items() if isinstance(price, int | float)}
    return {key: price for key, price in prices.items() if price is not None}


def _reports(read: Callable[[dict[str, Any]], Answer], rows: Any, unreadable: list[str]) -> tuple[Answer, ...]:
    """Read each row by itself: one that makes no sense must not hide the others. It is named in `unreadable`."""
    if not isinstance(rows, list):
        raise TypeError(f"a list of rows was expected, not {type(rows).__name__}")
    reports = []
    for row in rows:
        try:
            reports.append(read(row))
        except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            unreadable.append(f"{_brief(error)} in {row!r}"[:500])
    return tuple(reports)


def _brief(error: BaseException) -> str:
    return _said(f"{type(error).__name__}: {error}"[:500])


def _said(words: Any) -> str:
    """Return what the broker says to people as text that every column takes."""
    return str(words or "").replace("\x00", "␀").encode(errors="replace").decode()


def _word(value: Any, *, longest: int = WORD_LENGTH_MAX) -> str:
    """Return an id, a symbol or a status as it is. Raise `ValueError` for what cannot be one."""
    word = str(value) if isinstance(value, int | str) else ""
    if not word.isprintable() or not 0 < len(word) <= longest:
        raise ValueError(f"a word was expected, not {value!r}")
    return word


def _number(value: Any) -> Decimal:
    """Return it through its shortest text. Raise `ValueError` for NaN, which PostgreSQL would keep and count with."""
    number = Decimal(str(value))
    if not number.is_finite():
        raise ValueError(f"a number was expected, not {value!r}")
    return number


def _price(value: Any) -> Decimal | None:
    """Return the price, through its shortest text so that 204.1 stays 204.1; None for what is no price."""
    price = Decimal(str(value or 0))
    return price if price.is_finite() and 0 < price <= PRICE_MAX else None


def _market_quote(row: dict[str, Any]) -> MarketQuote | None:
    last_price = _price(row.get("last_price"))
    if last_price is None:
        return None
    lower, upper = _price(row.get("lower_circuit_limit")), _price(row.get("upper_circuit_limit"))
    return MarketQuote(last_price=last_price, lower_circuit=lower, upper_circuit=upper)


def _amount(value: Any) -> Decimal:
    """Return an amount in INR. Raise `ValueError` for what is no number: an unknown sum is not zero."""
    amount = Decimal(str(value))
    if isinstance(value, bool) or not amount.is_finite():
        raise ValueError(f"an amount was expected, not {value!r}")
    return amount


def _moment(value: Any) -> datetime:
    """Return the SDK's naive datetime, or the text it leaves as it is, in the zone it is in: India's."""
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    if moment.year not in YEARS:  # Go's word for "no time" is of the year 1, which can be stored and not be read again
        raise ValueError(f"{moment} is no moment of trading")
    return moment.replace(tzinfo=IST)


def _order_report(row: dict[str, Any]) -> OrderReport:
    return OrderReport(
        broker_order_id=_word(row["order_id"]),
        tag=_word(row["tag"]) if row.get("tag") else "",
        status=_word(row["status"]),
        status_message=_said(row.get("status_message")),
        exchange=_word(row["exchange"]),
        symbol=_word(row["tradingsymbol"]),
        side=_word(row["transaction_type"]),
        product=_word(row["product"]),
        order_type=_word(row["order_type"]),
        quantity=int(row["quantity"]),
        filled_quantity=int(row.get("filled_quantity") or 0),
        price=_price(row.get("price")),
        placed_at=_moment(row["order_timestamp"]),
    )


def _trade_report(row: dict[str, Any]) -> TradeReport:
    quantity, price = int(row["quantity"]), _price(row["average_price"])
    if price is None or not 0 < quantity <= SHARES_MAX:
        raise ValueError(f"{quantity} shares at {row['average_price']!r} are no trade")
    return TradeReport(
        trade_id=_word(row["trade_id"]),
        broker_order_id=_word(row["order_id"]),
        exchange=_word(row["exchange"]),
        symbol=_word(row["tradingsymbol"]),
        side=_word(row["transaction_type"]),
        product=_word(row["product"]),
        quantity=quantity,
        price=price,
        filled_at=_moment(row["fill_timestamp"]),
    )


def _instrument(row: dict[str, Any]) -> InstrumentReport:
    lot_size, tick_size = int(row["lot_size"]), _number(row["tick_size"])
    if lot_size > SHARES_MAX or tick_size > PRICE_MAX:
        raise ValueError(f"a lot of {lot_size} or a tick of {tick_size} is none")
    return InstrumentReport(
        exchange=_word(row["exchange"]),
        symbol=_word(row["tradingsymbol"], longest=SYMBOL_LENGTH_MAX),
        name=_said(row["name"])[:100],
        token=_token(row["instrument_token"]),
        lot_size=lot_size,
        tick_size=tick_size,
        instrument_type=_said(row["instrument_type"])[:10],
        segment=_said(row["segment"])[:20],
    )


def _token(value: Any) -> int:
    """Return an instrument's number, of which the stream has four bytes."""
    token = int(value)
    if not 0 < token < 2**32:
        raise ValueError(f"{token} is no instrument's token")
    return token
