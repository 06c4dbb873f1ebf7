"""The environment of a server as delivered: the settings take it, a check has nothing to say, a command finds it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings as django_settings

from tests.deploy.conftest import DEPLOY, text
from tests.executor_process import REPOSITORY

TEMPLATE = "order-executor.env.example"
LIVE = "KITE_API_KEY_FILE|KITE_API_SECRET_FILE|STATIC_IP|ALERT_URLS_FILE"
PAPER = "PAPER_KITE_URL|PAPER_MARKET_HOURS"
SECRETS = {
    "SECRET_KEY": "a-key-of-the-suite-as-long-as-a-real-one-0123456789-abcdefg",
    "METRICS_TOKEN": "a-token-of-the-suite-0123456789",
    "KITE_API_KEY": "a-key-at-kite",
    "KITE_API_SECRET": "a-secret-at-kite",
    "ALERT_URLS": "json://127.0.0.1:9/",
}


def lines(template: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in template.splitlines() if line and not line.startswith("#"))


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The template as it is filled in: its secrets in files, its folders in the test's own."""
    held = {**SECRETS, "DATABASE_URL": os.environ["DATABASE_URL"], "REDIS_URL": django_settings.REDIS_URL}
    (tmp_path / "secrets").mkdir()
    for name, value in held.items():
        (tmp_path / "secrets" / name).write_text(value)
        (tmp_path / "secrets" / name).chmod(0o600)
    template = text(TEMPLATE).replace("/etc/order-executor", str(tmp_path)).replace("/var/lib", str(tmp_path))
    path = tmp_path / "order-executor.env"
    path.write_text(template.replace("/var/backups", str(tmp_path)))
    return path


def go_live(path: Path) -> None:
    """Do what the template says: these instead of the two above, with an address of one's own."""
    live = re.sub(rf"^#({LIVE})=", r"\1=", path.read_text(), flags=re.MULTILINE).replace("203.0.113.7", "13.232.1.2")
    path.write_text(re.sub(rf"^({PAPER})=", r"#\1=", live, flags=re.MULTILINE))


def check(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    own = {key: value for key, value in os.environ.items() if key not in ("DATABASE_URL", "REDIS_URL")}
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING", *arguments]
    given = lines(path.read_text())
    return subprocess.run(command, cwd=REPOSITORY, env={**own, **given}, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("live", [False, True])
def test_a_check_of_the_delivered_environment_has_nothing_to_say(installed, live):
    if live:
        go_live(installed)

    checked = check(installed)

    assert checked.returncode == 0, checked.stderr
    assert "no issues" in checked.stdout


def test_every_variable_of_the_template_is_one_of_the_settings():
    shown = set(re.findall(r"^#? ?([A-Z_]+)=", (REPOSITORY / ".env.example").read_text(), flags=re.MULTILINE))
    named = {name.removesuffix("_FILE") for name in re.findall(r"^#?([A-Z_]+)=", text(TEMPLATE), flags=re.MULTILINE)}

    assert named <= shown


def test_a_shell_and_systemd_read_the_template_alike():
    for name, value in lines(text(TEMPLATE)).items():
        assert re.fullmatch(r"[\w.:/,-]+", value), name


@pytest.fixture
def as_staff(installed: Path, tmp_path: Path) -> dict[str, str]:
    """The surroundings of `deploy/order-executor` for who is not root: what becomes of root is tried on a server."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "id").write_text("#!/bin/sh\necho 1000\n")
    (tmp_path / "bin" / "id").chmod(0o755)
    (tmp_path / "home" / ".venv" / "bin").mkdir(parents=True)
    for name in ("manage.py", "config", "orders", "risk"):
        (tmp_path / "home" / name).symlink_to(REPOSITORY / name)
    (tmp_path / "home" / ".venv" / "bin" / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (tmp_path / "home" / ".venv" / "bin" / "python").chmod(0o755)
    own = {key: value for key, value in os.environ.items() if key not in ("DATABASE_URL", "REDIS_URL")}
    return {
        **own,
        "PATH": f"{tmp_path}/bin:{os.environ['PATH']}",
        "ORDER_EXECUTOR_HOME": str(tmp_path / "home"),
        "ORDER_EXECUTOR_ENV": str(installed),
        "ORDER_EXECUTOR_OWNER": str(tmp_path / "owner"),
    }


SAY = "from django.conf import settings as s; print(s.DATABASES['default']['USER'], s.ALLOWED_HOSTS)"


def test_the_server_s_command_runs_manage_with_the_server_s_environment(as_staff):
    command = [DEPLOY / "order-executor", "shell", "--no-imports", "-c", SAY]

    said = subprocess.run(command, env=as_staff, capture_output=True, text=True, timeout=60)

    assert said.stdout.split() == ["order_executor", "['desk.example.com']"], said.stderr


def test_as_owner_it_uses_the_owner_s_role_and_leaves_the_other_alone(as_staff, tmp_path):
    (tmp_path / "owner").write_text("postgresql://the_owner:pw@127.0.0.1:9/desk")
    command = [DEPLOY / "order-executor", "--as-owner", "shell", "--no-imports", "-c", SAY]

    said = subprocess.run(command, env=as_staff, capture_output=True, text=True, timeout=60)

    assert said.stdout.split()[0] == "the_owner", said.stderr
