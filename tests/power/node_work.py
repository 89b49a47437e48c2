"""A node at work on a disk that will lose its power, and what must be true of what is left.

Owns the promises: what this node has let anybody see, a person by a command that returned or the hub by a call, must be
on the disk. The node, the hub and a second node are the product's own, as simulator.py puts them together.
"""

from __future__ import annotations

import random
import re
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exchange.canonical import unb64
from exchange.content import STIX
from exchange.directory.statements import Statement
from exchange.envelope import read_upload
from exchange.errors import Unavailable
from exchange.limits import MINUTE_MS
from exchange.message import Urgency
from exchange.node.store import outbox
from exchange.node.store.inbox import listed as inbox_listed
from exchange.node.store.sent import listed as outbox_listed
from exchange.node.store.store import open_store
from tests.power.disk import Disk
from tests.simulator import Simulation, Site

HERE, THERE = "pe-csirt", "co-csirt"
_CURSOR = re.compile(r"([^.]+)((?:\.\d+)+)")


@dataclass
class Found:
    """What lies in a node's tables that others have been told of."""

    messages: set[str]
    sealings: set[bytes]
    batches: dict[int, bytes]
    owed: set[bytes]
    inbox: dict[bytes, str]
    statements: set[bytes]
    cursor: str

    @classmethod
    def read(cls, c: sqlite3.Connection) -> Found:
        """All of it."""
        cursor = c.execute("SELECT value FROM facts WHERE name = 'feed.cursor'").fetchone()
        return cls(
            messages={row for (row,) in c.execute("SELECT id FROM messages")},
            sealings={row for (row,) in c.execute("SELECT env FROM sealings")},
            batches=dict(c.execute("SELECT number, body FROM batches_out")),
            owed={row for (row,) in c.execute("SELECT env FROM owed")},
            inbox=dict(c.execute("SELECT env, message_id FROM inbox")),
            statements={row for (row,) in c.execute("SELECT hash FROM own_statements")},
            cursor=cursor[0].decode() if cursor else "",
        )


@dataclass
class Promise:
    """What was let out, when (calls to the disk), and who looks whether it was kept: "" or what is wrong."""

    at: int
    kept: Callable[[Found], str]


@dataclass
class Node:
    """What others have heard of this node since its first start, over all its cuts."""

    sim: Simulation
    here: Site
    there: Site
    chance: random.Random
    disk: Disk
    sent: list[str] = field(default_factory=list)  # the message ids that `send` returned
    coming: list[str] = field(default_factory=list)  # those of the other node
    promises: list[Promise] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.here.hub.wire.before = self._hears

    def begin_run(self, disk: Disk) -> None:
        """All that was promised before is older than the first call of the run to come."""
        self.disk = disk
        self.promises = [Promise(-1, one.kept) for one in self.promises]

    def _promise(self, kept: Callable[[Found], str]) -> None:
        self.promises.append(Promise(self.disk.now, kept))

    # -- what it does ---------------------------------------------------------------------------------------------

    async def step(self) -> None:
        """One thing that happens in this network. What a cut disk says comes out as it is."""
        chance = self.chance
        does = chance.choices(("send", "come", "here", "there", "wait", "open"), (4, 4, 8, 4, 1, 2))[0]
        if does == "send":
            self.send()
        elif does == "come":
            lane = chance.choice(list(Urgency))
            self.coming.append(self.there.send(HERE, urgency=lane, text="x" * chance.randint(0, 15_000)))
        elif does == "here":
            await self.here.once()
        elif does == "there":
            await self.there.once()
        elif does == "wait":
            await self.sim.wait(chance.randint(1, 90) * MINUTE_MS)
        else:
            for one in self.here.desk.inbox(limit=2):
                self.here.desk.open(one.message_id)

    def send(self) -> None:
        """Queue a message; when that returns it is promised."""
        chance = self.chance
        lane = chance.choice(list(Urgency))
        own = self.here.send(THERE, urgency=lane, text="x" * chance.randint(0, 15_000))
        self.sent.append(own)
        self._promise(lambda found: "" if own in found.messages else f"lost: message {own}, sent")

    # -- what the hub hears ---------------------------------------------------------------------------------------

    def _hears(self, name: str, value: Any) -> None:
        if self.disk.is_cut:
            raise Unavailable("hub.unreachable")  # without power nothing leaves
        if name in ("put_envelope", "post_envelopes"):
            for data in value:
                self._gave_envelope(read_upload(data)[1].env)
        elif name == "post_receipts":
            self._gave_receipts(value)
        elif name == "post_statement":
            self._gave_statement(Statement.from_json(value).hash(self.sim.world.net))
        elif name == "mailbox" and value:
            self._gave_cursor(value)

    def _gave_envelope(self, env: bytes) -> None:
        self._promise(
            lambda found: (
                "" if env in found.sealings else f"twice: the link of {env.hex()[:8]}, which the hub has"
            )
        )

    def _gave_statement(self, statement: bytes) -> None:
        self._promise(
            lambda found: "" if statement in found.statements else "lost: a statement in this member's name"
        )

    def _gave_receipts(self, batch: Any) -> None:
        body = unb64(batch["body"])
        inbox = self.here.up.store.db.read_sync(_inbox)

        def kept(found: Found) -> str:
            if body not in found.batches.values():
                return "twice: the number of a batch that the hub has"
            gone = inbox - set(found.inbox)
            return f"lost: {len(gone)} messages, receipted" if gone else ""

        self._promise(kept)

    def _gave_cursor(self, cursor: str) -> None:
        def kept(found: Found) -> str:
            was, now = _CURSOR.fullmatch(cursor), _CURSOR.fullmatch(found.cursor)
            if was is None or now is None or was[1] != now[1]:
                return ""  # another run of the hub: it shows everything again
            older = any(
                int(b) < int(a) for a, b in zip(was[2][1:].split("."), now[2][1:].split("."), strict=True)
            )
            return "lost: what came up to a cursor that the hub has heard" if older else ""

        self._promise(kept)


def _inbox(connection: Any) -> set[bytes]:
    return {bytes(row[0]) for row in connection.exec_driver_sql("SELECT env FROM inbox")}


# Each must find nothing: what the tables promise each other.
_CONTRADICTIONS = {
    "a copy's sealing is missing": """
        SELECT 1 FROM addressees WHERE env IS NOT NULL AND env NOT IN (SELECT env FROM sealings)""",
    "a message has no addressee": "SELECT 1 FROM messages WHERE n NOT IN (SELECT message_n FROM addressees)",
    "a sealing has no link": "SELECT 1 FROM sealings WHERE env NOT IN (SELECT env FROM links_out)",
    "a sealing that waits has no body": "SELECT 1 FROM sealings WHERE state IN ('sealed', 'accepted') AND body IS NULL",
    "a number was given twice": """
        SELECT 1 FROM links_out GROUP BY recipient, lane, chain, seq HAVING count(*) > 1""",
    "a chain's head isn't its last link": """
        SELECT 1 FROM chains_out c WHERE NOT EXISTS (SELECT 1 FROM links_out l JOIN sealings s ON s.env = l.env
            WHERE l.env = c.prev AND l.recipient = c.recipient AND l.lane = c.lane AND l.seq = c.seq AND s.n =
                (SELECT max(t.n) FROM links_out m JOIN sealings t ON t.env = m.env
                    WHERE m.recipient = c.recipient AND m.lane = c.lane))""",
    "mail came without its link": "SELECT 1 FROM inbox WHERE env NOT IN (SELECT env FROM links_in)",
    "an envelope is taken and not receipted": "SELECT 1 FROM links_in WHERE env NOT IN (SELECT env FROM owed)",
    "a receipt's batch is missing": """
        SELECT 1 FROM owed WHERE batch IS NOT NULL AND batch NOT IN (SELECT number FROM batches_out)""",
    "a batch is above the highest number": """
        SELECT 1 FROM batches_out WHERE number >
            (SELECT CAST(CAST(value AS TEXT) AS INTEGER) FROM facts WHERE name = 'receipts.highest')""",
    "a sender's head is missing": "SELECT 1 FROM heads_in WHERE env NOT IN (SELECT env FROM links_in)",
    "a receipt's signature is missing": "SELECT 1 FROM proofs WHERE batch NOT IN (SELECT hash FROM proof_batches)",
    "a copy is stored without a receipt": """
        SELECT 1 FROM addressees a JOIN messages m ON m.n = a.message_n WHERE a.state = 'stored' AND m.type = 'stix'
            AND NOT EXISTS (SELECT 1 FROM proofs p JOIN links_out l ON l.env = p.env
                WHERE p.recipient = a.recipient AND p.status = 'stored')""",
    "a message is there twice": """
        SELECT 1 FROM inbox WHERE NOT conflict GROUP BY sender, message_id HAVING count(*) > 1""",
}


def judge(home: Path, promises: list[Promise]) -> list[str]:
    """Open what is left as the product does, and say what is wrong with it."""
    store = open_store(home / "node.db", bytes(32), owner=True)
    try:

        def look(connection: Any) -> list[str]:
            c = connection.connection.driver_connection
            sound = c.execute("PRAGMA integrity_check").fetchone()
            if sound != ("ok",):
                return [f"corrupt: {sound[0]}"]
            wrong = [
                f"corrupt: {what}" for what, query in _CONTRADICTIONS.items() if c.execute(query).fetchone()
            ]
            inbox_listed(
                connection, store.cipher, before=None, limit=1_000
            )  # each opens under the local cipher
            for n, _ in outbox_listed(connection, store.cipher, type_=STIX, before=None, limit=1_000):
                outbox.get(connection, store.cipher, n)
            found = Found.read(c)
            return [*wrong, *filter(None, (one.kept(found) for one in promises))]

        return store.db.read_sync(look)
    finally:
        store.db.close_sync()
