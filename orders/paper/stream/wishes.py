"""
What a client may say on the WebSocket: subscribe, unsubscribe, set a mode. Anything else is told what is wrong.

`{"a": "subscribe", "v": [408065]}`, `{"a": "unsubscribe", "v": [408065]}` and
`{"a": "mode", "v": ["full", [408065]]}` (Kite Connect v3 documentation, "WebSocket streaming"). The sentences
of the refusals are ours: Kite's are not documented.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum

from orders.paper.stream.packets import UINT32_MAX, Mode

# Three thousand tokens of ten digits are some 35 KB.
MESSAGE_CHARACTERS_MAX = 64 * 1024

TOO_LONG = f"The message is longer than {MESSAGE_CHARACTERS_MAX} characters."
NOT_JSON = "The message is not JSON."
NOT_AN_OBJECT = 'The message should be like {"a": "subscribe", "v": [408065]}.'
UNKNOWN_ACTION = "`a` should be subscribe, unsubscribe or mode."
NOT_TOKENS = "`v` should be a list of instrument tokens."
NOT_A_MODE = '`v` should be like ["full", [408065]], with ltp, quote or full.'


class Action(StrEnum):
    SUBSCRIBE = "subscribe"
    UNSUBSCRIBE = "unsubscribe"
    MODE = "mode"


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """What the client wants; a subscription without a mode gets quotes."""

    action: Action
    tokens: tuple[int, ...]
    mode: Mode = Mode.QUOTE


@dataclass
class NotUnderstood(Exception):
    """The message is none of the three; the text tells the client why."""

    reason: str


def read_wish(text: str) -> Wish:
    """Return what the message asks for, each token once. Raise `NotUnderstood`, whatever the text is."""
    said = read_object(text)
    action = said.get("a")
    if not isinstance(action, str) or action not in tuple(Action):
        raise NotUnderstood(UNKNOWN_ACTION)
    if action == Action.MODE:
        return read_mode(said.get("v"))
    return Wish(action=Action(action), tokens=read_tokens(said.get("v"), NOT_TOKENS))


def read_object(text: str) -> dict[str, object]:
    if len(text) > MESSAGE_CHARACTERS_MAX:
        raise NotUnderstood(TOO_LONG)
    try:
        said = json.loads(text)
    except (ValueError, RecursionError) as error:
        # A number of thousands of digits is a ValueError, thousands of brackets are a RecursionError.
        raise NotUnderstood(NOT_JSON) from error
    if not isinstance(said, dict):
        raise NotUnderstood(NOT_AN_OBJECT)
    return said


def read_mode(value: object) -> Wish:
    match value:
        case [str(name), tokens] if name in tuple(Mode):
            return Wish(action=Action.MODE, mode=Mode(name), tokens=read_tokens(tokens, NOT_A_MODE))
    raise NotUnderstood(NOT_A_MODE)


def read_tokens(value: object, otherwise: str) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(is_token(one) for one in value):
        raise NotUnderstood(otherwise)
    return tuple(dict.fromkeys(value))


def is_token(value: object) -> bool:
    # JSON's true is an int to Python.
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= UINT32_MAX
