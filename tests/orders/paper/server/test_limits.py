"""How often a client may ask, by the calendar second, minute and day."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from orders.paper.errors import KiteRefusal
from orders.paper.exchange.book import Book, Order
from orders.paper.exchange.events import Accepted, Cancelled
from orders.paper.exchange.forms import read_ticket
from orders.paper.exchange.tickets import Iceberg
from orders.paper.indian_time import IST
from orders.paper.server.limits import RateLimits, Scope, placed_on, scope_of
from orders.paper.terms import Variety

NOON = datetime(2026, 11, 23, 12, 0, 0, 900_000, tzinfo=IST)
SECOND = timedelta(seconds=1)


@pytest.fixture
def limits() -> RateLimits:
    return RateLimits(enabled=True)


def passed(limits: RateLimits, scope: Scope, times: int, now: datetime = NOON, api_key: str = "app") -> int:
    """Ask so many times at one moment, and return how many of them were let through."""
    return times - sum(refused(limits, scope, now, api_key) is not None for _ in range(times))


def refused(limits: RateLimits, scope: Scope, now: datetime = NOON, api_key: str = "app") -> str | None:
    try:
        limits.check(scope, api_key, now)
    except KiteRefusal as refusal:
        return refusal.message
    return None


def minute_of_placements(limits: RateLimits, begin: datetime, placements: int) -> None:
    for number in range(placements):
        assert refused(limits, Scope.PLACING, begin + number // 10 * SECOND) is None


@pytest.mark.parametrize(
    ("scope", "most"),
    [(Scope.QUOTE, 1), (Scope.HISTORICAL, 3), (Scope.PLACING, 10), (Scope.CHANGING, 10), (Scope.OTHER, 10)],
)
def test_a_calendar_second_holds_so_many_requests_and_no_more(limits, scope, most):
    assert passed(limits, scope, most + 1) == most
    assert refused(limits, scope) == "Too many requests"
    # A tenth of a second later it is another calendar second.
    assert passed(limits, scope, most + 1, NOON + SECOND / 10) == most


def test_the_refusal_is_what_the_sdk_calls_a_network_exception(limits):
    limits.check(Scope.QUOTE, "app", NOON)

    with pytest.raises(KiteRefusal) as refusal:
        limits.check(Scope.QUOTE, "app", NOON)

    assert (refusal.value.http_status, refusal.value.error_type) == (429, "NetworkException")


def test_placing_and_changing_share_their_second_and_keys_share_the_account(limits):
    assert passed(limits, Scope.PLACING, 6, api_key="one") == 6
    assert passed(limits, Scope.CHANGING, 6, api_key="two") == 4


def test_other_requests_are_counted_by_key(limits):
    assert passed(limits, Scope.OTHER, 11, api_key="one") == 10
    assert passed(limits, Scope.OTHER, 11, api_key="two") == 10


def test_what_is_read_does_not_count_against_orders(limits):
    assert passed(limits, Scope.OTHER, 11) == 10
    assert passed(limits, Scope.PLACING, 1) == 1


def test_a_minute_holds_four_hundred_placements_until_it_ends(limits):
    begin = NOON.replace(microsecond=0)

    minute_of_placements(limits, begin, 400)

    assert refused(limits, Scope.PLACING, begin + 59 * SECOND) == "Too many requests"
    assert refused(limits, Scope.CHANGING, begin + 59 * SECOND) is None
    assert refused(limits, Scope.PLACING, begin + 60 * SECOND) is None


def test_a_day_holds_five_thousand_placements_and_lets_orders_be_changed(limits):
    begin = NOON.replace(microsecond=0)
    for minute in range(12):
        minute_of_placements(limits, begin + minute * timedelta(minutes=1), 400)
    later = begin + timedelta(hours=1)
    minute_of_placements(limits, later, 200)

    full = later + timedelta(hours=1)
    assert refused(limits, Scope.PLACING, full) == "Maximum allowed order requests exceeded"
    assert refused(limits, Scope.CHANGING, full) is None
    assert refused(limits, Scope.PLACING, NOON.replace(hour=0) + timedelta(days=1)) is None


@pytest.mark.parametrize(("before", "left"), [(0, 10), (4991, 9), (4999, 1), (5000, 0)])
def test_what_was_placed_before_the_start_counts_on_its_day(limits, before, left):
    limits.resume(before, NOON)

    assert passed(limits, Scope.PLACING, 10) == left
    assert passed(limits, Scope.PLACING, 10, NOON + timedelta(days=1)) == 10


def follower(**terms: object) -> tuple[Order, Accepted]:
    form = {"exchange": "NSE", "tradingsymbol": "INFY", "transaction_type": "BUY", "quantity": "10", "product": "CNC"}
    ticket = replace(read_ticket("regular", form | {"order_type": "LIMIT", "price": "1490"}), **terms)
    event = Accepted(at=NOON, order_id="SIM20261123000001", ticket=ticket)
    book = Book()
    return book.apply(event), event


def leg(number: int) -> Iceberg:
    return Iceberg(leg=number, legs=5, leg_quantity=2, total_quantity=10, remaining_quantity=10 - 2 * number)


@pytest.mark.parametrize(
    ("terms", "counted"),
    [
        ({}, 0),  # its request was counted
        ({"variety": Variety.ICEBERG, "iceberg": leg(1)}, 0),
        ({"variety": Variety.ICEBERG, "iceberg": leg(2)}, 1),
        ({"system_tags": ("autoslice",)}, 0),
        ({"system_tags": ("autoslice", "autoslice:SIM20261123000001")}, 1),
        ({"parent_order_id": "SIM20261123000001"}, 0),
        ({"squares_off": True}, 0),
    ],
)
def test_what_follows_from_a_placement_counts_in_the_day(limits, terms, counted):
    limits.resume(4990, NOON)

    limits.note(*follower(**terms))

    assert passed(limits, Scope.PLACING, 10) == 10 - counted


def test_what_happens_to_a_leg_later_is_not_another_placement(limits):
    order, _ = follower(variety=Variety.ICEBERG, iceberg=leg(2))
    limits.resume(4990, NOON)

    limits.note(order, Cancelled(at=NOON, order_id=order.order_id, reason="asked"))

    assert passed(limits, Scope.PLACING, 10) == 10


@pytest.mark.parametrize(("terms", "counted"), [({}, 1), ({"squares_off": True}, 0), ({"parent_order_id": "SIM1"}, 0)])
def test_the_brokers_own_orders_are_not_placements(terms, counted):
    book = Book()
    book.apply(follower(**terms)[1])

    assert placed_on(NOON.date(), book) == counted
    assert placed_on(NOON.date() + timedelta(days=1), book) == 0


def test_a_refused_placement_counts_for_nothing(limits):
    begin = NOON.replace(microsecond=0)
    assert passed(limits, Scope.PLACING, 1000, begin) == 10

    minute_of_placements(limits, begin + SECOND, 390)

    assert refused(limits, Scope.PLACING, begin + 59 * SECOND) == "Too many requests"


def test_a_clock_that_was_set_back_begins_to_count_anew(limits):
    assert passed(limits, Scope.QUOTE, 2) == 1
    assert passed(limits, Scope.QUOTE, 2, NOON - timedelta(days=1)) == 1


def test_without_limits_everything_passes():
    assert passed(RateLimits(enabled=False), Scope.QUOTE, 100) == 100


def test_many_keys_do_not_fill_the_memory(limits):
    for number in range(5000):
        limits.check(Scope.OTHER, f"app{number}", NOON + number * SECOND)

    assert len(limits._in_second) <= 1


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/quote", Scope.QUOTE),
        ("GET", "/quote/ltp", Scope.QUOTE),
        ("GET", "/instruments/historical/408065/day", Scope.HISTORICAL),
        ("GET", "/instruments/NSE", Scope.OTHER),
        ("POST", "/orders/regular", Scope.PLACING),
        ("PUT", "/orders/regular/1", Scope.CHANGING),
        ("DELETE", "/orders/regular/1", Scope.CHANGING),
        ("GET", "/orders", Scope.OTHER),
        ("GET", "/orders/1", Scope.OTHER),
        ("POST", "/gtt/triggers", Scope.OTHER),
        ("POST", "/margins/orders", Scope.OTHER),
    ],
)
def test_a_request_is_counted_with_its_like(method, path, scope):
    assert scope_of(method, path) is scope
