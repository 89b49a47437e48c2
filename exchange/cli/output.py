"""What a command prints: its result on stdout, everything about how it goes on stderr, JSON on wish.

Owns the look of results, tables, times, notes and errors, and makes text from elsewhere harmless to a terminal.
What is said is each command's own; exit codes and hints are `errors`'. docs/cli.md promises the JSON.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TextIO

import orjson

from exchange.cli.errors import FAILED, exit_of, hint_of
from exchange.errors import ExchangeError

_RED, _DIM, _BOLD = "31", "2", "1"
# C0, DEL and C1 could drive the terminal; the bidirectional controls could show a text in another order than it has.
_UNSAFE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


class Output:
    """Where a command says things. `json`: one object on stdout, nothing else there; `quiet`: results, errors."""

    def __init__(
        self,
        *,
        json: bool = False,
        quiet: bool = False,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
    ) -> None:
        self.json = json
        self.quiet = quiet
        self._stdout = stdout or sys.stdout
        self._stderr = stderr or sys.stderr

    def result(self, value: Mapping[str, Any], lines: Sequence[str] = (), *, next_step: str = "") -> None:
        """The command's outcome: `value` as one JSON object, or `lines` for people, and what to do next."""
        if self.json:
            self._write(self._stdout, orjson.dumps({"ok": True, **value, "next": next_step}).decode())
            return
        for line in lines:
            self._write(self._stdout, line)
        if next_step and not self.quiet:
            self._write(self._stderr, self._style(f"next: {next_step}", _DIM))

    def ready(self, value: Mapping[str, Any], line: str) -> None:
        """A server is up: the one line on stdout that whoever started it waits for; begins with `ready`, or is JSON."""
        self._write(
            self._stdout, orjson.dumps({"ok": True, "ready": True, **value}).decode() if self.json else line
        )

    def note(self, text: str) -> None:
        """Something worth knowing that isn't the result: progress, what was set aside."""
        if not self.quiet:
            self._write(self._stderr, text)

    def warn(self, text: str) -> None:
        """Something a person must see even with --quiet."""
        self._write(self._stderr, self._style(text, _BOLD))

    def error(self, error: ExchangeError, *, extra: Mapping[str, Any] | None = None) -> int:
        """Print an error and its hint; returns the exit code."""
        code, hint = exit_of(error.code), hint_of(error)
        self._write(self._stderr, f"{self._style('error:', _RED)} {error.code}: {safe(error.detail)}")
        if hint:
            self._write(self._stderr, f"hint: {hint}")
        if self.json:
            fault = {"code": error.code, "detail": error.detail, "hint": hint}
            value = {"ok": False, "exit": code, "error": fault, **(extra or {})}
            self._write(self._stdout, orjson.dumps(value).decode())
        return code

    def _write(self, stream: TextIO, line: str) -> None:
        stream.write(line + "\n")
        stream.flush()

    def _style(self, text: str, sgr: str) -> str:
        plain = "NO_COLOR" in os.environ or not self._stderr.isatty()
        return text if plain else f"\x1b[{sgr}m{text}\x1b[0m"


def safe(text: str) -> str:
    """`text` with every character that could drive or fool a terminal shown as U+FFFD; line feeds and tabs stay."""
    return _UNSAFE.sub("\ufffd", text)


def one_line(text: str, most: int = 60) -> str:
    """`text` made safe, on one line, cut to `most` characters."""
    flat = " ".join(safe(text).split())
    return flat if len(flat) <= most else flat[: most - 1] + "\u2026"


def utc(ms: int | None) -> str:
    """A time for people: `2026-11-03 06:40:00Z`; a dash for none."""
    if ms is None:
        return "-"
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as their widest cell; the last one is not padded."""
    cells = [[name.upper() for name in head], *([one_line(cell) for cell in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]


def pairs(facts: Sequence[tuple[str, str]]) -> list[str]:
    """Facts one under the other, names in a column; empty values are left out.

    Further lines of a value stand in its column, so that no value can look like the next fact.
    """
    shown = [(name, value) for name, value in facts if value]
    width = max((len(name) for name, _ in shown), default=0) + 2
    return [
        f"{name + ':' if number == 0 else '':<{width}}{line}"
        for name, value in shown
        for number, line in enumerate(safe(value).split("\n"))
    ]


def reader_left() -> int:
    """Whoever read us went away: no second complaint when Python flushes at exit; the exit code."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return FAILED
