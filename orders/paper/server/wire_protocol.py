"""HTTP as aiohttp reads it, except that what cannot be read is answered in Kite's envelope."""

from __future__ import annotations

from aiohttp import web

from orders.paper.envelope import refusal
from orders.paper.errors import KiteRefusal, bad_input

NOT_HTTP = bad_input("The request is not HTTP that can be read.")
FAILED = KiteRefusal(500, "GeneralException", "The paper server failed: its log says why.")


class WireProtocol(web.RequestHandler):
    """One connection."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what never came to a route; aiohttp closes the connection after it."""
        usual = super().handle_error(request, status, exc, message)
        answer = refusal(NOT_HTTP if usual.status < FAILED.http_status else FAILED)
        answer.force_close()
        return answer
