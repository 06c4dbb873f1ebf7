"""How the admin looks and what its sidebar lists: the theme's settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy


def _may_view(permission: str) -> Callable[[HttpRequest], bool]:
    return lambda request: request.user.has_perm(permission)


def _page(title: str, icon: str, model: str) -> dict[str, Any]:
    app, _, name = model.partition(".")
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:{app}_{name}_changelist"),
        "permission": _may_view(f"{app}.view_{name}"),
    }


UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Order Executor",
    "SITE_HEADER": "Order Executor",
    "SITE_SYMBOL": "candlestick_chart",
    "SITE_URL": None,
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("desk/favicon.svg")},
    ],
    "SHOW_VIEW_ON_SITE": False,
    "ENVIRONMENT_TITLE_PREFIX": "orders.admin.status_strip.title_prefix",
    "GLOBAL_CALLBACK": "orders.admin.status_strip.context",
    "BORDER_RADIUS": "6px",
    "STYLES": [lambda request: static("desk/desk.css")],
    "COLORS": {
        "primary": {
            "50": "oklch(97% .014 250)",
            "100": "oklch(93.2% .032 250)",
            "200": "oklch(88.2% .059 250)",
            "300": "oklch(80.9% .105 250)",
            "400": "oklch(70.7% .15 250)",
            "500": "oklch(62.3% .17 250)",
            "600": "oklch(54.6% .18 250)",
            "700": "oklch(48.8% .17 250)",
            "800": "oklch(42.4% .14 250)",
            "900": "oklch(37.9% .11 250)",
            "950": "oklch(28.2% .08 250)",
        },
    },
    "SIDEBAR": {
        "navigation": [
            {
                "title": "Trading",
                "items": [
                    _page("Orders", "receipt_long", "orders.order"),
                    _page("Signals", "sensors", "orders.signal"),
                    _page("Positions", "pie_chart", "orders.position"),
                    _page("Fills", "done_all", "orders.fill"),
                    _page("Decisions", "gavel", "orders.decision"),
                ],
            },
            {
                "title": "Risk",
                "separator": True,
                "items": [
                    _page("Trading control", "power_settings_new", "risk.tradingcontrol"),
                    _page("Risk settings", "tune", "risk.risksettings"),
                    _page("Limit changes", "approval", "risk.limitchange"),
                    _page("Instrument limits", "block", "risk.instrumentlimit"),
                    _page("Incidents", "report", "risk.incident"),
                    _page("Calendar", "calendar_month", "risk.calendarday"),
                    _page("Calendar years", "event_available", "risk.calendaryear"),
                    _page("Session hours", "schedule", "risk.sessionrule"),
                ],
            },
            {
                "title": "Broker",
                "separator": True,
                "items": [
                    _page("Session", "key", "orders.brokersession"),
                    _page("Instruments", "list_alt", "orders.instrument"),
                    _page("Executor", "favorite", "orders.executorheartbeat"),
                ],
            },
            {
                "title": "People",
                "separator": True,
                "items": [
                    _page("Users", "person", "auth.user"),
                    _page("Groups", "group", "auth.group"),
                ],
            },
        ],
    },
}
