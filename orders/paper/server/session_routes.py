"""Logging in and out, and who the account is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from html import escape
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from aiohttp import web

from orders.paper.envelope import success
from orders.paper.errors import BAD_TOKEN, KiteRefusal
from orders.paper.exchange.forms import required
from orders.paper.exchange.quirks import Quirks
from orders.paper.faults.faults import Route
from orders.paper.indian_time import timestamp
from orders.paper.market.instruments import EXCHANGES
from orders.paper.server.forms import read_form
from orders.paper.server.login_page import page
from orders.paper.server.logins import Logins
from orders.paper.server.routes import RouteTable
from orders.paper.server.wire import PLACED_BY, Row
from orders.paper.terms import OrderType

SESSION = "/session/token"
LOGIN = "/connect/login"


class SessionRoutes:
    def __init__(
        self,
        logins: Logins,
        clock: Callable[[], datetime],
        redirect_url: str | None,
        on_logout: Callable[[datetime], None],
    ) -> None:
        self.logins = logins
        self.clock = clock
        self.redirect_url = redirect_url
        self.on_logout = on_logout

    def public_routes(self) -> RouteTable:
        """Return the routes of those who have no session yet, or name it in the query."""
        return [
            (Route.SESSION, "GET", LOGIN, self.show_login),
            (Route.SESSION, "POST", LOGIN, self.log_in),
            (Route.SESSION, "POST", SESSION, self.open),
            (Route.SESSION, "DELETE", SESSION, self.close),
            (Route.SESSION, "POST", "/session/refresh_token", self.renew),
            (Route.SESSION, "DELETE", "/session/refresh_token", self.close),
        ]

    def routes(self) -> RouteTable:
        return [
            (Route.PROFILE, "GET", "/user/profile", self.profile),
            (Route.PROFILE, "GET", "/user/profile/full", self.profile),
        ]

    async def show_login(self, request: web.Request, _: Quirks) -> web.Response:
        """Show the login page; a person presses the only button on it."""
        api_key = request.query.get("api_key", "")
        self.logins.check_key(api_key)
        hidden = {"api_key": api_key, "redirect_params": request.query.get("redirect_params", "")}
        return page(
            "Log in to the paper account",
            f"<p>The app <strong>{escape(api_key)}</strong> asks to trade the paper account {PLACED_BY}. "
            "No money is involved.</p>",
            action=LOGIN,
            hidden=hidden,
        )

    async def log_in(self, request: web.Request, _: Quirks) -> web.Response:
        """Log in, and send the user on to the app with a request token."""
        form = await read_form(request)
        token = self.logins.request_token(required(form, "api_key"), self.clock())
        if self.redirect_url is None:
            return page(
                "Logged in",
                f"<p>The request token, for the next five minutes and one use:</p><p><code>{token}</code></p>",
            )
        location = returned(self.redirect_url, token, form.get("redirect_params", ""))
        return web.Response(status=302, headers={"Location": location, "Cache-Control": "no-store"})

    async def open(self, request: web.Request, _: Quirks) -> web.Response:
        form, now = await read_form(request), self.clock()
        session = self.logins.open(
            api_key=required(form, "api_key"),
            request_token=required(form, "request_token"),
            checksum=required(form, "checksum"),
            now=now,
        )
        return success(
            profile_row()
            | {
                "user_id": PLACED_BY,
                "api_key": session.api_key,
                "access_token": session.access_token,
                "public_token": session.public_token,
                "enctoken": "",
                "refresh_token": "",
                "silo": "",
                "login_time": timestamp(now),
            }
        )

    async def close(self, request: web.Request, _: Quirks) -> web.Response:
        """End the session that the query names."""
        query = request.query
        token = query.get("access_token") or query.get("refresh_token") or ""
        if self.logins.close(query.get("api_key", ""), token):
            self.on_logout(self.clock())
        return success(True)

    async def renew(self, _request: web.Request, _: Quirks) -> web.Response:
        """Refuse: only approved platforms get a refresh token, individuals log in every day."""
        raise KiteRefusal(403, "TokenException", BAD_TOKEN)

    async def profile(self, _request: web.Request, _: Quirks) -> web.Response:
        return success(profile_row() | {"user_id": PLACED_BY})


def profile_row() -> Row:
    return {
        "user_type": "individual",
        "email": "paper@example.com",
        "user_name": "Paper Account",
        "user_shortname": "Paper",
        "broker": "ZERODHA",
        "exchanges": list(EXCHANGES),
        "products": ["CNC", "NRML", "MIS"],
        "order_types": [str(order_type) for order_type in OrderType],
        "avatar_url": None,
        "meta": {"demat_consent": "physical"},
    }


def returned(redirect_url: str, request_token: str, redirect_params: str) -> str:
    """Return where the user goes on to: the app's address, with the token and what the app wanted echoed."""
    parts = urlsplit(redirect_url)
    said = {"action": "login", "type": "login", "status": "success", "request_token": request_token}
    # What is echoed cannot speak for the login itself.
    echoed = [(name, text) for name, text in parse_qsl(redirect_params, keep_blank_values=True) if name not in said]
    query = urlencode([*said.items(), *echoed])
    return urlunsplit(parts._replace(query=f"{parts.query}&{query}" if parts.query else query))
