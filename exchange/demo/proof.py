"""Looks for plaintext where there must be none: in every file of the hub's home, and in every value of its database.

Owns how a word could hide (as it is, in UTF-16, in base64 or hex, in a zlib or gzip stream) and the places looked into.
Which words are looked for is the story's business. It finds nothing by never assuming: each place is read.
"""

from __future__ import annotations

import base64
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MIN_WORD: Final = 6  # characters; a shorter word is found in random bytes by chance
MAX_INFLATED: Final = 16 * 1024 * 1024
MAX_STREAMS: Final = 2_000  # tried in one place
_ZLIB_HEADS: Final = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda", b"\x1f\x8b\x08")
_PIECE: Final = 512  # bytes fed at a time, so that a stream cut short still shows its beginning
_ANY_WRAPPER: Final = 47  # zlib.decompressobj: zlib or gzip, told by the head


@dataclass(frozen=True)
class Seen:
    """A word that was found, and where."""

    word: str
    place: str


def look(home: Path, words: Sequence[str]) -> list[Seen]:
    """Every word of `words` found anywhere under `home`. Raises ValueError for a word too short to mean anything."""
    patterns = [(word, pattern) for word in words for pattern in spellings(word)]
    found = {}
    for place, data in places(home):
        for version in (data, *inflated(data)):
            for word, pattern in patterns:
                if pattern in version:
                    found[word, place] = Seen(word, place)
    return list(found.values())


def spellings(word: str) -> list[bytes]:
    """The bytes that would give a word away, whatever it was wrapped in."""
    if len(word) < MIN_WORD:
        raise ValueError(f"{word!r} is too short to look for")
    plain = word.encode()
    return [plain, plain.lower(), word.encode("utf-16-le"), plain.hex().encode(), *_base64(plain)]


def _base64(plain: bytes) -> Iterator[bytes]:
    """The part of its base64 that doesn't depend on what stands around it, for each of the three alignments."""
    for shift in range(3):
        encoded = base64.b64encode(bytes(shift) + plain)
        sure = encoded[(4 * shift + 2) // 3 + (shift > 0) : len(encoded) - 4]
        yield sure
        yield sure.replace(b"+", b"-").replace(b"/", b"_")


def places(home: Path) -> Iterator[tuple[str, bytes]]:
    """Each file's bytes, and each value of each database: a long value is not contiguous in its file."""
    for path in sorted(path for path in home.rglob("*") if path.is_file()):
        name = str(path.relative_to(home))
        yield name, path.read_bytes()
        if path.suffix == ".db":
            yield from ((f"{name}, {where}", value) for where, value in _values(path))


def _values(path: Path) -> Iterator[tuple[str, bytes]]:
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    try:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        for table in tables:
            quoted = table.replace('"', '""')
            cursor = connection.execute(f'SELECT * FROM "{quoted}"')  # noqa: S608 - a name the database itself gave
            columns = [column[0] for column in cursor.description]
            for row in cursor:
                for column, value in zip(columns, row, strict=True):
                    if isinstance(value, bytes | str):
                        yield f"{table}.{column}", value if isinstance(value, bytes) else value.encode()
    finally:
        connection.close()


def inflated(data: bytes) -> Iterable[bytes]:
    """What every possible compressed stream in `data` inflates to, as far as it does."""
    for at in _stream_starts(data)[:MAX_STREAMS]:
        plain = _inflate(data, at)
        if plain:
            yield plain


def _inflate(data: bytes, at: int) -> bytes:
    """What comes out before the stream ends or turns out to be none."""
    stream = zlib.decompressobj(_ANY_WRAPPER)
    parts, size = [], 0
    try:
        for start in range(at, len(data), _PIECE):
            if stream.eof or size > MAX_INFLATED:
                break
            parts.append(stream.decompress(data[start : start + _PIECE], MAX_INFLATED))
            size += len(parts[-1])
    except zlib.error:
        pass  # two bytes that looked like a head by chance, or a stream cut by a page's end: what came out counts
    return b"".join(parts)


def _stream_starts(data: bytes) -> list[int]:
    starts: list[int] = []
    for head in _ZLIB_HEADS:
        at = data.find(head)
        while at >= 0 and len(starts) < MAX_STREAMS * len(_ZLIB_HEADS):
            starts.append(at)
            at = data.find(head, at + 1)
    return sorted(starts)
