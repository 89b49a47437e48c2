"""How a message looks on paper: pages, each with the label at head and foot, and whose copy it is.

TLP wants its label on every page, for sheets part from each other.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Final

from exchange.cli.output import utc

WIDTH: Final = 88  # characters of a line
BODY_LINES: Final = 54  # of a page, between head and foot
_CONTINUED: Final = "    "


def pages(lines: Sequence[str], *, label: str, message: str, by: str, now: int) -> bytes:
    """The pages as UTF-8, a form feed between two. `now` in ms."""
    folded = [part for line in lines for part in _folded(line)]
    cut = [folded[first : first + BODY_LINES] for first in range(0, len(folded), BODY_LINES)] or [[]]
    foot = f"message {message}, printed {utc(now)} by {by}"
    sheets = [
        "\n".join(
            [label, "", *body, *[""] * (BODY_LINES - len(body)), "", f"{label}  page {n} of {len(cut)}", foot]
        )
        for n, body in enumerate(cut, 1)
    ]
    return ("\n\f".join(sheets) + "\n").encode()


def _folded(line: str) -> list[str]:
    return textwrap.wrap(line, WIDTH, subsequent_indent=_CONTINUED, drop_whitespace=False) or [""]
