"""
The files of a backup folder: their names, which of them are whole, and which have had their time.

A backup is three files: the dump, NAME.json with what was in it, and NAME.sha256 over both, as `sha256sum -c` reads it.
The dump takes its name last, so that one that is there is whole. Nothing else in the folder is ever looked at.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from risk.engine.sessions import MUMBAI

NAME = re.compile(r"order-executor-(\d{8}T\d{6})Z\.dump")
STAMP = "%Y%m%dT%H%M%S"
# A nightly backup that is a few hours late is none that a person must be told of.
AGE_MAX = timedelta(hours=30)
FUTURE_MAX = timedelta(minutes=5)  # what two machines' clocks may differ by


@dataclass(frozen=True, kw_only=True, order=True)
class Backup:
    """One dump, by the moment from which on it was taken."""

    taken_at: datetime
    dump: Path

    @property
    def contents(self) -> Path:
        return self.dump.with_suffix(".json")

    @property
    def checksums(self) -> Path:
        return self.dump.with_suffix(".sha256")

    @property
    def files(self) -> tuple[Path, Path, Path]:
        """All three, the dump first: without it the others are nothing."""
        return self.dump, self.contents, self.checksums


def named(folder: Path, taken_at: datetime) -> Backup:
    """Return the backup of that moment in the folder, which need not be there."""
    stamp = taken_at.astimezone(UTC).strftime(STAMP)
    return Backup(taken_at=taken_at.replace(microsecond=0), dump=folder / f"order-executor-{stamp}Z.dump")


def backup_of(dump: Path) -> Backup | None:
    """Return the backup that a dump's name stands for; None for any other name."""
    found = NAME.fullmatch(dump.name)
    if found is None:
        return None
    try:
        taken_at = datetime.strptime(found[1], STAMP).replace(tzinfo=UTC)
    except ValueError:  # such as the 31st of February
        return None
    return Backup(taken_at=taken_at, dump=dump)


def backups(folder: Path) -> list[Backup]:
    """Return the backups of a folder that have all their files, oldest first; none where it cannot be read."""
    try:
        found = [backup for path in folder.iterdir() if (backup := backup_of(path))]
        return sorted(backup for backup in found if all(file.is_file() for file in backup.files))
    except OSError:
        return []


def newest(folder: Path, *, now: datetime) -> Backup | None:
    """Return the newest of up to now: one from the future was dated by a clock that was set back, and says nothing."""
    return max((each for each in backups(folder) if each.taken_at <= now + FUTURE_MAX), default=None)


class Rotation(NamedTuple):
    """How many days, weeks and months keep a backup, each its newest: those that have one count, not those between."""

    daily: int
    weekly: int
    monthly: int


def outlived(found: Iterable[Backup], rotation: Rotation) -> list[Backup]:
    """Return what no day, week or month of Mumbai keeps any more, oldest first. The newest is always kept."""
    newest_first = sorted(found, reverse=True)
    kept = set(newest_first[:1])
    periods: tuple[tuple[int, Callable[[date], object]], ...] = (
        (rotation.daily, lambda day: day),
        (rotation.weekly, lambda day: day.isocalendar()[:2]),
        (rotation.monthly, lambda day: (day.year, day.month)),
    )
    for number, period_of in periods:
        newest_of: dict[object, Backup] = {}
        for backup in newest_first:
            newest_of.setdefault(period_of(backup.taken_at.astimezone(MUMBAI).date()), backup)
        kept.update(list(newest_of.values())[:number])
    return [backup for backup in reversed(newest_first) if backup not in kept]
