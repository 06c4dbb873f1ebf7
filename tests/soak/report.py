"""What a run says at its end: a table, what is missing or differs, and last one line of JSON."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

from tests.soak.accounting import Findings
from tests.soak.crash_points import POINTS
from tests.soak.faults import BROKER, OUTAGES
from tests.soak.witnesses import Statements

COVERAGE_FROM_KILLS = 200  # a shorter run cannot come by everything
SHOWN_MAX = 40
ENDINGS = ("found by its tag", "never placed", "adopted after it was taken for not placed", "refused", "adopted late")
LIMITS = ("DAILY_TRADES_EXCEEDED", "POSITION_VALUE_EXCEEDED")  # those that must have refused something


@dataclass(frozen=True, kw_only=True)
class Report:
    """The run in figures."""

    killed: Counter[str]
    outages: Counter[str]
    heard: Statements
    found: Findings
    seconds: float

    @property
    def kills(self) -> int:
        return sum(self.killed.values())

    @property
    def struck(self) -> Counter[str]:
        return Counter(row["fault"] for row in self.heard.journal if row["event"] == "fault")

    def endings(self) -> dict[str, int]:
        """Return how often each ending of a doubt, and of an order, came about."""
        doubted, absent = set(), set()
        endings = dict.fromkeys(ENDINGS, 0)
        for event in self.heard.events:
            order, before, after = event["order_id"], event["before"], event["after"]
            if after == "IN_DOUBT" != before:
                doubted.add(order)
            elif before == "IN_DOUBT" and after in {"OPEN", "PARTIALLY_FILLED", "FILLED", "CANCELLED", "REJECTED"}:
                endings["found by its tag"] += 1
            elif after == "NOT_PLACED" != before:
                endings["never placed"] += 1
                absent.add(order)
            elif before == "NOT_PLACED" != after:
                endings["adopted after it was taken for not placed"] += 1
            elif after == "REJECTED" != before:
                endings["refused"] += 1
        endings["adopted late"] = sum(each["kind"] == "LATE_APPEARANCE" for each in self.heard.incidents)
        return endings

    def uncovered(self) -> list[str]:
        """Return what a long run must have come by and did not."""
        missing = [f"crash point: {point.name}" for point in POINTS if not self.killed[point.name]]
        missing += [f"broker fault: {fault}" for fault in BROKER if not _struck(self.struck, fault)]
        missing += [f"outage: {outage}" for outage in OUTAGES if not self.outages[outage]]
        missing += [f"ending: {ending}" for ending, count in self.endings().items() if not count]
        limits = Counter(code for row in self.heard.decisions for code in row["reason"].split(":")[:1])
        missing += [f"limit: {code}" for code in LIMITS if not limits[code]]
        return missing

    def passed(self) -> bool:
        covered = self.kills < COVERAGE_FROM_KILLS or not self.uncovered()
        return self.found.clean and covered and len(self.heard.placed) * 2 >= self.kills

    def line(self) -> str:
        published = {said["id"] or said["raw"] for said in self.heard.ledger}
        figures: dict[str, Any] = {
            "kills": self.kills,
            "faults": sum(self.struck.values()) + sum(self.outages.values()),
            "signals": len(published),
            "orders": len(self.heard.placed),
            "lost": len(self.found.lost),
            "duplicated": len(self.found.duplicated),
            "unexplained": len(self.found.unexplained),
            "limit_breaches": len(self.found.limit_breaches),
            "pubsub_missed": len(self.found.pubsub_missed),
            "seconds": round(self.seconds, 1),
        }
        return json.dumps(figures)

    def text(self) -> str:
        """Return the whole report; the last line is the JSON."""
        sections = {
            "Kills at named points": self.killed,
            "Broker faults that struck": self.struck,
            "Outages": self.outages,
            "Endings": self.endings(),
            "Signals": Counter(row["status"] for row in self.heard.signals),
            "Decisions": Counter(row["reason"].split(":")[0][:60] or row["outcome"] for row in self.heard.decisions),
            "Orders": Counter(row["status"] for row in self.heard.orders),
            "Modifications": Counter(row["state"] for row in self.heard.modifications),
            "Flattens": Counter(row["state"] for row in self.heard.flattens),
            "Incidents": Counter(row["kind"] for row in self.heard.incidents),
        }
        lines: list[str] = []
        for title, counts in sections.items():
            lines += [title, *(f"  {count:6d}  {name or 'at a time'}" for name, count in sorted(counts.items()))]
        for name in ("lost", "duplicated", "unexplained", "limit_breaches"):
            lines += [f"{name.upper()}: {sentence}" for sentence in getattr(self.found, name)[:SHOWN_MAX]]
        lines += [f"NOT COVERED: {name}" for name in self.uncovered()] if self.kills >= COVERAGE_FROM_KILLS else []
        if len(self.heard.placed) * 2 < self.kills:
            lines.append("TOO FEW ORDERS: fewer than one for two kills")
        return "\n".join([*lines, self.line()])


def _struck(struck: Counter[str], fault: str) -> int:
    """Return how often a fault struck: the journal spells it out anew, with its numbers as it reads them."""
    return sum(count for spelled, count in struck.items() if _shape(spelled) == _shape(fault))


def _shape(spelled: str) -> tuple[str, str, frozenset[tuple[str, float]]]:
    route, kind, *more = spelled.split(":")
    pairs = (pair.split("=") for pair in more[0].split(",")) if more and more[0] else ()
    return route, kind, frozenset((name, float(value)) for name, value in pairs)
