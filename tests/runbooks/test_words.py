"""What the runbooks name is there: every command with its options, every page and action, every unit and setting."""

from __future__ import annotations

import re
from argparse import ArgumentParser
from pathlib import Path

import pytest
from django.contrib import admin
from django.core.management import get_commands, load_command_class
from django.urls import reverse
from django.utils import timezone

from config.unfold import UNFOLD
from orders.admin import runbooks_page
from orders.admin.runbooks_page import BY_KIND, PLACE, Runbook, read
from orders.lifecycle import OrderStatus
from risk.engine.rules import RULES
from risk.models import Incident
from tests.deploy.conftest import DEPLOY
from tests.executor_process import REPOSITORY
from tests.runbooks import test_at_the_desk, test_at_the_machine

FIRST, *RUNBOOKS = read(REPOSITORY / PLACE)
TEXT = " ".join(line for runbook in (FIRST, *RUNBOOKS) for piece in runbook.pieces for line in piece.lines)
CODE = re.findall(r"`([^`]+)`", TEXT)
PARTS = ("**You notice:**", "**The desk has**", "**It is over when**", "**Do not**")

# Which test stages it and goes through it.
TRIED = {
    runbooks_page.DOUBT: test_at_the_desk.test_an_order_in_doubt_is_explained_by_the_book_and_trading_goes_on,
    runbooks_page.LOGIN: test_at_the_desk.test_after_a_refused_login_a_new_one_and_a_clean_book_are_all_it_takes,
    runbooks_page.BROKER: (
        test_at_the_desk.test_while_the_broker_is_down_it_can_be_halted_and_what_rests_is_cancelled_when_it_is_back
    ),
    runbooks_page.REDIS: (
        test_at_the_machine.test_redis_is_started_again_what_was_lost_is_sent_again_and_the_incident_names_the_gap
    ),
    runbooks_page.POSTGRES: (
        test_at_the_machine.test_postgres_comes_back_and_the_desk_leads_on_by_itself_with_its_trail_whole
    ),
    runbooks_page.EXECUTOR: test_at_the_machine.test_a_dead_executor_is_seen_stopped_for_without_it_and_started_again,
    runbooks_page.LIMIT: test_at_the_desk.test_after_a_day_s_loss_one_gets_out_and_only_a_person_resumes,
    runbooks_page.POSITION: test_at_the_desk.test_a_difference_is_explained_by_accepting_the_broker_s_quantity,
    runbooks_page.UNKNOWN: test_at_the_desk.test_an_unknown_order_is_cancelled_in_kite_s_app_and_told_of_once,
    runbooks_page.PUBLISHER: test_at_the_desk.test_a_flood_is_stopped_recorded_and_never_acted_on_later,
    runbooks_page.DISK: test_at_the_machine.test_with_room_again_redis_is_started_and_the_desk_goes_on,
    runbooks_page.MACHINE: (
        test_at_the_desk.test_what_was_traded_after_the_backup_stops_opening_until_each_order_is_explained
    ),
}


@pytest.mark.parametrize("runbook", RUNBOOKS, ids=lambda runbook: runbook.anchor)
def test_a_runbook_says_all_that_is_needed_and_was_tried(runbook: Runbook):
    said = [line for piece in runbook.pieces for line in piece.lines]
    (steps,) = [piece for piece in runbook.pieces if piece.kind == "ol"]

    assert [part for part in PARTS if any(line.startswith(part) for line in said)] == list(PARTS)
    assert len(steps.lines) >= 4
    assert runbook.anchor in TRIED


def test_there_are_as_many_as_were_tried():
    assert [runbook.anchor for runbook in RUNBOOKS] == list(TRIED)


# --- Commands ---------------------------------------------------------------------------------------------------------


def options_of(command: str) -> set[str]:
    parser: ArgumentParser = load_command_class(get_commands()[command], command).create_parser("manage.py", command)
    return {option for action in parser._actions for option in action.option_strings}


def test_every_command_is_there_and_takes_those_options():
    named = [code for code in CODE if code.startswith(("manage.py ", "order-executor "))]
    assert len(named) > 30
    for code in named:
        command, *rest = code.replace("--as-owner ", "").split()[1:]
        assert command in get_commands(), code
        assert {word for word in rest if word.startswith("--")} <= options_of(command), code


def test_every_unit_is_delivered_or_debian_s():
    units = set(re.findall(r"(?:order-executor-[\w@*-]+|redis-server|postgresql)(?![\w/.])", " ".join(
        code for code in CODE if code.startswith(("systemctl", "journalctl"))
    )))  # fmt: skip
    delivered = {path.name for path in (DEPLOY / "systemd").iterdir()}

    assert len(units) >= 4
    for unit in units - {"redis-server", "postgresql"}:
        assert re.sub(r"@[12*]$", "@", unit) + ".service" in delivered, unit


def test_every_control_setting_and_status_is_one_of_ours():
    shouted = {code for code in CODE if re.fullmatch(r"[A-Z]+(_[A-Z]+)+", code)}
    settings = set(re.findall(r"^#? ?([A-Z_]+)=", (REPOSITORY / ".env.example").read_text(), flags=re.MULTILINE))

    assert shouted
    assert shouted <= {control.code for control in RULES} | settings


# --- Pages ------------------------------------------------------------------------------------------------------------


def titles() -> set[str]:
    return {item["title"] for group in UNFOLD["SIDEBAR"]["navigation"] for item in group["items"]}


def labels() -> set[str]:
    """Return what the actions of every page are called, and what the admin offers by itself."""
    found = {"Add"}
    for page in admin.site._registry.values():
        for each in (
            *page._get_base_actions_list(), *page._get_base_actions_detail(), *page._get_base_actions_row()
        ):  # fmt: skip
            found.add(str(each.description))
    return found


def named_pages() -> list[str]:
    return re.findall(r"(?<![*\w])\*([^*`]+)\*(?!\*)", re.sub(r"\*\*[^*]+\*\*|`[^`]+`", "", TEXT))


def test_every_page_and_every_action_on_it_is_there():
    others = {runbook.title for runbook in RUNBOOKS} | {OrderStatus.IN_DOUBT.label}
    named = named_pages()

    assert len(named) > 50
    for each in named:
        page, *actions = each.split(" → ")
        assert page in titles() | others, each
        assert set(actions) <= labels(), each


# --- Where somebody finds them ----------------------------------------------------------------------------------------


def test_every_kind_that_is_about_one_leads_to_it_and_the_others_are_few():
    assert set(BY_KIND.values()) <= set(TRIED)
    assert set(BY_KIND) <= set(Incident.Kind.values)
    others = set(Incident.Kind.values) - set(BY_KIND)
    assert {Incident.Kind.AUDIT_OPEN, Incident.Kind.CALENDAR_INCOMPLETE, Incident.Kind.LIMITS_LOWERED} <= others


def test_the_page_shows_them_all_and_an_incident_leads_to_its_own(tara):
    page = tara.get(reverse("runbooks")).content.decode()
    incident = Incident.objects.open(Incident.Kind.UNKNOWN_ORDER, mode="PAPER", title="x", now=timezone.now())
    shown = tara.get(reverse("admin:risk_incident_change", args=[incident.pk])).content.decode()

    for runbook in RUNBOOKS:
        assert f'<section id="{runbook.anchor}"' in page
    assert "<code>manage.py reconcile_orders</code>" in page
    assert "<i>Incidents → Resolve</i>" in page
    assert "**" not in page
    assert f'href="/admin/runbooks/#{runbooks_page.UNKNOWN}"' in shown


def test_an_incident_whose_own_words_say_it_all_leads_nowhere(tara):
    incident = Incident.objects.open(Incident.Kind.LIMITS_LOWERED, mode="PAPER", title="x", now=timezone.now())

    assert runbooks_page.link_of(incident) == ""
    assert tara.get(reverse("admin:risk_incident_change", args=[incident.pk])).status_code == 200


def test_help_leads_to_them(tara):
    assert f'href="{reverse("runbooks")}"' in tara.get(reverse("help")).content.decode()


def test_what_a_runbook_says_is_shown_as_text(tmp_path: Path):
    path = tmp_path / "runbooks.md"
    path.write_text(
        "# R\n\nfirst\n\n## One\n\nA <b>bold</b> `<i>` word,\ngone on.\n\n1. one\n   more\n2. two\n\n- item\n"
    )

    first, one = read.__wrapped__(path)

    assert [piece.lines for piece in first.pieces] == [["first"]]
    assert [(piece.kind, piece.lines[-1]) for piece in one.pieces] == [
        ("p", "A <b>bold</b> `<i>` word, gone on."),
        ("ol", "two"),
        ("ul", "item"),
    ]
    assert one.pieces[1].lines[0] == "one more"
    assert str(one.pieces[0].shown()[0]) == "A &lt;b&gt;bold&lt;/b&gt; <code>&lt;i&gt;</code> word, gone on."
