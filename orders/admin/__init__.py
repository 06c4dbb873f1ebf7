from django.contrib import admin

from orders.admin import (
    audit,
    blotter,
    broker_login,
    decisions,
    ends_of_day,
    fills,
    flattens,
    heartbeats,
    holdings,
    incidents,
    instrument_limits,
    instruments,
    limits,
    lock_outs,
    people,
    positions,
    second_factor,
    signals,
    signals_to_close,
    trading_control,
)

__all__ = [
    "audit",
    "blotter",
    "broker_login",
    "decisions",
    "ends_of_day",
    "fills",
    "flattens",
    "heartbeats",
    "holdings",
    "incidents",
    "instrument_limits",
    "instruments",
    "limits",
    "lock_outs",
    "people",
    "positions",
    "second_factor",
    "signals",
    "signals_to_close",
    "trading_control",
]

admin.site.index_title = "Overview"
