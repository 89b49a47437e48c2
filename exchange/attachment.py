"""An attachment as a message names it: the blob it is sealed in, its key, and what it is (docs/protocol.md §5.1).

Owns the rows of meta and how a name becomes one that a file may have. Holds none of its bytes: blob.py seals those.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypeAlias

from exchange.blob import BLOB_KEY_BYTES, BlobOpener, sealed_size
from exchange.canonical import Fields, Json, b64, b64_text, text_b64, unb64
from exchange.errors import Rejected
from exchange.limits import MAX_ATTACHMENT, MAX_ATTACHMENT_NAME, MAX_ATTACHMENTS

Blob: TypeAlias = tuple[bytes, int]  # SHA-256 of the sealed bytes, and how many they are: all the hub learns
MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,63}/[a-z0-9][a-z0-9!#$&^_.+-]{0,63}\Z")
_COLUMNS: Final = 7
_NAMELESS: Final = "attachment"
_MAX_FILE_NAME: Final = 240  # bytes; file systems take 255, and `.zip` and the like come to it
# What some file system refuses or gives a meaning to; device names are Windows'.
_NOT_IN_NAMES = re.compile(r'[<>:"/\\|?*]')
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|\Z)", re.IGNORECASE)


@dataclass(frozen=True)
class Attachment:
    """One attachment. `blob` and `digest`: SHA-256 of the sealed and of the plain bytes; `size`: of the plain ones."""

    blob: bytes
    key: bytes
    size: int
    digest: bytes
    name: str
    media_type: str
    malware: bool

    @property
    def sealed(self) -> Blob:
        """As the header names it."""
        return self.blob, sealed_size(self.size)

    def opener(self, net: bytes) -> BlobOpener:
        """Opens its blob, once the sealed bytes' hash is known to be `blob`."""
        return BlobOpener(self.key, net, self.size, self.digest)

    def to_json(self) -> Json:
        return [
            b64(self.blob),
            b64(self.key),
            self.size,
            b64(self.digest),
            text_b64(self.name),
            self.media_type,
            int(self.malware),
        ]

    @classmethod
    def from_json(cls, row: Sequence[Json]) -> Attachment:
        """Inverse of `to_json`. Raises Rejected json.bad-schema."""
        blob, key, size, digest, name, media_type, malware = row
        if type(size) is not int or not 0 <= size <= MAX_ATTACHMENT:
            raise Rejected("json.bad-schema", f"attachments: a size is 0..{MAX_ATTACHMENT}")
        if type(media_type) is not str or not MEDIA_TYPE.match(media_type):
            raise Rejected("json.bad-schema", "attachments: not a media type")
        if type(malware) is not int or malware not in (0, 1):
            raise Rejected("json.bad-schema", "attachments: malware is 0 or 1")
        return cls(
            unb64(blob, size=32, field="attachments"),
            unb64(key, size=BLOB_KEY_BYTES, field="attachments"),
            size,
            unb64(digest, size=32, field="attachments"),
            b64_text(name, most=MAX_ATTACHMENT_NAME, field="attachments"),
            media_type,
            bool(malware),
        )


def read_attachments(fields: Fields, name: str) -> tuple[Attachment, ...]:
    """From member `name` of a closed object. Raises Rejected json.bad-schema."""
    found = tuple(
        Attachment.from_json(row) for row in fields.rows(name, _COLUMNS, least=1, most=MAX_ATTACHMENTS)
    )
    if any(first.blob >= second.blob for first, second in pairwise(found)):
        raise Rejected("json.bad-schema", f"{name}: must be sorted by blob, each once")
    return found


def file_name(name: str) -> str:
    """A stranger's name as one that a file may have here: no path, nothing unprintable, at most 240 bytes.

    Right-to-left marks and the like go too: they make `exe.pdf` of `fdp.exe`.
    """
    last = re.split(r"[/\\]", name)[-1]
    shown = "".join(letter for letter in last if unicodedata.category(letter)[0] != "C")
    clean = _NOT_IN_NAMES.sub("_", unicodedata.normalize("NFC", shown)).strip(" .")
    if _DEVICES.match(clean) or clean.startswith("-"):  # programs take that for an option
        clean = f"_{clean}"
    stem, dot, ending = clean.rpartition(".")
    if not dot or len(ending.encode()) > 16:
        stem, ending = clean, ""
    room = _MAX_FILE_NAME - (len((dot + ending).encode()) if ending else 0)
    short = stem.encode()[:room].decode("utf-8", "ignore")
    return (f"{short}.{ending}" if ending else short.rstrip(" .")) or _NAMELESS
