"""What is asked together goes in one trip, and leaves the line as good as it was, whatever comes of it."""

from __future__ import annotations

import tempfile

import psycopg
import pytest
from django.db import (
    DataError,
    InterfaceError,
    InternalError,
    OperationalError,
    ProgrammingError,
    connection,
    transaction,
)

from risk.questions import ask, together

pytestmark = pytest.mark.django_db(transaction=True)

DOUBLED = "SELECT 2 * %s::int"


@pytest.fixture
def line():
    connection.ensure_connection()
    return connection.connection


@pytest.fixture
def backend(line):
    """The process at the other end; after the test it still is there and answers."""
    yield line.info.backend_pid
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        assert cursor.fetchone() == (line.info.backend_pid,)


def said_on(line, act):
    """Return the kinds of messages that went to PostgreSQL while something was done."""
    with tempfile.TemporaryFile("w+") as trace:
        line.pgconn.trace(trace.fileno())
        try:
            act()
        finally:
            line.pgconn.untrace()
        trace.seek(0)
        spoken = [entry.rstrip("\n").split("\t") for entry in trace]
    return [entry[3] for entry in spoken if entry[1] == "F"]


def two_doubled():
    with together():
        one, two = ask(DOUBLED, [1]), ask(DOUBLED, [2])
    return one(), two()


PLANS = "SHOW plan_cache_mode"


@pytest.mark.parametrize(("planned_once", "mode"), [(True, "force_generic_plan"), (False, "auto")])
def test_what_is_planned_once_is_so_until_its_transaction_ends(line, backend, planned_once, mode):
    with transaction.atomic():
        with together(planned_once=planned_once):
            one, two, plans = ask(DOUBLED, [1]), ask(DOUBLED, [2]), ask(PLANS, [])
        assert (one(), two()) == ([(2,)], [(4,)])
        assert plans() == ask(PLANS, [])() == [(mode,)]
    assert ask(PLANS, [])() == [("auto",)]


def test_outside_a_transaction_nothing_is_set(line, backend):
    with together(planned_once=True):
        plans = ask(PLANS, [])
    assert plans() == ask(PLANS, [])() == [("auto",)]


def test_a_transaction_begins_in_the_trip_of_its_first_questions(line, backend):
    two_doubled()

    def in_a_transaction():
        with transaction.atomic():
            assert two_doubled() == ([(2,)], [(4,)])
            assert line.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS

    kinds = said_on(line, in_a_transaction)

    assert kinds.count("Parse") == 1, "BEGIN, for the questions are prepared"
    assert kinds.count("Sync") == 1
    assert kinds.count("Query") == 1, "COMMIT"


def test_outside_of_a_transaction_none_is_begun(line, backend):
    assert two_doubled() == ([(2,)], [(4,)])

    assert line.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


def test_what_was_asked_before_is_not_prepared_again(line, backend):
    two_doubled()

    assert "Parse" not in said_on(line, two_doubled)


def test_what_psycopg_forgot_is_prepared_again(line, backend):
    two_doubled()
    with transaction.atomic():
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            raise ZeroDivisionError  # back to a savepoint: psycopg lets go of all that it prepared
        two_doubled()

        assert two_doubled() == ([(2,)], [(4,)])


def test_a_question_that_fails_is_told_as_django_tells_it(backend):
    with pytest.raises(DataError, match="division by zero"), transaction.atomic(), together():
        fine, wrong, after = ask(DOUBLED, [1]), ask("SELECT 1 / %s::int", [0]), ask(DOUBLED, [2])

    for rows in (fine, wrong, after):
        with pytest.raises(AssertionError):
            rows()
    assert two_doubled() == ([(2,)], [(4,)])


def test_a_question_that_was_good_fails_and_is_good_again(backend):
    def divided(by):
        with together():
            told = ask("SELECT 12 / %s::int", [by])
        return told()

    assert divided(3) == [(4,)]
    with pytest.raises(DataError):
        divided(0)
    assert divided(4) == [(3,)]


def test_what_a_failed_trip_was_to_prepare_is_prepared_again(line, backend):
    later = "SELECT 3 * %s::int"

    def fails():
        with together():
            return ask("SELECT 1 / %s::int", [0]), ask(later, [1])

    with pytest.raises(DataError):
        fails()
    with together():
        told = ask(later, [2])
    assert told() == [(6,)]


def test_what_django_asked_before_is_prepared_again_after_a_trip_that_failed(line, backend):
    for _ in range(2):  # psycopg counts it, and takes it for one it knows
        with connection.cursor() as cursor:
            cursor.execute("SELECT 7")

    def fails():
        with together():
            return ask("SELECT 1 / %s::int", [0]), ask("SELECT 7", [])

    with pytest.raises(DataError):
        fails()
    with together():
        told = ask("SELECT 7", [])
    assert told() == [(7,)]


def test_where_nothing_may_be_prepared_nothing_is_asked(line, backend, monkeypatch):
    monkeypatch.setattr(line, "prepare_threshold", None)

    with pytest.raises(InterfaceError, match="prepare_threshold"):
        two_doubled()


def test_a_trip_that_was_not_ended_lets_no_other_begin(line):
    line.pgconn.enter_pipeline_mode()

    with pytest.raises(InterfaceError, match="not ended"):
        two_doubled()

    line.pgconn.exit_pipeline_mode()
    assert two_doubled() == ([(2,)], [(4,)])


def test_in_a_block_that_is_to_be_rolled_back_nothing_is_asked(backend):
    with transaction.atomic():
        transaction.set_rollback(True)
        with pytest.raises(transaction.TransactionManagementError):
            two_doubled()


def test_a_statement_that_is_none_is_told(backend):
    with pytest.raises(ProgrammingError, match="nowhere"), together():
        ask("SELECT * FROM nowhere WHERE %s", [True])

    assert two_doubled() == ([(2,)], [(4,)])


def test_in_a_transaction_that_failed_nothing_is_told_until_it_ends(backend):
    with transaction.atomic():
        with pytest.raises(DataError), together():
            ask("SELECT 1 / %s::int", [0])
        with pytest.raises(InternalError, match="aborted"):
            two_doubled()
        transaction.set_rollback(True)

    assert two_doubled() == ([(2,)], [(4,)])


def test_what_goes_wrong_between_two_questions_is_told_itself(backend):
    def goes_wrong():
        with transaction.atomic(), together():
            ask("SELECT 1 / %s::int", [0])
            raise KeyError("ours")

    with pytest.raises(KeyError, match="ours"):
        goes_wrong()

    assert two_doubled() == ([(2,)], [(4,)])


def test_a_value_that_cannot_be_sent_is_named(backend):
    with pytest.raises(ProgrammingError, match="object"), together():
        _ = ask(DOUBLED, [1]), ask(DOUBLED, [object()])

    assert two_doubled() == ([(2,)], [(4,)])


def test_nothing_else_is_said_meanwhile(backend):
    def says_something_else():
        with together(), connection.cursor() as cursor:
            ask(DOUBLED, [1])
            cursor.execute("SELECT 1")

    with pytest.raises(OperationalError, match="pipeline"):
        says_something_else()

    assert two_doubled() == ([(2,)], [(4,)])


def test_what_is_asked_together_within_together_goes_with_it(line, backend):
    two_doubled()

    def nested():
        with together():
            one = ask(DOUBLED, [1])
            with together():
                two = ask(DOUBLED, [2])
        assert (one(), two()) == ([(2,)], [(4,)])

    assert said_on(line, nested).count("Sync") == 1


def test_more_is_asked_and_told_than_the_line_holds_at_once(backend):
    long = "x" * 400_000  # in all many times what sockets hold, in both directions

    with together():
        told = [ask("SELECT %s::text || %s::text", [long, f"{number}"]) for number in range(40)]

    assert [rows() == [(f"{long}{number}",)] for number, rows in enumerate(told)] == [True] * 40


def test_nothing_asked_is_nothing_told(backend):
    with transaction.atomic(), together():
        pass

    assert two_doubled() == ([(2,)], [(4,)])


def test_a_line_whose_answers_nobody_reads_is_given_up(line, monkeypatch):
    def is_broken_off(pgconn, commands):
        raise RuntimeError("broken off")
        yield

    with monkeypatch.context() as patch:
        patch.setattr(psycopg.generators, "pipeline_communicate", is_broken_off)
        with pytest.raises(RuntimeError, match="broken off"):
            two_doubled()

    assert line.closed
    connection.close()
    assert two_doubled() == ([(2,)], [(4,)])
