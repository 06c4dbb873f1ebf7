"""
A fault as one word of a command line: `route:what[:name=value,…]`.

`place:drop_after:skip=2` is "the third place: accept, then drop the connection"; `place:error_429_after:hide_seconds=5`
is "answer 429, place it anyway, show it after five seconds".
"""

from __future__ import annotations

from pydantic import ValidationError

from orders.paper.errors import first_problem
from orders.paper.faults.faults import Fault, Kind, Route

NAMES = tuple(name for name in Fault.model_fields if name not in ("route", "do"))


class FaultUnreadable(Exception):
    """The text is not a fault; the message says what is allowed there."""


def read_fault(text: str) -> Fault:
    """Return the fault that the text names, or raise `FaultUnreadable`."""
    route, what, *rest = [*text.split(":"), ""][:3] if text.count(":") <= 2 else ["", "", ""]
    if route not in list(Route):
        raise FaultUnreadable(f"{text!r}: write route:what:name=value,… with a route of {', '.join(Route)}.")
    if what not in list(Kind):
        raise FaultUnreadable(f"{text!r}: {what!r} is none of {', '.join(Kind)}.")
    fields: dict[str, object] = {"route": route, "do": what}
    for part in filter(None, "".join(rest).split(",")):
        name, equals, value = part.partition("=")
        if name not in NAMES or not equals:
            raise FaultUnreadable(f"{text!r}: {part!r} is not name=value with a name of {', '.join(NAMES)}.")
        if name in fields:
            raise FaultUnreadable(f"{text!r}: {name} is said twice.")
        fields[name] = value
    try:
        return Fault.model_validate(fields)
    except ValidationError as error:
        where, problem = first_problem(error)
        raise FaultUnreadable(f"{text!r}: {where + ': ' if where else ''}{problem}.") from error


def spell(fault: Fault) -> str:
    """Return the text that `read_fault` reads as this fault."""
    said = fault.model_dump(mode="json", exclude_defaults=True, exclude={"route", "do"})
    values = ",".join(f"{name}={value}" for name, value in said.items())
    return f"{fault.route}:{fault.do}" + (f":{values}" if values else "")
