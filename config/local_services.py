"""
PostgreSQL, Valkey and the paper Kite server for a machine that has none of them.

They write through to the disk before they answer. Passwords are drawn at random and kept in files that only
their owner can read.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import psycopg
from psycopg import sql

from config.local_folder import LocalServersFailed, write_private
from config.local_server import HOST, LocalServer, password
from config.server_binaries import (
    PUBLIC_ROOT,
    Identity,
    find_postgres,
    find_valkey,
    passable,
    runnable,
    unprivileged,
)

ANSWER_SECONDS = 1.0


class Postgres(LocalServer):
    name = "postgres"
    title = "PostgreSQL"
    variable = "DATABASE_URL"
    stop_signal = signal.SIGINT  # a fast shutdown: SIGTERM would wait for the last client
    kill_signal = signal.SIGQUIT
    database = user = "order_executor"
    hasty = ("-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")

    @property
    def password_file(self) -> Path:
        return self.home / "postgres.password"

    def url(self, database: str = database) -> str:
        return f"postgresql://{self.user}:{password(self.password_file)}@{HOST}:{self.port}/{database}"

    def prepare(self) -> tuple[list[str], Identity]:
        identity = unprivileged()
        binaries, major = runnable(find_postgres(self.environment), identity)
        self.cluster = self._cluster_folder(major)
        if not (self.cluster / "PG_VERSION").exists():
            self._initialise(binaries, identity)
        if not self.password_file.exists():
            raise LocalServersFailed(
                f"{self.password_file} is missing but {self.cluster} has data: put the file back, "
                f"or remove the folder to start with an empty database."
            )
        self._forget_dead_postmaster()
        options = [
            "-c",
            f"listen_addresses={HOST}",
            "-c",
            "unix_socket_directories=",
            "-c",
            "log_timezone=UTC",
            "-c",
            "autovacuum_naptime=10s",  # plans made for a table as empty as on a first morning are soon made anew
        ]
        command = [str(binaries / "postgres"), "-D", str(self.cluster), "-p", str(self.port), *options]
        return [*command, *(() if self.durable else self.hasty)], identity

    def _cluster_folder(self, major: int) -> Path:
        """Return where the data is: one folder for each major version, since none opens another's."""
        cluster = self.home / f"postgres{major}"
        others = [place.name for place in self.home.glob("postgres[0-9][0-9]") if place != cluster]
        if others and not cluster.exists() and not self.environment.get("PG_BIN"):
            raise LocalServersFailed(
                f"{self.home} has data in {others[0]} but the PostgreSQL found is {major}: install that one "
                f"(`pip install -r requirements.txt`), or set PG_BIN to begin anew with this one."
            )
        if os.geteuid() == 0 and not cluster.exists() and not passable(self.home):
            self._move_to_public_place(cluster)
        return cluster.resolve()

    def _move_to_public_place(self, cluster: Path) -> None:
        """Let `cluster` be a link to a folder that any user can reach."""
        PUBLIC_ROOT.mkdir(mode=0o755, parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(prefix=f"{cluster.name}-", dir=PUBLIC_ROOT))
        place.chmod(0o711)
        cluster.unlink(missing_ok=True)
        cluster.symlink_to(place / "cluster")

    def _initialise(self, binaries: Path, identity: Identity) -> None:
        """Create the cluster beside its place and move it there whole: a kill leaves no half of one."""
        draft = self.cluster.with_name(f"{self.cluster.name}.new")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        with tempfile.NamedTemporaryFile("w", dir=draft.parent) as once:
            once.write(password(self.password_file))
            once.flush()
            if identity:
                os.chown(draft, identity["user"], identity["group"])
                os.chown(once.name, identity["user"], identity["group"])
            command = [str(binaries / "initdb"), "-D", str(draft), "-U", self.user, f"--pwfile={once.name}"]
            command += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--data-checksums"]
            command += [] if self.durable else ["--no-sync"]
            answer = subprocess.run(  # noqa: S603  # a program of ours, no shell
                command, capture_output=True, text=True, check=False, cwd="/", **identity
            )
        if answer.returncode:
            reason = answer.stderr.strip().splitlines()
            raise LocalServersFailed(f"PostgreSQL could not create its data in {draft}: {' '.join(reason[:2])}")
        draft.rename(self.cluster)

    def _forget_dead_postmaster(self) -> None:
        """
        Remove the pid file of a postmaster that was killed.

        After a reboot its pid may be another program's, and PostgreSQL would refuse to start.
        """
        pid_file = self.cluster / "postmaster.pid"
        with contextlib.suppress(FileNotFoundError):
            name = Path("/proc") / pid_file.read_text().split("\n")[0] / "comm"
            if Path("/proc/self").exists() and not (name.exists() and name.read_text().startswith("postgres")):
                pid_file.unlink()

    def is_ready(self) -> bool:
        """Say whether the database can be connected to; create it the first time."""
        try:
            lines = (self.cluster / "postmaster.pid").read_text().split("\n")
        except FileNotFoundError:
            return False
        # The first line is the pid, the eighth says "ready" at the end of start or recovery.
        if (
            self.process is None
            or lines[0] != str(self.process.pid)
            or [word.strip() for word in lines[7:8]] != ["ready"]
        ):
            return False
        try:
            self._create_database()
        except psycopg.OperationalError:
            return False
        return True

    def _create_database(self) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True, connect_timeout=5) as connection:
            known = "SELECT 1 FROM pg_database WHERE datname = %s"
            if connection.execute(known, [self.database]).fetchone() is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(self.database)))


class Valkey(LocalServer):
    name = "valkey"
    title = "Valkey"
    variable = "REDIS_URL"

    def url(self) -> str:
        # With its user: redis-cli takes an empty one for a name, and is refused.
        return f"redis://default:{password(self.home / 'valkey.password')}@{HOST}:{self.port}/0"

    def prepare(self) -> tuple[list[str], Identity]:
        program = find_valkey()
        data = self.home / program.name.partition("-")[0]  # Redis and Valkey do not read each other's files
        data.mkdir(mode=0o700, exist_ok=True)
        # In a file, because every user of the machine can read a command line.
        configuration = self.home / "valkey.conf"
        write_private(configuration, self._configuration(data))
        return [str(program), str(configuration)], {}

    def _configuration(self, data: Path) -> str:
        # An acknowledged stream entry must be found again after a power cut; `everysec` may lose it.
        sync = "always" if self.durable else "no"
        lines = [
            f"bind {HOST}",
            f"port {self.port}",
            f"requirepass {password(self.home / 'valkey.password')}",
            f'dir "{data}"',
            'save ""',
            "appendonly yes",
            f"appendfsync {sync}",
            "daemonize no",
        ]
        return "\n".join([*lines, ""])

    def is_ready(self) -> bool:
        secret = password(self.home / "valkey.password")
        with (
            contextlib.suppress(OSError),
            socket.create_connection((HOST, self.port), ANSWER_SECONDS) as connection,
        ):
            connection.settimeout(ANSWER_SECONDS)
            connection.sendall(f"AUTH {secret}\r\nPING\r\n".encode())
            with connection.makefile("rb") as answers:
                return [answers.readline(), answers.readline()] == [b"+OK\r\n", b"+PONG\r\n"]
        return False


class PaperKite(LocalServer):
    name = "paper_kite"
    title = "The paper Kite server"
    variable = "PAPER_KITE_URL"

    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def prepare(self) -> tuple[list[str], Identity]:
        # What is shadowed has a book of its own: the orders of a rehearsal would be strangers in it.
        state = self.home / ("shadow_kite" if _shadows(self.environment) else "paper_kite")
        options = ["--host", HOST, "--port", str(self.port), "--state-dir", str(state)]
        options += ["--market-hours", self.environment.get("PAPER_MARKET_HOURS") or "always"]
        # The executor asks for a quote with every decision: Kite's one a second would hold it up.
        return [sys.executable, "-m", "orders.paper", *options, "--no-rate-limits"], {}

    def surroundings(self) -> dict[str, str]:
        return {**self.environment, "PYTHONUNBUFFERED": "1"}

    def is_ready(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection((HOST, self.port), ANSWER_SECONDS):
            return True
        return False


SERVERS: dict[str, type[LocalServer]] = {server.name: server for server in (Valkey, PaperKite, Postgres)}


def needed(environment: Mapping[str, str]) -> set[str]:
    """Return the names of the servers for which the environment gives no address."""
    names = set()
    if not environment.get("DATABASE_URL"):
        names.add(Postgres.name)
    if not environment.get("REDIS_URL"):
        names.add(Valkey.name)
    live = any(environment.get(key) for key in ("KITE_API_KEY", "KITE_API_SECRET")) and not _shadows(environment)
    if not live and not environment.get("PAPER_KITE_URL"):
        names.add(PaperKite.name)
    return names


def _shadows(environment: Mapping[str, str]) -> bool:
    return environment.get("SHADOW", "").strip().lower() in {"true", "1", "yes", "on"}
