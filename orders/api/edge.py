"""
The edge of the JSON API: what holds for every address below it, also for those that lead nowhere.

No cookie is seen, so that no session of a browser can act and no forged request of a page; a body has a bound; every
error is a problem, whoever made it.
"""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from orders.api.problems import CONTENT_TYPE, of_status
from orders.messages import MESSAGE_BYTES_MAX

ROOT = "/api/"
BODY_BYTES_MAX = MESSAGE_BYTES_MAX

Answering = Callable[[HttpRequest], HttpResponse]


def api_edge(get_response: Answering) -> Answering:
    """Return the middleware. It stands outside of those that look for a session."""

    def answer(request: HttpRequest) -> HttpResponse:
        if not request.path_info.startswith(ROOT):
            return get_response(request)
        request.META.pop("HTTP_COOKIE", None)
        request.COOKIES = {}
        if "HTTP_TRANSFER_ENCODING" in request.META:  # in pieces, without a length: Django would read none of it
            return of_status(411).answer(request)
        if _length(request) > BODY_BYTES_MAX:
            return of_status(413).answer(request)
        answered = get_response(request)
        if answered.status_code < 400 or answered.headers.get("Content-Type", "").startswith(CONTENT_TYPE):
            return answered
        problem = of_status(answered.status_code).answer(request)
        for name in ("Allow", "Retry-After"):
            if name in answered.headers:
                problem.headers[name] = answered.headers[name]
        return problem

    return answer


def _length(request: HttpRequest) -> int:
    """Return how many bytes the body says that it has."""
    said = request.META.get("CONTENT_LENGTH") or "0"
    return int(said) if said.isascii() and said.isdigit() and len(said) < 20 else 0
