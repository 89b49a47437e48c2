"""How a copy of a message says that files came beside it which don't go along: as a loss, and in the reader's words.

Owns where that is said; the words in four languages are `phrases/copies`'. How the files get out is `attachment`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from exchange.cli.message_view import SHORT_ID
from exchange.formats.objects import Loss
from exchange.message import MAX_TEXT_CHARS
from exchange.phrases.copies import ATTACHMENTS
from exchange.phrases.languages import language_of, say

if TYPE_CHECKING:
    from exchange.node.doors.doors import Passed


def losses_of(passed: Passed) -> tuple[Loss, ...]:
    """The attachments of a message as what no copy of it carries, with the way to get them; nothing without any."""
    if not passed.attachments:
        return ()
    way = f"files leave by themselves: exchange node attachment list {passed.id[:SHORT_ID]}, then fetch, save"
    return (Loss("message", counted(passed), way),)


def counted(passed: Passed) -> str:
    """`1 attachment`, `2 attachments`."""
    return f"{passed.attachments} attachment{'s' if passed.attachments != 1 else ''}"


def lines_of_copy(lines: Sequence[str], passed: Passed, who: str) -> list[str]:
    """The lines of a message for people, whose last is its label, with a word on its attachments before that.

    `who` can be asked for them. In the message's language, where that is one of ours.
    """
    if not passed.attachments:
        return list(lines)
    return [*lines[:-1], "", _said("copied", passed, who), lines[-1]]


def text_handing_on(text: str, passed: Passed, who: str) -> str:
    """The text of a message that hands one on, with a word on what doesn't come along, if there is room for it."""
    if not passed.attachments:
        return text
    longer = "\n\n".join(filter(None, (text, _said("handed-on", passed, who))))
    return longer if len(longer) <= MAX_TEXT_CHARS else text


def _said(code: str, passed: Passed, who: str) -> str:
    return say(ATTACHMENTS, code, language_of(passed.message.lang), count=passed.attachments, who=who)
