"""A full disk under PostgreSQL, Valkey or the broker: contained, said, nothing half-written; on when there is room."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
import redis
from django.db import connection

from config.local_folder import LocalFolder
from config.local_services import Valkey
from orders import by_hand
from orders.broker.kite import KiteGateway
from orders.deciding import ManualOrder
from orders.models import Decision, Order, Signal
from orders.quotes import load_instruments
from orders.reconciliation import reconcile
from risk.engine.facts import OrderType, Side
from risk.models import Incident
from tests.conftest import open_the_limits
from tests.orders.paper.paper_process import PaperProcess, until
from tests.orders.together import direct_connection
from tests.servers import SERVERS, wait_until_ready
from tests.test_story import concluded, filled

from .conftest import said
from .small_disk import SmallDisk, mounted
from .test_outages import recorded, send, sent_once, tell

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]

TABLES = ("orders_signal", "orders_decision", "orders_order", "orders_orderevent", "orders_fill")
NO_ROOM = "No space left on device"


def moved(tablespace: str) -> None:
    with direct_connection() as other:
        for table in TABLES:
            other.execute(f"ALTER TABLE {table} SET TABLESPACE {tablespace}")


@pytest.fixture
def disk_of_the_book() -> Iterator[SmallDisk]:
    """The tables of signals and orders on a small disk of their own."""
    owner = Path(f"/proc/{SERVERS.postgres.process.pid}").stat().st_uid
    with mounted(24, owner=owner) as disk:
        with direct_connection() as other:
            other.execute(f"CREATE TABLESPACE small_disk LOCATION '{disk.place}'")
        moved("small_disk")
        try:
            yield disk
        finally:
            disk.make_room()
            moved("pg_default")
            with direct_connection() as other:
                other.execute("CHECKPOINT")
                other.execute("DROP TABLESPACE small_disk")


@pytest.mark.proof
def test_signals_wait_while_the_database_has_no_room_and_none_is_lost_or_half_written(
    disk_of_the_book, leader, valkey, auto_trading, paper
):
    executor = leader()
    send(valkey, "before")
    filled(concluded("before"))
    disk_of_the_book.fill()

    words = {"signal_type": "HOLD", "strategy": "s" * 40}
    numbers = itertools.count()

    def send_a_pair() -> None:
        number = next(numbers)
        send(valkey, f"sent-{number}", **words)
        tell(valkey, f"told-{number}", **words)

    for _ in range(400):
        send_a_pair()
    # How many more find room in pages that a table has already is PostgreSQL's affair; the worker's may be full first.
    until(lambda: said(executor, "channel.waiting_for_database") or send_a_pair(), 180)
    until(lambda: said(executor, NO_ROOM), 30)
    send(valkey, "buy")
    assert not recorded("buy")
    disk_of_the_book.make_room()

    pairs = next(numbers)
    everything = [f"{how}-{number}" for how in ("sent", "told") for number in range(pairs)]
    until(lambda: recorded(*everything), 180)
    filled(until(lambda: Signal.objects.filter(signal_id="buy", orders__status="FILLED").first(), 180))
    until(lambda: valkey.xpending("signals:stream", "order-executor")["pending"] == 0, 20)
    assert not Signal.objects.filter(duplicates__gt=0).exists()
    assert executor.process.poll() is None
    sent_once(paper)


def test_orders_that_the_full_disk_interrupts_end_as_one_order_each(
    disk_of_the_book, leader, valkey, auto_trading, paper
):
    open_the_limits()
    executor = leader(ABSENCE_WINDOW_SECONDS="3")
    disk_of_the_book.fill()
    for number in range(60):
        send(valkey, f"buy-{number}")
    until(lambda: said(executor, NO_ROOM), 40)
    connection.close()
    disk_of_the_book.make_room()

    until(lambda: recorded(*[f"buy-{number}" for number in range(60)]), 60)
    until(lambda: not Signal.objects.filter(status="RECEIVED").exists(), 90)
    until(lambda: not Order.objects.unfinished("PAPER").exists(), 60)
    assert executor.process.poll() is None
    for order in Order.objects.all():
        assert order.events.exists()
        assert Decision.objects.filter(pk=order.decision_id).exists()
    sent_once(paper)


# --- Valkey ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def cramped() -> Iterator[tuple[SmallDisk, Valkey]]:
    """A Valkey that keeps its data on a small disk."""
    with mounted(4) as disk:
        folder = LocalFolder(disk.place / "local")
        folder.create()
        server = Valkey(folder, os.environ)
        server.launch()
        wait_until_ready(server)
        try:
            yield disk, server
        finally:
            disk.make_room()
            if server.runs():
                server.stop()


def refused(client: redis.Redis) -> bool:
    """Whether Valkey answers and takes no writes."""
    try:
        client.xadd("signals:stream", {"signal": b"not a signal, and long enough to need room: " + b"." * 20_000})
    except redis.ResponseError as error:
        return "MISCONF" in str(error)
    return False


def test_a_valkey_that_cannot_write_is_said_and_its_stream_goes_on_when_it_can(cramped, start, auto_trading, paper):
    disk, server = cramped
    client = redis.Redis.from_url(server.url())
    client.config_set("appendfsync", "everysec")  # with `always` it ends, which is the other test
    executor = start(REDIS_URL=server.url())
    send(client, "before")
    filled(concluded("before"))

    disk.fill()
    until(lambda: refused(client), 30)
    until(lambda: Incident.objects.filter(title__contains="stream signals:stream is not heard").exists(), 30)
    assert "MISCONF" in Incident.objects.get(title__contains="stream signals:stream").detail
    disk.make_room()
    until(lambda: not refused(client), 30)
    send(client, "after")

    filled(until(lambda: Signal.objects.filter(signal_id="after", orders__status="FILLED").first(), 60))
    until(lambda: Incident.objects.filter(title__contains="stream signals:stream was not heard from").exists(), 20)
    until(lambda: client.xpending("signals:stream", "order-executor")["pending"] == 0, 20)
    client.close()
    assert executor.process.poll() is None
    sent_once(paper)


def test_a_durable_valkey_that_ends_on_a_full_disk_is_an_outage_and_loses_nothing(cramped, start, auto_trading, paper):
    disk, server = cramped
    client = redis.Redis.from_url(server.url())
    executor = start(REDIS_URL=server.url())
    send(client, "before")
    filled(concluded("before"))

    disk.fill()
    with pytest.raises(redis.ConnectionError):
        until(lambda: refused(client), 30)
    server.process.wait(20)
    disk.make_room()
    server.launch()
    wait_until_ready(server)
    send(client, "after")

    filled(until(lambda: Signal.objects.filter(signal_id="after", orders__status="FILLED").first(), 60))
    client.close()
    assert Signal.objects.get(signal_id="before").duplicates == 0
    assert executor.process.poll() is None
    sent_once(paper)


# --- The paper broker ------------------------------------------------------------------------------------------------


BUY = ManualOrder(
    token="form-1",
    side=Side.BUY,
    exchange="NSE",
    symbol="RELIANCE",
    quantity=1,
    order_type=OrderType.LIMIT,
    limit_price=Decimal("1405.00"),
    by="priya",
)


def test_an_order_that_the_broker_cannot_write_down_is_not_accepted_and_never_sent_again(bare_desk, wired):
    open_the_limits()
    with mounted(4) as disk:
        broker = PaperProcess(disk.place / "paper", "--cash", "1000000000")
        try:
            broker.set_price("NSE:RELIANCE", "1400.00")
            gateway = KiteGateway(api_key="paper", root=broker.root, access_token=bare_desk.vault.token)
            rules = replace(bare_desk.rules, absence_window_seconds=0.5)
            desk = wired(bare_desk, gateway=gateway, rules=rules)
            load_instruments(desk, "NSE")
            reconcile(desk)
            disk.fill()

            def refused_order() -> Order | None:
                """Return the first that finds no room; what is left of the last block takes a few before."""
                order = by_hand.place(desk, replace(BUY, token=f"form-{Order.objects.count()}"))
                reconcile(desk)
                order.refresh_from_db()
                return None if order.broker_order_id else order

            order = until(refused_order, 30)
            assert order.status == "IN_DOUBT"  # the broker failed, and nobody can say how far it got
            assert NO_ROOM in order.status_reason
            assert Incident.objects.get().kind == "ORDER_IN_DOUBT"
            disk.make_room()

            until(lambda: reconcile(desk) and Order.objects.get(pk=order.pk).status == "NOT_PLACED", 20)
            assert by_hand.place(desk, replace(BUY, token="when there is room")).status == "OPEN"
            reconcile(desk)
            sent_once(broker)
        finally:
            broker.stop()
