"""Each request by its own id: in the logs, in the audit trail, in the answer, and on the page of an error."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import structlog
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string

from risk.audit.who import acting

HEADER = "X-Request-ID"


class KnownRequests:
    """
    Gives a request its id, and has what it writes be its user's, as whom it is logged in when it writes.

    First of all: it sees the sessions that other middleware writes, too.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request_id = uuid.uuid4().hex  # never the visitor's own, which could be another's
        request.META["desk.request_id"] = request_id
        with (
            acting(lambda: _name(request), request_id=request_id),
            structlog.contextvars.bound_contextvars(request=request_id),
        ):
            answer = self._get_response(request)
        answer.headers[HEADER] = request_id
        return answer


def _name(request: HttpRequest) -> str:
    user = getattr(request, "user", None)  # none yet while the session is looked up
    return user.get_username() if user is not None and user.is_authenticated else f"anonymous at {request.path}"


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer a defect of ours: with the request's id, by which the log and the trail tell of it."""
    page = render_to_string("desk/error.html", {"request_id": request.META.get("desk.request_id", "")})
    return HttpResponse(page, status=500)
