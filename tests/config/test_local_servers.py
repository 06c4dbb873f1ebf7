"""The local servers serve every process that needs them, and nobody else."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import stat
import time
from pathlib import Path

import psycopg
import pytest
import redis

from config.attachment import Attachment
from config.local_folder import FOLDER_VARIABLE, LocalFolder, LocalServersFailed
from config.local_services import PaperKite, needed
from config.server_binaries import PUBLIC_ROOT
from tests.config.conftest import eventually, kill_keeper, living, process_exists
from tests.executor_process import manage

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root must become somebody else")


def write(attachment: Attachment, text: str) -> None:
    with psycopg.connect(attachment.urls["DATABASE_URL"]) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS note (text text)")
        connection.execute("INSERT INTO note VALUES (%s)", [text])
    with redis.Redis.from_url(attachment.urls["REDIS_URL"]) as client:
        client.xadd("notes", {"text": text})


def read(attachment: Attachment) -> tuple[list[str], list[str]]:
    with psycopg.connect(attachment.urls["DATABASE_URL"]) as connection:
        rows = [row[0] for row in connection.execute("SELECT text FROM note")]
    with redis.Redis.from_url(attachment.urls["REDIS_URL"]) as client:
        entries = [entry[b"text"].decode() for _, entry in client.xrange("notes")]
    return rows, entries


def test_servers_run_from_the_first_user_to_the_last(folder, environment, another_process):
    first, second = another_process(environment), another_process(environment)
    urls = first.urls()

    assert second.urls() == urls  # two at once, one set of servers

    first.leave()
    with psycopg.connect(urls["DATABASE_URL"]) as connection:
        assert connection.execute("SELECT current_database()").fetchone() == ("order_executor",)

    second.kill()
    assert eventually(lambda: not living(folder)) < 3


def test_data_and_addresses_survive_a_restart(folder, environment, use):
    before = use(environment)
    write(before, "kept")
    assert before.release()
    eventually(lambda: not folder.keeper_runs())

    after = use(environment)

    assert after.urls == before.urls
    assert read(after) == (["kept"], ["kept"])


def test_servers_die_with_a_killed_keeper_and_the_next_one_recovers_their_data(folder, environment, use):
    before = use(environment)
    write(before, "committed")

    kill_keeper(folder)
    after = use(environment)

    assert after.urls == before.urls
    assert read(after) == (["committed"], ["committed"])


def test_nothing_outlives_a_killed_keeper(folder, environment, use):
    attachment = use(environment)
    attachment.release()

    kill_keeper(folder)

    eventually(lambda: not living(folder))


def test_a_newcomer_that_meets_a_leaving_keeper_is_served(folder, environment, use):
    for pause in (0.0, 0.1, 0.2, 0.25, 0.3):
        attachment = use(environment)
        with redis.Redis.from_url(attachment.urls["REDIS_URL"]) as client:
            assert client.ping()
        attachment.release()
        time.sleep(pause)  # the keeper looks every 0.2 s: before, while and after it leaves


def test_a_server_that_dies_is_started_again(folder, environment, use):
    attachment = use(environment)
    write(attachment, "committed")
    cluster = next(folder.root.glob("postgres[0-9][0-9]"))
    postmaster = int((cluster / "postmaster.pid").read_text().split("\n")[0])

    os.kill(postmaster, signal.SIGKILL)

    started = "server.started name=postgres"
    eventually(lambda: (folder.log / "keeper.log").read_text().count(started) == 2)
    assert read(attachment) == (["committed"], ["committed"])


def test_a_later_user_may_need_more_than_the_first(folder, environment, use):
    first = use({**environment, "DATABASE_URL": "postgresql://elsewhere/db"})
    assert set(first.urls) == {"REDIS_URL"}

    second = use(environment)

    assert set(second.urls) == {"REDIS_URL", "DATABASE_URL"}
    assert second.urls["REDIS_URL"] == first.urls["REDIS_URL"]


def test_the_pid_file_of_a_postmaster_long_dead_is_no_obstacle(folder, environment, use):
    attachment = use(environment)
    attachment.release()
    eventually(lambda: not folder.keeper_runs())
    cluster = next(folder.root.glob("postgres[0-9][0-9]"))
    # After a reboot the pid may be that of any program: here, of this one.
    (cluster / "postmaster.pid").write_text(f"{os.getpid()}\n{cluster}\n1\n5432\n\n127.0.0.1\n\n")

    again = use(environment)

    assert again.urls == attachment.urls


def test_secrets_are_for_their_owner_only(folder, environment, use):
    attachment = use(environment)

    lines = dict(line.split("=", 1) for line in folder.urls.read_text().splitlines())
    assert lines == attachment.urls
    for name in ("env", "postgres.password", "valkey.password", "valkey.conf", "keeper.json"):
        assert stat.S_IMODE((folder.root / name).stat().st_mode) == 0o600, name
    secrets = [(folder.root / f"{name}.password").read_bytes() for name in ("postgres", "valkey")]
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = process.read_bytes()
        except OSError:
            continue  # it has ended meanwhile
        assert not any(secret in command for secret in secrets)


def test_writes_are_on_the_disk_before_they_are_acknowledged(folder, environment, use):
    attachment = use(environment)

    with psycopg.connect(attachment.urls["DATABASE_URL"]) as connection:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            assert connection.execute("SELECT current_setting(%s)", [setting]).fetchone() == ("on",)
    with redis.Redis.from_url(attachment.urls["REDIS_URL"], decode_responses=True) as client:
        assert client.config_get("append*")["appendonly"] == "yes"
        assert client.config_get("append*")["appendfsync"] == "always"


def test_servers_named_in_the_environment_are_used_instead(folder, environment, use):
    named = {**environment, "DATABASE_URL": "postgresql://elsewhere/db", "REDIS_URL": "redis://elsewhere"}

    attachment = use(named)

    assert attachment.urls == {}
    assert not folder.keeper_lock.exists()


def test_kite_credentials_need_no_paper_server(folder, environment, use):
    live = {**environment, "KITE_API_KEY": "key", "KITE_API_SECRET": "secret", "REDIS_URL": "redis://elsewhere"}
    del live["PAPER_KITE_URL"]

    attachment = use({**live, "DATABASE_URL": "postgresql://elsewhere/db"})

    assert attachment.urls == {}


@pytest.mark.parametrize(
    ("given", "runs"),
    [
        ({}, True),
        ({"KITE_API_KEY": "k", "KITE_API_SECRET": "s"}, False),
        ({"KITE_API_KEY": "k", "KITE_API_SECRET": "s", "SHADOW": "true"}, True),
        ({"KITE_API_KEY": "k", "KITE_API_SECRET": "s", "SHADOW": "false"}, False),
        ({"KITE_API_KEY": "k", "KITE_API_SECRET": "s", "SHADOW": "true", "PAPER_KITE_URL": "http://h"}, False),
    ],
)
def test_the_shadow_needs_a_paper_server_beside_the_credentials(given, runs):
    assert (PaperKite.name in needed(given)) is runs


@pytest.mark.parametrize(("shadow", "place"), [("true", "shadow_kite"), ("", "paper_kite")])
def test_the_shadows_book_is_another_than_that_of_rehearsals(tmp_path, shadow, place):
    command, _ = PaperKite(LocalFolder(tmp_path), {"SHADOW": shadow}).prepare()

    assert command[command.index("--state-dir") + 1].endswith(f"/{place}")


def test_the_keeper_leaves_when_its_folder_is_deleted(folder, environment, use):
    use(environment)
    keeper = int(folder.keeper_lock.read_text())

    shutil.rmtree(folder.root)

    eventually(lambda: not process_exists(keeper))


@as_root
def test_root_can_serve_from_a_closed_home(folder, environment, use):
    folder.root.chmod(0o700)
    home = LocalFolder(folder.root / "project" / ".local")

    attachment = use({**environment, FOLDER_VARIABLE: str(home.root)})

    with psycopg.connect(attachment.urls["DATABASE_URL"]) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    cluster = next(home.root.glob("postgres[0-9][0-9]"))
    assert cluster.resolve().is_relative_to(PUBLIC_ROOT)
    assert stat.S_IMODE(folder.root.stat().st_mode) == 0o700
    attachment.release()
    eventually(lambda: not living(home))
    shutil.rmtree(cluster.resolve().parent)


def test_a_wrong_pg_bin_is_said_in_a_sentence(folder, environment, use):
    with pytest.raises(LocalServersFailed, match="PG_BIN is /nowhere"):
        use({**environment, "PG_BIN": "/nowhere"})


def test_data_of_another_version_are_not_passed_over(folder, bare, use):
    folder.create()
    (folder.root / "postgres99").mkdir()

    with pytest.raises(LocalServersFailed, match="has data in postgres99"):
        use({**bare, "PG_BIN": ""})


def test_a_taken_port_is_exchanged_for_another(folder, environment, use):
    attachment = use(environment)
    attachment.release()
    eventually(lambda: not folder.keeper_runs())
    ports = json.loads((folder.root / "ports.json").read_text())

    with socket.create_server(("127.0.0.1", ports["valkey"])):
        again = use(environment)

    assert again.urls["REDIS_URL"] != attachment.urls["REDIS_URL"]
    assert again.urls["DATABASE_URL"] == attachment.urls["DATABASE_URL"]


def test_the_address_of_valkey_names_its_user_as_redis_cli_needs(environment, use):
    assert use(environment).urls["REDIS_URL"].startswith("redis://default:")


@pytest.mark.parametrize(("hours", "given"), [({}, "always"), ({"PAPER_MARKET_HOURS": "nse"}, "nse")])
def test_the_paper_market_keeps_the_hours_it_is_told(tmp_path, hours, given):
    folder = LocalFolder(tmp_path)
    folder.create()

    command, _ = PaperKite(folder, hours).prepare()

    assert command[command.index("--market-hours") + 1] == given


def test_market_hours_that_make_no_sense_stop_every_command():
    refused = manage("check", paper_url="", PAPER_MARKET_HOURS="sometimes")

    assert refused.returncode != 0
    assert "PAPER_MARKET_HOURS is 'sometimes': use always or nse" in refused.stderr
