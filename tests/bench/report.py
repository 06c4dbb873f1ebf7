"""The figures of a run, as one table and as one line of JSON."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One thing that was measured, the goal it has, and what the same costs by hand."""

    name: str
    unit: str
    measured: float
    goal: float | None = None
    at_least: bool = False  # whether the goal is a least, and not a most
    floor: float | None = None
    ratio_max: float | None = None  # of what is measured to the floor

    @property
    def ratio(self) -> float | None:
        """How many times the floor: for a pace how many times slower."""
        if not self.floor or not self.measured:
            return None
        return self.floor / self.measured if self.at_least else self.measured / self.floor

    @property
    def is_met(self) -> bool | None:
        """Whether the goal, and the ratio where one is set, are met; None without a goal."""
        if self.goal is None and self.ratio_max is None:
            return None
        by_itself = self.goal is None or (self.measured >= self.goal if self.at_least else self.measured <= self.goal)
        return by_itself and (self.ratio_max is None or (self.ratio is not None and self.ratio <= self.ratio_max))


def percentile(values: Iterable[float], percent: int) -> float:
    """Return the value that so many percent of them do not exceed; a single slow one of a few counts."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


def as_table(figures: Sequence[Figure]) -> str:
    head = f"{'figure':<58} {'goal':>12} {'measured':>12} {'floor':>10} {'ratio':>7}"
    return "\n".join([head, "-" * len(head), *(_line(figure) for figure in figures)])


def as_json(figures: Sequence[Figure]) -> str:
    """Return one line that another program reads, with the machine and the moment."""
    told = [asdict(figure) | {"ratio": figure.ratio, "is_met": figure.is_met} for figure in figures]
    return json.dumps({"at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine(), "figures": told})


def machine() -> str:
    """Return what it was measured on."""
    try:
        cpus = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        model = cpus[0].partition(":")[2].strip()
    except (OSError, IndexError):
        model = platform.processor() or platform.machine()
    return (
        f"{os.cpu_count()} cores, {model}, {platform.system()} {platform.release()}, Python {platform.python_version()}"
    )


def _line(figure: Figure) -> str:
    sign = "≥" if figure.at_least else "≤"
    goal = "" if figure.goal is None else f"{sign} {_number(figure.goal)}"
    floor = "" if figure.floor is None else _number(figure.floor)
    ratio = "" if figure.ratio is None else f"{figure.ratio:.1f} ×"
    missed = "  missed" if figure.is_met is False else ""
    name = f"{figure.name} ({figure.unit})"
    return f"{name:<58} {goal:>12} {_number(figure.measured):>12} {floor:>10} {ratio:>7}{missed}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.2f}"
