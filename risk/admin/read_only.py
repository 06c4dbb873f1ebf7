"""Pages of what the machine writes: all of it is shown, and no form adds, changes or deletes any."""

from __future__ import annotations

from typing import Any, TypeVar

from django.contrib import admin
from django.contrib.admin.checks import ModelAdminChecks
from django.contrib.admin.options import IncorrectLookupParameters
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest
from unfold.admin import ModelAdmin, TabularInline
from unfold.views import ChangeList

Row = TypeVar("Row", bound=Model)


def named_by(rows: QuerySet[Row], address: Any) -> Row | None:
    """Return the row whose id stands in an address; None where there is none, or where it can be no id."""
    try:
        return rows.filter(pk=address).first()
    except (ValueError, TypeError):
        return None


class ReadOnly:
    """Refuses what a form could do. Actions have permissions of their own and call use cases."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class Listing(ChangeList):
    """A list that says how many rows it has without counting the table a second time."""

    def get_results(self, request: HttpRequest) -> None:
        if any("\x00" in value for values in dict(request.GET.lists()).values() for value in values):
            raise IncorrectLookupParameters  # Django lets a NUL through, and the database ends the page with an error
        super().get_results(request)
        if not self.query and not self.has_active_filters:
            self.full_result_count = self.result_count


class ReadOnlyAdmin(ReadOnly, ModelAdmin):
    """A list and a detail page without a form."""

    list_fullwidth = True
    list_filter_submit = True
    list_per_page = 50
    show_facets = admin.ShowFacets.NEVER
    show_full_result_count = False
    # The theme's own checks look each permission up in the database: on an empty one, `migrate` could not start.
    checks_class = ModelAdminChecks

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return Listing

    def row(self, request: HttpRequest, object_id: str) -> Any:
        """Return the row that an action's address names. Raise `Http404` where there is none."""
        found: Model | None = self.get_object(request, object_id)
        if found is None:
            raise Http404(f"there is no {self.opts.verbose_name} {object_id}")
        return found


class ReadOnlyInline(ReadOnly, TabularInline):
    """Rows of another table on a detail page."""

    extra = 0
    max_num = 0
    hide_title = True
