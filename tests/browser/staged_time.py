"""A moment that stands still for everybody: for Django, the desk, the paper Kite and the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, tzinfo
from datetime import time as time_of_day
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from orders.broker.kite_rows import IST
from tests.orders.paper.paper_process import PaperProcess

# A function of the project's schema that stands before PostgreSQL's own in the search path.
CLOCK = """
CREATE TABLE staged_moment AS SELECT now() AS moment;
CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS 'SELECT moment FROM public.staged_moment';
ALTER DATABASE "{name}" SET search_path = public, pg_catalog;
"""
OWN_CLOCK = """
ALTER DATABASE "{name}" RESET search_path;
DROP FUNCTION public.clock_timestamp();
DROP TABLE staged_moment;
"""


class StagedTime:
    """Mumbai's time of one day; only `go_to` moves it."""

    def __init__(self, paper: PaperProcess, start: datetime) -> None:
        self._paper = paper
        self.moment = start

    def __call__(self) -> datetime:
        return self.moment

    def go_to(self, moment: datetime) -> None:
        self.moment = moment
        self._paper.control("POST", "clock", {"at": moment.isoformat(), "speed": 0})
        with connection.cursor() as cursor:
            cursor.execute("UPDATE staged_moment SET moment = %s", [moment])

    def today_at(self, time: str) -> datetime:
        """Return the moment of a time of this day, "14:05" or "14:05:30"."""
        return datetime.combine(self.moment.astimezone(IST), time_of_day.fromisoformat(time), tzinfo=IST)

    def at(self, time: str) -> None:
        self.go_to(self.today_at(time))

    def pass_seconds(self, seconds: float) -> None:
        self.go_to(self.moment + timedelta(seconds=seconds))

    @contextmanager
    def for_everybody(self) -> Iterator[None]:
        """Let Django, whoever holds its `now` already, and the database tell this time."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(timezone, "datetime", self._of_django())
            self._rule(CLOCK)
            try:
                self.go_to(self.moment)
                yield
            finally:
                self._rule(OWN_CLOCK)

    def _of_django(self) -> type:
        staged = self

        class EveryDatetime(type):
            def __instancecheck__(cls, other: Any) -> bool:
                return isinstance(other, datetime)

        class Staged(datetime, metaclass=EveryDatetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> Any:
                return staged.moment.astimezone(tz)

        return Staged

    def _rule(self, statements: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statements.format(name=connection.settings_dict["NAME"]))
        connection.close()  # the next one has the search path of the database
