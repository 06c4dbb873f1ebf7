"""
What must not reach a log: secrets by their value, and what stands beside a secret's name or in a server's address.

Whoever is handed a secret tells `hide`; the log strikes it out wherever it turns up, in the text of a broker's error or
the locals of a traceback too. Where it cannot be told where a secret ends, more is struck out rather than less.
"""

from __future__ import annotations

import json
import re
from collections import deque
from functools import lru_cache
from urllib.parse import quote, quote_plus

STRUCK_OUT = "…"
LENGTH_MIN = 8  # a shorter one is found inside of ordinary words
HIDDEN_MAX = 128
PASSWORD_MAX = 300  # in an address; one that is longer is found by its value

# Each secret in every form that it is written in, the longest first.
_hidden: deque[tuple[str, ...]] = deque(maxlen=HIDDEN_MAX)
_hidden_for_good: list[tuple[str, ...]] = []

_SENTENCES = r"password|passwd|passphrase|secret"  # what may have blanks in it
_NAMES = (
    rf"{_SENTENCES}|(?:request|access|refresh|public)[_-]?token|enctoken|api[_-]?(?:key|secret)|secret[_-]?key|checksum"
    r"|csrf(?:middleware)?_?token|sessionid|(?<!\w)token"
)
# What stands between a name and its value: request_token=…, "access_token": "…", %3D in an address, pairs of a tuple.
_BETWEEN = r"\\*[\"']?\s*(?:=>|=|:|%3D|%3A)\s*"
# A value in quotes ends with the same quote, as deep in other quotes; one that was cut short ends with the line.
_QUOTED = re.compile(
    rf"(?i)((?:{_NAMES})(?:{_BETWEEN}|\\*[\"']\s*,\s*|\s+)[bru]{{0,2}}(?P<quote>\\*[\"']))(?:.*?(?<!\\)(?=(?P=quote)(?!\w))|.*$)",
    re.MULTILINE,
)
_API_TOKEN = re.compile(r"(oex_[0-9a-f]{16}_)[0-9a-f]+")
_PATTERNS = (
    _API_TOKEN,
    # password: correct horse battery
    re.compile(rf"(?i)((?:{_SENTENCES}):[ \t]+)(?!\\*[\"']?{STRUCK_OUT})[^\n]+"),
    re.compile(rf"(?i)((?:{_NAMES}){_BETWEEN})(?!\\*[\"'{STRUCK_OUT}])(?:[^\s&\"'\\]|[\"'](?=\w)|\\(?![\"']))+"),
    re.compile(r"(?i)(authorization\\*[\"']?\s*[:=]\s*\\*[\"']?(?:(?:token|bearer|basic)\s+)?)([^\s\"',}\]\\]+)"),
    # The password in a server's address ends with its last @. What follows a host's name may be its port instead.
    re.compile(rf"(://:)(?!{STRUCK_OUT}@).{{0,{PASSWORD_MAX}}}(?=@)"),
    re.compile(
        rf"(://[^\s:/@\[\]\"']+:)(?!{STRUCK_OUT}@)(?!\d{{1,5}}(?:[/?#\s\"',;:.)\]}}>\\]|$)(?![^\s/?#@\"]*@))"
        rf".{{0,{PASSWORD_MAX}}}(?=@)",
    ),
)


# Without one of these no pattern finds anything: most lines of a log are told from secrets by this alone.
_MAY_TELL = re.compile(r"(?i)passw|passphrase|secret|token|api[_-]?key|checksum|sessionid|authorization|://|oex_")


def hide(secret: str, *, for_good: bool = False) -> None:
    """
    Strike this value out of every log line of this process from now on.

    The oldest of many make room for new ones, such as each day's token; what holds `for_good`, such as the settings'
    own, does not.
    """
    if len(secret) < LENGTH_MIN:
        return
    written = {secret, quote(secret), quote(secret, safe=""), quote_plus(secret), repr(secret)[1:-1]}
    written |= {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    forms = tuple(sorted(written, key=len, reverse=True))
    hidden = _hidden_for_good if for_good else _hidden
    if forms not in hidden:
        hidden.append(forms)


@lru_cache(maxsize=1024)
def is_secret_name(name: str) -> bool:
    """Return whether a value of this name is kept out of a log."""
    words = name.lower().replace("-", "_")
    telling = ("token", "secret", "password", "passwd", "passphrase", "checksum", "authorization", "api_key", "apikey")
    return any(word in words for word in telling) or words in {"cookie", "sessionid"}


def strike_out(text: str) -> str:
    """Return the text without what is hidden, and without values that stand beside a secret's name."""
    text = strike_out_hidden(text)
    if not _MAY_TELL.search(text):
        return text
    text = _QUOTED.sub(rf"\1{STRUCK_OUT}", text)
    for pattern in _PATTERNS:
        text = pattern.sub(rf"\1{STRUCK_OUT}", text)
    return text


def strike_out_hidden(text: str) -> str:
    """Return the text without what is hidden: for what is JSON, and shall stay so."""
    for forms in (*_hidden_for_good, *_hidden):
        for secret in forms:
            text = text.replace(secret, STRUCK_OUT)
    return text
