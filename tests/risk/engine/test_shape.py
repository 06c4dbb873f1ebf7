"""The engine stays pure and its rules stay small."""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from datetime import datetime
from pathlib import Path
from typing import get_type_hints

import pytest

import risk.engine
from risk.engine.control import Finding
from risk.engine.facts import Portfolio, ProposedOrder
from risk.engine.limits import Limits
from risk.engine.rules import RULES, Control

SOURCES = sorted(Path(risk.engine.__path__[0]).glob("*.py"))
PURE_ENOUGH = sys.stdlib_module_names - {"io", "os", "pathlib", "random", "secrets", "socket", "subprocess", "time"}
CLOCKS = {"now", "today", "utcnow", "monotonic", "perf_counter"}
LONGEST_RULE = 18
each_rule = pytest.mark.parametrize("control", RULES, ids=[control.code for control in RULES])
each_source = pytest.mark.parametrize("source", SOURCES, ids=[source.name for source in SOURCES])


@each_source
def test_the_engine_imports_only_itself_and_what_reaches_nothing_outside(source: Path) -> None:
    imported = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add(node.module)

    strangers = {name for name in imported if not f"{name}.".startswith("risk.engine.") and name not in PURE_ENOUGH}
    assert strangers - {"collections.abc"} == set()


@each_source
def test_the_engine_reads_no_clock(source: Path) -> None:
    called = {
        node.func.attr
        for node in ast.walk(ast.parse(source.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }

    assert called & CLOCKS == set()


@each_rule
def test_every_rule_takes_the_same_four_arguments_and_returns_a_finding(control: Control) -> None:
    hints = get_type_hints(control.rule)

    assert list(inspect.signature(control.rule).parameters) == ["proposed", "portfolio", "limits", "now"]
    assert hints == {
        "proposed": ProposedOrder,
        "portfolio": Portfolio,
        "limits": Limits,
        "now": datetime,
        "return": Finding,
    }


@each_rule
def test_every_rule_fits_on_one_look(control: Control) -> None:
    lines = textwrap.dedent(inspect.getsource(control.rule)).splitlines()

    assert len(lines) <= LONGEST_RULE
