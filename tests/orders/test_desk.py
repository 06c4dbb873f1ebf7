"""What day it is in Mumbai, how money is written, and how long a login lasts."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from orders.broker.sessions import TokenVault, expiry_after
from orders.desk import Desk, DeskNotWired, rupees, trading_date
from orders.models import BrokerSession

IST = ZoneInfo("Asia/Kolkata")
NOW = datetime(2026, 11, 23, 10, 0, tzinfo=IST)


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (datetime(2026, 11, 23, 18, 29, 59, 999999, tzinfo=UTC), date(2026, 11, 23)),
        (datetime(2026, 11, 23, 18, 30, tzinfo=UTC), date(2026, 11, 24)),
        (datetime(2026, 11, 23, 0, 0, tzinfo=IST), date(2026, 11, 23)),
        (datetime(2026, 11, 22, 23, 59, 59, tzinfo=IST), date(2026, 11, 22)),
    ],
)
def test_a_trading_date_turns_at_midnight_in_mumbai(moment, expected):
    assert trading_date(moment) == expected


@pytest.mark.parametrize(
    ("amount", "written"),
    [
        ("0", "₹0.00"),
        ("0.005", "₹0.00"),
        ("999.99", "₹999.99"),
        ("1000", "₹1,000.00"),
        ("99999.9", "₹99,999.90"),
        ("100000", "₹1,00,000.00"),
        ("1234567.5", "₹12,34,567.50"),
        ("1234567890", "₹1,23,45,67,890.00"),
        ("-1234567.5", "-₹12,34,567.50"),
        ("-0.001", "₹0.00"),
    ],
)
def test_rupees_are_grouped_as_in_india(amount, written):
    assert rupees(Decimal(amount)) == written


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (datetime(2026, 11, 23, 5, 59, 59, tzinfo=IST), datetime(2026, 11, 23, 6, 0, tzinfo=IST)),
        (datetime(2026, 11, 23, 6, 0, tzinfo=IST), datetime(2026, 11, 24, 6, 0, tzinfo=IST)),
        (datetime(2026, 11, 23, 6, 0, 1, tzinfo=IST), datetime(2026, 11, 24, 6, 0, tzinfo=IST)),
        (datetime(2026, 11, 23, 0, 29, tzinfo=UTC), datetime(2026, 11, 23, 6, 0, tzinfo=IST)),
        (datetime(2026, 12, 31, 9, 0, tzinfo=IST), datetime(2027, 1, 1, 6, 0, tzinfo=IST)),
    ],
)
def test_a_login_ends_at_the_next_six_in_the_morning_in_mumbai(moment, expected):
    assert expiry_after(moment) == expected


@pytest.fixture
def vault(db):
    return TokenVault("LIVE", secret_key="a secret of the suite")


def test_without_a_login_there_is_no_token(vault):
    assert vault.token() == ""
    assert not vault.is_valid(NOW)


def test_a_login_is_valid_until_it_expires_and_not_at_that_moment(vault):
    vault.keep("abc", user_id="AB1234", now=NOW)
    expiry = datetime(2026, 11, 24, 6, 0, tzinfo=IST)

    assert vault.token() == "abc"
    assert vault.is_valid(expiry - timedelta(seconds=1))
    assert not vault.is_valid(expiry)


def test_a_token_is_encrypted_at_rest_and_only_this_secret_key_reads_it(vault):
    vault.keep("very-secret-token", user_id="AB1234", now=NOW)

    stored = BrokerSession.objects.get(mode="LIVE").access_token
    assert "very-secret-token" not in stored
    assert TokenVault("LIVE", secret_key="another").token() == ""
    assert not TokenVault("LIVE", secret_key="another").is_valid(NOW)


def test_the_newest_token_wins_whichever_way_it_came(vault):
    vault.keep_from_environment("from the environment", now=NOW)
    vault.keep("from the button", user_id="AB1234", now=NOW + timedelta(minutes=1))
    vault.keep_from_environment("from the environment", now=NOW + timedelta(minutes=2))
    assert vault.token() == "from the button"

    vault.keep_from_environment("a new one", now=NOW + timedelta(minutes=3))

    assert vault.token() == "a new one"


def test_no_token_in_the_environment_changes_nothing(vault):
    vault.keep("abc", user_id="AB1234", now=NOW)

    vault.keep_from_environment("", now=NOW)

    assert vault.token() == "abc"


def test_a_refused_token_is_not_valid_until_a_new_login(vault):
    vault.keep("abc", user_id="AB1234", now=NOW)

    vault.refuse("Incorrect `api_key` or `access_token`.", asked_at=NOW, now=NOW)
    assert not vault.is_valid(NOW)
    assert BrokerSession.objects.get(mode="LIVE").last_error == "Incorrect `api_key` or `access_token`."

    vault.keep("def", user_id="AB1234", now=NOW)
    assert vault.is_valid(NOW)
    assert BrokerSession.objects.get(mode="LIVE").last_error == ""


def test_the_token_of_the_environment_is_not_tried_again_once_it_was_refused(vault):
    vault.keep_from_environment("abc", now=NOW)
    vault.refuse("no", asked_at=NOW, now=NOW)

    vault.keep_from_environment("abc", now=NOW + timedelta(minutes=1))

    assert not vault.is_valid(NOW + timedelta(minutes=1))


def test_paper_needs_no_login_and_is_never_refused(db):
    vault = TokenVault("PAPER", secret_key="a secret of the suite")

    vault.refuse("no", asked_at=NOW, now=NOW)

    assert vault.token() == "paper"
    assert vault.is_valid(NOW)
    assert BrokerSession.objects.get(mode="PAPER").refused_at is None


def test_without_a_paper_server_there_is_no_desk(settings):
    settings.PAPER_KITE_URL = ""

    with pytest.raises(DeskNotWired, match="set PAPER_KITE_URL"):
        Desk.from_settings()


def test_the_desk_of_the_settings_reads_its_broker(paper, settings, db):
    settings.PAPER_KITE_URL = paper.root

    desk = Desk.from_settings()

    assert (desk.mode, desk.is_live) == ("PAPER", False)
    assert desk.gateway.user_id() == "PAPER1"


def test_the_token_of_the_environment_is_kept_with_its_mark_or_not_at_all(vault):
    vault.row()

    with CaptureQueriesContext(connection) as asked:
        vault.keep_from_environment("abc", now=NOW)

    assert len([each for each in asked if "UPDATE" in each["sql"]]) == 1
    assert (vault.token(), bool(vault.row().environment_token_digest)) == ("abc", True)


def test_a_token_refused_after_the_clock_was_set_back_is_refused(vault):
    """The login seems to come of the future: it is the one that was used, and is not tried again."""
    vault.keep("abc", user_id="AB1234", now=NOW)
    back = NOW - timedelta(minutes=10)

    assert vault.refuse("no", asked_at=back, now=back + timedelta(seconds=1))
    assert not vault.is_valid(back)


def test_a_login_made_since_the_refused_one_was_used_stays(vault):
    vault.keep("def", user_id="AB1234", now=NOW)

    assert not vault.refuse("no", asked_at=NOW - timedelta(seconds=2), now=NOW + timedelta(seconds=1))
    assert vault.is_valid(NOW)
