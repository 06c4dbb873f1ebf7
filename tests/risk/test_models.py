"""What the database itself refuses, and how incidents are counted."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.db import DatabaseError, IntegrityError, OperationalError, connection, transaction

from risk import control, limit_versions
from risk.models import Incident, Mode, RiskSettings, RiskSettingsVersion, TradingControl, TradingControlEvent

pytestmark = pytest.mark.django_db


@pytest.fixture
def history(first_limits: RiskSettings, now: datetime) -> None:
    control.halt(Mode.PAPER, by="asha", reason="stop", now=now)


@pytest.mark.parametrize("table", [TradingControlEvent, RiskSettingsVersion])
@pytest.mark.parametrize(
    "statement",
    ["UPDATE {} SET version = version + 1", "UPDATE {} SET reason = reason", "DELETE FROM {}"],
)
def test_the_database_refuses_to_rewrite_history_even_by_raw_sql(history: None, table: type, statement: str) -> None:
    name = connection.ops.quote_name(table._meta.db_table)

    with pytest.raises(DatabaseError, match="Cannot update or delete rows"), transaction.atomic():
        connection.cursor().execute(statement.format(name))

    assert table.objects.count() == 1


@pytest.mark.parametrize("table", [TradingControlEvent, RiskSettingsVersion])
def test_the_orm_cannot_rewrite_history_either(history: None, table: type) -> None:
    with pytest.raises(DatabaseError, match="Cannot update or delete rows"), transaction.atomic():
        table.objects.update(reason="never happened")
    with pytest.raises(DatabaseError, match="Cannot update or delete rows"), transaction.atomic():
        table.objects.all().delete()

    assert not table.objects.filter(reason="never happened").exists()


def test_no_two_changes_of_a_switch_share_a_version(history: None, now: datetime) -> None:
    event = TradingControlEvent.objects.get()
    event.pk = None

    with pytest.raises(IntegrityError, match="trading_control_event_once_per_version"), transaction.atomic():
        event.save(force_insert=True)


def test_there_is_one_row_of_limits(first_limits: RiskSettings) -> None:
    first_limits.pk = 2

    with pytest.raises(IntegrityError, match="risk_settings_is_one_row"), transaction.atomic():
        first_limits.save(force_insert=True)


def test_there_is_one_switch_for_each_mode(paper: TradingControl) -> None:
    paper.pk = None

    with pytest.raises(IntegrityError, match="mode"), transaction.atomic():
        paper.save(force_insert=True)


@pytest.mark.parametrize(("field", "value"), [("state", "PAUSED"), ("mode", "BOTH")])
def test_the_database_refuses_a_switch_in_no_known_position(paper: TradingControl, field: str, value: str) -> None:
    with pytest.raises(IntegrityError, match=f"trading_control_{field}_is_known"), transaction.atomic():
        TradingControl.objects.filter(pk=paper.pk).update(**{field: value})


def refused_beside(mode: str) -> bool:
    """Whether another connection is refused the mode's row, now and without waiting."""
    refused = []

    def ask() -> None:
        try:
            with transaction.atomic():
                TradingControl.objects.select_for_update(nowait=True).get(mode=mode)
        except OperationalError:
            refused.append(mode)
        finally:
            connection.close()

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    return refused == [mode]


@pytest.mark.django_db(transaction=True)
def test_a_locked_switch_is_locked_for_every_other_connection_and_the_other_mode_is_not(
    controls: dict[str, TradingControl],
) -> None:
    with transaction.atomic():
        TradingControl.objects.locked(Mode.PAPER)

        assert refused_beside(Mode.PAPER)
        assert not refused_beside(Mode.LIVE)

    assert not refused_beside(Mode.PAPER)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("change", ["halt", "resume"])
def test_a_change_of_the_switch_holds_its_lock_until_it_is_committed(
    controls: dict[str, TradingControl], now: datetime, change: str
) -> None:
    control.reduce_only(Mode.PAPER, by="asha", reason="careful", now=now)

    with transaction.atomic():
        if change == "halt":
            control.halt(Mode.PAPER, by="asha", reason="stop", now=now)
        else:
            control.resume(Mode.PAPER, by="asha", reason="go", now=now, version_shown=2)

        assert refused_beside(Mode.PAPER)


def until_somebody_waits_for_a_lock() -> None:
    """Ask the server until another connection stands in line for a lock of this database."""
    with connection.cursor() as cursor:
        for _ in range(10_000):
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            if cursor.fetchone()[0]:
                return
    raise AssertionError("nobody waits for the lock")


class Beside(threading.Thread):
    """A change asked for on another connection; `answer` is what it returned or raised."""

    def __init__(self, change: Callable[[], TradingControl]) -> None:
        super().__init__()
        self.change = change
        self.answer: TradingControl | Exception | None = None

    def run(self) -> None:
        try:
            self.answer = self.change()
        except (control.ControlChanged, DatabaseError) as error:
            self.answer = error
        finally:
            connection.close()


@pytest.mark.django_db(transaction=True)
def test_a_resume_that_waited_for_a_halt_does_not_undo_it(controls: dict[str, TradingControl], now: datetime) -> None:
    control.reduce_only(Mode.PAPER, by="asha", reason="careful", now=now)
    resume = Beside(lambda: control.resume(Mode.PAPER, by="asha", reason="go", now=now, version_shown=2))

    with transaction.atomic():
        control.halt(Mode.PAPER, by="ravi", reason="stop", now=now)
        resume.start()
        until_somebody_waits_for_a_lock()
    resume.join()

    assert isinstance(resume.answer, control.ControlChanged)
    assert TradingControl.objects.get(mode=Mode.PAPER).state == "HALTED"


@pytest.mark.django_db(transaction=True)
def test_a_halt_that_waited_for_another_change_still_halts(controls: dict[str, TradingControl], now: datetime) -> None:
    halt = Beside(lambda: control.halt(Mode.PAPER, by="ravi", reason="stop", now=now))

    with transaction.atomic():
        control.reduce_only(Mode.PAPER, by="asha", reason="careful", now=now)
        halt.start()
        until_somebody_waits_for_a_lock()
    halt.join()

    assert TradingControl.objects.get(mode=Mode.PAPER).state == "HALTED"
    assert list(TradingControlEvent.objects.order_by("version").values_list("version", "actor", "state")) == [
        (2, "asha", "REDUCE_ONLY"),
        (3, "ravi", "HALTED"),
    ]


@pytest.mark.parametrize("tighten", [control.halt, control.reduce_only, control.auto_trading_off])
def test_stopping_waits_for_its_lock_as_long_as_it_takes(
    controls: dict[str, TradingControl], now: datetime, tighten: Callable[..., TradingControl]
) -> None:
    tighten(Mode.PAPER, by="asha", reason="stop", now=now)

    assert timeouts() == {"lock_timeout": "0", "statement_timeout": "0"}


def test_loosening_does_not_wait_for_ever(controls: dict[str, TradingControl], now: datetime) -> None:
    control.auto_trading_on(Mode.PAPER, by="asha", reason="begin", now=now, version_shown=1)

    assert "0" not in timeouts().values()


def timeouts() -> dict[str, str]:
    """How long a statement of the transaction that is open may wait, and how long it may take."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, setting FROM pg_settings WHERE name IN ('lock_timeout', 'statement_timeout')")
        return dict(cursor.fetchall())


@pytest.mark.django_db(transaction=True)
def test_a_change_of_the_limits_holds_the_lock_of_every_mode(first_limits: RiskSettings, now: datetime) -> None:
    first_limits.daily_trades_max = 5

    with transaction.atomic():
        limit_versions.save(first_limits, ["daily_trades_max"], by="asha", reason="fewer", now=now)

        assert refused_beside(Mode.PAPER)
        assert refused_beside(Mode.LIVE)


def open_incident(now: datetime, *, subject: str = "ZK1", mode: str = Mode.PAPER, **details: object) -> Incident:
    return Incident.objects.open(
        Incident.Kind.ORDER_IN_DOUBT, mode=mode, title="Order in doubt", now=now, subject=subject, **details
    )


def test_repeats_are_counted_on_one_incident(now: datetime) -> None:
    later = now + timedelta(minutes=5)
    first = open_incident(now)

    again = open_incident(later)
    open_incident(later)

    incident = Incident.objects.get()
    assert again.pk == first.pk
    assert (incident.count, incident.first_at, incident.last_at) == (3, now, later)


def test_another_subject_kind_or_mode_is_another_incident(now: datetime) -> None:
    open_incident(now)

    open_incident(now, subject="ZK2")
    open_incident(now, mode=Mode.LIVE)
    Incident.objects.open(Incident.Kind.OVERFILL, mode=Mode.PAPER, title="Overfill", now=now, subject="ZK1")

    assert list(Incident.objects.values_list("count", flat=True)) == [1, 1, 1, 1]


def test_the_same_trouble_after_it_was_resolved_opens_anew(now: datetime) -> None:
    later = now + timedelta(hours=1)
    first = open_incident(now)
    first.resolve(by="asha", note="filled, as the broker shows", now=now)

    second = open_incident(later)

    assert second.pk != first.pk
    first.refresh_from_db()
    assert (first.status, first.count, first.closed_by, first.closed_at) == ("RESOLVED", 1, "asha", now)
    assert list(Incident.objects.unresolved()) == [second]


def test_an_acknowledged_incident_still_counts_and_still_stops(now: datetime) -> None:
    incident = open_incident(now, symbol="RELIANCE", stops_opening=True)
    incident.acknowledge(by="asha", note="calling the broker")

    open_incident(now)

    stored = Incident.objects.get()
    assert (stored.status, stored.count) == ("ACKNOWLEDGED", 2)
    assert list(Incident.objects.stopping(Mode.PAPER, "RELIANCE")) == [stored]


def test_what_was_resolved_is_neither_acknowledged_nor_resolved_again(now: datetime) -> None:
    incident = open_incident(now)
    incident.resolve(by="asha", note="done", now=now)

    incident.acknowledge(by="ravi", note="looking")
    incident.resolve(by="ravi", note="done again", now=now + timedelta(hours=1))

    incident.refresh_from_db()
    assert (incident.status, incident.closed_by, incident.note) == ("RESOLVED", "asha", "done")


def test_an_incident_stops_its_own_symbol_and_one_of_the_book_stops_all(now: datetime) -> None:
    of_symbol = open_incident(now, subject="a", symbol="RELIANCE", stops_opening=True)
    of_book = open_incident(now, subject="b", stops_opening=True)
    open_incident(now, subject="c", symbol="RELIANCE")
    open_incident(now, subject="d", symbol="RELIANCE", stops_opening=True, mode=Mode.LIVE)

    assert set(Incident.objects.stopping(Mode.PAPER, "RELIANCE")) == {of_symbol, of_book}
    assert set(Incident.objects.stopping(Mode.PAPER, "INFY")) == {of_book}

    of_book.resolve(by="asha", note="back", now=now)

    assert set(Incident.objects.stopping(Mode.PAPER, "INFY")) == set()


def test_the_database_refuses_two_open_incidents_of_one_trouble(now: datetime) -> None:
    incident = open_incident(now)
    incident.pk = None

    with pytest.raises(IntegrityError, match="incident_open_once"), transaction.atomic():
        incident.save(force_insert=True)


@pytest.mark.parametrize("name", ["position_size", "order_value_max", "position_value_max", "collar_percent"])
def test_a_limit_below_zero_fails_the_checks_of_the_form(first_limits: RiskSettings, name: str) -> None:
    setattr(first_limits, name, Decimal("-0.01"))

    with pytest.raises(Exception, match=name):
        first_limits.full_clean()
