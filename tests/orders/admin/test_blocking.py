"""Blocking a symbol from the pages that name one, and opening it again, which needs more."""

from __future__ import annotations

import pytest
from django.urls import reverse
from django.utils import timezone

from orders.models import Instrument, Order, Position
from risk import four_eyes, limit_versions
from risk.models import InstrumentLimit, LimitChange, RiskSettingsVersion
from tests.risk.admin.staff import SENT, person, told, traces

MODELS = ("signal", "order", "position", "instrument")


@pytest.fixture
def rows(held, received, follow):
    """One row of each model that names RELIANCE, of which two shares are held."""
    position = held(2)
    return {
        "signal": received(cms_score=55),
        "order": Order.objects.get(),
        "position": position,
        "instrument": Instrument.objects.get(exchange="NSE", symbol="RELIANCE"),
    }


@pytest.fixture
def rita(desk):
    names = ("add_instrumentlimit", "change_instrumentlimit", "view_instrumentlimit")
    return person("rita", *names, *(f"view_{model}" for model in MODELS))


def version() -> int:
    return limit_versions.in_force(now=timezone.now()).version


def send(client, action, model, row, **fields):
    url = reverse(f"admin:orders_{model}_{action}", args=[row.pk])
    return client.post(url, {**SENT, **fields}, headers={"HX-Request": "true"})


def unblock(client, row, **fields):
    usual = {"reason": "results are out", "version_shown": version(), "confirmation": four_eyes.CONFIRMATION}
    return send(client, "unblock_symbol", "position", row, **{**usual, **fields})


def page(client, model, row) -> str:
    return client.get(reverse(f"admin:orders_{model}_change", args=[row.pk])).content.decode()


@pytest.mark.parametrize("model", MODELS)
def test_it_is_blocked_at_once_and_the_page_says_since_when_by_whom_and_why(rita, rows, model, follow, received):
    answer = send(rita, "block_symbol", model, rows[model], reason="results tonight")

    kept = RiskSettingsVersion.objects.first()
    assert told(answer) == "NSE:RELIANCE is blocked."
    assert (kept.author, kept.reason, kept.changed) == (
        "rita",
        "results tonight",
        {"NSE:RELIANCE blocked": ["", "True"]},
    )
    assert traces() == ["Blocked: NSE:RELIANCE. results tonight"]
    for each in MODELS:
        shown = page(rita, each, rows[each])
        assert "is blocked</b> since" in shown
        assert "by rita: results tonight" in shown
        assert reverse(f"admin:orders_{each}_unblock_symbol", args=[rows[each].pk]) in shown
        assert reverse(f"admin:orders_{each}_block_symbol", args=[rows[each].pk]) not in shown
    buy = received()
    follow(buy)
    assert "INSTRUMENT_BLOCKED" in buy.reason


def test_a_block_leaves_the_symbols_other_limits_as_they_are(rita, rows):
    own = InstrumentLimit(exchange="NSE", symbol="RELIANCE", order_quantity_max=5)
    limit_versions.save_instrument(own, by="asha", reason="small", now=timezone.now())

    send(rita, "block_symbol", "order", rows["order"], reason="results tonight")

    kept = InstrumentLimit.objects.get()
    assert (kept.blocked, kept.order_quantity_max) == (True, 5)


def test_what_closes_still_goes(rita, act, rows):
    send(rita, "block_symbol", "position", rows["position"], reason="results tonight")

    act("orders_position_exit", rows["position"], token="t")

    assert Order.objects.filter(is_exit=True).count() == 1


def test_a_double_click_and_a_second_person_are_told_and_make_no_version(rita, rows):
    asha = person("asha", "add_instrumentlimit", "change_instrumentlimit", "view_position")
    send(rita, "block_symbol", "position", rows["position"], reason="results tonight")
    versions = version()

    again = send(asha, "block_symbol", "position", rows["position"], reason="mine")

    assert told(again) == "NSE:RELIANCE is blocked already."
    assert version() == versions


@pytest.mark.parametrize("permission", ["view_instrumentlimit", "add_instrumentlimit"])
def test_who_may_not_sees_no_button_and_is_refused(rows, permission):
    somebody = person("somebody", permission, *(f"view_{model}" for model in MODELS))

    for model in MODELS:
        assert "block_symbol" not in page(somebody, model, rows[model])
        assert send(somebody, "block_symbol", model, rows[model], reason="x").status_code == 403
    assert not InstrumentLimit.objects.exists()


def test_it_takes_the_word_to_open_it_again(rita, rows):
    send(rita, "block_symbol", "position", rows["position"], reason="results tonight")

    refused = unblock(rita, rows["position"], confirmation="loosen")
    assert "in capitals" in refused.content.decode()
    assert InstrumentLimit.objects.get().blocked

    answer = unblock(rita, rows["position"])
    assert told(answer).endswith("NSE:RELIANCE is not blocked any more.")
    assert not InstrumentLimit.objects.get().blocked
    assert "is blocked</b> since" not in page(rita, "position", rows["position"])


def test_where_the_house_asks_for_two_it_waits_and_the_page_says_so(rita, rows, settings):
    settings.LOOSENING_NEEDS = "second_person"
    send(rita, "block_symbol", "position", rows["position"], reason="results tonight")

    asked = rita.get(reverse("admin:orders_position_unblock_symbol", args=[rows["position"].pk])).content.decode()
    answer = unblock(rita, rows["position"])

    wish = LimitChange.objects.get()
    assert "Type LOOSEN" not in asked
    assert "when a second person approves it" in asked
    assert (wish.status, wish.symbol, wish.limit, wish.author) == ("PENDING", "RELIANCE", "blocked", "rita")
    assert "waits for a second person" in told(answer)
    assert InstrumentLimit.objects.get().blocked
    shown = page(rita, "position", rows["position"])
    assert reverse("admin:risk_limitchange_change", args=[wish.pk]) in shown


def test_who_blocks_what_is_about_to_be_opened_is_told_what_waits_to_open_it(rita, rows, settings):
    settings.LOOSENING_NEEDS = "second_person"
    send(rita, "block_symbol", "position", rows["position"], reason="results tonight")
    unblock(rita, rows["position"])
    asha = person("asha", "add_instrumentlimit", "change_instrumentlimit", "view_position")

    again = send(asha, "block_symbol", "position", rows["position"], reason="a rumour")

    assert told(again) == (
        "NSE:RELIANCE is blocked already, and a wish of rita to unblock it waits: withdraw that to keep it blocked."
    )


def test_limits_changed_since_the_dialog_was_opened_are_looked_at_again_before_it_is_opened(rita, rows):
    send(rita, "block_symbol", "position", rows["position"], reason="results tonight")

    answer = unblock(rita, rows["position"], version_shown=version() - 1)

    assert "changed the limits meanwhile" in told(answer)
    assert InstrumentLimit.objects.get().blocked


def test_what_is_not_blocked_is_not_unblocked_by_an_old_page(rita, rows):
    versions = version()

    answer = unblock(rita, rows["position"])

    assert told(answer) == "NSE:RELIANCE is not blocked."
    assert version() == versions


def test_a_symbol_that_there_is_not_is_not_blocked(rita, rows):
    Position.objects.update(symbol="RELIANCEX")

    assert "block_symbol" not in page(rita, "position", rows["position"])
    answer = send(rita, "block_symbol", "position", rows["position"], reason="x")

    assert told(answer) == "NSE:RELIANCEX is not in the broker's list of instruments."
    assert not InstrumentLimit.objects.exists()


def test_the_list_of_instruments_shows_and_finds_what_is_blocked(rita, rows):
    send(rita, "block_symbol", "instrument", rows["instrument"], reason="results tonight")
    url = reverse("admin:orders_instrument_changelist")

    found = {asked: rita.get(url, {"blocked": asked}).context["cl"].result_count for asked in ("yes", "no")}

    assert found == {"yes": 1, "no": Instrument.objects.count() - 1}
    assert "Blocked" in rita.get(url, {"blocked": "yes"}).content.decode()
