"""The writer thread, its group commit, and what a caller may believe when its write returns."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from database_jobs import Opened, behind_a_gate, insert, numbers
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import IntegrityError, OperationalError

from exchange.errors import Unavailable
from exchange.storage.database import GROUP_BYTES, GROUP_JOBS, Database


@contextmanager
def counted_commits() -> Iterator[list[str]]:
    """Every COMMIT of any engine while the block lasts."""
    seen: list[str] = []

    def committed(_connection: Connection) -> None:
        seen.append(threading.current_thread().name)

    event.listen(Engine, "commit", committed)
    try:
        yield seen
    finally:
        event.remove(Engine, "commit", committed)


async def test_waiting_writes_share_one_commit(opened: Opened) -> None:
    database = opened()
    with counted_commits() as commits:
        tasks = await behind_a_gate(
            database, lambda: [asyncio.create_task(database.write(insert(n))) for n in range(GROUP_JOBS + 1)]
        )
        assert await asyncio.gather(*tasks) == list(range(GROUP_JOBS + 1))
    # the gate's own, one for the 64, one for the one that was too many
    assert commits == ["store.db-write"] * 3


async def test_a_group_ends_at_its_byte_limit(opened: Opened) -> None:
    database = opened()
    with counted_commits() as commits:
        tasks = await behind_a_gate(
            database,
            lambda: [asyncio.create_task(database.write(insert(n), size=GROUP_BYTES // 2)) for n in range(5)],
        )
        await asyncio.gather(*tasks)
    assert len(commits) == 1 + 3


async def test_a_failing_job_undoes_only_itself(opened: Opened) -> None:
    database = opened()

    def write_then_fail(connection: Connection) -> int:
        insert(50)(connection)
        raise ZeroDivisionError

    def stop(_connection: Connection) -> int:
        return next(iter(()))

    with counted_commits() as commits:
        tasks = await behind_a_gate(
            database,
            lambda: [
                asyncio.create_task(database.write(job))
                for job in (insert(1), write_then_fail, insert(1), stop, insert(2))
            ],
        )
        first, failed, repeated, stopped, last = await asyncio.gather(*tasks, return_exceptions=True)
    assert (first, last) == (1, 2)
    assert isinstance(failed, ZeroDivisionError)
    assert isinstance(repeated, IntegrityError)
    assert isinstance(stopped, RuntimeError)
    assert len(commits) == 2
    assert await database.read(numbers) == [1, 2]


async def test_an_errors_text_has_no_content(opened: Opened) -> None:
    database = opened()
    await database.write(insert(1, b"canary"))
    with pytest.raises(IntegrityError) as caught:
        await database.write(insert(1, b"canary"))
    assert "canary" not in str(caught.value)


async def test_a_returned_write_is_seen_by_everybody(opened: Opened, home: Path) -> None:
    database = opened()
    for number in range(20):
        await database.write(insert(number))
        with closing(sqlite3.connect(home / "store.db")) as other:
            assert other.execute("SELECT max(id) FROM note").fetchone() == (number,)


async def test_a_cancelled_caller_disturbs_nobody(opened: Opened) -> None:
    database = opened()
    tasks = await behind_a_gate(
        database, lambda: [asyncio.create_task(database.write(insert(n))) for n in range(3)]
    )
    tasks[1].cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert (results[0], results[2]) == (0, 2)
    assert isinstance(results[1], asyncio.CancelledError)
    # withdrawing the wait does not withdraw the write
    assert await database.read(numbers) == [0, 1, 2]


async def test_reads_cannot_write(opened: Opened) -> None:
    database = opened()
    with pytest.raises(OperationalError, match="readonly"):
        await database.read(insert(1))
    assert await database.write(insert(2)) == 2  # a job's own mistake breaks nothing
    assert database.read_sync(numbers) == [2]


async def test_a_read_sees_one_moment(opened: Opened) -> None:
    database = opened()
    await database.write(insert(1))
    looked, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def look_twice(connection: Connection) -> tuple[list[int], list[int]]:
        before = numbers(connection)
        loop.call_soon_threadsafe(looked.set)
        assert go_on.wait(30)
        return before, numbers(connection)

    reading = asyncio.create_task(database.read(look_twice))
    await looked.wait()
    await database.write(insert(2))
    go_on.set()
    assert await reading == ([1], [1])


async def test_a_fold_that_a_reader_stops_says_so_and_stops_no_write(opened: Opened, home: Path) -> None:
    database = opened()
    await database.write(insert(1))
    with closing(sqlite3.connect(home / "store.db")) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM note").fetchone() == (1,)
        await database.write(insert(2))
        assert not await database.fold()
        assert await database.write(insert(3)) == 3
    assert await database.fold()
    assert (home / "store.db-wal").stat().st_size == 0


async def test_close_finishes_what_waits_and_refuses_the_rest(opened: Opened, home: Path) -> None:
    database = opened()
    tasks = await behind_a_gate(
        database, lambda: [asyncio.create_task(database.write(insert(n))) for n in range(100)]
    )
    await database.close()
    assert await asyncio.gather(*tasks) == list(range(100))
    for attempt in (database.write(insert(1)), database.read(numbers)):
        with pytest.raises(Unavailable) as caught:
            await attempt
        assert caught.value.code == "storage.closed"
    await database.close()
    assert not (home / "store.db-wal").exists()  # folded into the file


async def test_a_command_writes_beside_the_owner(opened: Opened) -> None:
    owner = opened()
    beside = opened(owner=False)
    await owner.write(insert(1))
    assert beside.write_sync(insert(2)) == 2
    assert beside.read_sync(numbers) == [1, 2]
    assert await owner.read(numbers) == [1, 2]
    with pytest.raises(ZeroDivisionError):
        beside.write_sync(lambda connection: insert(3)(connection) / 0)
    assert await owner.read(numbers) == [1, 2]


async def test_a_write_holds_the_lock_from_its_first_statement(opened: Opened, home: Path) -> None:
    """A transaction that read first and took the lock later could fail halfway behind another writer."""

    def other_writer(_connection: Connection) -> str:
        with closing(sqlite3.connect(home / "store.db", timeout=0, isolation_level=None)) as other:
            try:
                other.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                return error.sqlite_errorname
            return "nobody holds it"

    database = opened()
    assert await database.write(other_writer) == "SQLITE_BUSY"
    assert database.write_sync(other_writer) == "SQLITE_BUSY"
    assert await database.read(other_writer) == "nobody holds it"


async def test_connections_are_as_the_design_says(opened: Opened) -> None:
    database = opened()

    def pragmas(connection: Connection) -> dict[str, object]:
        names = ("journal_mode", "synchronous", "page_size", "foreign_keys", "secure_delete", "busy_timeout")
        return {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in names}

    assert await database.write(pragmas) == {
        "journal_mode": "wal",
        "synchronous": 2,
        "page_size": 16384,
        "foreign_keys": 1,
        "secure_delete": 1,
        "busy_timeout": 5000,
    }


def test_files_are_for_their_owner_only(home: Path, migrations: Path) -> None:
    database = Database.open(home / "store.db", migrations=migrations, app="test")
    asyncio.run(database.write(insert(1)))
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in home.iterdir()}
    assert modes == {"store.db": 0o600, "store.db-wal": 0o600, "store.db-shm": 0o600}
    database.close_sync()


CHILD = """
import asyncio, sys
from pathlib import Path
from exchange.storage.database import Database

database = Database.open(Path(sys.argv[1]), migrations=Path(sys.argv[2]), app="test")

async def one(number):
    await database.write(
        lambda c: c.exec_driver_sql("INSERT INTO note (id, body) VALUES (?, ?)", (number, bytes(3000))).close()
    )
    print(number, flush=True)

async def main(start):
    while True:
        await asyncio.gather(*(one(start + offset) for offset in range(20)))
        start += 20

asyncio.run(main(int(sys.argv[3])))
"""


def test_what_was_acknowledged_survives_a_kill(home: Path, migrations: Path) -> None:
    path = home / "store.db"
    acknowledged: set[int] = set()
    for kill in range(10):
        arguments = [sys.executable, "-c", CHILD, str(path), str(migrations), str(kill * 1_000_000)]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            for _ in range(13 * (kill + 1)):  # another moment of the group each time
                acknowledged.add(int(child.stdout.readline()))
            child.kill()
            # lines of a group that was acknowledged while the kill was under way count as well
            acknowledged |= {int(line) for line in child.stdout.read().split("\n")[:-1]}
            assert child.wait() == -signal.SIGKILL
        database = Database.open(path, migrations=migrations, app="test")
        assert acknowledged <= set(database.read_sync(numbers))
        database.close_sync()
