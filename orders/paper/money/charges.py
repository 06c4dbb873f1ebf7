"""
What trading costs: brokerage, taxes and fees on equity, by the order, INR.

The rates are those of zerodha.com/charges as of November 2026; each applies to the turnover of the executed
order. What a fill costs is the difference that it makes to its order, in whole paise, so that an order filled
in parts costs what it would have cost at once. The depository's fee comes to it, once a day for each company
of which shares leave the holdings (support.zerodha.com, "DP charges for BTST trades").

As in Zerodha's virtual contract note nothing is rounded to the rupee, as the contract note of the evening rounds
its sum of STT. Other than there, an order is charged as its product says: delivery shares that were bought and
sold on one day do not become cheaper.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from decimal import ROUND_HALF_UP, Decimal

from orders.paper.terms import Product, Side

NOTHING = Decimal(0)
PAISA = Decimal("0.01")

BROKERAGE_RATE = Decimal("0.0003")  # intraday; delivery is free
BROKERAGE_MAX = Decimal(20)  # INR for one executed order
STT_DELIVERY = Decimal("0.001")  # both sides
STT_INTRADAY = Decimal("0.00025")  # sales only
TURNOVER_RATES = {"NSE": Decimal("0.0000307"), "BSE": Decimal("0.0000375")}
SEBI_RATE = Decimal("0.000001")  # 10 INR per crore
STAMP_DELIVERY = Decimal("0.00015")  # purchases only
STAMP_INTRADAY = Decimal("0.00003")
GST_RATE = Decimal("0.18")  # on brokerage, exchange and SEBI fees
DEPOSITORY_FEE = Decimal(13)  # INR a day for each company sold from, whatever the quantity, and GST
SQUARE_OFF_FEE = Decimal(50)  # INR for an order by which the broker closes an intraday position


@dataclass(frozen=True, kw_only=True, slots=True)
class Charges:
    """One order's costs, INR, not rounded."""

    brokerage: Decimal = NOTHING
    transaction_tax: Decimal = NOTHING  # STT
    exchange_turnover_charge: Decimal = NOTHING
    sebi_turnover_charge: Decimal = NOTHING
    stamp_duty: Decimal = NOTHING
    gst: Decimal = NOTHING
    depository_fee: Decimal = NOTHING  # of sales out of the demat account; in no contract note

    @property
    def total(self) -> Decimal:
        return sum((getattr(self, field.name) for field in fields(self)), NOTHING)

    def in_paise(self) -> Charges:
        """Return each of them rounded to the paisa, half a paisa up."""
        return Charges(**{field.name: rounded(getattr(self, field.name)) for field in fields(self)})

    def __add__(self, other: Charges) -> Charges:
        return Charges(**{one.name: getattr(self, one.name) + getattr(other, one.name) for one in fields(self)})

    def __sub__(self, other: Charges) -> Charges:
        return Charges(**{one.name: getattr(self, one.name) - getattr(other, one.name) for one in fields(self)})


def charges_of(
    *,
    exchange: str,
    product: Product,
    side: Side,
    quantity: int,
    price: Decimal,
    squared_off: bool = False,
) -> Charges:
    """Return what an executed order of this size at this price costs."""
    return charges_on(exchange=exchange, product=product, side=side, turnover=price * quantity, squared_off=squared_off)


def charges_on(*, exchange: str, product: Product, side: Side, turnover: Decimal, squared_off: bool = False) -> Charges:
    """Return what an executed order of this turnover, INR, costs."""
    intraday = product.intraday
    brokerage = min(turnover * BROKERAGE_RATE, BROKERAGE_MAX) if intraday else NOTHING
    if squared_off:
        brokerage += SQUARE_OFF_FEE
    exchange_fee = turnover * TURNOVER_RATES[exchange]
    sebi_fee = turnover * SEBI_RATE
    return Charges(
        brokerage=brokerage,
        transaction_tax=turnover * transaction_tax_rate(intraday=intraday, side=side),
        exchange_turnover_charge=exchange_fee,
        sebi_turnover_charge=sebi_fee,
        stamp_duty=turnover * (STAMP_INTRADAY if intraday else STAMP_DELIVERY) if side is Side.BUY else NOTHING,
        gst=(brokerage + exchange_fee + sebi_fee) * GST_RATE,
    )


def depository_charges() -> Charges:
    """Return what a day's first sale of a company's shares out of the holdings costs beside its order."""
    return Charges(depository_fee=DEPOSITORY_FEE, gst=DEPOSITORY_FEE * GST_RATE)


def transaction_tax_rate(*, intraday: bool, side: Side) -> Decimal:
    if not intraday:
        return STT_DELIVERY
    return STT_INTRADAY if side is Side.SELL else NOTHING


def rounded(amount: Decimal) -> Decimal:
    return amount.quantize(PAISA, ROUND_HALF_UP)


class ChargeMeter:
    """Counts what one order has cost so far, fill by fill."""

    __slots__ = ("charged", "turnover")

    def __init__(self) -> None:
        self.turnover = NOTHING
        self.charged = Charges()

    def add(self, *, exchange: str, product: Product, side: Side, value: Decimal, squared_off: bool) -> Charges:
        """Return what a further fill of this value, INR, adds, in whole paise."""
        self.turnover += value
        whole = charges_on(
            exchange=exchange, product=product, side=side, turnover=self.turnover, squared_off=squared_off
        ).in_paise()
        added, self.charged = whole - self.charged, whole
        return added
