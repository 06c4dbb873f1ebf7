"""
`pg_dump` and `pg_restore`: where they are, which version fits a server, and how they are told whom to log in as.

The password goes by their environment, which only its owner can read: every user of the machine sees a command line.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.server_binaries import POSTGRES_WHEEL, in_wheel
from orders.redaction import hide, strike_out

PROGRAMS = ("pg_dump", "pg_restore")
# What Django's parameters of a connection are called in the environment that PostgreSQL's own programs read.
VARIABLES = {
    "host": "PGHOST",
    "hostaddr": "PGHOSTADDR",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "passfile": "PGPASSFILE",
    "dbname": "PGDATABASE",
    "service": "PGSERVICE",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslcrl": "PGSSLCRL",
    "channel_binding": "PGCHANNELBINDING",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
    "connect_timeout": "PGCONNECT_TIMEOUT",
}
TOLD_LETTERS_MAX = 600


class ToolsFailed(Exception):
    """PostgreSQL's programs are not here, do not fit, or say no; the message is what to do, or what they say."""


@dataclass(frozen=True, kw_only=True)
class Tools:
    folder: Path
    major: int

    def run(self, program: str, arguments: Sequence[str], surroundings: Mapping[str, str]) -> str:
        """Run one of the programs to its end and return what it says. Raise `ToolsFailed` with what it says of why."""
        answer = subprocess.run(  # noqa: S603  # a program found below, no shell
            [str(self.folder / program), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            env=dict(surroundings),
        )
        if answer.returncode:
            said = strike_out(" ".join(answer.stderr.split())) or _how_it_ended(answer.returncode)
            raise ToolsFailed(f"{program}: {said[:TOLD_LETTERS_MAX]}")
        return answer.stdout


def _how_it_ended(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"


def surroundings(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Return the environment that lets a program log in with these parameters of a connection, and nothing of ours."""
    hide(str(parameters.get("password") or ""))
    own = {name: os.environ[name] for name in ("PATH", "HOME", "LD_LIBRARY_PATH", "TMPDIR") if name in os.environ}
    given = {name: os.environ[name] for name in VARIABLES.values() if name in os.environ}
    asked = {VARIABLES[name]: str(value) for name, value in parameters.items() if name in VARIABLES and value}
    return {**own, **given, **asked, "LC_ALL": "C", "PGAPPNAME": "order-executor backup"}


def tools_for(server_major: int, environment: Mapping[str, str]) -> Tools:
    """
    Return the programs of the server's own major version, or else of the next newer one.

    Raise `ToolsFailed` when there are none, or only older ones: those do not dump a newer server.
    """
    found = {tools.major: tools for tools in reversed(list(_installed(environment)))}
    if not found:
        raise ToolsFailed(
            "there is no pg_dump on this machine: install PostgreSQL's client programs "
            "(Debian: postgresql-client), or name their folder in PG_BIN"
        )
    fitting = [major for major in found if major >= server_major]
    if not fitting:
        raise ToolsFailed(
            f"the server is PostgreSQL {server_major} and the newest pg_dump here is of {max(found)}, which does not "
            f"dump it: install the client programs of {server_major}, or name their folder in PG_BIN"
        )
    return found[min(fitting)]


def _installed(environment: Mapping[str, str]) -> Iterator[Tools]:
    """Yield each that is installed, the first of a version before others."""
    for folder in _folders(environment):
        if all((folder / program).exists() for program in PROGRAMS) and (major := _major(folder)):
            yield Tools(folder=folder, major=major)


def _folders(environment: Mapping[str, str]) -> Iterator[Path]:
    if given := environment.get("PG_BIN"):
        yield Path(given)
        return
    if wheel := in_wheel(*POSTGRES_WHEEL):
        yield wheel
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"))  # before what chooses among them, on the PATH
    if on_path := shutil.which("pg_dump", path=environment.get("PATH")):
        yield Path(on_path).parent


def _major(folder: Path) -> int | None:
    answer = subprocess.run(  # noqa: S603  # a program found above
        [str(folder / "pg_dump"), "--version"], capture_output=True, text=True, check=False
    )
    version = re.search(r"\(PostgreSQL\) (\d+)", answer.stdout)
    return int(version[1]) if version and not answer.returncode else None
