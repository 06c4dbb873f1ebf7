"""
The floor: what a signal costs at least, by hand. No Django, no SDK, no controls; the same rows in the same commits.

The rows are copies of the executor's own last ones, column for column, so that they are as large, meet the same indexes
and leave the same entries in the trail. Each step commits before the next one, as with the executor: the signal; its
decision and order; the claim; and after the broker's answer the order as OPEN. The switch is locked where it is.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
from typing import Any
from urllib.parse import urlencode, urlsplit

import psycopg
import redis
from psycopg import sql
from psycopg.types.json import Jsonb

Row = dict[str, Any]
HEADERS = {
    "Authorization": "token paper:paper",
    "X-Kite-Version": "3",
    "Content-Type": "application/x-www-form-urlencoded",
}
LOCK = "SELECT * FROM risk_tradingcontrol WHERE mode = 'PAPER' FOR UPDATE"
READY = "floor"  # the key in Redis that says that it listens
TAG = "FLOOR"


class Floor:
    """One signal after another, from the channel to the row that says OPEN."""

    def __init__(self) -> None:
        self.database = psycopg.connect(os.environ["DATABASE_URL"])
        address = urlsplit(os.environ["PAPER_KITE_URL"])
        self.broker = http.client.HTTPConnection(address.hostname or "", address.port, timeout=10)
        self.signal, self.put_signal = self.template("orders_signal")
        self.decision, self.put_decision = self.template("orders_decision")
        self.order, self.put_order = self.template("orders_order")
        self.event, self.put_event = self.template("orders_orderevent")
        self.database.commit()

    def template(self, table: str) -> tuple[Row, str]:
        """Return the values of the table's last row, and the statement that puts such a row in."""
        cursor = self.database.execute(
            sql.SQL("SELECT * FROM {} ORDER BY id DESC LIMIT 1").format(sql.Identifier(table))
        )
        names = [column.name for column in cursor.description or ()]
        found = cursor.fetchone()
        assert found is not None, f"{table} has a row of the executor's"
        row = {
            name: Jsonb(value) if isinstance(value, dict | list) else value
            for name, value in zip(names, found, strict=True)
        }
        for left_to_the_database in ("id", "limited_by"):
            row.pop(left_to_the_database, None)
        columns = sql.SQL(", ").join(map(sql.Identifier, row))
        values = sql.SQL(", ").join(map(sql.Placeholder, row))
        statement = sql.SQL("INSERT INTO {} ({}) VALUES ({}) RETURNING id").format(
            sql.Identifier(table), columns, values
        )
        return row, statement.as_string(self.database)

    def put(self, statement: str, row: Row) -> int:
        found = self.database.execute(statement, row).fetchone()
        assert found is not None, "what is put in has an id"
        return int(found[0])

    def note(self, order: int, before: str, after: str) -> None:
        self.put(self.put_event, self.event | {"order_id": order, "before": before, "after": after})

    def take(self, raw: bytes) -> None:
        """Carry one message from the bytes to the order that is OPEN."""
        said = json.loads(raw)
        run = self.database.execute
        received = self.put(self.put_signal, self.signal | {"signal_id": said["signal_id"], "raw": raw})
        self.database.commit()

        tag = f"{TAG}{received}"
        run(LOCK)
        decision = self.put(self.put_decision, self.decision | {"signal_id": received})
        named = {"signal_id": received, "decision_id": decision, "client_order_id": tag, "broker_order_id": ""}
        order = self.put(self.put_order, self.order | named | {"status": "PENDING", "attempt": 1})
        self.note(order, "PENDING", "PENDING")
        run("UPDATE orders_signal SET status = 'APPROVED', decided_at = now() WHERE id = %s", [received])
        self.database.commit()

        run(LOCK)
        run("UPDATE orders_order SET status = 'SUBMITTING', submitted_at = now() WHERE id = %s", [order])
        self.note(order, "PENDING", "SUBMITTING")
        self.database.commit()

        broker_id = self.place(tag)
        run(LOCK)
        run("UPDATE orders_order SET status = 'OPEN', broker_order_id = %s WHERE id = %s", [broker_id, order])
        self.note(order, "SUBMITTING", "OPEN")
        self.database.commit()

    def place(self, tag: str) -> str:
        form = {
            "tag": tag,
            "exchange": self.order["exchange"],
            "tradingsymbol": self.order["symbol"],
            "transaction_type": self.order["side"],
            "quantity": self.order["quantity"],
            "product": self.order["product"],
            "order_type": self.order["order_type"],
            "price": self.order["price"],
            "validity": "DAY",
        }
        self.broker.request("POST", "/orders/regular", urlencode(form), HEADERS)
        answer = json.loads(self.broker.getresponse().read())
        return str(answer["data"]["order_id"])


def follow() -> None:
    """Take what is published until SIGTERM."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    client = redis.Redis.from_url(os.environ["REDIS_URL"], protocol=2)
    floor = Floor()
    subscription = client.pubsub()
    subscription.subscribe("floor")
    try:
        for message in subscription.listen():
            if message["type"] == "subscribe":
                client.set(READY, "1")
            else:
                floor.take(message["data"])
    except KeyboardInterrupt:
        client.delete(READY)
