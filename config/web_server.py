"""
How gunicorn serves the back office: its own settings file, which `manage.py up` and the server's unit both name.

Where it listens is said by who starts it, and so is how many processes (`WEB_CONCURRENCY`, one unless told).
"""

from __future__ import annotations

from config.web_log import ACCESS_FORMAT

wsgi_app = "config.wsgi:application"
worker_class = "gthread"
threads = 4
graceful_timeout = 5  # seconds
control_socket_disable = True
logger_class = "config.web_log.WebLog"
access_log_format = ACCESS_FORMAT
