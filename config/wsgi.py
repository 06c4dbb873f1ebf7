"""The web server's entry."""

from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application

from config.attachment import use_local_servers

use_local_servers()
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_wsgi_application()
