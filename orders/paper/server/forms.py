"""The body of a request, decoded: form fields, or JSON."""

from __future__ import annotations

from urllib.parse import parse_qsl

from aiohttp import web

from orders.paper.errors import bad_input
from orders.paper.exchange.forms import Form

FORM_FIELDS_MAX = 100


async def read_form(request: web.Request) -> Form:
    """Return the form's fields, the last of each name; undecodable bytes become replacement characters."""
    body = (await request.read()).decode("utf-8", errors="replace")
    try:
        return dict(parse_qsl(body, keep_blank_values=True, max_num_fields=FORM_FIELDS_MAX))
    except ValueError as error:
        raise bad_input("The request's body is not a form.") from error
