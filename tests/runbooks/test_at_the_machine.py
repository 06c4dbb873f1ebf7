"""The runbooks of what happens to the machine: servers that end and executors that die, brought back as it is told."""

from __future__ import annotations

import signal

import pytest
import redis
from django.db import OperationalError, connection
from django.utils import timezone

from orders.models import ExecutorHeartbeat, Position, Signal
from risk.models import Incident
from tests.faults.conftest import said as logged
from tests.faults.conftest import without_postgres
from tests.faults.small_disk import mounted
from tests.faults.test_full_disk import cramped, refused
from tests.faults.test_outages import own_valkey
from tests.orders.paper.paper_process import until
from tests.servers import wait_until_ready
from tests.test_story import concluded, filled

from .conftest import manage

__all__ = ["cramped", "mounted", "own_valkey"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]


@pytest.fixture(autouse=True)
def at_the_same_broker(paper, settings):
    settings.PAPER_KITE_URL = paper.root


def by_stream(signal_id: str) -> None:
    sent = manage("publish_signal", "BUY", "RELIANCE", "--cms", "75", "--stream", "--id", signal_id)
    assert "sent through" in sent


def start_of_day() -> str:
    return manage("start_of_day")


# --- Redis is lost ----------------------------------------------------------------------------------------------------


def test_redis_is_started_again_what_was_lost_is_sent_again_and_the_incident_names_the_gap(
    start, own_valkey, auto_trading, resolve, settings
):
    settings.REDIS_URL = own_valkey.url()
    start(REDIS_URL=own_valkey.url())
    by_stream("before")
    filled(concluded("before"))
    own_valkey.process.kill()
    own_valkey.process.wait(10)
    until(lambda: Incident.objects.filter(kind="SIGNAL_GAP").exists(), 20)
    assert "not reached" in start_of_day()

    own_valkey.launch()
    wait_until_ready(own_valkey)
    until(lambda: Incident.objects.filter(title__contains="was not heard from").exists(), 20)
    by_stream("before")
    by_stream("lost")

    concluded("lost")
    assert "signals is heard" in start_of_day()
    resolve()
    assert not Incident.objects.unresolved().filter(kind="SIGNAL_GAP").exists()


# --- PostgreSQL is down or full ---------------------------------------------------------------------------------------


def test_postgres_comes_back_and_the_desk_leads_on_by_itself_with_its_trail_whole(leader, auto_trading):
    executor = leader()
    with without_postgres():
        until(lambda: logged(executor, "leadership.lost"), 20)
        with pytest.raises(OperationalError):
            manage("halt_trading", "--reason", "no database")
        connection.close()

    until(lambda: logged(executor, "leadership.taken", times=2), 40)
    assert "leads" in start_of_day()
    assert "orders changed" in manage("reconcile_orders")
    assert "all as it was written" in manage("verify_audit")
    by_stream("after")
    filled(concluded("after"))
    assert executor.process.poll() is None


# --- The executor is dead or silent -----------------------------------------------------------------------------------


def test_a_dead_executor_is_seen_stopped_for_without_it_and_started_again(leader, start, auto_trading):
    executor = leader()
    by_stream("one")
    filled(concluded("one"))
    executor.end(signal.SIGKILL)
    until(lambda: not ExecutorHeartbeat.objects.get().is_alive(timezone.now()), 30)
    assert "last seen" in start_of_day()

    assert "trading is HALTED" in manage("halt_trading", "--reason", "no executor")
    out = manage("flatten", "--reason", "no executor", "--confirm", "FLATTEN")
    assert Position.objects.get().quantity == 0, out
    by_stream("waits")

    again = start()
    until(lambda: ExecutorHeartbeat.objects.filter(pid=again.process.pid).exists(), 30)
    assert concluded("waits").status != Signal.Status.RECEIVED
    assert f"pid {again.process.pid} leads, none standing by" in start_of_day()


# --- A disk is full ---------------------------------------------------------------------------------------------------


def test_with_room_again_redis_is_started_and_the_desk_goes_on(cramped, start, auto_trading, settings):
    disk, server = cramped
    client = redis.Redis.from_url(server.url())
    settings.REDIS_URL = server.url()
    start(REDIS_URL=server.url())
    by_stream("before")
    filled(concluded("before"))
    disk.fill()
    with pytest.raises(redis.ConnectionError):
        until(lambda: refused(client), 30)
    client.close()
    server.process.wait(20)
    assert "not reached" in start_of_day()

    disk.make_room()
    server.launch()
    wait_until_ready(server)

    by_stream("after")
    concluded("after")
    assert "orders changed" in manage("reconcile_orders")
    until(lambda: "signals is heard" in start_of_day(), 20)
