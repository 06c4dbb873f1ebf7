from __future__ import annotations

from decimal import Decimal
from html import unescape

import pytest
from django.urls import reverse

from orders.models import Signal
from risk.engine.rules import RULES
from risk.models import Mode
from tests.risk.admin.staff import told, traces

SENT_BY_TARA = {"signal_type": "BUY", "symbol": "reliance", "cms_score": "75.5", "token": "the-same-form"}


def test_a_test_signal_is_recorded_like_any_other(act, desk):
    answer = act("orders_signal_send_test_signal", **SENT_BY_TARA)

    signal = Signal.objects.get()
    assert (signal.signal_type, signal.symbol, signal.cms_score) == ("BUY", "RELIANCE", Decimal("75.5"))
    assert (signal.status, signal.source, signal.signal_id) == ("RECEIVED", "STAFF", "test-the-same-form")
    assert told(answer) == "Test signal sent: BUY RELIANCE at 75.5."
    assert len(traces()) == 1


def test_a_dialog_sent_twice_is_one_signal(act, desk):
    act("orders_signal_send_test_signal", **SENT_BY_TARA)
    answer = act("orders_signal_send_test_signal", **SENT_BY_TARA)

    assert Signal.objects.count() == 1
    assert told(answer).endswith("That test signal was sent already.")


def test_what_is_not_a_signal_is_told(act, desk):
    answer = act("orders_signal_send_test_signal", **{**SENT_BY_TARA, "symbol": "not a symbol!"})

    assert Signal.objects.get().status == "MALFORMED"
    assert "It is not a signal: symbol" in told(answer)


@pytest.mark.parametrize("score", ["100.1", "-101", "NaN", "", "high"])
def test_a_score_out_of_range_is_not_sent(act, desk, score):
    act("orders_signal_send_test_signal", **{**SENT_BY_TARA, "cms_score": score})

    assert not Signal.objects.exists()


def test_no_test_signal_is_sent_in_live(act, tara, desk, settings):
    settings.TRADING_MODE = Mode.LIVE

    page = tara.get(reverse("admin:orders_signal_changelist")).content.decode()

    assert act("orders_signal_send_test_signal", **SENT_BY_TARA).status_code == 403
    assert "Send a test signal" not in page
    assert not Signal.objects.exists()


def test_the_page_shows_why_and_links_the_order(tara, follow, received):
    order = follow(received(signal_id="story-1", cms_score=75))

    page = tara.get(reverse("admin:orders_signal_change", args=[order.signal_id])).content.decode()

    assert reverse("admin:orders_order_change", args=[order.pk]) in page
    assert "Trades of the day" in page
    assert "75.000" not in page


def test_the_facts_of_a_decision_are_readable(tara, follow, received):
    order = follow(received(cms_score=75))

    page = tara.get(reverse("admin:orders_decision_change", args=[order.decision_id])).content.decode()

    assert "75.000" not in page
    assert "rounded up to one lot" in page
    assert "T" + f"{order.decision.at:%H:%M}" not in page  # no moment is left in UTC


def test_a_refused_signal_shows_the_control_that_refused_it(tara, follow, received):
    signal = received(signal_id="weak-1", cms_score=55)
    follow(signal)

    page = tara.get(reverse("admin:orders_signal_change", args=[signal.pk])).content.decode()

    assert "CMS_SCORE_TOO_WEAK" in page
    assert "Failed" in page


def test_a_signal_is_found_by_its_id_exactly(tara, received):
    received(signal_id="alpha-1")
    received(signal_id="alpha-2", symbol="INFY")
    url = reverse("admin:orders_signal_changelist")

    found = {wanted: tara.get(url, {"q": wanted}).context["cl"].result_count for wanted in ("alpha-2", "alpha", "infy")}

    assert found == {"alpha-2": 1, "alpha": 0, "infy": 1}


def test_a_verdict_explains_its_control_as_the_catalogue_does(tara, received, follow):
    signal = received()
    follow(signal)

    page = unescape(tara.get(reverse("admin:orders_signal_change", args=[signal.pk])).content.decode())

    for control in RULES:
        assert f"{control.code}: {control.sentence}" in page


@pytest.fixture
def weak(follow, received):
    signal = received(signal_id="weak-1", cms_score=55, strategy="momentum")
    follow(signal)
    return signal


def test_a_replay_is_recorded_once_and_both_pages_link_each_other(act, tara, weak):
    answer = act("orders_signal_replay", weak, reason="threshold lowered", shown=0, token="the-same-form")
    again = act("orders_signal_replay", weak, reason="threshold lowered", shown=0, token="the-same-form")

    made = Signal.objects.get(replay_of=weak)
    page = reverse("admin:orders_signal_change", args=[made.pk])
    assert answer["HX-Redirect"] == again["HX-Redirect"] == page
    assert told(answer).startswith("This is the new signal")
    assert told(again).endswith("It was replayed already, by this very form.")
    assert reverse("admin:orders_signal_change", args=[weak.pk]) in tara.get(page).content.decode()
    assert page in tara.get(reverse("admin:orders_signal_change", args=[weak.pk])).content.decode()
    assert traces() == [
        "Replayed as replay-the-same-form: threshold lowered",
        "Replay of weak-1: threshold lowered",
    ]


def test_two_forms_opened_at_the_same_time_are_one_replay(act, weak):
    act("orders_signal_replay", weak, reason="mine", shown=0, token="taras")

    answer = act("orders_signal_replay", weak, reason="mine too", shown=0, token="ritas")

    assert "Somebody replayed it since this page was opened" in told(answer)
    assert Signal.objects.filter(replay_of=weak).count() == 1


def test_a_replay_in_live_wants_the_word_typed(act, tara, weak, settings):
    settings.TRADING_MODE = Mode.LIVE
    Signal.objects.update(mode=Mode.LIVE)
    url = reverse("admin:orders_signal_replay", args=[weak.pk])

    asked = tara.get(url).content.decode()
    answer = act("orders_signal_replay", weak, reason="now", shown=0, token="t", word="replay")

    assert "Type REPLAY" in asked
    assert "Type REPLAY, in capitals." in answer.content.decode()
    assert Signal.objects.count() == 1


def test_a_replay_is_offered_where_it_makes_sense_to_who_may(tara, vera, weak, received):
    url = reverse("admin:orders_signal_replay", args=[weak.pk])
    waiting = received()
    other = reverse("admin:orders_signal_replay", args=[waiting.pk])

    pages = {
        name: client.get(reverse("admin:orders_signal_change", args=[row.pk])).content.decode()
        for name, client, row in (("may", tara, weak), ("may not", vera, weak), ("waits", tara, waiting))
    }

    assert url in pages["may"]
    assert url not in pages["may not"]
    assert other not in pages["waits"]


def test_the_filters_keep_what_they_name(tara, received):
    received(strategy="momentum")
    received(signal_type="SELL", symbol="INFY", strategy="reversal")
    url = reverse("admin:orders_signal_changelist")

    asked = ({"of_symbol": "infy"}, {"of_strategy": "momentum"}, {"of_strategy": "moment"})
    found = [tara.get(url, each).context["cl"].result_count for each in asked]

    assert found == [1, 1, 0]
