"""Finds a word wherever it may hide: in bytes, in files, in every column of a database; also encoded or compressed.

Owns the encodings that are looked through. Whether the word may be there is the test's business.
"""

from __future__ import annotations

import base64
import binascii
import re
import sqlite3
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

DEPTH: Final = 3  # layers of base64, hex and compression that are taken off
MOST: Final = 64 * 1024 * 1024  # bytes that one compressed stream may become
BITE: Final = 16  # bytes inflated at a time: what a spoilt stream gave before its fault is searched, too
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/_-]{16,}")
_HEX: Final = re.compile(rb"[0-9A-Fa-f]{16,}")
_ZLIB: Final = re.compile(rb"\x78[\x01\x5e\x9c\xda]")
_GZIP: Final = re.compile(rb"\x1f\x8b\x08")
_ZIP: Final = re.compile(rb"PK\x03\x04")
_ZIP_HEAD: Final = 30  # bytes of a local file header before name and extra field


def find(word: str, data: bytes) -> list[str]:
    """The ways in which `word` stands in `data`, e.g. `zlib > plain`; none if it doesn't."""
    return list(_find(word.encode("utf-8"), bytes(data), DEPTH))


def find_in_folder(word: str, folder: Path) -> list[str]:
    """Every file below `folder` that has the word in its name or bytes, with the way."""
    found = []
    for path in sorted(folder.rglob("*")):
        where = path.relative_to(folder)
        found += [f"{where}: name"] if find(word, str(where).encode()) else []
        if path.is_file():
            found += [f"{where}: {way}" for way in find(word, path.read_bytes())]
    return found


def find_in_database(word: str, path: Path) -> list[str]:
    """Every table.column of the SQLite file that has the word in a row, with the way."""
    found = set()
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            rows = db.execute(f'SELECT * FROM "{table}"')  # noqa: S608 - a name from the database's own list
            columns = [column[0] for column in rows.description]
            for row in rows:
                for column, value in zip(columns, row, strict=True):
                    raw = value if isinstance(value, bytes) else str(value).encode()
                    found |= {f"{table}.{column}: {way}" for way in find(word, raw)}
    finally:
        db.close()
    return sorted(found)


def _find(word: bytes, data: bytes, depth: int) -> Iterator[str]:
    small = data.lower()
    if word.lower() in small:
        yield "plain"
    for name in ("utf-16-le", "utf-16-be"):
        if word.decode().lower().encode(name) in small:
            yield name
    if any(part in data for part in _base64_forms(word)):
        yield "base64"
    if depth:
        for layer, inner in _unwrapped(data):
            for way in _find(word, inner, depth - 1):
                yield f"{layer} > {way}"


def _base64_forms(word: bytes) -> Iterator[bytes]:
    """What the word looks like in base64 at each of the three places it may begin, without the unsure ends."""
    for shift in range(3):
        encoded = base64.b64encode(bytes(shift) + word).rstrip(b"=")
        yield encoded[(shift * 8 + 5) // 6 : (shift + len(word)) * 8 // 6]


def _unwrapped(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Everything in `data` that decodes to something else."""
    for match in _BASE64.finditer(data):
        text = match[0].translate(bytes.maketrans(b"-_", b"+/"))
        yield "base64", base64.b64decode(text[: len(text) // 4 * 4])
        if len(text) % 4 > 1:  # unpadded
            yield "base64", base64.b64decode(text + b"=" * (-len(text) % 4))
    for match in _HEX.finditer(data):
        yield "hex", binascii.unhexlify(match[0][: len(match[0]) // 2 * 2])
    for layer, pattern, bits in (("zlib", _ZLIB, 15), ("gzip", _GZIP, 31)):
        for match in pattern.finditer(data):
            yield from _inflated(layer, data[match.start() :], bits)
    for match in _ZIP.finditer(data):
        head = data[match.start() : match.start() + _ZIP_HEAD]
        skip = int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little")
        yield from _inflated("zip", data[match.start() + _ZIP_HEAD + skip :], -15)


def _inflated(layer: str, data: bytes, bits: int) -> Iterator[tuple[str, bytes]]:
    """What comes out of a stream, also of one that is cut off or spoilt further on."""
    stream, out = zlib.decompressobj(bits), bytearray()
    view = memoryview(data)
    try:
        for start in range(0, len(view), BITE):
            out += stream.decompress(view[start : start + BITE], MOST)
            if stream.eof or len(out) > MOST:
                break
    except zlib.error:
        pass
    if out:
        yield layer, bytes(out)
