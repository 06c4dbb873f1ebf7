"""Whatever is ordered on whatever market: the sums hold, and the journal brings back the same book."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from orders.paper.errors import KiteRefusal
from orders.paper.exchange.book import Order
from orders.paper.exchange.states import ENDED
from orders.paper.market.instruments import INSTRUMENTS
from orders.paper.market.market import Depth
from orders.paper.market.sessions import AlwaysOpen, ExchangeHours
from orders.paper.money.charges import charges_of, depository_charges
from orders.paper.server.portfolio_wire import holding_row, position_row
from orders.paper.terms import Product, Side

from .stage import CASH, INFY, MONDAY, Stage, levels

SBIN = INSTRUMENTS["NSE:SBIN"]
SHARES = (INFY, SBIN)
A_DAY = timedelta(days=1)

which = st.sampled_from(SHARES)
prices = st.integers(13_600, 16_400).map(lambda tenths: f"{Decimal(tenths) / 10:.1f}")
validities = st.sampled_from(["DAY", "IOC", "TTL"])
steps = st.one_of(
    st.tuples(st.just("price"), which, prices, st.integers(0, 30)),
    st.tuples(
        st.just("place"),
        which,
        st.sampled_from(["BUY", "SELL"]),
        st.sampled_from(["CNC", "MIS", "MIS", "NRML"]),
        st.sampled_from(["regular", "regular", "regular", "amo", "co", "iceberg"]),
        st.sampled_from(["MARKET", "LIMIT", "SL", "SL-M"]),
        validities,
        st.integers(1, 40),
        prices,
    ),
    st.tuples(st.just("modify"), st.integers(0, 9), st.integers(1, 50), prices, validities),
    st.tuples(st.just("cancel"), st.integers(0, 9)),
    st.tuples(st.just("wait"), st.sampled_from([1, 6, 60, 320, 1440, 4000])),
    st.tuples(st.just("restart")),
)


@given(
    flow=st.lists(steps, min_size=10, max_size=40),
    cut=st.integers(3, 200),
    sessions=st.sampled_from([AlwaysOpen(), ExchangeHours()]),
)
@settings(max_examples=300, deadline=None)
def test_the_sums_hold_whatever_is_ordered_and_every_order_ends(flow, cut, sessions):
    run = Run(sessions)
    for step in flow:
        run.take(step)
        run.check_sums()
    run.check_killed_after(cut)

    # A week later, when what was ordered for later days has gone out, and the day after that one.
    for later in (7 * A_DAY, A_DAY):
        run.now = run.opening_after(later)
        for instrument in SHARES:
            run.price(instrument, "1500", 0)  # as deep as the broker needs to square off
        run.check_sums()

    assert all(order.state.status in ENDED for order in run.orders.values())
    assert run.stage.ledger.blocked == 0
    assert [one for one in run.stage.account.net_positions() if one.product.intraday and one.quantity] == []


class Run:
    """A stage on which things happen second by second, and everything that was ever ordered on it."""

    def __init__(self, sessions) -> None:
        self.now = MONDAY
        self.orders: dict[str, Order] = {}
        self.fees: dict[object, Decimal] = {}  # of the depository, INR by day
        self.attend(Stage(sessions=sessions))
        self.price(SBIN, "1500", 0)

    def attend(self, stage: Stage) -> None:
        self.stage = stage
        self.orders.update(stage.book.orders)
        stage.ledger.listeners.append(lambda order, _: self.orders.__setitem__(order.order_id, order))

    def take(self, step: tuple) -> None:
        self.now += timedelta(seconds=1)
        try:
            match step:
                case ("price", instrument, price, shares):
                    self.price(instrument, price, shares)
                case ("place", *asked):
                    self.place(*asked)
                case ("modify", number, quantity, price, validity):
                    if (order := self.nth_working(number)) is not None:
                        self.stage.modify(
                            order, self.now, quantity=quantity, price=price, validity=validity, validity_ttl=5
                        )
                case ("cancel", number):
                    if (order := self.nth_working(number)) is not None:
                        self.stage.cancel(order, self.now)
                case ("wait", minutes):
                    self.now += timedelta(minutes=minutes)
                    self.stage.pass_time(self.now)
                case ("restart",):
                    self.restart()
        except KiteRefusal:
            pass  # a refusal changes nothing, which the sums show

    def price(self, instrument, price: str, shares: int) -> None:
        level = levels([(price, shares)])
        self.stage.turns.set_price(
            instrument, Decimal(price), self.now, Depth(buy=level, sell=level) if shares else None
        )

    def place(self, instrument, side, product, variety, kind, validity, quantity, price) -> None:
        stop = Decimal(price) + (0 if variety != "co" else 100 if side == "SELL" else -100)
        self.stage.place(
            self.now,
            variety=variety,
            tradingsymbol=instrument.tradingsymbol,
            transaction_type=side,
            product=product,
            order_type=kind,
            validity=validity,
            validity_ttl=5,
            quantity=quantity,
            trigger_price=stop,
            iceberg_legs=2,
            iceberg_quantity=-(-quantity // 2),
            **({"price": price} if kind in ("LIMIT", "SL") else {}),
        )

    def nth_working(self, number: int) -> Order | None:
        working = self.stage.working()
        return working[number % len(working)] if working else None

    def restart(self) -> None:
        before = self.stage
        after = before.restarted()
        before.pass_time(self.now)
        after.pass_time(self.now)
        assert picture(after, self.now) == picture(before, self.now)
        self.attend(after)

    def opening_after(self, later: timedelta):
        """Return a moment of a trading day at which everything is open."""
        sessions = self.stage.market.sessions
        day = sessions.next_trading_day((self.now + later).date())
        return sessions.opens_at(INFY, day) + timedelta(hours=1)

    def check_killed_after(self, cut: int) -> None:
        """Ids go on from any line, and nothing of what was kept is different."""
        part = self.stage.restarted(min(cut, len(self.stage.record.lines)))
        kept = dict(part.book.orders)
        for order_id, order in kept.items():
            assert order.history == self.orders[order_id].history[: len(order.history)]
        fresh = part.rest(self.opening_after(A_DAY), price="1400", quantity=1)
        assert fresh.order_id not in kept

    def check_sums(self) -> None:
        for order in self.orders.values():
            assert order.state.filled_quantity == sum(trade.quantity for trade in order.trades) <= order.state.quantity
        trades = [trade for order in self.orders.values() for trade in order.trades]
        assert len({trade.trade_id for trade in trades}) == len(trades)
        assert self.stage.ledger.blocked == blocked_share_by_share(self.stage)
        for instrument in SHARES:
            self.check_shares(instrument, trades)
            depth = self.stage.market.depth(instrument, self.now)
            assert not depth.buy or not depth.sell or depth.buy[0].price <= depth.sell[0].price
        self.check_cash(trades)

    def check_shares(self, instrument, trades) -> None:
        for product in Product:
            traded = sum(
                signed(trade)
                for trade in trades
                if trade.order.ticket.instrument is instrument and trade.order.ticket.product is product
            )
            position = self.stage.account.position(instrument, product)
            there = position.quantity if position else 0
            assert (self.stage.account.sellable(instrument) if product is Product.CNC else there) == traded

    def check_cash(self, trades) -> None:
        """All the money that there ever was is there, was paid for shares, or went in charges."""
        account = self.stage.account
        self.fees[account.today] = account.charged.depository_fee / 13 * depository_charges().total
        funds = account.funds(None, self.stage.ledger.blocked)
        assert funds.opening + funds.payin - funds.debits == funds.available
        cash = funds.available + funds.blocked + funds.exposure
        open_cost = sum(
            position.quantity * position.average_price
            for position in account.net_positions()
            if position.product is not Product.CNC
        )
        paid = sum(signed(trade) * trade.price for trade in trades)
        charged = sum(cost_of(order) for order in self.orders.values()) + sum(self.fees.values())
        # Average prices are not whole paise: what they lose is far below one.
        assert abs(cash - (CASH - paid + open_cost - charged)) < Decimal("1e-12")


def signed(trade) -> int:
    return trade.quantity if trade.order.ticket.side is Side.BUY else -trade.quantity


def cost_of(order: Order) -> Decimal:
    """Return what the order has cost as one execution at its average price, INR."""
    turnover = sum((trade.quantity * trade.price for trade in order.trades), Decimal(0))
    ticket = order.ticket
    if not turnover:
        return Decimal(0)
    return (
        charges_of(
            exchange=ticket.exchange,
            product=ticket.product,
            side=ticket.side,
            quantity=1,
            price=turnover,
            squared_off=ticket.squares_off,
        )
        .in_paise()
        .total
    )


def picture(stage: Stage, now) -> dict[str, object]:
    """Return all that a client can see."""
    account = stage.account
    return {
        "orders": [(order.order_id, order.ticket, order.history) for order in stage.book.orders.values()],
        "trades": [
            (trade.trade_id, trade.order.order_id, trade.quantity, trade.price, trade.at)
            for order in stage.book.orders.values()
            for trade in order.trades
        ],
        "positions": [
            position_row(position, Decimal(1500), Decimal(1490))
            for position in (*account.net_positions(), *(one.today_alone() for one in account.net_positions()))
        ],
        "holdings": [holding_row(one, Decimal(1500), Decimal(1490), now) for one in account.holdings()],
        "funds": account.funds(lambda instrument: stage.market.last_price(instrument, now), stage.ledger.blocked),
    }


def blocked_share_by_share(stage: Stage) -> Decimal:
    """Return what the working orders need: all shares, the oldest first, less those that close what is open."""
    shares: dict[tuple, list[Decimal]] = {}
    for order in stage.working():
        ticket = order.ticket
        if order.counted_at and not (ticket.product is Product.CNC and ticket.side is Side.SELL):
            queue = shares.setdefault((ticket.instrument.key, ticket.product, ticket.side), [])
            queue += [order.counted_at / (5 if ticket.product.intraday else 1)] * order.state.pending_quantity
    for position in stage.account.net_positions():
        if position.product is not Product.CNC:
            side = Side.SELL if position.quantity > 0 else Side.BUY
            del shares.get((position.instrument.key, position.product, side), [])[: abs(position.quantity)]
    return sum((sum(queue, Decimal(0)) for queue in shares.values()), Decimal(0))
