"""The dashboard and the rules that are shipped ask for what is exported, by its name and its labels."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from orders.models import BrokerSession
from orders.observations import keep_day_point

from .test_figures import beat_and_backup, clock, folder, text

__all__ = ["clock", "folder"]

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"
DASHBOARD = DEPLOY / "grafana" / "order-executor.json"
RULES = DEPLOY / "prometheus" / "alerts.yml"
NAME = re.compile(r"\border_executor_\w+")
# What a rule or a panel may say beside names: functions, keywords and labels of Prometheus.
WORDS = re.compile(r"[a-zA-Z_]\w*")
LABEL = re.compile(r"(\w+)=\"([^\"]*)\"")


@pytest.fixture
def exported(desk: Any, held: Any, clock: Any, folder: Path, db: None) -> dict[str, set[tuple[str, str]]]:
    """Every sample's name, with all pairs of label and value that it has on a desk that is at work."""
    held(2)
    keep_day_point(desk)
    now = clock()
    BrokerSession.objects.filter(mode="PAPER").update(
        stream_heard_at=now, funds=1000, funds_at=now - timedelta(seconds=1), reconciled_at=now
    )
    beat_and_backup(now, folder)
    found: dict[str, set[tuple[str, str]]] = {}
    for line in text(desk).splitlines():
        if not line.startswith("#"):
            name = line.partition("{")[0].partition(" ")[0]
            found.setdefault(name, set()).update(LABEL.findall(line))
    return found


def expressions() -> dict[str, str]:
    """Return every expression of the dashboard and the rules, by where it stands."""
    board = json.loads(DASHBOARD.read_text())
    found = {
        f"{panel['title']} {target['refId']}": target["expr"]
        for panel in board["panels"]
        for target in panel.get("targets", [])
    }
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            found[f"variable {variable['name']}"] = variable["query"]["query"]
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        found |= {rule["alert"]: rule["expr"] for rule in group["rules"]}
    return found


def test_every_name_that_is_asked_for_is_exported_with_the_labels_it_is_asked_by(exported):
    asked = expressions()
    assert len(asked) > 30

    wrong = {}
    for place, expression in asked.items():
        for selector in re.finditer(r"\b(order_executor_\w+)(?:\{([^}]*)\})?", expression):
            name, labels = selector[1], LABEL.findall(selector[2] or "")
            if name not in exported:
                wrong[place] = name
            elif lacking := {pair for pair in labels if pair[1] != "$mode"} - exported[name]:
                wrong[place] = f"{name}: {lacking}"
            elif {label for label, _ in labels} - {label for label, _ in exported[name]}:
                wrong[place] = f"{name} has no such label"
    assert wrong == {}


def test_every_figure_is_on_the_dashboard_or_in_a_rule(exported):
    asked = set(NAME.findall(" ".join(expressions().values())))

    assert exported.keys() - asked == {"order_executor_info"}


def test_the_words_between_are_prometheuss_own():
    known = {
        "absent",
        "by",
        "histogram_quantile",
        "increase",
        "label_values",
        "le",
        "limit",
        "mode",
        "on",
        "or",
        "and",
        "rate",
        "sum",
        "window",
        "state",
        "severity",
        "m",
        "h",
    }
    for place, expression in expressions().items():
        rest = re.sub(r"\"[^\"]*\"|\[\w+\]|order_executor_\w+", " ", expression)
        assert set(WORDS.findall(rest)) <= known, place
        for opening, closing in ("()", "{}", "[]"):
            assert expression.count(opening) == expression.count(closing), place


def test_every_rule_says_what_happened_and_what_to_do():
    (group,) = yaml.safe_load(RULES.read_text())["groups"]

    assert len({rule["alert"] for rule in group["rules"]}) == len(group["rules"]) >= 10
    for rule in group["rules"]:
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["annotations"].keys() == {"summary", "what_to_do"}


def test_the_panels_of_the_dashboard_do_not_lie_over_each_other():
    taken: set[tuple[int, int]] = set()
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not taken & cells, panel["title"]
        taken |= cells
