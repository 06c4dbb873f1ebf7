"""Rita runs the risk desk: she may change the limits. Adam may approve what loosens them. Vera only looks."""

from __future__ import annotations

import logging

import pytest
from django.test import Client

from .staff import person, viewer


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Keep refused requests, which are what many of these tests want, out of the log."""
    caplog.set_level(logging.CRITICAL, logger="django.request")


@pytest.fixture
def rita(db: None) -> Client:
    return person("rita", "view_risksettings", "change_risksettings", "view_risksettingsversion", "view_limitchange")


@pytest.fixture
def adam(db: None) -> Client:
    return person("adam", "view_risksettings", "view_limitchange", "approve_limits")


@pytest.fixture
def vera(db: None) -> Client:
    return viewer()
