"""The whole of a bad day: a backup, orders after it, the database lost, and the executor on what was restored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from config.backup import take
from config.restore import make_usable, restore
from orders.backup_files import Rotation
from tests.orders.paper.paper_process import until
from tests.orders.test_restored import beside, empty, target
from tests.test_story import concluded, filled, signal_bytes

__all__ = ["empty", "target"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]


@pytest.mark.proof
def test_what_was_sent_after_the_backup_is_never_sent_again(
    leader, start, valkey, auto_trading, paper, target, tmp_path: Path
):
    backup = take(tmp_path, Rotation(9, 9, 9), now=timezone.now()).backup
    executor = leader()
    wish = {"signal": signal_bytes(signal_id="one")}
    valkey.xadd("signals:stream", wish)
    order = filled(concluded("one"))
    executor.end()
    connection.close()

    restore(backup, target)
    make_usable(backup, target)
    valkey.xadd("signals:stream", wish)  # as one that was read and never acknowledged
    given = connection.get_connection_params()
    address = f"postgresql://{given['user']}:{given['password']}@{given['host']}:{given['port']}/{target.name}"
    start(DATABASE_URL=address)

    with beside(target.name) as ledger:

        def said(question: str) -> Any:
            return until(lambda: ledger.execute(question).fetchone(), 20)

        status, reason = said(
            "SELECT status, reason FROM orders_signal WHERE signal_id = 'one' AND status <> 'RECEIVED'"
        )
        (told,) = said("SELECT detail FROM risk_incident WHERE kind = 'UNKNOWN_ORDER'")
        assert said("SELECT state, auto_trading FROM risk_tradingcontrol WHERE mode = 'PAPER'") == ("HALTED", False)
        assert (status, reason) == (
            "EXPIRED",
            "it is of before this database was restored from a backup, and may have been acted on already",
        )
        assert order.client_order_id in told
        assert ledger.execute("SELECT count(*) FROM orders_order WHERE origin <> 'EXTERNAL'").fetchone() == (0,)
    accepted = [row["tag"] for row in paper.journal() if row["event"] == "accepted"]
    assert accepted == [order.client_order_id]
