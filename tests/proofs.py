"""What is proved at greater length by `make proofs` than by `make test`: every point instead of the telling ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest


def telling(cases: Sequence[Any], *kept: Any) -> list[Any]:
    """Return the cases for `parametrize`, all but the ones kept marked as a proof of their own."""
    missing = [each for each in kept if each not in cases]
    assert not missing, f"kept, and no case: {missing}"
    return [each if each in kept else pytest.param(*_values(each), marks=pytest.mark.proof) for each in cases]


def _values(case: Any) -> tuple[Any, ...]:
    return case if isinstance(case, tuple) else (case,)
