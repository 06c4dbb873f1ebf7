"""The checks before trading begins, and behind each the page where a person sees to it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from orders.desk import Desk, DeskNotWired
from orders.start_of_day import Check, State, checks, is_ready
from risk.admin.display import Tone, badge

_BADGES = {
    State.GOOD: ("Good", Tone.GOOD, "check"),
    State.WARNING: ("Look", Tone.WARNING, "warning"),
    State.BAD: ("Not ready", Tone.BAD, "close"),
}


def show(request: HttpRequest) -> HttpResponse:
    """Show the list; with `?part=list` the list alone, which the page asks for by itself."""
    if not request.user.has_perm("risk.view_tradingcontrol"):
        raise PermissionDenied
    found = _checks()
    context: dict[str, Any] = {
        "checks": [
            {"check": check, "badge": badge(*_BADGES[check.state]), "page": _page(request, check.page)}
            for check in found
        ],
        "ready": is_ready(found),
        "to_do": sum(check.state == State.BAD for check in found),
        "to_look_at": sum(check.state == State.WARNING for check in found),
        "as_of": timezone.localtime(),
    }
    if request.GET.get("part") == "list":
        return TemplateResponse(request, "desk/start_of_day_list.html", context)
    context |= {**admin.site.each_context(request), "title": "Start of day"}
    return TemplateResponse(request, "desk/start_of_day.html", context)


def _page(request: HttpRequest, name: str) -> str:
    """Return where a person sees to it, empty for one who may not open that page."""
    if not name:
        return ""
    app, model, _ = name.split("_")
    return reverse(f"admin:{name}") if request.user.has_perm(f"{app}.view_{model}") else ""


def _checks() -> list[Check]:
    try:
        return checks(Desk.from_settings(), timezone.now())
    except DeskNotWired as trouble:
        return [Check(title="Broker", state=State.BAD, measured=str(trouble))]
