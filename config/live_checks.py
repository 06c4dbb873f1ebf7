"""
What is unsafe for live money in how this deployment is set up: `manage.py check --deploy`, and the Start of day.

What the settings say is looked at here, without asking any server; `config.live_servers` asks them. All of them are
warnings: an error would keep a command from running, and the command may be the one that halts.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core import checks

from config.local_folder import LocalFolder
from config.local_services import SERVERS, needed

TAG = "live"
SECRET_KEY_LENGTH_MIN = 50
SECRET_KEY_LETTERS_MIN = 5

Found = Iterator[checks.CheckMessage]


def settings_are_safe(**_: Any) -> list[checks.CheckMessage]:
    """Return what is unsafe in the settings of a desk that holds a real account; nothing on paper."""
    if settings.TRADING_MODE == "PAPER":  # a shadow desk holds the real account's secrets as well
        return []
    return [found for look in LOOKS for found in look()]


def warning(number: int, told: str, hint: str) -> checks.CheckMessage:
    return checks.Warning(told, hint=hint, id=f"config.W{number:03}")


def _servers() -> Found:
    folder = LocalFolder.named_by(os.environ)
    ours = {status["url"] for status in folder.status().values()}
    names = needed(os.environ)
    names |= {name for name, server in SERVERS.items() if os.environ.get(server.variable) in ours - {""}}
    if names:
        titles = " and ".join(sorted(SERVERS[name].title for name in names))
        hint = "They are for a first look: set DATABASE_URL and REDIS_URL of real ones (deploy/README.md)."
        yield warning(2, f"Live orders would be kept in the local servers of {folder.root}: {titles}.", hint)


def _second_factor() -> Found:
    if not settings.REQUIRE_SECOND_FACTOR:
        yield warning(3, "A password alone lets somebody trade.", "Set REQUIRE_SECOND_FACTOR=true.")


def _secret_key() -> Found:
    key, kept = settings.SECRET_KEY, Path(settings.LOCAL_DIR) / "secret_key"
    if len(key) < SECRET_KEY_LENGTH_MIN or len(set(key)) < SECRET_KEY_LETTERS_MIN:
        yield warning(4, "SECRET_KEY is short enough to be guessed.", "Give one of 50 random characters or more.")
    elif _holds(kept, key):
        hint = "Give it in SECRET_KEY or a file of its own, and keep it where a backup of the machine is kept."
        yield warning(5, f"SECRET_KEY was made at the first start and stands in {kept} alone.", hint)


def _hosts() -> Found:
    if "*" in settings.ALLOWED_HOSTS:
        hint = "Name the hosts by which the back office is reached."
        yield warning(6, "ALLOWED_HOSTS lets a request name any host.", hint)


def _proxies() -> Found:
    if settings.SECURE_COOKIES and not settings.TRUSTED_PROXIES:
        hint = "Set TRUSTED_PROXIES to how many proxies of yours stand in front, 1 with nginx alone."
        yield warning(7, "Whoever logs in seems to come from the proxy: one who guesses locks everybody out.", hint)


def _alerts() -> Found:
    if not settings.ALERT_URLS:
        hint = "Set ALERT_URLS: a halt, an order in doubt or a silent executor must find somebody."
        yield warning(8, "Nobody is told what happens while nobody looks.", hint)


def _backups() -> Found:
    folder = settings.BACKUP_DIR.resolve()
    if Path(settings.LOCAL_DIR).resolve() in (folder, *folder.parents):
        hint = "Set BACKUP_DIR to another disk, or to a folder that is copied elsewhere."
        yield warning(9, "Backups lie beside what they are of, and are lost with it.", hint)


def _address() -> Found:
    hint = "Set STATIC_IP to the address that is registered for the app at Kite's developer console."
    if not settings.STATIC_IP:
        yield warning(10, "Kite takes orders from the registered address only, and none is noted here.", hint)
        return
    try:
        public = ip_address(settings.STATIC_IP).is_global
    except ValueError:
        public = False
    if not public:
        yield warning(11, f"STATIC_IP {settings.STATIC_IP} is no address that Kite could see.", hint)


def _files() -> Found:
    path = Path(settings.BASE_DIR) / ".env"
    if path.exists() and path.stat().st_mode & stat.S_IRWXO:
        yield warning(12, f"Every user of this machine may read {path}, and its secrets.", f"chmod 0600 {path}")


def _holds(path: Path, text: str) -> bool:
    try:
        return path.read_text().strip() == text
    except OSError:
        return False


LOOKS: tuple[Callable[[], Found], ...] = (
    _servers,
    _second_factor,
    _secret_key,
    _hosts,
    _proxies,
    _alerts,
    _backups,
    _address,
    _files,
)
