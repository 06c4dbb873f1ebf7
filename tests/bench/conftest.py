"""The cast of the admin's tests, for what is measured of its pages."""

from tests.orders.admin.conftest import quiet, tara  # noqa: F401
from tests.orders.conftest import follow, held, resting, wish  # noqa: F401
