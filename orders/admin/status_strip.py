"""
The strip on top of every page: which mode, may orders leave, is the executor alive, does anything need a person.

It renews itself every few seconds; three small queries each time.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from orders.models import ExecutorHeartbeat
from risk.admin.display import ago
from risk.engine.facts import TradingState
from risk.models import Incident, TradingControl

NO_EXECUTOR_AFTER_SECONDS = 10
_TONES = {
    TradingState.ACTIVE.value: "good",
    TradingState.REDUCE_ONLY.value: "warning",
    TradingState.HALTED.value: "bad",
}


def context(request: HttpRequest) -> dict[str, Any]:
    """Add the strip to the context of every admin page."""
    return {"strip": strip(timezone.now())} if admin.site.has_permission(request) else {}


def show(request: HttpRequest) -> HttpResponse:
    """Answer with a fresh strip. Who is logged out gets no login page into it, but a 401 that greys it."""
    if not admin.site.has_permission(request):
        return HttpResponse(status=401)
    return render(request, "desk/status_strip.html", context(request))


def strip(now: datetime) -> dict[str, Any]:
    mode = settings.TRADING_MODE
    control = TradingControl.objects.filter(mode=mode).first()
    beat_at = ExecutorHeartbeat.objects.filter(mode=mode).values_list("beat_at", flat=True).first()
    alive = beat_at is not None and (now - beat_at).total_seconds() <= NO_EXECUTOR_AFTER_SECONDS
    return {
        "mode": mode,
        "state": control.get_state_display() if control else "unknown",
        "state_tone": _TONES[control.state] if control else "bad",
        "auto_trading": bool(control and control.auto_trading),
        "alive": alive,
        "age": ago(beat_at, now) if beat_at else "",
        "incidents": Incident.objects.unresolved().filter(mode=mode).count(),
        "at": timezone.localtime(now),
    }


def title_prefix(request: HttpRequest) -> str:
    """Return what the browser's tab says first."""
    return f"{settings.TRADING_MODE} ·"
