"""The web server's entry, whose first worker kills itself at a named point; the one that replaces it does not."""

from __future__ import annotations

import os
from pathlib import Path

from config.wsgi import application
from tests.faults.dying_staff import arm

__all__ = ["application"]

armed = Path(os.environ["ARMED_ONCE"])
if not armed.exists():
    armed.touch()
    arm(os.environ["DIES_AT"])
