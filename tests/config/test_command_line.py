"""manage.py starts servers for the commands that need them, and only for those."""

from __future__ import annotations

import subprocess
import sys

import pytest
from django.core.management import get_commands

from config.attachment import WITHOUT_SERVERS, needs_servers
from config.local_folder import PROJECT


@pytest.mark.parametrize("command", sorted(WITHOUT_SERVERS))
def test_every_command_said_to_need_no_server_exists(command):
    assert command in {*get_commands(), "help", "version"}
    assert not needs_servers([command])


@pytest.mark.parametrize("command", ["migrate", "shell", "listen_signals", "makemigrations", "prepare"])
def test_what_touches_the_database_needs_servers(command):
    assert needs_servers([command])
    assert not needs_servers([command, "--help"])
    assert not needs_servers([command, "-h"])


def test_a_bare_command_line_and_its_help_need_no_servers():
    assert not needs_servers([])
    assert not needs_servers(["--help"])
    assert not needs_servers(["--version"])


def test_checking_a_database_needs_servers():
    assert needs_servers(["check", "--database", "default"])
    assert needs_servers(["check", "--database=default"])


@pytest.mark.processes
@pytest.mark.parametrize("command", ["check", "version"])
def test_a_command_that_needs_no_server_starts_none(bare, folder, command):
    subprocess.run([sys.executable, "manage.py", command], cwd=PROJECT, env=bare, check=True, capture_output=True)

    assert not folder.keeper_lock.exists()


@pytest.mark.processes
def test_a_command_with_a_wrong_setting_ends_with_a_sentence(bare):
    half = {**bare, "KITE_API_KEY": "key"}

    answer = subprocess.run(
        [sys.executable, "manage.py", "check"], cwd=PROJECT, env=half, check=False, capture_output=True, text=True
    )

    assert answer.returncode != 0
    assert "KITE_API_SECRET is empty" in answer.stderr
    assert "Traceback" not in answer.stderr
