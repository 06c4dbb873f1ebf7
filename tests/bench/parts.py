"""The processes of a run, each by its name on the command line: the executor without a governor, and helpers."""

from __future__ import annotations

import sys
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import django
from django.conf import settings

LIMITS: dict[str, Any] = {
    "order_value_max": Decimal(1_000_000),
    "order_quantity_max": 10_000,
    "position_value_max": Decimal(1_000_000_000),
    "daily_trades_max": 1_000_000,
    "daily_loss_max": Decimal(1_000_000_000),
    "position_size": Decimal(3000),
    "orders_per_second_max": 1_000_000,
    "orders_per_minute_max": 1_000_000,
    "duplicate_window_seconds": 0,
    "open_orders_max": 50_000,
    "symbol_open_orders_max": 50_000,
    "gross_exposure_max": Decimal(50_000_000_000),
    "positions_max": 50_000,
    "reject_streak_max": 100,
    "rejections_max": 100,
}
NO_QUOTA = 10_000_000
FLAT = """
UPDATE orders_positionday SET trading_date = current_date - 2, last_traded = current_date - 2,
    opening_quantity = 0, opening_cost = 0, opening_realised_pnl = 0, quantity = 0, cost = 0, realised_pnl = 0,
    bought = 0, sold = 0, paid = 0, received = 0, first_order = NULL,
    newest_fill = NULL, newest_at = NULL, newest_price = NULL,
    last_at = now() - interval '2 days', last_fill = (SELECT max(id) FROM orders_fill)
"""
MADE_AT = {
    "orders_fill": "recorded_at",
    "orders_brokermessage": "at",
    "orders_orderevent": "at",
    "orders_order": "created_at",
    "orders_decision": "at",
    "orders_signal": "received_at",
    "risk_incident": "last_at",
}


def lift_the_governor() -> None:
    """Let as many orders go as ask to: what is measured is our own pace, not the broker's quotas."""
    from orders import governor
    from risk.engine import rates

    settings.LIMIT_CEILINGS = {
        name: max(ceiling, LIMITS[name]) if name in LIMITS else ceiling
        for name, ceiling in settings.LIMIT_CEILINGS.items()
    }
    for name in ("BROKER_SECOND", "BROKER_MINUTE", "BROKER_DAY"):
        setattr(rates, name, NO_QUOTA)
    governor.BROKER_DAY = NO_QUOTA


def executor() -> None:
    from django.core.management import call_command

    lift_the_governor()
    call_command("listen_signals")


def prepare() -> None:
    """Lay the tables out, load the instruments and set limits that never bind."""
    from django.core.management import call_command
    from django.utils import timezone

    from orders.desk import Desk
    from orders.quotes import load_instruments
    from risk import limit_versions
    from risk.models import RiskSettings

    lift_the_governor()
    call_command("migrate", interactive=False, verbosity=0)
    edited = RiskSettings.objects.get(pk=1)
    for name, value in LIMITS.items():
        setattr(edited, name, value)
    limit_versions.save(edited, list(LIMITS), by="bench", reason="limits that never bind", now=timezone.now())
    load_instruments(Desk.from_settings(), settings.DEFAULT_EXCHANGE)


def forget() -> None:
    """Forget the paper book, as `manage.py paper_reset` does."""
    from orders.start import forget_paper_book

    forget_paper_book()


def forget_today() -> None:
    """
    Forget what the executor made within a day, for a broker's book that begins anew beside a past that stays.

    Every position is flat then, for past orders bought as much as they sold, and reckoned up to two days ago, as if
    fills had come all along.
    """
    from django.db import connection, transaction

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica; SET LOCAL statement_timeout = 0")
        for table, moment in MADE_AT.items():
            cursor.execute(f"DELETE FROM {table} WHERE {moment} > now() - interval '1 day'")  # noqa: S608 - of constants
        cursor.execute("DELETE FROM orders_daypoint")
        cursor.execute("UPDATE orders_position SET quantity = 0, average_price = 0, cost = 0, realised_pnl = 0")
        cursor.execute(FLAT)
        cursor.execute("ANALYZE")


def past(orders: str) -> None:
    """Write so many past orders beside what there is, down to the disk: of years nothing waits to be written."""
    from django.db import connection

    from tests.bench.orders import SHARES
    from tests.bench.past import fill_past

    with connection.cursor() as cursor:
        cursor.execute(SHARES)
        symbols = [symbol for (symbol,) in cursor.fetchall()]
    fill_past(int(orders), symbols)
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        cursor.execute("CHECKPOINT")


def floor() -> None:
    from tests.bench.floor import follow

    follow()


def receiving_floor() -> None:
    from tests.bench.receiving import follow

    follow()


def pages(answer: str) -> None:
    from tests.bench.pages import look

    look(answer)


def export(kind: str, rows: str, answer: str) -> None:
    from tests.bench.pages import take_file

    take_file(kind, int(rows), answer)


PARTS: dict[str, Callable[..., None]] = {
    each.__name__: each
    for each in (executor, prepare, forget, forget_today, past, floor, receiving_floor, pages, export)
}


if __name__ == "__main__":
    django.setup()
    PARTS[sys.argv[1]](*sys.argv[2:])
