"""What a node or a hub holds, read from its database file beside the running process: no code of the product between.

Owns these queries. A test that fails here disagrees with what is on the disk, not with what a command says.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

LANES: Final = ("flash", "immediate", "priority", "routine")
# Alarms that say somebody cheated or forged: none of them may come from an accident.
ACCUSING: Final = ("chain.fork", "directory.split", "directory.rollback", "envelope.bad-signature")


@dataclass(frozen=True)
class Mail:
    """One row of an inbox."""

    n: int
    sender: str
    id: str
    lane: str
    marks: frozenset[str]
    conflict: bool
    received_at: int
    seq: int  # its envelope's number in its chain


@dataclass(frozen=True)
class Copy:
    """One addressee of an outgoing message, and how far its copy has come (times in ms)."""

    id: str
    recipient: str
    state: str
    code: str
    accepted_at: int | None
    stored_at: int | None
    opened_at: int | None
    acknowledged_at: int | None


def query(path: Path, sql: str, *values: object) -> list[tuple[Any, ...]]:
    """Rows of a read-only query; nothing while the file or its tables aren't there yet."""
    if not path.exists():
        return []
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as db:
        return list(db.execute(sql, values))


def count(path: Path, table: str) -> int:
    """Rows of a table; after its name a condition may stand."""
    rows = query(path, f"SELECT count(*) FROM {table}")  # noqa: S608 - the tests' own words
    return int(rows[0][0]) if rows else 0


class NodeHoldings:
    """A node's database."""

    def __init__(self, home: Path) -> None:
        self.path = home / "node.db"

    def inbox(self, type_: str = "stix") -> list[Mail]:
        """All mail of a type, in the order it was stored."""
        rows = query(
            self.path,
            "SELECT i.n, i.sender, i.message_id, i.lane, i.marks, i.conflict, i.received_at, l.seq FROM inbox i"
            " JOIN links_in l ON l.env = i.env WHERE i.type = ? ORDER BY i.n",
            type_,
        )
        return [
            Mail(n, sender, id_, LANES[lane], frozenset(marks.split()), bool(conflict), at, seq)
            for n, sender, id_, lane, marks, conflict, at, seq in rows
        ]

    def ids(self, sender: str | None = None) -> list[str]:
        """Message ids of all mail, or of one sender's, in the order it was stored."""
        return [mail.id for mail in self.inbox() if sender in (None, mail.sender)]

    def copies(self, type_: str = "stix") -> list[Copy]:
        """Every addressee of every message it sends."""
        rows = query(
            self.path,
            "SELECT m.id, a.recipient, a.state, a.code, a.accepted_at, a.stored_at, a.opened_at, a.acknowledged_at"
            " FROM addressees a JOIN messages m ON m.n = a.message_n WHERE m.type = ? ORDER BY m.n, a.recipient",
            type_,
        )
        return [Copy(*row) for row in rows]

    def alarms(self) -> list[tuple[str, str]]:
        """Code and subject of every alarm."""
        return [(code, subject) for code, subject in query(self.path, "SELECT code, subject FROM alarms")]

    def accusations(self) -> list[tuple[str, str]]:
        """The alarms that say somebody cheated."""
        return [alarm for alarm in self.alarms() if alarm[0] in ACCUSING]

    def quarantine(self) -> list[str]:
        """Codes of what was set aside, oldest first."""
        return [code for (code,) in query(self.path, "SELECT code FROM quarantine ORDER BY at")]

    def damaged(self) -> list[tuple[str, int]]:
        """Code and count of what came hurt and not whole since."""
        return [(code, tries) for code, tries in query(self.path, "SELECT code, tries FROM damaged")]

    def held(self) -> list[str]:
        """Codes of what waits for a longer directory."""
        return [code for (code,) in query(self.path, "SELECT code FROM held")]

    def leaves(self) -> int:
        """How much of the directory log it has."""
        return self.count("leaves")

    def count(self, table: str) -> int:
        """Rows of a table; after its name a condition may stand."""
        return count(self.path, table)


class HubHoldings:
    """A hub's database."""

    def __init__(self, home: Path) -> None:
        self.path = home / "hub.db"

    def waiting(self, recipient: str | None = None) -> int:
        """Mailbox rows nobody has receipted, of all or of one recipient."""
        rows = query(self.path, "SELECT count(*) FROM mailbox WHERE ?1 IS NULL OR recipient = ?1", recipient)
        return int(rows[0][0]) if rows else 0

    def accepted(self, sender: str) -> int:
        """How many envelopes of `sender` it has taken."""
        rows = query(self.path, "SELECT count(*) FROM envelopes WHERE sender = ?", sender)
        return int(rows[0][0]) if rows else 0

    def count(self, table: str) -> int:
        """Rows of a table; after its name a condition may stand."""
        return count(self.path, table)


def is_once_each(wanted: Iterable[str], got: Iterable[str]) -> None:
    """Fails unless `got` has exactly the ids of `wanted`, each once; says which are missing, extra or double."""
    want, have = list(wanted), list(got)
    missing = sorted(set(want) - set(have))
    extra = sorted(set(have) - set(want))
    double = sorted(one for one in set(have) if have.count(one) > 1)
    assert (missing, extra, double) == ([], [], []), "missing, extra, double"


def is_in_chain_order(mails: Iterable[Mail]) -> None:
    """Fails unless, for each sender and lane, the numbers rise in the order in which the mail was stored."""
    seen: dict[tuple[str, str], int] = {}
    for mail in mails:
        chain = mail.sender, mail.lane
        before = seen.get(chain, 0)
        assert mail.seq > before, f"{mail.id} has number {mail.seq} of {chain} after {before}"
        seen[chain] = mail.seq
