"""The demo's search for plaintext finds a planted word, however it is wrapped: else its `false` would mean nothing."""

from __future__ import annotations

import base64
import gzip
import os
import sqlite3
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from exchange.demo.proof import look

WORD = "canary-weasel-7f3a"

WRAPPED: dict[str, Callable[[bytes], bytes]] = {
    "as it is": lambda data: data,
    "base64": base64.b64encode,
    "base64, shifted": lambda data: base64.b64encode(b"x" + data),
    "base64, for URLs, shifted twice": lambda data: base64.urlsafe_b64encode(b"xy" + data),
    "hex": lambda data: data.hex().encode(),
    "zlib": lambda data: b"junk" + zlib.compress(data * 3),
    "gzip": gzip.compress,
    "UTF-16": lambda data: data.decode().encode("utf-16-le"),
}


@pytest.mark.parametrize("name", WRAPPED)
def test_a_planted_word_is_found_in_a_file(name: str, tmp_path: Path) -> None:
    (tmp_path / "hub.db-wal").write_bytes(
        os.urandom(500) + WRAPPED[name](f"an {WORD}, there".encode()) + os.urandom(500)
    )
    assert [(seen.word, seen.place) for seen in look(tmp_path, [WORD])] == [(WORD, "hub.db-wal")]


def test_a_long_value_is_read_whole_from_the_database(tmp_path: Path) -> None:
    packed = zlib.compress(os.urandom(60_000) + WORD.encode())  # spread over many pages of the file
    connection = sqlite3.connect(tmp_path / "hub.db")
    connection.execute("CREATE TABLE bodies (body BLOB)")
    connection.execute("INSERT INTO bodies VALUES (?)", (packed,))
    connection.commit()
    connection.close()
    assert "hub.db, bodies.body" in {seen.place for seen in look(tmp_path, [WORD])}


def test_random_bytes_hold_no_word(tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(os.urandom(200_000))
    assert look(tmp_path, [WORD, "Ransomware at a bank"]) == []


def test_a_word_found_everywhere_by_chance_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="too short"):
        look(tmp_path, ["pe"])
