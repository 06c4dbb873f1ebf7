"""Moments narrowed by days in Mumbai, the last one with all of its hours."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import RangeDateFilter
from unfold.utils import parse_date_str

from risk.engine.sessions import MUMBAI


class DayRangeFilter(RangeDateFilter):
    """The theme's own ends with the midnight that the last day begins with."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        first, last = self._day("from"), self._day("to")
        if first is not None:
            queryset = queryset.filter(**{f"{self.parameter_name}__gte": _midnight(first)})
        if last is not None:
            queryset = queryset.filter(**{f"{self.parameter_name}__lt": _midnight(last + timedelta(days=1))})
        return queryset

    def _day(self, end: str) -> date | None:
        text = self.used_parameters.get(f"{self.parameter_name}_{end}")
        day: date | None = parse_date_str(text) if isinstance(text, str) else None
        return day


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=MUMBAI)
