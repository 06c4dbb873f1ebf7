"""
Past orders, written by SQL in a minute, into the durable database of a run: what a desk has after years.

They are copies of what the executor itself wrote: a filled order that came of a signal is needed. All of them are over
since more than a day. For each symbol they bought as much as they sold, at one price: positions and results are as
before. Rows of the executor's that come later have higher ids, as if all this had happened to it.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.apps import apps
from django.db import connection, transaction

from tests.orders.admin.full_book import DAY, EVERY, Copies, copy

UNTIL = "2 days"  # of no order's day
# Orders come in pairs that buy and sell; of three pairs one was filled, one cancelled and one rejected.
PAIR = "((n - 1) / 2)"
SIDE = "(array['BUY', 'SELL'])[1 + (n - 1) %% 2]"
STATUS = f"(array['FILLED', 'CANCELLED', 'REJECTED'])[1 + {PAIR} %% 3]"
# Fills come in pairs, too: of every third pair of orders. `f` is the order of fill n.
OF_FILL = f"(6 * {PAIR} + 1 + (n - 1) %% 2)"
A_MOMENT = f"now() - interval '{UNTIL}' - (%(orders)s - {OF_FILL}) * {EVERY}"


def the_past(symbols: Sequence[str]) -> tuple[Copies, ...]:
    names = ", ".join(f"'{each}'" for each in symbols) or "null"
    symbol = f"coalesce((array[{names}])[1 + {PAIR} %% {max(1, len(symbols))}], 'SYM' || {PAIR} %% 500)"
    return (
        Copies(
            model="orders.Signal",
            where="status = 'APPROVED'",
            columns={
                "signal_id": "'past-' || %(first)s + n",
                "symbol": symbol,
                "signal_type": SIDE,
                "strategy": "'strategy ' || n %% 7",
                **dict.fromkeys(("received_at", "signal_at", "decided_at"), "made_at"),
            },
        ),
        Copies(
            model="orders.Decision",
            where="outcome = 'APPROVED'",
            # Without what it saw and found: to unpack and pack that again takes longer than all the rest.
            columns={
                "signal_id": "%(first)s + n",
                "at": "made_at",
                "symbol": symbol,
                "facts": "'{}'",
                "verdicts": "'[]'",
            },
        ),
        Copies(
            model="orders.Order",
            where="status = 'FILLED' and signal_id is not null",
            columns={
                "signal_id": "%(first)s + n",
                "decision_id": "%(first)s + n",
                "client_order_id": "'PAST' || %(first)s + n",
                "broker_order_id": "'SIMPAST' || %(first)s + n",
                "symbol": symbol,
                "side": SIDE,
                "status": STATUS,
                "quantity": "1",
                "filled_quantity": f"case when {PAIR} %% 3 = 0 then 1 else 0 end",
                "average_price": f"case when {PAIR} %% 3 = 0 then one.average_price end",
                "trading_date": DAY,
                **dict.fromkeys(("created_at", "submitted_at", "answered_at", "ended_at", "book_as_of"), "made_at"),
            },
        ),
        Copies(model="orders.OrderEvent", each=3, columns={"order_id": "%(first)s + o", "at": "made_at"}),
        Copies(model="orders.BrokerMessage", columns={"order_id": "%(first)s + o", "at": "made_at"}),
        Copies(
            model="orders.Fill",
            each=1 / 3,
            where="source = 'BROKER'",
            columns={
                "order_id": f"%(first)s + {OF_FILL}",
                "broker_order_id": f"'SIMPAST' || %(first)s + {OF_FILL}",
                "trade_id": "'TPAST' || %(first)s + n",
                "quantity": "1",
                "trading_date": f"(({A_MOMENT}) at time zone 'Asia/Kolkata')::date",
                **dict.fromkeys(("filled_at", "recorded_at"), A_MOMENT),
            },
        ),
    )


def fill_past(orders: int, symbols: Sequence[str] = ()) -> None:
    """
    Write so many orders, a multiple of six, and what belongs to them.

    They are of these symbols, or of 500 that nothing else is about. Raise `ValueError` when a table has no row to copy.
    """
    book = the_past(symbols)
    tables = [apps.get_model(copies.model)._meta.db_table for copies in book]
    with connection.cursor() as cursor:
        cursor.execute("set statement_timeout = 0")
        cursor.execute(f"select greatest({', '.join(f'(select max(id) from {table})' for table in tables)})")  # noqa: S608
        [[first]] = cursor.fetchall()
        for copies, table in zip(book, tables, strict=True):
            with transaction.atomic():
                if not copy(copies, orders=orders, rows=round(orders * copies.each), first=first, until=UNTIL):
                    raise ValueError(f"{copies.model} has no row to copy")
            cursor.execute(f"select setval(pg_get_serial_sequence('{table}', 'id'), max(id)) from {table}")  # noqa: S608
        cursor.execute("vacuum analyze")
        cursor.execute("reset statement_timeout")
