"""What runs in a child of `latency`: a public `serve` command that marks times, for `plain` without cryptography.

Owns what is substituted. Both sides mark when `Inbox.take` has returned, which is when the page is durable. The
stand-ins keep every size: hub and nodes store and send as many bytes as ever. TLS and the cipher at rest stay.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from exchange import envelope, keys
from exchange.demo import child
from exchange.node.mail.inbox import Inbox
from exchange.node.store import inbox as store_inbox
from exchange.storage.local_cipher import LocalCipher

REAL: Final = "real"
PLAIN: Final = "plain"
CIPHER_BYTES: Final = 72  # what the cipher adds to a body of up to 16 KiB
WRAP_OVERHEAD: Final = 1_136
TRANSPORT_BYTES: Final = 64


def serve(side: str, marks: Path, arguments: Sequence[str], stdout: Connection, log: Path) -> None:
    """`exchange.demo.child.serve` on one of the two sides; when messages became durable goes to the file `marks`."""
    _mark(marks)
    if side == PLAIN:
        _without_cryptography()
    child.serve(arguments, stdout, log)


def read_marks(path: Path) -> dict[str, int]:
    """When each message of this side's receiver was durable, ns since 1970, by message id."""
    if not path.exists():
        return {}
    rows = (line.split() for line in path.read_text().splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) == 2}


def _mark(path: Path) -> None:
    come: list[str] = []
    add, take = store_inbox.add, Inbox.take

    def noting(
        connection: Any, cipher: LocalCipher, messages: Iterable[tuple[store_inbox.Received, bytes]]
    ) -> None:
        kept = list(messages)
        add(connection, cipher, kept)
        come.extend(message.message_id for message, _ in kept)

    async def timed(self: Inbox, *arguments: Any, **named: Any) -> Any:
        taken = await take(self, *arguments, **named)
        at, ids = time.time_ns(), come[:]
        come.clear()
        with path.open("a") as file:
            file.writelines(f"{each} {at}\n" for each in ids)
        return taken

    store_inbox.add = noting
    Inbox.take = timed  # type: ignore[method-assign] # only in this process, for the clock


def _without_cryptography() -> None:
    def sign(_self: keys.PrivateKeys, _kind: str, _body: bytes) -> bytes:
        return bytes(keys.SIGNATURE_BYTES)

    def verify(_self: keys.PublicKey, _kind: str, _body: bytes, signature: bytes, *, code: str) -> None:
        assert len(signature) == keys.SIGNATURE_BYTES, code

    def wrap(_self: keys.PrekeyPublic, plain: bytes, _info: bytes) -> bytes:
        return bytes(WRAP_OVERHEAD) + plain

    def unwrap(_self: keys.PrekeySecret, wrapped: bytes, _info: bytes, *, code: str) -> bytes:
        assert len(wrapped) >= WRAP_OVERHEAD, code
        return wrapped[WRAP_OVERHEAD:]

    def sign_transport(_self: keys.PrivateKeys, _message: bytes) -> bytes:
        return bytes(TRANSPORT_BYTES)

    def verify_transport(_self: keys.PublicKeys, _message: bytes, signature: bytes, *, code: str) -> None:
        assert len(signature) == TRANSPORT_BYTES, code

    for owner, stand_ins in (
        (keys.PrivateKeys, (sign, sign_transport)),
        (keys.PublicKey, (verify,)),
        (keys.PublicKeys, (verify_transport,)),
        (keys.PrekeyPublic, (wrap,)),
        (keys.PrekeySecret, (unwrap,)),
    ):
        for stand_in in stand_ins:
            setattr(owner, stand_in.__name__, stand_in)
    envelope.Cobblestone256Encryptor = _Copier  # type: ignore[attr-defined, misc] # in this process only
    envelope.Cobblestone256Decryptor = _Uncopier  # type: ignore[attr-defined, misc] # in this process only


class _Copier:
    """In the place of the body's cipher: the plaintext, and zeroes for what the cipher adds."""

    def __init__(self, _key: bytes, _context: bytes) -> None:
        pass

    def update(self, data: bytes) -> bytes:
        return data

    def finalize(self) -> bytes:
        return bytes(CIPHER_BYTES)


class _Uncopier(_Copier):
    """Its inverse."""

    def update(self, data: bytes) -> bytes:
        return data[:-CIPHER_BYTES]

    def finalize(self) -> bytes:
        return b""
