"""
The process that forks the others: everything is imported once, and nothing is connected before a fork.

It reads a line of JSON for each process that is wanted and answers with lines of JSON: the pid, and later how it ended.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import select
import signal
import sys
from pathlib import Path
from typing import Any

import django

PR_SET_PDEATHSIG = 1


def say(**facts: Any) -> None:
    os.write(1, json.dumps(facts).encode() + b"\n")


def become(wanted: dict[str, Any]) -> None:
    """Be the process that was wanted, to its end."""
    from tests.soak import roles

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDONLY)
    log = os.open(wanted["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for target, source in ((0, null), (1, log), (2, log)):
        os.dup2(source, target)
    code = 1
    try:
        code = roles.play(wanted)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 - whatever ended it is in its log
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def bury() -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        say(ended=pid, code=os.waitstatus_to_exitcode(status))


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    import orders.management.commands.listen_signals  # noqa: F401 - likewise
    from tests.soak import roles  # noqa: F401 - imported before the first fork

    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(woken, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    gc.collect()
    gc.freeze()
    say(ready=os.getpid())
    rest = b""
    while True:
        readable, _, _ = select.select([0, woken], [], [])
        if woken in readable:
            os.read(woken, 4096)
            bury()
        if 0 not in readable:
            continue
        chunk = os.read(0, 65536)
        if not chunk:
            return
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            wanted = json.loads(line)
            pid = os.fork()
            if pid == 0:
                become(wanted)
            say(forked=pid, number=wanted["number"])


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    main()
