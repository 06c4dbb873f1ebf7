"""How a value looks on a page: badges that say it in words too, times in Mumbai, numbers without trailing zeros."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

NOTHING = "–"


class Tone(StrEnum):
    """What a badge says by its colour. LOUD is for what a person must look at now."""

    PLAIN = "plain"
    INFO = "info"
    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"
    LOUD = "loud"
    SELL = "sell"


def badge(text: str, tone: Tone = Tone.PLAIN, icon: str = "") -> SafeString:
    symbol = format_html('<span class="material-symbols-outlined" aria-hidden="true">{}</span>', icon) if icon else ""
    return format_html('<span class="desk-badge desk-{}">{}{}</span>', tone.value, symbol, text)


def moment(at: datetime | None) -> str | SafeString:
    """Return a moment in Mumbai's time, without this year, and with all of it in UTC on hover."""
    if at is None:
        return NOTHING
    local = timezone.localtime(at)
    year = f"{local:%Y} " if local.year != timezone.localtime().year else ""
    utc = f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f} UTC"
    return format_html('<time class="desk-time" title="{}">{}</time>', utc, f"{local:%d %b} {year}{local:%H:%M:%S}")


def ago(at: datetime, now: datetime) -> str:
    """Return how long ago it was, in the largest unit that says enough."""
    seconds = max(0, int((now - at).total_seconds()))
    if seconds < 120:
        return f"{seconds} s"
    if seconds < 2 * 3600:
        return f"{seconds // 60} min"
    return f"{seconds // 3600} h" if seconds < 48 * 3600 else f"{seconds // 86400} days"


def trimmed(number: Decimal) -> Decimal:
    """Return the number without trailing zeros, and never in scientific notation: 75, not 75.000 or 7.5E+1."""
    return number.quantize(Decimal(1)) if number == number.to_integral_value() else number.normalize()


def plain(number: Decimal | None) -> str:
    return NOTHING if number is None else f"{trimmed(number):f}"


def as_text(value: Any) -> str:
    """Return a limit's value in words."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return plain(value) if isinstance(value, Decimal) else str(value)


def clipped(text: str) -> str | SafeString:
    """Return the text cut to its column's width, whole on hover."""
    return format_html('<span class="desk-clip" title="{}">{}</span>', text, text) if text else NOTHING


def sentence(trouble: object) -> str:
    """Return an error's text as a sentence for a person."""
    text = str(trouble).strip()
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '!', '?')) else '.'}"
