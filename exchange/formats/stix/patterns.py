"""STIX patterns that this program makes: how a value is quoted in one, and the parser each must pass.

What a pattern compares is its maker's business. The patterns of others are carried as they are, and never judged here.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from exchange.errors import Refused

_COMPARISON: Final = re.compile(
    r"(?P<path>[a-z0-9-]+:[A-Za-z0-9_.'-]+) (?:=|ISSUBSET) (?:'(?P<text>(?:[^'\\]|\\['\\])*)'|(?P<number>[0-9]{1,10}))"
)
MAX_PATTERN: Final = 16_384  # characters: the parser takes 20 ms for each thousand
MAX_CHECKED: Final = 262_144  # characters of the patterns that one file brings along
# Plain ones only: those of times, hex and base64 have a letter before the quote and must be of their kind.
_LITERAL: Final = re.compile(r"(?<![A-Za-z])'(?:[^'\\]|\\['\\])*'")
_BETWEEN: Final = re.compile(r" OR |\] OR \[")


def literal(text: str) -> str:
    """`text` as a string literal of a pattern (STIX 2.1 §9.5.1): quoted, its quotes and backslashes escaped."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def checked(pattern: str) -> str:
    """`pattern`, if the parser of the package stix2-patterns takes it. Raises Refused `stix.bad-pattern`.

    Whoever wrote a pattern that is longer than MAX_PATTERN, or nested deeper than the parser goes, has it refused too.
    """
    if len(pattern) > MAX_PATTERN:
        raise Refused("stix.bad-pattern", f"more than {MAX_PATTERN} characters")
    _parse(_LITERAL.sub("''", pattern))
    return pattern


class Checking:
    """Checks the patterns that one file brings along, up to MAX_CHECKED characters beside their literals."""

    def __init__(self) -> None:
        """No pattern was checked yet."""
        self._left = MAX_CHECKED

    def checked(self, pattern: str) -> str:
        """As the function `checked`. Raises Refused `stix.bad-pattern`, also where too much was checked before."""
        self._left -= len(_LITERAL.sub("''", pattern[:MAX_PATTERN]))
        if self._left < 0:
            raise Refused("stix.bad-pattern", f"more than {MAX_CHECKED} characters of patterns in one file")
        return checked(pattern)


@lru_cache(maxsize=1_024)
def _parse(pattern: str) -> None:
    """The parser takes a millisecond, and to it patterns that differ in their literals alone are one.

    A literal that isn't closed isn't taken out, so the parser comes upon its quote. Raises Refused `stix.bad-pattern`.
    """
    # The parser's tables take longer to import than a whole `--help` may.
    from stix2patterns.exceptions import ParseException  # noqa: PLC0415 - as above
    from stix2patterns.v21.pattern import Pattern  # noqa: PLC0415 - as above

    try:
        Pattern(pattern)
    except (ParseException, RecursionError):
        raise Refused("stix.bad-pattern") from None


def alternatives(pattern: str) -> list[tuple[str, str]] | None:
    """`[path = 'value' OR ...]`, also `[...] OR [...]`, as pairs of path and value; None for every other pattern.

    Such a pattern says that each of its values alone is to be looked for, so a list of values says the same.
    """
    text = pattern.strip()
    if not (text.startswith("[") and text.endswith("]")):
        return None
    found, at, end = [], 1, len(text) - 1
    while True:
        match = _COMPARISON.match(text, at, end)
        if match is None:
            return None
        value = match["number"] or re.sub(r"\\(['\\])", r"\1", match["text"] or "")
        found.append((match["path"], value))
        if match.end() == end:
            return found
        between = _BETWEEN.match(text, match.end(), end)
        if between is None:
            return None
        at = between.end()
