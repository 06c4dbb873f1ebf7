"""Started before its servers, everything waits with a sentence, and comes up when they do."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from config.local_folder import FOLDER_VARIABLE, LocalFolder
from config.local_services import Postgres, Valkey
from tests.config.conftest import eventually
from tests.config.test_up import Up
from tests.orders.paper.paper_process import until
from tests.servers import remove, wait_until_ready
from tests.test_story import concluded, filled

from .conftest import leads, said, without_postgres
from .test_outages import send, sent_once

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]


def test_an_executor_started_while_postgres_is_down_says_so_and_leads_when_it_is_up(start, valkey, auto_trading, paper):
    send(valkey, "early")
    with without_postgres():
        executor = start()
        until(lambda: said(executor, "start.waiting_for_database"), 30)
        assert executor.process.poll() is None

    until(lambda: leads(executor), 30)
    filled(concluded("early"))
    sent_once(paper)
    assert not said(executor, "Traceback")


def test_an_executor_that_waits_for_postgres_ends_when_it_is_asked_to(start, paper):
    with without_postgres():
        executor = start()
        until(lambda: said(executor, "start.waiting_for_database"), 30)

        assert executor.end() == 0


@pytest.fixture
def given_servers(tmp_path: Path) -> Iterator[list[Postgres | Valkey]]:
    """PostgreSQL and Valkey as somebody else runs them, with addresses, and stopped."""
    folder = LocalFolder(tmp_path / "given")
    folder.create()
    servers: list[Postgres | Valkey] = [kind(folder, os.environ) for kind in (Postgres, Valkey)]
    for server in servers:
        server.launch()
        wait_until_ready(server)
        server.stop()
    yield servers
    for server in servers:
        server.stop()
    remove(folder)


@pytest.fixture
def up(tmp_path: Path, given_servers: list[Postgres | Valkey]) -> Iterator[Up]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
    given = {server.variable: server.url() for server in given_servers}
    run = Up({**os.environ, **given, FOLDER_VARIABLE: str(tmp_path / "local")}, port)
    yield run
    run.end()


def test_the_whole_set_started_before_its_given_servers_says_so_and_is_ready_when_they_are(up, given_servers):
    postgres, valkey = given_servers
    eventually(lambda: up.said("Waiting for PostgreSQL, which does not let us in: .*refused"), 60)
    assert up.process.poll() is None

    postgres.launch()
    wait_until_ready(postgres)
    eventually(lambda: up.said("loop.waiting.*Connection refused"), 60)
    valkey.launch()
    wait_until_ready(valkey)

    up.wait_until_ready()
    client = redis.Redis.from_url(valkey.url())
    eventually(lambda: client.pubsub_numsub("signals")[0][1] == 1, 30)
    client.close()
    assert not up.said("Traceback")
