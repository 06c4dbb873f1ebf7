"""Kite's JSON: orders and trades. Prices become floats here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from decimal import Decimal

from orders.paper.exchange.book import Order, Trade
from orders.paper.exchange.states import OrderState, Status
from orders.paper.indian_time import time_of_day, timestamp
from orders.paper.terms import Validity

PLACED_BY = "PAPER1"
SQUARED_OFF_BY = "ADMINSQF"  # as Zerodha signs its own square-offs
# Rows of a history lack these keys of the order book.
NOT_IN_HISTORY = ("status_message_raw", "exchange_update_timestamp", "market_protection", "meta", "guid")

Row = dict[str, object]


def number(amount: Decimal) -> float:
    """Return the amount as Kite sends it; four decimals are finer than any tick."""
    return float(round(amount, 4)) + 0.0  # not the minus zero that a loss of nothing is


def echoed(price: Decimal) -> float:
    """Return a client's own price as it was sent, to the last bit: some compare."""
    return float(price) + 0.0


def order_row(order: Order) -> Row:
    """Return the row of the order book."""
    ticket, state = order.ticket, order.state
    row = state_row(order, state)
    row["modified"] = order.modifications > 0
    tags = [*([ticket.tag] if ticket.tag else []), *ticket.system_tags]
    if tags:
        row["tags"] = tags
    if state.validity is Validity.TTL:
        row["validity_ttl"] = state.validity_ttl
    return row


def history_rows(order: Order) -> list[Row]:
    rows = [state_row(order, state) for state in order.history]
    for row in rows:
        for key in NOT_IN_HISTORY:
            del row[key]
    return rows


def state_row(order: Order, state: OrderState) -> Row:
    ticket = order.ticket
    reached = state.reached_exchange_at
    return {
        "placed_by": SQUARED_OFF_BY if ticket.squares_off else PLACED_BY,
        "order_id": order.order_id,
        "exchange_order_id": order.exchange_order_id if reached else None,
        "parent_order_id": ticket.parent_order_id,
        "status": str(state.status),
        "status_message": state.status_message,
        "status_message_raw": state.status_message_raw,
        "order_timestamp": timestamp(state.at),
        "exchange_update_timestamp": timestamp(state.at) if reached else None,
        "exchange_timestamp": timestamp(state.at) if reached else None,
        "variety": str(ticket.variety),
        "modified": state.modified,
        "exchange": ticket.exchange,
        "tradingsymbol": ticket.tradingsymbol,
        "instrument_token": 1 if state.status is Status.RECEIVED else ticket.instrument.instrument_token,
        "order_type": str(state.order_type),
        "transaction_type": str(ticket.side),
        "validity": str(state.validity),
        "product": str(ticket.product),
        "quantity": state.quantity,
        "disclosed_quantity": state.disclosed_quantity,
        "price": echoed(state.price),
        "trigger_price": echoed(state.trigger_price),
        "average_price": number(state.average_price),
        "filled_quantity": state.filled_quantity,
        "pending_quantity": state.pending_quantity,
        "cancelled_quantity": state.cancelled_quantity,
        "market_protection": number(state.market_protection),
        "meta": {"iceberg": asdict(ticket.iceberg)} if ticket.iceberg else {},
        "tag": ticket.tag,
        "guid": None,
    }


def trade_row(trade: Trade) -> Row:
    ticket = trade.order.ticket
    return {
        "trade_id": trade.trade_id,
        "order_id": trade.order.order_id,
        "exchange": ticket.exchange,
        "tradingsymbol": ticket.tradingsymbol,
        "instrument_token": ticket.instrument.instrument_token,
        "product": str(ticket.product),
        "average_price": number(trade.price),
        "quantity": trade.quantity,
        "exchange_order_id": trade.order.exchange_order_id,
        "transaction_type": str(ticket.side),
        "fill_timestamp": timestamp(trade.at),
        "order_timestamp": time_of_day(trade.at),
        "exchange_timestamp": timestamp(trade.at),
    }


def numbers(amounts: Mapping[str, Decimal]) -> Row:
    return {key: number(amount) for key, amount in amounts.items()}
