"""The node's only door to the network: what a hub does for it, as a Protocol (docs/protocol.md §11).

`uplink/client` goes through it over HTTPS, the simulator of the tests in memory. Values are parsed no further than
their frames: what is signed is verified by whoever uses it.

Every call raises Unavailable (`hub.unreachable`, `hub.certificate`, or what the hub said: try again later),
or Refused / Rejected with the hub's code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from exchange.canonical import Json
from exchange.directory.contacts import Part
from exchange.protocol import Item


@dataclass(frozen=True)
class HubState:
    """What the hub says (§11.7): its epoch, and of us the newest batch number and the hash of our prekeys statement.

    `size`: how many leaves its log has; 0 where that isn't known.
    """

    epoch: str
    receipts_batch: int
    prekeys: bytes
    size: int = 0


@dataclass(frozen=True)
class Result:
    """The hub's answer to one envelope: code "" when it has it. `retry_after`: seconds, 0 where it doesn't say."""

    env: bytes
    code: str
    detail: str
    retry_after: int = 0


@dataclass(frozen=True)
class Posted:
    """The hub's answer to a batch of envelopes: a result each, and the receipts it gave (JSON proofs)."""

    results: tuple[Result, ...]
    receipts: tuple[Json, ...]


@dataclass(frozen=True)
class Page:
    """Items of the feed in order, and whether the hub said that more wait."""

    items: tuple[Item, ...]
    more: bool


class Feed(Protocol):
    """The mailbox, in order, however it is carried (§8)."""

    async def next(self, wait: float) -> Page:
        """The next items; an empty page when none came within `wait` seconds."""

    async def overtaking(self) -> tuple[Item, ...]:
        """Flash deliveries that have come behind what is being worked on, as soon as there are any."""

    async def overtook(self, items: Sequence[Item]) -> None:
        """They are stored: what comes in their place is nothing but their cursor."""

    def left(self) -> tuple[Item, ...]:
        """What has come, in order, and isn't known to be stored: a link that is cut brought it all the same."""

    async def stored(self, cursor: str) -> None:
        """Everything up to `cursor` is durable here."""


class HubApi(Protocol):
    """The calls of §11 that a member's node makes."""

    @property
    def clock_offset(self) -> int:
        """What is added to this node's clock for tokens, because the hub's is that far ahead, ms."""

    @property
    def transport(self) -> str:
        """How the feed comes now: `websocket`, `poll`; "" while none does."""

    async def checkpoint(self) -> Json: ...

    async def leaves(self, start: int) -> list[bytes]:
        """About 1 MiB of the log from index `start`."""

    async def post_checkpoint(self, checkpoint: Json) -> tuple[int, int] | None:
        """Show the hub a checkpoint it signed; the leaves [from, size) it lacks, None if none."""

    async def post_leaves(self, leaves: Sequence[bytes]) -> None: ...

    async def prekey_records(self, kids: Sequence[bytes]) -> list[bytes]: ...

    async def post_statement(
        self, statement: Json, records: Sequence[bytes] = (), parts: Sequence[Part] = ()
    ) -> Json:
        """The hub's signed submission. `records` of prekeys, `parts` beside the log: what the statement names."""

    async def post_notice(self, statement: Json) -> Json:
        """As `post_statement`, by nobody: what takes trust away is heard from anybody, also under keys in doubt."""

    async def parts(self, start: int) -> list[bytes]:
        """About 1 MiB of the parts that the hub hands out, after number `start`: JSON each (§11.5)."""

    async def state(self, holds: str | None = None) -> HubState:
        """What the hub remembers of us. `holds`: the cursor our home has; None where a feed isn't followed."""

    async def put_envelope(self, env: bytes, upload: bytes) -> Posted:
        """One envelope on a request of its own."""

    async def post_envelopes(self, uploads: Sequence[bytes]) -> Posted: ...

    async def mailbox(self, after: str, wait: int, most: int) -> Page:
        """One page by long poll: `wait` in seconds, `most` in bytes."""

    async def piece(self, env: bytes, start: int) -> bytes:
        """The next piece, from byte `start` on, of a delivery that the feed has only named (items of type 5)."""

    async def blob_has(self, blob: bytes, size: int) -> int:
        """How many bytes the hub has of this node's blob of `size` bytes; from there on it goes up."""

    async def put_blob(self, blob: bytes, size: int, start: int, read: Callable[[int], bytes]) -> int:
        """Bring the next piece, which `read(most)` gives from `start` on; how many bytes the hub has then."""

    async def blob(self, blob: bytes, start: int, came: Callable[[bytes], object]) -> None:
        """Fetch the next piece of a peer's blob, from byte `start` on; `came` gets what comes, also if it is cut."""

    def feed(self, after: str) -> AbstractAsyncContextManager[Feed]:
        """The feed after a cursor, by WebSocket where that works, else by long poll."""

    async def post_receipts(self, batch: Json) -> None: ...

    async def post_application(self, statement: Json, *, document: bytes, salt: bytes) -> Json:
        """The hub's signed submission; `document` is what the statement's hash names, with its salt."""

    async def applications(self) -> list[Json]:
        """Those that wait; for an invitee its own, also when it has ended."""

    async def end_application(self, member: str, reason: str) -> None:
        """An officer rejects it, an invitee withdraws its own."""

    async def sign_application(self, member: str, statement: bytes, signatures: Json) -> Json: ...

    async def pending(self) -> list[Json]:
        """Statements that lack signatures."""

    async def sign_pending(self, statement: bytes, signatures: Json) -> Json: ...
