"""The envelope that every answer of Kite comes in."""

from __future__ import annotations

import asyncio

from aiohttp import web

from orders.paper.errors import KiteRefusal

PIECE_BYTES = 64 * 1024


def success(payload: object) -> web.Response:
    return web.json_response({"status": "success", "data": payload})


class LongAnswer(web.Response):
    """
    An answer whose body leaves in pieces, and others have their turn while its reader takes them.

    Four megabytes at once would be copied whole several times before the first byte left.
    """

    async def write_eof(self, data: bytes = b"") -> None:
        assert not data, "all of it is known before it leaves"
        assert isinstance(self.body, bytes)
        body = memoryview(self.body)
        for start in range(0, len(body), PIECE_BYTES):
            await self.write(body[start : start + PIECE_BYTES])
            await asyncio.sleep(0)
        await web.StreamResponse.write_eof(self)


def success_of_rows(texts: list[bytes]) -> web.Response:
    """Return the answer to a long list whose rows are JSON already."""
    begun, *rest = texts or [b""]
    rows = [b'{"status": "success", "data": [' + begun, *rest]
    rows[-1] += b"]}"
    return LongAnswer(body=b", ".join(rows), content_type="application/json", charset="utf-8")


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
