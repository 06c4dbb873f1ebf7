"""Structured logs on standard error: one event a line, people's form or JSON, with secrets struck out."""

from __future__ import annotations

import logging
import logging.config
from collections.abc import MutableMapping
from typing import Any

import structlog

from orders.redaction import STRUCK_OUT, is_secret_name, strike_out, strike_out_hidden


def strike_out_secrets(logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace the value of every key that names a secret, and what a text holds of secrets, however deep it lies."""
    for key, value in event.items():
        event[key] = STRUCK_OUT if is_secret_name(str(key)) else _without_secrets(value)
    return event


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: STRUCK_OUT if is_secret_name(str(key)) else _without_secrets(inner) for key, inner in value.items()
        }
    if isinstance(value, str):
        return strike_out(value)
    return type(value)(map(_without_secrets, value)) if type(value) in (list, tuple) else value


def strike_out_of_line(logger: object, method: str, line: str) -> str:
    """Strike secrets out of the line as it is written: they may stand in an error's text or in a traceback."""
    return strike_out(line)


def strike_out_of_json(logger: object, method: str, line: str) -> str:
    """Do the same of a line of JSON, whose texts are without them already: it must stay JSON."""
    return strike_out_hidden(line)


def configure_logging(*, level: str, as_json: bool) -> None:
    """Send structlog's and the libraries' logs to standard error, in one form."""
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        strike_out_secrets,
    ]
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer(default=lambda value: strike_out(repr(value)))
        if as_json
        # The default prints every local variable of a traceback, secrets among them.
        else structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "structured": {
                    "()": structlog.stdlib.ProcessorFormatter,
                    "processors": [
                        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                        structlog.processors.format_exc_info,
                        strike_out_secrets,  # again, of the traceback
                        renderer,
                        strike_out_of_json,
                    ]
                    if as_json
                    else [
                        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                        renderer,
                        strike_out_of_line,
                    ],
                    "foreign_pre_chain": shared,
                }
            },
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "structured"}},
            "root": {"handlers": ["stderr"], "level": level.upper()},
            # urllib3 and the SDK log whole requests at DEBUG, the Authorization header among them.
            # axes tells each of its steps, that it did nothing too; `config.apps` tells what counts.
            "loggers": {
                **{name: {"level": "INFO"} for name in ("urllib3", "kiteconnect", "asyncio")},
                "axes": {"level": "CRITICAL"},
            },
        }
    )
