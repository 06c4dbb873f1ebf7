"""Every page at a hundred thousand orders: few queries, and none reads a big table from end to end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from orders.roles import ADMINISTRATOR
from tests.orders.admin import full_book, full_walk
from tests.orders.admin.test_every_page import book  # noqa: F401
from tests.orders.admin.test_roles import holding
from tests.orders.together import direct_connection

QUERIES_MAX = 15


@pytest.fixture
def swept(django_db_setup: None) -> Iterator[None]:
    """Give back the room of the rows that were rolled back: the tests after this one are about small tables."""
    yield
    with direct_connection() as database:
        database.execute("vacuum analyze")


@pytest.fixture
def full(swept: None, book: None) -> set[str]:  # noqa: F811
    """A hundred thousand orders and what belongs to them. Return the tables that are big then."""
    full_book.fill(100_000, each_at_most=1)
    return full_book.big_tables()


def test_every_page_asks_little_of_a_full_book(full):
    """It is the person with the most rights that the pages show the most; a superuser's rights are not even read."""
    ada = holding("ada", ADMINISTRATOR)
    busy, scans, failed = {}, {}, {}

    for address in full_walk.addresses(ada, full):
        measured = full_walk.measure(ada, address)
        if measured.status not in {200, 302, 403}:
            failed[address] = measured.status
        if len(measured.queries) > QUERIES_MAX:
            # What is cached once per process is cached now.
            measured = full_walk.measure(ada, address)
        if len(measured.queries) > QUERIES_MAX:
            busy[address] = [query["sql"][:120] for query in measured.queries]
        found = full_walk.scanned(measured, full)
        if found:
            scans[address] = found

    assert failed == {}
    assert busy == {}
    assert scans == {}
    assert {"orders_order", "orders_fill", "orders_signal", "orders_decision", "risk_auditentry"} <= full
