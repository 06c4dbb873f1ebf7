"""
A year of trading, written by SQL in seconds: a hundred thousand orders, and all that belongs to them.

Each row is a copy of one that the use cases made, so that a new column needs no line here. Triggers are off meanwhile:
nothing of it is for the audit trail, which gets its entries by the same way. What is copied has ids of its own, from a
million on, and number n of every table belongs to order n. `tests.bench.past` writes another such year, its own book.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from django.apps import apps
from django.db import connection

FIRST = 1_000_000  # above any id that a use case drew
# What the statements below are made of: row `n` belongs to order `o`, which was made at `made_at`.
EVERY = "interval '5 minutes'"  # some 290 orders a day, round the clock
DAY = "(made_at at time zone 'Asia/Kolkata')::date"
SYMBOL = "'SYM' || n %% 500"
SIDE = "(array['BUY', 'SELL'])[1 + n %% 2]"
STATUS = "(array['FILLED', 'CANCELLED', 'REJECTED'])[1 + n %% 3]"


@dataclass(frozen=True, kw_only=True)
class Copies:
    """How often a table's last row is copied for each order, and what is another in each copy, as SQL of `n`."""

    model: str
    each: float = 1
    where: str = "true"  # which rows may be copied
    columns: dict[str, str] = field(default_factory=dict)


THE_BOOK = (
    Copies(
        model="orders.Signal",
        where="signal_type <> ''",
        columns={
            "signal_id": "'full-' || n",
            "symbol": SYMBOL,
            "received_at": "made_at",
            "signal_at": "made_at",
            "decided_at": "made_at",
            "signal_type": SIDE,
            "status": "(array['APPROVED', 'APPROVED', 'IGNORED', 'DENIED'])[1 + n %% 4]",
            "strategy": "'strategy ' || n %% 7",
        },
    ),
    Copies(
        model="orders.Decision",
        columns={
            "signal_id": "%(first)s + n",
            "at": "made_at",
            "symbol": SYMBOL,
            "outcome": "(array['APPROVED', 'APPROVED', 'IGNORED', 'DENIED'])[1 + n %% 4]",
            "reason": "'DAILY_TRADES_EXCEEDED: ' || n",
            "actor": "case when n %% 10 = 0 then 'tara' else '' end",
        },
    ),
    Copies(
        model="orders.Order",
        columns={
            "signal_id": "%(first)s + n",
            "decision_id": "%(first)s + n",
            "client_order_id": "'FULL' || n",
            "broker_order_id": "'SIMFULL' || n",
            "symbol": SYMBOL,
            "side": SIDE,
            "status": STATUS,
            "filled_quantity": "case when n %% 3 = 0 then 1 else 0 end",
            "quantity": "1",
            "broker_status": "'COMPLETE'",
            "trading_date": DAY,
            **dict.fromkeys(("created_at", "submitted_at", "answered_at", "ended_at", "book_as_of"), "made_at"),
        },
    ),
    Copies(
        model="orders.OrderEvent",
        each=4,
        columns={"order_id": "%(first)s + o", "at": "made_at"},
    ),
    Copies(
        model="orders.BrokerMessage",
        each=2,
        columns={"order_id": "%(first)s + o", "at": "made_at"},
    ),
    Copies(
        model="orders.Fill",
        columns={
            "order_id": "%(first)s + n - n %% 3",  # up to three of one that is filled
            "trade_id": "'T' || n",
            "broker_order_id": "'SIMFULL' || (n - n %% 3)",
            "trading_date": DAY,
            "filled_at": "made_at",
            "recorded_at": "made_at",
            "source": "case when n %% 100 = 0 then 'HAND' else 'BROKER' end",
        },
    ),
    Copies(model="orders.Position", each=0.005, columns={"symbol": "'SYM' || n", "quantity": "n %% 7"}),
    Copies(
        model="risk.Incident",
        each=0.05,
        columns={
            "fingerprint": "'full-' || n",
            "is_open": "false",
            "status": "'RESOLVED'",
            "last_at": "made_at",
            "symbol": "'SYM' || n",
        },
    ),
    Copies(model="orders.EndOfDay", each=0.003, columns={"trading_date": "current_date - n", "mode": "'PAPER'"}),
    Copies(
        model="risk.AuditEntry",
        each=4,
        columns={
            "at": "made_at",
            "row_pk": "%(first)s + o",
            "operation": "case when n %% 4 = 0 then 'INSERT' else 'UPDATE' end",
            "changes": """case when n %% 4 = 0 then '{"status": "OPEN"}'::jsonb
                else '{"status": ["OPEN", "FILLED"]}' end""",
            "table_name": "(array['orders_order', 'orders_fill'])[1 + n %% 2]",
        },
    ),
    Copies(model="risk.LimitChange", each=0.02, columns={"status": "'WITHDRAWN'"}),
    Copies(model="risk.RiskSettingsVersion", each=0.02, columns={"version": "1000 + n"}),
    Copies(model="risk.CalendarWish", each=0.01, columns={"status": "'WITHDRAWN'"}),
    Copies(
        model="orders.Flatten", each=0.01, columns={"token": "'full-' || n", "state": "'FLAT'", "asked_at": "made_at"}
    ),
    Copies(model="risk.AuditSeal", each=0.1, columns={"digest": "'full-' || n", "previous": "'full-' || n"}),
    Copies(model="axes.AccessLog", each=0.1, columns={"attempt_time": "made_at"}),
)
BIG = 20_000  # rows, from which on a table is not to be read from end to end


def fill(orders: int, *, each_at_most: float = 4) -> None:
    """Write the book into the transaction that is open, which must see a row in every table that is copied."""
    with connection.cursor() as cursor:
        cursor.execute("set local statement_timeout = 0")
        for copies in THE_BOOK:
            rows = int(orders * min(copies.each, each_at_most))
            written = copy(copies, orders=orders, rows=rows, first=FIRST)
            assert written == rows, f"nothing was copied of {copies.model}"
        cursor.execute("reset statement_timeout")
        cursor.execute("analyze")


def copy(copies: Copies, *, orders: int, rows: int, first: int, until: str = "0 days") -> int:
    """
    Write so many copies of the table's last row, of ids above `first`; return how many there are now: none of no row.

    The last order was made `until` ago, as PostgreSQL spells an interval. No trigger is told of it.
    """
    wanted = {"orders": orders, "each": rows / orders, "rows": rows, "first": first, "until": until}
    with connection.cursor() as cursor:
        cursor.execute("set local session_replication_role = replica")
        cursor.execute(_statement(copies), wanted)
        written = cursor.rowcount
        cursor.execute("set local session_replication_role = origin")
    return written


def big_tables() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute("select relname from pg_class where relkind = 'r' and reltuples > %s", [BIG])
        return {name for (name,) in cursor.fetchall()}


def _statement(copies: Copies) -> str:
    """Return the SQL: every column as in the last row, but for the id and what is told to be another."""
    meta = apps.get_model(copies.model)._meta
    told = {"id": "%(first)s + n", **copies.columns}
    # What the database itself makes of the others cannot be written.
    columns = [each.column for each in meta.local_concrete_fields if not each.generated]
    assert told.keys() <= set(columns), f"{copies.model} has no {told.keys() - set(columns)}"
    values = ", ".join(told.get(column, f'one."{column}"') for column in columns)
    names = ", ".join(f'"{column}"' for column in columns)
    one = f'select * from "{meta.db_table}" where {copies.where} order by id desc limit 1'  # noqa: S608 - of constants
    number = "select ceil(n / %(each)s::float)::int as o"
    of_order = f"select o, now() - %(until)s::interval - (%(orders)s - o) * {EVERY} as made_at from ({number}) p"  # noqa: S608 - likewise
    rows = f"({one}) one, generate_series(1, %(rows)s) n cross join lateral ({of_order}) p"
    return f'insert into "{meta.db_table}" ({names}) select {values} from {rows}'  # noqa: S608 - of constants
