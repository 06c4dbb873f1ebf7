"""An exchange on its own: no process and no disk, and every moment is passed in."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal

from orders.paper.clock import Clock
from orders.paper.exchange.account_desk import AccountDesk
from orders.paper.exchange.book import Order
from orders.paper.exchange.events import Event, decode, encode
from orders.paper.exchange.exchange import Exchange
from orders.paper.exchange.forms import read_change, read_ticket
from orders.paper.exchange.gtt_desk import GttDesk
from orders.paper.exchange.ledger import Ledger
from orders.paper.exchange.turns import Turns
from orders.paper.indian_time import IST
from orders.paper.market.instruments import INSTRUMENTS
from orders.paper.market.market import Depth, Level, Market
from orders.paper.market.sessions import Sessions
from orders.paper.profile import STRICT, Profile

INFY = INSTRUMENTS["NSE:INFY"]
MONDAY = datetime(2026, 11, 23, 10, 0, tzinfo=IST)
TUESDAY = MONDAY + timedelta(days=1)
WEDNESDAY = MONDAY + timedelta(days=2)
CASH = Decimal(1_000_000)


class MemoryRecord:
    """A journal that forgets when the test ends, but reads back only what could be written as JSON."""

    def __init__(self, lines: Iterable[bytes] = ()) -> None:
        self.lines = list(lines)

    def replay(self) -> list[Event]:
        return [event for line in self.lines for event in decode(line)]

    def append(self, *events: Event) -> None:
        self.lines.append(encode(events))

    def restart(self, *opening: Event) -> str:
        self.lines = [encode(opening)]
        return "archive"


class Stage:
    """INFY costs 1500 on a Monday morning, in any quantity, and the account has ten lakh rupees."""

    def __init__(
        self,
        lines: Iterable[bytes] = (),
        *,
        sessions: Sessions | None = None,
        profile: Profile = STRICT,
        cash: Decimal = CASH,
    ) -> None:
        self.sessions, self.profile, self.cash = sessions, profile, cash
        self.record = MemoryRecord(lines)
        self.clock = Clock(lambda: MONDAY)
        self.market = Market(1, sessions)
        self.ledger = Ledger(self.market, self.record, self.clock, cash)
        self.exchange = Exchange(self.ledger, profile)
        self.gtts = GttDesk(self.exchange)
        self.turns = Turns(self.exchange, self.gtts)
        self.desk = AccountDesk(self.exchange)
        if not lines:
            self.price("1500", MONDAY)

    @property
    def book(self):
        return self.ledger.book

    @property
    def account(self):
        return self.ledger.account

    def restarted(self, kept: int | None = None) -> Stage:
        """Return what comes back from the journal, or from so many lines of it."""
        return Stage(self.record.lines[:kept], sessions=self.sessions, profile=self.profile, cash=self.cash)

    def price(self, price: str | None, at: datetime, *, buy: object = (), sell: object = ()) -> None:
        """Set INFY's price; `buy` and `sell` are levels of price and shares."""
        depth = Depth(buy=levels(buy), sell=levels(sell)) if buy or sell else None
        self.turns.set_price(INFY, None if price is None else Decimal(price), at, depth)

    def place(self, at: datetime = MONDAY, quirks: object = None, **changes: object) -> Order:
        """Place an order for ten INFY at the market, delivery; keywords change its form."""
        form = {
            "exchange": "NSE",
            "tradingsymbol": "INFY",
            "transaction_type": "BUY",
            "quantity": "10",
            "product": "CNC",
            "order_type": "MARKET",
            "market_protection": "-1",
        } | {name: str(value) for name, value in changes.items()}
        ticket = read_ticket(form.pop("variety", "regular"), form, self.profile)
        order_id = self.exchange.place(ticket, at, *([quirks] if quirks else []))
        return self.book.orders[order_id]

    def rest(self, at: datetime = MONDAY, **changes: object) -> Order:
        """Place a limit order that waits, at 1400 unless told otherwise."""
        return self.place(at, **{"order_type": "LIMIT", "price": "1400"} | changes)

    def modify(self, order: Order, at: datetime = MONDAY, **changes: object) -> None:
        form = {name: str(value) for name, value in changes.items()}
        self.exchange.modify(order.order_id, read_change(order.ticket.variety, form, order.ticket.instrument), at)

    def cancel(self, order: Order, at: datetime = MONDAY) -> None:
        self.exchange.cancel(order.order_id, at)

    def pass_time(self, at: datetime) -> None:
        self.turns.take(at)

    def working(self) -> list[Order]:
        return list(self.book.working.values())

    def latest(self) -> Order:
        return self.book.orders[self.book.last_order_id]


def levels(rows) -> tuple[Level, ...]:
    return tuple(Level(price=Decimal(price), quantity=quantity, orders=1) for price, quantity in rows)


def fills(order: Order) -> list[tuple[str, int]]:
    """Return an order's trades as price and shares."""
    return [(f"{trade.price:.2f}", trade.quantity) for trade in order.trades]


def statuses(order: Order) -> list[str]:
    return [str(state.status) for state in order.history]
