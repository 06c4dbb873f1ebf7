"""What the executor does without: each process pays for what it loads, in time and in memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
LOADED = """
import django; django.setup()
import sys, orders.listener, orders.broker.kite
print([name for name in ("openpyxl", "xlsxwriter") if name in sys.modules])
"""


def test_the_executor_loads_no_library_for_workbooks():
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings"}

    said = subprocess.run(
        [sys.executable, "-c", LOADED], cwd=REPOSITORY, env=environment, capture_output=True, text=True
    )

    assert said.stdout.strip() == "[]", said.stderr
