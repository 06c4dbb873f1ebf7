"""What a decision is made from: the order proposed, the book it would join, and the price it refers to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import cached_property

from risk.engine.sessions import MarketSession


class TradingSignalType(StrEnum):
    """What a strategy wishes for."""

    BUY = "BUY"
    SELL = "SELL"
    HOLD = "HOLD"


class Side(StrEnum):
    """The direction of an order."""

    BUY = "BUY"
    SELL = "SELL"


class OrderType(StrEnum):
    """How the price is given: MARKET takes what there is, LIMIT no worse than its price."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"


class Origin(StrEnum):
    """Who wants the order: a signal, a person, or somebody outside this system."""

    AUTO = "AUTO"
    MANUAL = "MANUAL"
    EXTERNAL = "EXTERNAL"


class TradingState(StrEnum):
    """What may leave at all. Cancels always may."""

    ACTIVE = "ACTIVE"
    REDUCE_ONLY = "REDUCE_ONLY"
    HALTED = "HALTED"


@dataclass(frozen=True, kw_only=True)
class Quote:
    """The last traded price in INR and the moment it was read."""

    price: Decimal
    as_of: datetime

    def age(self, now: datetime) -> timedelta:
        return now - self.as_of


@dataclass(frozen=True, kw_only=True)
class PriceBand:
    """The exchange's circuit limits of the day in INR: it refuses what is priced outside, equal is inside."""

    lower: Decimal
    upper: Decimal
    as_of: datetime


@dataclass(frozen=True, kw_only=True)
class Funds:
    """
    What the broker lets be spent, in INR, as read from `as_of` on.

    `committed` is what our own buys may take of it that the reading cannot have counted yet, `committed_at_market`
    likewise for those without a limit, at the last price; None when that is not known.
    """

    available: Decimal
    as_of: datetime
    committed: Decimal | None = Decimal(0)
    committed_at_market: Decimal = Decimal(0)


@dataclass(frozen=True, kw_only=True)
class SignalFacts:
    """What the rules about signals need of one."""

    cms_score: Decimal
    signal_at: datetime
    newest_decided_at: datetime | None  # of the same symbol and strategy; None when there is none
    signal_price: Decimal | None = None  # INR: the market as the strategy saw it; None when it did not say


@dataclass(frozen=True, kw_only=True)
class Advice:
    """What an automatic order is sized and priced from, beside the book and the limits."""

    order_type: OrderType  # the signal's own, else the deployment's
    quantity: int | None = None  # shares: no more than that
    limit_price: Decimal | None = None  # INR, where the signal names one for its LIMIT


@dataclass(frozen=True, kw_only=True)
class Replaced:
    """
    The rest of a working order that a modification would replace. The book that the modification joins is without it.

    `quantity` is what was unfilled, in shares at `limit_price` in INR, and `filled` what was not.
    """

    quantity: int
    limit_price: Decimal
    filled: int = 0
    modified: int = 0  # how often the broker has counted the order as modified already


@dataclass(frozen=True, kw_only=True)
class ProposedOrder:
    """
    An order as it would be sent, or what would be left of a working one once it is modified.

    `quantity` is in shares, of a modification those not filled yet, and `limit_price` in INR; a MARKET order has no
    limit price. `is_exit` marks an Exit or Flatten that a person with that permission asked for: the one thing that
    passes a halt.
    """

    action: TradingSignalType
    exchange: str
    symbol: str
    product: str
    quantity: int
    order_type: OrderType
    limit_price: Decimal | None
    origin: Origin
    lot_size: int | None
    tick_size: Decimal | None
    segment: str = ""  # as the broker's list of instruments has it: NSE, BSE, INDICES, NFO-OPT …
    instrument_type: str = ""  # likewise: EQ, FUT, CE, PE
    size_note: str = ""
    is_exit: bool = False
    signal: SignalFacts | None = None
    advice: Advice | None = None  # what it was sized from, so that other limits can size it anew
    replaces: Replaced | None = None  # set for a modification

    @property
    def whole_quantity(self) -> int:
        """Shares of the order in all, with what of a modified one is filled."""
        return self.quantity + (self.replaces.filled if self.replaces else 0)


@dataclass(frozen=True, kw_only=True)
class Holding:
    """
    One symbol of the book, in shares. Working quantities count orders that are unsent, in doubt or resting as open.

    `own` is what our fills opened; `broker` what the broker last reported, None when that is not known. What is
    external counts in exposure where the settings say so, and never in what may be closed.
    """

    own: int = 0
    broker: int | None = None
    broker_as_of: datetime | None = None
    working_buys: int = 0
    working_sells: int = 0
    highest_working_bid: Decimal | None = None  # INR: the highest limit among the working buys
    market_buys_work: bool = False  # a working buy without a limit may fill as far away as the collar
    buy_orders: int = 0  # how many orders the working quantities are
    sell_orders: int = 0
    last_buy_at: datetime | None = None  # when the newest order that counts as a trade was made
    last_sell_at: datetime | None = None
    external: int | None = 0  # shares of the account beyond `own`, below zero for a short; None when that is not known
    external_buys: int = 0  # being bought by others

    @property
    def long_when_filled(self) -> int:
        """Shares long once all that is being bought is, of ours or of all, whichever are more."""
        in_all = self.own + (self.external or 0)
        return max(0, self.own, in_all) + self.working_buys + self.external_buys

    @property
    def closable_by_sell(self) -> int:
        """Shares a SELL may close: the lesser of our ledger and the broker's, less what is being sold already."""
        held = self.own if self.broker is None else min(self.own, self.broker)
        return max(0, held - self.working_sells)

    @property
    def closable_by_buy(self) -> int:
        """Shares a BUY may close of a short position, less what is being bought already."""
        short = -self.own if self.broker is None else min(-self.own, -self.broker)
        return max(0, short - self.working_buys)


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """
    The requests that count in the broker's quotas, those of the last minute by when each may have reached it at latest.

    What is on its way may reach it now. Orders that somebody placed elsewhere are among them.
    """

    placed: tuple[datetime, ...] = ()
    cancelled: tuple[datetime, ...] = ()
    turned_away_at: datetime | None = None  # when the broker last refused an order for its rate
    today: int = 0  # orders of this Mumbai date


@dataclass(frozen=True, kw_only=True)
class Elsewhere:
    """What another symbol of the book may be worth. `price` is the worst one known, in INR; None when none is."""

    symbol: str
    own: int
    working_buys: int = 0
    working_sells: int = 0
    price: Decimal | None
    market_buys_work: bool = False  # `price` then goes up by the collar
    external: int = 0  # as in `Holding`, and the working quantities of others
    external_buys: int = 0
    external_sells: int = 0

    @cached_property
    def value(self) -> Decimal | None:
        """The greater of when all its buys fill and when all its sells do, at `price`; None when that is not known."""
        own, in_all = self.own, self.own + self.external
        low, high = (own, in_all) if own < in_all else (in_all, own)
        long = max(0, high) + self.working_buys + self.external_buys
        short = max(0, -low) + max(0, self.working_sells + self.external_sells - max(0, low))
        return None if self.price is None else max(long, short) * self.price


@dataclass(frozen=True, kw_only=True)
class Portfolio:
    """The book and the switches, as risk sees them at one moment."""

    state: TradingState
    auto_trading: bool
    is_live: bool
    armed: bool  # live only: a person named the account that may trade
    session_valid: bool  # the broker has a login that is valid now
    reconciled_at: datetime | None  # the last time our book was compared with the broker's
    trades_today: int  # opening or closing, PENDING or ever submitted on this Mumbai date
    orders_in_doubt: int
    holding: Holding
    quote: Quote | None
    day_loss: Decimal | None  # INR lost on this Mumbai date, below zero for a gain; None when a price is not known
    market: MarketSession
    stops: tuple[str, ...] = ()  # open incidents that stop new exposure, in words
    traffic: Traffic = Traffic()
    band: PriceBand | None = None
    funds: Funds | None = None
    others: tuple[Elsewhere, ...] = ()  # every other symbol that is held or may be
    open_orders: int = 0  # our own, of all symbols: unsent, in doubt or resting
    rejections_in_a_row: int = 0  # by the broker, of our newest answered orders
    rejections_lately: int = 0  # within REJECTIONS_WITHIN_SECONDS


def closing_quantity(proposed: ProposedOrder, holding: Holding) -> int:
    """How many shares of the order close what is open; the rest opens."""
    if proposed.action == TradingSignalType.SELL:
        return min(proposed.quantity, holding.closable_by_sell)
    if proposed.action == TradingSignalType.BUY:
        return min(proposed.quantity, holding.closable_by_buy)
    return 0


def only_tightens(proposed: ProposedOrder) -> bool:
    """Whether it only makes a working order smaller, or its price worse for the other side: nothing is risked by it."""
    old, price = proposed.replaces, proposed.limit_price
    if old is None or price is None or proposed.quantity > old.quantity:
        return False
    return price <= old.limit_price if proposed.action == TradingSignalType.BUY else price >= old.limit_price


def is_closing(proposed: ProposedOrder, holding: Holding) -> bool:
    """Whether the order only closes: nothing of it opens or turns a position."""
    return proposed.quantity > 0 and closing_quantity(proposed, holding) == proposed.quantity
