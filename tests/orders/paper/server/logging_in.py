"""The login as an application and its user go through it together."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import requests
from kiteconnect import KiteConnect

from tests.orders.paper.paper_process import PaperProcess


def press_the_button(server: PaperProcess, api_key: str, **more: str) -> requests.Response:
    """Post what the login page's form posts."""
    form = {"api_key": api_key, "redirect_params": "", **more}
    return server.http.post(f"{server.root}/connect/login", data=form, allow_redirects=False, timeout=5)


def request_token(server: PaperProcess, api_key: str) -> str:
    """Log in at a server that redirects, and return the request token."""
    (token,) = parse_qs(urlsplit(press_the_button(server, api_key).headers["Location"]).query)["request_token"]
    return token


def client(server: PaperProcess, api_key: str, access_token: str | None = None) -> KiteConnect:
    """Return a client that the server closes at its end."""
    kite = server.kite()
    kite.api_key = api_key
    kite.set_access_token(access_token)
    return kite
