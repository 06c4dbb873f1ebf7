"""
The end of the day: our book held against the broker's once the day is over, and kept.

The leading executor takes it by itself, a few minutes after the last session; where the market never closes, at a time
of the settings. It waits for a book that can be read, and is taken once, by whoever comes first. The broker's book is
that of its own day: a day whose report was missed is an incident, and what is still known of it can be taken by hand.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, datetime, time, timedelta

import structlog
from django.db import transaction

from orders.broker.gateway import BrokerBook, BrokerUnreachable, SessionRefused
from orders.broker.kite_rows import IST
from orders.day_breaks import Break, breaks_of
from orders.day_report import report
from orders.desk import Desk
from orders.loops import AWAY
from orders.models import Decision, EndOfDay, Order
from orders.reconciliation import reconcile
from risk import calendar
from risk.engine.sessions import InstrumentGroup
from risk.models import Incident

AFTER_THE_CLOSE = timedelta(minutes=5)
LAST_MOMENT = time(23, 55)  # IST; after it the broker's book might be read of the next day
LOOK_BACK = timedelta(days=7)
LOOK_EVERY = timedelta(seconds=30)
BREAKS_NAMED_MAX = 5

log = structlog.get_logger(__name__)


class ReportRefused(Exception):
    """The day's report cannot be taken, now or at all; the text says why."""


class TakenAlready(ReportRefused):
    """The day has its report."""


def due_at(desk: Desk, day: date) -> datetime | None:
    """Return when the day's report is due; None for a day that needs none."""
    fixed = datetime.combine(day, desk.rules.end_of_day_at, tzinfo=IST)
    if not desk.keeps_market_hours:
        return fixed
    known = calendar.load()
    days = [trading for group in InstrumentGroup if (trading := known.trading_day(group, day))]
    if days:
        closed_at = max(trading.auction_ends_at or trading.closes_at for trading in days)
        return min(closed_at + AFTER_THE_CLOSE, datetime.combine(day, LAST_MOMENT, tzinfo=IST))
    return fixed if _something_happened(desk.mode, day) else None


def take(desk: Desk, day: date, *, by: str) -> EndOfDay:
    """
    Read the broker's book afresh, hold ours against it, and keep the day's report.

    Of a day that is over, what is still known is kept, without a broker's book. Raise `ReportRefused`,
    `BrokerUnreachable` or `SessionRefused`.
    """
    _check(desk, day)
    book: BrokerBook | None = None
    breaks: list[Break] = []
    if day == desk.today():
        book, breaks = _read(desk, day)
    if desk.today() != day:
        book, breaks = None, []  # the day turned meanwhile: whose book was it?
    found = report(desk, day, book, breaks)
    kept = {**asdict(found), "book_as_of": book.as_of if book else None}
    now = desk.clock()
    with transaction.atomic(durable=True):
        row, created = EndOfDay.objects.get_or_create(
            mode=desk.mode,
            trading_date=day,
            defaults={**kept, "taken_at": now, "taken_by": by, "is_late": book is None},
        )
        if not created:
            raise TakenAlready(_taken_already(row))
        if breaks:
            _tell_of_breaks(desk, day, breaks, now)
        _resolve_the_missed(desk, day, by=by, now=now)
    log.info("end_of_day.taken", mode=desk.mode, day=str(day), by=by, breaks=len(breaks), late=row.is_late)
    return row


def missed_days(desk: Desk) -> list[date]:
    """Return the days before today that need a report and have none, of the last week and since the first activity."""
    today = desk.today()
    reports = EndOfDay.objects.filter(mode=desk.mode)
    first = reports.order_by("trading_date").values_list("trading_date", flat=True).first()
    if first is None:  # of an installation that has none yet, the last day on which it traded
        traded = Order.objects.ours(desk.mode).filter(trading_date__lt=today).order_by("-trading_date")
        first = traded.values_list("trading_date", flat=True).first()
    if first is None:
        return []
    taken = set(reports.values_list("trading_date", flat=True))
    since = max(first, today - LOOK_BACK)
    days = [since + timedelta(days=number) for number in range((today - since).days)]
    return [day for day in days if day not in taken and _needs_one(desk, day)]


class DayEnd:
    """Takes each day's report once it is due, and tells of those that were missed. For the leading executor."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._since = desk.clock()
        self._told_on: date | None = None
        self._done_on: date | None = None
        self._looked_at: datetime | None = None

    def look(self) -> None:
        """Do what is due, twice a minute. Raise `BrokerUnreachable` or `SessionRefused`: then it is due still."""
        now, today = self._desk.clock(), self._desk.today()
        if self._looked_at is not None and self._looked_at <= now < self._looked_at + LOOK_EVERY:
            return
        self._looked_at = now
        if self._told_on != today:
            tell_of_missed(self._desk)
            self._told_on = today
        if self._done_on == today or not self._is_due(today):
            return
        try:
            take(self._desk, today, by="executor")
        except TakenAlready:
            pass  # by another executor, or by hand
        except ReportRefused as refusal:  # the login ended this moment, say: it is due still
            log.warning("end_of_day.refused", reason=str(refusal))
            return
        except (BrokerUnreachable, SessionRefused, *AWAY):
            raise
        except Exception as defect:
            # A report that trips over a defect of ours must not keep the executor from following orders.
            log.critical("end_of_day.failed", exc_info=True)
            _tell_of_defect(self._desk, today, defect)
        self._done_on = today

    def _is_due(self, day: date) -> bool:
        due, now = due_at(self._desk, day), self._desk.clock()
        if due is None or now < due:
            return False
        # Where the market never closes, who starts in the evening has its day before it.
        evening = not self._desk.keeps_market_hours and self._since > due
        return not evening or now >= datetime.combine(day, LAST_MOMENT, tzinfo=IST)


def tell_of_missed(desk: Desk) -> None:
    """Open an incident for each day whose report was missed, once."""
    for day in missed_days(desk):
        if Incident.objects.told(Incident.Kind.END_OF_DAY_MISSED, mode=desk.mode, subject=str(day)):
            continue
        Incident.objects.open(
            Incident.Kind.END_OF_DAY_MISSED,
            mode=desk.mode,
            subject=str(day),
            title=f"The end of day report of {day:%a %d %b %Y} was not taken",
            detail="No executor led, or the broker's book could not be read, from its close to the end of the day.",
            what_to_do="Take what is still known of it: End of day → Take a report, or "
            f"manage.py end_of_day --date {day}. Compare it with the broker's contract note.",
            now=desk.clock(),
        )


def _check(desk: Desk, day: date) -> None:
    """Raise `ReportRefused` unless the day is over, needs a report and has none."""
    taken = EndOfDay.objects.filter(mode=desk.mode, trading_date=day).first()
    if taken is not None:
        raise TakenAlready(_taken_already(taken))
    due = due_at(desk, day)
    if day > desk.today():
        raise ReportRefused(f"{day:%d %b %Y} is not yet")
    if due is None or (day < desk.today() and not _needs_one(desk, day)):
        raise ReportRefused(f"nothing was traded on {day:%a %d %b %Y}: it needs no report")
    if desk.clock() < due:
        raise ReportRefused(f"the day is not over: its report is due at {due.astimezone(IST):%H:%M}")
    if day == desk.today() and not desk.vault.is_valid(desk.clock()):
        raise ReportRefused("the broker's book cannot be read without a login: log in first")


def _read(desk: Desk, day: date) -> tuple[BrokerBook, list[Break]]:
    """Return the broker's book, and what differs in two readings of it: what one finds may be a book half written."""
    reconcile(desk)
    book = desk.gateway.book(desk.clock())
    breaks = breaks_of(desk, day, book)
    if not breaks:
        return book, breaks
    seen = {each.key for each in breaks}
    reconcile(desk)
    book = desk.gateway.book(desk.clock())
    return book, [each for each in breaks_of(desk, day, book) if each.key in seen]


def _needs_one(desk: Desk, day: date) -> bool:
    """Return whether a past day should have a report: where the market never closes, when something happened."""
    if desk.keeps_market_hours:
        return due_at(desk, day) is not None
    return _something_happened(desk.mode, day)


def _something_happened(mode: str, day: date) -> bool:
    start = datetime.combine(day, time.min, tzinfo=IST)
    decided = Decision.objects.filter(mode=mode, at__gte=start, at__lt=start + timedelta(days=1))
    return Order.objects.filter(mode=mode, trading_date=day).exists() or decided.exists()


def _taken_already(row: EndOfDay) -> str:
    when = f"{row.taken_at.astimezone(IST):%d %b, %H:%M}"
    return f"the report of {row.trading_date:%d %b %Y} was taken already, at {when} by {row.taken_by}"


def _tell_of_breaks(desk: Desk, day: date, breaks: list[Break], now: datetime) -> None:
    named = [f"{each.what}: {each.ours or '–'} here, {each.broker or '–'} there" for each in breaks[:BREAKS_NAMED_MAX]]
    more = len(breaks) - len(named)
    Incident.objects.open(
        Incident.Kind.END_OF_DAY_BREAK,
        mode=desk.mode,
        subject=str(day),
        title=f"{len(breaks)} difference{'s' if len(breaks) > 1 else ''} at the end of {day:%a %d %b %Y}",
        detail="\n".join([*named, *([f"and {more} more"] if more else [])]),
        what_to_do="The day's report lists them. Explain each with the broker's contract note; what our book lacks is "
        "marked filled or adjusted by hand.",
        now=now,
    )


def _tell_of_defect(desk: Desk, day: date, defect: Exception) -> None:
    Incident.objects.open(
        Incident.Kind.END_OF_DAY_MISSED,
        mode=desk.mode,
        subject=str(day),
        title=f"The end of day report of {day:%a %d %b %Y} could not be taken",
        detail=f"a defect of ours: {type(defect).__name__}: {defect}".replace("\x00", "␀"),
        what_to_do=f"The executor's log has the traceback. Then: manage.py end_of_day --date {day}.",
        now=desk.clock(),
    )


def _resolve_the_missed(desk: Desk, day: date, *, by: str, now: datetime) -> None:
    missed = Incident.objects.unresolved().filter(mode=desk.mode, kind=Incident.Kind.END_OF_DAY_MISSED)
    for incident in missed.filter(fingerprint=f"{desk.mode}:{Incident.Kind.END_OF_DAY_MISSED}:{day}"):
        incident.resolve(by=by, note="the report was taken", now=now)
