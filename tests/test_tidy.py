"""What the eye would have to check in every review, checked here: sizes, names, and where dangerous words may stand."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted(
    path
    for folder in ("config", "orders", "risk")
    for path in (ROOT / folder).rglob("*.py")
    if "migrations" not in path.parts
)
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70
GRAB_BAGS = {"utils", "helpers", "common", "misc", "core", "base", "services", "managers", "handlers"}

CONFINED = {
    r"transaction\.atomic": {
        "orders/adjusting.py",
        "orders/alerting/outbox.py",
        "orders/by_hand.py",
        "orders/daily_login.py",
        "orders/deciding.py",
        "orders/differences.py",
        "orders/end_of_day.py",
        "orders/execution.py",
        "orders/flattening.py",
        "orders/going_live.py",
        "orders/governor.py",
        "orders/inbox.py",
        "orders/leadership.py",
        "orders/line_proof.py",
        "orders/logins.py",
        "orders/losses.py",
        "orders/missed_exits.py",
        "orders/modifying.py",
        "orders/reconciliation.py",
        "orders/replaying.py",
        "orders/restored.py",
        "orders/screening.py",
        "orders/second_factor.py",
        "orders/small_limits.py",
        "orders/start.py",
        "orders/stopping.py",
        "orders/tracker.py",
        "risk/approvals.py",
        "risk/audit/rows.py",
        "risk/audit/sealing.py",
        "risk/calendar.py",
        "risk/calendar_approvals.py",
        "risk/control.py",
        "risk/limit_versions.py",
    },
    r"select_for_update": {
        "orders/admin/people.py",
        "risk/models/switch.py",
        "risk/limit_versions.py",
        "risk/questions.py",
    },
    r"except Exception": {
        "orders/alerting/channels.py",
        "orders/alerting/sender.py",
        "orders/broker/kite.py",
        "orders/end_of_day.py",
        "orders/loops.py",
        "orders/paper/server/app.py",
        "orders/worker.py",
    },
    r"\bfloat\(": {
        "config/children.py",
        "orders/broker/kite.py",
        "orders/monitoring/figures.py",
        "orders/paper/server/wire.py",
    },
    r"datetime\.now\(": {"orders/paper/program.py"},
}


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_files_and_functions_fit_a_reader(path):
    text = path.read_text()
    long = [
        f"{node.name}: {node.end_lineno - node.lineno + 1} lines"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno - node.lineno >= FUNCTION_LINES_MAX
    ]

    assert text.count("\n") <= FILE_LINES_MAX
    assert long == []
    assert path.stem not in GRAB_BAGS


@pytest.mark.parametrize("words", CONFINED)
def test_dangerous_words_stand_only_where_they_are_watched(words):
    found = {name(path) for path in SOURCES if re.search(words, path.read_text())}

    assert found <= CONFINED[words]
    assert found, "a word that stands nowhere needs no confinement"


def test_nothing_but_advance_writes_an_orders_status():
    """`status=` in an update of orders would pass the table by and leave no event."""
    offenders = []
    for path in SOURCES:
        if "paper" in path.parts or path.name == "order.py":
            continue
        for call in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(call, ast.Call)
                and isinstance(call.func, ast.Attribute)
                and call.func.attr in {"update", "save"}
            ):
                keywords = {keyword.arg for keyword in call.keywords}
                if "status" in keywords and "Order.objects" in ast.unparse(call.func):
                    offenders.append(f"{name(path)}:{call.lineno}")

    assert offenders == []


def test_every_variable_of_the_settings_is_in_the_example():
    settings = (ROOT / "config/settings.py").read_text()
    read = set(re.findall(r"(?:env\.\w+|_decimal|_integer|_truth|_time_of_day|_time_zone)\(\s*\"([A-Z_]+)\"", settings))
    shown = set(re.findall(r"^#? ?([A-Z_]+)=", (ROOT / ".env.example").read_text(), flags=re.MULTILINE))

    assert read == shown


def test_no_tracked_file_names_a_package_index():
    for path in (ROOT / "requirements.txt", ROOT / "requirements-dev.txt"):
        text = path.read_text()
        assert "--hash=sha256:" in text
        assert not re.search(r"index-url|find-links|://", text)
