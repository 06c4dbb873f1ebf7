"""Who may do what: the table of roles, and what staff cannot take for themselves."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.core.management import call_command
from django.db import transaction
from django.test import Client, RequestFactory
from django.urls import reverse

from orders.admin.people import keepers_of_the_door
from orders.roles import ADMINISTRATOR, RISK_MANAGER, ROLES, TRADER, VIEWER, align, given_to, rights_of
from risk.models import TradingControl
from tests.orders.admin.test_people import form_of
from tests.orders.paper.paper_process import until
from tests.orders.together import Together, direct_connection
from tests.risk.admin.staff import SENT, told

pytestmark = pytest.mark.django_db
OURS = ("orders", "risk")


def holding(name: str, role: str) -> Client:
    """Return a client that a member of staff with this role is logged in to."""
    user = User.objects.create_user(name, is_staff=True)
    user.groups.set([Group.objects.get(name=role)])
    client = Client()
    client.force_login(user)
    return client


def dotted(permission: Permission) -> str:
    return f"{permission.content_type.app_label}.{permission.codename}"


def test_migrate_makes_the_four_roles_with_what_the_table_says():
    assert [group.name for group in Group.objects.order_by("pk")] == list(ROLES)
    for role in ROLES:
        held = {dotted(each) for each in Group.objects.get(name=role).permissions.all()}
        views = {each for each in held if each.split(".")[1].startswith("view_") and each.split(".")[0] in OURS}
        assert held - views == set(given_to(role)), role
        assert (
            len(views)
            == Permission.objects.filter(content_type__app_label__in=OURS, codename__startswith="view_").count()
        )


def test_every_permission_that_a_page_or_an_action_asks_for_is_in_a_role():
    """A permission of ours is in the table, unless it is of a form that no page has."""
    request = RequestFactory().get("/")
    request.user = User.objects.create_superuser("tara")
    no_form = set()
    for model in apps.get_models():
        page, meta = admin.site._registry.get(model), model._meta
        for kind in ("add", "change", "delete"):
            if page is None or not getattr(page, f"has_{kind}_permission")(request):
                no_form.add(f"{meta.app_label}.{kind}_{meta.model_name}")
    ours = Permission.objects.filter(content_type__app_label__in=OURS).exclude(codename__startswith="view_")

    in_no_role = {dotted(each) for each in ours} - set(given_to(ADMINISTRATOR)) - no_form

    assert in_no_role == set(), "say in orders/roles.py whose these are"


def test_the_table_names_only_what_exists():
    assert set(given_to(ADMINISTRATOR)) <= {dotted(each) for each in Permission.objects.all()}


def test_a_role_changed_by_hand_is_put_back_and_other_groups_are_left_alone():
    desk = Group.objects.create(name="Night desk")
    resume = Permission.objects.get(codename="resume_trading")
    for group in (desk, Group.objects.get(name=VIEWER)):
        group.permissions.add(resume)
    Group.objects.get(name=TRADER).delete()

    call_command("migrate", verbosity=0)

    assert not Group.objects.get(name=VIEWER).permissions.filter(pk=resume.pk).exists()
    assert Group.objects.get(name=TRADER).permissions.filter(codename="halt_trading").exists()
    assert list(desk.permissions.all()) == [resume]


def test_aligning_roles_that_are_in_line_writes_nothing(django_assert_num_queries):
    with django_assert_num_queries(12) as captured:
        align()

    assert all(each["sql"].startswith("SELECT") for each in captured.captured_queries)


def test_a_role_is_changed_by_nobody_not_even_a_superuser(tara):
    group = Group.objects.get(name=VIEWER)
    before = set(group.permissions.all())

    changed = tara.post(reverse("admin:auth_group_change", args=[group.pk]), {"name": "Kings"})
    deleted = tara.post(reverse("admin:auth_group_delete", args=[group.pk]), {"post": "yes"})
    tara.post(
        reverse("admin:auth_group_changelist"),
        {"action": "delete_selected", "_selected_action": [group.pk], "post": "yes"},
    )

    assert (changed.status_code, deleted.status_code) == (403, 403)
    assert set(Group.objects.get(name=VIEWER).permissions.all()) == before


# --- What an administrator may give -----------------------------------------------------------------------------------


def roles_of(name: str) -> set[str]:
    return set(User.objects.get(username=name).groups.values_list("name", flat=True))


def groups_named(*names: str) -> list[int]:
    return list(Group.objects.filter(name__in=names).values_list("pk", flat=True))


def test_an_administrator_makes_a_trader_who_can_log_in():
    anna = holding("anna", ADMINISTRATOR)
    password = {"usable_password": "true", "password1": "quite-a-long-one", "password2": "quite-a-long-one"}

    anna.post(reverse("admin:auth_user_add"), {"username": "tom", **password, "groups": groups_named(TRADER)})

    tom = User.objects.get(username="tom")
    assert (tom.is_staff, tom.is_superuser, roles_of("tom")) == (True, False, {TRADER})


def test_an_administrator_gives_no_superuser_rights_and_no_single_permissions():
    anna = holding("anna", ADMINISTRATOR)
    tom = User.objects.create_user("tom", is_staff=True)
    asked = {"groups": groups_named(TRADER), "is_superuser": "on", "user_permissions": [Permission.objects.first().pk]}

    anna.post(reverse("admin:auth_user_change", args=[tom.pk]), form_of(tom, **asked))

    tom.refresh_from_db()
    assert (tom.is_superuser, tom.user_permissions.count(), roles_of("tom")) == (False, 0, {TRADER})


def test_nobody_gives_a_role_that_may_do_more_than_himself():
    carl = holding("carl", RISK_MANAGER)
    User.objects.get(username="carl").user_permissions.set(Permission.objects.filter(codename="change_user"))
    tom = User.objects.create_user("tom", is_staff=True)
    url = reverse("admin:auth_user_change", args=[tom.pk])

    offered = carl.get(url).content.decode()
    carl.post(url, form_of(tom, groups=groups_named(ADMINISTRATOR)))
    refused = roles_of("tom")
    carl.post(url, form_of(tom, groups=groups_named(RISK_MANAGER)))

    assert "Risk manager: " in offered
    assert "Administrator: " not in offered
    assert (refused, roles_of("tom")) == (set(), {RISK_MANAGER})


def test_nobody_gives_himself_a_role():
    anna = holding("anna", ADMINISTRATOR)
    user = User.objects.get(username="anna")
    Group.objects.create(name="Night desk")

    anna.post(reverse("admin:auth_user_change", args=[user.pk]), form_of(user, groups=groups_named("Night desk")))

    assert roles_of("anna") == {ADMINISTRATOR}


def test_the_account_of_an_inactive_trader_is_not_taken_over():
    carl = holding("carl", VIEWER)
    User.objects.get(username="carl").user_permissions.set(
        Permission.objects.filter(codename__in=("view_user", "change_user"))
    )
    tom = User.objects.create_user("tom", is_staff=True, is_active=False)
    tom.groups.set(groups_named(TRADER))
    new = {"password1": "a long new password", "password2": "a long new password", "usable_password": "true"}

    answers = [
        carl.post(reverse("admin:auth_user_password_change", args=[tom.pk]), new).status_code,
        carl.post(reverse("admin:auth_user_change", args=[tom.pk]), form_of(tom)).status_code,
    ]

    assert answers == [403, 403]
    assert "orders.place_order" in rights_of(tom)
    assert not User.objects.get(username="tom").is_active


def test_the_last_superuser_stays(tara):
    user = User.objects.get(username="tara")
    url = reverse("admin:auth_user_change", args=[user.pk])
    without = [
        form_of(user),
        {**form_of(user, is_superuser="on"), "is_active": ""},
        {**form_of(user, is_superuser="on"), "is_staff": ""},
    ]

    answers = [tara.post(url, {**form, "groups": groups_named(ADMINISTRATOR)}) for form in without]

    user.refresh_from_db()
    assert all("the last account that can let people in" in each.content.decode() for each in answers)
    assert (user.is_superuser, user.is_active, user.is_staff) == (True, True, True)
    User.objects.create_superuser("second")
    tara.post(url, form_of(user))
    user.refresh_from_db()
    assert not user.is_superuser


def test_where_there_is_no_superuser_the_last_administrator_stays():
    holding("anna", ADMINISTRATOR)
    anna = User.objects.get(username="anna")
    other = holding("olga", ADMINISTRATOR)
    olga = User.objects.get(username="olga")
    url = reverse("admin:auth_user_change", args=[anna.pk])

    other.post(url, {**form_of(anna, groups=groups_named(VIEWER))})
    own = other.post(reverse("admin:auth_user_change", args=[olga.pk]), {**form_of(olga), "is_active": ""})

    assert roles_of("anna") == {VIEWER}
    assert "the last account" in own.content.decode()
    assert User.objects.get(username="olga").is_active


@pytest.mark.django_db(transaction=True)
def test_of_two_administrators_who_demote_each_other_at_once_the_second_sees_what_the_first_did():
    for name in ("anna", "olga"):
        holding(name, ADMINISTRATOR)
    anna, olga = User.objects.order_by("pk")
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"

    with direct_connection() as watcher:
        with transaction.atomic():
            assert keepers_of_the_door() == {anna.pk, olga.pk}
            anna.groups.clear()
            second = Together(transaction.atomic(keepers_of_the_door))
            until(lambda: watcher.execute(waiting).fetchone()[0])
        assert second.join() == [{olga.pk}]


def test_nobody_is_deleted(tara):
    vera = User.objects.create_user("vera")

    assert tara.post(reverse("admin:auth_user_delete", args=[vera.pk]), {"post": "yes"}).status_code == 403
    tara.post(
        reverse("admin:auth_user_changelist"),
        {"action": "delete_selected", "_selected_action": [vera.pk], "post": "yes"},
    )
    assert User.objects.filter(pk=vera.pk).exists()


def test_a_trader_turns_auto_trading_off_and_not_on(desk):
    tom = holding("tom", TRADER)
    control = paper_control()
    off, on = (reverse(f"admin:risk_tradingcontrol_auto_trading_{word}", args=[control.pk]) for word in ("off", "on"))

    first = tom.post(off, {**SENT, "reason": "odd prices"})
    second = tom.post(on, {**SENT, "reason": "again", "version_shown": control.version + 1})

    assert "auto-trading off" in told(first)
    assert second.status_code == 403
    assert not paper_control().auto_trading


def paper_control() -> TradingControl:
    return TradingControl.objects.get(mode="PAPER")
