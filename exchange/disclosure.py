"""Who opened, exported or handed on a message: the question to a recipient's node and its record (docs/protocol.md §5).

Owns the rows of an access log with their chained hashes, the two control payloads, and how a record is verified. What
is in the log is `node/store/access`' business, who is asked when `node/doors/disclosures`'.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from exchange.canonical import Fields, Json, b64, b64_text, dumps, sha256, text_b64, unb64
from exchange.errors import Rejected
from exchange.limits import DAY_MS

MAX_ROWS: Final = 128  # the newest; a record says how many there are
MAX_WHO: Final = 256  # bytes of UTF-8
MAX_ACTION: Final = 64
MAX_WHAT: Final = 1_024
LEAST_LOG_MS: Final = DAY_MS  # no log is kept for less
HERE: Final = "here"
ERASED: Final = "erased"
UNKNOWN: Final = "unknown"
STATES: Final = (HERE, ERASED, UNKNOWN)
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")


@dataclass(frozen=True)
class Row:
    """One row of an access log: when (ms), who, what they did, to what; the hash of the row before and its own."""

    at: int
    who: str
    action: str
    what: str
    prev: bytes
    hash: bytes

    @property
    def holds(self) -> bool:
        """Whether the hash is that of these words."""
        return self.hash == row_hash(self.prev, self.at, self.who, self.action, self.what)


def row_hash(prev: bytes, at: int, who: str, action: str, what: str) -> bytes:
    """SHA-256(prev || signed JSON of {"action", "at", "what", "who"}), texts as b64: it binds all rows before."""
    row = {"action": text_b64(action), "at": at, "what": text_b64(what), "who": text_b64(who)}
    return sha256(prev + dumps(row))


def subject(sender: str, message_id: str) -> str:
    """What a row about a message begins with, whoever did whatever to it; a space, or the end, follows."""
    return f"{sender} {message_id}"


@dataclass(frozen=True)
class DisclosureInquiry:
    """Asks what became of message `of`, which the asker sent."""

    of: str

    type = "disclosure-inquiry"

    def to_payload(self) -> bytes:
        return dumps({"of": self.of, "v": 1})

    @classmethod
    def read(cls, value: Json) -> DisclosureInquiry:
        fields = Fields(value, ("of", "v"), what="inquiry")
        fields.exactly("v", 1)
        return cls(fields.matching("of", _ID))


@dataclass(frozen=True)
class DisclosureRecord:
    """The answer to the message `inquiry`: the newest rows about `of`, oldest first, `total` in all; `at` in ms.

    `head` is the hash of the log's newest row then, 32 zero bytes for an empty log.
    """

    inquiry: str
    of: str
    at: int
    state: str
    total: int
    head: bytes
    rows: tuple[Row, ...]

    type = "disclosure-record"

    def to_payload(self) -> bytes:
        rows: list[Json] = [
            [
                row.at,
                text_b64(row.who),
                text_b64(row.action),
                text_b64(row.what),
                b64(row.prev),
                b64(row.hash),
            ]
            for row in self.rows
        ]
        return dumps(
            {
                "at": self.at,
                "head": b64(self.head),
                "inquiry": self.inquiry,
                "of": self.of,
                "rows": rows,
                "state": self.state,
                "total": self.total,
                "v": 1,
            }
        )

    @classmethod
    def read(cls, value: Json) -> DisclosureRecord:
        names = ("at", "head", "inquiry", "of", "rows", "state", "total", "v")
        fields = Fields(value, names, what="record")
        fields.exactly("v", 1)
        rows = tuple(_row(row) for row in fields.rows("rows", 6, most=MAX_ROWS))
        return cls(
            fields.matching("inquiry", _ID),
            fields.matching("of", _ID),
            fields.integer("at"),
            fields.one_of("state", STATES),
            fields.integer("total", least=len(rows)),
            fields.binary("head", 32),
            rows,
        )

    def fault(self, sender: str) -> str:
        """Why this record of a message of `sender` doesn't hold, in words; empty if it does."""
        if len(self.rows) < min(self.total, MAX_ROWS):
            return "it holds back rows that it counts"
        if not all(row.holds for row in self.rows):
            return "a row's hash isn't that of its words"
        about = subject(sender, self.of)
        if not all(row.what == about or row.what.startswith(about + " ") for row in self.rows):
            return "a row is about something else"
        return ""

    def lacks(self, earlier: DisclosureRecord) -> Sequence[Row]:
        """Rows of an earlier record that were changed or taken out since: they aren't here, and weren't `forgotten`."""
        missing, forgotten = self._missing(earlier)
        return missing[forgotten:]

    def forgotten(self, earlier: DisclosureRecord) -> Sequence[Row]:
        """Rows of an earlier record that the log has let go since its time was over, or that others have pushed out.

        A log forgets from its beginning, whatever its clock said and however long it keeps: what comes before a row
        that both have. Where they have none in common that could be all of the earlier one, if it is old enough.
        """
        missing, forgotten = self._missing(earlier)
        return missing[:forgotten]

    def _missing(self, earlier: DisclosureRecord) -> tuple[list[Row], int]:
        """What isn't here of an earlier record, and how many of these at the beginning can be forgotten."""
        here = {row.hash for row in self.rows}
        missing = [row for row in earlier.rows if row.hash not in here]
        common = next((place for place, row in enumerate(earlier.rows) if row.hash in here), None)
        if common is not None:
            return missing, common
        last = max((row.at for row in earlier.rows), default=0)
        old = self.total > len(self.rows) or (
            last + LEAST_LOG_MS < self.at and all(row.at > last for row in self.rows)
        )
        return missing, len(missing) if old else 0


def _row(row: list[Json]) -> Row:
    at, who, action, what, prev, digest = row
    if type(at) is not int or at < 0:
        raise Rejected("json.bad-schema", "record.rows: a time is a number of milliseconds")
    return Row(
        at,
        b64_text(who, most=MAX_WHO, field="record.rows"),
        b64_text(action, most=MAX_ACTION, field="record.rows"),
        b64_text(what, most=MAX_WHAT, field="record.rows"),
        unb64(prev, size=32, field="record.rows"),
        unb64(digest, size=32, field="record.rows"),
    )
