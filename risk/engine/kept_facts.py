"""
The facts of a decision as they are kept, and back: exact, so that the same decision can be made of them again.

Numbers and moments are text, each in a form that loses nothing. The shape is numbered. A fact that was added later
takes its default in what was kept before; one without a default cannot be made up, and what lacks it is not readable.
Of what there may be hundreds of, a fact that is as by default is left out: those defaults must stay for ever. And many
moments are kept as numbers, which take half of the room and are made far sooner: microseconds since 1970.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from functools import cache, lru_cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from risk.engine.facts import Elsewhere, Portfolio, ProposedOrder

SHAPE = 2  # 1: many moments, too, as text; 0, without a number: that, its moments cut to the millisecond
_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)


class FactsUnreadable(Exception):
    """No facts can be read from what was kept; the text says what is wrong."""


def kept(proposed: ProposedOrder, portfolio: Portfolio) -> dict[str, Any]:
    """Return the facts as JSON takes them. Raise `TypeError` for a fact that could not be read back exactly."""
    return {"shape": SHAPE, "proposed": kept_part(proposed), "portfolio": kept_part(portfolio)}


def kept_part(facts: ProposedOrder | Portfolio) -> dict[str, Any]:
    """Return one of the two parts of `kept`, for who holds many orders against one book."""
    part: dict[str, Any] = _kept(facts)
    return part


def restored(facts: Mapping[str, Any]) -> tuple[ProposedOrder, Portfolio]:
    """Return the facts that `kept` was given. Raise `FactsUnreadable`."""
    if facts.get("shape", 0) not in range(SHAPE + 1):
        raise FactsUnreadable(f"their shape is {facts.get('shape')}, this version reads up to {SHAPE}")
    try:
        return _restored(ProposedOrder, facts["proposed"]), _restored(Portfolio, facts["portfolio"])
    except (KeyError, TypeError, ValueError, OverflowError, InvalidOperation) as error:
        raise FactsUnreadable(f"{type(error).__name__}: {error}") from error


def _kept(value: Any) -> Any:
    kind: Any = type(value)
    if kind in _AS_THEY_ARE:
        return value
    if as_text := _AS_TEXT.get(kind):
        return as_text(value)
    if kind is Elsewhere:
        return _kept_elsewhere(value, str(value.price)).copy()
    if names := _names(kind):
        return {name: _kept(getattr(value, name)) for name in names}
    if isinstance(value, tuple):
        return [(each - _EPOCH) // _MICROSECOND if type(each) is datetime else _kept(each) for each in value]
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, int | str):
        return value
    for known, as_text in _AS_TEXT.items():
        if isinstance(value, known):
            return as_text(value)
    raise TypeError(f"{value!r} is a {kind.__name__}, which is not kept exactly")


@lru_cache(maxsize=4096)
def _kept_elsewhere(value: Elsewhere, price: str) -> dict[str, Any]:
    """Return it as it is kept: most are as before. The price tells by its text, for 1.5 and 1.50 are equal."""
    said = {name: getattr(value, name) for name in _DEFAULTS}
    return {name: _kept(each) for name, each in said.items() if name in _SAID or each != _DEFAULTS[name]}


_AS_THEY_ARE = frozenset({NoneType, bool, int, str})
_AS_TEXT: dict[Any, Callable[[Any], str]] = {Decimal: str, datetime: datetime.isoformat, date: date.isoformat}

_DEFAULTS = {each.name: each.default for each in fields(Elsewhere)}
_SAID = frozenset(name for name, default in _DEFAULTS.items() if default is MISSING)  # a price that is missing, too


@cache
def _names(kind: type) -> tuple[str, ...]:
    """Return the names of a dataclass's fields; of anything else none."""
    return tuple(field.name for field in fields(kind)) if is_dataclass(kind) else ()


def _restored(kind: Any, value: Any) -> Any:
    if get_origin(kind) in (UnionType, Union):
        (inner,) = (each for each in get_args(kind) if each is not NoneType)
        return None if value is None else _restored(inner, value)
    if get_origin(kind) is tuple:
        return tuple(_restored_of_many(get_args(kind)[0], each) for each in value)
    if is_dataclass(kind):
        return _restored_facts(kind, value)
    if kind is Decimal:
        return Decimal(value)
    if kind in (datetime, date):
        return kind.fromisoformat(value)
    if issubclass(kind, StrEnum):
        return kind(value)
    if type(value) is not kind:
        raise TypeError(f"{value!r} is no {kind.__name__}")
    return value


def _restored_of_many(kind: Any, value: Any) -> Any:
    if kind is datetime and type(value) is int:
        return _EPOCH + value * _MICROSECOND
    return _restored(kind, value)


def _restored_facts(kind: Any, value: Mapping[str, Any]) -> Any:
    hints = _hints(kind)
    known = [field for field in fields(kind) if field.name in value or not _has_default(field)]
    return kind(**{field.name: _restored(hints[field.name], value[field.name]) for field in known})


def _has_default(field: Field[Any]) -> bool:
    return field.default is not MISSING or field.default_factory is not MISSING


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)
