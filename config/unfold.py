"""How the admin looks and what its sidebar lists: the theme's settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse, reverse_lazy


def _may(permission: str) -> Callable[[HttpRequest], bool]:
    return lambda request: request.user.has_perm(permission)


def _is_an_order_s_page(request: HttpRequest) -> bool:
    """Return whether Orders is where the page belongs: the ticket is below it, and has an entry of its own."""
    orders = reverse("admin:orders_order_changelist")
    return request.path.startswith(orders) and not request.path.startswith(reverse("admin:orders_ticket"))


def _page(title: str, icon: str, model: str, *, badge: str = "") -> dict[str, Any]:
    """Return an entry; `badge` names what counts, on every page, what waits there."""
    app, _, name = model.partition(".")
    return {
        **({"badge": badge, "badge_variant": "warning"} if badge else {}),
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:{app}_{name}_changelist"),
        "permission": _may(f"{app}.view_{name}"),
    }


def _view(title: str, icon: str, name: str, permission: Callable[[HttpRequest], bool]) -> dict[str, Any]:
    return {"title": title, "icon": icon, "link": reverse_lazy(name), "permission": permission}


def _of_the_staff(request: HttpRequest) -> bool:
    return request.user.is_active and request.user.is_staff


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
    "COMMAND": {"search_callback": "orders.admin.palette.search"},
    "BORDER_RADIUS": "6px",
    "STYLES": [lambda request: static("desk/desk.css"), lambda request: static("desk/dashboard.css")],
    "SCRIPTS": [lambda request: static("desk/fresh.js"), lambda request: static("desk/accessible.js")],
    "DASHBOARD_CALLBACK": "orders.admin.dashboard.context",
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
    "ACCOUNT": {
        "navigation": [
            {"title": "Second factor", "link": reverse_lazy("second_factor")},
            {"title": "Change password", "link": reverse_lazy("admin:password_change")},
        ],
    },
    "SIDEBAR": {
        "navigation": [
            {
                "title": "The day",
                "items": [
                    _view("Overview", "monitoring", "admin:index", _of_the_staff),
                    _view("Start of day", "checklist", "start_of_day", _may("risk.view_tradingcontrol")),
                    _page("Going live", "rocket_launch", "orders.goinglivestep"),
                    _view("Help", "help", "help", _of_the_staff),
                    _view("Runbooks", "emergency", "runbooks", _of_the_staff),
                    _view("JSON API", "api", "api_reference", _of_the_staff),
                ],
            },
            {
                "title": "Trading",
                "separator": True,
                "items": [
                    {
                        "title": "New order",
                        "icon": "add_shopping_cart",
                        "link": reverse_lazy("admin:orders_ticket"),
                        "permission": _may("orders.place_order"),
                    },
                    {**_page("Orders", "receipt_long", "orders.order"), "active": _is_an_order_s_page},
                    _page("Signals", "sensors", "orders.signal"),
                    _page(
                        "Signals to close",
                        "notification_important",
                        "orders.missedexit",
                        badge="orders.admin.signals_to_close.waiting_badge",
                    ),
                    _page("Positions", "pie_chart", "orders.position"),
                    _page("Holdings", "savings", "orders.holding"),
                    _page("Fills", "done_all", "orders.fill"),
                    _page("Decisions", "gavel", "orders.decision"),
                    _page("End of day", "summarize", "orders.endofday"),
                ],
            },
            {
                "title": "Risk",
                "separator": True,
                "items": [
                    _page("Trading control", "power_settings_new", "risk.tradingcontrol"),
                    _page("Risk settings", "tune", "risk.risksettings"),
                    _page("Limit changes", "approval", "risk.limitchange", badge="risk.admin.waiting.limits_badge"),
                    _page("Instrument limits", "block", "risk.instrumentlimit"),
                    _page("Incidents", "report", "risk.incident"),
                    _page("Alerts", "notifications", "orders.alert"),
                    _page("Calendar", "calendar_month", "risk.calendarday"),
                    _page("Calendar years", "event_available", "risk.calendaryear"),
                    _page("Session hours", "schedule", "risk.sessionrule"),
                    _page(
                        "Calendar wishes",
                        "pending_actions",
                        "risk.calendarwish",
                        badge="risk.admin.waiting.calendar_badge",
                    ),
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
                    _view("API tokens", "key", "admin:orders_apitoken_changelist", _may("orders.manage_apitoken")),
                    _page("Log-ins", "login", "axes.accesslog"),
                    _page("Lock-outs", "lock_person", "axes.accessattempt"),
                ],
            },
            {
                "title": "Audit",
                "separator": True,
                "items": [
                    _page("Audit trail", "history", "risk.auditentry"),
                    _page("Seals", "verified", "risk.auditseal"),
                ],
            },
        ],
    },
}
