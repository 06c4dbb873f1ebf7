"""
How long each page takes to make at a hundred thousand orders: `make bench-pages`.

It measures the whole of a request inside this process, templates and all, and prints each with its queries and the most
rows that one step of them read; without the collection of garbage, which a process as large as this one does now and
then. Read the times as ratios between runs on one machine.
"""

from __future__ import annotations

import gc
import os
import sys
from time import perf_counter

from django.contrib import admin
from django.template import Template
from django.test.utils import _TestState

from orders.roles import ADMINISTRATOR
from tests.orders.admin import full_book, full_walk
from tests.orders.admin.test_every_page import book  # noqa: F401
from tests.orders.admin.test_roles import holding

ORDERS = int(os.environ.get("ORDERS", "100000"))


def test_each_page(book, capsys, monkeypatch):  # noqa: F811
    ada = holding("ada", ADMINISTRATOR)
    began = perf_counter()
    full_book.fill(ORDERS)
    filled = perf_counter() - began
    big = full_book.big_tables()
    lists = {model._meta.db_table for model in admin.site._registry}
    rows = []
    addresses = list(full_walk.addresses(ada, lists))
    # The suite's own watch over templates copies the context of each: a fifth of the time, that no server takes.
    monkeypatch.setattr(Template, "_render", _TestState.saved_data.template_render)
    for address in addresses:
        ada.get(address)  # what is cached once per process is cached now
        gc.collect()
        gc.disable()
        measured = full_walk.measure(ada, address)
        gc.enable()
        rows.append((measured, full_walk.rows_read(measured, big)))

    with capsys.disabled():
        sys.stdout.write(f"\n{ORDERS} orders, filled in {filled:.1f} s; {len(rows)} addresses\n")
        sys.stdout.write(f"{'ms':>7} {'cpu ms':>7} {'sql ms':>7} {'queries':>7} {'rows read':>9}  address\n")
        for measured, read in sorted(rows, key=lambda row: -row[0].seconds):
            table, most = max(read.items(), key=lambda pair: pair[1], default=("", 0))
            sys.stdout.write(
                f"{measured.seconds * 1000:7.0f} {measured.cpu_seconds * 1000:7.0f} {measured.sql_seconds * 1000:7.0f}"
                f" {len(measured.queries):7} {most:9}  {measured.address}  {table if most > full_book.BIG else ''}"
                f"{'' if measured.status == 200 else f' ({measured.status})'}\n"
            )
