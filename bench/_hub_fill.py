"""A hub's store filled through its own `accept_group`, far faster than over HTTP and without a signature checked.

Owns what the rows hold: sizes as real envelopes have them, bytes from a seed, dummy signatures (the store verifies
nothing). While filling nothing is synced to disk: only what is measured afterwards has to be durable.
"""

from __future__ import annotations

import random
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from exchange.directory.vocabulary import NEIGHBOURS
from exchange.hub.store.accept import NewEnvelope, Quota, accept_group
from exchange.hub.store.store import FILE
from exchange.keys import SIGNATURE_BYTES
from exchange.limits import DAY_MS
from exchange.receipt import Batch
from exchange.storage.connections import writing_engine
from exchange.wire import SLOT_BYTES

BODY_BYTES: Final = 2_048
HEADER_BYTES: Final = 640  # of a header for nobody, about
RECIPIENT_BYTES: Final = 110  # what each one adds to it: address, prekey id, hash of its wrap
LEAF_BYTES: Final = 200
FILL_GROUP: Final = 256
FILL_GROUPS: Final = 80  # in one transaction
CACHE_KIB: Final = 524_288
LIFE_MS: Final = 14 * DAY_MS
NO_QUOTA: Final = Quota(2**53, 2**53)
BYTES_EACH: Final = 12_000  # of disk for a stored envelope, its log included
MEMBERS: Final = tuple(f"{country.lower()}-csirt" for country in sorted(NEIGHBOURS))


class NoRoom(Exception):
    """The disk has too little; the message says how much is needed."""


def need_room(folder: Path, envelopes: int) -> None:
    """Raises NoRoom."""
    wanted, free = envelopes * BYTES_EACH, shutil.disk_usage(folder).free
    if free < wanted:
        raise NoRoom(
            f"{folder} has {free >> 30} GiB free, {wanted >> 30} GiB are needed: set TMPDIR to another disk"
        )


def dummy_batch(number: int, envs: Sequence[bytes]) -> Batch:
    """A batch of the hub as long as a real one, signed by nobody."""
    leaves = tuple(env.ljust(LEAF_BYTES, b"\0") for env in envs)
    return Batch(b"%d" % number * 20, bytes(SIGNATURE_BYTES), leaves)


@dataclass
class Envelopes:
    """Makes envelopes that were never there before, the same ones for the same seed. `now` in ms."""

    now: int
    chance: random.Random = field(default_factory=lambda: random.Random(1))  # noqa: S311 - protects nothing

    def make(self, recipients: Sequence[str], *, sender: str = "", lane: int | None = None) -> NewEnvelope:
        """One, to these addresses in order."""
        rest = self.chance.randbytes(SIGNATURE_BYTES + BODY_BYTES)
        header = self.chance.randbytes(HEADER_BYTES + RECIPIENT_BYTES * len(recipients))
        return NewEnvelope(
            env=self.chance.randbytes(32),
            sender=sender or self.chance.choice(MEMBERS),
            header=header,
            signatures=rest[:SIGNATURE_BYTES],
            recipients=tuple(recipients),
            slots=tuple(self.chance.randbytes(SLOT_BYTES) for _ in recipients),
            body=rest[SIGNATURE_BYTES:],
            lane=self.chance.randrange(2, 4) if lane is None else lane,
            exp=self.now + LIFE_MS - self.chance.randrange(DAY_MS),
            size=len(header) + SIGNATURE_BYTES + BODY_BYTES + SLOT_BYTES * len(recipients),
        )

    def group(self, count: int, recipients: int) -> list[NewEnvelope]:
        """So many of one sender, each to so many members chosen at random."""
        sender = self.chance.choice(MEMBERS)
        return [
            self.make(sorted(self.chance.sample(MEMBERS, recipients)), sender=sender) for _ in range(count)
        ]


def fill(home: Path, envelopes: Envelopes, count: int) -> None:
    """Add so many envelopes for one recipient each to the store in `home`, which nobody has open."""
    engine = writing_engine(home / FILE, owner=True)
    began, done = time.monotonic(), 0
    with engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        for pragma in ("synchronous=OFF", f"cache_size=-{CACHE_KIB}", "wal_autocheckpoint=32768"):
            driver.execute(f"PRAGMA {pragma}")
        while done < count:
            with connection.begin():
                for _ in range(FILL_GROUPS):
                    group = envelopes.group(min(FILL_GROUP, count - done), 1)
                    accept_group(connection, group, at=envelopes.now, quota=NO_QUOTA, sign=dummy_batch)
                    done += len(group)
                    if done == count:
                        break
            print(f"filled {done} of {count}, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    engine.dispose()
