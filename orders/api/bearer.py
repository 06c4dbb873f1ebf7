"""Who asks: a token in the Authorization header, good for what its scopes name and its owner may do."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from axes.helpers import get_client_ip_address
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.utils import timezone

from orders import api_tokens
from orders.api.problems import Problem
from orders.api_tokens import SCOPES, TooMany
from orders.models import ApiToken
from risk.audit.who import because

View = TypeVar("View", bound=Callable[..., Any])
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="Order Executor"'}


class BearerToken:
    """
    Lets in who shows a token with one of the scopes, whose owner has the permission.

    `stops` is for what stops an order: it has a share of requests of its own. `always` is for what stops trading: it is
    counted and never refused for being too much.
    """

    openapi_security_schema = {"type": "http", "scheme": "bearer", "description": "An API token: `oex_…`."}

    def __init__(self, *scopes: str, permission: str = "", stops: bool = False, always: bool = False) -> None:
        assert set(scopes) <= set(SCOPES), "a scope is in the table"
        self.scopes, self.stops, self.always = scopes, stops, always
        self.permission = permission or SCOPES[scopes[0]].permission

    def __call__(self, request: HttpRequest) -> ApiToken:
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        token = known(request, text.strip() if scheme.lower() == "bearer" else "")
        if token.in_body:
            raise _unknown(request, "this token is for TradingView's alerts, and is sent in their text")
        self.let_in(request, token)
        return token

    def let_in(self, request: HttpRequest, token: ApiToken) -> None:
        """Have what is done be the owner's, count the request, and raise the `Problem` of who may not ask this."""
        request.user = token.owner
        try:
            api_tokens.count_use(
                token, address=address_of(request), now=timezone.now(), stops=self.stops, always=self.always
            )
        except TooMany as spent:
            raise _later(spent, f"this token has {token.per_minute} requests a minute") from spent
        if not set(self.scopes) & set(token.scopes):
            wanted = " or ".join(self.scopes)
            raise Problem(403, "scope-missing", f"the token has not the scope {wanted}", scopes=list(self.scopes))
        if not token.owner.has_perm(self.permission):
            told = f"{token.owner.get_username()}, whose token this is, may not do this"
            raise Problem(403, "permission-missing", told, permission=self.permission)


def known(request: HttpRequest, text: str) -> ApiToken:
    """Return the token that the text is. Raise the `Problem` of one that opens nothing, and count it."""
    request.user = AnonymousUser()
    token = api_tokens.find(text, now=timezone.now())
    if token is None:
        raise _unknown(request, "send a valid token: Authorization: Bearer oex_…")
    return token


def _unknown(request: HttpRequest, told: str) -> Problem:
    try:
        api_tokens.count_failure(address_of(request), now=timezone.now())
    except TooMany as spent:
        return _later(spent, "too many tokens that open nothing came from this address")
    return Problem(401, "token-invalid", told, headers=CHALLENGE)


def _later(spent: TooMany, told: str) -> Problem:
    wait = spent.wait_seconds
    return Problem(429, "too-many-requests", f"{told}: again in {wait} s", headers={"Retry-After": str(wait)})


def address_of(request: HttpRequest) -> str:
    return get_client_ip_address(request) or ""


def signed(token: ApiToken, reason: str) -> str:
    """Return a reason as it is kept: with the token by which it came."""
    return f"{reason.strip()} (API token {token.name})"


def in_its_name(view: View) -> View:
    """Have what a view writes be for the token, where no reason is given."""

    @functools.wraps(view)
    def named(request: Any, *args: Any, **kwargs: Any) -> Any:
        with because(f"API token {request.auth.name}"):
            return view(request, *args, **kwargs)

    return named  # type: ignore[return-value]
