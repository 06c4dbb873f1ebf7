"""
The account: cash, positions and holdings, changed by fills and by the end of a day.

Everything follows from what it is given in order, so that a journal rebuilds it to the paisa. Money is INR.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from orders.paper.indian_time import trading_date
from orders.paper.market.instruments import Instrument
from orders.paper.money.charges import ChargeMeter, Charges, depository_charges
from orders.paper.money.fills import Fill
from orders.paper.money.holdings import Holding
from orders.paper.money.margins import margin_rate
from orders.paper.money.positions import Position
from orders.paper.terms import Product, Side

NOTHING = Decimal(0)


class NotConvertible(Exception):
    """The position cannot be moved to the other product; the text says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Funds:
    """
    What the account may spend, INR.

    `available` = `opening` + `payin` − `debits`, and `debits` is the sum of what follows it, sales subtracted.
    """

    opening: Decimal
    payin: Decimal
    blocked: Decimal  # by working orders
    exposure: Decimal  # margin of open intraday and carried positions
    delivery: Decimal  # paid for delivery shares bought today
    sales: Decimal  # received for delivery shares sold today
    realised_loss: Decimal  # negative when a profit
    unrealised_loss: Decimal  # of positions that are not delivery; a profit does not count
    charges: Decimal

    @property
    def debits(self) -> Decimal:
        used = self.blocked + self.exposure + self.delivery
        return used + self.realised_loss + self.unrealised_loss + self.charges - self.sales

    @property
    def available(self) -> Decimal:
        return self.opening + self.payin - self.debits


class Account:
    def __init__(self, cash: Decimal, next_trading_day: Callable[[date], date]) -> None:
        self.opening = cash
        self.payin = NOTHING
        self.charged = Charges()  # today
        self.today = date.min
        self._next_trading_day = next_trading_day
        self._positions: dict[tuple[str, Product], Position] = {}
        self._holdings: dict[str, Holding] = {}
        self._meters: dict[str, ChargeMeter] = {}
        self._debited: set[str] = set()  # ISINs of which holdings were sold today

    def roll_to(self, today: date) -> None:
        """End the day that was: shares bought become holdings, profits and payments become the opening balance."""
        if today <= self.today:
            return
        ended, self.today = self.today, today
        if ended > date.min:
            self._end(ended)
        for holding in self._holdings.values():
            holding.settle(today)

    def turn_back_to(self, today: date) -> None:
        """Go on in an earlier day; what was done in the later one counts as of this day."""
        self.today = today

    def apply(self, fill: Fill) -> None:
        """Count a fill and what it costs."""
        self.roll_to(trading_date(fill.at))
        self._position(fill.instrument, fill.product).trade(fill)
        meter = self._meters.setdefault(fill.order_id, ChargeMeter())
        self.charged += meter.add(
            exchange=fill.instrument.exchange,
            product=fill.product,
            side=fill.side,
            value=fill.value,
            squared_off=fill.squared_off,
        )
        self._note_sales(fill.instrument)
        if fill.product is Product.CNC and fill.side is Side.SELL:
            self._charge_depository(fill.instrument)

    def add_funds(self, amount: Decimal, at: datetime) -> None:
        """Pay in, or out when negative."""
        self.roll_to(trading_date(at))
        self.payin += amount

    def give_holding(self, instrument: Instrument, quantity: int, average_price: Decimal, at: datetime) -> None:
        """Put settled shares into the account."""
        self.roll_to(trading_date(at))
        holding = self._holding(instrument)
        holding.add(quantity, average_price, self.today)
        holding.settle(self.today)

    def convert(
        self,
        instrument: Instrument,
        old: Product,
        new: Product,
        side: Side,
        quantity: int,
        overnight: bool,
        at: datetime,
    ) -> None:
        """
        Move shares of a position from one product to another at their average price, or raise `NotConvertible`.

        Whether the account can pay for it is for the caller to ask before.
        """
        self.roll_to(trading_date(at))
        position = self.position(instrument, old)
        self._check_conversion(position, old, new, side, quantity, overnight)
        assert position is not None
        price = position.average_price
        if overnight:
            self._move_overnight(position, self._position(instrument, new), side, quantity)
        else:
            moved = self._position(instrument, new)
            for one, there in ((position, side.opposite), (moved, side)):
                turnover = one.bought_today if there is Side.BUY else one.sold_today
                turnover.add(quantity, price)
        self._note_sales(instrument)

    def net_positions(self) -> list[Position]:
        return [position for position in self._positions.values() if position.listed]

    def holdings(self) -> list[Holding]:
        return [holding for holding in self._holdings.values() if holding.opening_quantity]

    def position(self, instrument: Instrument, product: Product) -> Position | None:
        return self._positions.get((instrument.key, product))

    def sellable(self, instrument: Instrument) -> int:
        """Return how many delivery shares may be sold: those held and those bought today, less those sold today."""
        held = self._holdings.get(instrument.key)
        traded = self.position(instrument, Product.CNC)
        return (held.opening_quantity if held else 0) + (traded.quantity if traded else 0)

    def available(self, blocked: Decimal) -> Decimal:
        """Return what a further order may block; unrealised losses, which need prices, are not counted."""
        return self.funds(None, blocked).available

    def funds(self, price_of: Callable[[Instrument], Decimal] | None, blocked: Decimal) -> Funds:
        exposure = delivery = sales = realised = unrealised = NOTHING
        for (_, product), position in self._positions.items():
            if product is Product.CNC:
                delivery += position.bought_today.value
                sales += position.sold_today.value
                continue
            exposure += abs(position.quantity) * position.average_price * margin_rate(product)
            realised += position.realised
            if price_of is not None and position.quantity:
                unrealised += position.profit(price_of(position.instrument)) - position.realised
        return Funds(
            opening=self.opening,
            payin=self.payin,
            blocked=blocked,
            exposure=exposure,
            delivery=delivery,
            sales=sales,
            realised_loss=-realised,
            unrealised_loss=max(-unrealised, NOTHING),
            charges=self.charged.total,
        )

    def _end(self, day: date) -> None:
        settles_on = self._next_trading_day(self._next_trading_day(day))
        for (_, product), position in self._positions.items():
            if product is Product.CNC:
                self.opening += position.sold_today.value - position.bought_today.value
                self._take_into_holdings(position, settles_on)
            else:
                self.opening += position.realised
                position.carry_over_night()
        self.opening += self.payin - self.charged.total
        self.payin, self.charged, self._meters, self._debited = NOTHING, Charges(), {}, set()
        self._positions = {
            key: one for key, one in self._positions.items() if one.product is not Product.CNC and one.quantity
        }
        self._holdings = {key: one for key, one in self._holdings.items() if one.opening_quantity}

    def _take_into_holdings(self, position: Position, settles_on: date) -> None:
        """Let the day's purchases be held from now on; sales are set off against them first."""
        holding = self._holding(position.instrument)
        holding.used_quantity = 0
        if position.quantity > 0:
            holding.add(position.quantity, position.bought_today.price, settles_on)
        else:
            holding.remove(-position.quantity)

    def _position(self, instrument: Instrument, product: Product) -> Position:
        return self._positions.setdefault((instrument.key, product), Position(instrument=instrument, product=product))

    def _holding(self, instrument: Instrument) -> Holding:
        return self._holdings.setdefault(instrument.key, Holding(instrument=instrument))

    def _note_sales(self, instrument: Instrument) -> None:
        """Say on the holding how many of its shares were sold today."""
        holding, traded = self._holdings.get(instrument.key), self.position(instrument, Product.CNC)
        if holding is not None:
            holding.used_quantity = max(-traded.quantity, 0) if traded else 0

    def _charge_depository(self, instrument: Instrument) -> None:
        """Charge the day's first sale of a company out of the holdings; what was bought today never was in them."""
        holding = self._holdings.get(instrument.key)
        if holding is not None and holding.used_quantity and instrument.isin not in self._debited:
            self._debited.add(instrument.isin)
            self.charged += depository_charges()

    def _check_conversion(
        self, position: Position | None, old: Product, new: Product, side: Side, quantity: int, overnight: bool
    ) -> None:
        if old is new:
            raise NotConvertible("The position is in that product already.")
        there = 0
        if position is not None:
            there = position.overnight_quantity if overnight else position.quantity - position.overnight_quantity
        if side is Side.SELL:
            there = -there
        if quantity > max(there, 0):
            raise NotConvertible(f"Insufficient quantity to convert: {max(there, 0)} open, {quantity} asked for.")
        if new is Product.CNC and side is Side.SELL:
            raise NotConvertible("A short position cannot be converted to CNC.")

    def _move_overnight(self, source: Position, target: Position, side: Side, quantity: int) -> None:
        signed = quantity if side is Side.BUY else -quantity
        price = source.overnight_price
        source.overnight_quantity -= signed
        if target.product is Product.CNC:
            # Delivery has no overnight part: the shares are taken in like today's.
            target.bought_today.add(quantity, price)
            return
        held = target.overnight_quantity + signed
        if held:
            cost = target.overnight_price * target.overnight_quantity + price * signed
            target.overnight_price = abs(cost / held)
        target.overnight_quantity = held
