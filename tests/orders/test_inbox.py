"""Signals are written down once each, by whichever way and however often they arrive."""

from __future__ import annotations

import json
import re
from datetime import timedelta, timezone

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from orders.inbox import Received, Recorded, record
from orders.models import Signal
from orders.proposal import ask_newest_decided
from risk.models import Incident

from .together import Together, held_up

CHANNEL, STREAM = Signal.Source.CHANNEL, Signal.Source.STREAM


@pytest.fixture
def desk(bare_desk, db):
    """Writing signals down needs nothing of the broker."""
    return bare_desk


def heard(raw: bytes) -> Received:
    return Received(raw=raw, source=CHANNEL)


def entry(raw: bytes, entry_id: str) -> Received:
    return Received(raw=raw, source=STREAM, stream_entry_id=entry_id)


def test_a_new_signal_is_a_row_with_every_field(desk, message, clock):
    sent_at = clock()
    raw = message(signal_id="a-1", price=1400.5, quantity=3, order_type="LIMIT", strategy="cms", seq=1)

    assert record(desk, [entry(raw, "1-1")]) == Recorded(new=1, malformed=0, duplicates=0)

    signal = Signal.objects.get()
    assert (signal.mode, signal.signal_id, signal.status) == ("PAPER", "a-1", "RECEIVED")
    assert (signal.source, signal.stream_entry_id, bytes(signal.raw)) == ("STREAM", "1-1", raw)
    assert (signal.signal_type, signal.exchange, signal.symbol) == ("BUY", "NSE", "RELIANCE")
    assert (float(signal.cms_score), float(signal.price), signal.quantity) == (75.0, 1400.5, 3)
    assert (signal.order_type, signal.strategy, signal.seq, signal.duplicates) == ("LIMIT", "cms", 1, 0)
    assert abs(signal.signal_at - sent_at) < timedelta(seconds=5)


def test_the_same_signal_again_is_counted_on_its_row(desk, message):
    raw = message()
    record(desk, [heard(raw)])

    assert record(desk, [heard(raw)]) == Recorded(new=0, malformed=0, duplicates=1)
    assert record(desk, [heard(raw), heard(raw)]) == Recorded(new=0, malformed=0, duplicates=2)

    assert Signal.objects.get().duplicates == 3


def test_the_same_signal_twice_within_one_batch_is_one_row(desk, message):
    raw = message(signal_id="a-1")

    assert record(desk, [heard(raw), heard(raw), heard(raw)]) == Recorded(new=1, malformed=0, duplicates=2)

    assert Signal.objects.get().duplicates == 2


def test_a_signal_by_channel_and_by_stream_is_one_row(desk, message):
    raw = message()
    record(desk, [heard(raw)])

    record(desk, [entry(raw, "1-1")])

    signal = Signal.objects.get()
    assert (signal.source, signal.duplicates) == ("CHANNEL", 1)


def test_a_stream_entry_delivered_again_is_not_counted(desk, message):
    raw = message()
    record(desk, [entry(raw, "1-1")])

    assert record(desk, [entry(raw, "1-1")]) == Recorded(new=0, malformed=0, duplicates=0)
    assert record(desk, [entry(raw, "1-2")]) == Recorded(new=0, malformed=0, duplicates=1)

    assert Signal.objects.get().duplicates == 1


def test_a_conclusion_is_not_undone_by_a_duplicate(desk, message, received, clock):
    signal = received(signal_id="a-1")
    signal.conclude(Signal.Status.IGNORED, reason="weak", now=clock())

    record(desk, [heard(bytes(signal.raw))])

    signal.refresh_from_db()
    assert (signal.status, signal.duplicates) == ("IGNORED", 1)


@pytest.mark.parametrize("batches", [1, 2])
def test_the_same_id_for_another_signal_is_kept_not_acted_on_and_an_incident(desk, message, batches):
    first, second = heard(message(signal_id="a-1")), heard(message(signal_id="a-1", symbol="INFY"))

    for batch in [[first, second]] if batches == 1 else [[first], [second]]:
        record(desk, batch)

    kept = {signal.symbol: signal for signal in Signal.objects.all()}
    assert (kept["RELIANCE"].status, kept["RELIANCE"].signal_id) == ("RECEIVED", "a-1")
    assert kept["INFY"].status == "MALFORMED"
    assert kept["INFY"].reason == "the id a-1 was used before for a different signal: which one is meant?"
    incident = Incident.objects.get()
    assert (incident.kind, incident.stops_opening) == ("SIGNAL_CONFLICT", False)


def test_a_conflicting_signal_again_is_counted_on_the_conflicting_row(desk, message):
    first, second = message(signal_id="a-1"), message(signal_id="a-1", symbol="INFY")
    record(desk, [heard(first), heard(second)])

    assert record(desk, [heard(second)]) == Recorded(new=0, malformed=0, duplicates=1)

    assert Signal.objects.get(symbol="INFY").duplicates == 1
    assert Signal.objects.get(symbol="RELIANCE").duplicates == 0


def test_ids_of_the_greatest_length_fit_with_their_conflicts(desk, message):
    record(desk, [heard(message(signal_id="x" * 80)), heard(message(signal_id="x" * 80, symbol="INFY"))])

    assert Signal.objects.count() == 2


@pytest.mark.parametrize(("length", "kept"), [(10, 10), (4096, 4096), (4097, 4096), (1_000_000, 4096)])
def test_malformed_bytes_are_kept_up_to_a_bound_with_the_reason(desk, length, kept):
    record(desk, [heard(b"\x00" * length)])

    signal = Signal.objects.get()
    assert (signal.status, bytes(signal.raw)) == ("MALFORMED", b"\x00" * kept)
    assert signal.reason
    assert signal.decided_at is not None


def test_malformed_bytes_that_differ_only_past_the_bound_are_two_rows(desk):
    record(desk, [heard(b"x" * 5000 + b"1"), heard(b"x" * 5000 + b"2"), heard(b"x" * 5000 + b"2")])

    assert sorted(Signal.objects.values_list("duplicates", flat=True)) == [0, 1]


def test_a_score_is_cut_and_never_rounded_up(desk, message):
    record(desk, [heard(message(cms_score="60.0000000000009999999"))])

    assert str(Signal.objects.get().cms_score) == "60.000000000000"


@pytest.mark.parametrize("offset", ["+15:59", "+16:00", "-16:00", "+23:59", "-23:59"])
def test_a_time_with_any_offset_is_written_down(desk, message, clock, offset):
    """PostgreSQL takes offsets below 16 hours, Python below 24."""
    sent_at = clock()
    hours, minutes = int(offset[:3]), int(f"{offset[0]}{offset[4:]}")
    zone = timezone(timedelta(hours=hours, minutes=minutes))

    record(desk, [heard(message(timestamp=sent_at.astimezone(zone).isoformat()))])

    assert Signal.objects.get().signal_at == sent_at


def test_the_greatest_stream_entry_id_is_written_down(desk, message):
    greatest = f"{2**64 - 1}-{2**64 - 1}"

    record(desk, [entry(message(), greatest)])

    assert Signal.objects.get().stream_entry_id == greatest


def test_a_gap_in_the_sequence_is_an_incident(desk, message):
    record(desk, [heard(message(seq=1)), heard(message(seq=2))])
    assert not Incident.objects.exists()

    record(desk, [heard(message(seq=5))])

    incident = Incident.objects.get()
    assert incident.kind == "SIGNAL_GAP"
    assert incident.title == "Signals 3 to 4 of the publisher never arrived"


def test_a_gap_within_one_batch_is_an_incident_whatever_the_order(desk, message):
    record(desk, [heard(message(seq=4)), heard(message(seq=1)), heard(message(seq=2))])

    assert Incident.objects.get().title == "Signals 3 to 3 of the publisher never arrived"


def test_the_first_number_seen_and_a_number_again_are_no_gap(desk, message):
    record(desk, [heard(message(seq=17))])
    record(desk, [heard(message(seq=17, symbol="INFY")), heard(message(seq=3))])

    assert not Incident.objects.exists()


def test_a_publisher_that_skips_numbers_is_one_incident_that_names_the_gaps(desk, message):
    record(desk, [heard(message(seq=seq)) for seq in range(0, 1000, 10)])
    record(desk, [heard(message(seq=seq)) for seq in range(1000, 2000, 10)])

    incident = Incident.objects.get()
    assert (incident.title, incident.count) == ("Signals 1 to 9 of the publisher never arrived", 199)
    assert "Signals 11 to 19 of the publisher never arrived\n" in incident.detail
    assert len(incident.detail) < 4100


def test_a_gap_after_the_first_was_resolved_is_told_anew(desk, message):
    record(desk, [heard(message(seq=1)), heard(message(seq=3))])
    Incident.objects.get().resolve(by="priya", note="sent again", now=desk.clock())

    record(desk, [heard(message(seq=5))])

    assert Incident.objects.unresolved().get().title == "Signals 4 to 4 of the publisher never arrived"


def test_each_strategy_counts_for_itself(desk, message):
    record(desk, [heard(message(seq=1, strategy="a")), heard(message(seq=9, strategy="b"))])
    record(desk, [heard(message(seq=2, strategy="a")), heard(message(seq=11, strategy="b"))])

    assert Incident.objects.get().title == "Signals 10 to 10 of b never arrived"


def test_another_mode_counts_for_itself(desk, message, wired):
    raw = message()
    record(desk, [heard(raw)])

    assert record(wired(desk, mode="LIVE"), [heard(raw)]).new == 1


def test_ten_thousand_messages_are_all_accounted_for(desk, message):
    good = json.loads(message())
    raws = []
    for number in range(10_000):
        match number % 50:
            case 0:
                raws.append(f"not JSON {number}".encode())
            case 1 | 2:
                raws.append(json.dumps({**good, "signal_id": "the same"}).encode())
            case _:
                raws.append(json.dumps({**good, "signal_id": f"n-{number}"}).encode())

    batches = [record(desk, [heard(raw) for raw in raws[start : start + 500]]) for start in range(0, 10_000, 500)]

    assert sum(batch.new for batch in batches) == 9401
    assert sum(batch.malformed for batch in batches) == 200
    assert sum(batch.duplicates for batch in batches) == 399
    assert Signal.objects.count() == 9601
    assert Signal.objects.get(signal_id="the same").duplicates == 399


@pytest.mark.django_db(transaction=True)
def test_two_that_record_the_same_signal_at_once_leave_one_row(desk, message):
    raw = message()

    with held_up("orders_signal") as wait_for:
        both = Together(lambda: record(desk, [heard(raw)]), lambda: record(desk, [heard(raw)]))
        wait_for(2)
    results = both.join()

    assert all(isinstance(result, Recorded) for result in results)
    assert Signal.objects.count() == 1


# --- As fast with years behind it ------------------------------------------------------------------------------------


def statements(record_them):
    with CaptureQueriesContext(connection) as captured:
        record_them()
    return len(captured)


def test_a_batch_takes_as_many_statements_as_one_message(desk, message):
    alone = statements(lambda: record(desk, [heard(message())]))
    alone -= 1  # one by itself is an INSERT; of more, the COPY is not counted here

    batch = [heard(message(signal_id=f"b-{number}")) for number in range(500)]
    assert statements(lambda: record(desk, batch)) == alone

    again = statements(lambda: record(desk, batch))
    assert again == alone + 2  # their rows are locked and counted, all at once
    assert set(Signal.objects.filter(signal_id__startswith="b-").values_list("duplicates", flat=True)) == {1}


def test_signals_that_arrive_again_a_different_number_of_times_are_each_counted(desk, message):
    raws = {name: message(signal_id=name) for name in "abc"}
    record(desk, [heard(raws[name]) for name in "abc"])

    record(desk, [heard(raws[name]) for name in "abbcccc"])

    assert dict(Signal.objects.values_list("signal_id", "duplicates")) == {"a": 1, "b": 2, "c": 4}


@pytest.mark.parametrize("index", ["signal_last_seq", "signal_newest"])
def test_the_newest_of_many_is_read_from_an_index_of_nothing_else(desk, message, index):
    """Of two thousand numbered signals that expired since the one that was decided, none is read to find it."""
    record(desk, [heard(message(signal_id=f"n-{number}", seq=number)) for number in range(2000)])
    Signal.objects.update(status="EXPIRED")
    first = Signal.objects.earliest("id")
    Signal.objects.filter(pk=first.pk).update(status="IGNORED")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE orders_signal")

    with CaptureQueriesContext(connection) as captured:
        if index == "signal_newest":
            assert ask_newest_decided(Signal.objects.latest("id"))() == first.signal_at
        else:
            record(desk, [heard(message(signal_id="next", seq=2000))])

    (asked,) = (query["sql"] for query in captured if "MAX(" in query["sql"])
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {asked}")
        plan = json.dumps(cursor.fetchone()[0])
    assert f'"Index Name": "{index}"' in plan
    assert max(int(float(rows)) for rows in re.findall(r'"Actual Rows": ([0-9.]+)', plan)) == 1


def test_known_ids_are_looked_up_one_by_one_while_the_table_is_thought_small(desk, message):
    """As in the first burst of a new installation, whose rows nobody has counted yet."""
    record(desk, [heard(message(signal_id=f"n-{number}")) for number in range(2000)])

    with CaptureQueriesContext(connection) as captured:
        record(desk, [heard(message(signal_id="next"))])

    (asked,) = (query["sql"] for query in captured if "asked(" in query["sql"])
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {asked}")
        plan = json.dumps(cursor.fetchone()[0])
    assert '"Index Name": "signal_once"' in plan
    assert "Seq Scan" not in plan
    assert "Bitmap" not in plan


@pytest.mark.django_db(transaction=True)
def test_who_counts_many_again_and_who_concludes_many_do_not_wait_for_each_other_in_a_ring(desk, message):
    """Each asks for the rows of the other in the opposite order, and holds some already."""
    raws = [message(signal_id=f"n-{number}") for number in range(50)]
    record(desk, [heard(raw) for raw in raws])
    pks = list(Signal.objects.order_by("-id").values_list("pk", flat=True))

    def conclude():
        with transaction.atomic():
            each = [(pk, Signal.Status.IGNORED, "HOLD") for pk in pks]
            return Signal.objects.conclude_each(each, now=desk.clock())

    with held_up("orders_signal") as wait_for:
        both = Together(lambda: record(desk, [heard(raw) for raw in raws]).duplicates, conclude)
        wait_for(2)

    assert both.join() == [50, 50]
    assert set(Signal.objects.values_list("status", "duplicates")) == {("IGNORED", 1)}
