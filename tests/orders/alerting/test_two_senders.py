"""Of several senders one leads; whatever dies and whoever commits late, nothing is missed and nothing told twice."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest
from django.db import connection
from django.db.models.functions import Now

from orders.alerting import outbox, watching
from orders.models import Alert, AlertDelivery, AlertMessage, AlertSender
from risk.models import Incident
from tests.orders.paper.paper_process import until
from tests.orders.together import Together, direct_connection

from .conftest import Told, forget_alerts, kinds

commits = pytest.mark.django_db(transaction=True)


@pytest.fixture
def commits_and_forgets(transactional_db):
    yield
    forget_alerts()


def lease_ran_out() -> None:
    AlertSender.objects.update(until=Now() - timedelta(seconds=1))


# --- Who leads --------------------------------------------------------------------------------------------------------


def test_one_leads_and_the_other_stands_by_until_the_lease_runs_out(start, order, clock):
    ones, twos = Told(), Told()
    one, two = start(hook=ones), start(hook=twos)
    order("FILLED")
    two.turns()
    assert twos.words == []
    one.turns()
    assert len(ones.words) == 1

    lease_ran_out()
    order("FILLED")
    clock.advance(seconds=4)
    two.turns()
    one.turns()

    assert (len(ones.words), len(twos.words)) == (1, 1)


def test_a_sender_that_ends_hands_over_at_once(start, order):
    one, twos = start(hook=Told()), Told()
    two = start(hook=twos)

    one.sender.end()
    order("FILLED")
    two.turns()

    assert len(twos.words) == 1


def test_a_lease_of_the_future_is_none(start):
    one, two = start(hook=Told()), start(hook=Told(), first_turn=False)
    AlertSender.objects.update(until=Now() + timedelta(days=400))

    two.turns()

    assert AlertSender.objects.get().holder == two.sender.name != one.sender.name


@commits
def test_two_that_both_take_themselves_for_the_leader_tell_nothing_twice(start, order, commits_and_forgets):
    channels = [Told(), Told()]
    senders = [start(hook=channel).sender for channel in channels]
    for number in range(12):
        order("FILLED" if number % 2 else "REJECTED")
    for sender in senders:  # each was paused right behind the question who leads
        sender._leads = lambda now: True
        sender._row = AlertSender.objects.get()

    def turns(sender):
        for _ in range(4):
            sender.turn()

    assert Together(*(partial(turns, sender) for sender in senders)).join() == [None, None]

    assert Alert.objects.count() == 12
    assert sum(message.alerts.count() for message in AlertMessage.objects.all()) == 12
    until(lambda: sum(len(channel.words) for channel in channels) >= AlertDelivery.objects.count())
    told = [words.title for channel in channels for words in channel.words]
    assert len(told) == AlertMessage.objects.count() == AlertDelivery.objects.count()
    assert set(AlertDelivery.objects.values_list("attempts", flat=True)) == {1}


def test_a_delivery_is_claimed_once(start, order, clock):
    channel = Told(errors=["no"])
    sender = start(hook=channel)
    order("FILLED")
    sender.turns()
    clock.advance(seconds=5)
    seen_by_both = [outbox.due("PAPER", "hook", clock()) for _ in range(2)]

    assert [outbox.claim(each, sender=name) for each, name in zip(seen_by_both, "ab", strict=True)] == [True, False]
    assert AlertDelivery.objects.get().sender == "a"


# --- Killed between send and note -------------------------------------------------------------------------------------


def test_one_that_died_between_sending_and_noting_is_told_again_and_the_row_says_so(start, order):
    class Dies:
        calls = 0

        def __call__(self, words):
            self.calls += 1
            return ""

    first = start(hook=Dies())
    order("FILLED")
    first.sender.turn()  # the attempt is begun, and nobody notes its end
    delivery = AlertDelivery.objects.get()
    assert delivery.state == "SENDING"

    lease_ran_out()
    again = Told()
    start(hook=again).turns()

    delivery.refresh_from_db()
    assert len(again.words) == 1
    assert (delivery.state, delivery.attempts, delivery.maybe_twice) == ("DELIVERED", 2, True)


def test_who_lost_the_lead_notes_nothing_over_who_took_over(start, order, clock):
    first = start(hook=Told(errors=["no"]))
    order("FILLED")
    first.sender.turn()
    lease_ran_out()
    start(hook=Told()).turns()

    outbox.failed(AlertDelivery.objects.get().pk, "no", sender=first.sender.name, now=clock(), may_have_arrived=False)

    assert AlertDelivery.objects.get().state == "DELIVERED"


# --- Where it goes on -------------------------------------------------------------------------------------------------


def test_what_happened_while_no_sender_ran_is_told(start, order):
    start(hook=Told()).sender.end()
    order("FILLED")
    channel = Told()

    start(hook=channel).turns()

    assert len(channel.words) == 1


@pytest.mark.parametrize(("hours", "told"), [(23.9, 1), (24.1, 0)])
def test_after_a_day_without_a_sender_what_happened_is_history(start, order, clock, hours, told):
    start(hook=Told()).sender.end()
    order("FILLED")
    clock.advance(hours=hours)
    channel = Told()

    start(hook=channel).turns()

    assert len(channel.words) == told


# --- Rows that come out of order --------------------------------------------------------------------------------------


def opened(number: int, *, through, title: str = "late") -> None:
    """Open an incident by SQL, in the transaction of the connection."""
    through.execute(
        "INSERT INTO risk_incident (kind, mode, fingerprint, is_open, title, detail, what_to_do, symbol,"
        " client_order_id, stops_opening, count, first_at, last_at, status, closed_by, note)"
        " VALUES ('OVERFILL', 'PAPER', %s, true, %s, '', '', '', '', true, 1, now(), now(), 'OPEN', '', '')",
        [f"x{number}", title],
    )


@commits
@pytest.mark.parametrize("minutes", [0, 1, 30])
def test_a_lower_id_that_commits_later_is_told_however_late(start, incident, clock, commits_and_forgets, minutes):
    sender = start(hook=Told())
    with direct_connection() as slow:
        with slow.transaction():
            opened(1, through=slow)
            incident(Incident.Kind.OVERFILL, title="later, and seen first", stops_opening=True)
            for _ in range(minutes + 3):
                sender.turns()
                clock.advance(seconds=60 * bool(minutes))
            low = AlertSender.objects.get().watched["incidents"]["low"]
            assert Incident.objects.count() == 1
        late, first = Incident.objects.order_by("pk")
        assert late.pk < first.pk
        assert low < late.pk, "the mark waits for every transaction that ran"
        sender.turns()

    assert list(Alert.objects.order_by("pk").values_list("title", flat=True)) == ["later, and seen first", "late"]


@commits
def test_one_that_commits_while_rows_are_looked_at_is_not_passed_by(
    start, incident, clock, commits_and_forgets, monkeypatch
):
    monkeypatch.setattr(watching, "TABLES", [each for each in watching.TABLES if each.name == "incidents"])
    sender = start(hook=Told())
    real = watching._transactions
    with direct_connection() as slow:
        slow.execute("BEGIN")
        opened(1, through=slow)
        incident(Incident.Kind.OVERFILL, title="seen first", stops_opening=True)
        clock.advance(seconds=60)
        sender.turns()  # the mark is at the newest row, and waits for the slow one
        clock.advance(seconds=60)

        def ends_just_before():
            slow.execute("COMMIT")
            return real()

        monkeypatch.setattr(watching, "_transactions", ends_just_before)
        sender.sender.turn()
    monkeypatch.setattr(watching, "_transactions", real)
    for _ in range(3):
        clock.advance(seconds=60)
        sender.turns()

    assert sorted(Alert.objects.values_list("title", flat=True)) == ["late", "seen first"]


@commits
def test_the_mark_follows_when_all_that_ran_has_ended_so_that_little_is_looked_at_again(
    start, incident, clock, commits_and_forgets
):
    sender = start(hook=Told())
    row = incident(Incident.Kind.OVERFILL, stops_opening=True)
    for _ in range(3):
        clock.advance(seconds=60)
        sender.turns()

    mark = AlertSender.objects.get().watched["incidents"]
    assert (mark["low"], mark["high"]) == (row.pk, row.pk)
    assert kinds() == ["STOPS_OPENING"]


@commits
def test_a_mark_of_another_server_s_transactions_does_not_stand_still(start, incident, clock, commits_and_forgets):
    sender = start(hook=Told())
    sender.sender._row.watched["incidents"]["transaction"] = 1 << 60  # as after a dump was restored elsewhere
    row = incident(Incident.Kind.OVERFILL, stops_opening=True)
    for _ in range(3):
        clock.advance(seconds=60)
        sender.turns()

    assert AlertSender.objects.get().watched["incidents"]["low"] == row.pk


def test_what_is_looked_at_is_found_by_an_index(desk, start, order):
    start(hook=Told())
    order("FILLED")
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        for table in watching.TABLES:
            sql, params = table.of_mode("PAPER").filter(pk__gt=5).values_list("pk").query.sql_with_params()
            cursor.execute(f"EXPLAIN {sql}", params)
            plan = " ".join(line for (line,) in cursor.fetchall())
            assert "Index" in plan, plan
            assert "Seq Scan" not in plan, plan
