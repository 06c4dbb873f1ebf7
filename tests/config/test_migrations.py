from __future__ import annotations

import pytest
from django.core.management import call_command
from django.db.migrations.loader import MigrationLoader


@pytest.mark.django_db
def test_the_migrations_say_all_that_the_models_say():
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def test_every_migration_of_ours_can_be_undone():
    """`deploy/README.md` promises it to whoever rolls a release back."""
    ours = [each for (app, _), each in MigrationLoader(None).disk_migrations.items() if app in ("orders", "risk")]

    assert len(ours) > 30
    assert [str(each) for each in ours if not all(operation.reversible for operation in each.operations)] == []
