"""The first superuser, so that a new machine has somebody who can log in."""

from __future__ import annotations

import secrets
from pathlib import Path

from django.contrib.auth import get_user_model

from config.local_folder import write_private

NAME = "admin"


def create_first_admin(password_file: Path) -> bool:
    """Create the superuser with a random password left in that file, unless there is one; say whether it was."""
    users = get_user_model().objects
    if users.filter(username=NAME).exists():
        return False
    password = secrets.token_urlsafe(12)
    write_private(password_file, f"{password}\n")  # first, or a crash in between would lose it
    users.create_superuser(NAME, "", password)
    return True
