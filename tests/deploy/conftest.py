"""What a server is made of: its files, and the programs of Debian that must find nothing wrong with them."""

from __future__ import annotations

import os
import shutil

import pytest

from tests.executor_process import REPOSITORY

DEPLOY = REPOSITORY / "deploy"


def program(name: str, package: str) -> str:
    """Return where it is. Without it the test is skipped, but never in CI, which installs it (`.ci/run`)."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/bin")
    if found:
        return found
    told = f"{name} is not here: apt-get install {package}"
    if os.environ.get("CI"):
        pytest.fail(told)
    pytest.skip(told)


def text(name: str) -> str:
    return (DEPLOY / name).read_text()
