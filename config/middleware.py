"""What every answer carries, and who is stopped before any page: a session of whom only the password is proven."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from orders.second_factor import device_of

# The theme's Alpine and HTMX evaluate expressions of attributes, and its widgets set styles; no script is inline.
CONTENT_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "frame-ancestors 'none'; form-action 'self'; base-uri 'none'; object-src 'none'"
)
# What a session may ask for before its second factor: to prove it, to enrol one, and to leave.
BEFORE_THE_SECOND_FACTOR = {"admin:login", "admin:logout", "second_factor", "second_factor_code"}

Answering = Callable[[HttpRequest], HttpResponse]


def content_policy(get_response: Answering) -> Answering:
    def answer(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response.headers.setdefault("Content-Security-Policy", CONTENT_POLICY)
        response.headers.setdefault("Cache-Control", "no-store")  # what the desk shows is for who is logged in, now
        return response

    return answer


class SecondFactor:
    """
    Lets who is logged in by password alone reach nothing but the pages of the second factor.

    That is everybody who has enrolled one, and where REQUIRE_SECOND_FACTOR is on everybody.
    """

    def __init__(self, get_response: Answering) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, *_: Any) -> HttpResponse | None:
        user: Any = request.user
        match = request.resolver_match
        assert match is not None, "a view was found"
        if not user.is_authenticated or user.is_verified() or match.view_name in BEFORE_THE_SECOND_FACTOR:
            return None
        enrolled = device_of(user) is not None
        if not enrolled and not settings.REQUIRE_SECOND_FACTOR:
            return None
        if request.headers.get("HX-Request"):
            return HttpResponse(status=401)  # a piece of a page, which greys
        page = reverse("second_factor_code" if enrolled else "second_factor")
        return HttpResponseRedirect(f"{page}?{urlencode({'next': request.get_full_path()})}")
