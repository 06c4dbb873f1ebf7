"""Where processes are had to die names what there is: a point that nobody comes by proves nothing."""

from __future__ import annotations

import pytest

from tests import dying_executor
from tests.faults import dying_staff


@pytest.mark.parametrize("points", [dying_executor.points, dying_staff.points])
def test_every_point_names_a_function_there_is(points):
    lacking = [point for point, (_, owner, name) in points().items() if not callable(getattr(owner, name, None))]

    assert lacking == []


def test_every_point_of_an_order_sent_once_is_one():
    assert set(dying_executor.POINTS_SENT_ONCE) < set(dying_executor.points())
