"""
Redis, PostgreSQL and the broker taken away from a running executor: nothing accepted is lost, nothing is sent twice.

The executor is a process of its own and stays the same one through every outage.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from django.db import connection

from config.local_folder import LocalFolder
from config.local_services import Valkey
from orders import by_hand
from orders.models import Order, Position, Signal
from risk.models import Incident, Mode, TradingControl
from tests.executor_process import ExecutorProcess
from tests.orders.paper.paper_process import PaperProcess, until
from tests.orders.together import direct_connection
from tests.servers import SERVERS, wait_until_ready
from tests.test_story import concluded, filled, publish, signal_bytes

from .conftest import family, paused, said, without_postgres

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]


def tell(valkey, signal_id, **changes) -> None:
    """Say it on the channel, to whoever listens."""
    assert valkey.publish("signals", signal_bytes(signal_id=signal_id, **changes)) == 1


def send(valkey, signal_id, **changes) -> None:
    valkey.xadd("signals:stream", {"signal": signal_bytes(signal_id=signal_id, **changes)})


def recorded(*names: str) -> bool:
    return set(names) <= set(Signal.objects.values_list("signal_id", flat=True))


def sent_once(paper) -> None:
    """Every accepted order has a row of ours, and no tag was used twice; the book is the broker's."""
    tags = sorted(row["tag"] for row in paper.journal() if row["event"] == "accepted")
    assert tags == sorted(Order.objects.exclude(broker_order_id="").values_list("client_order_id", flat=True))
    assert len(tags) == len(set(tags))
    bought = sum(order.filled_quantity for order in Order.objects.filter(side="BUY"))
    assert Position.objects.get().quantity == bought == len(tags)


# --- PostgreSQL ------------------------------------------------------------------------------------------------------


def test_postgres_killed_while_signals_flow_loses_none_and_sends_none_twice(leader, valkey, auto_trading, paper):
    executor = leader()
    publish(valkey, signal_id="before")
    filled(concluded("before"))

    with without_postgres():
        for number in range(3):
            tell(valkey, f"told-{number}", signal_type="HOLD")
            send(valkey, f"sent-{number}", signal_type="HOLD")
        until(lambda: said(executor, "leadership.lost"), 20)
        accepted = len(paper.accepted())

    until(lambda: recorded(*[f"{how}-{number}" for how in ("told", "sent") for number in range(3)]), 40)
    assert len(paper.accepted()) == accepted == 1
    send(valkey, "after")
    filled(concluded("after"))
    sent_once(paper)
    assert executor.process.poll() is None
    assert not Signal.objects.filter(duplicates__gt=0).exists()
    assert not Incident.objects.exists()


def test_postgres_killed_in_the_middle_of_sending_is_a_doubt_at_worst_and_no_second_order(
    leader, valkey, auto_trading, paper
):
    leader(ABSENCE_WINDOW_SECONDS="3")
    paper.fault("place", "delay", seconds=3)
    send(valkey, "one")
    until(lambda: Order.objects.filter(status="SUBMITTING").exists(), 20)

    with without_postgres():
        until(paper.accepted, 20)

    filled(concluded("one"))
    sent_once(paper)


def test_sessions_ended_from_outside_are_made_again_in_the_same_process(leader, valkey, auto_trading, paper):
    executor = leader()

    for turn in range(2):
        with direct_connection() as other:
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        tell(valkey, f"told-{turn}", signal_type="HOLD")
        until(lambda turn=turn: said(executor, "leadership.taken", times=turn + 2), 20)
        assert executor.process.poll() is None
    connection.close()
    until(lambda: recorded("told-0", "told-1"), 20)
    publish(valkey, signal_id="after")
    filled(concluded("after"))
    sent_once(paper)


def test_a_postgres_that_stands_still_holds_everything_up_and_loses_nothing(leader, valkey, auto_trading, paper):
    executor = leader()

    with paused(*family(SERVERS.postgres.process.pid)):
        tell(valkey, "told", signal_type="HOLD")
        send(valkey, "sent", signal_type="HOLD")
        assert paper.accepted() == []

    until(lambda: recorded("told", "sent"), 40)
    send(valkey, "after")
    filled(concluded("after"))
    sent_once(paper)
    assert executor.process.poll() is None


# --- Redis -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[Valkey]:
    """A Valkey of this test, which keeps its data as a real one does."""
    folder = LocalFolder(tmp_path / "local")
    folder.create()
    server = Valkey(folder, os.environ)
    server.launch()
    wait_until_ready(server)
    yield server
    if server.runs():
        server.stop()


def test_redis_killed_the_stream_goes_on_where_it_stopped_and_the_gap_of_the_channel_is_said_once(
    start, own_valkey, auto_trading, paper
):
    executor = start(REDIS_URL=own_valkey.url())
    client = redis.Redis.from_url(own_valkey.url())
    publish(client, signal_id="before", signal_type="HOLD")
    send(client, "sent-before")
    filled(concluded("sent-before"))

    own_valkey.process.kill()
    own_valkey.process.wait(10)
    until(lambda: Incident.objects.filter(kind="SIGNAL_GAP", title__contains="is not heard since").exists(), 20)
    own_valkey.launch()
    wait_until_ready(own_valkey)
    send(client, "sent-after", signal_type="HOLD")
    until(lambda: client.publish("signals", signal_bytes(signal_id="after", signal_type="HOLD")), 20)

    concluded("after")
    concluded("sent-after")
    client.close()
    gap = Incident.objects.get()
    assert "was not heard from" in gap.title
    assert gap.count == 1
    assert Signal.objects.get(signal_id="sent-before").duplicates == 0
    sent_once(paper)
    assert executor.process.poll() is None


def test_started_while_redis_is_down_it_tracks_and_hears_as_soon_as_redis_is_there(start, own_valkey, auto_trading):
    url = own_valkey.url()
    own_valkey.stop()
    executor = start(REDIS_URL=url)
    until(lambda: said(executor, "instruments.loaded") and said(executor, "loop.waiting"), 30)

    own_valkey.launch()
    wait_until_ready(own_valkey)
    client = redis.Redis.from_url(url)
    send(client, "sent", signal_type="HOLD")
    until(lambda: client.publish("signals", signal_bytes(signal_id="told", signal_type="HOLD")), 20)

    concluded("sent")
    concluded("told")
    client.close()
    assert "was not heard from" in Incident.objects.get().title
    assert executor.process.poll() is None


# --- The broker ------------------------------------------------------------------------------------------------------


def auto_is_off() -> bool:
    return not TradingControl.objects.get(mode=Mode.PAPER).auto_trading


def test_a_broker_that_stands_still_is_one_incident_and_signals_are_recorded_all_the_while(
    leader, valkey, auto_trading, paper
):
    executor = leader()

    with paused(paper.process.pid):
        for number in range(20):
            send(valkey, f"sent-{number}", signal_type="HOLD" if number else "BUY")
        until(lambda: recorded(*[f"sent-{number}" for number in range(20)]), 20)
        until(auto_is_off, 60)

    until(lambda: Signal.objects.exclude(status="RECEIVED").filter(signal_id="sent-0").exists(), 40)
    assert list(Incident.objects.values_list("kind", "count")) == [("BROKER_UNREACHABLE", 1)]
    assert TradingControl.objects.get(mode=Mode.PAPER).version == 3  # switched on, and off once
    assert executor.process.poll() is None
    assert not said(executor, "loop.died")


def test_a_broker_that_answers_503_to_reads_is_one_incident_and_staff_can_still_close(
    leader, valkey, auto_trading, paper, bare_desk
):
    leader()
    send(valkey, "one")
    filled(concluded("one"))
    paper.fault("orders", "error_503", times=12)

    until(auto_is_off, 60)
    order = by_hand.exit_position(bare_desk, Position.objects.get(), token="exit", by="priya")

    assert order.broker_order_id in paper.accepted()
    until(lambda: Position.objects.get().quantity == 0, 60)
    assert list(Incident.objects.values_list("kind", "count")) == [("BROKER_UNREACHABLE", 1)]


def test_nothing_is_sent_before_the_book_was_read_completely_once(start, valkey, auto_trading, paper):
    paper.fault("trades", "error_503", times=2)
    send(valkey, "one")
    executor = start()
    until(lambda: said(executor, "broker.not_read"), 30)

    filled(concluded("one"))

    words = executor.log.read_text()
    assert words.rindex("broker.not_read") < words.index("SUBMITTING")


def test_a_broker_killed_after_it_took_an_order_and_before_it_said_so_is_asked_again_and_not_sent_to(
    valkey, auto_trading, tmp_path
):
    options = ("--cash", "1000000000")
    broker = PaperProcess(tmp_path / "paper", *options)
    broker.set_price("NSE:RELIANCE", "1400.00")
    broker.fault("place", "late_after", seconds=5)
    executor = ExecutorProcess(broker.root, tmp_path / "executor.log", ABSENCE_WINDOW_SECONDS="3")
    try:
        send(valkey, "one")
        until(broker.accepted, 30)
        broker.kill()
        until(lambda: Order.objects.filter(status="IN_DOUBT").exists(), 30)
        broker = PaperProcess(tmp_path / "paper", *options, "--port", str(broker.port))

        filled(until(lambda: Signal.objects.filter(signal_id="one", orders__status="FILLED").first(), 40))
        sent_once(broker)
        assert executor.process.poll() is None
    finally:
        executor.end()
        broker.stop()
