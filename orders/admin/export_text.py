"""
What a file says of each column, made by the database: exact, in Mumbai's time, and no formula.

A spreadsheet computes what looks like a formula, and a formula can send a sheet's cells away. It is the database that
makes the texts, for of a long list there are millions.
"""

from __future__ import annotations

from typing import Any

from django.db.models import (
    BooleanField,
    Case,
    CharField,
    DateTimeField,
    DecimalField,
    Expression,
    F,
    Field,
    ForeignKey,
    Func,
    IntegerField,
    Model,
    Q,
    TextField,
    Value,
    When,
)
from django.db.models.functions import Cast, Concat, Ord
from django.db.models.lookups import GreaterThanOrEqual, LessThanOrEqual

_STARTS_A_FORMULA = ("=", "+", "-", "@")
# The same in PostgreSQL's words, whatever its own idea of a space.
_SPACES = "".join(letter for letter in map(chr, range(1, 0x3001)) if letter.isspace())
_FORMULA = rf"^([{_SPACES}]*[=+@-]|[\t\r\n])"


def harmless(words: str) -> str:
    """Return the text so that a spreadsheet shows it and computes nothing."""
    suspect = words.lstrip().startswith(_STARTS_A_FORMULA) or words.startswith(("\t", "\r", "\n"))
    return f"'{words}" if suspect else words


def as_text(model: type[Model], path: str) -> Expression:
    """Return the column's text; what is empty or not known is NULL."""
    field = field_of(model, path)
    if isinstance(field, CharField | TextField):
        return _harmless(path)
    if isinstance(field, DateTimeField):
        return _InMumbai(F(path))
    if isinstance(field, BooleanField):
        told = {"yes": True, "no": False}
        return Case(
            *(When(**{path: value}, then=Value(word)) for word, value in told.items()), output_field=TextField()
        )
    return Cast(F(path), TextField())


def is_number(model: type[Model], path: str) -> bool:
    return isinstance(field_of(model, path), IntegerField | DecimalField | ForeignKey)


def field_of(model: type[Model], path: str) -> Field[Any, Any]:
    """Return the field at the end of the path, which may lead through related rows."""
    *through, last = path.split("__")
    options = model._meta  # noqa: SLF001 - Django's way to ask for a field
    for name in through:
        related = options.get_field(name).related_model
        assert isinstance(related, type), f"{path} leads through {name}"
        options = related._meta  # noqa: SLF001 - likewise
    field = options.pk if last == "pk" else options.get_field(last)
    assert isinstance(field, Field), f"{path} ends at a column"
    return field


class _InMumbai(Func):
    """ISO 8601 with milliseconds, cut and not rounded, and the offset."""

    template = """to_char(%(expressions)s AT TIME ZONE 'Asia/Kolkata', 'YYYY-MM-DD"T"HH24:MI:SS.MS"+05:30"')"""
    output_field = TextField()


def _harmless(path: str) -> Case:
    first = Ord(F(path))
    letters = Q(GreaterThanOrEqual(first, ord("A"))) & Q(LessThanOrEqual(first, ord("~")))
    return Case(
        When(letters, then=F(path)),  # most of them, without the cost of an expression
        When(**{path: ""}, then=Value(None)),
        When(**{f"{path}__regex": _FORMULA}, then=Concat(Value("'"), F(path))),
        default=F(path),
        output_field=TextField(),
    )
