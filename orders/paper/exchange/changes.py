"""A change asked for, laid over an order's present terms."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from orders.paper.errors import MARKET_PROTECTION_NEEDED, bad_input
from orders.paper.exchange import checks
from orders.paper.exchange.book import Order
from orders.paper.exchange.events import Modified
from orders.paper.exchange.matching import protected_limit
from orders.paper.exchange.states import OrderState, Status
from orders.paper.exchange.tickets import NO_PRICE, Change
from orders.paper.market.market import Market
from orders.paper.profile import Profile
from orders.paper.terms import OrderType, Side


def modification(order: Order, change: Change, market: Market, profile: Profile, now: datetime) -> Modified:
    """Return the order's new terms, its margin still to be reckoned, or raise why it cannot have them."""
    state = order.state
    quantity = state.quantity if change.quantity is None else change.quantity
    if quantity <= state.filled_quantity:
        raise bad_input(f"Invalid `quantity`: {state.filled_quantity} of the order are filled already.")
    order_type = modified_type(state, change)
    protection = change.market_protection or state.market_protection
    price, trigger_price = modified_prices(order, order_type, change)
    stopped = order_type.is_stop and state.status is not Status.OPEN
    # A stop that was triggered is at the exchange like any other order, and may become immediate.
    checks.check_immediate(
        change.validity or state.validity, order.ticket.variety, order_type if stopped else OrderType.LIMIT
    )
    shown = state.disclosed_quantity if change.disclosed_quantity is None else change.disclosed_quantity
    checks.check_disclosed(shown, quantity)
    check_terms(order, order_type, price, trigger_price)
    if stopped and profile.refuses_wrong_side_stops:
        last = market.last_price(order.ticket.instrument, now)
        checks.check_stop_side(order.ticket.side, order_type, trigger_price, last)
    if order.ticket.covers and profile.refuses_wrong_side_stops:
        entry = price or market.last_price(order.ticket.instrument, now)
        checks.check_stop_side(order.ticket.side.opposite, OrderType.SL_M, trigger_price, entry)
    for named in (price, trigger_price):
        objection = checks.out_of_range(named, order.ticket.instrument, market, now)
        if objection is not None:
            raise bad_input(objection.message)
    if order_type is OrderType.MARKET:
        if not protection and profile.needs_market_protection:
            raise bad_input(MARKET_PROTECTION_NEEDED)
        if protection and state.status is not Status.AMO_RECEIVED:
            order_type = OrderType.LIMIT
            price = protected_limit(market, order.ticket.instrument, order.ticket.side, protection, now)
    return Modified(
        at=now,
        order_id=order.order_id,
        quantity=quantity,
        price=price,
        order_type=order_type,
        market_protection=protection,
        trigger_price=trigger_price,
        validity=change.validity,
        validity_ttl=state.validity_ttl if change.validity_ttl is None else change.validity_ttl,
        disclosed_quantity=change.disclosed_quantity,
        stopped=stopped,
    )


def modified_type(state: OrderState, change: Change) -> OrderType:
    """Return the new type; a market order is a limit order by now, and MARKET alone changes nothing of that."""
    if change.order_type is None:
        return state.order_type
    if change.order_type.is_stop and state.status is Status.OPEN and not state.order_type.is_stop:
        raise bad_input("Invalid `order_type`: an order that is at the exchange cannot become a stop.")
    return change.order_type


def modified_prices(order: Order, order_type: OrderType, change: Change) -> tuple[Decimal, Decimal]:
    """Return the limit and the trigger price after the change, INR; 0 where the type has none and nothing follows."""
    state = order.state
    price = NO_PRICE
    if order_type.has_limit or (order_type is OrderType.SL_M and state.status is Status.OPEN):
        price = state.price if change.price is None else change.price
        if price == 0 and order_type.has_limit:
            raise bad_input("Missing or empty field `price`")
    trigger_price = NO_PRICE
    if order_type.is_stop:
        trigger_price = state.trigger_price if change.trigger_price is None else change.trigger_price
        if trigger_price == 0:
            raise bad_input("Missing or empty field `trigger_price`")
    elif order.ticket.covers:
        trigger_price = cover_trigger(order) if change.trigger_price is None else change.trigger_price
    return price, trigger_price


def cover_trigger(order: Order) -> Decimal:
    """Return the trigger price of a cover order's second leg, INR; the first leg has it only after a change."""
    return order.state.trigger_price or order.ticket.trigger_price


def check_terms(order: Order, order_type: OrderType, price: Decimal, trigger_price: Decimal) -> None:
    if order_type is not OrderType.SL:
        return
    wrong = price < trigger_price if order.ticket.side is Side.BUY else price > trigger_price
    if wrong:
        raise bad_input("Trigger price and limit price are on the wrong sides of each other.")
