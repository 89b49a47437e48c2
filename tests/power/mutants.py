"""The faults that a power cut must bring to light, each put into the product while it lasts."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from exchange.storage import database
from exchange.storage.write_queue import Job, settle_all
from tests.power.disk import Disk


@contextmanager
def synchronous(level: str) -> Iterator[None]:
    """Every writer syncs as little as `level` (NORMAL, OFF) asks for."""
    sound = database.writing_engine

    def weakened(path: Path, *, owner: bool) -> Engine:
        engine = sound(path, owner=owner)
        event.listen(engine, "connect", lambda driver, _: driver.execute(f"PRAGMA synchronous={level}"))
        return engine

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "writing_engine", weakened)
        yield


@contextmanager
def acknowledged_before_commit() -> Iterator[None]:
    """Callers hear that their write is done when it has been carried out, and only then is it committed."""

    def commit(connection: Any, group: list[Job]) -> None:
        with connection.begin():
            driver = connection.connection.driver_connection
            for job in group:
                job.run(connection, driver)
            heard = threading.Event()
            loop = group[0].loop
            # twice around the event loop: the callers have gone on from their await
            settle_all(group, lambda: loop.call_soon(lambda: loop.call_soon(heard.set)))
            heard.wait(10)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "_commit", commit)
        yield


def checkpoint_without_sync(disk: Disk) -> None:
    """The database file itself is never synced, only its log."""
    disk.lies = lambda path: path.endswith(".db")
