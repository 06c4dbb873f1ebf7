"""How long a warm `make run` takes until it is ready: `manage.py up` in a folder of its own, the second time."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from config.local_folder import FOLDER_VARIABLE
from config.local_server import die_with_parent
from tests.bench.ground import REPOSITORY

READY = b"ready: "
FOREIGN = ("KITE_", "PAPER_", "SIGNAL_", "DATABASE_URL", "REDIS_URL", "DJANGO_", "SECRET_KEY")


def measure(times: int = 3) -> list[float]:
    """Return the seconds of so many warm starts. The first start, which lays everything out, does not count."""
    folder = Path(tempfile.mkdtemp(prefix="order-executor-start-"))
    try:
        return [_start(folder) for _ in range(times + 1)][1:]
    finally:
        for cluster in folder.glob("postgres[0-9][0-9]"):
            if cluster.is_symlink():  # where others may not reach the folder, the cluster lies elsewhere
                shutil.rmtree(cluster.resolve().parent, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)


def _start(folder: Path) -> float:
    """Start the set, wait until it says that it is ready, and stop it. Raise `RuntimeError` when it ends before."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    command = [sys.executable, "manage.py", "up", "--port", str(_free_port())]
    began = time.monotonic()
    up = subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env={**own, FOLDER_VARIABLE: str(folder)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=die_with_parent(signal.SIGTERM),
    )
    assert up.stdout is not None, "it is a pipe"
    said = []
    try:
        for line in up.stdout:
            said.append(line)
            if line.startswith(READY):
                return time.monotonic() - began
    finally:
        up.send_signal(signal.SIGTERM)
        up.communicate(timeout=60)
    raise RuntimeError(f"it was never ready:\n{b''.join(said[-20:]).decode()}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
