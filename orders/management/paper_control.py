"""The control routes of a running paper Kite server, as the commands ask them."""

from __future__ import annotations

import json
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

from django.core.management.base import CommandError

DEFAULT_URL = "http://127.0.0.1:8800"
SECONDS = 5


def call(url: str, method: str, path: str, content: object = None) -> Any:
    """Send one request to a control route and return its data. Raise `CommandError`, which says what to do."""
    body = None if content is None else json.dumps(content).encode()
    request = Request(f"{url.rstrip('/')}/paper/{path}", data=body, method=method)  # noqa: S310 - the user's own
    try:
        # No proxy: one meant for the internet would not find a server on this machine.
        with build_opener(ProxyHandler({})).open(request, timeout=SECONDS) as answer:
            return json.load(answer)["data"]
    except HTTPError as error:
        raise CommandError(f"The paper Kite server refused: {error.read().decode(errors='replace')}") from error
    except (URLError, OSError, ValueError, KeyError, TypeError) as error:
        raise CommandError(f"No paper Kite server answers at {url} ({error}): start it, or give --url.") from error
