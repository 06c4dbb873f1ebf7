"""What every request passes on its way in, and every answer on its way out."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import aiohttp
import pytest
from aiohttp import web

from orders.paper.envelope import success
from orders.paper.errors import bad_input
from orders.paper.exchange.journal import JournalUnwritable
from orders.paper.exchange.quirks import NO_QUIRKS
from orders.paper.server.app import Door, in_envelope
from tests.orders.paper.server.logging_in import client, request_token


class Disk:
    """Stands for the journal, whose syncs cannot be seen or made to fail from outside."""

    def __init__(self, happened: list[str], failure: Exception | None = None) -> None:
        self.happened, self.failure = happened, failure

    async def settle(self) -> None:
        self.happened.append("on the disk")
        if self.failure is not None:
            raise self.failure


def answered(handler, failure: Exception | None = None) -> tuple[web.Response, list[str]]:
    happened: list[str] = []
    door = Door(SimpleNamespace(journal=Disk(happened, failure)))

    async def through(request):
        answer = await door._settled(handler, request, NO_QUIRKS)
        happened.append("answered")
        return answer

    request = SimpleNamespace(method="POST", path="/orders/regular")
    return asyncio.run(in_envelope(request, through)), happened


async def accept(_request, _quirks) -> web.Response:
    return success({"order_id": "1"})


async def refuse(_request, _quirks) -> web.Response:
    raise bad_input("no")


@pytest.mark.parametrize(("handler", "status"), [(accept, 200), (refuse, 400)])
def test_what_changed_is_on_the_disk_before_anybody_is_told(handler, status):
    answer, happened = answered(handler)

    assert answer.status == status
    assert happened == ["on the disk", "answered"]


def test_what_may_not_be_on_the_disk_is_not_called_done():
    answer, happened = answered(accept, JournalUnwritable("journal.jsonl cannot be written"))

    assert answer.status == 500
    assert b"GeneralException" in answer.body
    assert "answered" not in happened


@pytest.mark.parametrize("header", ["Bearer paper:paper", "paper:paper", "token", "Token paper:paper", ""])
def test_the_right_pair_in_the_wrong_header_is_refused(paper, header):
    answer = paper.http.get(f"{paper.root}/user/profile", headers={"Authorization": header}, timeout=5)

    assert (answer.status_code, answer.json()["error_type"]) == (403, "TokenException")


def test_a_logout_closes_the_sockets_of_its_token(start_paper):
    server = start_paper("--redirect-url", "http://127.0.0.1:9/back")
    kite, stays = client(server, "app"), client(server, "app")
    for one in (kite, stays):
        one.generate_session(request_token(server, "app"), "paper")

    async def listen_and_log_out() -> tuple[bool, bool]:
        async with aiohttp.ClientSession() as session:
            ended, other = [
                await session.ws_connect(server.root, params={"api_key": "app", "access_token": one.access_token})
                for one in (kite, stays)
            ]
            await asyncio.to_thread(kite.invalidate_access_token)
            async with asyncio.timeout(5):
                while (await ended.receive()).type not in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED):
                    pass
            return ended.closed, other.closed

    assert asyncio.run(listen_and_log_out()) == (True, False)
