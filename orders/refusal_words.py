"""
What a broker's refusal is about, from its own words: Kite names its errors by classes that the SDK loses.

The words are those that are documented, or that users have told of; what is none of them is a refused order.
"""

from __future__ import annotations

import re

from orders.models import LineProof

Verdict = LineProof.Verdict

# The first that matches: a sentence on the address says "not allowed", too, and one on margins names the segment.
_ABOUT = (
    (Verdict.UNREACHABLE, re.compile(r"^\W*not sent\b", re.IGNORECASE)),
    (Verdict.ADDRESS, re.compile(r"\bIPs?\b|\bIPv[46]\b|\b[Ss]tatic ip\b|\bip address", re.ASCII)),
    (Verdict.FUNDS, re.compile(r"insufficient funds?|margin exceeds|required margin|\bMarginException", re.IGNORECASE)),
    (
        Verdict.LOGIN,
        re.compile(r"access_token|\bapi_key\b|TokenException|session (?:has )?expired|log ?in again", re.IGNORECASE),
    ),
    (
        Verdict.PERMISSION,
        re.compile(
            r"permission|not (?:enabled|authori[sz]ed|subscribed|allowed)|segment is|blocked|suspended", re.IGNORECASE
        ),
    ),
    (
        Verdict.MARKET,
        re.compile(r"markets? (?:are|is) closed|circuit|price range|daily range|after market", re.IGNORECASE),
    ),
)
_PREFIX = "refused by the broker: "

WHAT_TO_DO = {
    Verdict.LOGIN: "Log in to Kite again (Session → Log in to Kite). Is somebody else logged in with the same key?",
    Verdict.ADDRESS: "Register this machine's outgoing address as the app's static IP at developers.kite.trade, and "
    "wait until it is in force: Kite takes orders from no other.",
    Verdict.PERMISSION: "At developers.kite.trade and in Kite's Console: is the app active and paid for, the segment "
    "enabled, the account free to trade by API?",
    Verdict.FUNDS: "Add funds: one share at the limit, with its charges, must fit.",
    Verdict.REFUSED: "The broker's words above say why. Correct that, then prove the line again.",
    Verdict.DENIED: "Our own risk desk said no, and nothing was sent: its decision says which control.",
    Verdict.MARKET: "Prove it in continuous trading, with a share that is far from its lower circuit limit.",
    Verdict.UNREACHABLE: "Is the network up, the broker's address right, and its status page quiet? Nothing is known "
    "to have been sent.",
    Verdict.DOUBT: "Nothing is sent again. The broker's book explains the order, and its cancel is wished for: look at "
    "the order's page, and prove the line again when it has ended.",
    Verdict.FILLED: "You hold one share. Positions → the symbol → Exit sells it.",
    Verdict.NOT_CANCELLED: "The cancel is repeated until the book shows the end. If it does not: cancel it in Kite's "
    "own app or web page, by the broker's id on the order's page.",
    Verdict.BROKEN_OFF: "Whoever ran it died. Look at the order, if it has one, then prove the line again.",
    Verdict.PROVED: "",
}


def refusal_is_about(words: str) -> Verdict:
    """Return which of address, login, permission, funds, market or the order itself the broker's words are about."""
    said = words.removeprefix(_PREFIX)
    return next((verdict for verdict, pattern in _ABOUT if pattern.search(said)), Verdict.REFUSED)
