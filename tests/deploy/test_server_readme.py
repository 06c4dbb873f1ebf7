"""What the way to a server names is there: commands, units, files and settings."""

from __future__ import annotations

import re
from pathlib import Path

from django.core.management import get_commands

from config.secret_files import SECRETS
from tests.deploy.conftest import DEPLOY, text
from tests.executor_process import REPOSITORY

README = text("README.md")
BLOCKS = re.compile(r"```(?:sh|console)\n(.*?)```", re.DOTALL)
CODE = "\n".join([*BLOCKS.findall(README), *re.findall(r"`([^`\n]+)`", BLOCKS.sub("", README))])


def test_every_command_of_manage_is_there():
    named = set(re.findall(r"(?<![\w./-])order-executor (?:--as-owner )?([a-z_]+)(?![\w./-])", CODE, re.MULTILINE))

    assert len(named) >= 8
    assert named <= get_commands().keys()


def test_every_unit_is_delivered():
    named = set(re.findall(r"\border-executor-[a-z@12-]+\.(?:service|socket|timer)", CODE))
    delivered = {path.name for path in (DEPLOY / "systemd").iterdir()}

    assert len(named) == 7
    assert {re.sub(r"@[12]\.", "@.", unit) for unit in named} <= delivered
    enabled = CODE[CODE.index("systemctl enable --quiet") : CODE.index("systemctl start order-executor-web.socket")]
    startable = {path.name for path in (DEPLOY / "systemd").glob("*.*") if "[Install]" in _read(path)}
    assert {unit for unit in startable if unit.replace("@.", "@1.") not in enabled} == set()


def _read(path: Path) -> str:
    return path.read_text() if path.is_file() else ""


def test_every_file_of_the_project_is_there():
    named = set(re.findall(r"\bdeploy/[\w./-]*\w", CODE)) - {"deploy/secrets", "deploy/order-executor.compose.env"}

    assert len(named) >= 6
    for path in named:
        assert (REPOSITORY / path).exists(), path


def test_every_secret_that_is_written_is_one_that_is_read():
    written = set(re.findall(r"\| secret ([A-Z_]+)", CODE)) | set(re.findall(r"^secret ([A-Z_]+)", CODE, re.MULTILINE))

    assert {"DATABASE_URL", "REDIS_URL", "SECRET_KEY", "METRICS_TOKEN", "ALERT_URLS"} == written
    assert written <= set(SECRETS)


def test_the_roles_of_the_readme_are_those_of_the_sql():
    for role in ("order_executor_owner", "order_executor"):
        assert f"CREATE ROLE {role} LOGIN NOSUPERUSER" in text("postgresql/roles.sql")
        assert f"ALTER ROLE {role} PASSWORD" in README
