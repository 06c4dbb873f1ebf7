"""PostgreSQL taken away from the sender of alerts: it says so itself, once, and tells of its return."""

from __future__ import annotations

import pytest

from orders.models import Alert
from tests.orders.alerting.conftest import webhooks  # noqa: F401 - a fixture
from tests.orders.paper.paper_process import until
from tests.orders.sender_process import send_alerts  # noqa: F401 - a fixture

from .conftest import without_postgres

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]


def test_a_database_that_is_away_is_told_once_and_so_is_its_return(send_alerts, webhooks):  # noqa: F811
    hook = webhooks()
    sender = send_alerts(ALERT_URLS=f"json://{hook.at}")

    with without_postgres():
        until(lambda: hook.posted, 30)
    until(lambda: len(hook.posted) == 2, 60)

    assert hook.titles() == ["PAPER: the database does not answer", "PAPER: The database answers again"]
    assert [alert.kind for alert in Alert.objects.all()] == ["DATABASE_BACK"]
    assert sender.end() == 0
    assert len(hook.posted) == 2
