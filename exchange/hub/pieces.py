"""Owns uploads that come in pieces: kept until they are whole, then taken as any other (docs/protocol.md §11.9).

Pieces are checked for nothing but their place and the caller: what they are together is mailboxes.py's to check.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from exchange.errors import Rejected, Unavailable
from exchange.hub.mailboxes import RETRY_SECONDS, Answer, Mailboxes, Result
from exchange.hub.store.store import HubStore


@dataclass(frozen=True)
class Pieces:
    """Takes pieces. `clock()` in ms, `free_bytes()` is what the disk has left, of which `least_free` stay free."""

    store: HubStore
    mailboxes: Mailboxes
    clock: Callable[[], int]
    free_bytes: Callable[[], int]
    least_free: int

    async def take(self, sender: str, env: bytes, *, start: int, size: int, data: bytes) -> Answer | int:
        """Keep the next piece. How many bytes are here from the beginning on; what became of it where that is known.

        A piece that isn't the next one changes nothing, so an empty one asks. Raises Unavailable storage.*
        """
        if await self.store.is_senders(env, sender):
            kept = await self.store.repeat(env, sender)
            return Answer((Result(env, False, None),), tuple(kept.proofs.values()) if kept else ())
        if self.free_bytes() - size < self.least_free:
            raise Unavailable("storage.full", retry_after=RETRY_SECONDS)
        return await self.store.add_piece(sender, env, size=size, start=start, data=data, now=self.clock())

    async def join(self, sender: str, env: bytes, *, size: int) -> Answer | int:
        """What becomes of an upload of which all bytes are here; `size` bytes of memory are the caller's to reserve.

        Where another call has joined it meanwhile, or it gave way, as `take` of nothing.
        """
        upload = await self.store.pieces(sender, env)
        if len(upload) != size:
            return await self.take(sender, env, start=0, size=size, data=b"")
        answer = await self.mailboxes.accept(sender, [upload], env=env)
        (result,) = answer.results
        if result.error is None or _is_final(result):
            await self.store.drop_pieces(sender, env)
        return answer


def _is_final(result: Result) -> bool:
    """Whether the very same bytes would be refused again."""
    return isinstance(result.error, Rejected) and result.error.code != "directory.unknown-checkpoint"
