"""Full queues, full disks, held locks and failing disks: what a caller is told, and what goes on."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from database_jobs import Opened, behind_a_gate, insert, numbers
from sqlalchemy import Connection

from exchange.errors import ExchangeError, Refused, Unavailable


async def test_a_full_queue_says_busy(opened: Opened) -> None:
    database = opened(queue_jobs=2)
    tasks = await behind_a_gate(
        database, lambda: [asyncio.create_task(database.write(insert(n))) for n in range(3)]
    )
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert results[:2] == [0, 1]
    assert isinstance(results[2], Unavailable)
    assert results[2].code == "storage.busy"


async def test_a_queue_over_its_bytes_says_busy(opened: Opened) -> None:
    database = opened(queue_bytes=100)
    tasks = await behind_a_gate(
        database, lambda: [asyncio.create_task(database.write(insert(n), size=60)) for n in range(2)]
    )
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert results[0] == 0
    assert isinstance(results[1], Unavailable)
    assert results[1].code == "storage.busy"
    assert await database.write(insert(9), size=10_000) == 9  # alone it is taken, however big


async def test_too_many_reads_say_busy(opened: Opened) -> None:
    database = opened(queue_jobs=1)
    gate = threading.Event()
    reading = asyncio.create_task(database.read(lambda _: gate.wait(30)))
    await asyncio.sleep(0)
    with pytest.raises(Unavailable) as caught:
        await database.read(numbers)
    assert caught.value.code == "storage.busy"
    gate.set()
    assert await reading
    assert await database.read(numbers) == []


async def test_a_full_disk_refuses_and_goes_on_when_there_is_space(opened: Opened) -> None:
    broken: list[ExchangeError] = []
    database = opened(on_broken=broken.append)

    def limit(pages: int) -> Callable[[Connection], None]:
        return lambda connection: connection.exec_driver_sql(f"PRAGMA max_page_count={pages}").close()

    def used(connection: Connection) -> int:
        return int(connection.exec_driver_sql("PRAGMA page_count").scalar_one())

    await database.write(insert(1))
    await database.write(limit(await database.write(used) + 2))
    tasks = await behind_a_gate(
        database,
        lambda: [
            asyncio.create_task(database.write(job))
            for job in (insert(2), insert(3, bytes(200_000)), insert(4))
        ],
    )
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(result, Unavailable)
        assert result.code == "storage.full"
    assert await database.read(numbers) == [1]

    await database.write(limit(1_000_000))
    await database.write(insert(3, bytes(200_000)))
    assert await database.read(numbers) == [1, 3]
    assert broken == []


async def test_another_processs_transaction_says_busy_and_passes(opened: Opened, home: Path) -> None:
    broken: list[ExchangeError] = []
    database = opened(on_broken=broken.append)
    # instead of the five seconds
    await database.write(lambda connection: connection.exec_driver_sql("PRAGMA busy_timeout=1").close())
    with closing(sqlite3.connect(home / "store.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable) as caught:
            await database.write(insert(1))
        assert caught.value.code == "storage.busy"
        other.execute("COMMIT")
    assert await database.write(insert(2)) == 2
    assert await database.read(numbers) == [2]
    assert broken == []


async def test_a_failed_commit_ends_all_work_until_the_file_is_opened_again(opened: Opened) -> None:
    broken: list[ExchangeError] = []
    database = opened(on_broken=broken.append)
    await database.write(insert(1))
    # A file size limit makes the kernel refuse the log's growth (EFBIG): a true I/O error, and not a full disk.
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (256 * 1024, before[1]))
    try:
        with pytest.raises(Unavailable) as caught:
            await database.write(insert(2, bytes(1_000_000)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.code == "storage.io"
    assert [error.code for error in broken] == ["storage.io"]

    for attempt in (database.write(insert(3)), database.read(numbers)):
        with pytest.raises(Unavailable) as caught:
            await attempt
        assert caught.value.code == "storage.io"
    with pytest.raises(Unavailable):
        database.write_sync(insert(3))
    assert len(broken) == 1

    await database.close()
    again = opened()
    assert await again.read(numbers) == [1]
    assert await again.write(insert(3)) == 3


async def test_a_damaged_file_is_told_from_a_failing_disk(opened: Opened, home: Path) -> None:
    await opened().close()
    (home / "store.db").write_bytes(b"no database at all" * 1000)
    with pytest.raises(Refused) as caught:
        opened()
    assert caught.value.code == "storage.damaged"
