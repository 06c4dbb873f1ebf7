"""The image and the set of containers, as far as they can be judged without an engine to run them."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml
from django.core.management import get_commands

from config import web_server
from tests.deploy.conftest import DEPLOY, text
from tests.executor_process import REPOSITORY

COMPOSE = yaml.safe_load(text("compose.yaml"))
SERVICES = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "order-executor:latest"}


def instructions() -> list[tuple[str, str]]:
    """Return what the Containerfile says, line by line: the word and what follows it."""
    whole = re.sub(r"\\\n\s*", "", text("Containerfile"))
    lines = [line for line in whole.splitlines() if line and not line.startswith("#")]
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in lines]


def test_the_image_runs_as_nobody_in_particular_and_holds_no_secret():
    said = instructions()

    assert {word for word, _ in said} <= {
        *("FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL", "CMD")
    }
    assert [rest for word, rest in said if word == "USER"] == ["10001:10001"]
    assert said.index(("USER", "10001:10001")) > max(number for number, (word, _) in enumerate(said) if word == "RUN")
    assert not any(re.search(r"SECRET|PASSWORD|TOKEN|API_KEY", rest) for _, rest in said)
    assert all(":" in rest.split()[0] and ":latest" not in rest for word, rest in said if word == "FROM")


def test_the_image_copies_what_is_there_and_its_builder_is_sent_nothing_else():
    copied = [rest.split() for word, rest in instructions() if word == "COPY" and not rest.startswith("--from")]
    sent = [line[1:] for line in text("Containerfile.dockerignore").splitlines() if line.startswith("!")]

    for source, _ in copied:
        assert (REPOSITORY / source).exists(), source
    assert sorted(source for source, _ in copied) == sorted(sent)
    assert "\n*\n" in text("Containerfile.dockerignore")


def test_the_image_starts_the_web_server_as_everything_else_does():
    command = yaml.safe_load(dict(instructions())["CMD"])

    assert command[:5] == ["python", "-m", "gunicorn", "--config", "python:config.web_server"]
    assert web_server.wsgi_app == "config.wsgi:application"


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_may_do_next_to_nothing(name):
    service = SERVICES[name]

    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "network_mode", "pid", "ipc", "devices", "cap_add"} & set(service)
    assert not any("docker.sock" in str(volume) for volume in service.get("volumes", []))
    if name != "postgres":  # its own program drops what it has, and begins with more
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
    assert ("user" in service) == (name in ("valkey", "grants"))  # ours is the image's


@pytest.mark.parametrize("name", SERVICES)
def test_no_secret_stands_in_a_container_s_definition(name):
    service = SERVICES[name]
    files = {secret: f"/run/secrets/{secret}" for secret in service["secrets"]}

    assert set(files) <= set(COMPOSE["secrets"])
    for variable, value in service.get("environment", {}).items():
        if variable.endswith("_FILE"):
            assert value in files.values()
        else:
            assert not re.search(r"SECRET|PASSWORD|TOKEN|KEY|URL", variable)
    if name in OURS:
        assert set(service["environment"].values()) == set(files.values())


def test_only_what_brings_the_database_up_to_date_is_handed_its_owner_s_role():
    handed = {name for name, service in OURS.items() if "OWNER_DATABASE_URL" in service["secrets"]}

    assert handed == {"prepare"}
    assert OURS["prepare"]["environment"]["DATABASE_URL_FILE"] == "/run/secrets/OWNER_DATABASE_URL"
    mounted = [volume.split(":") for volume in SERVICES["postgres"]["volumes"] if volume.startswith(".")]
    for source, _, how in mounted:
        assert ((DEPLOY / source).is_file(), how) == (True, "ro")


def test_all_the_parts_of_a_desk_are_there_and_only_the_web_is_reached_through_the_host_alone():
    assert set(SERVICES) == {
        *("prepare", "grants", "web", "executor", "standby", "alerts", "backup", "paper-kite", "postgres", "valkey")
    }
    assert {name: service["ports"] for name, service in SERVICES.items() if "ports" in service} == {
        "web": ["127.0.0.1:8000:8000"]
    }
    assert {name for name, service in SERVICES.items() if "healthcheck" in service} == {"web", "postgres", "valkey"}
    assert SERVICES["executor"]["command"] == SERVICES["standby"]["command"]


@pytest.mark.parametrize("name", OURS)
def test_what_a_container_of_ours_runs_is_there(name):
    command = OURS[name].get("command", ["python", "-m", "gunicorn"])

    assert command[0] == "python"
    if command[1] == "manage.py":
        assert command[2] in get_commands()
    else:
        assert command[1:3] in (["-m", "gunicorn"], ["-m", "orders.paper"])


def test_nothing_starts_before_what_it_needs():
    for name in ("web", "executor", "standby", "alerts", "backup"):
        assert OURS[name]["depends_on"]["grants"] == {"condition": "service_completed_successfully"}
    assert SERVICES["grants"]["depends_on"] == {"prepare": {"condition": "service_completed_successfully"}}
    assert SERVICES["prepare"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    for service in SERVICES.values():
        for needed in service.get("depends_on") or {}:
            assert needed in SERVICES
    for volume in {each.split(":")[0] for service in SERVICES.values() for each in service.get("volumes", [])}:
        assert volume in COMPOSE["volumes"] or volume.startswith("./")


def test_the_audit_trail_is_closed_to_the_desk_s_role_before_the_desk_starts():
    grants = SERVICES["grants"]

    assert "-v ON_ERROR_STOP=1 -f /order-executor/grants.sql" in grants["command"][2]
    assert grants["volumes"] == ["./postgresql/grants.sql:/order-executor/grants.sql:ro"]
    assert "DEFAULT PRIVILEGES" not in text("postgresql/init-container.sh")  # they would open it until `grants` runs


@pytest.mark.parametrize("wrong", ["missing", "empty"])
@pytest.mark.parametrize("which", ["POSTGRES_OWNER_PASSWORD", "POSTGRES_DESK_PASSWORD"])
def test_no_role_is_made_without_its_password(tmp_path, which, wrong):
    done = first_start(tmp_path, **{which: None if wrong == "missing" else "\n"})

    assert done.returncode != 0
    assert which in done.stderr
    assert not (tmp_path / "asked").exists()


def test_both_roles_are_made_with_their_passwords(tmp_path):
    done = first_start(tmp_path)

    assert done.returncode == 0, done.stderr
    assert "owner_password=one desk_password=another" in " ".join((tmp_path / "asked").read_text().split(" -v "))


def first_start(folder: Path, **secrets: str | None) -> subprocess.CompletedProcess[str]:
    """Run what the container of PostgreSQL runs at its first start, with a psql that notes what it was asked."""
    for name, held in {"POSTGRES_OWNER_PASSWORD": "one\n", "POSTGRES_DESK_PASSWORD": "another\n", **secrets}.items():
        if held is not None:
            (folder / name).write_text(held)
    (folder / "psql").write_text(f'#!/bin/sh\necho "$@" > {folder}/asked\n')
    (folder / "psql").chmod(0o755)
    script = text("postgresql/init-container.sh").replace("/run/secrets/", f"{folder}/")
    surroundings = {"PATH": f"{folder}:{os.defpath}", "POSTGRES_USER": "postgres"}
    return subprocess.run(["bash", "-c", script], env=surroundings, capture_output=True, text=True, timeout=20)


def test_valkey_forgets_nothing_and_asks_for_its_password():
    command = " ".join(shlex.split(SERVICES["valkey"]["command"][2]))

    for words in ("--appendonly yes", "--appendfsync always", "requirepass", "umask 077"):
        assert words in command
    assert "--requirepass" not in command  # a command line is seen by everyone


def test_the_folder_that_is_built_from_is_the_project():
    build = OURS["web"]["build"]

    assert (DEPLOY / build["context"]).resolve() == REPOSITORY
    assert (REPOSITORY / build["dockerfile"]).exists()
