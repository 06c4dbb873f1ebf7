"""One run from its start to its report: `manage.py soak` and the suite call `soak`."""

from __future__ import annotations

import json
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from tests.soak import witnesses
from tests.soak.accounting import Bounds, compare
from tests.soak.conductor import Conductor
from tests.soak.ground import Ground
from tests.soak.limits import WIDE
from tests.soak.report import Report

SAY_EVERY_KILLS = 25


def soak(kills: int, seed: int, say: Callable[[str], None], *, keep: bool = False, broken: str = "") -> Report:
    """Run the soak and return its report. On failure the evidence stays, and `say` tells where."""
    folder = Path(tempfile.mkdtemp(prefix="order-executor-soak-"))
    ground = Ground(folder)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: the processes are ended below
    passed = False
    conductor = Conductor(ground, seed, broken=broken)
    try:
        report = _play(conductor, kills, say)
        passed = report.passed()
        if not passed:
            _keep_evidence(folder, report)
        return report
    finally:
        conductor.end()
        ground.stop()
        if passed and not keep:
            ground.remove()
        else:
            say(f"the evidence is in {folder}")


def _play(conductor: Conductor, kills: int, say: Callable[[str], None]) -> Report:
    started = time.monotonic()
    conductor.ground.start()
    conductor.begin()
    said = 0
    while conductor.kills < kills and not conductor.is_beyond_repair():
        conductor.kill()
        if conductor.kills - said >= SAY_EVERY_KILLS:
            said = conductor.kills
            say(f"{said} kills in {time.monotonic() - started:.0f} s")
    conductor.squeeze()
    conductor.settle()
    heard = witnesses.hear(conductor.ground, conductor.ledger)
    bounds = Bounds(
        order_value_max=WIDE["order_value_max"],
        position_value_max=WIDE["position_value_max"],
        daily_trades_max=conductor.trades_max,
    )
    return Report(
        killed=conductor.killed,
        outages=conductor.outages,
        heard=heard,
        found=compare(heard, bounds),
        seconds=time.monotonic() - started,
    )


def _keep_evidence(folder: Path, report: Report) -> None:
    """Write down what every witness said, beside the logs, the journal and the databases that stay in the folder."""
    heard = {name: value for name, value in asdict(report.heard).items() if name != "placed"}
    (folder / "witnesses.json").write_text(json.dumps(heard, default=str, indent=1))
    (folder / "report.txt").write_text(report.text())
    if (journal := folder / "paper" / "journal.jsonl").exists():
        shutil.copy(journal, folder / "journal.jsonl")
