"""
Whether the desk is ready to trade: one check after the other, in the order in which a person sees to them.

Each says what was measured and, when it is not good, what to do. None asks the broker: what the executor keeps is
looked at, and how old it is. The page and `manage.py start_of_day` show the same list.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from django.conf import settings
from django.core.checks import run_checks
from django.db import connection

from orders import session_hours
from orders.backup_files import AGE_MAX, newest
from orders.desk import Desk, rupees
from orders.leadership import standing_by
from orders.models import BrokerSession, ExecutorHeartbeat, Order
from orders.receivers import channel_listeners
from risk import calendar, limit_versions
from risk.engine.facts import TradingState
from risk.engine.limits import RECONCILED_AGE_MAX_SECONDS
from risk.engine.loosening import above_ceilings, contradictions
from risk.engine.sessions import MUMBAI, MarketSession, Phase
from risk.models import CalendarWish, Incident, Mode, RiskSettings, TradingControl

CLOCKS_APART_MAX = timedelta(seconds=2)
LOGIN_ENDS_SOON = timedelta(minutes=30)
COMPARED_LATELY = timedelta(seconds=90)  # the book is compared every minute
STREAM_SILENT_AFTER = timedelta(seconds=30)
FUNDS_OLD_AFTER = timedelta(minutes=5)
CARRIED_OUT_LATE = timedelta(minutes=1)  # the executor does it within seconds, when it is idle


class State(StrEnum):
    """BAD must be seen to before trading; WARNING a person should know."""

    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that must hold. `page` names the admin page where a person sees to it."""

    title: str
    state: State
    measured: str
    what_to_do: str = ""
    page: str = ""


@dataclass(frozen=True, kw_only=True)
class Morning:
    """What the checks look at, read once."""

    desk: Desk
    now: datetime
    session: BrokerSession | None
    control: TradingControl
    limits: RiskSettings


def checks(desk: Desk, now: datetime) -> list[Check]:
    """Return every check, with auto-trading last: it is turned on when the others are good."""
    morning = Morning(
        desk=desk,
        now=now,
        session=BrokerSession.objects.filter(mode=desk.mode).first(),
        control=TradingControl.objects.get(mode=desk.mode),
        limits=limit_versions.in_force(now=now),
    )
    return [check(morning) for check in CHECKS]


def is_ready(found: list[Check]) -> bool:
    return all(check.state != State.BAD for check in found)


def _executor(morning: Morning) -> Check:
    title, page = "Executor", "orders_executorheartbeat_changelist"
    beat = ExecutorHeartbeat.objects.filter(mode=morning.desk.mode).first()
    if beat is None or not beat.is_alive(morning.now):
        last = f"last seen {_at(beat.beat_at, morning.now)}" if beat else "never seen"
        return _bad(title, last, "Start it: make run, or manage.py listen_signals. Nothing is sent without it.", page)
    waiting = standing_by(morning.desk.mode)
    measured = f"{beat} leads, {waiting or 'none'} standing by"
    if waiting == 0 and morning.desk.is_live:
        return _warning(title, measured, "A second listen_signals would take over when this one dies.", page)
    return _good(title, measured, page)


def _login(morning: Morning) -> Check:
    title, page, session, now = "Login at the broker", "orders_brokersession_changelist", morning.session, morning.now
    if morning.desk.mode == Mode.PAPER:
        return _good(title, "the paper Kite needs none", page)
    until = session.valid_until if session else None
    if until is None or not morning.desk.vault.is_valid(now):
        was = "refused by Kite" if session and session.refused_at else "none that is valid now"
        return _bad(title, was, "Log in to Kite: manage.py kite_login says where. Nothing is sent before that.", page)
    measured = f"valid until {_at(until, now)}"
    if until - now < LOGIN_ENDS_SOON:
        return _warning(title, measured, "Log in again when it ends: until then nothing can be sent.", page)
    return _good(title, measured, page)


def _armed(morning: Morning) -> Check:
    title, page = "Armed for live orders", "risk_tradingcontrol_changelist"
    if not morning.desk.is_live:
        return _good(title, "what goes to a paper Kite needs no arming", page)
    armed, user = morning.control.armed_user_id, morning.session.user_id if morning.session else ""
    if not armed or armed != user:
        measured = f"armed for {armed or 'nobody'}, logged in as {user or 'nobody'}"
        return _bad(title, measured, "Trading control → Arm live, typing the Kite user id that may trade.", page)
    return _good(title, f"for {armed}", page)


def _set_up(morning: Morning) -> Check:
    title = "Set up for live money"
    if morning.desk.mode == Mode.PAPER:  # a shadow desk holds the real account's secrets as well
        return _good(title, "paper asks for no more")
    found = run_checks(tags=["live"], include_deployment_checks=True, databases=["default"])
    if found:
        what = "manage.py check --deploy --database default names them all, with what to do."
        return _warning(title, f"{len(found)} unsafe, such as: {found[0].msg}", what)
    return _good(title, "nothing unsafe is known")


def _limits(morning: Morning) -> Check:
    title, page, numbers = "Limits", "risk_risksettings_changelist", morning.limits.numbers()
    measured = f"version {morning.limits.version}, {len(numbers)} limits"
    if missing := [RiskSettings.label(name) for name, value in numbers.items() if value is None]:
        return _bad(title, f"not set: {', '.join(missing)}", "Set them: without them nothing is opened.", page)
    if against := contradictions(numbers):
        return _bad(title, f"they contradict: {against[0].why}", "Put them in order on Risk settings.", page)
    if above := above_ceilings(numbers, settings.LIMIT_CEILINGS):
        told = f"{measured}; above its ceiling: {', '.join(map(RiskSettings.label, above))}"
        return _warning(title, told, "Tighten it, or raise the ceiling in the settings.", page)
    return _good(title, measured, page)


def _environment(morning: Morning) -> Check:
    title, page = "Limits and the environment", "risk_risksettings_changelist"
    differ = limit_versions.differences(settings.FIRST_LIMITS, now=morning.now, current=morning.limits)
    if not differ:
        return _good(title, "they say the same", page)
    told = "; ".join(
        f"{RiskSettings.label(name)}: {theirs} there, {ours} here" for name, (theirs, ours) in differ.items()
    )
    return _warning(title, told, "What Risk settings says is in force. Bring the two in line when you can.", page)


def _calendar(morning: Morning) -> Check:
    title, page, now = "The exchange's calendar", "risk_calendarday_changelist", morning.now
    if not morning.desk.keeps_market_hours:
        return _good(title, "the paper market is open round the clock", page)
    known = calendar.load()
    today = known.session(session_hours.SHARES[-1], now)
    if not today.year_complete:
        what = "Load the exchange's list of holidays: until then nothing is opened."
        return _bad(title, f"{now.astimezone(MUMBAI):%Y} is not complete", what, page)
    if today.lacks_hours:
        return _bad(title, f"{today.day_name}: its hours are not known", "Enter them on the Calendar page.", page)
    if today.opens_at is None:
        again = f"; opens again {_at(today.next_open_at, now)}" if today.next_open_at else ""
        return _warning(title, f"no session today{_named(today)}{again}", "Nothing is sent today.", page)
    if lacking := known.years_lacking(now.astimezone(MUMBAI).date()):
        return _warning(
            title, f"{_hours(today)}; {lacking[0]} is not complete", "Load its holidays before it begins.", page
        )
    return _good(title, _hours(today), page)


def _calendar_wishes(morning: Morning) -> Check:
    """A limit that is due holds, written or not; the market stays closed until the calendar is changed."""
    title, page = "Changes of the calendar", "risk_calendarwish_changelist"
    waiting = CalendarWish.objects.pending().order_by("due_at", "pk").values_list("due_at", flat=True)
    due = list(waiting)
    late = [each for each in due if each is not None and each <= morning.now - CARRIED_OUT_LATE]
    if late:
        what = "The executor carries them out: is it running, and its log quiet? Until then the market stays closed."
        return _warning(title, f"{len(late)} not carried out, due since {_at(late[0], morning.now)}", what, page)
    return _good(title, f"{len(due) or 'none'} waiting", page)


def _clock(morning: Morning) -> Check:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        theirs: datetime = cursor.fetchone()[0]
    apart = abs(morning.now - theirs)
    measured = f"{apart.total_seconds():.1f} s from the database's"
    if apart > CLOCKS_APART_MAX:
        what = "Set it by NTP: limits a day, the age of signals and of prices go by it."
        return _bad("Clock", measured, what)
    return _good("Clock", measured)


def _prices(morning: Morning) -> Check:
    title, page, now = "Prices", "orders_brokersession_changelist", morning.now
    heard_at = morning.session.stream_heard_at if morning.session else None
    if heard_at is not None and now - heard_at <= STREAM_SILENT_AFTER:
        return _good(title, f"the stream was heard {_age(heard_at, now)} ago", page)
    measured = f"the stream was last heard {_at(heard_at, now)}" if heard_at else "the stream was never heard"
    if not session_hours.is_in_session(morning.desk):
        return _good(title, f"{measured}; the market is closed", page)
    return _warning(title, measured, "Prices are asked for one by one meanwhile. The executor's log says why.", page)


def _funds(morning: Morning) -> Check:
    title, page, session, now = "Funds", "orders_brokersession_changelist", morning.session, morning.now
    if session is None or session.funds is None or session.funds_at is None:
        return _warning(title, "never read", "The executor reads them every minute: is it running and logged in?", page)
    measured = f"{rupees(session.funds)} may be spent, as of {_at(session.funds_at, now)}"
    if now - session.funds_at > FUNDS_OLD_AFTER:
        return _warning(title, measured, "They are old: is the executor running and the broker reachable?", page)
    if session.funds < morning.limits.position_size:
        return _warning(title, measured, "That is less than one entry: add funds, or nothing will be bought.", page)
    return _good(title, measured, page)


def _doubt(morning: Morning) -> Check:
    title, page = "Orders in doubt", "orders_order_changelist"
    count = Order.objects.in_doubt(morning.desk.mode).count()
    if count:
        what = "Nothing is opened while the broker's book has not explained them. Their pages say what is known."
        return _bad(title, str(count), what, page)
    return _good(title, "none", page)


def _compared(morning: Morning) -> Check:
    title, page, now = "The broker's book", "orders_brokersession_changelist", morning.now
    at = morning.session.reconciled_at if morning.session else None
    if at is None:
        return _bad(
            title, "never compared", "The executor compares it at its start: is it running and logged in?", page
        )
    measured = f"compared {_age(at, now)} ago"
    if now - at > timedelta(seconds=RECONCILED_AGE_MAX_SECONDS):
        what = "Nothing is opened until it is compared again: is the executor running, the broker reachable?"
        return _bad(title, measured, what, page)
    if now - at > COMPARED_LATELY:
        return _warning(
            title, measured, "It should be compared every minute: the executor's log says what is slow.", page
        )
    return _good(title, measured, page)


def _redis(morning: Morning) -> Check:
    title = "Redis"
    listeners = channel_listeners(settings.REDIS_URL, settings.SIGNAL_CHANNEL)
    if listeners is None:
        return _bad(title, "not reached", "No signal comes in until it is: look at REDIS_URL and at the server.")
    if listeners == 0:
        what = "Signals on the channel are lost until the executor listens; those in the stream wait for it."
        return _bad(title, f"reached; nobody listens to {settings.SIGNAL_CHANNEL}", what)
    return _good(title, f"reached; {settings.SIGNAL_CHANNEL} is heard")


def _backup(morning: Morning) -> Check:
    title, last = "Backup", newest(settings.BACKUP_DIR, now=morning.now)
    what = "manage.py backup takes one, and should every night: until then a lost disk is a lost ledger."
    if last is None:
        return _warning(title, "none in BACKUP_DIR", what)
    measured = f"the newest is of {_at(last.taken_at, morning.now)}"
    return _warning(title, measured, what) if morning.now - last.taken_at > AGE_MAX else _good(title, measured)


def _incidents(morning: Morning) -> Check:
    title, page = "Incidents", "risk_incident_changelist"
    stops = list(Incident.objects.unresolved().filter(mode=morning.desk.mode).values_list("stops_opening", flat=True))
    if any(stops):
        what = "See to them, then resolve them: until then nothing is opened in what they name."
        return _bad(title, f"{sum(stops)} of {len(stops)} open ones stop new exposure", what, page)
    if stops:
        return _warning(
            title, f"{len(stops)} open, none stops trading", "Look at them, and resolve what is over.", page
        )
    return _good(title, "none open", page)


def _state(morning: Morning) -> Check:
    title, page, control = "Trading", "risk_tradingcontrol_changelist", morning.control
    if control.state == TradingState.ACTIVE:
        return _good(title, "active", page)
    measured = f"{control.get_state_display().lower()}, by {control.changed_by}: {control.reason or 'no reason given'}"
    return _bad(title, measured, "When its reason is gone: Trading control → Resume.", page)


def _auto_trading(morning: Morning) -> Check:
    title, page = "Auto-trading", "risk_tradingcontrol_changelist"
    if morning.control.auto_trading:
        return _good(title, "on", page)
    return _warning(title, "off", "When all of the above is good: Trading control → Turn auto-trading on.", page)


CHECKS: tuple[Callable[[Morning], Check], ...] = (
    _executor,
    _login,
    _armed,
    _set_up,
    _limits,
    _environment,
    _calendar,
    _calendar_wishes,
    _clock,
    _prices,
    _funds,
    _redis,
    _doubt,
    _compared,
    _backup,
    _incidents,
    _state,
    _auto_trading,
)


def _good(title: str, measured: str, page: str = "") -> Check:
    return Check(title=title, state=State.GOOD, measured=measured, page=page)


def _warning(title: str, measured: str, what_to_do: str, page: str = "") -> Check:
    return Check(title=title, state=State.WARNING, measured=measured, what_to_do=what_to_do, page=page)


def _bad(title: str, measured: str, what_to_do: str, page: str = "") -> Check:
    return Check(title=title, state=State.BAD, measured=measured, what_to_do=what_to_do, page=page)


def _at(moment: datetime, now: datetime) -> str:
    """Return a moment in Mumbai, with its date when that is not today's."""
    local = moment.astimezone(MUMBAI)
    return f"{local:%H:%M:%S}" if local.date() == now.astimezone(MUMBAI).date() else f"{local:%a %d %b %H:%M}"


def _age(moment: datetime, now: datetime) -> str:
    seconds = max(0, int((now - moment).total_seconds()))
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min"


def _named(today: MarketSession) -> str:
    return f": {today.day_name}" if today.day_name else ""


def _hours(today: MarketSession) -> str:
    """Return today's hours of shares with derivatives, whose day ends first."""
    assert today.opens_at is not None, "the day has a session"
    assert today.closes_at is not None, "likewise"
    opens, closes = (moment.astimezone(MUMBAI) for moment in (today.opens_at, today.closes_at))
    now = " (now)" if today.phase == Phase.CONTINUOUS else ""
    return f"continuous from {opens:%H:%M} to {closes:%H:%M}{now}{_named(today)}"
