"""The table of formats: reads a file whatever its format, writes a message in the one asked for.

A new format is one file with `recognise` and `read` (or a writer), and one row here. Formats that are known but have
no reader yet stand in the table too, so that their files are named rather than refused as nonsense.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from exchange.errors import Refused
from exchange.formats import stix, text
from exchange.formats.json_spans import Document, Limits, scan
from exchange.formats.objects import Loaded
from exchange.message import Message


@dataclass(frozen=True, slots=True)
class Reader:
    """One row: how a file of the format is told from others, and what reads it; None is a format still unread."""

    format: str
    recognise: Callable[[Document], bool]
    read: Callable[[str, Document, Limits], Loaded] | None


def _is_csaf(document: Document) -> bool:
    head = document.members.get("document")
    return head is not None and b'"csaf_version"' in document.bytes_of(head)


# The first row that recognises the file reads it.
READERS = (
    Reader(stix.FORMAT, stix.recognise, stix.read),
    Reader("misp-event", lambda document: "Event" in document.members, None),
    Reader("misp-response", lambda document: "response" in document.members, None),
    Reader("csaf", _is_csaf, None),
)

WRITERS: dict[str, Callable[[Message], bytes]] = {
    "stix": lambda message: message.bundle,
    "text": text.write,
}


def load(name: str, data: bytes, limits: Limits | None = None) -> Loaded:
    """Read a file by its content; `name` is only repeated in the result.

    Raises: Refused `json.*` if it isn't JSON within the limits, `format.unknown`, or the reader's own refusals of
    the whole file (`stix.ambiguous-file`, `stix.bad-bundle`).
    """
    limits = limits or Limits()
    document = scan(data, limits)
    for reader in READERS:
        if reader.recognise(document):
            if reader.read is None:
                return Loaded(name, reader.format, unread=True)
            return reader.read(name, document, limits)
    raise Refused("format.unknown")


def dump(message: Message, to_format: str) -> bytes:
    """Write a message: `stix` is the exact bundle that was signed, `text` is for people.

    Raises: Refused `format.unknown`.
    """
    writer = WRITERS.get(to_format)
    if writer is None:
        raise Refused("format.unknown", f"formats to write: {', '.join(sorted(WRITERS))}")
    return writer(message)
