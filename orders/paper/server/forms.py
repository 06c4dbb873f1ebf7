"""The body of a request, decoded: form fields, or JSON."""

from __future__ import annotations

from urllib.parse import parse_qsl

from aiohttp import web

from orders.paper.errors import bad_input
from orders.paper.exchange.forms import Form

FORM_FIELDS_MAX = 100


async def read_form(request: web.Request) -> Form:
    """
    Return the form's fields, the last of each name.

    What is not UTF-8 is refused, not replaced: a tag that comes back as another finds no order.
    """
    try:
        body = (await request.read()).decode()
        return dict(parse_qsl(body, keep_blank_values=True, max_num_fields=FORM_FIELDS_MAX, errors="strict"))
    except UnicodeDecodeError as error:
        raise bad_input("The request's body is not a form in UTF-8.") from error
    except ValueError as error:
        raise bad_input(f"The request's body has more than {FORM_FIELDS_MAX} fields.") from error
