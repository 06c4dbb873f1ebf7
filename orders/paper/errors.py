"""
Kite's refusals: each is an HTTP status, the name that the SDK looks up, and a sentence for a person.

KiteRefusal
    TokenException, InputException, OrderException, MarginException, HoldingException, NetworkException,
    GeneralException: as the wire names them
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import ValidationError

MARKET_PROTECTION_NEEDED = (
    "Market orders without market protection are not allowed via API. "
    "Please set market protection or use a Limit order."
)
BEING_MODIFIED = "Order cannot be modified as it is being processed. Try later."
BEING_CANCELLED = "Order cannot be cancelled as it is being processed. Try later."
TOO_MANY_CHANGES = "Maximum allowed order modifications exceeded."
NO_SUCH_ORDER = "Couldn't find that `order_id`."
NO_SUCH_INSTRUMENT = "The instrument you are placing an order for has either expired or does not exist."
TIMED_OUT = "Order request timed out. Please check the order book and confirm before placing again."
BAD_TOKEN = "Incorrect `api_key` or `access_token`."  # noqa: S105 - a sentence about tokens


@dataclass
class KiteRefusal(Exception):
    """A request is answered with an error envelope instead of data."""

    http_status: int
    error_type: str
    message: str


def bad_input(message: str) -> KiteRefusal:
    return KiteRefusal(400, "InputException", message)


def server_failed(why: object) -> KiteRefusal:
    """Return the answer to a request that may have been right, and that the server itself could not carry out."""
    return KiteRefusal(500, "GeneralException", f"The paper server failed: {why}.")


def first_problem(error: ValidationError) -> tuple[str, str]:
    """Return where the first problem is, as a dotted path that is empty for the whole, and what it is."""
    first = error.errors(include_url=False)[0]
    return ".".join(str(part) for part in first["loc"]), first["msg"].removeprefix("Value error, ")


def no_such_order() -> KiteRefusal:
    return KiteRefusal(404, "GeneralException", NO_SUCH_ORDER)
