"""The calls of §11.14: attachments go to the hub and come from it in pieces as long as the link bears.

Owns how a piece is asked for and answered, for uplink/client.py. That the bytes are right is for whoever has them all.
"""

from __future__ import annotations

import asyncio
import io
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable

from exchange import protocol
from exchange.canonical import b64
from exchange.limits import LARGE_BYTES
from exchange.node.uplink.answers import Answer, json_of, odd
from exchange.node.uplink.pieces import Pieces


class HubBlobs(ABC):
    """A hub's client, as far as blobs go."""

    _pieces: Pieces

    @abstractmethod
    def _seconds(self) -> float: ...

    @abstractmethod
    async def _call(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        *,
        media: str = "",
        came: Callable[[bytes], object] | None = None,
    ) -> Answer: ...

    async def blob_has(self, blob: bytes, size: int) -> int:
        return await self._put(blob, size, 0, b"")

    async def put_blob(self, blob: bytes, size: int, start: int, read: Callable[[int], bytes]) -> int:
        window = self._pieces.up
        piece = await asyncio.to_thread(read, window.size)
        began = await self._pieces.turn()
        have = await self._put(blob, size, start, piece)
        window.passed(len(piece), self._seconds() - began)
        if have <= start:
            raise odd("the hub doesn't take the pieces")
        return have

    async def _put(self, blob: bytes, size: int, start: int, piece: bytes) -> int:
        target = f"{protocol.BLOBS}/{b64(blob)}?from={start}&size={size}"
        answer = await self._call("PUT", target, piece, media=protocol.BINARY)
        have = json_of(answer).get("have")
        if type(have) is not int or not 0 <= have <= size:
            raise odd("the hub's answer doesn't say how much it has")
        return have

    async def blob(self, blob: bytes, start: int, came: Callable[[bytes], object]) -> None:
        window, size = self._pieces.down, 0
        most, began = window.size, await self._pieces.turn()

        def take(part: bytes) -> None:
            nonlocal size
            size += len(part)
            if size > most:
                raise odd("a piece is longer than was asked for")
            came(part)

        await self._call("GET", f"{protocol.BLOBS}/{b64(blob)}?from={start}&max={most}", came=take)
        if not size:
            raise odd("a piece is empty")
        if size * 2 >= most:
            window.passed(size, self._seconds() - began)


def vouched(target: str, body: bytes) -> bytes:
    """What of a request's body its token answers for: of a blob's nothing, whose own hash does."""
    return b"" if _is_blob(target) else body


def body_of(target: str, body: bytes) -> io.BytesIO | AsyncIterator[bytes] | None:
    """A request's body, to be sent in small parts, and of a blob once only.

    aiohttp sends a request again whose link was cut. A piece would then go from where the hub is no longer.
    """
    if not body:
        return None
    return _once(body) if _is_blob(target) else io.BytesIO(body)


def _is_blob(target: str) -> bool:
    return target.startswith(protocol.BLOBS)


async def _once(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), LARGE_BYTES):
        yield body[start : start + LARGE_BYTES]
