"""
A shadow of an account: Zerodha's login and market, and a paper Kite server for every order.

It is made of two halves. The market's has no method that trades, and its requests are held to reading where they
leave, so that no order can reach Zerodha from here whatever is called. The orders' half is a gateway at a paper
server, which is told the real price and depth before each order and while one rests: it fills at the real market.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

import structlog

from orders.broker.gateway import (
    BrokerBook,
    BrokerUnreachable,
    Depth,
    InstrumentReport,
    MarketQuote,
    NotSent,
    OrderRefused,
    OrderRequest,
    SessionRefused,
    Terms,
)
from orders.broker.kite import KiteGateway, KiteMarket
from orders.broker.paper_prices import PaperPrices, PricesNotTold

Key = tuple[str, str]  # exchange and symbol

YOUNG_SECONDS = 2.0  # a price read so long ago is the one that an order meets
FOLLOWED_SECONDS = 3.0  # how often resting orders are shown the market
QUOTE_SECONDS = 1.0  # Kite answers one question for quotes a second
FUTURES = "NFO"  # asked for which shares have derivatives; nothing of it is traded
ENDED = frozenset({"COMPLETE", "CANCELLED", "REJECTED"})

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """The real market as it was right before an order left for the paper server."""

    tag: str
    exchange: str
    symbol: str
    at: datetime
    depth: Depth


class ShadowGateway:
    """Reads one market, trades at another. Safe to share between threads."""

    def __init__(
        self,
        *,
        market: KiteMarket,
        orders: KiteGateway,
        prices: PaperPrices,
        witness: Callable[[Seen], None],
        clock: Callable[[], datetime],
        quote_seconds: float = QUOTE_SECONDS,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """`witness` keeps what the market was when an order left; nothing is sent that it could not keep."""
        assert not isinstance(market, KiteGateway), "the market's half must have no orders"
        self.market = market
        self._orders = orders
        self._prices = prices
        self._witness = witness
        self._clock = clock
        self._quote_seconds = quote_seconds
        self._pause = pause
        self._lock = threading.Lock()
        self._seen: dict[Key, tuple[Depth, float]] = {}  # with the monotonic moment of its reading
        self._asked_at = self._followed_at = -FOLLOWED_SECONDS

    def place(self, request: OrderRequest, *, send_by: float) -> str:
        key = (request.exchange, request.symbol)
        try:
            depth = self._young(key)
            self._prices.tell(*key, depth)
        except (BrokerUnreachable, SessionRefused, PricesNotTold) as trouble:
            raise NotSent(f"not sent: the real market cannot be shown to the paper Kite: {trouble}") from trouble
        seen = Seen(tag=request.tag, exchange=request.exchange, symbol=request.symbol, at=self._clock(), depth=depth)
        self._witness(seen)
        with _of_the_paper_server(OrderRefused):
            return self._orders.place(request, send_by=send_by)

    def modify(self, broker_order_id: str, terms: Terms, *, send_by: float) -> None:
        with _of_the_paper_server(OrderRefused):
            self._orders.modify(broker_order_id, terms, send_by=send_by)

    def cancel(self, broker_order_id: str) -> None:
        with _of_the_paper_server(OrderRefused):
            self._orders.cancel(broker_order_id)

    def book(self, as_of: datetime) -> BrokerBook:
        """Read the paper server's book, after which what rests there has met the market of this moment."""
        with _of_the_paper_server(BrokerUnreachable):
            book = self._orders.book(as_of)
            resting = {(each.exchange, each.symbol) for each in book.orders if each.status not in ENDED}
            return self._orders.book(as_of) if resting and self._followed(resting) else book

    def positions(self) -> dict[Key, int]:
        with _of_the_paper_server(BrokerUnreachable):
            return self._orders.positions()

    def available_funds(self) -> Decimal:
        with _of_the_paper_server(BrokerUnreachable):
            return self._orders.available_funds()

    def quotes(self, keys: Iterable[Key]) -> dict[Key, MarketQuote]:
        return {key: depth.quote for key, depth in self.depths(keys).items()}

    def depths(self, keys: Iterable[Key]) -> dict[Key, Depth]:
        """Read the real market, no oftener than it answers. Raise as `quotes`."""
        with self._lock:
            self._pause(max(0.0, self._asked_at + self._quote_seconds - time.monotonic()))
            read_at = self._asked_at = time.monotonic()
            found = self.market.depths(keys)
            self._seen.update({key: (depth, read_at) for key, depth in found.items()})
            return found

    def instruments(self, exchange: str) -> list[InstrumentReport]:
        """Read the real list, of what the paper server lists, too: with a tick that both take."""
        listed = self.market.instruments(exchange)
        if exchange == FUTURES:
            return listed
        with _of_the_paper_server(BrokerUnreachable):
            there = {each.symbol: each for each in self._orders.instruments(exchange)}
        return [_with_the_larger_tick(each, there[each.symbol]) for each in listed if each.symbol in there]

    def user_id(self) -> str:
        return self.market.user_id()

    def _young(self, key: Key) -> Depth:
        """Return the market of a moment ago, or of now. Raise as `quotes`."""
        depth, read_at = self._seen.get(key, (None, 0.0))
        if depth is None or time.monotonic() - read_at > YOUNG_SECONDS:
            depth = self.depths([key]).get(key)
        if depth is None:
            raise BrokerUnreachable(f"no price is told of {':'.join(key)}")
        return depth

    def _followed(self, keys: set[Key]) -> bool:
        """Show what rests the market of now, every few seconds. Return whether that may have changed the book."""
        if time.monotonic() - self._followed_at < FOLLOWED_SECONDS * min(1.0, self._quote_seconds):
            return False
        self._followed_at = time.monotonic()
        try:
            for key, depth in self.depths(sorted(keys)).items():
                self._prices.tell(*key, depth)
        except (BrokerUnreachable, SessionRefused, PricesNotTold) as trouble:
            log.warning("shadow.market_not_shown", reason=str(trouble))  # what rests goes on resting
            return False
        return True


def _with_the_larger_tick(real: InstrumentReport, paper: InstrumentReport) -> InstrumentReport:
    # The exchange's steps divide one another, so a price on the larger one is on both.
    return replace(real, tick_size=max(real.tick_size, paper.tick_size))


@contextmanager
def _of_the_paper_server(refusal: type[OrderRefused] | type[BrokerUnreachable]) -> Iterator[None]:
    """Have a session that the paper server refuses be no word about the login, which is Zerodha's."""
    try:
        yield
    except SessionRefused as refused:
        raise refusal(f"the paper Kite refused its session: {refused}") from refused
