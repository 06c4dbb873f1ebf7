"""Every list without a row: it says what it is for and how its first row comes, or that no row passes the filters."""

from __future__ import annotations

from collections.abc import Iterator
from html import unescape
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import NoReverseMatch, reverse

from orders.admin.empty_states import EMPTY
from tests.orders.admin.full_walk import choices
from tests.risk.admin.staff import person

NO_LISTS = {"risk_risksettings", "risk_tradingcontrol"}  # they lead to their one row


def lists() -> Iterator[tuple[str, Any, str]]:
    for model, page in admin.site._registry.items():
        name = f"{model._meta.app_label}_{model._meta.model_name}"
        if name not in NO_LISTS:
            yield name, page, reverse(f"admin:{name}_changelist")


@pytest.fixture
def nothing(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no list have a row, also of what the installation brings."""
    for _, page, _ in lists():
        monkeypatch.setattr(type(page), "get_queryset", lambda page, request: page.model._default_manager.none())


def read(client: Client, url: str, asked: dict[str, str] | None = None) -> str:
    answer = client.get(url, asked)
    assert answer.status_code == 200, url
    return " ".join(unescape(answer.content.decode()).split())


def test_every_list_has_its_sentences():
    assert {name for name, *_ in lists()} == EMPTY.keys()


def test_a_list_without_rows_says_what_it_is_for_and_how_the_first_comes(nothing, tara):
    for name, _, url in lists():
        page = read(tara, url)

        assert EMPTY[name].what in page, name
        assert EMPTY[name].first in page, name
        assert "Reset" not in page.split("desk-empty-state")[-1], name


def test_what_a_filter_or_a_search_leaves_nothing_of_can_be_reset(nothing, tara):
    asked_of = 0
    for name, page, url in lists():
        listing = tara.get(url).context["cl"]
        asked = {"q": "nothing has it"} if page.search_fields else None
        for spec in [] if asked else listing.filter_specs:
            asked = asked or next(choices(spec, listing), None)
        if asked is None:
            continue
        asked_of += 1

        told = read(tara, url, asked)

        assert "Nothing under this" in told, (name, asked)
        assert '<a href="?"' in told, name
        assert EMPTY[name].what not in told, name
    assert asked_of > 20


def test_the_page_that_helps_is_offered_to_who_may_open_it(nothing):
    url = reverse("admin:orders_order_changelist")
    trader, viewer = person("tom", "view_order", "place_order"), person("vic", "view_order")

    assert 'href="/admin/orders/order/ticket/">New order</a>' in read(trader, url).split("desk-empty-state")[-1]
    assert "New order</a>" not in read(viewer, url).split("desk-empty-state")[-1]


def test_every_page_that_helps_exists():
    for name, state in EMPTY.items():
        if state.link is not None:
            try:
                reverse(state.link[1])
            except NoReverseMatch:
                pytest.fail(f"{name} leads nowhere")
