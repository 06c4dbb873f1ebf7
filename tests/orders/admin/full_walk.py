"""Every address of the admin once more, and each list by every filter, search and order that it offers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter, process_time
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.contrib.admin.views.main import ORDER_VAR, SEARCH_VAR
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import NoReverseMatch, reverse

from tests.orders.admin import full_book
from tests.orders.admin.test_every_role import EXPORTS, model_of, names_of_addresses, walked

# What a person opens beside the pages of the models, and what those ask for a moment later.
PAGES = (
    "index",
    "dashboard_live",
    "dashboard_used",
    "dashboard_more",
    "dashboard_charts",
    "start_of_day",
    "help",
    "runbooks",
)
PAGES += ("status_strip", "still_working", "orders_ticket", "orders_ticket_panel", "app_list", "search")
SEARCHES = ("SYM7", "FULL777", "full-777", "T777", "tara", "no-such-thing")
WORDS = ("SYM7", "nothing has it")  # for a filter that takes any words
READING = re.compile(r"^\s*(SELECT|\(SELECT|WITH)\b", re.IGNORECASE)


@dataclass(kw_only=True)
class Measured:
    address: str
    status: int
    seconds: float
    cpu_seconds: float  # of this process: what a busy machine does not change
    queries: list[dict[str, str]]

    @property
    def sql_seconds(self) -> float:
        return sum(float(query["time"]) for query in self.queries)


def addresses(client: Client, big: set[str]) -> Iterator[str]:
    """Yield the pages, and the lists of the `big` tables by every filter, search and order that they offer."""
    yield from dict.fromkeys(address for address, kind, *_ in walked() if kind not in EXPORTS | {"csv", "delete"})
    for name in PAGES:
        yield _address(name)
    yield f"{reverse('admin:search')}?s=FULL777&extended=1"
    for name in sorted(names_of_addresses()):
        model = model_of(name)
        if name.endswith("_changelist") and model is not None and model._meta.db_table in big:
            yield from _narrowed(client, reverse(f"admin:{name}"))
    for model in admin.site._registry:  # a row out of the full book, too
        row = model._default_manager.order_by("-pk").first()
        if row is not None and isinstance(row.pk, int) and row.pk > full_book.FIRST:
            yield reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[row.pk])


def measure(client: Client, address: str) -> Measured:
    with CaptureQueriesContext(connection) as captured:
        began, began_cpu = perf_counter(), process_time()
        answer = client.get(address)
        took, took_cpu = perf_counter() - began, process_time() - began_cpu
    queries = list(captured.captured_queries)  # the context looks them up anew each time
    return Measured(address=address, status=answer.status_code, seconds=took, cpu_seconds=took_cpu, queries=queries)


def scanned(measured: Measured, tables: set[str]) -> list[str]:
    """Return the statements that the database would carry out by reading one of the tables from end to end."""
    found = []
    for query in _reading(measured, tables):
        with connection.cursor() as cursor:
            cursor.execute(f"explain {query}")
            plan = "\n".join(line for (line,) in cursor.fetchall())
        if any(re.search(rf"Seq Scan on {table}\b", plan) for table in tables):
            found.append(f"{query[:2000]}\n{plan}")
    return found


def rows_read(measured: Measured, tables: set[str]) -> dict[str, int]:
    """Carry each query out once more; return how many rows of each of the tables one step of it read at most."""
    read: dict[str, int] = {}
    for query in _reading(measured, tables):
        with connection.cursor() as cursor:
            cursor.execute(f"explain (analyze, timing off, format json) {query}")
            [(plan,)] = cursor.fetchall()
        for node in _nodes((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]):
            table = node.get("Relation Name")
            if table in tables:
                rows = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
                read[table] = max(read.get(table, 0), int(rows * node["Actual Loops"]))
    return read


def _reading(measured: Measured, tables: set[str]) -> list[str]:
    return [
        query["sql"]
        for query in measured.queries
        if READING.match(query["sql"]) and any(table in query["sql"] for table in tables)
    ]


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from _nodes(below)


def _address(name: str) -> str:
    if name == "app_list":
        return reverse("admin:app_list", args=["orders"])
    try:
        return reverse(name)
    except NoReverseMatch:
        return reverse(f"admin:{name}")


def _narrowed(client: Client, url: str) -> Iterator[str]:
    """Yield the list under each choice of each filter, under each search, and by each order."""
    context = client.get(url).context
    changelist = context["cl"] if context and "cl" in context else None
    if changelist is None:
        return  # a list that leads to its one row
    for spec in changelist.filter_specs:
        yield from (f"{url}?{urlencode(asked)}" for asked in choices(spec, changelist))
    if changelist.search_fields:
        yield from (f"{url}?{urlencode({SEARCH_VAR: each})}" for each in SEARCHES)
    yield f"{url}?{urlencode({'p': 3})}"
    for number in sorted(changelist.get_ordering_field_columns() | _sortable(changelist)):
        yield f"{url}?{urlencode({ORDER_VAR: number})}"


def _sortable(changelist: Any) -> dict[int, str]:
    return {
        number: ""
        for number, name in enumerate(changelist.list_display)
        if name != "action_checkbox" and name in changelist.sortable_by and changelist.get_ordering_field(name)
    }


def choices(spec: Any, changelist: Any) -> Iterator[dict[str, str]]:
    name = getattr(spec, "parameter_name", None) or getattr(spec, "lookup_kwarg", None)
    if type(spec).__name__ == "RangeDateFilter":
        yield from ({f"{name}_from": each} for each in ("2020-01-01", "2099-01-01"))
    elif type(spec).__name__ in {"TextFilter", "FieldTextFilter"} or not getattr(spec, "lookup_choices", True):
        yield from ({name: each} for each in WORDS)
    elif hasattr(spec, "lookup_choices") and name:
        yield from ({name: str(value)} for value, *_ in (_pair(each) for each in spec.lookup_choices))
    elif hasattr(getattr(spec, "field", None), "flatchoices") and spec.field.flatchoices and name:
        yield from ({name: str(value)} for value, _ in spec.field.flatchoices)
    else:
        for choice in spec.choices(changelist):
            query = choice.get("query_string", "")
            if query.startswith("?") and len(query) > 1:
                yield dict(pair.split("=", 1) for pair in query[1:].split("&"))


def _pair(choice: Any) -> Any:
    return choice if isinstance(choice, list | tuple) else (choice,)
