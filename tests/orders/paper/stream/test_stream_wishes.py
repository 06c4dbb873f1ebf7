"""What a client may say on the WebSocket, and that whatever else it says is a sentence and never a traceback."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders.paper.stream.packets import Mode
from orders.paper.stream.wishes import (
    MESSAGE_CHARACTERS_MAX,
    NOT_A_MODE,
    NOT_AN_OBJECT,
    NOT_JSON,
    NOT_TOKENS,
    TOO_LONG,
    UNKNOWN_ACTION,
    Action,
    NotUnderstood,
    Wish,
    read_wish,
)

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["ltp", "full", 408065]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
nearly_right = st.fixed_dictionaries({"a": st.sampled_from(["subscribe", "unsubscribe", "mode"]) | values, "v": values})


def refusal(text: str) -> str:
    with pytest.raises(NotUnderstood) as caught:
        read_wish(text)
    return caught.value.reason


def test_a_subscription_asks_for_quotes():
    assert read_wish('{"a": "subscribe", "v": [408065, 5633]}') == Wish(
        action=Action.SUBSCRIBE, tokens=(408065, 5633), mode=Mode.QUOTE
    )


def test_a_mode_names_its_tokens_after_itself():
    assert read_wish('{"a": "mode", "v": ["full", [408065]]}') == Wish(
        action=Action.MODE, tokens=(408065,), mode=Mode.FULL
    )


def test_unsubscribing_names_the_tokens():
    assert read_wish('{"a": "unsubscribe", "v": [408065]}').action is Action.UNSUBSCRIBE


def test_a_token_said_twice_counts_once_and_no_token_is_no_mistake():
    assert read_wish('{"a": "subscribe", "v": [7, 3, 7]}').tokens == (7, 3)
    assert read_wish('{"a": "subscribe", "v": []}').tokens == ()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", NOT_JSON),
        ("subscribe", NOT_JSON),
        ('{"a": "subscribe"', NOT_JSON),
        ("[" * 60_000, NOT_JSON),
        ("9" * 5000, NOT_JSON),
        ("null", NOT_AN_OBJECT),
        ('["subscribe", [1]]', NOT_AN_OBJECT),
        ("{}", UNKNOWN_ACTION),
        ('{"a": null, "v": [1]}', UNKNOWN_ACTION),
        ('{"a": ["subscribe"], "v": [1]}', UNKNOWN_ACTION),
        ('{"a": "SUBSCRIBE", "v": [1]}', UNKNOWN_ACTION),
        ('{"a": "\\ud800", "v": [1]}', UNKNOWN_ACTION),
        ('{"a": "subscribe"}', NOT_TOKENS),
        ('{"a": "subscribe", "v": null}', NOT_TOKENS),
        ('{"a": "subscribe", "v": 1}', NOT_TOKENS),
        ('{"a": "subscribe", "v": ["1"]}', NOT_TOKENS),
        ('{"a": "subscribe", "v": [1.5]}', NOT_TOKENS),
        ('{"a": "subscribe", "v": [true]}', NOT_TOKENS),
        ('{"a": "subscribe", "v": [[1]]}', NOT_TOKENS),
        ('{"a": "subscribe", "v": [-1]}', NOT_TOKENS),
        ('{"a": "subscribe", "v": [4294967296]}', NOT_TOKENS),
        ('{"a": "mode", "v": [1]}', NOT_A_MODE),
        ('{"a": "mode", "v": ["full"]}', NOT_A_MODE),
        ('{"a": "mode", "v": ["full", 1]}', NOT_A_MODE),
        ('{"a": "mode", "v": ["fast", [1]]}', NOT_A_MODE),
        ('{"a": "mode", "v": [["full"], [1]]}', NOT_A_MODE),
        ('{"a": "mode", "v": ["full", [1], [2]]}', NOT_A_MODE),
    ],
)
def test_what_is_wrong_is_said(text, reason):
    assert refusal(text) == reason


def test_the_largest_token_is_one():
    assert read_wish('{"a": "subscribe", "v": [4294967295]}').tokens == (4294967295,)


def test_a_message_may_be_as_long_as_the_limit_and_no_longer():
    text = '{"a": "subscribe", "v": [1]}'

    assert read_wish(text.ljust(MESSAGE_CHARACTERS_MAX)).tokens == (1,)
    assert refusal(text.ljust(MESSAGE_CHARACTERS_MAX + 1)) == TOO_LONG


def test_three_thousand_of_the_longest_tokens_fit_a_message():
    text = json.dumps({"a": "mode", "v": ["quote", list(range(4294967295 - 2999, 4294967296))]})

    assert len(read_wish(text).tokens) == 3000


@given(st.text() | values.map(json.dumps) | nearly_right.map(json.dumps))
def test_whatever_is_said_is_a_wish_or_a_sentence(text):
    try:
        tokens = read_wish(text).tokens
    except NotUnderstood:
        tokens = ()

    assert all(0 <= token < 2**32 for token in tokens)
