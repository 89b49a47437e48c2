"""A message as a mail: its labels in the subject, at head and foot, addresses made harmless, a file beside it.

Owns how it looks. Who may have it is decided before, what hands it on is `exchange.notify`'s or the team's own mailer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid
from typing import Final

from exchange.cli.output import one_line
from exchange.formats.indicators.defang import defang
from exchange.formats.text import banner
from exchange.message import Message

MAX_SUBJECT: Final = 200  # characters, the labels included
_EXERCISE: Final = "EXERCISE EXERCISE EXERCISE"
# What a file is called and is, by format; any other is text.
_FILES: Final = {
    "stix": ("json", "application", "stix+json"),
    "misp": ("json", "application", "json"),
    "csaf": ("json", "application", "json"),
    "csv": ("csv", "text", "csv"),
    "csv-live": ("csv", "text", "csv"),
}
_PLAIN: Final = ("txt", "text", "plain")


@dataclass(frozen=True)
class Enclosed:
    """A file to go with it: its format, and its bytes."""

    format: str
    data: bytes


def letter(
    message: Message, lines: Sequence[str], enclosed: Enclosed | None, *, sender: str, to: str, now: int
) -> EmailMessage:
    """The mail from `sender` to `to`, addresses that were checked. `lines`: the message for people, its labels first
    and last; `now` in ms.
    """
    made = EmailMessage(policy=SMTP)
    made["From"] = sender
    made["To"] = to
    labels = banner(message).replace("  ", "] [")
    made["Subject"] = one_line(f"[{labels}] {defang(message.subject)}", MAX_SUBJECT)
    made["Date"] = format_datetime(datetime.fromtimestamp(now / 1000, UTC))
    made["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])
    around = [_EXERCISE] if message.exercise_id else []
    made.set_content("\n".join([*around, *lines, *around, ""]), cte="base64")
    if enclosed is not None:
        ending, main, sub = _FILES.get(enclosed.format, _PLAIN)
        name = f"{message.id}.{ending}"
        made.add_attachment(enclosed.data, maintype=main, subtype=sub, filename=name)
    return made
