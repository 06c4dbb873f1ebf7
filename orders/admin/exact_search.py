"""Lists searched for what stands in an index, exactly: an id, or a symbol in capitals."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import or_
from typing import Any

from django.db.models import Q, QuerySet
from django.http import HttpRequest

from risk.models import Mode

FOUND_MAX = 200  # rows that one id names
Conditions = Mapping[str, Any]


def in_every_mode(path: str = "") -> Conditions:
    """Return what lets an index be used that begins with the mode, whichever it is."""
    return {f"{path}mode__in": Mode.values}


class ExactSearch:
    """
    Mixed into a list's admin: its search compares with whole values.

    Django's own exact search ignores cases, which no index of ours answers: it reads the whole table.
    """

    search_ids: Mapping[str, Conditions] = {}  # paths of ids, each with what its index begins with
    search_names: tuple[str, ...] = ()  # paths that many rows have in common, as they were typed
    search_symbol = "symbol"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], text: str
    ) -> tuple[QuerySet[Any], bool]:
        term = text.strip()
        if not term:
            return queryset, False
        named = self._named(queryset, term)
        if named:
            return queryset.filter(pk__in=named), False
        by_symbol = Q(**{self.search_symbol: term.upper()})
        wanted = [by_symbol, *(Q(**{path: term}) for path in self.search_names)]
        if self.search_names:
            # Only what some row has: of an OR PostgreSQL finds the newest by going back through all rows.
            newest = queryset.order_by("-pk").values("pk")
            wanted = [each for each in wanted if newest.filter(each).first()] or [by_symbol]
        return queryset.filter(reduce(or_, wanted)), False

    def _named(self, queryset: QuerySet[Any], term: str) -> list[int]:
        """Return the rows that an id names: one statement with a query for each kind, as an OR of them has no index."""
        found = [
            queryset.filter(**{path: term}, **conditions).order_by().values_list("pk", flat=True)
            for path, conditions in self.search_ids.items()
        ]
        if not found:
            return []
        first, *others = found
        return list((first.union(*others) if others else first)[:FOUND_MAX])
