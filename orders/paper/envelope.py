"""The envelope that every answer of Kite comes in."""

from __future__ import annotations

from aiohttp import web

from orders.paper.errors import KiteRefusal


def success(payload: object) -> web.Response:
    return web.json_response({"status": "success", "data": payload})


def success_of_rows(texts: list[str]) -> web.Response:
    """Return the answer to a list whose rows are JSON already."""
    return _written(_list(texts))


def success_of_lists(lists: dict[str, list[str]]) -> web.Response:
    """Return the answer to several lists, by name, whose rows are JSON already."""
    named = [f'"{name}": {_list(texts)}' for name, texts in lists.items()]
    return _written(f"{{{', '.join(named)}}}")


def _list(texts: list[str]) -> str:
    return f"[{', '.join(texts)}]"


def _written(data: str) -> web.Response:
    return web.Response(text=f'{{"status": "success", "data": {data}}}', content_type="application/json")


def refusal(reason: KiteRefusal) -> web.Response:
    body = {"status": "error", "message": reason.message, "data": None, "error_type": reason.error_type}
    return web.json_response(body, status=reason.http_status)
