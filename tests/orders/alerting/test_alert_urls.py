"""Addresses of alerts: cut apart, shown without their secrets, and refused without showing them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from orders import redaction
from orders.alert_urls import NotAnAddress, addresses, label, secrets_of, split
from orders.alerting.channels import BadAddress, open_channels
from orders.alerting.wording import Words
from tests.executor_process import REPOSITORY
from tests.test_settings import check

TELEGRAM = "tgram://123456789:AAbbCCddEEffGGhh/-1001234567890"
MAIL = "mailtos://desk:correct%20horse@smtp.example.com:587?from=desk@example.com&to=a@x.com,b@x.com"
SLACK = "slack://TOKENA1234/TOKENB1234/TOKENC1234567890/#desk"
WEBHOOK = "jsons://user:battery-staple@hooks.example.com/alerts/fedcba9876543210?+X-Api=header-secret-1"


@pytest.mark.parametrize(
    ("listed", "found"),
    [
        ("", []),
        (" , ", []),
        (f"{TELEGRAM}", [TELEGRAM]),
        (f"{TELEGRAM},{MAIL}", [TELEGRAM, MAIL]),
        (f" {TELEGRAM} ,\n {MAIL} , {SLACK},", [TELEGRAM, MAIL, SLACK]),
        (f"{SLACK} {WEBHOOK}", [SLACK, WEBHOOK]),
        (f"{SLACK},{SLACK}", [SLACK]),
    ],
)
def test_a_list_is_cut_where_an_address_begins(listed, found):
    assert split(listed) == found


@pytest.mark.parametrize("listed", ["123456789:AAbbCC", f"abcdefgh12345,{TELEGRAM}", "tgram://"])
def test_what_is_no_address_is_refused_and_not_shown(listed):
    with pytest.raises(NotAnAddress, match=r"number \d of \d is no address") as refusal:
        split(listed)
    assert "AAbbCC" not in str(refusal.value)
    assert "abcdefgh" not in str(refusal.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (TELEGRAM, "tgram://…"),
        (MAIL, "mailtos://smtp.example.com:587/…"),
        (SLACK, "slack://…"),
        (WEBHOOK, "jsons://hooks.example.com/…"),
        ("json://127.0.0.1:8080", "json://127.0.0.1:8080"),
        ("json://localhost/a", "json://localhost/…"),
        ("discord://123456789012345678/AbCdEfGhIjKl", "discord://…"),
        ("ntfy://a-topic-of-ours", "ntfy://…"),
    ],
)
def test_an_address_is_shown_by_its_scheme_and_a_sure_host(url, shown):
    assert label(url) == shown


def test_the_same_name_is_numbered_and_a_key_is_of_the_address_and_the_installation():
    found = addresses([TELEGRAM, TELEGRAM + "1", SLACK], secret_key="a")
    assert [each.label for each in found] == ["tgram://…", "tgram://… #2", "slack://…"]
    assert len({each.key for each in found}) == 3
    assert addresses([TELEGRAM], secret_key="a")[0].key == found[0].key
    assert addresses([TELEGRAM], secret_key="b")[0].key != found[0].key
    assert TELEGRAM not in repr(found)


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        (TELEGRAM, {"AAbbCCddEEffGGhh", "123456789", "-1001234567890", TELEGRAM}),
        (MAIL, {"correct horse"}),
        (SLACK, {"TOKENA1234", "TOKENB1234", "TOKENC1234567890"}),
        (WEBHOOK, {"battery-staple", "fedcba9876543210", "header-secret-1"}),
        ("sendgrid://SG.abcdefgh.ijklmnop:from@example.com/to@example.com", {"SG.abcdefgh.ijklmnop"}),
    ],
)
def test_every_piece_that_is_no_host_is_a_secret(url, secrets):
    assert secrets <= set(secrets_of(url))
    assert not {"smtp.example.com", "hooks.example.com", "example.com"} & set(secrets_of(url))


def test_the_secrets_of_the_addresses_are_struck_out_of_every_log():
    program = "from config import settings; from orders.redaction import strike_out; import sys; "
    program += "print(strike_out(sys.stdin.read()))"
    spilt = f"{TELEGRAM} AAbbCCddEEffGGhh 'correct horse' fedcba9876543210 header-secret-1 https://p.example.com/abc-def-123"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=REPOSITORY,
        env={
            **os.environ,
            "ALERT_URLS": f"{TELEGRAM},{MAIL},{WEBHOOK}",
            "ALERT_PING_URL": "https://p.example.com/abc-def-123",
        },
        input=spilt,
        capture_output=True,
        text=True,
    )

    assert done.stdout.split() == ["…", "…", "'…'", "…", "…", "…"], done.stderr


def test_a_plain_word_of_an_address_is_no_secret_and_a_password_that_is_one_is():
    slack = "https://hooks.example.com/services/T0000/Xy12345678?priority=high&format=markdown"
    mail = "mailtos://desk:correcthorse@smtp.example.com"

    assert not {"services", "priority", "markdown"} & set(secrets_of(slack))
    assert "Xy12345678" in set(secrets_of(slack))
    assert "correcthorse" in set(secrets_of(mail))


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"ALERT_URLS": f"hunter2hunter2,{TELEGRAM}"}, "ALERT_URLS: number 1 of 2 is no address: give one such as"),
        ({"ALERT_PING_URL": "hunter2hunter2"}, "ALERT_PING_URL is no address of the web: give one that begins with"),
        ({"BASE_URL": "desk.example.com"}, "BASE_URL is no address of the web"),
    ],
)
def test_the_settings_refuse_what_is_no_address_without_showing_it(environment, sentence):
    refused = check(**environment)

    assert refused.returncode != 0
    assert sentence in refused.stderr
    assert "hunter2hunter2" not in refused.stderr


# --- What apprise says of them ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["carrierpigeon://hunter2hunter2", "tgram://hunter2hunter2", "json://"])
def test_what_apprise_does_not_understand_is_refused_by_its_place_and_not_shown(url):
    listed = addresses(["json://localhost", url], secret_key="a")

    with pytest.raises(
        BadAddress, match=r"ALERT_URLS, number 2 of 2 \(\w+://…?\): apprise does not understand"
    ) as told:
        open_channels(listed)

    assert "hunter2hunter2" not in str(told.value)


def test_a_webhook_is_really_told(webhooks):
    hook = webhooks()
    (listed,) = addresses([f"json://{hook.at}/here"], secret_key="a")
    tell = open_channels([listed])[listed.key]

    assert tell(Words(title="PAPER: a title", text="one\ntwo <b> & ₹1,400.00", tone="warning")) == ""

    (posted,) = hook.posted
    assert (posted["title"], posted["message"], posted["type"]) == (
        "PAPER: a title",
        "one\ntwo <b> & ₹1,400.00",
        "warning",
    )
    assert hook.asked == ["/here"]


def test_why_a_webhook_did_not_take_it_is_told(webhooks, monkeypatch):
    hook = webhooks()
    hook.status = 500
    monkeypatch.setattr(redaction, "_hidden", redaction._hidden.copy())
    (listed,) = addresses([f"json://{hook.at}/a-secret-path"], secret_key="a")

    error = open_channels([listed])[listed.key](Words(title="t", text="x"))

    assert "500" in error
    assert "a-secret-path" not in error


def test_what_only_might_send_does_not_load_apprise():
    program = "import django; django.setup(); import sys, orders.admin; print('apprise' in sys.modules)"
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings", "ALERT_URLS": TELEGRAM}

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, env=environment, capture_output=True, text=True
    )

    assert done.stdout.strip() == "False", done.stderr
