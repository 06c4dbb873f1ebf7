"""Which files of a backup folder are backups, and which of them a rotation lets go."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orders.backup_files import Backup, Rotation, backup_of, backups, named, newest, outlived

THREE = Rotation(daily=3, weekly=2, monthly=2)


def at(text: str) -> Backup:
    return Backup(taken_at=datetime.fromisoformat(text), dump=Path(text))


def nightly(first: str, days: int) -> list[Backup]:
    """One each night at 19:00 in Mumbai, from that date on."""
    start = datetime.fromisoformat(f"{first}T19:00:00+05:30")
    return [Backup(taken_at=start + timedelta(days=number), dump=Path(str(number))) for number in range(days)]


def kept(found: list[Backup], rotation: Rotation) -> list[str]:
    gone = outlived(found, rotation)
    return [f"{each.taken_at:%Y-%m-%d}" for each in sorted(found) if each not in gone]


def write(backup: Backup) -> None:
    for file in backup.files:
        file.write_text("x")


def test_a_name_says_when_it_was_taken_and_is_read_back(tmp_path):
    moment = datetime(2026, 11, 27, 18, 30, 5, 123456, tzinfo=UTC)

    backup = named(tmp_path, moment)

    assert backup.dump.name == "order-executor-20261127T183005Z.dump"
    assert backup_of(backup.dump) == backup


@pytest.mark.parametrize(
    "name",
    [
        "order-executor-20261127T183005Z.dump.1",
        "order-executor-20261127T183005Z.json",
        "order-executor-20260231T183005Z.dump",  # no such day
        "order-executor-20261127T183005.dump",
        ".order-executor-20261127T183005Z.dump.partial",
        "ledger.dump",
    ],
)
def test_what_has_another_name_is_no_backup(name):
    assert backup_of(Path(name)) is None


def test_a_dump_without_its_other_files_is_not_counted(tmp_path):
    whole, half = named(tmp_path, datetime(2026, 1, 1, tzinfo=UTC)), named(tmp_path, datetime(2026, 1, 2, tzinfo=UTC))
    write(whole)
    write(half)
    half.checksums.unlink()

    assert backups(tmp_path) == [whole]
    assert newest(tmp_path, now=datetime(2026, 1, 3, tzinfo=UTC)) == whole


def test_a_folder_that_is_not_there_has_no_backups(tmp_path):
    assert newest(tmp_path / "nowhere", now=datetime(2026, 1, 3, tzinfo=UTC)) is None


def test_one_from_the_future_says_nothing_of_now(tmp_path):
    """It was dated by a clock that was set back since: it would keep everybody quiet until that has caught up."""
    known, ahead = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, 0, 5, 1, tzinfo=UTC)
    for each in (known, ahead):
        write(named(tmp_path, each))

    assert newest(tmp_path, now=datetime(2026, 1, 2, tzinfo=UTC)).taken_at == known
    assert newest(tmp_path, now=datetime(2026, 1, 2, 0, 0, 1, tzinfo=UTC)).taken_at == ahead


def test_as_many_nights_as_the_rotation_keeps_lose_none():
    assert outlived(nightly("2026-11-02", 3), Rotation(3, 0, 0)) == []


def test_one_night_more_loses_the_oldest():
    assert kept(nightly("2026-11-02", 4), Rotation(3, 0, 0)) == ["2026-11-03", "2026-11-04", "2026-11-05"]


def test_of_each_week_and_month_the_newest_stays():
    """29 November 2026 is a Sunday: weeks end there, and months where they end."""
    assert kept(nightly("2026-10-01", 64), THREE) == [
        "2026-11-29",  # the week before this one
        "2026-11-30",  # November
        "2026-12-01",
        "2026-12-02",
        "2026-12-03",  # this day, week and month
    ]


def test_the_year_turns_in_the_middle_of_a_week():
    """1 January 2027 is a Friday of the week that began on 28 December: one week, two months, two years."""
    rotation = Rotation(daily=1, weekly=2, monthly=2)

    assert kept(nightly("2026-12-20", 15), rotation) == ["2026-12-27", "2026-12-31", "2027-01-03"]


def test_a_leap_day_is_the_end_of_its_month():
    assert kept(nightly("2028-02-27", 4), Rotation(1, 0, 2)) == ["2028-02-29", "2028-03-01"]


def test_the_day_is_that_of_mumbai_and_not_of_utc():
    """Half past eleven at night and half an hour past midnight in Mumbai are one date in UTC, and two here."""
    evening, night = at("2026-11-27T23:30:00+05:30"), at("2026-11-28T00:30:00+05:30")

    assert outlived([evening, night], Rotation(2, 0, 0)) == []
    assert outlived([evening, at("2026-11-27T22:00:00+05:30")], Rotation(2, 0, 0)) == [at("2026-11-27T22:00:00+05:30")]


def test_the_newest_is_kept_whatever_the_rotation_says():
    assert outlived(nightly("2026-11-02", 2), Rotation(0, 0, 0)) == nightly("2026-11-02", 1)


def test_a_night_that_was_missed_costs_no_older_backup():
    """Days that have a backup count, not those between: after a month away nothing is let go for its age."""
    long_ago = nightly("2026-09-01", 3)

    assert outlived([*long_ago, *nightly("2026-11-01", 1)], Rotation(4, 0, 0)) == []


def test_five_years_of_nights_keep_sixty_months():
    found = nightly("2021-11-01", 6 * 365)

    stays = kept(found, Rotation(14, 8, 60))

    assert len({day[:7] for day in stays}) == 60
    assert 60 <= len(stays) <= 14 + 8 + 60
