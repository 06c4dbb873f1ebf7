"""
The strip on top of every page: which mode, may orders leave, is the executor alive, how long does the login hold, does
anything need a person; and the button that stops.

It renews itself every few seconds with a few small queries. What cannot be renewed greys: `static/desk/fresh.js`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db.models import Count, OuterRef, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from orders.models import BrokerSession, ExecutorHeartbeat
from orders.start_of_day import LOGIN_ENDS_SOON
from risk.admin.display import ago
from risk.engine.facts import TradingState
from risk.models import Incident, Mode, TradingControl

_TONES = {
    TradingState.ACTIVE.value: "good",
    TradingState.REDUCE_ONLY.value: "warning",
    TradingState.HALTED.value: "bad",
}


def context(request: HttpRequest) -> dict[str, Any]:
    """Add the strip to the context of every admin page."""
    if not admin.site.has_permission(request):
        return {}
    found = strip(timezone.now())
    return {"strip": found, "may_stop": bool(found["control"]) and request.user.has_perm("risk.halt_trading")}


def show(request: HttpRequest) -> HttpResponse:
    """Answer with a fresh strip. Who is logged out gets no login page into it, but a 401 that greys it."""
    if not admin.site.has_permission(request):
        return HttpResponse(status=401)
    return render(request, "desk/status_strip.html", {"strip": strip(timezone.now())})


def strip(now: datetime) -> dict[str, Any]:
    mode = settings.TRADING_MODE
    of_the_mode = Incident.objects.unresolved().filter(mode=OuterRef("mode")).order_by().values("mode")
    incidents = Coalesce(Subquery(of_the_mode.annotate(many=Count("pk")).values("many")), 0)
    beats = ExecutorHeartbeat.objects.filter(mode=OuterRef("mode")).values("beat_at")[:1]
    found = TradingControl.objects.filter(mode=mode).annotate(open_incidents=incidents, beat_at=Subquery(beats))
    control = found.first()
    beat_at = getattr(control, "beat_at", None)
    return {
        "mode": mode,
        "control": control.pk if control else None,
        "state": control.get_state_display() if control else "unknown",
        "state_tone": _TONES[control.state] if control else "bad",
        "auto_trading": bool(control and control.auto_trading),
        "alive": beat_at is not None and ExecutorHeartbeat(beat_at=beat_at).is_alive(now),
        "age": ago(beat_at, now) if beat_at else "",
        "login": login_left(now, mode) if mode != Mode.PAPER else None,
        "incidents": getattr(control, "open_incidents", 0),
        "at": timezone.localtime(now),
    }


def login_left(now: datetime, mode: str = Mode.LIVE) -> dict[str, str]:
    """Return how long the login at the broker still holds, in words, and its tone."""
    session = BrokerSession.objects.filter(mode=mode).first()
    if session is None or session.refused_at is not None or session.valid_until is None or session.valid_until <= now:
        return {"tone": "bad", "left": ""}
    left = session.valid_until - now
    hours, minutes = divmod(int(left.total_seconds()) // 60, 60)
    return {
        "tone": "warning" if left < LOGIN_ENDS_SOON else "good",
        "left": f"{hours} h {minutes:02} min" if hours else f"{minutes} min",
    }


def title_prefix(request: HttpRequest) -> str:
    """Return what the browser's tab says first."""
    return f"{settings.TRADING_MODE} ·"
