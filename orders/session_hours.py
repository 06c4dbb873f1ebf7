"""What the exchange's calendar says of an instrument. The paper market is always open unless told otherwise."""

from __future__ import annotations

from datetime import datetime, timedelta

from orders.desk import Desk
from orders.models import Instrument
from risk import calendar
from risk.engine.sessions import ROUND_THE_CLOCK, InstrumentGroup, MarketSession, Phase
from risk.models import Incident, SessionRule

TOLD_BEFORE = timedelta(days=7)
DERIVATIVES = frozenset({"NFO", "BFO"})
SHARES = (InstrumentGroup.EQ_NO_FNO, InstrumentGroup.EQ_FNO_UNDERLYING)


def market_of(desk: Desk, instrument: Instrument, *, now: datetime) -> MarketSession:
    """Return what the calendar says of the instrument at that moment."""
    if not desk.keeps_market_hours:
        return ROUND_THE_CLOCK
    return calendar.load().session(group_of(instrument), now)


def market_of_listed(desk: Desk, exchange: str, symbol: str, *, now: datetime) -> MarketSession | None:
    """Return likewise what it says of what the broker lists under that name; None when it lists nothing."""
    if not desk.keeps_market_hours:
        return ROUND_THE_CLOCK
    instrument = Instrument.objects.named(exchange, symbol)
    return None if instrument is None else market_of(desk, instrument, now=now)


def group_of(instrument: Instrument) -> InstrumentGroup:
    """Return whose hours it keeps; where nobody knows whether it has derivatives, those of a share that has."""
    if instrument.exchange in DERIVATIVES:
        return InstrumentGroup.FO
    # The day of a share with derivatives never ends later than that of one without: not to know is to stop sooner.
    return InstrumentGroup.EQ_NO_FNO if instrument.underlies_futures is False else InstrumentGroup.EQ_FNO_UNDERLYING


def is_in_session(desk: Desk) -> bool:
    """Return whether a broker that cannot be read is an outage now, or merely asleep: whether any shares trade."""
    if not desk.keeps_market_hours:
        return True
    known, now = calendar.load(), desk.clock()
    return any(known.session(group, now).phase in {Phase.CONTINUOUS, Phase.AUCTION} for group in SHARES)


def tell_of_the_calendar(desk: Desk) -> None:
    """
    Open an incident, once a year, when a year should be complete by now: from December on the next one, too.

    Likewise once for hours that only one source has, from a week before they begin until a person confirms them.
    """
    if not desk.keeps_market_hours:
        return
    for rule in SessionRule.objects.not_confirmed().filter(effective_from__lte=desk.today() + TOLD_BEFORE):
        Incident.objects.open(
            Incident.Kind.HOURS_NOT_CONFIRMED,
            mode=desk.mode,
            subject=f"{rule.group} {rule.effective_from}",
            once=True,
            title=f"The hours of {rule} are not confirmed",
            detail=f"Source: {rule.source}. {rule.note}".strip(),
            what_to_do=(
                "They apply from that day all the same. Compare them with the exchange's circular, correct them on the "
                "Session hours page if they differ, and confirm them there."
            ),
            now=desk.clock(),
        )
    for year in calendar.load().years_lacking(desk.today()):
        Incident.objects.open(
            Incident.Kind.CALENDAR_INCOMPLETE,
            mode=desk.mode,
            subject=str(year),
            once=True,
            title=f"The exchange's calendar of {year} is not complete",
            what_to_do=(
                f"Nothing is opened in {year} until it is. Load the exchange's list of holidays on the Calendar page, "
                "or with manage.py load_calendar FILE --complete --confirm LOOSEN."
            ),
            now=desk.clock(),
        )
