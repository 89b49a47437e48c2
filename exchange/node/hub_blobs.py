"""The calls of §11.14: attachments go to the hub and come from it in pieces as long as the link bears.

Owns how a piece is asked for and answered, for hub_client.py. That the bytes are right is for whoever has them all.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable

from exchange import protocol
from exchange.canonical import b64
from exchange.errors import Unavailable
from exchange.node.hub_answers import Answer, json_of
from exchange.node.hub_pieces import Pieces


class HubBlobs(ABC):
    """A hub's client, as far as blobs go."""

    _pieces: Pieces

    @abstractmethod
    def _seconds(self) -> float: ...

    @abstractmethod
    async def _call(
        self, method: str, target: str, body: bytes = b"", *, media: str = "", blob: bool = False
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
            raise Unavailable("hub.unreachable", "the hub doesn't take the pieces")
        return have

    async def _put(self, blob: bytes, size: int, start: int, piece: bytes) -> int:
        target = f"{protocol.BLOBS}/{b64(blob)}?from={start}&size={size}"
        answer = await self._call("PUT", target, piece, media=protocol.BINARY, blob=True)
        have = json_of(answer).get("have")
        if type(have) is not int or not 0 <= have <= size:
            raise Unavailable("hub.unreachable", "the hub's answer doesn't say how much it has")
        return have

    async def blob(self, blob: bytes, start: int) -> bytes:
        window = self._pieces.down
        most, began = window.size, await self._pieces.turn()
        answer = await self._call("GET", f"{protocol.BLOBS}/{b64(blob)}?from={start}&max={most}", blob=True)
        if not 0 < len(answer.body) <= most:
            raise Unavailable("hub.unreachable", "a piece isn't as long as it should be")
        if len(answer.body) * 2 >= most:
            window.passed(len(answer.body), self._seconds() - began)
        return answer.body
