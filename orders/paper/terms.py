"""The words of an order that every part of the paper Kite shares, spelt as Kite spells them."""

from __future__ import annotations

from enum import StrEnum


class Side(StrEnum):
    BUY = "BUY"
    SELL = "SELL"

    @property
    def opposite(self) -> Side:
        return Side.SELL if self is Side.BUY else Side.BUY


class Product(StrEnum):
    CNC = "CNC"
    MIS = "MIS"
    NRML = "NRML"
    CO = "CO"  # never asked for: what a cover order's legs and position show

    @property
    def intraday(self) -> bool:
        """Tell whether the position is to be closed on its day."""
        return self in (Product.MIS, Product.CO)


class OrderType(StrEnum):
    MARKET = "MARKET"
    LIMIT = "LIMIT"
    SL = "SL"
    SL_M = "SL-M"

    @property
    def is_stop(self) -> bool:
        return self in (OrderType.SL, OrderType.SL_M)

    @property
    def has_limit(self) -> bool:
        """Tell whether the client names its price."""
        return self in (OrderType.LIMIT, OrderType.SL)


class Validity(StrEnum):
    DAY = "DAY"
    IOC = "IOC"
    TTL = "TTL"


class Variety(StrEnum):
    REGULAR = "regular"
    AMO = "amo"
    CO = "co"
    ICEBERG = "iceberg"
    AUCTION = "auction"
