"""What `manage.py up` knows of its children, without the whole set."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from config.children import Child, Lines, LogTail
from tests.config.conftest import eventually, process_exists

NOW = 1_000_000_000.0  # long after any start: monotonic seconds


def python(code: str) -> Child:
    return Child("test", [sys.executable, "-c", code], os.environ)


def test_lines_are_whole_however_the_bytes_come():
    lines = Lines()

    assert list(lines.feed(b"one\ntw")) == ["one"]
    assert list(lines.feed("o\r\n₹".encode()[:-1])) == ["two"]
    assert list(lines.feed("₹".encode()[-1:] + b"\n\xff\n")) == ["₹", "�"]


def test_a_line_without_end_is_not_kept_for_ever():
    lines = Lines()

    assert sum(len(line) for _ in range(10) for line in lines.feed(b"x" * 50_000)) >= 400_000


def test_a_log_is_followed_from_now_on(tmp_path):
    log = tmp_path / "keeper.log"
    log.write_text("old\n")
    tail = LogTail(log)

    with log.open("a") as file:
        file.write("new\n")

    assert list(tail.read()) == ["new"]
    assert list(tail.read()) == []


def test_the_pause_before_a_start_doubles_up_to_half_a_minute():
    child = python("pass")
    child._started_at = NOW

    assert [child.postpone(NOW) for _ in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]


def test_a_child_that_lived_long_is_started_again_soon():
    child = python("pass")
    child._started_at = NOW
    for _ in range(5):
        child.postpone(NOW)

    assert child.postpone(NOW + 31) == 0.5


@pytest.mark.processes
def test_what_a_child_said_last_is_heard_and_what_it_left_behind_is_ended():
    child = python(
        "import subprocess, sys; "
        "left = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); "
        "print(left.pid); sys.exit(3)"
    )
    child.start()
    eventually(lambda: not child.runs())

    (orphan,) = (int(line) for line in child.read())
    assert child.bury() == 3
    # Whoever inherits orphans on this machine may leave a zombie: dead, but listed.
    eventually(lambda: not process_exists(orphan) or is_zombie(orphan))


def is_zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


@pytest.mark.processes
def test_a_child_that_ignores_the_request_to_stop_can_be_killed():
    child = python("import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1); time.sleep(60)")
    child.start()
    eventually(lambda: list(child.read()) == ["1"])

    child.ask_to_stop()
    time.sleep(0.05)
    assert child.runs()
    child.kill()

    assert child.bury() == -9
