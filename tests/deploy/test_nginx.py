"""
The site of nginx as it is delivered, on ports of a test: real nginx with TLS before the real web server, on its socket.

Whoever comes from 127.0.0.1 is the machine itself; 127.0.0.2 is as good as anybody outside.
"""

from __future__ import annotations

import contextlib
import gzip
import http.client
import os
import re
import shlex
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from axes.models import AccessAttempt
from django.contrib.auth import get_user_model
from django.urls import resolve

from tests.deploy.conftest import DEPLOY, program, text
from tests.deploy.test_units import PYTHON
from tests.executor_process import REPOSITORY, environment
from tests.orders.paper.paper_process import until
from tests.orders.self_signed import SelfSigned

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]

DESK = "desk.example.com"
LOCAL, OUTSIDE = "127.0.0.1", "127.0.0.2"
BODY_MAX = 2 * 1024 * 1024
TOKEN = "kSOmEtHiNgThAtNoLoGmAyHoLd42"


class Site:
    """nginx with the delivered site, before whatever listens on `socket`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.socket = folder, folder / "web.sock"
        self.log, self.error_log = folder / "order-executor.log", folder / "order-executor.error.log"
        self.http, self.https = _free_ports(2)
        certificate = SelfSigned(folder, name=DESK)
        self.context = ssl.create_default_context(cafile=certificate.path)
        (folder / "site.conf").write_text(self._site(certificate))
        (folder / "nginx.conf").write_text(self._around())
        command = [program("nginx", "nginx-light"), "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf")]
        with (folder / "stderr").open("wb") as said:
            self.process = subprocess.Popen(command, stderr=said)
        try:
            until(lambda: _listens(self.https) and _listens(self.http), 20)
        except AssertionError:
            self.stop()
            raise AssertionError((folder / "stderr").read_text()) from None

    def _site(self, certificate: SelfSigned) -> str:
        here = {
            "[::]:443": f"[::1]:{self.https}",
            "listen 443": f"listen {LOCAL}:{self.https}",
            "[::]:80": f"[::1]:{self.http}",
            "listen 80": f"listen {LOCAL}:{self.http}",
            f"/etc/letsencrypt/live/{DESK}/fullchain.pem": str(certificate.path),
            f"/etc/letsencrypt/live/{DESK}/privkey.pem": str(certificate._key_path),
            "/run/order-executor/web.sock": str(self.socket),
            "/var/log/nginx": str(self.folder),
        }
        site = text("nginx/order-executor.conf")
        for there, now in here.items():
            assert there in site
            site = site.replace(there, now)
        return site

    def _around(self) -> str:
        paths = " ".join(
            f"{kind}_temp_path {self.folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        user = "user root;" if os.geteuid() == 0 else ""
        return (
            f"daemon off; {user} worker_processes 1; pid {self.folder}/pid; events {{}}\n"
            f"http {{ access_log off; {paths}\n include {self.folder}/site.conf; }}"
        )

    def ask(
        self, method: str, path: str, body: bytes | None = None, *, by: str = LOCAL, name: str = DESK, **headers: str
    ) -> http.client.HTTPResponse:
        """Ask over TLS; `headers` with _ for -."""
        line = socket.create_connection((LOCAL, self.https), 20, source_address=(by, 0))
        with self.context.wrap_socket(line, server_hostname=name) as secured:
            connection = http.client.HTTPConnection(name)
            connection.sock = secured
            connection.request(method, path, body, {key.replace("_", "-"): value for key, value in headers.items()})
            answer = connection.getresponse()
            answer.body = answer.read()
            return answer

    def ask_in_the_clear(self, path: str) -> http.client.HTTPResponse:
        with contextlib.closing(http.client.HTTPConnection(LOCAL, self.http, timeout=20)) as connection:
            connection.request("GET", path, headers={"Host": DESK})
            return connection.getresponse()

    def said(self) -> str:
        return "".join(path.read_text() for path in (self.log, self.error_log, self.folder / "stderr") if path.exists())

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.create_server((LOCAL, 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((LOCAL, port), 1):
        return True
    return False


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="desk-", dir="/tmp") as name:  # a socket's path has 107 letters at most
        yield Path(name)


@pytest.fixture(scope="module")
def desk(folder: Path, django_db_setup: None) -> Iterator[Site]:
    """The back office behind nginx, its web server started as the unit starts it: by its socket."""
    (folder / "whole").mkdir()
    site = Site(folder / "whole")
    unit = text("systemd/order-executor-web.service")
    command = shlex.split(re.search(r"^ExecStart=(.+)$", unit, re.MULTILINE)[1].replace(PYTHON, _python()))
    settings = {"SECURE_COOKIES": "true", "TRUSTED_PROXIES": "1", "ALLOWED_HOSTS": DESK}
    surroundings = environment("http://127.0.0.1:9", **settings, CSRF_TRUSTED_ORIGINS=f"https://{DESK}")
    handed = [f"--setenv={key}" for key in surroundings]
    activate = [program("systemd-socket-activate", "systemd"), f"--listen={site.socket}", *handed, *command]
    with (folder / "web.log").open("wb") as log:
        web = subprocess.Popen(activate, cwd=REPOSITORY, env=surroundings, stdout=log, stderr=log)
    try:
        until(lambda: site.socket.exists() and site.ask("GET", "/admin/login/").status == 200, 60)
        yield site
    finally:
        web.terminate()
        web.wait(20)
        site.stop()


@pytest.fixture
def alone(folder: Path) -> Iterator[Site]:
    """nginx with nothing behind it: what it lets through ends with 502."""
    place = Path(tempfile.mkdtemp(dir=folder))
    site = Site(place)
    yield site
    site.stop()


def _python() -> str:
    return str(REPOSITORY / ".venv/bin/python") if (REPOSITORY / ".venv/bin/python").exists() else "python3"


def cookies(answer: http.client.HTTPResponse) -> dict[str, str]:
    """Return each cookie that the answer sets, with what is said about it."""
    return {line.split("=")[0]: line.split("=", 1)[1] for line in answer.msg.get_all("Set-Cookie", [])}


def log_in(desk: Site, password: str, **headers: str) -> http.client.HTTPResponse:
    page = desk.ask("GET", "/admin/login/")
    form = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.body.decode())[1]
    sent = urlencode({"csrfmiddlewaretoken": form, "username": "priya", "password": password, "next": "/admin/"})
    return desk.ask(
        "POST",
        "/admin/login/",
        sent.encode(),
        Content_Type="application/x-www-form-urlencoded",
        Cookie=f"csrftoken={cookies(page)['csrftoken'].split(';')[0]}",
        Referer=f"https://{DESK}/admin/login/",
        **headers,
    )


# --- The whole: nginx, the web server, the database -------------------------------------------------------------------


def test_a_person_logs_in_over_tls_and_her_cookies_go_over_tls_only(desk):
    get_user_model().objects.create_superuser("priya", "", "correct horse battery")

    answer = log_in(desk, "correct horse battery")

    assert (answer.status, answer.headers["Location"]) == (302, "/admin/")
    session = cookies(answer)["sessionid"]
    assert "Secure" in session
    assert "HttpOnly" in session
    assert "Secure" in cookies(answer)["csrftoken"]
    assert desk.ask("GET", "/admin/", Cookie=f"sessionid={session.split(';')[0]}").status == 200


def test_each_header_of_safety_stands_in_an_answer_once(desk):
    answer = desk.ask("GET", "/admin/login/")

    for header in ("Strict-Transport-Security", "Content-Security-Policy", "X-Content-Type-Options", "X-Request-ID"):
        assert len(answer.headers.get_all(header)) == 1, header
    assert answer.headers["Server"] == "nginx"  # and not which


def test_an_address_cannot_be_made_up_past_the_proxy(desk):
    made_up = {"X_Forwarded_For": "6.6.6.6", "X_Real_IP": "6.6.6.6", "Forwarded": "for=6.6.6.6"}

    log_in(desk, "a guess", **made_up)

    assert AccessAttempt.objects.get().ip_address == LOCAL


def test_another_host_cannot_be_made_up_past_the_proxy(desk):
    made_up = {"X_Forwarded_Host": "evil.example.com", "X_Forwarded_Proto": "http", "X_Forwarded_Port": "1"}

    answer = desk.ask("GET", "/admin/", **made_up)

    assert answer.headers["Location"].startswith("/admin/login/")  # neither to http nor elsewhere


@pytest.mark.parametrize("measured", ["/metrics", "/readyz", "/healthz"])
def test_what_is_measured_is_for_this_machine_alone(desk, measured):
    assert desk.ask("GET", measured, by=OUTSIDE).status == 403
    assert desk.ask("GET", measured, by=OUTSIDE, X_Forwarded_For=LOCAL).status == 403
    assert desk.ask("GET", measured).status != 403


def test_a_style_sheet_is_packed_and_a_page_is_not(desk):
    style = desk.ask("GET", "/static/desk/desk.css", Accept_Encoding="gzip")
    page = desk.ask("GET", "/admin/login/", Accept_Encoding="gzip")

    assert style.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(style.body)
    assert "Content-Encoding" not in page.headers  # what is secret on it could be told from its length


def test_the_log_holds_no_token(desk):
    for path in (f"/kite/login?request_token={TOKEN}&status=success", f"/api/v1/tradingview/{TOKEN}"):
        desk.ask("GET", path, Referer=f"https://kite.zerodha.com/?request_token={TOKEN}", Authorization=TOKEN)

    until(lambda: '"GET /api/v1/tradingview/*" ' in desk.said(), 10)
    assert '"GET /kite/login" ' in desk.said()
    assert TOKEN not in desk.said()


# --- nginx alone ------------------------------------------------------------------------------------------------------


def test_http_leads_to_https_without_what_was_asked_in_the_clear(alone):
    answer = alone.ask_in_the_clear(f"/kite/login?request_token={TOKEN}")

    assert (answer.status, answer.headers["Location"]) == (301, f"https://{DESK}/kite/login")
    assert TOKEN not in alone.said()


@pytest.mark.parametrize("path", [f"/kite/login?request_token={TOKEN}", f"/api/v1/tradingview/{TOKEN}"])
def test_no_token_is_logged_either_when_the_web_server_is_away(alone, path):
    assert alone.ask("GET", path).status == 502
    assert alone.ask("GET", "/admin/").status == 502

    until(lambda: '"GET /admin/" 502' in alone.said() and "No such file" in alone.said(), 10)
    assert TOKEN not in alone.said()


def test_whoever_asks_for_another_name_is_shown_nothing(alone):
    with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
        alone.ask("GET", "/", name="another.example.com")


def test_an_outdated_tls_is_not_spoken(alone):
    alone.context.minimum_version = alone.context.maximum_version = ssl.TLSVersion.TLSv1_2
    assert alone.ask("GET", "/").status == 502
    alone.context.set_ciphers("DEFAULT:@SECLEVEL=0")  # so that it is nginx that refuses
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        alone.context.minimum_version = alone.context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        alone.ask("GET", "/")


@pytest.mark.parametrize(("size", "status"), [(BODY_MAX, 502), (BODY_MAX + 1, 413)])
def test_a_body_is_at_most_two_megabytes(alone, size, status):
    assert alone.ask("POST", "/", b"0" * size).status == status


def statuses(ask: Callable[[], http.client.HTTPResponse], times: int) -> list[int]:
    return [ask().status for _ in range(times)]


def test_eleven_log_ins_at_once_are_let_through_and_no_twelfth(alone):
    assert statuses(lambda: alone.ask("POST", "/admin/login/"), 12) == [502] * 11 + [429]
    assert statuses(lambda: alone.ask("GET", "/admin/login/"), 12) == [502] * 12  # to look is no guess


def test_a_flood_at_the_api_is_turned_away_and_nobody_else_is(alone):
    flood = statuses(lambda: alone.ask("POST", "/api/v1/signals"), 150)

    assert flood[:41] == [502] * 41
    assert 429 in flood
    assert alone.ask("GET", "/admin/").status == 502


STOPS = ("/api/v1/trading/halt", "/api/v1/trading/auto-trading/off", "/api/v1/orders/7/cancel")


def test_what_stops_trading_is_not_turned_away_in_a_flood(alone):
    assert 429 in statuses(lambda: alone.ask("POST", "/api/v1/signals"), 150)

    for path in STOPS:
        assert statuses(lambda path=path: alone.ask("POST", path), 50) == [502] * 50, path


def test_what_stops_trading_is_there_at_these_addresses():
    for path in STOPS:
        resolve(path)


def test_the_site_names_nothing_of_its_own_that_the_units_do_not():
    listening = re.search(r"^ListenStream=(.+)$", (DEPLOY / "systemd/order-executor-web.socket").read_text(), re.M)[1]

    assert f"server unix:{listening};" in text("nginx/order-executor.conf")
