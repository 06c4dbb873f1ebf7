"""Pages of a list whose table may hold a million rows: nothing counts them all."""

from __future__ import annotations

from django.core.paginator import Paginator
from django.db import connection
from django.db.models import QuerySet
from django.utils.functional import cached_property

_ESTIMATE = "SELECT reltuples::bigint FROM pg_class WHERE oid = %s::regclass"


class CappedPaginator(Paginator):  # type: ignore[type-arg]  # not generic at run time
    """Counts one row past `counted_max` and no further: what lies beyond is reached by narrowing the filters."""

    counted_max = 10_000  # to count millions would take longer than to show fifty

    @cached_property
    def count(self) -> int:
        return self._counted()

    def _counted(self) -> int:
        return self._rows[: self.counted_max + 1].count()

    @property
    def _rows(self) -> QuerySet:  # type: ignore[type-arg]  # of any model
        assert isinstance(self.object_list, QuerySet), "the lists of the admin are"
        return self.object_list


class EstimatedPaginator(CappedPaginator):
    """Ends at `counted_max` with a filter; past it, and without any, the database's own estimate stands in."""

    @cached_property
    def count(self) -> int:
        counted = self._counted()
        if counted <= self.counted_max or self._rows.query.where:
            return min(counted, self.counted_max)
        with connection.cursor() as cursor:
            cursor.execute(_ESTIMATE, [self._rows.model._meta.db_table])  # noqa: SLF001 - Django's way to ask for a table
            estimated: int = cursor.fetchone()[0]
        return max(counted, estimated)
