"""
What must be green on each step of the way to live money: facts that are rows, each with its count.

A check names the page where its rows are. None asks the broker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.core import checks as system_checks
from django.db.models import Exists, OuterRef, Q, QuerySet

from orders.backup_files import newest as newest_backup
from orders.desk import trading_date
from orders.leadership import standing_by
from orders.lifecycle import UNFINISHED
from orders.models import EndOfDay, GoingLiveStep, LineProof, Order, ShadowQuote, Signal
from orders.session_hours import SHARES
from orders.small_limits import held_small, still_held, was_changed
from orders.start_of_day import Check, State
from risk import calendar, limit_versions
from risk.engine.facts import TradingState
from risk.models import Incident, LimitChange, Mode, TradingControlEvent

Step = GoingLiveStep.Step
Verdict = LineProof.Verdict

REHEARSED_SIGNALS, REHEARSED_FILLS, REHEARSED_DAYS = 20, 5, 2
SHADOWED_SIGNALS, SHADOWED_FILLS, SHADOWED_DAYS = 10, 3, 3
SMALL_ORDERS, SMALL_DAYS = 3, 3
LOOKED_BACK = timedelta(days=30)  # for days in a row: many more than are asked for, and than any row of holidays
WALKED_BY = "demo"
BACKUP_AGE_MAX = timedelta(days=2)
NAMED_MAX = 100  # of what should not be there
_DECIDED = ("IGNORED", "DENIED", "APPROVED", "EXPIRED")
_ORDERS, _SIGNALS, _DAYS = "orders_order_changelist", "orders_signal_changelist", "orders_endofday_changelist"
_CONTROL, _LIMITS, _PROOFS = (
    "risk_tradingcontrol_changelist",
    "risk_risksettings_changelist",
    "orders_lineproof_changelist",
)


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What the checks look at beside the rows."""

    now: datetime


def rehearsed(at: Standing) -> list[Check]:
    """Return whether the paper broker was used for everything that a day of live may ask."""
    mode = Mode.PAPER
    ours = Order.objects.ours(mode)
    exits = _up_to(1, ours.filter(is_exit=True, status="FILLED"))
    walks = _up_to(1, ours.filter(created_by=WALKED_BY))
    proofs = _up_to(1, LineProof.objects.filter(mode=mode, verdict=Verdict.PROVED))
    return [
        _at_least(
            "Signals decided",
            _decided(mode, REHEARSED_SIGNALS),
            REHEARSED_SIGNALS,
            "Publish more, and let it decide.",
            _SIGNALS,
        ),
        _at_least(
            "Orders filled",
            _filled(mode, REHEARSED_FILLS),
            REHEARSED_FILLS,
            "Let signals and New order buy and sell.",
            _ORDERS,
        ),
        _at_least("Exits", exits, 1, "Positions → a symbol → Exit.", "orders_position_changelist"),
        _halted_and_resumed(mode),
        _at_least("Walks of manage.py demo", walks, 1, "Run manage.py demo to its end.", _ORDERS),
        _at_least("Proofs of the line, rehearsed", proofs, 1, "Prove the line here, on paper.", _PROOFS),
        _days_without_breaks(mode, REHEARSED_DAYS, at),
        *_nothing_left_open(mode, at),
    ]


def shadowed(at: Standing) -> list[Check]:
    """Return whether real prices met the desk for some days, and the paper broker its orders."""
    mode = Mode.SHADOW
    filled = Order.objects.ours(mode).filter(filled_quantity__gt=0)
    seen = ShadowQuote.objects.filter(client_order_id=OuterRef("client_order_id"))
    unseen = _up_to(NAMED_MAX, filled.filter(~Exists(seen)))
    closes = ShadowQuote.objects.filter(moment=ShadowQuote.Moment.CLOSE).values("trading_date").distinct().count()
    what = "Start with SHADOW=true and the credentials, log in, and let the strategies publish."
    return [
        _at_least("Signals decided", _decided(mode, SHADOWED_SIGNALS), SHADOWED_SIGNALS, what, _SIGNALS),
        _at_least("Orders filled", _filled(mode, SHADOWED_FILLS), SHADOWED_FILLS, what, _ORDERS),
        _none("Fills without the real market beside them", unseen, "Those days prove nothing.", _ORDERS),
        _at_least("Days with closing prices", closes, SHADOWED_DAYS, "They are kept after each day's report.", ""),
        _days_without_breaks(mode, SHADOWED_DAYS, at),
        *_nothing_left_open(mode, at),
    ]


def line_proved(at: Standing) -> list[Check]:
    """Return whether the newest proof with real money found address, login and permissions in order."""
    title = "The line to the broker"
    proof = LineProof.objects.filter(mode=Mode.LIVE).first()
    if proof is None:
        found = _bad(title, "never proved live", "Arm live, then Prove the line in continuous trading.", _PROOFS)
    elif proof.verdict != Verdict.PROVED:
        found = _bad(title, f"{proof}, {_on(proof.begun_at)}", "See its stages, mend it, and prove it again.", _PROOFS)
    else:
        found = _good(title, f"proved with {proof.symbol} by {proof.begun_by}, {_on(proof.begun_at)}", _PROOFS)
    return [found, *_nothing_left_open(Mode.LIVE, at)]


def small_days(at: Standing) -> list[Check]:
    """Return whether some days of one share and one symbol ended as they should."""
    mode, preset = Mode.LIVE, held_small()
    title = "Limits held small"
    if preset is None:
        what = "Hold the limits small, with the one symbol that is traded."
        return [_bad(title, "never", what, _LIMITS), *_nothing_left_open(mode, at)]
    current = limit_versions.in_force(now=at.now)
    looser = [name for name in preset.facts["after"] if name not in still_held(current, preset)]
    measured = f"{preset.facts['symbol']}, by {preset.by} since {_on(preset.at)}"
    held = _good(title, measured, _LIMITS)
    if looser:
        told = f"{measured}; looser since: {limit_versions.labels(looser)}"
        held = _bad(title, told, "Hold them small again, or say why you go on.", _LIMITS)
    since = Order.objects.ours(mode).filter(trading_date__gte=trading_date(preset.at), created_at__gte=preset.at)
    traded = since.filter(filled_quantity__gt=0).exclude(line_proof__isnull=False)
    exchange, _, symbol = preset.facts["symbol"].partition(":")
    others = traded.exclude(exchange=exchange, symbol=symbol).count()
    ended = traded.exclude(status__in=UNFINISHED).count()
    return [
        held,
        _at_least("Orders filled and ended since", ended, SMALL_ORDERS, "Trade on, one share at a time.", _ORDERS),
        _none("Fills of other symbols since", others, "Only one symbol was to be traded.", _ORDERS),
        _days_without_breaks(mode, SMALL_DAYS, at, since=trading_date(preset.at)),
        *_nothing_left_open(mode, at),
    ]


def ready_for_all(at: Standing) -> list[Check]:
    """Return what remains: what a desk needs around the product, and that a person lifted the small limits."""
    return [
        _alerts(),
        _backups(at),
        _second_factor(),
        _deployment(),
        _standby(),
        _lifted(at),
        *line_proved(at),
    ]


CHECKS: dict[Step, Callable[[Standing], list[Check]]] = {
    Step.REHEARSE: rehearsed,
    Step.SHADOW: shadowed,
    Step.LINE: line_proved,
    Step.ONE_SHARE: small_days,
    Step.FULL: ready_for_all,
}


def _up_to(most: int, rows: QuerySet[Any]) -> int:
    """Count the newest rows, and no more than are asked for: of a million nobody needs the number."""
    return len(rows.order_by("-pk").values_list("pk")[:most])


def _decided(mode: str, least: int) -> int:
    return _up_to(least, Signal.objects.filter(mode=mode, status__in=_DECIDED))


def _filled(mode: str, least: int) -> int:
    return _up_to(least, Order.objects.ours(mode).filter(status="FILLED"))


def _halted_and_resumed(mode: str) -> Check:
    title, events = "A halt and a resume", TradingControlEvent.objects.filter(mode=mode)
    switched = events.filter(state__in=[TradingState.HALTED.value, TradingState.ACTIVE.value]).order_by("version")
    halt = switched.filter(state=TradingState.HALTED.value).first()
    resumed = halt and switched.filter(state=TradingState.ACTIVE.value, version__gt=halt.version).exists()
    if halt and resumed:
        return _good(title, f"halted by {halt.actor}, {_on(halt.at)}, and resumed", _CONTROL)
    measured = f"halted by {halt.actor}, {_on(halt.at)}, and not resumed" if halt else "never halted"
    return _bad(title, measured, "Press STOP, see what it cancels, then resume.", _CONTROL)


def _days_without_breaks(mode: str, least: int, at: Standing, since: date | None = None) -> Check:
    """Count the exchange's newest days in a row whose report was taken in time and found the books the same."""
    count, ended_by = _days_in_a_row(mode, least, trading_date(at.now), since)
    title, measured = "Days in a row whose books agreed", f"{count} of {least}{ended_by}"
    if count >= least:
        return _good(title, measured, _DAYS)
    return _bad(title, measured, "A day's report comes by itself after the close. Explain each difference.", _DAYS)


def _days_in_a_row(mode: str, least: int, today: date, since: date | None) -> tuple[int, str]:
    """
    Return how many there are, no more than are asked for, and in words what ended them.

    Today's report may still be to come. A day on which the exchange does not trade neither counts nor stands between
    two that do, but a difference found on it ends them as any does.
    """
    first = max(today - LOOKED_BACK, since or date.min)
    reports = EndOfDay.objects.filter(mode=mode, trading_date__range=(first, today))
    taken = {each.trading_date: each for each in reports.only("breaks", "is_late", "trading_date")}
    if not taken:
        return 0, ""
    known, count, day = calendar.load(), 0, today
    while count < least and day >= first:
        report, trades = taken.get(day), any(known.trading_day(group, day) for group in SHARES)
        if report is None and trades and day != today:
            return count, f"; before them {day:%d %b %Y}: no report"
        if report is not None and (report.breaks or report.is_late):
            why = f"{report.breaks} differences" if report.breaks else "taken late"
            return count, f"; before them {day:%d %b %Y}: {why}"
        count += report is not None and trades
        day -= timedelta(days=1)
    return count, ""


def _nothing_left_open(mode: str, at: Standing) -> Iterable[Check]:
    left = list(Order.objects.unfinished(mode).order_by().values_list("status", "trading_date"))
    doubted = sum(status == "IN_DOUBT" for status, _ in left)
    past = sum(day < trading_date(at.now) for _, day in left)
    incidents = Incident.objects.unresolved().filter(mode=mode, stops_opening=True).count()
    yield _none("Orders in doubt", doubted, "The broker's book must explain them first.", _ORDERS)
    yield _none("Unfinished orders of past days", past, "Their pages say how to close them.", _ORDERS)
    yield _none("Incidents that stop new exposure", incidents, "Resolve them.", "risk_incident_changelist")


def _alerts() -> Check:
    if settings.ALERT_URLS:
        return _good("Alerts", "configured")
    what = "Give alerts a way off the screen: without one nobody hears at night."
    return _bad("Alerts", "not configured", what)


def _backups(at: Standing) -> Check:
    """Return whether there is a backup of the last two days."""
    title, what, last = (
        "Backups",
        "Set up the nightly backup, and restore one once.",
        newest_backup(settings.BACKUP_DIR, now=at.now),
    )
    if last is None:
        return _bad(title, f"none in {settings.BACKUP_DIR}", what)
    measured = f"the newest is of {_on(last.taken_at)}"
    return _bad(title, measured, what) if at.now - last.taken_at > BACKUP_AGE_MAX else _good(title, measured)


def _second_factor() -> Check:
    title = "Second factor"
    if settings.REQUIRE_SECOND_FACTOR:
        return _good(title, "asked of everybody")
    return _bad(title, "not asked of everybody", "Set REQUIRE_SECOND_FACTOR=true.")


def _deployment() -> Check:
    """Run Django's own checks for a deployment and ours."""
    title = "manage.py check --deploy"
    found = system_checks.run_checks(include_deployment_checks=True)
    told = sorted(
        {each.id or each.msg for each in found if not each.is_silenced() and each.level >= system_checks.WARNING}
    )
    if told:
        return _bad(title, f"{len(told)}: {', '.join(told)}", "Run it: it says what to do about each.")
    return _good(title, "nothing to say")


def _standby() -> Check:
    title, page, waiting = "A second executor", "orders_executorheartbeat_changelist", standing_by(Mode.LIVE)
    if waiting:
        return _good(title, f"{waiting} standing by", page)
    return Check(
        title=title,
        state=State.WARNING,
        measured="none",
        what_to_do="A second listen_signals would take over from one that dies.",
        page=page,
    )


def _lifted(at: Standing) -> Check:
    """Return whether a person lifted the small limits: none still holds, and none waits to be answered."""
    title, preset = "The small limits", held_small()
    if preset is None:
        return _good(title, "were never put in force", _LIMITS)
    current = limit_versions.in_force(now=at.now)
    held = [name for name, value in still_held(current, preset).items() if was_changed(preset, name, value)]
    waiting = LimitChange.objects.pending().filter(Q(exchange="") & Q(limit__in=held)).count()
    if held:
        waits = f"; {waiting} wait to be answered" if waiting else ""
        what = "Lift them here, when the days with one share were good. It is a loosening like any other."
        return _bad(title, f"{len(held)} hold still: {limit_versions.labels(held)}{waits}", what, _LIMITS)
    return _good(title, "lifted", _LIMITS)


def _at_least(title: str, count: int, least: int, what_to_do: str, page: str) -> Check:
    measured = f"{count} of {least}"
    return _good(title, measured, page) if count >= least else _bad(title, measured, what_to_do, page)


def _none(title: str, count: int, what_to_do: str, page: str) -> Check:
    return _bad(title, str(count), what_to_do, page) if count else _good(title, "none", page)


def _good(title: str, measured: str, page: str = "") -> Check:
    return Check(title=title, state=State.GOOD, measured=measured, page=page)


def _bad(title: str, measured: str, what_to_do: str, page: str = "") -> Check:
    return Check(title=title, state=State.BAD, measured=measured, what_to_do=what_to_do, page=page)


def _on(moment: datetime) -> str:
    return f"{trading_date(moment):%d %b %Y}"
