"""The four witnesses as they are heard at the end: the stream, our rows, the broker's journal, the positions."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.soak.ground import Ground

STREAM = "signals:stream"


@dataclass(frozen=True, kw_only=True)
class Placed:
    """One order as the broker's journal tells it, with its last terms."""

    broker_order_id: str
    tag: str
    symbol: str
    side: str
    quantity: int
    price: Decimal | None
    order_type: str
    at: str
    fills: list[tuple[str, int, Decimal]] = field(default_factory=list)  # trade id, shares, INR a share
    ended: list[str] = field(default_factory=list)  # cancelled, rejected

    @property
    def filled(self) -> int:
        return sum(shares for _, shares, _ in self.fills)


@dataclass(frozen=True, kw_only=True)
class Statements:
    """Everything that was heard."""

    entries: list[tuple[str, bytes]]  # of the stream: entry id and message
    ledger: list[dict[str, Any]]  # what the publisher surely published
    signals: list[dict[str, Any]]
    orders: list[dict[str, Any]]
    fills: list[dict[str, Any]]
    positions: list[dict[str, Any]]
    events: list[dict[str, Any]]
    incidents: list[dict[str, Any]]
    decisions: list[dict[str, Any]]
    modifications: list[dict[str, Any]]
    flattens: list[dict[str, Any]]
    journal: list[dict[str, Any]]
    placed: dict[str, Placed]
    at_the_broker: dict[str, int]


TABLES = {
    "signals": "SELECT id, signal_id, source, stream_entry_id, raw, status, reason, duplicates FROM orders_signal",
    "orders": "SELECT id, client_order_id, broker_order_id, origin, signal_id, attempt, symbol, side, quantity, status,"
    " status_reason, filled_quantity, broker_status, trading_date, cancel_requested_at FROM orders_order",
    "fills": "SELECT order_id, broker_order_id, trade_id, quantity, price, source FROM orders_fill",
    "positions": "SELECT symbol, quantity, broker_quantity, realised_pnl FROM orders_position",
    "events": "SELECT order_id, at, actor, before, after, note FROM orders_orderevent ORDER BY id",
    "incidents": "SELECT kind, title, detail, symbol, client_order_id, stops_opening, status, count, first_at"
    " FROM risk_incident ORDER BY id",
    "modifications": "SELECT m.id, o.broker_order_id, m.quantity, m.price, m.state, m.sent_at"
    " FROM orders_ordermodification m JOIN orders_order o ON o.id = m.order_id ORDER BY m.id",
    "flattens": "SELECT state, asked_by, outcome FROM orders_flatten ORDER BY id",
    "decisions": "SELECT outcome, reason FROM orders_decision",
}


def hear(ground: Ground, ledger: Path) -> Statements:
    """Ask all four."""
    tables = {name: _dictionaries(ground, query) for name, query in TABLES.items()}
    client = ground.redis()
    entries = [(entry.decode(), fields.get(b"signal", b"")) for entry, fields in client.xrange(STREAM)]
    client.close()
    journal = ground.journal()
    net = ground.paper.kite().positions()["net"]
    return Statements(
        entries=entries,
        ledger=[json.loads(line) for line in ledger.read_text().splitlines()],
        journal=journal,
        placed=placed_orders(journal),
        at_the_broker={row["tradingsymbol"]: row["quantity"] for row in net},
        **tables,
    )


def _dictionaries(ground: Ground, query: str) -> list[dict[str, Any]]:
    # In one row, so that PostgreSQL going away, which has no rows either, is no table without any.
    told = ground.rows(f"SELECT coalesce(jsonb_agg(to_jsonb(t)), '[]') FROM ({query}) t")  # noqa: S608 - of ours
    assert told, "PostgreSQL answers"
    rows: list[dict[str, Any]] = told[0][0]
    return rows


def placed_orders(journal: list[dict[str, Any]]) -> dict[str, Placed]:
    """Return every order that the broker took in, with what became of it, by the broker's id."""
    placed: dict[str, Placed] = {}
    for row in journal:
        if row["event"] == "accepted":
            placed[row["order_id"]] = Placed(
                broker_order_id=row["order_id"],
                tag=row["tag"] or "",
                symbol=row["tradingsymbol"],
                side=row["transaction_type"],
                quantity=row["quantity"],
                price=Decimal(str(row["price"])) if row["price"] else None,
                order_type=row["order_type"],
                at=row["at"],
            )
        elif row["event"] == "filled":
            fill = (row["trade_id"], row["quantity"], Decimal(str(row["price"])))
            placed[row["order_id"]].fills.append(fill)
        elif row["event"] == "modified":
            placed[row["order_id"]] = replace(
                placed[row["order_id"]], quantity=row["quantity"], price=Decimal(str(row["price"]))
            )
        elif row["event"] in {"cancelled", "rejected"}:
            placed[row["order_id"]].ended.append(row["event"])
    return placed


def net_by_symbol(placed: dict[str, Placed]) -> dict[str, int]:
    """Return the shares that all fills of the journal leave."""
    net: dict[str, int] = defaultdict(int)
    for order in placed.values():
        net[order.symbol] += order.filled if order.side == "BUY" else -order.filled
    return net
