"""A database on a disk without a byte left: opened, made and upgraded as soon as there is space, and told so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from exchange.errors import Unavailable
from exchange.hub.store.store import HubStore
from exchange.storage.files import write_private
from tests.trip.small_disk import filled, small_disk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir(mode=0o700)
    with small_disk(folder, 4):
        yield folder


def code_of(refused: pytest.ExceptionInfo[Unavailable]) -> str:
    return refused.value.code


def test_a_full_disk_is_told_apart_from_a_failing_one_at_the_start(disk: Path) -> None:
    HubStore.open(disk).close_sync()
    with filled(disk), pytest.raises(Unavailable) as refused:
        HubStore.open(disk)  # the index of SQLite's log needs 32 KiB
    assert code_of(refused) == "storage.full"
    HubStore.open(disk).close_sync()


def test_a_schema_that_finds_no_room_is_made_when_there_is_some(disk: Path) -> None:
    with filled(disk), pytest.raises(Unavailable) as refused:
        HubStore.open(disk)
    assert code_of(refused) == "storage.full"
    HubStore.open(disk).close_sync()


def test_a_private_file_that_finds_no_room_stands_as_it_was(disk: Path) -> None:
    secret = disk / "prekeys"
    write_private(secret, b"old" * 10_000)
    with filled(disk), pytest.raises(Unavailable) as refused:
        write_private(secret, b"new" * 10_000)
    assert code_of(refused) == "storage.full"
    assert secret.read_bytes() == b"old" * 10_000
    write_private(secret, b"new" * 10_000)
    assert secret.read_bytes() == b"new" * 10_000
