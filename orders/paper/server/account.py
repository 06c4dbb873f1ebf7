"""The account's unchanging answers: who it is, what it may spend, its login."""

from __future__ import annotations

from datetime import datetime

from orders.paper.indian_time import timestamp
from orders.paper.market.instruments import EXCHANGES
from orders.paper.server.wire import PLACED_BY, Row
from orders.paper.terms import OrderType, Product

PAPER_CASH = 1_000_000.0  # INR
ACCESS_TOKEN = "paper"  # noqa: S105 - every token is accepted here, this one is handed out


def profile() -> Row:
    return {
        "user_id": PLACED_BY,
        "user_type": "individual",
        "email": "paper@example.com",
        "user_name": "Paper Account",
        "user_shortname": "Paper",
        "broker": "ZERODHA",
        "exchanges": list(EXCHANGES),
        "products": [str(product) for product in Product],
        "order_types": [str(order_type) for order_type in OrderType],
        "avatar_url": None,
        "meta": {"demat_consent": "physical"},
    }


def new_session(api_key: str, now: datetime) -> Row:
    """Return what a login answers; the SDK fails without `login_time`."""
    return profile() | {
        "api_key": api_key,
        "access_token": ACCESS_TOKEN,
        "public_token": "paper",
        "enctoken": "",
        "refresh_token": "",
        "silo": "",
        "login_time": timestamp(now),
    }


def margins() -> Row:
    return {"equity": margin_segment(PAPER_CASH), "commodity": margin_segment(0.0)}


def margin_segment(cash: float) -> Row:
    """Return one segment; trading does not use it up yet."""
    utilised = (
        "debits exposure m2m_realised m2m_unrealised option_premium payout span holding_sales turnover "
        "liquid_collateral stock_collateral delivery"
    )
    return {
        "enabled": True,
        "net": cash,
        "available": {
            "adhoc_margin": 0.0,
            "cash": cash,
            "opening_balance": cash,
            "live_balance": cash,
            "collateral": 0.0,
            "intraday_payin": 0.0,
        },
        "utilised": dict.fromkeys(utilised.split(), 0.0),
    }
