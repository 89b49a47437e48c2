"""Mail handed out from memory: when memory may answer, and that the schema's third step loses no slot."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from exchange.canonical import sha256
from exchange.hub.store.accept import Kept, NewEnvelope
from exchange.hub.store.fresh import MOST_COPIES, Fresh
from exchange.hub.store.store import FILE, MIGRATIONS, HubStore
from exchange.storage.migrate import ensure_current
from exchange.wire import SLOT_BYTES

A, B = "pe-csirt", "co-csirt"
NOTHING_SEEN = (0, 0, 0, 0)


def new(number: int, lane: int = 3) -> NewEnvelope:
    env = sha256(b"%d" % number)
    return NewEnvelope(env, "bb-csirt", b"{}", b"s", (A, B), (b"", b""), b"body", lane, 1, 1)


def test_urgent_lanes_come_first_and_what_was_seen_not_again() -> None:
    fresh = Fresh()
    fresh.listen(A)
    fresh.add([(new(1), Kept(1, copies=1)), (new(2, lane=0), Kept(2, copies=3)), (new(3), Kept(3, copies=5))])
    waiting = fresh.after(A, NOTHING_SEEN)
    assert waiting is not None
    assert [copy.n for copy in waiting] == [3, 1, 5]
    again = fresh.after(A, (3, 0, 0, 1))
    assert again is not None
    assert [copy.n for copy in again] == [5]


def test_numbers_that_went_elsewhere_send_every_listener_to_the_store() -> None:
    fresh = Fresh()
    fresh.listen(A)
    fresh.add([(new(1), Kept(1, copies=1))])
    before = fresh.state(A)
    fresh.add([(new(2), Kept(2, copies=3))])
    assert fresh.state(A) == before
    fresh.add([(new(3), Kept(3, copies=6))])  # 5 was given to a row that isn't here
    assert fresh.state(A) != before


def test_who_is_further_behind_than_memory_goes_must_ask_the_store() -> None:
    fresh = Fresh()
    fresh.listen(A)
    fresh.add([(new(n), Kept(n, copies=2 * n - 1)) for n in range(1, MOST_COPIES + 2)])
    assert fresh.after(A, NOTHING_SEEN) is None
    assert len(fresh.after(A, (0, 0, 0, 1)) or ()) == MOST_COPIES


def test_the_third_step_of_the_schema_keeps_every_slot(tmp_path: Path) -> None:
    steps = tmp_path / "steps"
    shutil.copytree(MIGRATIONS, steps, ignore=shutil.ignore_patterns("000[3-9]*", "__pycache__"))
    ensure_current(tmp_path / FILE, steps, app="hub", may_upgrade=True)
    slots = [bytes([number]) * SLOT_BYTES for number in (1, 2)]
    with closing(sqlite3.connect(tmp_path / FILE, isolation_level=None)) as old:
        old.execute("INSERT INTO envelopes VALUES (7, x'01', 'bb-csirt', x'aa', x'bb', 3, 9, 1, 1, 2, 5)")
        for n, recipient, slot in ((4, A, slots[0]), (5, B, slots[1])):
            old.execute(
                "INSERT INTO mailbox (n, recipient, lane, envelope, slot) VALUES (?, ?, 3, 7, ?)",
                (n, recipient, slot),
            )
    HubStore.open(tmp_path).close_sync()
    with closing(sqlite3.connect(tmp_path / FILE)) as now:
        assert now.execute("SELECT * FROM heads").fetchall() == [(7, b"\xaa", b"\xbb")]
        assert now.execute("SELECT * FROM slots").fetchall() == [(7, b"".join(slots))]
        rows = now.execute("SELECT n, place, lc FROM mailbox ORDER BY n").fetchall()
        assert rows == [(4, 0, b"\1" * 32), (5, 1, b"\2" * 32)]
