"""The units: nothing in them is unknown to systemd, what they run is there, and what they may do is next to nothing."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import get_commands

from config import web_server
from tests.deploy.conftest import DEPLOY, program

UNITS = DEPLOY / "systemd"
HARDENING = "order-executor-.service.d/10-order-executor.conf"
SERVICES = sorted(UNITS.glob("*.service"))
PYTHON = "/opt/order-executor/current/.venv/bin/python"
EXPOSURE_MAX = 16  # tenths: systemd calls up to 20 "OK", and a service without any of it has 96


def name(path: Path) -> str:
    return path.name.replace("@.", "@1.")


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units as they would be installed, with a Python that is here."""
    folder = tmp_path / "units"
    shutil.copytree(UNITS, folder)
    for unit in folder.glob("*.service"):
        unit.write_text(unit.read_text().replace(PYTHON, sys.executable))
    return folder


def analyzed(units: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [program("systemd-analyze", "systemd"), *arguments]
    surroundings = {"SYSTEMD_UNIT_PATH": f"{units}:", "PATH": "/usr/bin:/bin", "SYSTEMD_LOG_LEVEL": "warning"}
    return subprocess.run(command, env=surroundings, capture_output=True, text=True, timeout=60)


def complaints(units: Path) -> list[str]:
    """Return what systemd has to say of ours; of the machine's own units it may say what it likes."""
    ours = [str(units / name(path)) for path in sorted(UNITS.glob("order-executor*.*"))]
    said = analyzed(units, "verify", "--man=no", *[each for each in ours if not each.endswith(".d")])
    lines = (said.stdout + said.stderr).splitlines()
    return [line for line in lines if "order-executor" in line or "Failed" in line]


def test_systemd_has_nothing_to_say_of_the_units(units):
    assert complaints(units) == []


@pytest.mark.parametrize(
    ("file", "right", "wrong"),
    [
        (HARDENING, "ProtectSystem=strict", "ProtectSystem=stricter"),
        (HARDENING, "RestartSec=5", "RestartSeconds=5"),
        ("order-executor-web.service", "Type=notify", "Type=notifies"),
        ("order-executor-backup.timer", "16:15:00 Asia/Kolkata", "16:15:00 Asia/Bombay-on-Sea"),
        ("order-executor-listener@.service", sys.executable, "/nowhere/python"),
    ],
)
def test_systemd_says_what_is_wrong_with_a_unit(units, file, right, wrong):
    unit = units / file
    assert right in unit.read_text()
    unit.write_text(unit.read_text().replace(right, wrong))

    assert complaints(units) != []


@pytest.mark.parametrize("service", SERVICES, ids=name)
def test_a_service_is_exposed_to_next_to_nothing(units, service):
    looked_at = ["security", "--offline=yes", f"--threshold={EXPOSURE_MAX}", str(units / name(service))]

    hardened = analyzed(units, *looked_at)
    shutil.rmtree(units / Path(HARDENING).parent)
    plain = analyzed(units, *looked_at)

    assert hardened.returncode == 0, hardened.stdout
    assert plain.returncode != 0


def test_no_service_is_root_or_may_become_it():
    shared = (UNITS / HARDENING).read_text()

    for line in ("User=order-executor", "NoNewPrivileges=true", "CapabilityBoundingSet=", "ProtectSystem=strict"):
        assert f"\n{line}\n" in shared
    for service in SERVICES:
        assert not re.search(r"^(User|Group|CapabilityBoundingSet|ReadWritePaths)=", service.read_text(), re.MULTILINE)


@pytest.mark.parametrize("service", SERVICES, ids=name)
def test_what_a_service_runs_is_there(service):
    command = re.search(r"^ExecStart=(.+)$", service.read_text(), re.MULTILINE)[1]
    python, *rest = command.split()

    assert python == PYTHON
    if rest[0] == "manage.py":
        assert rest[1] in get_commands()
    else:
        assert rest[:2] in (["-m", "gunicorn"], ["-m", "orders.paper"])


def test_a_service_has_longer_to_stop_than_it_takes():
    from orders.listener import JOIN_SECONDS

    given = {
        service.name: int(re.search(r"^TimeoutStopSec=(\d+)$", service.read_text(), re.MULTILINE)[1])
        for service in SERVICES
        if "TimeoutStopSec" in service.read_text()
    }

    assert given["order-executor-listener@.service"] > JOIN_SECONDS
    assert given["order-executor-web.service"] > web_server.graceful_timeout


def test_the_backup_is_taken_after_the_close_and_caught_up(units):
    timer = (UNITS / "order-executor-backup.timer").read_text()
    when = re.search(r"^OnCalendar=(.+)$", timer, re.MULTILINE)[1]

    said = analyzed(units, "calendar", "--base-time=2026-11-27 00:00:00 UTC", when).stdout

    assert "10:45:00 UTC" in said  # 16:15 in Mumbai: the last session ends at 15:30, its report is taken by 15:45
    assert "\nPersistent=true\n" in timer


def test_every_part_starts_and_stops_with_the_desk():
    for unit in (*SERVICES, UNITS / "order-executor-web.socket", UNITS / "order-executor-backup.timer"):
        if unit.name != "order-executor-backup.service":  # its timer starts it
            assert "\nPartOf=order-executor.target\n" in unit.read_text()
