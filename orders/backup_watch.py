"""Whether there is a fresh backup: an incident while there is none, for whoever looks once a day or just failed."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings

from orders.backup_files import AGE_MAX, Backup, newest
from orders.broker.kite_rows import IST
from risk.models import Incident, TradingControlEvent

DAY = timedelta(days=1)
WHAT_TO_DO = "Take one: manage.py backup, which says what is in its way. Until then a lost disk is a lost ledger."


def tell_of_failure(reason: str, *, now: datetime) -> None:
    """Open an incident for a backup that failed, or count it on the one that is open."""
    _tell("A backup failed", reason, now=now)


def tell_of_missing(*, now: datetime) -> None:
    """Open an incident when the newest backup is too old, or there is none for an installation of more than a day."""
    last = newest(settings.BACKUP_DIR, now=now)
    since = last.taken_at if last else _installed_at()
    if since is None or now - since <= AGE_MAX:
        return
    known = f"The newest is of {last.taken_at.astimezone(IST):%a %d %b %Y, %H:%M}." if last else "There is none at all."
    _tell("There is no backup of the last day", f"{known} Looked for in {settings.BACKUP_DIR}.", now=now)


def there_is_one(backup: Backup, *, now: datetime) -> None:
    """Resolve what was told: a backup was taken."""
    for incident in Incident.objects.unresolved().filter(kind=Incident.Kind.BACKUP_FAILED):
        incident.resolve(by="backup", note=f"{backup.dump.name} was taken", now=now)


def _installed_at() -> datetime | None:
    """Return when the switch was first moved: an installation that nobody has used yet has nothing to lose."""
    return TradingControlEvent.objects.order_by("at").values_list("at", flat=True).first()


def _tell(title: str, detail: str, *, now: datetime) -> None:
    Incident.objects.open(
        Incident.Kind.BACKUP_FAILED,
        mode=settings.TRADING_MODE,
        title=title,
        detail=detail,
        what_to_do=WHAT_TO_DO,
        now=now,
    )
