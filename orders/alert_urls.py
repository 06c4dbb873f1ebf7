"""
The addresses alerts go to, as the environment lists them: cut apart, named without their secrets, and their secrets.

Where a secret stands in one depends on the service: in the place of the host, in the path, in a query. So a name shows
the scheme and a host that is surely one, and everything else counts as secret.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import unquote

# A comma may stand inside of an address, too: only one with a scheme behind it, or the end, parts two of them.
_BETWEEN = re.compile(r"\s*,\s*(?=[A-Za-z][\w+.-]*://|$)|\s+(?=[A-Za-z][\w+.-]*://)")
_ADDRESS = re.compile(r"[A-Za-z][\w+.-]*://\S.*", re.DOTALL)
_HOST = re.compile(
    r"(?:localhost|\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-f:.]+\]|(?:[a-z0-9-]+\.)+[a-z]{2,16})(?::\d{1,5})?", re.IGNORECASE
)
_OF_A_MAILBOX = re.compile(f"@{_HOST.pattern}", re.IGNORECASE)
_PIECES = re.compile(r"[/?&=@:;,+]")


class NotAnAddress(ValueError):
    """What is listed is no address; the text says which one by its place, and shows nothing of it."""


@dataclass(frozen=True, kw_only=True)
class Address:
    """One of them. `key` stays the same for the same address; `label` is what may be shown."""

    url: str = field(repr=False)
    label: str
    key: str


def split(listed: str) -> list[str]:
    """Return the addresses of a list with commas, each once. Raise `NotAnAddress`."""
    found = [each.strip() for each in _BETWEEN.split(listed.strip()) if each.strip(", ")]
    for number, each in enumerate(found, start=1):
        if not _ADDRESS.fullmatch(each):
            raise NotAnAddress(f"number {number} of {len(found)} is no address: give one such as tgram://TOKEN/CHAT")
    return list(dict.fromkeys(found))


def addresses(urls: Iterable[str], *, secret_key: str) -> list[Address]:
    """Return each with its name and key; of two with the same name the later ones are numbered."""
    found: list[Address] = []
    for url in urls:
        name = label(url)
        same = sum(each.label == name or each.label.startswith(f"{name} #") for each in found)
        digest = hmac.new(b"alert address:" + secret_key.encode(), url.encode(), hashlib.sha256).hexdigest()
        found.append(Address(url=url, label=f"{name} #{same + 1}" if same else name, key=digest[:16]))
    return found


def label(url: str) -> str:
    """Return what may be shown of it: the scheme, and the host where it is surely a host."""
    parts = _parted(url)
    shown = parts.host if _HOST.fullmatch(parts.host) else ""
    return f"{parts.scheme}://{shown}{'/…' if shown and parts.rest.strip('/') else '' if shown else '…'}"


def secrets_of(url: str) -> Iterator[str]:
    """Yield what must reach no log of it: all of it, and each piece that is not surely a host."""
    parts = _parted(url)
    yield url
    yield url.partition("://")[2]
    yield unquote(parts.user.partition(":")[2])
    host = "" if _HOST.fullmatch(parts.host) else parts.host
    for piece in _PIECES.split(_OF_A_MAILBOX.sub("/", "/".join([parts.user, host, parts.rest]))):
        if not (piece.isalpha() and piece.islower()):  # a word such as services, missed everywhere once hidden
            yield unquote(piece)


class _Parts(NamedTuple):
    scheme: str
    user: str  # before the last @, its password included
    host: str  # what stands where a host does
    rest: str


def _parted(url: str) -> _Parts:
    scheme, _, behind = url.strip().partition("://")
    place, *rest = re.split(r"[/?#]", behind, maxsplit=1)
    user, _, host = place.rpartition("@")
    return _Parts(scheme.lower(), user, host, "".join(rest))
