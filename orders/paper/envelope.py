"""The envelope that every answer of Kite comes in."""

from __future__ import annotations

from aiohttp import web

from orders.paper.errors import KiteRefusal


def success(payload: object) -> web.Response:
    return web.json_response({"status": "success", "data": payload})


def refusal(reason: KiteRefusal) -> web.Response:
    body = {"status": "error", "message": reason.message, "data": None, "error_type": reason.error_type}
    return web.json_response(body, status=reason.http_status)
