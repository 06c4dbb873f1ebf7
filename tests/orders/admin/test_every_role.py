"""
The walk: every address of the admin, by GET and by POST, as everybody.

The table says the lowest role that may; the roles before it are refused. A page or an action that is in no row fails
the walk: whoever adds one says here who may.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.contrib import admin
from django.db import connection
from django.template.response import SimpleTemplateResponse
from django.test import Client
from django.urls import NoReverseMatch, URLPattern, URLResolver, get_resolver, reverse

from orders.api.app import api
from orders.roles import ADMINISTRATOR, RISK_MANAGER, ROLES, TRADER, VIEWER
from tests.orders.admin.test_every_page import ask_for_more, book, everything_stored  # noqa: F401
from tests.orders.admin.test_roles import holding
from tests.risk.admin.staff import SENT

NOBODY = "nobody"  # not even who may do everything else: the machine writes it
# Which role may see the pages of a model; of those of SHOWN_APPS it is a Viewer.
SEES = {
    "auth_user": RISK_MANAGER,
    "auth_group": ADMINISTRATOR,
    "axes_accessattempt": RISK_MANAGER,
    "axes_accesslog": RISK_MANAGER,
    "orders_apitoken": ADMINISTRATOR,
}
# Which role may send a form: adds, changes.
WRITES = {
    "risk_risksettings_change": RISK_MANAGER,
    "risk_instrumentlimit_add": RISK_MANAGER,
    "risk_instrumentlimit_change": RISK_MANAGER,
    **{
        f"risk_{model}_{kind}": ADMINISTRATOR
        for model in ("calendarday", "calendaryear", "sessionrule")
        for kind in ("add", "change")
    },
    "auth_user_add": ADMINISTRATOR,
    "auth_user_change": ADMINISTRATOR,
    "auth_user_password_change": ADMINISTRATOR,
}
# Change nothing, though some are sent as a form; their own tests say who may ask.
ASKS = {"risk_risksettings_simulate", "risk_risksettings_preview", "risk_risksettings_used"}
# Which role may act: list, row, detail and form actions, and pages of our own.
ACTS = {
    "orders_order_cancel": TRADER,
    "orders_order_mark_filled": TRADER,
    "orders_order_close_past_day": TRADER,
    "orders_order_modify": TRADER,
    "orders_order_add_note": TRADER,
    "orders_position_exit": TRADER,
    "orders_position_adjust": RISK_MANAGER,
    "orders_position_accept_broker": RISK_MANAGER,
    "orders_signal_block_symbol": RISK_MANAGER,
    "orders_signal_unblock_symbol": RISK_MANAGER,
    "orders_order_block_symbol": RISK_MANAGER,
    "orders_order_unblock_symbol": RISK_MANAGER,
    "orders_position_block_symbol": RISK_MANAGER,
    "orders_position_unblock_symbol": RISK_MANAGER,
    "orders_instrument_block_symbol": RISK_MANAGER,
    "orders_instrument_unblock_symbol": RISK_MANAGER,
    "orders_missedexit_exit": TRADER,
    "orders_missedexit_dismiss": TRADER,
    "orders_flatten_end": TRADER,
    "orders_endofday_take": RISK_MANAGER,
    "orders_alert_test_channels": RISK_MANAGER,
    "orders_alert_send_again": RISK_MANAGER,
    "orders_goinglivestep_pass_step": RISK_MANAGER,
    "orders_goinglivestep_go_past": RISK_MANAGER,
    "orders_goinglivestep_begin_anew": RISK_MANAGER,
    "orders_goinglivestep_prove_line": RISK_MANAGER,
    "orders_goinglivestep_hold_small": RISK_MANAGER,
    "orders_goinglivestep_lift": RISK_MANAGER,
    "orders_brokersession_log_in": ADMINISTRATOR,
    "orders_brokersession_log_in_here": ADMINISTRATOR,
    "orders_signal_send_test_signal": TRADER,
    "orders_signal_replay": TRADER,
    "risk_incident_exit": TRADER,
    "risk_incident_acknowledge": RISK_MANAGER,
    "risk_incident_resolve": RISK_MANAGER,
    "risk_tradingcontrol_auto_trading_on": RISK_MANAGER,
    "risk_tradingcontrol_auto_trading_off": TRADER,
    "risk_tradingcontrol_reduce_only": TRADER,
    "risk_tradingcontrol_halt": TRADER,
    "risk_tradingcontrol_flatten": TRADER,
    "risk_tradingcontrol_resume": RISK_MANAGER,
    "risk_tradingcontrol_arm_live": NOBODY,  # on paper
    "risk_tradingcontrol_disarm_live": NOBODY,  # likewise
    "risk_limitchange_approve": RISK_MANAGER,
    "risk_limitchange_reject": RISK_MANAGER,
    "risk_limitchange_withdraw": RISK_MANAGER,
    "risk_calendarday_load_file": ADMINISTRATOR,
    "risk_calendarday_remove": ADMINISTRATOR,
    "risk_calendarwish_approve": RISK_MANAGER,
    "risk_calendarwish_reject": RISK_MANAGER,
    "risk_calendarwish_withdraw": ADMINISTRATOR,
    "risk_sessionrule_confirm": ADMINISTRATOR,
    "risk_sessionrule_remove": ADMINISTRATOR,
    "auth_user_reset_second_factor": RISK_MANAGER,
    "orders_apitoken_make": ADMINISTRATOR,
    "orders_apitoken_revoke": ADMINISTRATOR,
    "axes_accessattempt_release": ADMINISTRATOR,
}
# Pages that are of no model: the admin's own, and a person's.
OF_NO_MODEL = {"index", "login", "logout", "password_change", "password_change_done", "jsi18n", "autocomplete"} | {
    "view_on_site", "app_list", "search", "status_strip", "toggle_sidebar", "second_factor", "second_factor_code",
    "kite_postback", "dashboard_live", "dashboard_used", "dashboard_more", "dashboard_charts", "start_of_day", "help",
    "runbooks", "still_working",
    "shadow_report", "shadow_report_csv",
    "api_reference",
    # Of the ticket its own test says who may.
    "orders_ticket", "orders_ticket_panel", "orders_ticket_review", "orders_ticket_send", "orders_ticket_symbols",
}  # fmt: skip
# What the tests of the API say who may: a token, and no session.
OF_THE_API = {each.name for each in api.urls[0]}
ORDER = [*ROLES]
WRITTEN = re.compile(r"^\s*(?:/\*.*?\*/\s*)?(INSERT|UPDATE|DELETE)\b(?!.*\b(django_session|axes_\w+)\b)", re.IGNORECASE)
READS = {"changelist", "history", "csv"}
EXPORTS = {"export_csv", "export_xlsx"}
FORMS = {"add", "change", "delete", "password_change"}


def names_of_addresses() -> set[str]:
    """Return the name of every address of the site that leads to a view."""

    def walk(patterns: Any) -> Iterator[str]:
        for each in patterns:
            if isinstance(each, URLResolver):
                yield from walk(each.url_patterns)
            elif isinstance(each, URLPattern) and each.name:
                yield each.name

    return set(walk(get_resolver().url_patterns))


def model_of(name: str) -> Any:
    """Return the model whose page has an address of this name; None where it is of none."""
    for model in admin.site._registry:
        if name.startswith(f"{model._meta.app_label}_{model._meta.model_name}_"):
            return model
    return None


def address_of(name: str) -> str:
    """Return the address of that name, with the first row of its model where it wants one."""
    try:
        return reverse(f"admin:{name}")
    except NoReverseMatch:  # it wants a row
        row = model_of(name)._default_manager.order_by("pk").first()
        assert row is not None, f"the book has no {model_of(name)._meta.label}"
        return reverse(f"admin:{name}", args=[row.pk])


def walked() -> Iterator[tuple[str, str, str, str]]:
    """Yield (address, its kind, the role that may look, the role that may send) of everything that is of a model."""
    for name in sorted(names_of_addresses()):
        model = model_of(name)
        if model is None:
            continue
        label = f"{model._meta.app_label}_{model._meta.model_name}"
        kind = name.removeprefix(f"{label}_")
        sees = SEES.get(label, VIEWER)
        if name in ACTS:
            yield address_of(name), "action", ACTS[name], ACTS[name]
        elif kind in READS:
            yield address_of(name), kind, sees, NOBODY
        elif kind in EXPORTS:
            yield address_of(name), kind, TRADER, NOBODY
        elif kind in FORMS:
            writes = WRITES.get(name, NOBODY)
            yield address_of(name), kind, sees if kind == "change" else writes, writes


def may(role: str, lowest: str) -> bool:
    return lowest != NOBODY and ORDER.index(role) >= ORDER.index(lowest)


@contextmanager
def nothing_is_written() -> Iterator[None]:
    """Fail at a statement that changes a row of anything but sessions and the log of log-ins."""

    def watch(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        assert not WRITTEN.match(sql), sql
        return execute(sql, params, many, context)

    with connection.execute_wrapper(watch):
        yield


@pytest.fixture
def unrendered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave pages blank: this is about who gets one; `test_every_page` looks at what is on it."""
    monkeypatch.setattr(SimpleTemplateResponse, "rendered_content", "")


def test_every_address_is_in_the_table(db):
    lacking = set()
    for name in names_of_addresses():
        model = model_of(name)
        if model is None:
            lacking |= {name} - OF_NO_MODEL - OF_THE_API - {"postback", ""}
            continue
        kind = name.removeprefix(f"{model._meta.app_label}_{model._meta.model_name}_")
        if kind not in READS | EXPORTS | FORMS and name not in ACTS and name not in ASKS:
            lacking.add(name)

    assert lacking == set(), "say in the table who may"


@pytest.mark.parametrize("role", ROLES)
def test_a_role_reaches_what_the_table_says_and_nothing_else(book, role, unrendered):  # noqa: F811
    person = holding("somebody", role)
    stored = everything_stored()
    wrong = {}

    with nothing_is_written():
        for address, kind, sees, sends in walked():
            answer = person.get(address)
            answer.getvalue()  # a file that is sent is closed once it was read
            got = answer.status_code
            if (got in {200, 302}) != may(role, sees) or got not in {200, 302, 403}:
                wrong["GET", address] = got
            # What is allowed is sent without what it asks for: it is shown again, and changes nothing either.
            if kind in READS | EXPORTS:
                continue
            sent = person.post(address, SENT if not may(role, sends) else {"nothing": "said"}).status_code
            if (sent in {200, 302}) != may(role, sends) or sent not in {200, 302, 403}:
                wrong["POST", address] = sent

    assert wrong == {}
    assert everything_stored() == stored


def test_a_stranger_gets_the_log_in_everywhere(book):  # noqa: F811
    stored = everything_stored()
    stranger = Client()

    with nothing_is_written():
        answers = [
            answer for address, *_ in walked() for answer in (stranger.get(address), stranger.post(address, SENT))
        ]

    assert {answer.status_code for answer in answers} == {302}
    assert {answer["Location"].split("?")[0] for answer in answers} == {reverse("admin:login")}
    assert everything_stored() == stored


def test_lists_act_for_nobody_who_may_not(book, unrendered):  # noqa: F811
    """The actions over ticked rows: a viewer gets none, not by naming one either."""
    vera = holding("vera", VIEWER)
    stored = everything_stored()

    with nothing_is_written():
        for model, page in admin.site._registry.items():
            row = model._default_manager.first()
            url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
            named = [each.__name__ if callable(each) else each for each in page.actions or ()]
            for action in (*named, "delete_selected"):
                ticked = {"_selected_action": row.pk if row else 1, "confirmed": "yes"}
                vera.post(url, {"action": action, **ticked, **SENT})

    assert everything_stored() == stored
