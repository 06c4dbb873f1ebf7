"""Every page of the back office on the staged day: where it is, and what it is for, in one sentence."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.models import Group, User

from orders.models import Alert, Decision, EndOfDay, Order, Position, Signal
from risk.models import CalendarWish, Incident, InstrumentLimit, LimitChange, RiskSettingsVersion, TradingControl


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One page. `writes` is filled in, and `opens` the name of the button that is pressed to show its dialog."""

    name: str
    path: str
    says: str
    opens: str = ""
    writes: tuple[tuple[str, str], ...] = ()
    waits_for: str = ""


def pages_of_the_day() -> list[Shown]:
    """Return the pages at a quarter past two, in the order in which a person meets them."""
    part, resting = Order.objects.get(status="PARTIALLY_FILLED"), Order.objects.get(symbol="ITC")
    signal, denied = Signal.objects.get(signal_type="SELL", status="APPROVED"), Signal.objects.get(status="DENIED")
    position = Position.objects.get(symbol="RELIANCE")
    refused = Decision.objects.filter(order=None, signal=None, modification=None).last()
    assert refused is not None
    return [
        Shown(name="overview", path="", says="The day at a glance: result, exposure, limits, what waits for a person."),
        Shown(name="start-of-day", path="start-of-day/", says="What must be right before trading begins."),
        Shown(
            name="ticket",
            path="orders/order/ticket/?symbol=NSE:RELIANCE&side=BUY",
            writes=(("Limit price", "1562"), ("Shares", "15")),
            waits_for="Approved",
            says="A person's order, with the risk desk's verdict beside it while it is written.",
        ),
        Shown(name="orders", path="orders/order/", says="The blotter: today's orders and every unfinished one."),
        Shown(
            name="order", path=f"orders/order/{part.pk}/change/", says="One order, followed from its wish to its fills."
        ),
        Shown(
            name="modify",
            path=f"orders/order/{resting.pk}/change/",
            opens="Modify",
            says="Another price or quantity, under the controls of a new order.",
        ),
        Shown(name="signals", path="orders/signal/", says="Every signal and what became of it, in words."),
        Shown(name="signal", path=f"orders/signal/{signal.pk}/change/", says="A signal that closed a position."),
        Shown(name="signal-denied", path=f"orders/signal/{denied.pk}/change/", says="A denied signal, and why."),
        Shown(
            name="signals-to-close",
            path="orders/missedexit/",
            says="Signals to close that were not acted on wait here, with an exit.",
        ),
        Shown(name="decisions", path="orders/decision/", says="What the risk desk decided."),
        Shown(
            name="decision",
            path=f"orders/decision/{refused.pk}/change/",
            says="Every control's verdict: what was measured, and the limit.",
        ),
        Shown(name="positions", path="orders/position/", says="What our own fills hold, beside the broker's count."),
        Shown(name="position", path=f"orders/position/{position.pk}/change/", says="One position and its history."),
        Shown(
            name="exit",
            path=f"orders/position/{position.pk}/change/",
            opens="Exit",
            says="Getting out says first what it will send.",
        ),
        Shown(name="holdings", path="orders/holding/", says="What the broker holds in demat, beside our fills."),
        Shown(name="fills", path="orders/fill/", says="Every execution, and what they add up to."),
        *_pages_of_the_desk(),
    ]


def _pages_of_the_desk() -> list[Shown]:
    """Return those of the risk desk, of the broker and of the staff."""
    incident = Incident.objects.get(kind="ORDER_IN_DOUBT")
    control, change = TradingControl.objects.get(mode="PAPER"), LimitChange.objects.get()
    return [
        Shown(name="control", path=f"risk/tradingcontrol/{control.pk}/change/", says="The switch, and who turned it."),
        Shown(name="stop", path="orders/order/", opens="STOP", says="STOP, from any page."),
        Shown(name="limits", path="risk/risksettings/1/change/", says="The limits, each with its unit."),
        Shown(name="limit-changes", path="risk/limitchange/", says="What loosens a limit waits for a second person."),
        Shown(name="limit-change", path=f"risk/limitchange/{change.pk}/change/", says="One wish to loosen, to answer."),
        Shown(name="instrument-limits", path="risk/instrumentlimit/", says="The limits of single symbols."),
        Shown(name="incidents", path="risk/incident/", says="What a person must look at."),
        Shown(
            name="incident", path=f"risk/incident/{incident.pk}/change/", says="What happened, and what to do about it."
        ),
        Shown(name="calendar", path="risk/calendarday/", says="The exchange's holidays and special sessions."),
        Shown(name="hours", path="risk/sessionrule/", says="The exchange's hours, with their source."),
        Shown(name="session", path="orders/brokersession/", says="The login at the broker."),
        Shown(
            name="executor", path="orders/executorheartbeat/", says="Which executor leads, and when it was last seen."
        ),
        Shown(name="audit", path="risk/auditentry/", says="Every change, with who and why."),
        Shown(name="people", path="auth/user/", says="The staff and their roles."),
        Shown(name="help", path="help/", says="Every word and every control."),
        Shown(name="runbooks", path="runbooks/", says="What to do on a bad day, step by step."),
    ]


def further_pages() -> list[Shown]:
    """Return the pages that nobody takes a picture of."""
    rita, group, limit = User.objects.get(username="rita"), Group.objects.first(), InstrumentLimit.objects.get()
    version, wish = RiskSettingsVersion.objects.latest("pk"), CalendarWish.objects.get()
    filled = Order.objects.get(symbol="RELIANCE", quantity=20)
    paths = (
        f"orders/order/{filled.pk}/change/",
        "orders/instrument/?q=RELIANCE",
        "orders/brokersession/1/change/",
        "risk/risksettings/1/history/",
        f"risk/risksettingsversion/{version.pk}/change/",
        f"risk/instrumentlimit/{limit.pk}/change/",
        "risk/calendarday/add/",
        "risk/calendaryear/",
        "risk/calendarwish/",
        f"risk/calendarwish/{wish.pk}/change/",
        "auth/user/add/",
        f"auth/user/{rita.pk}/change/",
        f"auth/group/{group.pk if group else 0}/change/",
        "axes/accesslog/",
        "axes/accessattempt/",
        "risk/auditseal/",
        "orders/missedexit/?view=all",
        "orders/goinglivestep/",
        "orders/lineproof/",
        "orders/shadowquote/",
        "shadow/",
        "password_change/",
        "second-factor/",
        "orders/endofday/",
        "orders/alert/",
        f"orders/alert/{Alert.objects.earliest('pk').pk}/change/",
        "api/",
        "orders/apitoken/",
    )
    dialog = Shown(name="new token", path="orders/apitoken/", opens="New token", says="")
    return [*(Shown(name=path, path=path, says="") for path in paths), dialog]


def report_of_the_day() -> Shown:
    """Return the page of the report, once it is taken."""
    report = EndOfDay.objects.get()
    says = "The day's report, our book held against the broker's."
    return Shown(name="end-of-day", path=f"orders/endofday/{report.pk}/change/", says=says)
