"""A long list arrives whole, and leaves in pieces between which others have their turn."""

from __future__ import annotations

import asyncio
import itertools
import json

import pytest
from aiohttp import ClientSession, web

from orders.paper.envelope import PIECE_BYTES, LongAnswer, success_of_rows

MANY = 5 * PIECE_BYTES // 100


@pytest.mark.parametrize("count", [0, 1, 2, MANY])
def test_every_row_arrives_with_the_length_told_beforehand(count):
    rows = [{"n": number, "of": "x" * 100} for number in range(count)]

    async def scenario() -> None:
        async def answer(_request: web.Request) -> web.Response:
            return success_of_rows([json.dumps(row).encode() for row in rows])

        app = web.Application()
        app.router.add_get("/", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            async with ClientSession() as client, client.get(f"http://127.0.0.1:{runner.addresses[0][1]}/") as told:
                body = await told.read()
                assert told.headers["Content-Type"] == "application/json; charset=utf-8"
                assert told.content_length == len(body)
                assert json.loads(body) == {"status": "success", "data": rows}
        finally:
            await runner.cleanup()

    asyncio.run(scenario())


def test_others_have_their_turn_between_two_pieces(monkeypatch):
    sent: list[bytes] = []

    async def write(_answer: web.StreamResponse, piece: bytes) -> None:
        sent.append(bytes(piece))

    async def end(_answer: web.StreamResponse) -> None:
        sent.append(b"")

    monkeypatch.setattr(LongAnswer, "write", write)
    monkeypatch.setattr(web.StreamResponse, "write_eof", end)
    answer = success_of_rows([b"1" * 99] * MANY)

    async def turns() -> list[int]:
        leaving, seen = asyncio.create_task(answer.write_eof()), [0]
        while not leaving.done():
            await asyncio.sleep(0)
            seen.append(len(sent))
        return seen

    seen = asyncio.run(turns())

    assert b"".join(sent) == answer.body
    assert {len(piece) for piece in sent[:-2]} == {PIECE_BYTES}
    assert max(after - before for before, after in itertools.pairwise(seen[:-1])) == 1
