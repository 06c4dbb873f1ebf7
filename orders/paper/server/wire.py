"""Kite's JSON: the envelope, orders, trades and positions. Prices become floats here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from aiohttp import web

from orders.paper.errors import KiteRefusal
from orders.paper.exchange.book import Order, OrderState, Status, Trade
from orders.paper.indian_time import time_of_day, timestamp
from orders.paper.money.positions import NOTHING, Position

PLACED_BY = "PAPER1"
# Rows of a history lack these keys of the order book.
NOT_IN_HISTORY = ("status_message_raw", "exchange_update_timestamp", "market_protection", "meta", "guid")

Row = dict[str, object]


def success(payload: object) -> web.Response:
    return web.json_response({"status": "success", "data": payload})


def refusal(reason: KiteRefusal) -> web.Response:
    body = {"status": "error", "message": reason.message, "data": None, "error_type": reason.error_type}
    return web.json_response(body, status=reason.http_status)


def number(amount: Decimal) -> float:
    """Return the amount as Kite sends it; four decimals are finer than any tick."""
    return float(round(amount, 4))


def order_row(order: Order) -> Row:
    """Return the row of the order book."""
    state = order.state
    row = state_row(order, state)
    row["modified"] = order.modifications > 0
    if order.ticket.tag:
        row["tags"] = [order.ticket.tag]
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
        "placed_by": PLACED_BY,
        "order_id": order.order_id,
        "exchange_order_id": order.exchange_order_id if reached else None,
        "parent_order_id": None,
        "status": str(state.status),
        "status_message": state.status_message,
        "status_message_raw": state.status_message_raw,
        "order_timestamp": timestamp(state.at),
        "exchange_update_timestamp": timestamp(state.at) if reached else None,
        "exchange_timestamp": timestamp(state.at) if reached else None,
        "variety": "regular",
        "modified": state.modified,
        "exchange": ticket.exchange,
        "tradingsymbol": ticket.tradingsymbol,
        "instrument_token": 1 if state.status is Status.RECEIVED else ticket.instrument.instrument_token,
        "order_type": str(state.order_type),
        "transaction_type": str(ticket.side),
        "validity": str(ticket.validity),
        "product": str(ticket.product),
        "quantity": state.quantity,
        "disclosed_quantity": ticket.disclosed_quantity,
        "price": number(state.price),
        "trigger_price": 0,
        "average_price": number(state.average_price),
        "filled_quantity": state.filled_quantity,
        "pending_quantity": state.pending_quantity,
        "cancelled_quantity": state.cancelled_quantity,
        "market_protection": number(state.market_protection),
        "meta": {},
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


def position_row(position: Position, last_price: Decimal, previous_close: Decimal) -> Row:
    """Return Kite's 29 keys; like Zerodha, the whole profit is called unrealised."""
    bought, sold = position.bought(position.overnight_price), position.sold(position.overnight_price)
    bought_m2m, sold_m2m = position.bought(previous_close), position.sold(previous_close)
    quantity = position.quantity
    average = NOTHING if not quantity else (bought if quantity > 0 else sold).price
    value = sold.value - bought.value
    profit = value + quantity * last_price
    amounts = {
        "average_price": average,
        "close_price": previous_close,
        "last_price": last_price,
        "value": value,
        "pnl": profit,
        "m2m": sold_m2m.value - bought_m2m.value + quantity * last_price,
        "unrealised": profit,
        "realised": NOTHING,
        "buy_price": bought.price,
        "buy_value": bought.value,
        "buy_m2m": bought_m2m.value,
        "sell_price": sold.price,
        "sell_value": sold.value,
        "sell_m2m": sold_m2m.value,
        "day_buy_price": position.bought_today.price,
        "day_buy_value": position.bought_today.value,
        "day_sell_price": position.sold_today.price,
        "day_sell_value": position.sold_today.value,
    }
    return {
        "tradingsymbol": position.instrument.tradingsymbol,
        "exchange": position.instrument.exchange,
        "instrument_token": position.instrument.instrument_token,
        "product": str(position.product),
        "quantity": quantity,
        "overnight_quantity": position.overnight_quantity,
        "multiplier": 1,
        "buy_quantity": bought.quantity,
        "sell_quantity": sold.quantity,
        "day_buy_quantity": position.bought_today.quantity,
        "day_sell_quantity": position.sold_today.quantity,
    } | numbers(amounts)


def numbers(amounts: Mapping[str, Decimal]) -> Row:
    return {key: number(amount) for key, amount in amounts.items()}
