#!/usr/bin/env python
"""Django's command line, with the local servers a command needs."""

from __future__ import annotations

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

from config.attachment import needs_servers, use_local_servers
from config.local_folder import LocalServersFailed


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    if needs_servers(sys.argv[1:]):
        try:
            use_local_servers()
        except (LocalServersFailed, ImproperlyConfigured) as reason:
            sys.exit(str(reason))
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as reason:
        sys.exit(str(reason))


if __name__ == "__main__":
    main()
