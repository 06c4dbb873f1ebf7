"""
Questions that every decision asks: the SQL of a queryset is made once, and several questions make one trip.

Django makes a queryset's SQL anew each time, which takes it longer than PostgreSQL needs to answer. A `Question` keeps
the SQL of a queryset and asks it again with other values; what is asked `together` is sent before the first answer is
waited for. The querysets stay the one place that says what counts.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any, Generic, NamedTuple, TypeVar

from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.models import QuerySet
from django.db.models.query import ModelIterable, ValuesIterable
from django.db.transaction import TransactionManagementError
from psycopg.sql import Literal

from risk.prepared import adapters, ensure_connection, is_looked_at, prepared_cursor
from risk.trip import Trip

Row = TypeVar("Row")
Answer = TypeVar("Answer")
Later = Callable[[], Answer]  # what a question that was sent will have told, once it is called

_FIRST_YEAR, _YEARS_APART = 3000, 100  # of the moments that stand in while SQL is made: farther than any distance asked
_NEAR = timedelta(days=365 * _YEARS_APART // 2)


_HERE = threading.local()


@contextlib.contextmanager
def together(*, planned_once: bool = False) -> Iterator[None]:
    """
    Send what is asked inside at once. The answers are there after it, not before.

    In the transaction that begins with it what is `planned_once` has one plan, for any values. Left to itself
    PostgreSQL makes one for these values each time where that for any is dearer than those were that it made on a
    smaller table: as long as a day fills. Only for questions whose plan for any values is as good.

    A wrapper of the connection's statements sees none of these; one with `before_together` has that called first.
    Where each statement is looked at they go one by one, and likewise while triggers are ignored: what says so is put
    before a statement, and two do not go as one.
    """
    ensure_connection()
    if is_looked_at() or _trip() is not None:
        yield
        return
    here: Any = connections[DEFAULT_DB_ALIAS]
    here.validate_thread_sharing()
    here.validate_no_broken_transaction()
    for wrapper in here.execute_wrappers:
        if before := getattr(wrapper, "before_together", None):
            before()
    with here.wrap_database_errors:
        trip = _HERE.trip = Trip(here.connection, adapters(here), planned_once=planned_once)
        try:
            yield
        except BaseException:
            trip.give_up()
            raise
        finally:
            _HERE.trip = None
        trip.end()


def ask(sql: str, values: Sequence[Any]) -> Later[list[tuple[Any, ...]]]:
    """Ask by SQL with %s for its values; what never changes stands in it, and it is planned once."""
    if (trip := _trip()) is not None:
        return trip.ask(sql, values)
    cursor = prepared_cursor()
    cursor.execute(sql, values)

    def rows() -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = cursor.fetchall()
        cursor.close()
        return found

    return rows


def _trip() -> Trip | None:
    """Return the trip that this thread's questions go with."""
    return getattr(_HERE, "trip", None)


class _Place(NamedTuple):
    """Where the SQL has a value: its name, and for a moment the distance from it."""

    name: str
    distance: timedelta | None = None

    def value(self, values: dict[str, Any]) -> Any:
        return values[self.name] if self.distance is None else values[self.name] + self.distance


class _Compiled(NamedTuple):
    sql: str
    places: tuple[_Place, ...]
    make: Callable[[list[tuple[Any, ...]]], list[Any]]
    locks: bool


class Question(Generic[Row]):
    """
    A queryset of named values, whose SQL is made the first time and kept.

    `build` returns it for any values of these kinds (`str`, `int`, `date` or `datetime`); it must not look at them. A
    moment may be asked with a distance, such as `now - MINUTE`.
    """

    def __init__(self, build: Callable[..., QuerySet[Any, Any]], **kinds: type) -> None:
        self._build = build
        self._kinds = kinds
        self._making = threading.Lock()

    def ask(self, **values: Any) -> Later[list[Row]]:
        """Send the question; what it returns waits for the rows."""
        compiled = self.__dict__.get("_compiled") or self._compile()
        if compiled.locks and connection.get_autocommit():
            raise TransactionManagementError("a lock outside of a transaction holds nothing")
        asked = ask(compiled.sql, [place.value(values) for place in compiled.places])
        return lambda: compiled.make(asked())

    def _compile(self) -> _Compiled:
        with self._making:  # once, by whichever thread comes first
            return self._compiled

    def rows(self, **values: Any) -> list[Row]:
        """Ask and return what is told."""
        return self.ask(**values)()

    @cached_property
    def _compiled(self) -> _Compiled:
        connection.ensure_connection()  # which knows how to write a constant
        standing_in = {name: _stand_in(kind, number) for number, (name, kind) in enumerate(self._kinds.items())}
        queryset = self._build(**standing_in)
        compiler = queryset.query.get_compiler(queryset.db)
        sql, parameters = compiler.as_sql()
        sql, places = _with_constants(sql, parameters, standing_in)
        if missing := self._kinds.keys() - {place.name for place in places}:
            raise AssertionError(f"the question does not ask by {', '.join(sorted(missing))}")
        return _Compiled(sql, places, _maker(queryset, compiler), queryset.query.select_for_update)


def _with_constants(
    sql: str, parameters: tuple[Any, ...], standing_in: dict[str, Any]
) -> tuple[str, tuple[_Place, ...]]:
    """Write what never changes into the SQL, and return it with the places that are left."""
    first, *rest = sql.split("%s")
    places, text = [], [first]
    for parameter, after in zip(parameters, rest, strict=True):
        place = _place(parameter, standing_in)
        if place is not None:
            places.append(place)
        constant = Literal(parameter).as_string(connection.connection).replace("%", "%%")
        text += ["%s" if place else constant, after]
    return "".join(text), tuple(places)


def _stand_in(kind: type, number: int) -> Any:
    if kind is datetime:
        return datetime(_FIRST_YEAR + number * _YEARS_APART, 7, 1, tzinfo=UTC)
    if kind is date:
        return date(_FIRST_YEAR + number * _YEARS_APART, 7, 1)
    return 1_900_000_000 + number if kind is int else f"\x01{number}"  # what any column of numbers can hold


def _place(parameter: Any, standing_in: dict[str, Any]) -> _Place | None:
    """Return the name that a parameter stands in for; None for a constant."""
    for name, value in standing_in.items():
        if isinstance(value, date):
            if type(parameter) is type(value) and abs(parameter - value) < _NEAR:
                return _Place(name, distance=(parameter - value) or None)
        elif isinstance(parameter, type(value)) and parameter == value:  # a number comes in a class of its column's
            return _Place(name)
    return None


def _maker(queryset: QuerySet[Any, Any], compiler: Any) -> Callable[[list[tuple[Any, ...]]], list[Any]]:
    """Return what turns the database's rows into what the queryset would have yielded."""
    converters = compiler.get_converters([expression for expression, *_ in compiler.select])
    iterable = queryset._iterable_class
    if iterable is ModelIterable:
        first, last = compiler.klass_info["select_fields"][0], compiler.klass_info["select_fields"][-1] + 1
        names = [expression.target.attname for expression, *_ in compiler.select[first:last]]
        more = dict(compiler.annotation_col_map)
        make = _model_maker(queryset, names, slice(first, last), more)
    elif iterable is ValuesIterable:
        names = list(queryset.query.selected or [*queryset.query.values_select, *queryset.query.annotation_select])

        def make(row: tuple[Any, ...]) -> Any:
            return dict(zip(names, row, strict=True))
    else:
        make = tuple

    def made(rows: list[tuple[Any, ...]]) -> list[Any]:
        converted = compiler.apply_converters(rows, converters) if converters else rows
        return [make(row) for row in converted]

    return made


def _model_maker(
    queryset: QuerySet[Any, Any], names: list[str], of_model: slice, more: dict[str, int]
) -> Callable[[Any], Any]:
    def make(row: Any) -> Any:
        made = queryset.model.from_db(queryset.db, names, row[of_model])
        for name, column in more.items():
            setattr(made, name, row[column])
        return made

    return make
