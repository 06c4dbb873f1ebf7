"""
The API fuzzed from its own schema, through the real application and into a real database.

What fits the schema and what does not, for each operation: no answer is a defect of ours, each has a status, a form and
headers that the schema names, what does not fit is refused, and without its token nothing opens. `make fuzz-api` tries
a hundred times as many; FUZZED_REQUESTS says how many of each kind and operation.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from config.wsgi import application
from orders import api_tokens
from orders.models import Order, Signal
from risk.models import TradingControl
from tests.orders.admin.test_every_page import everything_stored
from tests.orders.api.test_who_may import TABLE

EXAMPLES = int(os.environ.get("FUZZED_REQUESTS", "5"))
# The bodies of signals are read more leniently than the schema says, and a time in the past is what makes one.
LENIENT = {"POST /signals", "POST /signals/tradingview"}

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def schema(transactional_db: None) -> Any:
    import schemathesis  # here, and not above: it takes a second, which every worker of the suite would wait for

    return schemathesis.openapi.from_wsgi("/api/v1/openapi.json", application)


def fuzz(schema: Any, secret: str, *, refused: bool) -> set[str]:
    """Ask every operation many times over, and return which answered at all."""
    from schemathesis import GenerationMode
    from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

    # What a browser's or a proxy's part is, and what would need several requests.
    asked = set()
    for operation in (each.ok() for each in schema.get_all_operations()):
        name = f"{operation.method.upper()} {operation.path.removeprefix('/api/v1')}"
        excluded = [positive_data_acceptance, *([negative_data_rejection] if name in LENIENT else [])]
        for mode in GenerationMode.NEGATIVE, GenerationMode.POSITIVE:
            _ask(operation.as_strategy(generation_mode=mode), secret, excluded, refused=refused)
        asked.add(name)
    return asked


def _ask(cases: Any, secret: str, excluded: list[Any], *, refused: bool) -> None:
    headers = {} if refused else {"Authorization": f"Bearer {secret}"}

    @settings(
        max_examples=2 if refused else EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases)
    def ask(case: Any) -> None:
        if refused:
            assert case.call(headers={"Authorization": "Bearer nothing"}).status_code in {401, 429, 413, 404}, case
        else:
            case.call_and_validate(headers=headers, excluded_checks=excluded)

    ask()


def test_nothing_that_is_sent_breaks_the_api(schema, resting, received, follow, token, monkeypatch):
    monkeypatch.setattr(api_tokens, "FAILURES_PER_MINUTE", 60_000)  # each request is repeated without its token
    follow(received(signal_id="one"))
    resting(symbol="INFY")

    assert fuzz(schema, token(), refused=False) == set(TABLE)

    assert Order.objects.count() == 2
    assert Signal.objects.count() > 2
    assert TradingControl.objects.get(mode="PAPER").state in {"ACTIVE", "HALTED"}


def test_whatever_is_sent_without_a_token_opens_and_changes_nothing(schema, resting, token):
    resting()
    stored = everything_stored()

    fuzz(schema, "", refused=True)

    assert {**everything_stored(), "orders.RefusedAddress": []} == stored
