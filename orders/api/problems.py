"""What the JSON API says when it cannot do what was asked: one form for all of it, RFC 9457's `problem+json`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse

CONTENT_TYPE = "application/problem+json"
RETRY_SECONDS = 5  # after an outage


class Problem(Exception):
    """
    Ends a request with an answer that is an error.

    `code` is for programs and never changes its meaning; `detail` is for people; `more` are further members.
    """

    def __init__(
        self, status: int, code: str, detail: str, *, headers: Mapping[str, str] | None = None, **more: Any
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail
        self.headers, self.more = dict(headers or {}), more

    def answer(self, request: HttpRequest) -> HttpResponse:
        said = {
            "type": f"urn:order-executor:{self.code}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            "request_id": request.META.get("desk.request_id", ""),
            **self.more,
        }
        answer = HttpResponse(json.dumps(said), status=self.status, content_type=CONTENT_TYPE)
        for name, value in self.headers.items():
            answer.headers[name] = value
        return answer


def outage() -> Problem:
    """Return what is said while the database does not answer."""
    told = "the desk's database does not answer: nothing was done, or it is not known; send the same again"
    return Problem(503, "database-unavailable", told, headers={"Retry-After": str(RETRY_SECONDS)})


_WORDS = {
    400: ("bad-request", "the request cannot be read"),
    404: ("not-found", "there is nothing at this address"),
    405: ("method-not-allowed", "this address does not take that method"),
    411: ("length-required", "send the body whole, with its Content-Length"),
    413: ("body-too-large", "the body is larger than any that is read"),
    500: ("defect", "a defect of ours: the log tells of it by the request's id"),
}


def of_status(status: int) -> Problem:
    """Return what is said of an error that only a status is known of."""
    code, detail = _WORDS.get(status) or (re.sub(r"\W+", "-", HTTPStatus(status).phrase.lower()), "it was refused")
    return Problem(status, code, detail)
