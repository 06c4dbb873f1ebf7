"""The envelope that every answer of Kite comes in."""

from __future__ import annotations

from aiohttp import web

from orders.paper.errors import KiteRefusal


def success(payload: object) -> web.Response:
    return web.json_response({"status": "success", "data": payload})


def success_of_rows(texts: list[str]) -> web.Response:
    """Return the answer to a list whose rows are JSON already."""
    body = f'{{"status": "success", "data": [{", ".join(texts)}]}}'
    return web.Response(text=body, content_type="application/json")


def refusal(reason: KiteRefusal) -> web.Response:
    body = {"status": "error", "message": reason.message, "data": None, "error_type": reason.error_type}
    return web.json_response(body, status=reason.http_status)
