"""Our own order ids: made before anything is sent, the same for the same wish, never used twice."""

from __future__ import annotations

import hashlib

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
CLIENT_ORDER_ID_LENGTH = 20  # Kite's tag takes no more


def client_order_id(prefix: str, wish: str, attempt: int) -> str:
    """
    Return the id of one attempt to carry out a wish: a signal's id, or the token of a form that a person sent.

    The prefix marks the orders of this installation in the broker's book.
    """
    digest = int.from_bytes(hashlib.sha256(f"{wish}:{attempt}".encode()).digest(), "big")
    letters: list[str] = []
    while len(prefix) + len(letters) < CLIENT_ORDER_ID_LENGTH:
        digest, digit = divmod(digest, len(_DIGITS))
        letters.append(_DIGITS[digit])
    return prefix + "".join(letters)
