"""
Flows of many orders over a few symbols, with partial fills, cancels and moving prices: what was let passes no cap.

The book here is kept and valued by this file alone, never by the engine's functions; the engine only says yes or no.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from risk.engine.decision import Decision, assess
from risk.engine.facts import (
    Elsewhere,
    Funds,
    Holding,
    OrderType,
    Portfolio,
    PriceBand,
    ProposedOrder,
    Quote,
    TradingSignalType,
    TradingState,
)
from risk.engine.limits import Limits
from tests.risk.engine.cast import BUY, LIMITS, NOW, PORTFOLIO, SELL, ago
from tests.risk.engine.test_properties import bounded

D = Decimal
PLENTY = D(1_000_000)
SYMBOLS = ("RELIANCE", "INFY", "TCS")
TIGHT = replace(
    LIMITS,
    order_value_max=D(2000),
    position_value_max=D(3000),
    gross_exposure_max=D(5000),
    positions_max=2,
    open_orders_max=4,
    symbol_open_orders_max=2,
    daily_trades_max=1000,
    duplicate_window_seconds=0,
)


@dataclass(kw_only=True)
class Working:
    """One order that the engine let go, until it is filled or cancelled."""

    symbol: str
    buys: bool
    left: int
    price: Decimal | None


@dataclass(kw_only=True)
class Book:
    """What is held, what works and what each symbol last traded at."""

    limits: Limits = TIGHT
    state: TradingState = TradingState.ACTIVE
    cash: Decimal = PLENTY
    own: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SYMBOLS, 0))
    last: dict[str, Decimal] = field(default_factory=lambda: dict.fromkeys(SYMBOLS, D(100)))
    working: list[Working] = field(default_factory=list)

    def of(self, symbol: str, *, buys: bool) -> list[Working]:
        return [order for order in self.working if order.symbol == symbol and order.buys == buys]

    def left(self, symbol: str, *, buys: bool) -> int:
        return sum(order.left for order in self.of(symbol, buys=buys))

    def worth(self, symbol: str) -> Decimal:
        """What the symbol is worth when all that is being bought fills, at the worst of its prices."""
        bids = [order.price for order in self.of(symbol, buys=True)]
        collar = self.last[symbol] * D("1.03") if None in bids else D(0)
        price = max([self.last[symbol], collar, *(bid for bid in bids if bid is not None)])
        return (self.own[symbol] + self.left(symbol, buys=True)) * price

    def is_open(self, symbol: str) -> bool:
        return bool(self.own[symbol] or self.left(symbol, buys=True))

    def portfolio(self, symbol: str) -> Portfolio:
        bids = [order.price for order in self.of(symbol, buys=True)]
        return replace(
            PORTFOLIO,
            state=self.state,
            trades_today=0,
            quote=Quote(price=self.last[symbol], as_of=ago(seconds=1)),
            band=PriceBand(lower=D(1), upper=D(100_000), as_of=ago(seconds=1)),
            funds=Funds(available=self.cash, as_of=ago(seconds=1)),
            open_orders=len(self.working),
            others=tuple(self._elsewhere(other) for other in SYMBOLS if other != symbol and self.is_open(other)),
            holding=Holding(
                own=self.own[symbol],
                broker=self.own[symbol],
                broker_as_of=ago(seconds=1),
                working_buys=self.left(symbol, buys=True),
                working_sells=self.left(symbol, buys=False),
                highest_working_bid=max((bid for bid in bids if bid is not None), default=None),
                market_buys_work=None in bids,
                buy_orders=len(bids),
                sell_orders=len(self.of(symbol, buys=False)),
            ),
        )

    def _elsewhere(self, symbol: str) -> Elsewhere:
        bids = [order.price for order in self.of(symbol, buys=True)]
        return Elsewhere(
            symbol=symbol,
            own=self.own[symbol],
            working_buys=self.left(symbol, buys=True),
            working_sells=self.left(symbol, buys=False),
            price=max([self.last[symbol], *(bid for bid in bids if bid is not None)]),
            market_buys_work=None in bids,
        )

    def propose(self, symbol: str, *, buys: bool, quantity: int, price: Decimal | None) -> Decision:
        """Ask the engine, and let what it approves work."""
        changes: dict[str, Any] = {
            "action": TradingSignalType.BUY if buys else TradingSignalType.SELL,
            "symbol": symbol,
            "quantity": quantity,
            "limit_price": price,
            "order_type": OrderType.MARKET if price is None else OrderType.LIMIT,
            "tick_size": D(1),
        }
        decision = assess(_order(changes), self.portfolio(symbol), self.limits, NOW)
        if decision.outcome == "APPROVED":
            self.working.append(Working(symbol=symbol, buys=buys, left=quantity, price=price))
        return decision

    def fill(self, order: Working, quantity: int) -> None:
        filled = min(quantity, order.left)
        order.left -= filled
        self.own[order.symbol] += filled if order.buys else -filled
        self.working = [each for each in self.working if each.left]


def _order(changes: dict[str, Any]) -> ProposedOrder:
    return replace(SELL if changes["action"] == TradingSignalType.SELL else replace(BUY, signal=None), **changes)


ORDER = st.tuples(
    st.just("order"),
    st.sampled_from(SYMBOLS),
    st.booleans(),
    st.integers(1, 25),
    st.one_of(st.none(), st.integers(92, 103)),
)
FILL = st.tuples(st.just("fill"), st.integers(0, 10), st.integers(1, 25))
CANCEL = st.tuples(st.just("cancel"), st.integers(0, 10))
MOVE = st.tuples(st.just("move"), st.sampled_from(SYMBOLS), st.integers(95, 105))
STATE = st.tuples(st.just("state"), st.sampled_from([TradingState.ACTIVE, TradingState.REDUCE_ONLY]))
STEPS = st.lists(st.one_of(ORDER, ORDER, ORDER, FILL, FILL, CANCEL, MOVE, STATE), min_size=5, max_size=40)


def take(book: Book, step: tuple[Any, ...]) -> Decision | None:
    """Take one step; return the decision when it is an order's."""
    kind, *what = step
    if kind == "order":
        symbol, buys, quantity, percent = what
        price = None if percent is None else (book.last[symbol] * percent / 100).to_integral_value()
        return book.propose(symbol, buys=buys, quantity=quantity, price=price)
    if kind == "move":
        symbol, percent = what
        book.last[symbol] = max(D(20), (book.last[symbol] * percent / 100).to_integral_value())
    elif kind == "state":
        (book.state,) = what
    elif book.working:
        order = book.working[what[0] % len(book.working)]
        if kind == "fill":
            book.fill(order, what[1])
        else:
            book.working.remove(order)
    return None


@settings(bounded, max_examples=150)
@given(steps=STEPS)
def test_no_accepted_flow_passes_a_cap(steps: list[tuple[Any, ...]]) -> None:
    book = Book()
    for step in steps:
        decision = take(book, step)
        if decision is None or decision.outcome != "APPROVED" or not book.working[-1].buys:
            continue
        order = book.working[-1]
        price = book.last[order.symbol] * D("1.03") if order.price is None else order.price
        assert order.left * price <= TIGHT.order_value_max
        assert book.worth(order.symbol) <= TIGHT.position_value_max
        assert sum(map(book.worth, SYMBOLS)) <= TIGHT.gross_exposure_max
        assert sum(map(book.is_open, SYMBOLS)) <= TIGHT.positions_max
        assert len(book.working) <= TIGHT.open_orders_max
        assert len(book.of(order.symbol, buys=True)) <= TIGHT.symbol_open_orders_max


@settings(bounded, max_examples=100)
@given(steps=STEPS)
def test_no_accepted_flow_sells_what_is_not_held_or_trades_with_itself(steps: list[tuple[Any, ...]]) -> None:
    book = Book()
    for step in steps:
        decision = take(book, step)
        for symbol in SYMBOLS:
            assert book.left(symbol, buys=False) <= book.own[symbol]
        if decision is not None and decision.outcome == "APPROVED" and book.working[-1].buys:
            assert not book.of(book.working[-1].symbol, buys=False)


@settings(bounded, max_examples=100)
@given(steps=STEPS)
def test_reduce_only_never_grows_a_position(steps: list[tuple[Any, ...]]) -> None:
    book = Book()
    let_in_reduce_only = 0
    for step in steps:
        decision = take(book, step)
        if decision is None or decision.outcome != "APPROVED" or book.state != TradingState.REDUCE_ONLY:
            continue
        let_in_reduce_only += 1
        order = book.working[-1]
        assert not order.buys
        assert order.left <= book.own[order.symbol]  # however much of what works fills, it crosses nothing


@settings(bounded, max_examples=100)
@given(before=STEPS, after=STEPS, cancelled=st.booleans())
def test_from_reduce_only_on_no_position_grows_but_by_what_was_working_already(
    before: list[tuple[Any, ...]], after: list[tuple[Any, ...]], cancelled: bool
) -> None:
    book = Book()
    for step in before:
        take(book, step)
    book.state = TradingState.REDUCE_ONLY
    if cancelled:
        book.working = [order for order in book.working if not order.buys]  # but a fill may cross its cancel
    most = {symbol: book.own[symbol] + book.left(symbol, buys=True) for symbol in SYMBOLS}
    for step in after:
        if step[0] != "state":
            take(book, step)
        for symbol in SYMBOLS:
            assert 0 <= book.own[symbol] <= most[symbol]
            most[symbol] = min(most[symbol], book.own[symbol] + book.left(symbol, buys=True))


@settings(bounded, max_examples=60)
@given(steps=STEPS, part=st.integers(1, 100), percent=st.integers(91, 110))
def test_what_closes_at_a_fair_price_is_never_refused(steps: list[tuple[Any, ...]], part: int, percent: int) -> None:
    book = Book()
    for step in steps:
        take(book, step)
        for symbol in SYMBOLS:
            closable = book.own[symbol] - book.left(symbol, buys=False)
            if closable <= 0:
                continue
            beside = replace_working(book)
            price = (book.last[symbol] * percent / 100).to_integral_value()
            quantity = max(1, closable * part // 100)
            assert beside.propose(symbol, buys=False, quantity=quantity, price=price).breaches == ()


def replace_working(book: Book) -> Book:
    """Return a copy to try something on."""
    return replace(book, own=dict(book.own), last=dict(book.last), working=[replace(each) for each in book.working])


@settings(bounded, max_examples=60)
@given(
    steps=st.lists(st.one_of(ORDER, FILL), min_size=3, max_size=25),
    cash=st.integers(0, 6000).map(Decimal),
)
def test_no_accepted_flow_spends_more_than_may_be_spent(steps: list[tuple[Any, ...]], cash: Decimal) -> None:
    book = Book(cash=cash)
    for step in steps:
        decision = take(book, step)
        if decision is None or decision.outcome != "APPROVED" or not book.working[-1].buys:
            continue
        order = book.working[-1]
        price = book.last[order.symbol] * D("1.03") if order.price is None else order.price
        cost = order.left * price * D("1.0015")
        assert cost <= book.cash * D("0.98")
        book.cash -= cost
