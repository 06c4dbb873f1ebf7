"""What a client asks for, checked: form fields, all of them text and none to be trusted, become values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from orders.paper.errors import MARKET_PROTECTION_NEEDED, NO_SUCH_INSTRUMENT, bad_input
from orders.paper.market.instruments import INSTRUMENTS, Instrument
from orders.paper.terms import OrderType, Product, Side, Validity

TAG_LENGTH_MAX = 20
# Longer ones are no price or quantity of this market, and int() and Decimal() accept far stranger texts.
WHOLE_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)
DECIMAL_NUMBER = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,9})?", re.ASCII)

Form = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Ticket:
    """A new order as asked for; `price` is 0 for a MARKET order."""

    exchange: str
    tradingsymbol: str
    side: Side
    quantity: int
    product: Product
    order_type: OrderType
    price: Decimal  # INR
    validity: Validity
    market_protection: Decimal  # percent, -1 for the automatic band, 0 for none
    disclosed_quantity: int
    tag: str | None

    @property
    def instrument(self) -> Instrument:
        return INSTRUMENTS[f"{self.exchange}:{self.tradingsymbol}"]


@dataclass(frozen=True, kw_only=True)
class Change:
    """What a modification asks for; None keeps what is."""

    quantity: int | None
    price: Decimal | None
    order_type: OrderType | None
    validity: Validity | None
    market_protection: Decimal


def read_ticket(variety: str, form: Form) -> Ticket:
    """Return the ticket that a POST to /orders/{variety} describes, or raise an `InputException` for it."""
    check_variety(variety)
    instrument = named_instrument(form)
    order_type = OrderType(choice(form, "order_type", OrderType))
    market_protection = protection(form)
    price = Decimal(0)
    if order_type is OrderType.MARKET:
        require_protection(market_protection)
    else:
        price = limit_price(form, instrument)
    return Ticket(
        exchange=instrument.exchange,
        tradingsymbol=instrument.tradingsymbol,
        side=Side(choice(form, "transaction_type", Side)),
        quantity=positive_quantity(form),
        product=Product(choice(form, "product", Product)),
        order_type=order_type,
        price=price,
        validity=Validity(choice(form, "validity", Validity, default=Validity.DAY)),
        market_protection=market_protection,
        disclosed_quantity=whole_number(form, "disclosed_quantity") if form.get("disclosed_quantity") else 0,
        tag=short_tag(form),
    )


def read_change(variety: str, form: Form, instrument: Instrument) -> Change:
    """Return the change that a PUT to /orders/{variety}/{order_id} describes; refuse as `read_ticket`."""
    check_variety(variety)
    order_type = OrderType(choice(form, "order_type", OrderType)) if form.get("order_type") else None
    validity = Validity(choice(form, "validity", Validity)) if form.get("validity") else None
    # A price beside MARKET is noise that clients send; it is not looked at.
    priced = bool(form.get("price")) and order_type is not OrderType.MARKET
    return Change(
        quantity=positive_quantity(form) if form.get("quantity") else None,
        price=limit_price(form, instrument) if priced else None,
        order_type=order_type,
        validity=validity,
        market_protection=protection(form),
    )


def check_variety(variety: str) -> None:
    if variety != "regular":
        raise bad_input(f"Invalid `variety`: {variety[:20]!r} orders are not available on paper, use regular.")


def named_instrument(form: Form) -> Instrument:
    key = f"{required(form, 'exchange')}:{required(form, 'tradingsymbol')}"
    if key not in INSTRUMENTS:
        raise bad_input(NO_SUCH_INSTRUMENT)
    return INSTRUMENTS[key]


def required(form: Form, field: str) -> str:
    text = form.get(field, "").strip()
    if not text:
        raise bad_input(f"Missing or empty field `{field}`")
    return text


def choice(form: Form, field: str, allowed: type[StrEnum], default: str | None = None) -> str:
    """Return the field's text if it is an allowed one; an absent field is the default, if there is one."""
    text = default if default and not form.get(field) else required(form, field)
    if text not in list(allowed):
        raise bad_input(f"Invalid `{field}`: use one of {', '.join(allowed)}.")
    return text


def whole_number(form: Form, field: str) -> int:
    text = required(form, field)
    if not WHOLE_NUMBER.fullmatch(text):
        raise bad_input(f"Invalid `{field}`: not a whole number.")
    return int(text)


def decimal_number(form: Form, field: str) -> Decimal:
    text = required(form, field)
    if not DECIMAL_NUMBER.fullmatch(text):
        raise bad_input(f"Invalid `{field}`: not a number.")
    return Decimal(text)


def positive_quantity(form: Form) -> int:
    quantity = whole_number(form, "quantity")
    if quantity == 0:
        raise bad_input("Invalid `quantity`: it must be at least 1.")
    return quantity


def limit_price(form: Form, instrument: Instrument) -> Decimal:
    price = decimal_number(form, "price")
    if price <= 0:
        raise bad_input("Invalid `price`: a limit order needs a price above zero.")
    if price % instrument.tick_size:
        raise bad_input(
            f"Tick size for this script is {instrument.tick_size}. "
            "Kindly enter price in the multiple of tick size for this script."
        )
    return price


def protection(form: Form) -> Decimal:
    """Return the market protection asked for: -1, a percentage up to 100, or 0 when there is none."""
    if not form.get("market_protection"):
        return Decimal(0)
    percent = decimal_number(form, "market_protection")
    if percent != -1 and not 0 <= percent <= 100:
        raise bad_input("Invalid `market_protection`: use -1 or a percentage up to 100.")
    return percent


def require_protection(market_protection: Decimal) -> None:
    if market_protection == 0:
        raise bad_input(MARKET_PROTECTION_NEEDED)


def short_tag(form: Form) -> str | None:
    tag = form.get("tag") or None
    if tag and len(tag) > TAG_LENGTH_MAX:
        raise bad_input(f"Invalid `tag`: it should be at most {TAG_LENGTH_MAX} characters.")
    return tag
