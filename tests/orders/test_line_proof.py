"""Proving the line: one share far away, placed and cancelled, and what it says when a stage fails."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, ProgrammingError, transaction

from orders import line_proof
from orders.broker.gateway import BrokerUnreachable, OrderRefused, OutcomeUnknown, SessionRefused
from orders.broker.kite import KiteGateway
from orders.broker.sessions import TokenVault
from orders.desk import Desk
from orders.line_proof import LOOKS_MAX, Asked, ProofRefused, break_off_overdue, newest, prove
from orders.models import Instrument, LineProof, Order
from orders.quotes import load_instruments
from orders.reconciliation import reconcile
from orders.refusal_words import WHAT_TO_DO, Verdict, refusal_is_about
from risk import control
from risk.models import Incident, Mode, TradingControl
from tests.conftest import keep_the_market_open
from tests.orders.raw_server import kite_error, raw

__all__ = ["raw"]

pytestmark = [pytest.mark.usefixtures("noon"), pytest.mark.django_db]

FAR = Decimal("1260.10")  # ten per cent below 1,400.00, and a tick


class Answers:
    """A gateway with some answers replaced, for what no paper server can be asked to say."""

    def __init__(self, behind, **answers):
        self._behind, self._answers = behind, answers

    def __getattr__(self, name):
        return self._answers.get(name) or getattr(self._behind, name)


def raising(error):
    def call(*_args, **_options):
        raise error

    return call


@pytest.fixture
def quick(desk: Desk) -> Desk:
    """The desk, whose pauses take no time."""
    paused = []
    patient = replace(desk, pause=paused.append)
    patient.__dict__["paused"] = paused
    return patient


def asked(**changes) -> Asked:
    shown = newest(Mode.PAPER)
    usual = {
        "token": "form-1",
        "exchange": "NSE",
        "symbol": "RELIANCE",
        "by": "rita",
        "shown": shown.pk if shown else 0,
    }
    return Asked(**{**usual, **changes})


def stages(proof: LineProof) -> list[tuple[str, bool]]:
    return [(stage.stage, stage.passed) for stage in proof.stages.all()]


def test_one_share_is_placed_far_away_and_cancelled(quick, paper):
    proof = prove(quick, asked())

    order = proof.order
    assert (proof.verdict, proof.price) == (Verdict.PROVED, FAR)
    assert (order.side, order.quantity, order.order_type, order.price) == ("BUY", 1, "LIMIT", FAR)
    assert (order.status, order.filled_quantity, order.created_by) == ("CANCELLED", 0, "rita")
    assert stages(proof) == [(name, True) for name in ("LOGIN", "MARKET", "ORDER", "BOOK", "CANCEL", "END")]
    assert paper.accepted() == [order.broker_order_id]
    assert not Incident.objects.exists()


REFUSALS = [
    ("No IPs configured for this app.", Verdict.ADDRESS),
    ("IP (203.0.113.9) is not allowed to place orders for this app.", Verdict.ADDRESS),
    ("Incorrect `api_key` or `access_token`.", Verdict.LOGIN),
    ("Insufficient permission for that call.", Verdict.PERMISSION),
    ("The segment is not enabled for this account.", Verdict.PERMISSION),
    ("Insufficient funds. Required margin is 1260.10 but available margin is 3.00.", Verdict.FUNDS),
    ("RMS:Margin Exceeds,Cash Available for entity account-AB1234 across exchange", Verdict.FUNDS),
    ("Markets are closed right now. Use GTT or AMO to place this order.", Verdict.MARKET),
    ("Your order price is lower than the current lower circuit limit of 1260.", Verdict.MARKET),
    ("not sent: ConnectTimeout: no route", Verdict.UNREACHABLE),
    ("Tick size for this script is 0.10.", Verdict.REFUSED),
    ("The shipment tripped", Verdict.REFUSED),  # neither an IP nor a trip
]


@pytest.mark.parametrize(("words", "verdict"), REFUSALS)
def test_the_brokers_words_say_what_was_refused(words, verdict):
    assert refusal_is_about(words) == verdict
    assert refusal_is_about(f"refused by the broker: {words}") == verdict


def test_every_verdict_says_what_to_do_next():
    assert set(WHAT_TO_DO) == set(Verdict)
    assert [verdict for verdict, told in WHAT_TO_DO.items() if not told] == [Verdict.PROVED]


@pytest.mark.parametrize(
    ("status", "error_type", "words", "verdict"),
    [
        (403, "PermissionException", "No IPs configured for this app.", Verdict.ADDRESS),
        (403, "TokenException", "Incorrect `api_key` or `access_token`.", Verdict.LOGIN),
        (403, "PermissionException", "Insufficient permission for that call.", Verdict.PERMISSION),
        (400, "MarginException", "Insufficient funds. Required margin is 1260.10.", Verdict.FUNDS),
        (400, "InputException", "Tick size for this script is 0.10.", Verdict.REFUSED),
        (429, "NetworkException", "Too many requests", Verdict.REFUSED),
    ],
)
def test_a_refusal_over_the_wire_is_kept_in_the_brokers_own_words(quick, raw, status, error_type, words, verdict):
    raw.answer(kite_error(status, error_type, words))
    refusing = KiteGateway(api_key="paper", root=raw.root, access_token=lambda: "paper")
    desk = replace(quick, gateway=Answers(quick.gateway, place=refusing.place))

    proof = prove(desk, asked())

    last = proof.stages.last()
    assert proof.verdict == verdict
    assert (last.stage, last.passed) == ("ORDER", False)
    assert words in last.broker_words
    assert proof.order.status == "REJECTED"
    assert len(raw.requests) == 1


@pytest.mark.parametrize(
    ("fault", "more", "verdict", "failed_at", "order_status"),
    [
        ("place:refuse_margin", {}, Verdict.FUNDS, "ORDER", "REJECTED"),
        ("place:refuse_input", {}, Verdict.REFUSED, "ORDER", "REJECTED"),
        ("place:token", {}, Verdict.LOGIN, "ORDER", "REJECTED"),
        ("place:reject_later", {}, Verdict.REFUSED, "BOOK END", "REJECTED"),
        ("place:drop_before", {}, Verdict.DOUBT, "ORDER", "IN_DOUBT"),
        ("place:drop_after", {}, Verdict.DOUBT, "ORDER", "IN_DOUBT"),
        ("place:error_400_timeout_after", {}, Verdict.DOUBT, "ORDER", "IN_DOUBT"),
        ("cancel:ignore", {"times": 50}, Verdict.NOT_CANCELLED, "END", "OPEN"),
        ("cancel:refuse_input", {"times": 50}, Verdict.NOT_CANCELLED, "END", "OPEN"),
        ("cancel:fill_first", {}, Verdict.FILLED, "END", "FILLED"),
        ("profile:token", {}, Verdict.LOGIN, "LOGIN", None),
        ("profile:error_503", {}, Verdict.UNREACHABLE, "LOGIN", None),
        ("quote:error_503", {}, Verdict.MARKET, "MARKET", None),
    ],
)
def test_each_failure_says_where_and_what(quick, paper, fault, more, verdict, failed_at, order_status):
    route, _, what = fault.partition(":")
    paper.fault(route, what, **more)

    proof = prove(quick, asked())

    assert proof.verdict == verdict
    assert [stage.stage for stage in proof.stages.filter(passed=False)][-1] in failed_at.split()
    assert (proof.order.status if proof.order else None) == order_status
    assert len(paper.accepted()) <= 1


def test_one_that_may_be_there_is_never_sent_again_and_goes_when_it_is_found(quick, paper):
    paper.fault("place", "drop_after")

    proof = prove(quick, asked())
    reconcile(quick)
    line_proof.reconcile(quick)

    order = proof.order
    order.refresh_from_db()
    assert proof.verdict == Verdict.DOUBT
    assert order.cancel_requested_by == "rita"
    assert len(paper.accepted()) == 1
    assert TradingControl.objects.get(mode=Mode.PAPER).auto_trading is False
    assert Incident.objects.get().kind == Incident.Kind.ORDER_IN_DOUBT


def test_filled_against_all_odds_it_is_an_incident_that_says_how_to_get_out(quick, paper):
    paper.fault("cancel", "fill_first")

    prove(quick, asked())

    incident = Incident.objects.get(kind=Incident.Kind.LINE_PROOF)
    assert (incident.symbol, incident.mode) == ("RELIANCE", "PAPER")
    assert "Exit" in incident.what_to_do
    assert "1 filled at ₹1,260.10" in incident.detail


def test_one_that_fills_at_once_is_noticed_before_the_cancel(quick, paper):
    def lifts(request, *, send_by):
        paper.set_price("NSE:RELIANCE", "1200.00")
        return quick.gateway.place(request, send_by=send_by)

    proof = prove(replace(quick, gateway=Answers(quick.gateway, place=lifts)), asked())

    assert proof.verdict == Verdict.FILLED
    assert stages(proof)[-1] == ("BOOK", False)
    assert proof.order.cancel_requested_at is None


def test_a_cancel_that_is_refused_is_wished_still_and_an_incident(quick, paper):
    paper.fault("cancel", "refuse_input", times=50)

    proof = prove(quick, asked())

    cancel = proof.stages.get(stage="CANCEL")
    assert (cancel.passed, bool(cancel.broker_words)) == (False, True)
    assert proof.order.cancel_requested_at is not None
    assert "Kite's own app" in Incident.objects.get(kind=Incident.Kind.LINE_PROOF).what_to_do
    assert len(quick.paused) == LOOKS_MAX - 1


def test_a_book_that_cannot_be_read_does_not_keep_the_cancel_from_leaving(quick, paper):
    desk = replace(quick, gateway=Answers(quick.gateway, book=raising(BrokerUnreachable("502 Bad gateway"))))

    proof = prove(desk, asked())

    assert stages(proof)[-3:] == [("BOOK", False), ("CANCEL", True), ("END", False)]
    assert proof.stages.get(stage="BOOK").broker_words == "502 Bad gateway"
    assert [row["event"] for row in paper.journal() if row["event"] == "cancelled"] == ["cancelled"]


@pytest.mark.parametrize(
    ("lower", "begins"),
    [("1357.00", True), ("1357.90", True), ("1358.00", False), ("1400.00", False)],
)
def test_the_limit_is_three_per_cent_below_the_market_or_nothing_is_sent(quick, lower, begins):
    """At 1,358.00, 3 % below 1,400.00, it is far enough; the limit is a tick above the band's end."""
    quotes = quick.gateway.quotes([("NSE", "RELIANCE")])
    banded = {key: replace(quote, lower_circuit=Decimal(lower)) for key, quote in quotes.items()}
    proof = prove(replace(quick, gateway=Answers(quick.gateway, quotes=lambda keys: banded)), asked())

    assert ("MARKET", begins) in stages(proof)
    assert Order.objects.exists() is begins
    assert (proof.verdict == Verdict.MARKET) is not begins


@pytest.mark.parametrize(("symbol", "told"), [("NOWHERE", "is not in the broker's list"), ("LOTS", "single shares")])
def test_only_a_share_that_is_listed_and_sold_singly_proves_the_line(quick, symbol, told):
    listed = Instrument.objects.named("NSE", "INFY")
    Instrument.objects.filter(pk=listed.pk).update(symbol="LOTS", lot_size=25)

    proof = prove(quick, asked(symbol=symbol))

    assert proof.verdict == Verdict.MARKET
    assert told in proof.stages.last().measured


@pytest.mark.parametrize(
    ("halt", "words"), [("HALTED", "trading is halted"), ("REDUCE_ONLY", "closing orders")], ids=["halt", "reduce"]
)
def test_a_halt_stops_it_as_it_stops_every_order(quick, paper, halt, words):
    TradingControl.objects.filter(mode=Mode.PAPER).update(state=halt)

    proof = prove(quick, asked())

    assert proof.verdict == Verdict.DENIED
    assert proof.order is None
    assert proof.stages.last().stage == "ORDER"
    assert paper.accepted() == []


# --- Once -------------------------------------------------------------------------------------------------------------


def test_the_same_form_sent_twice_is_one_proof(quick, paper):
    first = prove(quick, asked())
    second = prove(quick, asked(shown=0))

    assert first.pk == second.pk
    assert len(paper.accepted()) == 1


def test_two_people_who_saw_the_same_page_place_one_order(quick, paper):
    prove(quick, asked(token="rita's"))

    with pytest.raises(ProofRefused, match="rita proved the line since this was shown"):
        prove(quick, asked(token="priya's", by="priya", shown=0))

    assert len(paper.accepted()) == 1


def test_while_one_is_under_way_another_is_refused(quick, paper):
    met = []

    def meanwhile(request, *, send_by):
        with pytest.raises(ProofRefused, match="rita is proving the line already"):
            prove(quick, asked(token="priya's", by="priya"))
        met.append(prove(quick, asked()).verdict)  # the same form: it is told of the one under way
        return quick.gateway.place(request, send_by=send_by)

    prove(replace(quick, gateway=Answers(quick.gateway, place=meanwhile)), asked())

    assert met == [""]
    assert len(paper.accepted()) == 1


def test_after_it_another_may_be_begun_by_who_saw_how_it_ended(quick, paper):
    prove(quick, asked())

    again = prove(quick, asked(token="form-2"))

    assert again.verdict == Verdict.PROVED
    assert len(paper.accepted()) == 2


def test_the_database_allows_one_under_way(quick):
    row = {"mode": "PAPER", "exchange": "NSE", "symbol": "INFY", "begun_at": quick.clock(), "begun_by": "rita"}
    LineProof.objects.create(token="a", **row)

    with pytest.raises(IntegrityError), transaction.atomic():
        LineProof.objects.create(token="b", **row)
    LineProof.objects.create(token="c", **{**row, "mode": "LIVE"})


def test_what_a_stage_brought_is_never_changed(quick):
    proof = prove(quick, asked())

    with pytest.raises(ProgrammingError, match="Cannot update"), transaction.atomic():
        proof.stages.update(measured="all well")


# --- A process that dies ----------------------------------------------------------------------------------------------


class Killed(BaseException):
    pass


def killed_while_it_cancels(quick):
    def place_and_die(request, *, send_by):
        broker_id = quick.gateway.place(request, send_by=send_by)
        desk.gateway._answers["book"] = raising(Killed())
        return broker_id

    desk = replace(quick, gateway=Answers(quick.gateway, place=place_and_die))
    with pytest.raises(Killed):
        prove(desk, asked())


@pytest.mark.parametrize(("passed", "over"), [(120, False), (121, True)])
def test_one_whose_process_died_is_broken_off_after_two_minutes_and_its_order_cancelled(quick, clock, passed, over):
    killed_while_it_cancels(quick)
    begun = LineProof.objects.get().begun_at
    later = replace(quick, clock=lambda: begun + timedelta(seconds=passed))

    break_off_overdue(later)

    proof = LineProof.objects.get()
    assert (proof.verdict == Verdict.BROKEN_OFF) is over
    assert (proof.order.cancel_requested_by == "executor") is over


def test_a_new_proof_breaks_the_dead_one_off_first(quick, clock):
    killed_while_it_cancels(quick)
    dead = LineProof.objects.get()
    clock.advance(minutes=3)
    reconcile(quick)

    with pytest.raises(ProofRefused, match="proved the line since this was shown"):
        prove(quick, asked(token="form-2", shown=0))

    dead.refresh_from_db()
    assert dead.verdict == Verdict.BROKEN_OFF


# --- Live -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def live(paper, clock, db) -> Desk:
    vault = TokenVault(Mode.LIVE, secret_key="a secret of the suite")
    vault.keep(paper.log_in("live-key"), user_id="PAPER1", now=clock())
    gateway = KiteGateway(api_key="live-key", root=paper.root, access_token=vault.token)
    desk = Desk(mode=Mode.LIVE, gateway=gateway, vault=vault, clock=clock, pause=lambda seconds: None)
    load_instruments(desk, "NSE")
    reconcile(desk)
    keep_the_market_open(clock())
    return desk


def arm(desk: Desk, user_id: str) -> None:
    shown = TradingControl.objects.get(mode=Mode.LIVE).version
    control.arm_live(user_id=user_id, by="asha", now=desk.clock(), version_shown=shown)


@pytest.mark.parametrize(
    ("armed_for", "verdict", "sent"),
    [("", Verdict.DENIED, 0), ("SOMEBODY", Verdict.DENIED, 0), ("PAPER1", Verdict.PROVED, 1)],
)
def test_live_it_needs_the_account_that_is_armed(live, paper, armed_for, verdict, sent):
    if armed_for:
        arm(live, armed_for)

    proof = prove(live, asked())

    assert (proof.mode, proof.verdict) == (Mode.LIVE, verdict)
    assert len(paper.accepted()) == sent


def test_live_without_a_login_it_says_so(live, clock, paper):
    arm(live, "PAPER1")
    clock.advance(days=1)

    proof = prove(live, asked())

    assert proof.verdict == Verdict.LOGIN
    assert stages(proof) == [("LOGIN", False)]
    assert paper.accepted() == []


@pytest.mark.parametrize("error", [SessionRefused, OrderRefused, OutcomeUnknown])
def test_a_cancel_that_fails_however_leaves_a_verdict(quick, error):
    proof = prove(replace(quick, gateway=Answers(quick.gateway, cancel=raising(error("x")))), asked())

    assert proof.verdict == Verdict.NOT_CANCELLED
    assert proof.stages.get(stage="CANCEL").broker_words == "x"


def test_one_that_was_broken_off_before_it_was_placed_places_nothing_when_it_wakes(quick, paper, monkeypatch):
    """Its process stood still for more than two minutes: another proof may have been begun since."""
    stood_still = line_proof._far_price

    def broken_off_meanwhile(desk, proof):
        price = stood_still(desk, proof)
        LineProof.objects.filter(pk=proof.pk).update(ended_at=desk.clock(), verdict=Verdict.BROKEN_OFF)
        return price

    monkeypatch.setattr(line_proof, "_far_price", broken_off_meanwhile)

    proof = prove(quick, asked())

    assert (proof.verdict, proof.order) == (Verdict.BROKEN_OFF, None)
    assert paper.accepted() == []


def test_one_that_was_broken_off_just_before_it_was_written_down_has_its_order_cancelled(quick, paper, monkeypatch):
    """Its process woke, sent the order of a proof that had ended, and died before it could cancel it."""
    check = line_proof._still_under_way

    def broken_off_a_moment_later(proof):
        check(proof)
        break_off_overdue(replace(quick, clock=lambda: proof.begun_at + timedelta(seconds=121)))

    monkeypatch.setattr(line_proof, "_still_under_way", broken_off_a_moment_later)
    monkeypatch.setattr(line_proof, "_follow", raising(Killed()))
    with pytest.raises(Killed):
        prove(quick, asked())
    order = LineProof.objects.get(verdict=Verdict.BROKEN_OFF).order
    assert (order.status, order.cancel_requested_at) == ("OPEN", None)
    assert len(paper.accepted()) == 1

    sent = []

    def counted(*args, **options):
        sent.append(args)
        return quick.gateway.cancel(*args, **options)

    executor = replace(quick, gateway=Answers(quick.gateway, cancel=counted))
    for _ in range(2):  # the book has not shown its end yet
        break_off_overdue(executor)
    reconcile(quick)

    order.refresh_from_db()
    assert (order.status, order.cancel_requested_by, len(sent)) == ("CANCELLED", "executor", 1)
