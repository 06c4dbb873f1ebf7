"""Signals are written down once each, by whichever way and however often they arrive."""

from __future__ import annotations

import json
from datetime import timedelta, timezone

import pytest

from orders.inbox import Received, Recorded, record
from orders.models import Signal
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
