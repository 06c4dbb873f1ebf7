"""What the server is started with, over the wire: clock, hours, profile, cash, replay, postbacks, account."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import requests
from kiteconnect.exceptions import InputException, NetworkException, TokenException

from .paper_process import REPOSITORY, until

MONDAY = "2026-11-23T09:14:50"


def tell(paper, method, body=None):
    return paper.control(method, "clock", body)["data"]


def test_a_server_begins_at_the_moment_it_was_told(start_paper, order):
    paper = start_paper("--clock", MONDAY, "--market-hours", "nse")
    client = paper.kite()

    assert tell(paper, "GET")["now"].startswith("2026-11-23T09:14:5")
    with pytest.raises(InputException, match="Markets are closed"):
        client.place_order(**order())

    tell(paper, "POST", {"at": "2026-11-23T09:15:00+05:30", "speed": 0})
    order_id = client.place_order(**order())
    assert order_id.startswith("SIM20261123")
    tell(paper, "POST", {"at": "2026-11-23T15:15:00+05:30", "speed": 0})
    assert client.orders()[0]["status"] == "CANCELLED"


def test_a_clock_may_stand_still_or_hurry_and_survives_a_kill(start_paper):
    first = start_paper()
    tell(first, "POST", {"at": "2026-11-23T10:00:00+05:30", "speed": 0})
    first.kill()
    paper = start_paper()

    assert tell(paper, "GET") == {"now": "2026-11-23T10:00:00+05:30", "speed": 0.0, "set": True}
    tell(paper, "POST", {"speed": 86_400})
    until(lambda: tell(paper, "GET")["now"] > "2026-11-25")
    tell(paper, "DELETE")
    assert tell(paper, "GET")["set"] is False


@pytest.mark.parametrize(
    "body",
    [{"at": "yesterday"}, {"at": "2026-11-23T10:00:00"}, {"at": "1999-12-31T00:00:00Z"}, {"speed": -1}, {"speed": 1e9}],
)
def test_a_time_that_makes_no_sense_is_refused(paper, body):
    answer = requests.post(f"{paper.root}/paper/clock", json=body, timeout=5)

    assert (answer.status_code, answer.json()["error_type"]) == (400, "InputException")


def test_the_relaxed_profile_takes_what_older_clients_send(start_paper, market_order, order):
    client = start_paper("--profile", "relaxed", "--market-hours", "nse", rate_limits=True).kite()

    for _ in range(15):  # no rate limits
        client.ltp("NSE:INFY")
    assert client.place_order(**market_order(market_protection=None))
    assert client.place_order(**order(variety="amo"))
    assert client.place_order(**order(order_type="SL", trigger_price=1480.0, price=1481.0))
    with pytest.raises(InputException, match="interval exceeds max limit: 30 days"):
        client.historical_data(408065, "2026-10-01", "2026-11-01", "minute")


def test_the_strict_profile_limits_how_often_a_client_may_ask(start_paper):
    paper = start_paper(rate_limits=True)
    tell(paper, "POST", {"at": "2026-11-23T10:00:00+05:30", "speed": 0})
    client = paper.kite()

    client.ltp("NSE:INFY")
    with pytest.raises(NetworkException, match="Too many requests") as refused:
        client.ltp("NSE:INFY")
    assert refused.value.code == 429

    tell(paper, "POST", {"at": "2026-11-23T10:00:01+05:30", "speed": 0})
    client.ltp("NSE:INFY")


def test_the_account_has_the_cash_it_was_given(start_paper):
    paper = start_paper("--cash", "5000.50")
    assert paper.kite().margins("equity")["net"] == 5000.5

    paper.control("POST", "funds", {"amount": "999.50"})

    assert paper.kite().margins("equity")["available"]["intraday_payin"] == 999.5
    assert paper.kite().margins("equity")["net"] == 6000


def test_shares_can_be_given_and_sold(start_paper, market_order):
    paper = start_paper()
    paper.control("POST", "holdings/NSE/INFY", {"quantity": 10, "average_price": "1200.00"})
    client = paper.kite()

    client.place_order(**market_order(transaction_type="SELL"))

    (holding,) = client.holdings()
    assert (holding["quantity"], holding["used_quantity"]) == (10, 10)
    assert client.positions()["net"][0]["quantity"] == -10


def test_prices_follow_a_file(start_paper, tmp_path):
    prices = tmp_path / "prices.csv"
    prices.write_text("at,exchange,tradingsymbol,price\n2026-11-23T10:00:00,NSE,INFY,1234.50\n")
    paper = start_paper("--replay", str(prices))
    tell(paper, "POST", {"at": "2026-11-23T10:00:00+05:30", "speed": 0})

    assert paper.kite().ltp("NSE:INFY")["NSE:INFY"]["last_price"] == 1234.5


def test_only_the_pair_that_was_given_is_accepted(start_paper):
    client = start_paper("--api-key", "K", "--access-token", "T").kite()

    with pytest.raises(TokenException):
        client.orders()
    client.api_key, client.access_token = "K", "T"
    assert len(client.orders()) == 2


def test_a_price_can_be_set_with_the_book_around_it(kite, paper, order):
    paper.control(
        "PUT",
        "prices/NSE/INFY",
        {"price": "1500.00", "sell": [{"price": "1500.00", "quantity": 4}, {"price": "1501.00", "quantity": 3}]},
    )

    order_id = kite.place_order(**order(price=1502.0))

    assert [(trade["average_price"], trade["quantity"]) for trade in kite.order_trades(order_id)] == [
        (1500.0, 4),
        (1501.0, 3),
    ]
    assert kite.orders()[0]["pending_quantity"] == 3
    depth = kite.quote("NSE:INFY")["NSE:INFY"]["depth"]
    assert depth["sell"] == [{"price": 0, "quantity": 0, "orders": 0}] * 5


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_arguments):
        pass


@pytest.fixture
def receiver():
    server = HTTPServer(("127.0.0.1", 0), Receiver)
    server.received = []
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_postbacks_say_what_ended_with_the_documented_checksum(start_paper, receiver, order):
    paper = start_paper("--postback-url", f"http://127.0.0.1:{receiver.server_port}/", "--api-secret", "s3cret")
    client = paper.kite()
    order_id = client.place_order(**order())
    client.modify_order("regular", order_id, price=1480.0)
    client.cancel_order("regular", order_id)

    until(lambda: len(receiver.received) == 2)

    assert [row["status"] for row in receiver.received] == ["UPDATE", "CANCELLED"]
    last = receiver.received[-1]
    signed = f"{order_id}{last['order_timestamp']}s3cret"
    assert last["checksum"] == hashlib.sha256(signed.encode()).hexdigest()
    assert (last["user_id"], last["app_id"], last["unfilled_quantity"]) == ("PAPER1", 1, 0)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--api-key", "K"], "go together"),
        (["--clock", "noon"], "'noon' is not a moment"),
        (["--clock", "1066-10-14"], "from 2000 to 2100"),
        (["--cash", "-1"], "is not an amount between 0"),
        (["--profile", "lax"], "invalid choice"),
        (["--fault", "place:nothing"], "is none of"),
        (["--postback-url", "ftp://x"], "is not an http"),
        (["--replay", "/nowhere.csv"], "cannot be read"),
        (["--port", "x"], "is not a port"),
    ],
)
def test_an_option_that_makes_no_sense_stops_the_start_with_a_sentence(tmp_path, options, says):
    command = [sys.executable, "-m", "orders.paper", "--port", "0", "--state-dir", str(tmp_path), *options]

    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=20, check=False)

    assert ended.returncode != 0
    assert says in ended.stderr
    assert "Traceback" not in ended.stderr


def test_it_prints_its_address_and_an_example_that_works(start_paper):
    paper = start_paper()
    lines = [paper.process.stdout.readline().strip() for _ in range(3)]

    names: dict[str, object] = {}
    exec("\n".join(lines).replace('root="', 'timeout=5, root="'), names)  # noqa: S102

    assert len(paper.kite().orders()) == 1
    names["kite"].reqsession.close()


def test_the_relaxed_profile_takes_prices_reckoned_in_floats_and_says_them_back(start_paper, order):
    """As the SDK's own integration suite reckons: a hundredth below the last price, on the tick of 2018."""
    paper = start_paper("--profile", "relaxed", "--cash", "100000000")
    client = paper.kite()

    for paise in range(150_000, 150_400, 10):
        last = paise / 100
        paper.set_price("NSE:RELIANCE", f"{last:.2f}")
        difference = last * 0.01
        price = last - (difference - difference % 0.05)
        asked = order(tradingsymbol="RELIANCE", product="MIS", quantity=1, price=price)
        order_id = client.place_order(**asked)
        assert client.order_history(order_id)[-1]["price"] == price
        client.modify_order("regular", order_id, quantity=2, price=price - 1)
        assert client.order_history(order_id)[-1]["price"] == price - 1

    assert client.place_order(**asked | {"order_type": "SL", "trigger_price": price - 1})
