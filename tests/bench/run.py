"""One run from its start to its table: `manage.py bench` calls `bench`."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from tests.bench import growth, memory, nowhere, orders, receiving, reconciling, starting
from tests.bench.ground import Ground
from tests.bench.report import Figure, percentile

Say = Callable[[str], None]


def bench(parts: Sequence[str], *, rounds: int, messages: int, say: Say) -> list[Figure]:
    """Measure these parts, each on servers of its own, and return their figures."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: the processes are ended below
    found = []
    for part in parts:
        say(f"{part} …")
        found += _measure(part, rounds, messages, say)
    return found


def _measure(part: str, rounds: int, messages: int, say: Say) -> list[Figure]:
    folder = Path(tempfile.mkdtemp(prefix=f"order-executor-bench-{part}-"))
    ground = Ground(folder)
    finished = False
    try:
        ground.start()
        ground.run("prepare")
        figures = PARTS[part](ground, rounds, messages)
        finished = True
        return figures
    finally:
        ground.stop()
        if finished:
            ground.remove()
            shutil.rmtree(folder, ignore_errors=True)
        else:
            say(f"its logs are in {folder}")


def _receiving(ground: Ground, rounds: int, messages: int) -> list[Figure]:
    found = receiving.measure(ground, rounds=rounds, burst=min(10 * messages, receiving.BURST))
    ours, floor = found["executor"], found["floor"]
    single = percentile(ours.single, 99) * 1000
    return [
        *(
            _pace(
                f"signals to rows, burst on the {way}{beside}", ours.a_second[way + beside], goal, floor.a_second[way]
            )
            for beside, goal in (("", 8000), (" with orders", 5000))
            for way in ("channel", "stream")
        ),
        Figure(
            name="signal → row, a single one, p99",
            unit="ms",
            measured=single,
            goal=3,
            floor=percentile(floor.single, 99) * 1000,
        ),
    ]


def _nowhere(ground: Ground, rounds: int, messages: int) -> list[Figure]:
    found = nowhere.measure(ground, rounds=rounds, burst=min(5 * messages, nowhere.BURST))
    ours, floor = found["executor"], found["floor"]
    return [
        _pace(f"decisions that lead nowhere, {kind}", ours.a_second[kind], 4000, floor.a_second[kind])
        for kind in nowhere.KINDS
    ]


def _reconciling(ground: Ground, rounds: int, messages: int) -> list[Figure]:
    count = min(5 * messages, reconciling.ORDERS)
    found = reconciling.measure(ground, count)
    return [
        Figure(name=f"reconcile {count:,} orders, unchanged", unit="s", measured=found["unchanged"], goal=1),
        Figure(name=f"reconcile {count:,} orders, all moved", unit="s", measured=found["moved"], goal=3),
        *(
            Figure(name=f"reconcile, {each}", unit="s", measured=seconds)
            for each, seconds in found.items()
            if "longest" in each
        ),
    ]


def _memory(ground: Ground, rounds: int, messages: int) -> list[Figure]:
    marks = tuple(min(mark, each * messages) for mark, each in zip(memory.MARKS, (10, 100), strict=True))
    found = memory.measure(ground, marks)
    first, last = (found[mark] for mark in marks)
    return [
        Figure(name=f"executor after {marks[-1]:,} signals, resident", unit="MB", measured=last, goal=150),
        Figure(name=f"executor, growth after the first {marks[0]:,}", unit="MB", measured=last - first, goal=5),
    ]


def _starting(ground: Ground, rounds: int, messages: int) -> list[Figure]:
    return [Figure(name="warm `make run` until ready", unit="s", measured=percentile(starting.measure(), 50), goal=5)]


def _pace(name: str, ours: Iterable[float], goal: float, floor: Iterable[float]) -> Figure:
    measured, by_hand = percentile(ours, 50), percentile(floor, 50)
    return Figure(name=name, unit="a second", measured=measured, goal=goal, at_least=True, floor=by_hand)


PARTS: dict[str, Callable[[Ground, int, int], list[Figure]]] = {
    "orders": orders.figures,
    "receiving": _receiving,
    "nowhere": _nowhere,
    "reconciling": _reconciling,
    "growth": growth.figures,
    "memory": _memory,
    "starting": _starting,
}
