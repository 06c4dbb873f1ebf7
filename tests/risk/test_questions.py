"""What a question tells is what its queryset would have told, however often and with whatever it is asked."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime, timedelta

import pgtrigger
import pytest
from django.db import OperationalError, connection, transaction
from django.db.models import BooleanField, Count, ExpressionWrapper, Max, Q, Value
from django.test.utils import CaptureQueriesContext

from risk.models import CalendarDay, Incident, RiskSettingsVersion, TradingControl
from risk.questions import Question, together

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 24, 6, 30, tzinfo=UTC)


def an_incident(number, **more):
    return Incident.objects.create(
        mode="PAPER",
        kind="EXPOSURE",
        fingerprint=f"{number}",
        title=f"title {number}",
        first_at=NOON,
        last_at=NOON,
        **more,
    )


@pytest.fixture
def incidents():
    return [an_incident(number, symbol=symbol) for number, symbol in enumerate(["INFY", "TCS", "INFY", "100%", ""])]


OF_SYMBOL = Question(lambda symbol: Incident.objects.filter(symbol=symbol).order_by("pk"), symbol=str)


@pytest.mark.parametrize("symbol", ["INFY", "TCS", "100%", "", "nobody's", "%s", "'; DROP TABLE risk_incident; --"])
def test_rows_are_those_of_the_queryset_as_models(incidents, symbol):
    told = OF_SYMBOL.rows(symbol=symbol)

    expected = list(Incident.objects.filter(symbol=symbol).order_by("pk"))
    assert told == expected
    assert [vars(each) | {"_state": None} for each in told] == [vars(each) | {"_state": None} for each in expected]
    assert all(each._state.db == "default" and not each._state.adding for each in told)


def test_values_come_as_dictionaries_and_lists_of_values_as_tuples(incidents):
    as_values = Question(lambda symbol: Incident.objects.filter(symbol=symbol).values("pk", "title"), symbol=str)
    as_tuples = Question(lambda symbol: Incident.objects.filter(symbol=symbol).values_list("title", "pk"), symbol=str)

    assert as_values.rows(symbol="TCS") == [{"pk": incidents[1].pk, "title": "title 1"}]
    assert as_tuples.rows(symbol="TCS") == [("title 1", incidents[1].pk)]


def test_annotations_and_json_come_as_the_queryset_converts_them():
    version = RiskSettingsVersion.objects.create(
        version=7, limits={"a": "1"}, changed={}, author="asha", reason="x", at=NOON
    )
    question = Question(
        lambda number: RiskSettingsVersion.objects.annotate(
            is_it=ExpressionWrapper(Q(version=number), BooleanField())
        ).filter(pk=version.pk),
        number=int,
    )

    (told,) = question.rows(number=version.version)
    (other,) = question.rows(number=version.version + 1)

    assert (told.is_it, other.is_it) == (True, False)
    assert told.limits == version.limits
    assert isinstance(told.limits, dict)


def test_one_row_of_aggregates_is_told_of_nothing_too():
    counted = Question(
        lambda symbol: (
            Incident.objects.filter(symbol=symbol)
            .order_by()
            .values(in_all=Value(1))
            .annotate(count=Count("pk"), last=Max("last_at"))
            .values_list("count", "last")
        ),
        symbol=str,
    )

    assert counted.rows(symbol="INFY") == [(0, None)]
    an_incident(1, symbol="INFY")
    assert counted.rows(symbol="INFY") == [(1, NOON)]


@pytest.mark.parametrize(
    "distance", [timedelta(0), timedelta(microseconds=1), timedelta(days=400), -timedelta(hours=1)]
)
def test_a_moment_may_be_asked_with_a_distance(incidents, distance):
    since = Question(lambda now: Incident.objects.filter(last_at__gte=now + distance), now=datetime)

    assert since.rows(now=NOON - distance) == since.rows(now=NOON - distance)
    assert len(since.rows(now=NOON - distance)) == len(incidents)
    assert since.rows(now=NOON - distance + timedelta(microseconds=1)) == []


def test_two_moments_and_two_dates_are_not_taken_for_each_other():
    CalendarDay.objects.all().delete()
    for day in (1, 2, 3):
        CalendarDay.objects.create(date=date(2031, 1, day), kind="HOLIDAY", name="x", entered_by="x", entered_at=NOON)
    between = Question(
        lambda first, last: CalendarDay.objects.filter(date__range=(first, last)).values_list("date"),
        first=date,
        last=date,
    )

    assert len(between.rows(first=date(2031, 1, 1), last=date(2031, 1, 3))) == 3
    assert between.rows(first=date(2031, 1, 2), last=date(2031, 1, 2)) == [(date(2031, 1, 2),)]
    assert between.rows(first=date(2031, 1, 3), last=date(2031, 1, 1)) == []


def test_numbers_are_asked_by_value():
    question = Question(lambda pk: TradingControl.objects.filter(pk=pk).values_list("pk"), pk=int)
    known = list(TradingControl.objects.values_list("pk"))

    assert [question.rows(pk=pk) for (pk,) in known] == [[each] for each in known]
    assert question.rows(pk=0) == []


def test_the_sql_is_made_once(incidents):
    made = []
    question = Question(lambda symbol: made.append(symbol) or Incident.objects.filter(symbol=symbol), symbol=str)

    for symbol in ("INFY", "TCS", "INFY"):
        question.rows(symbol=symbol)

    assert len(made) == 1


def test_threads_that_ask_first_at_once_make_it_once_too(transactional_db):
    made, gate = [], threading.Barrier(4)
    question = Question(lambda symbol: made.append(symbol) or Incident.objects.filter(symbol=symbol), symbol=str)

    def ask():
        gate.wait()
        question.rows(symbol="INFY")
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(made) == 1


def test_a_value_that_the_question_does_not_ask_by_is_a_defect():
    forgets = Question(lambda symbol, mode: Incident.objects.filter(symbol=symbol), symbol=str, mode=str)

    with pytest.raises(AssertionError, match="does not ask by mode"):
        forgets.rows(symbol="INFY", mode="PAPER")


def test_what_is_asked_together_is_told_each_its_own(incidents):
    with together():
        infy, tcs, none = (OF_SYMBOL.ask(symbol=symbol) for symbol in ("INFY", "TCS", "nobody's"))

    assert ([each.pk for each in infy()], [each.pk for each in tcs()], none()) == (
        [incidents[0].pk, incidents[2].pk],
        [incidents[1].pk],
        [],
    )


def test_what_is_asked_together_sees_what_the_same_transaction_wrote():
    with transaction.atomic():
        written = an_incident(1, symbol="INFY")
        with together():
            told = OF_SYMBOL.ask(symbol="INFY")
        assert told() == [written]


def test_each_question_is_one_statement_that_tools_see(incidents):
    with CaptureQueriesContext(connection) as seen, together():
        told = [OF_SYMBOL.ask(symbol="INFY"), OF_SYMBOL.ask(symbol="TCS")]

    assert [len(rows()) for rows in told] == [2, 1]
    assert len(seen) == 2


def test_what_is_asked_together_is_told_while_triggers_are_ignored(incidents):
    with transaction.atomic(), pgtrigger.ignore():
        with together():
            told = [OF_SYMBOL.ask(symbol=symbol) for symbol in ("INFY", "TCS")]
        assert [len(rows()) for rows in told] == [2, 1]
        assert TradingControl.objects.locked("PAPER").mode == "PAPER"


def test_a_lock_is_refused_outside_of_a_transaction(transactional_db):
    locks = Question(lambda mode: TradingControl.objects.select_for_update().filter(mode=mode), mode=str)

    with transaction.atomic():
        assert locks.rows(mode="PAPER")
    with pytest.raises(transaction.TransactionManagementError, match="lock"):
        locks.rows(mode="PAPER")
    with pytest.raises(transaction.TransactionManagementError):
        TradingControl.objects.locked("PAPER")


def test_a_database_that_goes_away_is_told_as_django_tells_it(transactional_db):
    OF_SYMBOL.rows(symbol="INFY")
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [connection.connection.info.backend_pid])
    other.close()

    with pytest.raises(OperationalError), together():
        OF_SYMBOL.ask(symbol="INFY")
    connection.close()
    assert OF_SYMBOL.rows(symbol="INFY") == []


def test_a_control_that_is_missing_is_named(transactional_db):
    with transaction.atomic(), pytest.raises(TradingControl.DoesNotExist, match="NOWHERE"):
        TradingControl.objects.locked("NOWHERE")
