"""A secret may stand in a file of its own: read once, given once, and in live by nobody else."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from django.core.exceptions import ImproperlyConfigured

from config.secret_files import BYTES_MAX, SECRETS, read_secret_files
from tests.executor_process import REPOSITORY

LIVE = {"KITE_API_KEY": "k", "KITE_API_SECRET": "s"}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "secret_key"
    path.write_text("a key of the suite\n")
    path.chmod(0o600)
    return path


def test_what_the_file_holds_is_the_secret_without_the_line_s_end(file):
    environment = {"SECRET_KEY_FILE": str(file)}

    read_secret_files(environment)

    assert environment == {"SECRET_KEY": "a key of the suite"}


def test_every_secret_may_stand_in_a_file(file):
    environment = {f"{name}_FILE": str(file) for name in SECRETS if not name.startswith("KITE")}

    read_secret_files(environment)

    assert set(environment.values()) == {"a key of the suite"}


def test_several_lines_stay_several(file):
    file.write_text("tgram://one\ntgram://two\n")
    environment = {"ALERT_URLS_FILE": str(file)}

    read_secret_files(environment)

    assert environment["ALERT_URLS"] == "tgram://one\ntgram://two"


def test_a_credential_of_systemd_is_read_by_the_variable_s_name(tmp_path, file):
    file.rename(tmp_path / "SECRET_KEY")
    environment = {"CREDENTIALS_DIRECTORY": str(tmp_path)}

    read_secret_files(environment)
    read_secret_files(environment)  # a process that it starts reads it again

    assert environment["SECRET_KEY"] == "a key of the suite"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"SECRET_KEY": "another"}, "SECRET_KEY_FILE and SECRET_KEY are both set: take one of them out"),
        ({"SECRET_KEY_FILE": "/nowhere"}, "SECRET_KEY is to be read from /nowhere, but: No such file"),
        ({"SECRET_KEY_FILE": "/"}, "but: Is a directory"),
    ],
)
def test_what_cannot_be_meant_is_refused(file, given, sentence):
    with pytest.raises(ImproperlyConfigured, match=sentence):
        read_secret_files({"SECRET_KEY_FILE": str(file), **given})


def test_a_credential_and_a_file_are_one_too_many(tmp_path, file):
    (tmp_path / "SECRET_KEY").write_text("another")

    with pytest.raises(ImproperlyConfigured, match="SECRET_KEY_FILE and the credential SECRET_KEY are both set"):
        read_secret_files({"SECRET_KEY_FILE": str(file), "CREDENTIALS_DIRECTORY": str(tmp_path)})


@pytest.mark.parametrize(
    ("held", "said"),
    [(b"", "no secret"), (b" \n", "no secret"), (b"\xff\xfe", "no text"), (b"k" * (BYTES_MAX + 1), "no secret")],
)
def test_a_file_without_a_secret_is_refused(file, held, said):
    file.write_bytes(held)

    with pytest.raises(ImproperlyConfigured, match=said):
        read_secret_files({"SECRET_KEY_FILE": str(file)})


def test_a_file_as_long_as_may_be_is_read(file):
    file.write_bytes(b"k" * BYTES_MAX)
    environment = {"SECRET_KEY_FILE": str(file)}

    read_secret_files(environment)

    assert len(environment["SECRET_KEY"]) == BYTES_MAX


@pytest.mark.parametrize(("mode", "refused"), [(0o600, False), (0o640, False), (0o604, True), (0o644, True)])
def test_in_live_no_other_user_may_read_it(file, mode, refused):
    file.chmod(mode)
    environment = {"SECRET_KEY_FILE": str(file), **LIVE}

    if refused:
        with pytest.raises(ImproperlyConfigured, match=f"mode {mode:04o}.*: chmod 0600 it"):
            read_secret_files(environment)
    else:
        read_secret_files(environment)


def test_live_is_told_by_a_key_that_stands_in_a_file_too(file):
    file.chmod(0o644)

    with pytest.raises(ImproperlyConfigured, match="chmod 0600 it"):
        read_secret_files({"KITE_API_KEY_FILE": str(file), "KITE_API_SECRET": "s"})


def test_on_paper_it_is_the_owner_s_own_affair(file):
    file.chmod(0o644)
    environment = {"SECRET_KEY_FILE": str(file)}

    read_secret_files(environment)

    assert environment["SECRET_KEY"] == "a key of the suite"


def test_the_settings_read_it_strike_it_out_of_logs_and_start_no_server_of_their_own(tmp_path):
    """`manage.py` looks for the database before the settings do."""
    database, cache = tmp_path / "database", tmp_path / "cache"
    database.write_text(os.environ["DATABASE_URL"])
    cache.write_text("redis://:of-the-file-s-redis@127.0.0.1:6379/0")
    said = "from django.conf import settings as s; from orders.redaction import strike_out as o; import os"
    program = f"{said}; print(o(s.REDIS_URL), os.path.exists(s.LOCAL_DIR / 'wanted.json'))"
    environment = {key: value for key, value in os.environ.items() if key not in ("DATABASE_URL", "REDIS_URL")}
    given = {"DATABASE_URL_FILE": str(database), "REDIS_URL_FILE": str(cache), "PAPER_KITE_URL": "http://127.0.0.1:9"}

    done = subprocess.run(
        [sys.executable, "manage.py", "shell", "--no-imports", "-c", program],
        cwd=REPOSITORY,
        env={**environment, **given, "ORDER_EXECUTOR_LOCAL": str(tmp_path / "local")},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.stdout.split() == ["redis://:…@127.0.0.1:6379/0", "False"], done.stderr


@pytest.mark.parametrize("command", ["check", "start_of_day"])
def test_a_command_says_it_in_a_sentence(command):
    refused = subprocess.run(
        [sys.executable, "manage.py", command],
        cwd=REPOSITORY,
        env={**os.environ, "SECRET_KEY_FILE": "/nowhere"},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert refused.returncode == 1
    assert refused.stderr.strip().splitlines() == [
        "SECRET_KEY is to be read from /nowhere, but: No such file or directory"
    ]
