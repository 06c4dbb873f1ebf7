"""What the account has nothing of: lists are empty as the SDK wants them, and writing is refused in a sentence."""

from __future__ import annotations

import pytest
from kiteconnect.exceptions import GeneralException, InputException


def test_lists_are_empty_and_of_the_sdks_types(kite):
    assert kite.mf_orders() == []
    assert kite.mf_sips() == []
    assert kite.mf_holdings() == []
    assert kite.mf_instruments() == []
    assert kite.get_auction_instruments() == []


def test_the_funds_csv_has_the_header_that_the_sdk_reads_by(paper):
    answer = paper.http.get(f"{paper.root}/mf/instruments", headers={"Authorization": "token paper:paper"}, timeout=5)

    assert answer.headers["Content-Type"].startswith("text/csv")
    assert answer.text.startswith("tradingsymbol,amc,name,purchase_allowed,")
    assert answer.text.count("\n") == 1


@pytest.mark.parametrize(
    "write",
    [
        lambda kite: kite.place_mf_order("INF090I01239", "BUY", amount=5000),
        lambda kite: kite.cancel_mf_order("1"),
        lambda kite: kite.place_mf_sip("INF090I01239", 1000, 12, "monthly"),
        lambda kite: kite.modify_mf_sip("1", amount=2000),
        lambda kite: kite.cancel_mf_sip("1"),
    ],
)
def test_funds_cannot_be_bought(kite, write):
    with pytest.raises(InputException, match="not available on paper"):
        write(kite)


@pytest.mark.parametrize("read", [lambda kite: kite.mf_orders("1"), lambda kite: kite.mf_sips("1")])
def test_one_of_nothing_is_not_found(kite, read):
    with pytest.raises(GeneralException) as refusal:
        read(kite)

    assert refusal.value.code == 404


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/alerts", 200),
        ("GET", "/alerts/8b2f", 404),
        ("POST", "/alerts", 400),
        ("PUT", "/alerts/8b2f", 400),
        ("DELETE", "/alerts?uuid=8b2f", 400),
        ("POST", "/portfolio/holdings/authorise", 400),
        ("GET", "/user/profile/full", 200),
    ],
)
def test_what_the_sdk_has_no_method_for_is_answered_in_kites_envelope(paper, method, path, status):
    answer = paper.http.request(method, paper.root + path, headers={"Authorization": "token paper:paper"}, timeout=5)

    assert answer.status_code == status
    assert answer.json()["status"] == ("success" if status == 200 else "error")


def test_all_of_it_needs_a_session(paper):
    for path in ("/mf/orders", "/mf/instruments", "/alerts", "/portfolio/holdings/auctions"):
        assert paper.http.get(paper.root + path, timeout=5).status_code == 403
