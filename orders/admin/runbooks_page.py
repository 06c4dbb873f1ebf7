"""
The runbooks, where somebody needs them: on a page of the back office, and from the incidents that they are about.

They are written once, in `docs/runbooks.md`, in the few forms of Markdown that are shown here: headings, paragraphs,
lists, **bold**, *page → action* and `code`. What they say is tried by `tests/runbooks`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import slugify

from risk.models import Incident

PLACE = "docs/runbooks.md"
Kind = Incident.Kind

DOUBT = "an-order-is-in-doubt"
LOGIN = "the-login-was-refused-and-trading-is-halted"
BROKER = "the-broker-is-down-in-the-session"
REDIS = "redis-is-lost"
POSTGRES = "postgresql-is-down-or-full"
EXECUTOR = "the-executor-is-dead-or-silent"
LIMIT = "a-limit-is-reached-and-only-closing-goes-on"
POSITION = "a-position-differs-from-the-brokers"
UNKNOWN = "an-order-with-our-mark-that-we-do-not-know"
PUBLISHER = "a-publisher-floods-or-sends-nonsense"
DISK = "a-disk-is-full"
MACHINE = "the-machine-is-lost"

# What an incident of this kind asks for. The others say all there is to do in their own words.
BY_KIND: dict[str, str] = {
    Kind.ORDER_IN_DOUBT: DOUBT,
    Kind.LATE_APPEARANCE: DOUBT,
    Kind.UNFINISHED_OF_A_PAST_DAY: DOUBT,
    Kind.VANISHED_ORDER: DOUBT,
    Kind.LOGIN_REFUSED: LOGIN,
    Kind.BROKER_UNREACHABLE: BROKER,
    Kind.SIGNAL_GAP: REDIS,
    Kind.SIGNAL_CONFLICT: PUBLISHER,
    Kind.SIGNAL_FAILED: PUBLISHER,
    Kind.REJECT_STREAK: PUBLISHER,
    Kind.DAILY_LOSS: LIMIT,
    Kind.LOSS_WARNING: LIMIT,
    Kind.EXPOSURE: LIMIT,
    Kind.EXPOSURE_PASSED: LIMIT,
    Kind.POSITION_DIFFERENCE: POSITION,
    Kind.OVERFILL: POSITION,
    Kind.END_OF_DAY_BREAK: POSITION,
    Kind.UNKNOWN_ORDER: UNKNOWN,
    Kind.DOUBLED_ORDER: UNKNOWN,
    Kind.BACKUP_FAILED: DISK,
    Kind.RESTORED: MACHINE,
}

_INLINE = re.compile(r"(`[^`]+`|\*\*[^*]+\*\*|\*[^*]+\*)")
_SHAPES = {"`": "<code>{}</code>", "**": "<b>{}</b>", "*": "<i>{}</i>"}


@dataclass
class Piece:
    """A paragraph, or a list of items: `kind` is p, ol or ul."""

    kind: str
    lines: list[str] = field(default_factory=list)

    def shown(self) -> list[SafeString]:
        return [_shaped(line) for line in self.lines]


@dataclass
class Runbook:
    title: str
    pieces: list[Piece] = field(default_factory=list)

    @property
    def anchor(self) -> str:
        return slugify(self.title)


def show(request: HttpRequest) -> HttpResponse:
    """Show all of them to every member of staff."""
    first, *rest = read(Path(settings.BASE_DIR) / PLACE)
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": "Runbooks",
        "first": first,
        "runbooks": rest,
    }
    return TemplateResponse(request, "desk/runbooks.html", context)


def link_of(incident: Incident) -> str:
    """Return a link to what to do about incidents of its kind, empty where their own words say it all."""
    anchor = BY_KIND.get(incident.kind)
    if anchor is None:
        return ""
    titles = {each.anchor: each.title for each in read(Path(settings.BASE_DIR) / PLACE)}
    return format_html('<a class="desk-link" href="{}#{}">{}</a>', reverse("runbooks"), anchor, titles[anchor])


@lru_cache(maxsize=1)
def read(path: Path) -> list[Runbook]:
    """Return what stands before the first heading of its own, and each runbook. Read once: it comes with the code."""
    found = [Runbook("Runbooks")]
    for line in path.read_text().splitlines():
        if line.startswith("# "):
            continue
        if line.startswith("## "):
            found.append(Runbook(line[3:]))
        else:
            _add(found[-1].pieces, line)
    for runbook in found:
        runbook.pieces = [piece for piece in runbook.pieces if piece.lines]
    return found


def _add(pieces: list[Piece], line: str) -> None:
    item = re.match(r"(\d+\.|-) (.*)", line)
    if item:
        kind = "ul" if item[1] == "-" else "ol"
        if not pieces or pieces[-1].kind != kind:
            pieces.append(Piece(kind))
        pieces[-1].lines.append(item[2])
    elif not line.strip():
        pieces.append(Piece("p"))
    elif pieces and pieces[-1].lines:
        pieces[-1].lines[-1] += f" {line.strip()}"  # the line before, gone on
    else:
        pieces.append(Piece("p", [line.strip()]))


def _shaped(text: str) -> SafeString:
    parts = [part for part in _INLINE.split(text) if part]
    return format_html_join("", "{}", ((_one(part),) for part in parts))


def _one(part: str) -> str:
    for mark, shape in _SHAPES.items():
        if part.startswith(mark) and part.endswith(mark) and len(part) > 2 * len(mark):
            return format_html(shape, part[len(mark) : -len(mark)])
    return part
