"""Owns how the processes log: one JSON line an event on stderr, with ids, codes, sizes and times, never content.

What a library logs could quote what it was given, so only its logger's name, the level and the type of an exception
pass. Does not decide what is worth an event. The standard library's logging does the rest: a server keeps for months
what it imports.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Final, TextIO

OURS: Final = "exchange"
_MAX_VALUE: Final = 200  # characters of one fact
# what every record has; the rest came as `extra`
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
_FACTS: Final = "_facts"  # of one of our own events, in its record


class Logger:
    """A logger whose events have facts: `logger("hub.http").info("refused", code="auth.missing")`."""

    __slots__ = ("_logger",)

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def info(self, event: str, **facts: object) -> None:
        """Something went as it should."""
        self._log(logging.INFO, event, facts)

    def warning(self, event: str, **facts: object) -> None:
        """Something that people should look at in time."""
        self._log(logging.WARNING, event, facts)

    def error(self, event: str, **facts: object) -> None:
        """Something that people should look at now."""
        self._log(logging.ERROR, event, facts)

    def _log(self, level: int, event: str, facts: dict[str, object]) -> None:
        self._logger.log(level, event, extra={_FACTS: facts})


class _Lines(logging.Formatter):
    """A record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        facts = _facts_of(record)
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds")
        facts["at"] = at.replace("+00:00", "Z")
        facts["level"], facts["logger"] = record.levelname.lower(), record.name
        return json.dumps(facts, sort_keys=True)


def configure(*, level: str = "info", stream: TextIO | None = None) -> None:
    """Send every logger's events to `stream` (stderr by default) in the one format. Call once, at the start."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_Lines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger(OURS).setLevel(level.upper())


def logger(part: str) -> Logger:
    """The logger of one part, e.g. `hub.http`."""
    return Logger(f"{OURS}.{part}")


def library(part: str) -> logging.Logger:
    """A plain logger to hand to a library, under our name; its messages don't pass (module docstring)."""
    return logging.getLogger(f"library.{part}")


def _facts_of(record: logging.LogRecord) -> dict[str, Any]:
    """What passes: of our own event its text and facts, of a library's only what went wrong."""
    if not record.name.startswith(f"{OURS}."):
        facts: dict[str, Any] = {"event": "library"}
    else:
        given = vars(record).get(_FACTS)
        if given is None:  # our own services log by the standard library
            given = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        facts = {name: _bounded(value) for name, value in given.items()}
        facts["event"] = _bounded(str(record.msg))
    if record.exc_info and record.exc_info[0]:
        facts["error"] = record.exc_info[0].__name__
    return facts


def _bounded(value: object) -> object:
    """No fact becomes a way to log a document."""
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, str):
        return value[:_MAX_VALUE]
    return value if isinstance(value, int | float | bool | None) else type(value).__name__
