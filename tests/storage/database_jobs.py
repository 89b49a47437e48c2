"""Jobs on the little store of conftest.py, and a way to make several wait for the writer together."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from sqlalchemy import Connection

from exchange.storage.database import Database

Opened = Callable[..., Database]


def insert(number: int, body: bytes = b"") -> Callable[[Connection], int]:
    def job(connection: Connection) -> int:
        connection.exec_driver_sql("INSERT INTO note (id, body) VALUES (?, ?)", (number, body))
        return number

    return job


def numbers(connection: Connection) -> list[int]:
    return [row[0] for row in connection.exec_driver_sql("SELECT id FROM note ORDER BY id")]


async def behind_a_gate(
    database: Database, start: Callable[[], list[asyncio.Task[int]]]
) -> list[asyncio.Task[int]]:
    """Let `start` queue its writes while the writer thread is held in a job, so that they share a group."""
    entered, gate = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def hold(_connection: Connection) -> None:
        loop.call_soon_threadsafe(entered.set)
        assert gate.wait(30)

    held = asyncio.create_task(database.write(hold))
    await entered.wait()
    tasks = start()
    await asyncio.sleep(0)  # each task runs up to its first wait: its job is queued
    gate.set()
    await held
    return tasks
