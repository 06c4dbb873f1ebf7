"""What is asked of incidents at each decision and on each page is read by an index, however many there ever were."""

from __future__ import annotations

import pytest
from django.db import connection
from django.utils import timezone

from risk.models import Incident

pytestmark = pytest.mark.django_db
RESOLVED = 5000
KIND = Incident.Kind.EXPOSURE


@pytest.fixture
def history():
    """Five thousand incidents that are over and one that is not."""
    now = timezone.now()
    over = {"kind": KIND, "mode": "PAPER", "first_at": now, "last_at": now, "is_open": False, "status": "RESOLVED"}
    Incident.objects.bulk_create(Incident(fingerprint=f"PAPER:{KIND}:{n}", **over) for n in range(RESOLVED))
    Incident.objects.open(KIND, mode="PAPER", title="open", subject="open", symbol="INFY", stops_opening=True, now=now)
    with connection.cursor() as cursor:
        cursor.execute("analyze risk_incident")


def plan(rows):
    return rows.explain(analyze=True, timing=False)


@pytest.mark.parametrize(
    "asked",
    [
        lambda: Incident.objects.unresolved().filter(mode="PAPER"),
        lambda: Incident.objects.unresolved().filter(mode="PAPER", kind=KIND),
        lambda: Incident.objects.stopping("PAPER", "INFY"),
    ],
)
def test_what_is_unresolved_is_found_without_what_is_over(history, asked):
    assert asked().count() == 1
    assert "Seq Scan" not in (found := plan(asked())), found
    assert "incident_unresolved" in found
    assert "Rows Removed by Filter" not in found


def test_whether_something_was_told_is_found_by_its_subject(history):
    asked = Incident.objects.filter(fingerprint=f"PAPER:{KIND}:77")

    assert Incident.objects.told(KIND, mode="PAPER", subject="77")
    assert not Incident.objects.told(KIND, mode="PAPER", subject="77a")
    assert "Seq Scan" not in (found := plan(asked)), found
