"""From the form fields of a request, all of them text and none to be trusted, to tickets and changes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import StrEnum

from orders.paper.errors import MARKET_PROTECTION_NEEDED, NO_SUCH_INSTRUMENT, bad_input
from orders.paper.exchange.checks import check_disclosed, check_immediate
from orders.paper.exchange.tickets import NO_PRICE, Change, Iceberg, Ticket
from orders.paper.market.instruments import INSTRUMENTS, Instrument
from orders.paper.profile import STRICT, Profile
from orders.paper.terms import OrderType, Product, Side, Validity, Variety

TAG_LENGTH_MAX = 20
ICEBERG_LEGS = (2, 50)
TTL_MINUTES_MAX = 360  # a session is not longer
# Longer ones are no price or quantity of this market, and int() and Decimal() accept far stranger texts.
WHOLE_NUMBER = re.compile(r"-?[0-9]{1,9}", re.ASCII)
DECIMAL_NUMBER = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,18})?", re.ASCII)
# Clients reckon in floats: 1523.5500000000002 is meant to be on a tick of 0.05.
NOISE = Decimal("0.000001")

Form = Mapping[str, str]


def read_ticket(variety: str, form: Form, profile: Profile = STRICT) -> Ticket:
    """Return the ticket that a POST to /orders/{variety} describes, or raise an `InputException` for it."""
    kind = known_variety(variety)
    instrument = named_instrument(form)
    order_type = OrderType(choice(form, "order_type", list(OrderType)))
    side = Side(choice(form, "transaction_type", list(Side)))
    market_protection = protection(form)
    if not order_type.has_limit and profile.needs_market_protection:
        require_protection(market_protection)
    priced = order_type.has_limit and (profile.refuses_missing_price or filled_in(form, "price"))
    price = price_field(form, "price", instrument, profile) if priced else NO_PRICE
    trigger_price = trigger(form, kind, order_type, instrument, profile)
    if order_type is OrderType.SL and price:
        check_stop_limit(side, trigger_price, price)
    quantity = positive_quantity(form, instrument)
    validity, validity_ttl = duration(form, kind, order_type)
    iceberg = iceberg_legs(form, quantity) if kind is Variety.ICEBERG else None
    return Ticket(
        exchange=instrument.exchange,
        tradingsymbol=instrument.tradingsymbol,
        side=side,
        quantity=iceberg.leg_quantity if iceberg else quantity,
        product=product(form, kind),
        order_type=order_type,
        price=price,
        validity=validity,
        market_protection=market_protection,
        disclosed_quantity=disclosed(form, quantity),
        tag=short_tag(form),
        variety=kind,
        trigger_price=trigger_price,
        validity_ttl=validity_ttl,
        iceberg=iceberg,
    )


def read_change(variety: str, form: Form, instrument: Instrument, profile: Profile = STRICT) -> Change:
    """Return the change that a PUT to /orders/{variety}/{order_id} describes; refuse as `read_ticket`."""
    covers = known_variety(variety) is Variety.CO
    order_type = OrderType(choice(form, "order_type", list(OrderType))) if form.get("order_type") else None
    validity = Validity(choice(form, "validity", list(Validity))) if form.get("validity") else None
    # A price beside MARKET is noise that clients send, and so is a trigger price of 0; they are not looked at.
    priced = filled_in(form, "price") and (order_type is None or order_type.has_limit)
    triggered = filled_in(form, "trigger_price") and (order_type is None or order_type.is_stop or covers)
    return Change(
        quantity=positive_quantity(form, instrument) if form.get("quantity") else None,
        price=price_field(form, "price", instrument, profile) if priced else None,
        trigger_price=price_field(form, "trigger_price", instrument, profile) if triggered else None,
        order_type=order_type,
        validity=validity,
        validity_ttl=time_to_live(form) if validity is Validity.TTL else None,
        disclosed_quantity=whole_number(form, "disclosed_quantity") if form.get("disclosed_quantity") else None,
        market_protection=protection(form),
    )


def known_variety(variety: str) -> Variety:
    if variety == Variety.AUCTION:
        raise bad_input("Invalid `variety`: there is no auction on paper.")
    if variety not in list(Variety):
        raise bad_input(f"Invalid `variety`: {variety[:20]!r} is not one of {', '.join(Variety)}.")
    return Variety(variety)


def named_instrument(form: Form) -> Instrument:
    key = f"{required(form, 'exchange')}:{required(form, 'tradingsymbol')}"
    instrument = INSTRUMENTS.get(key)
    if instrument is None or instrument.is_index:
        raise bad_input(NO_SUCH_INSTRUMENT)
    return instrument


def filled_in(form: Form, field: str) -> bool:
    """Tell whether the field says something: clients send 0 for a price they do not mean."""
    return form.get(field, "").strip() not in ("", "0", "0.0", "0.00")


def required(form: Form, field: str) -> str:
    text = form.get(field, "").strip()
    if not text:
        raise bad_input(f"Missing or empty field `{field}`")
    return text


def choice(form: Form, field: str, allowed: Sequence[StrEnum], default: str | None = None) -> str:
    """Return the field's text if it is an allowed one; an absent field is the default, if there is one."""
    text = default if default and not form.get(field) else required(form, field)
    if text not in allowed:
        raise bad_input(f"Invalid `{field}`: use one of {', '.join(allowed)}.")
    return text


def product(form: Form, variety: Variety) -> Product:
    """Return the product; a cover order is intraday, and its rows say CO whatever was asked for."""
    asked = Product(choice(form, "product", [Product.CNC, Product.MIS, Product.NRML]))
    if variety is not Variety.CO:
        return asked
    if asked is not Product.MIS:
        raise bad_input("Invalid `product`: cover orders are intraday, use MIS.")
    return Product.CO


def whole_number(form: Form, field: str, least: int = 0) -> int:
    text = required(form, field)
    if not WHOLE_NUMBER.fullmatch(text):
        raise bad_input(f"Invalid `{field}`: not a whole number.")
    if int(text) < least:
        problem = "it cannot be negative" if least == 0 else f"it must be at least {least}"
        raise bad_input(f"Invalid `{field}`: {problem}.")
    return int(text)


def decimal_number(form: Form, field: str) -> Decimal:
    text = required(form, field)
    if not DECIMAL_NUMBER.fullmatch(text):
        raise bad_input(f"Invalid `{field}`: not a number.")
    return Decimal(text)


def positive_quantity(form: Form, instrument: Instrument) -> int:
    quantity = whole_number(form, "quantity", least=1)
    if quantity % instrument.lot_size:
        raise bad_input(f"Invalid `quantity`: it should be a multiple of the lot size, {instrument.lot_size}.")
    return quantity


def price_field(form: Form, field: str, instrument: Instrument, profile: Profile) -> Decimal:
    """Return a price on the instrument's tick, INR, as the client sent it."""
    price = decimal_number(form, field)
    if price <= 0:
        what = "a limit order needs a price" if field == "price" else "a stop order needs a trigger price"
        raise bad_input(f"Invalid `{field}`: {what} above zero.")
    tick = min(instrument.tick_size, profile.tick_max)
    if abs(price - round(price / tick) * tick) > NOISE:
        raise bad_input(
            f"Tick size for this script is {tick}. Kindly enter price in the multiple of tick size for this script."
        )
    return price


def trigger(form: Form, variety: Variety, order_type: OrderType, instrument: Instrument, profile: Profile) -> Decimal:
    if not order_type.is_stop and variety is not Variety.CO:
        return NO_PRICE
    return price_field(form, "trigger_price", instrument, profile)


def check_stop_limit(side: Side, trigger_price: Decimal, price: Decimal) -> None:
    """Refuse a limit that the stop has already passed when it triggers."""
    if side is Side.BUY and price < trigger_price:
        raise bad_input("Trigger price for stoploss buy orders cannot be above the limit price.")
    if side is Side.SELL and price > trigger_price:
        raise bad_input("Trigger price for stoploss sell orders cannot be below the limit price.")


def duration(form: Form, variety: Variety, order_type: OrderType) -> tuple[Validity, int]:
    """Return how long the order may wait, and its minutes when they are counted."""
    validity = Validity(choice(form, "validity", list(Validity), default=Validity.DAY))
    check_immediate(validity, variety, order_type)
    return validity, time_to_live(form) if validity is Validity.TTL else 0


def time_to_live(form: Form) -> int:
    """Return the minutes that an order of validity TTL may wait."""
    minutes = whole_number(form, "validity_ttl")
    if not 1 <= minutes <= TTL_MINUTES_MAX:
        raise bad_input(f"Invalid `validity_ttl`: use 1 to {TTL_MINUTES_MAX} minutes.")
    return minutes


def iceberg_legs(form: Form, quantity: int) -> Iceberg:
    legs, leg_quantity = whole_number(form, "iceberg_legs"), whole_number(form, "iceberg_quantity")
    fewest, most = ICEBERG_LEGS
    if not fewest <= legs <= most:
        raise bad_input(f"Invalid `iceberg_legs`: use {fewest} to {most} legs.")
    if leg_quantity != -(-quantity // legs):
        raise bad_input("Invalid `iceberg_quantity`: it should be the quantity divided by the legs, rounded up.")
    if leg_quantity * (legs - 1) >= quantity:
        raise bad_input("Invalid `iceberg_legs`: the last leg would be empty, use fewer.")
    return Iceberg(
        leg=1, legs=legs, leg_quantity=leg_quantity, total_quantity=quantity, remaining_quantity=quantity - leg_quantity
    )


def disclosed(form: Form, quantity: int) -> int:
    shown = whole_number(form, "disclosed_quantity") if form.get("disclosed_quantity") else 0
    check_disclosed(shown, quantity)
    return shown


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
