"""
The pages of staff at a million orders, and a list as a file: their medians, their queries, and what a file costs.

Whole requests inside one process on the run's own durable database, templates and all; nothing of a test watches. Each
file is taken in a process of its own, so that its peak of memory is its own.
"""

from __future__ import annotations

import gc
import json
import resource
import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.bench.ground import Ground

PAGES = ("blotter", "search by id", "order", "dashboard")
TIMES = 15
FILE_ROWS = 200_000
XLSX_ROWS = 50_000
FEW = 1000  # rows of a first file, by which what is loaded once is loaded


def measure(ground: Ground) -> dict[str, dict[str, float]]:
    """
    Return {page: {ms, queries}} of each of `PAGES`, and {file: {seconds, first_seconds, rows, megabytes, growth_mb}}.

    The database is as the run left it: `past` filled it, and the executor may run or not.
    """
    found: dict[str, dict[str, float]] = dict(_told(ground, "pages"))
    found["csv"] = _told(ground, "export", "csv", str(FILE_ROWS))
    found["xlsx"] = _told(ground, "export", "xlsx", str(min(FILE_ROWS, XLSX_ROWS)))
    return found


def _told(ground: Ground, part: str, *arguments: str) -> dict[str, Any]:
    answer = ground.folder / f"{part}.json"
    ground.run(part, *arguments, str(answer))
    told: dict[str, Any] = json.loads(answer.read_text())
    return told


def look(answer: str) -> None:
    """Look at each page as an administrator, and write {page: {ms, queries}} into the file. It is a part."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    client = _ada()
    found = {}
    for page, address in zip(PAGES, _addresses(), strict=True):
        taken = []
        for _ in range(TIMES + 3):
            gc.collect()
            began = time.perf_counter()
            status = client.get(address).status_code
            taken.append((time.perf_counter() - began) * 1000)
            assert status == 200, f"{address} is {status}"
        with CaptureQueriesContext(connection) as captured:
            client.get(address)
        # The first ones fill what is cached once in a process.
        found[page] = {"ms": statistics.median(taken[3:]), "queries": len(captured)}
    Path(answer).write_text(json.dumps(found))


def take_file(kind: str, rows: int, answer: str) -> None:
    """Take the newest orders as a file, and write what it took into another one. It is a part."""
    client = _ada()
    for _ in _pieces(client, kind, FEW):
        pass
    before = _resident()
    peak = Peak()
    began = time.perf_counter()
    first, size, lines = 0.0, 0, 0
    with peak:
        for piece in _pieces(client, kind, rows):
            first = first or time.perf_counter() - began
            size += len(piece)
            lines += piece.count(b"\n")
    found = {
        "seconds": time.perf_counter() - began,
        "first_seconds": first,
        "rows": lines - 1 if kind == "csv" else rows,
        "megabytes": size / 1e6,
        "growth_mb": (peak.bytes - before) / 1e6,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
    }
    Path(answer).write_text(json.dumps(found))


class Peak:
    """Looks at the memory of this process a hundred times a second."""

    def __init__(self) -> None:
        self.bytes = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.01):
            self.bytes = max(self.bytes, _resident())


def _pieces(client: Any, kind: str, rows: int) -> Iterator[bytes]:
    """
    Yield the file of about the newest so many orders, as the server sends it.

    Newest by date, as the file is asked for: the past is written in two goes, and those of the first have lower ids and
    dates that are as young.
    """
    from django.urls import reverse

    from orders.models import Order

    dates = Order.objects.filter(mode="PAPER").order_by("-trading_date").values_list("trading_date", flat=True)
    asked = {"trading_date_from": dates[rows : rows + 1].get().isoformat()}
    answer = client.get(reverse(f"admin:orders_order_export_{kind}"), asked)
    assert answer.status_code == 200, answer.status_code
    yield from answer.streaming_content


def _addresses() -> tuple[str, ...]:
    from django.urls import reverse

    from orders.models import Order

    orders = reverse("admin:orders_order_changelist")
    filled = Order.objects.filter(mode="PAPER", status="FILLED")
    past, whole = filled.latest("id"), filled.earliest("id")  # the executor's own has a decision with all its verdicts
    order = reverse("admin:orders_order_change", args=[whole.pk])
    return (f"{orders}?view=all", f"{orders}?q={past.client_order_id}", order, reverse("admin:index"))


def _ada() -> Any:
    """Return a client that an administrator is logged in to: the pages show nobody more."""
    from django.contrib.auth.models import Group, User
    from django.test import Client

    from orders.roles import ADMINISTRATOR

    ada, _ = User.objects.get_or_create(username="ada", is_staff=True)
    ada.groups.set([Group.objects.get(name=ADMINISTRATOR)])
    client = Client(SERVER_NAME="127.0.0.1")
    client.force_login(ada)
    return client


def _resident() -> int:
    """Return this process's memory, in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()
