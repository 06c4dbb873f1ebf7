"""When `manage.py up` takes a backup: once a day, between the close and the morning. A server has a timer for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, time, timedelta

from django.utils import timezone

from config.local_folder import PROJECT, LocalFolder
from orders.backup_files import newest
from risk.engine.sessions import MUMBAI

LOOK_SECONDS = 600.0  # also after a start: a first try of the product is left alone
DAY = timedelta(days=1)
# Around every session that the exchange has on a weekday; `manage.py backup` itself knows the special ones.
FROM, UNTIL = time(8, 30), time(16, 30)
SATURDAY = 5


class Nights:
    """Says when a backup is due, looking at the folder now and then."""

    def __init__(
        self, folder: LocalFolder, environment: Mapping[str, str], *, clock: Callable[[], datetime] = timezone.now
    ) -> None:
        self.backups = PROJECT / (environment.get("BACKUP_DIR") or folder.root / "backups")
        self._clock = clock
        self._look_at: float | None = None

    def is_due(self, monotonic: float) -> bool:
        """Return whether one should be begun now. `monotonic` is of a clock of seconds that nobody sets."""
        if self._look_at is None:
            self._look_at = monotonic + LOOK_SECONDS
        if monotonic < self._look_at:
            return False
        self._look_at = monotonic + LOOK_SECONDS
        now = self._clock().astimezone(MUMBAI)
        if now.weekday() < SATURDAY and FROM <= now.time() < UNTIL:
            return False
        last = newest(self.backups, now=now)
        return last is None or now - last.taken_at >= DAY
