"""
Secrets that stand in files of their own.

`DATABASE_URL_FILE` names the file that holds `DATABASE_URL`, and what a unit of systemd loads lies in
`$CREDENTIALS_DIRECTORY`, each by the variable's name.

What a file holds is put where the settings look, before they look. An environment shows up in more places than a file
does: in a unit's definition, in `docker inspect`, in a shell's history.
"""

from __future__ import annotations

import stat
from collections.abc import MutableMapping
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

SECRETS = (
    "DATABASE_URL",
    "REDIS_URL",
    "SECRET_KEY",
    "KITE_API_KEY",
    "KITE_API_SECRET",
    "KITE_ACCESS_TOKEN",
    "METRICS_TOKEN",
    "ALERT_URLS",
    "ALERT_PING_URL",
)
DIRECTORY = "CREDENTIALS_DIRECTORY"
BYTES_MAX = 64 * 1024


def read_secret_files(environment: MutableMapping[str, str]) -> None:
    """
    Put each secret that stands in a file into the environment, and take the file's name out: a second time is harmless.

    Raise `ImproperlyConfigured` when a secret is given twice or its file cannot be read, and in live when others may
    read it.
    """
    found = {name: path for name in SECRETS if (path := _named(environment, name))}
    for name, path in found.items():
        environment[name] = _read(name, path)
        environment.pop(f"{name}_FILE", None)
    if environment.get("KITE_API_KEY", "").strip():
        for name, path in found.items():
            _refuse_what_others_may_read(name, path)


def _named(environment: MutableMapping[str, str], name: str) -> Path | None:
    """Return the file that holds this secret, None without one."""
    said = environment.get(f"{name}_FILE", "").strip()
    folder = environment.get(DIRECTORY, "")
    handed = Path(folder) / name if folder else None
    given = [f"{name}_FILE"] if said else []
    if handed and handed.is_file():
        if environment.get(name) == _read(name, handed):
            return None  # read before, in this process or in the one that started it
        given.append(f"the credential {name}")
    if environment.get(name, "").strip() and given:
        given.append(name)
    if len(given) > 1:
        raise ImproperlyConfigured(f"{' and '.join(given)} are both set: take one of them out")
    return Path(said) if said else handed if given else None


def _read(name: str, path: Path) -> str:
    try:
        with path.open("rb") as file:
            text = file.read(BYTES_MAX + 1)
    except OSError as error:
        raise ImproperlyConfigured(f"{name} is to be read from {path}, but: {error.strerror}") from None
    if not text.strip() or len(text) > BYTES_MAX:
        raise ImproperlyConfigured(f"{name} is to be read from {path}, but that holds no secret")
    try:
        return text.decode().strip()
    except UnicodeDecodeError:
        raise ImproperlyConfigured(f"{name} is to be read from {path}, but that is no text") from None


def _refuse_what_others_may_read(name: str, path: Path) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & stat.S_IRWXO:
        raise ImproperlyConfigured(
            f"Every user of this machine may read {path}, which holds {name} (mode {mode:04o}): chmod 0600 it"
        )
