"""The web server's worker killed in the middle of a POST to a real dialog: a retry makes no second order."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from orders.models import Order, Position
from orders.reconciliation import reconcile
from tests.executor_process import REPOSITORY, environment
from tests.orders.paper.paper_process import until
from tests.proofs import telling
from tests.risk.admin.staff import SENT

from .test_staff_process_dies import SENT as SENT_POINTS
from .test_staff_process_dies import books_agree, finished, place

__all__ = ["place"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]

HIDDEN = re.compile(r'name="(csrfmiddlewaretoken|token)"[^>]*value="([^"]+)"')


class Browser:
    """Tara's, logged in: it opens a dialog once, and sends that form as often as it is asked to."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.http = requests.Session()
        self.http.trust_env = False
        client = Client()
        client.force_login(User.objects.create_superuser("tara"))
        self.http.cookies.set("sessionid", client.cookies["sessionid"].value)
        self.http.headers.update({"HX-Request": "true", "Referer": root})

    def open(self, action: str, row: Any) -> Callable[..., requests.Response]:
        url = self.root + reverse(f"admin:{action}", args=[row.pk])
        page = until(lambda: self._get(url), 60)
        hidden = dict(HIDDEN.findall(page.text))
        assert "csrfmiddlewaretoken" in hidden or "csrftoken" in self.http.cookies
        hidden.setdefault("csrfmiddlewaretoken", self.http.cookies.get("csrftoken", ""))
        return lambda **fields: self.http.post(url, data={**SENT, **hidden, **fields}, timeout=30)

    def _get(self, url: str) -> requests.Response | None:
        try:
            answer = self.http.get(url, timeout=30)
        except requests.ConnectionError:  # it is starting
            return None
        assert answer.status_code == 200, answer.text[:300]
        return answer


@pytest.fixture
def browser_at(paper: Any, tmp_path: Path) -> Iterator[Callable[[str], Browser]]:
    """Start gunicorn, whose first worker dies at the point, and return a browser at its address."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(point: str) -> Browser:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            bind = f"127.0.0.1:{listener.getsockname()[1]}"
        command = [sys.executable, "-m", "gunicorn", "tests.faults.dying_web:application", "--bind", bind]
        command += ["--worker-class", "gthread", "--threads", "4", "--no-control-socket"]
        around = environment(paper.root, DIES_AT=point, ARMED_ONCE=str(tmp_path / "armed"))
        with (tmp_path / "web.log").open("ab") as log:
            started.append(subprocess.Popen(command, cwd=REPOSITORY, env=around, stdout=log, stderr=log))
        return Browser(f"http://{bind}")

    yield begin
    for server in started:
        server.terminate()
        server.wait(20)


def sent_again(send: Callable[..., requests.Response], **fields: str) -> requests.Response:
    """Send the form to a worker that dies of it, and again as a browser does."""
    with pytest.raises(requests.ConnectionError):
        send(**fields)
    return until(lambda: answer_of(send, fields), 60)


def answer_of(send: Callable[..., requests.Response], fields: dict[str, str]) -> requests.Response | None:
    try:
        return send(**fields)
    except requests.ConnectionError:  # its successor is starting
        return None


@pytest.mark.parametrize("point", telling(["submitting, not sent", *SENT_POINTS], "sent, answer not written"))
def test_an_exit_whose_worker_dies_is_one_order_however_often_the_form_is_sent(
    point, browser_at, start, place, desk, paper
):
    place("1405.00")
    position = Position.objects.get()
    send = browser_at(point).open("orders_position_exit", position)

    answer = sent_again(send)

    exit_order = Order.objects.get(is_exit=True)
    assert answer.headers["HX-Redirect"] == reverse("admin:orders_order_change", args=[exit_order.pk])
    start(ABSENCE_WINDOW_SECONDS="3")
    until(finished, 60)
    assert send().status_code == 200
    exit_order.refresh_from_db()
    assert exit_order.status == ("NOT_PLACED" if point == "submitting, not sent" else "FILLED")
    assert Order.objects.filter(is_exit=True).count() == 1
    assert Position.objects.get().quantity == (1 if point == "submitting, not sent" else 0)
    books_agree(paper)


def test_a_cancel_whose_worker_dies_after_the_wish_is_carried_out(browser_at, start, place, paper):
    order = place("1390.00")
    send = browser_at("cancel wished, not sent").open("orders_order_cancel", order)

    assert sent_again(send, reason="changed my mind").status_code == 200

    start()
    until(finished, 60)
    order.refresh_from_db()
    assert (order.status, order.cancel_requested_by) == ("CANCELLED", "tara")
    assert order.events.filter(note__startswith="cancel asked for").count() == 1


def test_a_fill_by_hand_whose_worker_dies_is_recorded_once(browser_at, place, desk, paper):
    order = place("1390.00")
    desk.gateway.cancel(order.broker_order_id)
    reconcile(desk)
    send = browser_at("marked").open("orders_order_mark_filled", order)

    sent_again(send, quantity="1", price="1390", reason="by phone")

    assert order.fills.count() == 1
    assert Position.objects.get().quantity == 1
