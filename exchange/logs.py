"""Owns how the processes log: one JSON line an event on stderr, with ids, codes, sizes and times, never content.

What a library logs could quote what it was given, so only its logger's name, the level and the type of an exception
pass. Does not decide what is worth an event.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Final, TextIO

import structlog

OURS: Final = "exchange"
_MAX_VALUE: Final = 200  # characters of one fact
# what every record has; the rest came as `extra`
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "_logger", "_name"}


def configure(*, level: str = "info", stream: TextIO | None = None) -> None:
    """Send every logger's events to `stream` (stderr by default) in the one format. Call once, at the start."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                _without_content,
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(sort_keys=True),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger(OURS).setLevel(level.upper())
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            _bounded,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def logger(part: str) -> structlog.stdlib.BoundLogger:
    """The logger of one part, e.g. `hub.http`: `logger("hub.http").info("refused", code="auth.missing")`."""
    bound: structlog.stdlib.BoundLogger = structlog.get_logger(f"{OURS}.{part}")
    return bound


def library(part: str) -> logging.Logger:
    """A plain logger to hand to a library, under our name; its messages don't pass (module docstring)."""
    return logging.getLogger(f"library.{part}")


def _bounded(_logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """No fact becomes a way to log a document."""
    for name, value in event.items():
        if isinstance(value, bytes):
            event[name] = f"{len(value)} bytes"
        elif isinstance(value, str) and len(value) > _MAX_VALUE:
            event[name] = value[:_MAX_VALUE]
        elif not isinstance(value, str | int | float | bool | None):
            event[name] = type(value).__name__
    return event


def _without_content(
    _logger: object, _name: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """What passes of a library's event; of our own services', which log by the standard library, text and facts."""
    record = event.get("_record")
    event["event"] = "library"
    event["at"] = structlog.processors.TimeStamper(fmt="iso", utc=True, key="at")(None, "", {})["at"]
    if isinstance(record, logging.LogRecord):
        if record.exc_info and record.exc_info[0]:
            event["error"] = record.exc_info[0].__name__
        # the formatter would print the traceback, whose lines may quote content
        record.exc_info, record.exc_text, record.stack_info = None, None, None
    event.pop("exc_info", None)
    event.pop("positional_args", None)
    if isinstance(record, logging.LogRecord) and record.name.startswith(f"{OURS}."):
        event["event"] = str(record.msg)
        facts = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        event.update(_bounded(_logger, _name, facts))
    return event
