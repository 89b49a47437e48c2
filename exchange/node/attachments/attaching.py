"""Owns how a file becomes a sealed attachment in a home, and how one that is here is opened again: piece by piece.

Does not send or fetch anything (attachments.py), nor decide what may leave (doors.py).
"""

from __future__ import annotations

import mimetypes
import os
import stat
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Final

from exchange.attachment import MEDIA_TYPE, Attachment, file_name
from exchange.blob import BLOB_KEY_BYTES, BlobSealer
from exchange.errors import Refused, Rejected
from exchange.limits import MAX_ATTACHMENT
from exchange.node.store.attachment_files import PIECE, AttachmentFiles

_UNKNOWN_MEDIA: Final = "application/octet-stream"


def attach(
    files: AttachmentFiles, source: Path, *, net: bytes, malware: bool, random: Callable[[int], bytes]
) -> Attachment:
    """Seal the file `source` into the home, reading it once; durable on return. `random(n)` gives n random bytes.

    Raises Refused attachment.bad-file, blob.too-large, blob.wrong-size (it was written to meanwhile); Unavailable
    storage.full, storage.io.
    """
    try:
        # a named pipe would be waited for at its opening
        descriptor = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise Refused("attachment.bad-file", f"{source}: {os.strerror(error.errno or 0)}") from None
    about = os.fstat(descriptor)
    if not stat.S_ISREG(about.st_mode):
        os.close(descriptor)
        raise Refused("attachment.bad-file", f"{source}: not a plain file")
    with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor
        if about.st_size > MAX_ATTACHMENT:
            raise Refused("blob.too-large", f"{source}: {about.st_size} bytes, at most {MAX_ATTACHMENT}")
        files.check_room(about.st_size)
        key, plain = random(BLOB_KEY_BYTES), sha256()
        sealer = BlobSealer(key, net, about.st_size)

        def write(put: Callable[[bytes], object]) -> None:
            while data := file.read(PIECE):
                plain.update(data)
                put(sealer.update(data))
            put(sealer.finish())

        blob = files.make(write)
    name = file_name(source.name)
    return Attachment(blob, key, about.st_size, plain.digest(), name, _media_type(name), malware)


def _media_type(name: str) -> str:
    guessed, encoding = mimetypes.guess_type(name)
    found = (guessed or "").lower() if encoding is None else ""
    return found if MEDIA_TYPE.match(found) else _UNKNOWN_MEDIA


def opened(files: AttachmentFiles, path: Path, attachment: Attachment, net: bytes) -> Iterator[bytes]:
    """The bytes of the attachment whose blob lies at `path`, each authenticated; that they are all, only the end says.

    Raises Rejected blob.bad-seal, .bad-padding, .bad-digest.
    """
    opener = attachment.opener(net)
    for piece in files.pieces(path):
        yield opener.update(piece)
    yield opener.finish()


def is_blob(files: AttachmentFiles, path: Path, attachment: Attachment) -> bool:
    """Whether what lies at `path` is, byte for byte, the blob that the message names."""
    digest = sha256()
    for piece in files.pieces(path):
        digest.update(piece)
    return digest.digest() == attachment.blob


def fault_of(files: AttachmentFiles, path: Path, attachment: Attachment, net: bytes) -> str:
    """The code of what is wrong with the blob at `path`, which its sender named so; "" for nothing."""
    try:
        for _ in opened(files, path, attachment, net):
            pass
    except Rejected as fault:
        return fault.code
    return ""
