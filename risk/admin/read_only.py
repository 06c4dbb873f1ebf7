"""Pages of what the machine writes: all of it is shown, and no form adds, changes or deletes any."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from typing import Any, TypeVar

from django.contrib import admin
from django.contrib.admin import helpers
from django.contrib.admin.checks import ModelAdminChecks
from django.contrib.admin.options import IncorrectLookupParameters
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest
from django.utils.html import escape
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin, TabularInline, checkbox
from unfold.views import ChangeList

from risk.admin.estimated import CappedPaginator

Row = TypeVar("Row", bound=Model)
Page = TypeVar("Page")


def named_by(rows: QuerySet[Row], address: Any) -> Row | None:
    """Return the row whose id stands in an address; None where there is none, or where it can be no id."""
    try:
        return rows.filter(pk=address).first()
    except (ValueError, TypeError):
        return None


def once_a_row(told: Callable[[Page, Row], Any]) -> Callable[[Page, Row], Any]:
    """Have what a page tells of a row made once: the theme's template asks for each field five times."""

    @wraps(told)
    def kept(page: Page, row: Row) -> Any:
        answers: dict[str, Any] = row.__dict__.setdefault("_told", {})
        if told.__name__ not in answers:
            answers[told.__name__] = told(page, row)
        return answers[told.__name__]

    return kept


class ReadOnly:
    """Refuses what a form could do. Actions have permissions of their own and call use cases."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class Listing(ChangeList):
    """
    A list that says how many rows it has without counting the table a second time.

    The theme makes the heads anew for each row, and with them the addresses that sort the list: those are made once.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._query_strings: dict[tuple[str, str], str] = {}
        super().__init__(*args, **kwargs)

    def get_query_string(self, new_params: Any = None, remove: Any = None) -> str:
        asked = (repr(new_params), repr(remove))
        if asked not in self._query_strings:
            self._query_strings[asked] = super().get_query_string(new_params, remove)
        return self._query_strings[asked]

    def get_ordering_field(self, field_name: Any) -> Any:
        """Return what a column is sorted by; nothing where that is not offered, whatever an address asks for."""
        return super().get_ordering_field(field_name) if field_name in self.sortable_by else None

    def get_results(self, request: HttpRequest) -> None:
        if any("\x00" in value for values in dict(request.GET.lists()).values() for value in values):
            raise IncorrectLookupParameters  # Django lets a NUL through, and the database ends the page with an error
        super().get_results(request)
        if not self.query and not self.has_active_filters:
            self.full_result_count = self.result_count


class ReadsOnce:
    """Mixed into an admin: the row of a page's address is read once, however often the page looks at it."""

    model: type[Model]

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        if request.method != "GET":
            return super().get_object(request, object_id, from_field)  # type: ignore[misc]
        kept: dict[tuple[type[Model], str], Any] = request.__dict__.setdefault("desk_rows", {})
        key = (self.model, str(object_id))
        if key not in kept:
            kept[key] = super().get_object(request, object_id, from_field)  # type: ignore[misc]
        return kept[key]


_ANY_ROW = "any-row"


@cache
def _checkbox() -> str:
    """Return the theme's box before a row: a template of its own for each would be a tenth of a page's time."""
    return str(checkbox.render(helpers.ACTION_CHECKBOX_NAME, _ANY_ROW))


class ReadOnlyAdmin(ReadOnly, ReadsOnce, ModelAdmin):
    """A list and a detail page without a form."""

    list_fullwidth = True
    list_filter_submit = True
    list_per_page = 25
    list_before_template = "desk/list_before.html"
    paginator = CappedPaginator
    show_facets = admin.ShowFacets.NEVER
    show_full_result_count = False
    # The theme's own checks look each permission up in the database: on an empty one, `migrate` could not start.
    checks_class = ModelAdminChecks

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return Listing

    @admin.display(description=ModelAdmin.action_checkbox.short_description)
    def action_checkbox(self, obj: Model) -> SafeString:
        return SafeString(_checkbox().replace(_ANY_ROW, escape(obj.pk)))

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
