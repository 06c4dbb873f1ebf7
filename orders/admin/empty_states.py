"""What a list says that has no rows: what it is for, and how its first row comes about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.admin.views.main import ChangeList
from django.template import Library, RequestContext
from django.urls import reverse

register = Library()  # known to templates as `empty_states`, by the settings


@dataclass(frozen=True, kw_only=True)
class EmptyState:
    """`link` names a page that helps, for who has the permission: (its title, its name, the permission)."""

    what: str
    first: str
    link: tuple[str, str, str] | None = None


_NEW_ORDER = ("New order", "admin:orders_ticket", "orders.place_order")
_ORDERS = ("Orders", "admin:orders_order_changelist", "orders.view_order")
_CONTROL = ("Trading control", "admin:risk_tradingcontrol_changelist", "risk.view_tradingcontrol")
_SETTINGS = ("Risk settings", "admin:risk_risksettings_changelist", "risk.view_risksettings")
_CALENDAR = ("Calendar", "admin:risk_calendarday_changelist", "risk.view_calendarday")
_START = ("Start of day", "start_of_day", "risk.view_tradingcontrol")

# By the names of the lists' addresses, without what all of them end with.
EMPTY = {
    "orders_order": EmptyState(
        what="Orders of today and every unfinished one stand here; older ones under Every day.",
        first="A signal makes one while auto-trading is on, a person with New order.",
        link=_NEW_ORDER,
    ),
    "orders_signal": EmptyState(
        what="What strategies publish on Redis stands here, whatever became of it.",
        first="On paper the button above sends one; so does manage.py publish_signal. The executor must run.",
        link=_START,
    ),
    "orders_missedexit": EmptyState(
        what="Signals to close that were not acted on wait here, until their position is flat.",
        first="None waits. One comes when a signal to close is refused, ignored or expired while shares are held.",
        link=("Signals", "admin:orders_signal_changelist", "orders.view_signal"),
    ),
    "orders_goinglivestep": EmptyState(
        what="What was said of the steps stands here: passed, gone past with a reason, begun anew.",
        first="The present step is above. When it is green, press Pass the step: nothing is said by itself.",
        link=_START,
    ),
    "orders_lineproof": EmptyState(
        what="Each proof that an order reaches the broker, and is cancelled there, stands here with its stages.",
        first="Going live → Prove the line begins one, on paper to rehearse it, in live once it is armed.",
        link=("Going live", "admin:orders_goinglivestep_changelist", "orders.view_goinglivestep"),
    ),
    "orders_shadowquote": EmptyState(
        what="The real market beside the orders of the shadow stands here: when each left, and at the close.",
        first="With SHADOW=true and the credentials of Kite, the first order leaves one.",
        link=("Shadow report", "shadow_report", "orders.view_decision"),
    ),
    "orders_position": EmptyState(
        what="What our own fills opened stands here, beside what the broker has of it.",
        first="The first fill of a symbol opens its position. What was open once is under All.",
        link=_ORDERS,
    ),
    "orders_holding": EmptyState(
        what="What the broker holds in demat stands here, whoever bought it, as its book told it last.",
        first="Shares bought for delivery are a holding from the next trading day on; until then they are a position.",
        link=("Positions", "admin:orders_position_changelist", "orders.view_position"),
    ),
    "orders_fill": EmptyState(
        what="Each execution at the exchange stands here, once.",
        first="The broker's book tells it when an order fills; a person marks one by hand on the order's page.",
        link=_ORDERS,
    ),
    "orders_decision": EmptyState(
        what="What the risk desk said of each order that was wished for stands here, with the facts it saw.",
        first="The first signal, or the first order by hand, is decided.",
        link=_NEW_ORDER,
    ),
    "orders_endofday": EmptyState(
        what="A report of each trading day stands here, with both books held against each other.",
        first="The executor takes it after the close; Take a report above does so for a day that was missed.",
    ),
    "orders_alert": EmptyState(
        what="What leaves the screen stands here, and how each channel took it.",
        first="An order filled or rejected, a halt, a limit that nears: the first of them makes one, while "
        "manage.py send_alerts runs.",
        link=("Incidents", "admin:risk_incident_changelist", "risk.view_incident"),
    ),
    "orders_flatten": EmptyState(
        what="Each time that somebody closed everything stands here, position by position.",
        first="Trading control → Flatten asks for one.",
        link=_CONTROL,
    ),
    "orders_apitoken": EmptyState(
        what="The tokens by which programs use the JSON API stand here: whose each is, what for, and when it was used.",
        first="New token makes one. So does manage.py api_token.",
        link=("JSON API", "api_reference", "orders.manage_apitoken"),
    ),
    "orders_brokersession": EmptyState(
        what="The login at the broker stands here, and how long it holds.",
        first="The executor makes it at its first start.",
        link=_START,
    ),
    "orders_instrument": EmptyState(
        what="What can be traded stands here, with lots and ticks.",
        first="The executor reads the broker's list at its start and every morning. Without it no order is made.",
        link=_START,
    ),
    "orders_executorheartbeat": EmptyState(
        what="The executor that leads stands here, and how long ago it was seen.",
        first="Start it: make run, or manage.py listen_signals. Without it nothing is heard and nothing is sent.",
        link=_START,
    ),
    "risk_tradingcontrolevent": EmptyState(
        what="Each change of the switch stands here: who, when and why.",
        first="Halt, reduce only, resume and auto-trading on or off each leave one.",
        link=_CONTROL,
    ),
    "risk_risksettingsversion": EmptyState(
        what="The limits stand here as they were from one save to the next, with what each changed.",
        first="The first start makes version 1; every save of the Risk settings makes another.",
        link=_SETTINGS,
    ),
    "risk_limitchange": EmptyState(
        what="What loosens a limit waits here, or says how it ended.",
        first="A limit that is made looser on the Risk settings page, or of one symbol, comes here.",
        link=_SETTINGS,
    ),
    "risk_instrumentlimit": EmptyState(
        what="Limits of one symbol stand here: blocked, capped, or one product only. The tighter of both holds.",
        first="Add one above. Without any, the limits of all orders are the only ones.",
    ),
    "risk_incident": EmptyState(
        what="What a person must look at stands here, with what to do about it.",
        first="Nothing happened yet. The executor opens one when something does, and the strip on top counts it.",
    ),
    "risk_calendarday": EmptyState(
        what="Holidays, and days with hours of their own, stand here.",
        first="Load the exchange's file above, or add a day. In a year that is not complete nothing is opened.",
    ),
    "risk_calendaryear": EmptyState(
        what="The years of which every holiday is known stand here.",
        first="Loading the exchange's file as complete adds one. In the others nothing is opened in live.",
        link=_CALENDAR,
    ),
    "risk_sessionrule": EmptyState(
        what="The hours of each group of instruments stand here, from the date on which they begin.",
        first="The installation brings them. Without any, the market is closed.",
        link=_CALENDAR,
    ),
    "risk_calendarwish": EmptyState(
        what="What would open the market waits here for a second person, or says how it ended.",
        first="A holiday removed, a session added or a year completed comes here.",
        link=_CALENDAR,
    ),
    "risk_calendarchange": EmptyState(
        what="Each change of the calendar stands here: who, when, why and from what to what.",
        first="Loading a file, or a day that is added or removed, leaves one.",
        link=_CALENDAR,
    ),
    "risk_auditentry": EmptyState(
        what="Every change of every row stands here, whoever made it and however.",
        first="The database writes the first entry with the first change. If there are orders and none is here, "
        "the trail is not protected: run manage.py migrate.",
    ),
    "risk_auditseal": EmptyState(
        what="The seals that chain the audit trail stand here.",
        first="The executor seals every minute in which something changed; so does manage.py seal_audit.",
    ),
    "auth_user": EmptyState(
        what="Who may log in stands here, with a role each.",
        first="Add a user above. The first one is made at the first start; its password is in .local/admin_password.",
    ),
    "auth_group": EmptyState(
        what="The roles stand here, and groups of this installation's own.",
        first="manage.py migrate makes the four roles.",
    ),
    "axes_accesslog": EmptyState(
        what="Each log-in and log-out stands here.", first="The first log-in after the installation leaves one."
    ),
    "axes_accessattempt": EmptyState(
        what="Names and addresses that guessed passwords stand here, and whether they are locked out.",
        first="Nobody typed a wrong password lately. After five wrong ones it locks out for fifteen minutes.",
    ),
}


@register.simple_tag(takes_context=True)
def empty_state(context: RequestContext, listing: ChangeList) -> dict[str, Any]:
    """Return what the list says that has no rows, with the page that helps where this person may open it."""
    opts = listing.opts
    state = EMPTY.get(f"{opts.app_label}_{opts.model_name}")
    if state is None:
        return {}
    title, page, permission = state.link or ("", "", "")
    allowed = bool(page) and context.request.user.has_perm(permission)
    return {"what": state.what, "first": state.first, "title": title, "url": reverse(page) if allowed else ""}
