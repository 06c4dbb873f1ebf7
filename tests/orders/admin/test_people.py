from __future__ import annotations

from django.contrib.auth.models import Group, User
from django.urls import reverse

from tests.risk.admin.staff import person


def form_of(user: User, **changes: object) -> dict[str, object]:
    return {
        "username": user.username,
        "date_joined_0": "2026-11-23",
        "date_joined_1": "10:00:00",
        "is_active": "on",
        "is_staff": "on",
        **changes,
    }


def test_who_may_edit_users_cannot_promote_himself(db):
    carl = person("carl", "view_user", "change_user")
    user = User.objects.get(username="carl")

    carl.post(reverse("admin:auth_user_change", args=[user.pk]), form_of(user, first_name="Carl", is_superuser="on"))

    user.refresh_from_db()
    assert (user.first_name, user.is_superuser, user.is_staff) == ("Carl", False, True)


def test_who_may_edit_users_cannot_touch_a_superuser(db):
    person("tara", superuser=True)
    carl = person("carl", "view_user", "change_user", "delete_user")
    boss = User.objects.get(username="tara")

    for page in ("change", "delete"):
        assert carl.post(reverse(f"admin:auth_user_{page}", args=[boss.pk]), form_of(boss)).status_code == 403
    assert carl.post(reverse("admin:auth_user_password_change", args=[boss.pk]), {}).status_code == 403


def test_who_may_edit_users_cannot_take_over_the_account_of_a_trader(db):
    person("tom", "view_order", "cancel_order")
    carl = person("carl", "view_user", "change_user")
    tom = User.objects.get(username="tom")
    new = {"password1": "a long new password", "password2": "a long new password", "usable_password": "true"}

    refused = carl.post(reverse("admin:auth_user_password_change", args=[tom.pk]), new)

    assert refused.status_code == 403
    assert not User.objects.get(username="tom").check_password("a long new password")


def test_a_group_is_changed_by_superusers_alone(db, tara):
    carl = person("carl", "view_group", "change_group")
    group = Group.objects.create(name="Traders")
    url = reverse("admin:auth_group_change", args=[group.pk])

    assert carl.post(url, {"name": "Kings"}).status_code == 403
    assert tara.post(url, {"name": "Dealers"}).status_code == 302
    assert Group.objects.get(pk=group.pk).name == "Dealers"


def test_a_superuser_makes_users(tara):
    fields = {
        "username": "nina",
        "usable_password": "true",
        "password1": "quite-a-long-one",
        "password2": "quite-a-long-one",
    }

    tara.post(reverse("admin:auth_user_add"), fields)

    assert User.objects.filter(username="nina").exists()
