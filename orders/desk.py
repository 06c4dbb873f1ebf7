"""
Desk: one account's wiring, handed to every use case. Which mode, through which gateway, by which clock.

Nothing below fetches any of these for itself, so that a second account, a test's clock or another broker is a
different desk and not different code.
"""

from __future__ import annotations

import functools
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from datetime import time as time_of_day
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import Error
from django.utils import timezone

from orders.broker.asked import AskedFunds, AskedPositions, AskedPrices
from orders.broker.gateway import Depth, Gateway, NotSent
from orders.broker.kite import KiteGateway, KiteMarket
from orders.broker.kite_rows import IST
from orders.broker.paper_prices import PaperPrices
from orders.broker.prices import StreamedPrices
from orders.broker.sessions import PAPER_TOKEN, TokenVault
from orders.broker.shadow import Seen, ShadowGateway
from orders.models import ShadowQuote
from risk.engine.limits import Limits
from risk.engine.loosening import held_to
from risk.models import Mode

Clock = Callable[[], datetime]


class DeskNotWired(Exception):
    """The desk cannot work as it is set up; the text says what to set."""


@dataclass(frozen=True, kw_only=True)
class DeskRules:
    """What the deployment decides about orders, beside the limits that staff edit."""

    default_exchange: str = "NSE"
    entry_order_type: str = "LIMIT"
    product: str = "CNC"
    send_within_seconds: float = 2.0  # from writing SUBMITTING to the first byte on the wire
    answer_within_seconds: float = 12.0  # from the same moment to an answer; later the order is in doubt
    decision_age_max_seconds: float = 5.0  # an older decision is made again
    absence_window_seconds: float = 120.0  # after it, absence from the broker's book means "not placed"
    turned_away_window_seconds: float = 5.0  # after a 429 absence from books begun later means that it was true
    between_looks_seconds: float = 1.0  # two books that lack an order prove something when begun farther apart
    slow_seconds: float = 5.0  # an answer of the broker that takes longer is no better than none
    attempts_max: int = 5  # how often one signal is decided again after a withdrawal
    streamed_price_age_max_seconds: float = 3.0  # an older one is asked for; it is told in whole seconds, once a second
    signal_time_zone: ZoneInfo = IST
    end_of_day_at: time_of_day = time_of_day(15, 45)  # IST; where the calendar has no close of its own
    paper_keeps_market_hours: bool = False  # as the exchange does; else the paper market is open round the clock


@dataclass(frozen=True, kw_only=True)
class StreamAddress:
    """Where the broker tells order updates and prices, and the key it knows us by."""

    url: str
    api_key: str


def _as_they_are(limits: Limits) -> Limits:
    return limits


@dataclass(frozen=True, kw_only=True)
class Desk:
    """One account: where its orders go and what time it is there."""

    mode: str
    gateway: Gateway
    vault: TokenVault
    clock: Clock = timezone.now
    pause: Callable[[float], None] = time.sleep  # for so many seconds: how an exit waits for room
    rules: DeskRules = field(default_factory=DeskRules)
    tighten: Callable[[Limits], Limits] = _as_they_are  # ceilings, and what a script holds itself to
    auto_trading_allowed: bool = True
    stream: StreamAddress | None = None
    asked_prices: AskedPrices = field(default_factory=AskedPrices)
    asked_positions: AskedPositions = field(default_factory=AskedPositions)
    asked_funds: AskedFunds = field(default_factory=AskedFunds)
    streamed_prices: StreamedPrices | None = None  # only where the stream is heard: in the leading executor

    @property
    def is_live(self) -> bool:
        return self.mode == Mode.LIVE

    @property
    def keeps_market_hours(self) -> bool:
        return self.is_live or self.rules.paper_keeps_market_hours

    @property
    def sender(self) -> str:
        return f"{socket.gethostname()} pid {os.getpid()}"

    def today(self) -> date:
        """Return the trading date: the date in Mumbai."""
        return trading_date(self.clock())

    @classmethod
    def from_settings(cls, *, clock: Clock = timezone.now) -> Desk:
        """Wire the desk that the settings describe. Raise `DeskNotWired` when there is no broker to speak to."""
        mode, vault = settings.TRADING_MODE, TokenVault(settings.TRADING_MODE, secret_key=settings.SECRET_KEY)
        if mode != Mode.LIVE and not settings.PAPER_KITE_URL:
            raise DeskNotWired(
                "there is no paper Kite server: set PAPER_KITE_URL, or start through manage.py, which runs one"
            )
        paper = mode == Mode.PAPER
        root = settings.PAPER_KITE_URL if paper else settings.KITE_ROOT_URL
        api_key = "paper" if paper else settings.KITE_API_KEY
        stream_url = f"{root.replace('http', 'ws', 1)}/ws" if paper else settings.KITE_STREAM_URL
        return cls(
            mode=mode,
            gateway=_gateway(mode, vault, root=root, api_key=api_key, clock=clock),
            asked_prices=asked_prices(root, api_key),
            stream=StreamAddress(url=stream_url, api_key=api_key),
            vault=vault,
            clock=clock,
            tighten=functools.partial(held_to, ceilings=settings.LIMIT_CEILINGS),
            rules=DeskRules(
                default_exchange=settings.DEFAULT_EXCHANGE,
                entry_order_type=settings.ENTRY_ORDER_TYPE,
                absence_window_seconds=settings.ABSENCE_WINDOW_SECONDS,
                slow_seconds=settings.BROKER_SLOW_SECONDS,
                signal_time_zone=settings.SIGNAL_TIME_ZONE,
                end_of_day_at=settings.END_OF_DAY_AT,
                paper_keeps_market_hours=not paper or settings.PAPER_MARKET_HOURS == "nse",
                streamed_price_age_max_seconds=settings.STREAMED_PRICE_AGE_MAX_SECONDS,
            ),
        )


def _gateway(mode: str, vault: TokenVault, *, root: str, api_key: str, clock: Clock) -> Gateway:
    """Return the account's gateway: in shadow Zerodha's market with a paper Kite server for the orders."""
    real = {"api_key": api_key, "root": root, "access_token": vault.token, "login_page": settings.KITE_LOGIN_URL}
    if mode != Mode.SHADOW:
        return KiteGateway(**real)
    paper = settings.PAPER_KITE_URL
    return ShadowGateway(
        market=KiteMarket(**real),
        orders=KiteGateway(api_key="paper", root=paper, access_token=lambda: PAPER_TOKEN),
        prices=PaperPrices(paper),
        witness=keep_quote,
        clock=clock,
    )


def keep_quote(seen: Seen) -> None:
    """Keep what the real market was when a shadow order left. Raise `NotSent` when it cannot be kept."""
    try:
        ShadowQuote.objects.create(
            moment=ShadowQuote.Moment.ORDER,
            client_order_id=seen.tag,
            exchange=seen.exchange,
            symbol=seen.symbol,
            trading_date=trading_date(seen.at),
            at=seen.at,
            **told_of(seen.depth),
        )
    except Error as trouble:
        raise NotSent(f"not sent: what the market is cannot be written down: {trouble}") from trouble


def told_of(depth: Depth) -> dict[str, Any]:
    """Return a quote as the columns of `ShadowQuote` take it."""
    bid, ask = (side[0] if side else None for side in (depth.buy, depth.sell))
    return {
        "last_price": depth.quote.last_price,
        "bid": bid.price if bid else None,
        "bid_quantity": bid.quantity if bid else None,
        "ask": ask.price if ask else None,
        "ask_quantity": ask.quantity if ask else None,
    }


@functools.cache
def asked_prices(root: str, api_key: str) -> AskedPrices:
    """Return this process's only one for the key: the broker counts by key, however many desks are wired."""
    return AskedPrices()


def trading_date(moment: datetime) -> date:
    """Return the date in Mumbai at that moment."""
    return moment.astimezone(IST).date()


def start_of_day(moment: datetime) -> datetime:
    """Return midnight in Mumbai before the moment."""
    return datetime.combine(trading_date(moment), time_of_day.min, tzinfo=IST)


def rupees(amount: Decimal) -> str:
    """Return an amount in INR with Indian grouping: ₹12,34,567.50."""
    amount = amount.quantize(Decimal("0.01"))
    whole, _, paise = f"{abs(amount):.2f}".partition(".")
    head, tail = whole[:-3], whole[-3:]
    groups: list[str] = []
    while head:
        groups.insert(0, head[-2:])
        head = head[:-2]
    return f"{'-' if amount < 0 else ''}₹{','.join([*groups, tail])}.{paise}"
