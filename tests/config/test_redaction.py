"""No secret in a log: by its value wherever it stands, and by what it is called."""

from __future__ import annotations

import io
import json
import logging
import logging.config
import time
from collections import deque
from collections.abc import Iterator
from urllib.parse import quote_plus, urlencode

import pytest
import structlog
from django.conf import settings
from gunicorn.config import Config
from hypothesis import example, given
from hypothesis import strategies as st

from config import web_server
from config.logging import configure_logging
from config.supervisor import _web_command
from config.web_log import WebLog
from orders import redaction
from orders.redaction import HIDDEN_MAX, hide, is_secret_name, strike_out

TOKEN = "kX9mPq2vLw7TzR4s"


@pytest.fixture(params=["json"])
def written(request) -> Iterator[io.StringIO]:
    """What the project's own handler writes, with what the suite had configured put back afterwards."""
    root = logging.getLogger()
    kept, configured = (root.handlers[:], root.level), structlog.get_config()
    configure_logging(level="INFO", as_json=request.param == "json")
    out = io.StringIO()
    handler = next(each for each in root.handlers if isinstance(each, logging.StreamHandler))
    handler.setStream(out)
    yield out
    root.handlers[:], level = kept
    root.setLevel(level)
    structlog.configure(**configured)  # the very list of processors that the loggers in use hold


@pytest.mark.parametrize(
    "text",
    [
        f"GET /admin/kite/?status=success&request_token={TOKEN}&action=login",
        f"next=%2Fkite%3Frequest_token%3D{TOKEN}",
        f"{{'access_token': '{TOKEN}', 'user_id': 'AB1234'}}",
        f'{{"checksum": "{TOKEN}"}}',
        f'{{\\"enctoken\\": \\"{TOKEN}\\"}}',
        f"api_secret={TOKEN}",
        f"Authorization: token key:{TOKEN}",
        f"'authorization': 'Bearer {TOKEN}'",
        f"could not reach postgresql://desk:{TOKEN}@db/order_executor",
        f"redis://:{TOKEN}@cache:6379/0",
        f"api_key={TOKEN}",
        f"secret={TOKEN}&more",
        f"KITE_API_SECRET: {TOKEN}",
        f"apiKey={TOKEN}",
        f"X-Api-Key: {TOKEN}",
        f"access_token={TOKEN}, and more",
        f"host=db password=o'hara\"{TOKEN} user=desk",
        f"the server said: password: {TOKEN}",
        f"password: correct horse {TOKEN}",
        f"password = '{TOKEN}'",
        f"password='correct horse {TOKEN}'",
        f'password="it\'s {TOKEN}"',
        f"[('password', '{TOKEN}'), ('user', 'tara')]",
        f"ALTER ROLE desk PASSWORD '{TOKEN}'",
        f"password=b'{TOKEN}'",
        f"{{'password': \"o'hara {TOKEN}\"}}",
        json.dumps({"password": f'a "quoted" {TOKEN}'}),
        json.dumps({"error": json.dumps({"secret": f'a "quoted" {TOKEN}', "user": "tara"})}),
        json.dumps({"password": f"cut short {TOKEN}"})[:-2],
        f"Cookie: csrftoken={TOKEN}; sessionid={TOKEN}",
        f"redis://:p@ss{TOKEN}@host",
        f"redis://:p@{TOKEN}@host:6379/0?x=1",
        f"redis://:p@ss word {TOKEN}@host:6379/0",
        f"postgresql://desk:'{TOKEN}\"@db/desk",
        f"postgresql://desk:p/{TOKEN}#?@db/desk",
        f"postgresql://desk:123.{TOKEN}@db/desk",
        f"redis://:1234/{TOKEN}@cache",
        f"redis://[::1]:6379 and redis://:{TOKEN}@[::1]:6379/0",
    ],
)
def test_what_stands_beside_a_secret_s_name_is_struck_out(text):
    assert TOKEN not in strike_out(text)


@pytest.mark.parametrize(
    "text",
    [
        "order.placed symbol=RELIANCE token_age=5 http://127.0.0.1:8800/orders by=tara@example.com",
        "http://[::1]:8800/orders by=tara@example.com",
        "could not reach http://localhost:8800: tell tara@example.com",
        "Incorrect `api_key` or `access_token`.",
        "check that KITE_API_KEY and KITE_API_SECRET are of the same app",
        "the password is wrong",
    ],
)
def test_what_is_no_secret_stays(text):
    assert strike_out(text) == text


def test_only_the_secret_is_struck_out_where_its_end_can_be_told():
    assert strike_out('{"password": "a \\"b\\" c", "user": "tara"}') == '{"password": "…", "user": "tara"}'
    assert strike_out("request_token=abc&action=login") == "request_token=…&action=login"
    assert strike_out("redis://:p@ss@host:6379/0 is away") == "redis://:…@host:6379/0 is away"
    assert strike_out(strike_out("redis://:p@ss@host by=tara@x.in")) == strike_out("redis://:p@ss@host by=tara@x.in")


# A secret that can be told from what stands around it, with what may stand in one.
CORE = "Zq7"
secrets_of_people = st.builds(
    lambda before, after: f"{before}{CORE}x8Kw{after}",
    *[st.text(st.sampled_from("abc'\"@:/ &%#?=;,.(){}[]<>\\₹-_"), max_size=8)] * 2,
).map(str.strip)
QUOTES = "'\"\\"
# Where it may have blanks and quotes, and where it is a word.
SHAPES_OF_ANY = [
    lambda secret: json.dumps(secret),
    lambda secret: json.dumps({"password": secret, "user": "tara"}),
    lambda secret: json.dumps({"error": json.dumps({"api_secret": secret})}),
    lambda secret: repr({"access_token": secret, "user": "tara"}),
    lambda secret: repr([("secret", secret)]),
    lambda secret: f"login failed: password: {secret.lstrip(QUOTES)}",  # one in quotes would end with them
    lambda secret: f"redis://:{secret}@cache:6379/0",
    lambda secret: f"cannot reach postgresql://desk:x{secret}@db:5432/desk",
    lambda secret: urlencode({"user": "tara", "password": secret, "next": "/"}),
    lambda secret: f"next={quote_plus(urlencode({'request_token': secret}))}",
]


def test_a_hidden_value_is_struck_out_wherever_it_stands():
    hide("correct-horse-battery")

    assert strike_out("the broker said: correct-horse-battery is stale") == "the broker said: … is stale"


def test_what_is_hidden_for_good_stays_so_however_much_is_hidden_later():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(redaction, "_hidden", deque(maxlen=HIDDEN_MAX))
        patch.setattr(redaction, "_hidden_for_good", [])
        hide("key-of-the-settings", for_good=True)
        hide("token-of-yesterday")
        for number in range(HIDDEN_MAX):
            hide(f"token-number-{number:03}")

        assert strike_out("key-of-the-settings token-of-yesterday") == "… token-of-yesterday"


@given(secrets_of_people)
@example('p@ss "word" Zq7x8Kw')
def test_no_secret_survives_in_any_shape_it_is_written_in(secret):
    for shape in SHAPES_OF_ANY[1:]:
        assert CORE not in strike_out(shape(secret)), shape(secret)


@given(secrets_of_people)
def test_no_secret_that_was_handed_over_survives_in_any_text(secret):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(redaction, "_hidden", deque())
        hide(secret * 2)

        for shape in (*SHAPES_OF_ANY, repr, lambda secret: f"it is {secret}", quote_plus):
            assert CORE not in strike_out(shape(secret * 2)), shape(secret * 2)


WORDS = (
    "password", "passwd", "passphrase", "secret", "request_token", "access-token", "refreshtoken", "public_token",
    "enctoken", "api_key", "api-secret", "apikey", "secret_key", "checksum", "csrftoken", "csrfmiddleware_token",
    "sessionid", "token", "authorization", "Authorization: Bearer",
    "://user:", "://:", "pa\u017f\u017fword", "to\u212aen",
)  # fmt: skip
PIECES = st.sampled_from([*WORDS, "=", ": ", "'", '"', " ", "\n", "@", "abc", "=>", "%3D", "1", ", ", "\\"])


@given(st.lists(PIECES, max_size=12).map("".join), st.sampled_from([str, str.upper, str.title]))
def test_what_is_told_from_secrets_at_a_glance_has_none_by_the_patterns_either(text, written):
    text = written(text)
    in_full = redaction._QUOTED.sub(rf"\1{redaction.STRUCK_OUT}", text)
    for pattern in redaction._PATTERNS:
        in_full = pattern.sub(rf"\1{redaction.STRUCK_OUT}", in_full)

    assert strike_out(text) == in_full


@pytest.mark.parametrize("piece", ["x://a:", "://:", "token", "csrf", "password: ", "secret='", "\\", "a"])
def test_no_text_holds_the_log_up(piece):
    """Whoever writes to a log from outside, such as the broker, could choose it."""
    began = time.process_time()
    strike_out(piece * (20_000 // len(piece)))

    assert time.process_time() - began < 0.5


def test_a_word_too_short_to_be_told_from_others_is_not_hidden():
    hide("order")

    assert strike_out("order placed") == "order placed"


@pytest.mark.parametrize(
    "name", ["access_token", "request_token", "X-Csrf-Token", "api_secret", "PASSWORD", "checksum"]
)
def test_a_secret_is_known_by_its_name(name):
    assert is_secret_name(name)


def test_the_log_strikes_out_keys_values_depths_and_tracebacks(written):
    hide("a-value-handed-over")
    log = structlog.get_logger("test")

    log.warning("broker.answered", checksum=TOKEN, body={"data": [{"access_token": TOKEN, "user_id": "AB1234"}]})
    log.warning("broker.failed", error=f"bad request_token={TOKEN}: a-value-handed-over", key=settings.SECRET_KEY)
    try:
        raise ValueError(f"https://kite/?request_token={TOKEN} a-value-handed-over")
    except ValueError:
        log.exception("broker.broke")
    logging.getLogger("library").warning("POST %s", f"/session/token?api_secret={TOKEN}")

    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    assert [line["event"] for line in lines][:3] == ["broker.answered", "broker.failed", "broker.broke"]
    assert lines[0]["body"]["data"][0]["user_id"] == "AB1234"
    for secret in (TOKEN, "a-value-handed-over", settings.SECRET_KEY):
        assert secret not in written.getvalue()


def test_the_login_s_secrets_are_hidden_as_soon_as_they_are_held(desk, clock):
    from orders.broker.sessions import TokenVault

    TokenVault("LIVE", secret_key="x").keep("a-fresh-token-of-today", user_id="AB1234", now=clock())

    assert "a-fresh-token-of-today" not in strike_out("refused: a-fresh-token-of-today")


def test_the_web_server_writes_no_query_and_no_secret():
    config = Config()
    config.set("accesslog", "-")
    config.set("errorlog", "-")
    log = WebLog(config)
    record = logging.LogRecord("gunicorn.error", logging.ERROR, "", 0, f"at /?request_token={TOKEN}", None, None)

    lines = [handler.format(record) for each in (log.error_log, log.access_log) for handler in each.handlers]

    assert len(lines) == 2
    assert TOKEN not in "".join(lines)
    assert "python:config.web_server" in _web_command(8000)
    assert web_server.logger_class == "config.web_log.WebLog"
    assert not any(each in web_server.access_log_format for each in ("%(r)s", "%(q)s", "%(f)s"))


def test_a_line_of_json_stays_json_and_has_no_secret_of_an_object(written):
    class Address:
        def __repr__(self) -> str:
            return f'<postgresql://desk:"{TOKEN}@db>'

    structlog.get_logger("test").warning(
        "broker.failed",
        error=f'redis://:a"b {TOKEN}@cache',
        of=[Address()],
        why=ValueError(f"api_key={TOKEN}"),
        by="t@x",
    )

    line = json.loads(written.getvalue())
    assert TOKEN not in written.getvalue()
    assert (line["error"], line["by"]) == ("redis://:…@cache", "t@x")


@pytest.mark.parametrize("written", ["text"], indirect=True)
def test_a_line_for_people_is_without_secrets_too(written):
    try:
        raise ValueError(f"https://kite/?request_token={TOKEN}")
    except ValueError as trouble:
        structlog.get_logger("test").exception("broker.broke", of=trouble)

    assert "broker.broke" in written.getvalue()
    assert "ValueError" in written.getvalue()
    assert TOKEN not in written.getvalue()
