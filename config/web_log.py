"""The web server's own log: without what is secret, and without the part of an address after its path."""

from __future__ import annotations

import logging

from gunicorn.config import Config
from gunicorn.glogging import Logger

from orders.redaction import strike_out

# Kite sends its request token in the query of an address: neither that nor the page it came from is written down.
ACCESS_FORMAT = '%(h)s "%(m)s %(U)s" %(s)s %(b)s %(L)s'


class WithoutSecrets(logging.Formatter):
    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self.inner = inner

    def format(self, record: logging.LogRecord) -> str:
        return strike_out(self.inner.format(record))


class WebLog(Logger):  # type: ignore[misc]  # gunicorn ships no types
    def setup(self, cfg: Config) -> None:
        super().setup(cfg)
        for handler in (*self.error_log.handlers, *self.access_log.handlers):
            handler.setFormatter(WithoutSecrets(handler.formatter or logging.Formatter()))
