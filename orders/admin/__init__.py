from django.contrib import admin

from orders.admin import (
    blotter,
    broker_login,
    decisions,
    fills,
    heartbeats,
    incidents,
    instrument_limits,
    instruments,
    limits,
    people,
    positions,
    signals,
    trading_control,
)

__all__ = [
    "blotter",
    "broker_login",
    "decisions",
    "fills",
    "heartbeats",
    "incidents",
    "instrument_limits",
    "instruments",
    "limits",
    "people",
    "positions",
    "signals",
    "trading_control",
]

admin.site.index_title = "Overview"
