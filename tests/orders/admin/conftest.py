"""Tara trades and may do everything. Vera only looks."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from tests.risk.admin.staff import SENT, person, viewer


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Keep refused requests, which are what many of these tests want, out of the log."""
    caplog.set_level(logging.CRITICAL, logger="django.request")


@pytest.fixture
def tara(db: None) -> Client:
    return person("tara", superuser=True)


@pytest.fixture
def vera(db: None) -> Client:
    return viewer()


@pytest.fixture
def act(tara: Client) -> Callable[..., Any]:
    """Send an action's dialog as Tara: the action's name, the row it is about, and the dialog's fields."""

    def send(action: str, row: Any = None, **fields: Any) -> Any:
        url = reverse(f"admin:{action}", args=[row.pk] if row is not None else [])
        return tara.post(url, {**SENT, **fields}, headers={"HX-Request": "true"})

    return send
