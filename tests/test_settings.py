"""What cannot work fails at the start, with a sentence that says what to do."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from risk.engine.loosening import LOOSER, Looser, contradictions
from risk.first_limits import first_values
from risk.models import RiskSettings
from tests.executor_process import REPOSITORY


def check(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"KITE_API_KEY": "k"}, "KITE_API_SECRET is empty while the other half is set"),
        ({"KITE_API_SECRET": "s"}, "KITE_API_KEY is empty while the other half is set"),
        ({"SHADOW": "true"}, "SHADOW needs Zerodha's prices: set KITE_API_KEY and KITE_API_SECRET"),
        ({"SHADOW": "perhaps"}, "SHADOW is 'perhaps': give true or false"),
        (
            {"SHADOW": "true", "KITE_API_KEY": "k", "KITE_API_SECRET": "s", "DEBUG": "true"},
            "DEBUG is on, and its error pages show what is secret",
        ),
        ({"POSITION_SIZE": "lots"}, "POSITION_SIZE is 'lots': give a number, such as 1000.0"),
        ({"POSITION_SIZE": "NaN"}, "POSITION_SIZE is NaN: give a number from 0 to"),
        ({"CMS_BUY_THRESHOLD": "101"}, "CMS_BUY_THRESHOLD is 101: give a number from -100 to 100"),
        ({"MAX_DAILY_TRADES": "-1"}, "MAX_DAILY_TRADES is '-1': give a whole number"),
        ({"POSITION_SIZE": "20000"}, "POSITION_SIZE 20000 is above MAX_POSITION_SIZE 10000"),
        ({"ENABLE_AUTO_TRADING": "maybe"}, "ENABLE_AUTO_TRADING is 'maybe': give true or false"),
        ({"SIGNAL_TIME_ZONE": "India"}, "SIGNAL_TIME_ZONE is 'India': give a time zone name"),
        ({"KITE_ROOT_URL": "http://api.kite.trade"}, "KITE_ROOT_URL is 'http://api.kite.trade': give one that begins"),
        ({"KITE_STREAM_URL": "ws://ws.kite.trade"}, "give one that begins with wss://"),
        ({"END_OF_DAY_AT": "quarter to four"}, "END_OF_DAY_AT is 'quarter to four': give a time of day, such as 15:45"),
        ({"END_OF_DAY_AT": "24:00"}, "END_OF_DAY_AT is '24:00': give a time of day"),
        ({"KITE_LOGIN_URL": "http://kite.zerodha.com/connect/login"}, "KITE_LOGIN_URL is 'http://kite.zerodha.com/"),
        ({"STREAMED_PRICE_AGE_MAX_SECONDS": "31"}, "give a whole number from 0 to 30"),
        ({"KITE_POSTBACK": "maybe"}, "KITE_POSTBACK is 'maybe': give true or false"),
        ({"LOOSENING_NEEDS": "nothing"}, "LOOSENING_NEEDS is 'nothing': use confirmation or second_person"),
        ({"CEILING_POSITION_SIZE": "999"}, "POSITION_SIZE 1000.0 is above CEILING_POSITION_SIZE 999"),
        ({"CEILING_MAX_DAILY_TRADES": "9"}, "MAX_DAILY_TRADES 10 is above CEILING_MAX_DAILY_TRADES 9"),
        ({"METRICS_TOKEN": "fifteen letters"}, "METRICS_TOKEN is shorter than 16 characters: give a random one"),
        ({"BACKUP_DAILY": "0"}, "BACKUP_DAILY is '0': give a whole number from 1 to 3660"),
        ({"ENTRY_ORDER_TYPE": "STOP"}, "ENTRY_ORDER_TYPE is 'STOP': give LIMIT or MARKET"),
    ],
)
def test_what_cannot_work_is_refused_with_what_to_do(environment, sentence):
    refused = check(**environment)

    assert refused.returncode != 0
    assert sentence in refused.stderr


def test_the_originals_names_and_values_are_accepted():
    accepted = check(
        ENABLE_AUTO_TRADING="true",
        POSITION_SIZE="1000.0",
        CMS_BUY_THRESHOLD="60.0",
        CMS_SELL_THRESHOLD="-60.0",
        MAX_POSITION_SIZE="10000",
        MAX_DAILY_TRADES="10",
        KITE_API_KEY="k",
        KITE_API_SECRET="s",
        KITE_ACCESS_TOKEN="t",
    )

    assert accepted.returncode == 0, accepted.stderr


def test_every_limit_that_loosens_upwards_has_a_ceiling_above_its_first_value(settings):
    # Past its zero the other way a score is no limit of the book: what it lets through meets every other limit.
    without = {"cms_sell_threshold"}
    upwards = {name for name, looser in LOOSER.items() if looser == Looser.UP}
    first = RiskSettings(**first_values(settings.FIRST_LIMITS))

    assert set(settings.LIMIT_CEILINGS) == upwards - without
    assert all(getattr(first, name) < ceiling for name, ceiling in settings.LIMIT_CEILINGS.items())
    assert contradictions(settings.LIMIT_CEILINGS) == []


def test_the_passwords_of_the_servers_are_struck_out_of_every_log_by_their_value():
    said = "from config import settings; from orders.redaction import strike_out; print(strike_out('{} and {}'))"
    program = said.format("of the database", "of redis 100%")
    addresses = {
        "DATABASE_URL": "postgresql://desk:of%20the%20database@127.0.0.1/desk",
        "REDIS_URL": "redis://:of%20redis%20100%25@cache:6379/0",
    }

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, env={**os.environ, **addresses}, capture_output=True, text=True
    )

    assert done.stdout.strip() == "… and …", done.stderr
