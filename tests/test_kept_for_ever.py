"""Nothing of the ledger is ever deleted: no module deletes rows but those named here, and none of them a live one's."""

from __future__ import annotations

import inspect
import re

import pytest

from orders import start
from orders.models import Order
from risk.models import Mode
from tests.test_tidy import SOURCES, name

DELETES = re.compile(
    r"\.delete\(|\b_raw_delete\(|DELETE\s+FROM|\bTRUNCATE\s+(?:TABLE|\w+_\w+)|DROP\s+TABLE", re.IGNORECASE
)
# What each deletes, none of it a row of the ledger of a desk that trades live.
WHERE = {
    "orders/admin/lock_outs.py": "wrong passwords that a person forgives",
    "orders/api_tokens.py": "how often an address sent tokens that open nothing, a minute later",
    "orders/holdings.py": "what the broker's list of holdings has no more: the list is the broker's",
    "orders/restored.py": "which executor led, in a database that was just restored",
    "orders/second_factor.py": "a lost phone's codes, and the sessions of who lost it",
    "orders/start.py": "the paper book, when a person asks for a fresh one",
    "risk/calendar_edits.py": "a day of the calendar that a person takes out; the change is kept",
}


def test_rows_are_deleted_in_the_places_named_here_and_nowhere_else():
    found = {name(path) for path in SOURCES if "paper" not in path.parts and DELETES.search(path.read_text())}

    assert found == WHERE.keys()


def test_the_paper_reset_names_paper_in_each_of_its_deletions():
    body = inspect.getsource(start.forget_paper_book)
    rows = re.findall(r"^\s+\w+\.objects\.(.*),$", body, flags=re.MULTILINE)

    assert len(rows) > 10
    assert [each for each in rows if "mode=Mode.PAPER" not in each] == []


@pytest.mark.django_db
def test_the_paper_reset_leaves_every_order_of_another_mode(bare_desk):
    same = {"origin": "MANUAL", "exchange": "NSE", "symbol": "INFY", "side": "BUY", "product": "CNC", "quantity": 1}
    for mode in Mode:
        at = {"trading_date": bare_desk.today(), "created_at": bare_desk.clock()}
        Order.objects.create(mode=mode, client_order_id=mode, order_type="MARKET", **same, **at)

    start.forget_paper_book()

    assert {order.mode for order in Order.objects.all()} == set(Mode) - {Mode.PAPER}


def test_files_are_removed_by_backups_and_archives_of_their_own_names_alone():
    removing = re.compile(r"\.unlink\(|rmtree\(|os\.remove\(")
    ours = {path for path in SOURCES if path.name in {"backup.py", "archive.py", "restore.py", "backup_files.py"}}

    found = {line.strip() for path in ours for line in path.read_text().splitlines() if removing.search(line)}

    assert found == {
        "file.unlink(missing_ok=True)",  # of a backup that the rotation lets go
        "left.unlink()",  # a draft of a backup, by its name
        "draft.unlink(missing_ok=True)",  # likewise, of this run
        "shutil.rmtree(draft, ignore_errors=True)",  # a draft of an archive, of this run
    }
