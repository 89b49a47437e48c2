"""Each node's way to the hub: calls that are lost, repeated or late; items hurt, withheld or made up on their way.

What a site has said in receipts, and the hub in its own, is noted with the network as it goes out.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import orjson

from exchange.canonical import Json, unb64
from exchange.errors import ExchangeError
from exchange.header import parse_header
from exchange.hub.store.cursor import Cursor
from exchange.keys import PublicKeys
from exchange.limits import SECOND_MS, TOKEN_AHEAD_SECONDS, TOKEN_LIFE_SECONDS
from exchange.node.mail.large import is_named_flash
from exchange.node.uplink.api import Page, Posted
from exchange.protocol import ITEM_DELIVERY, ITEM_EXPIRED, ITEM_LARGE, Item, Large
from exchange.wire import Delivery
from tests.simulated_hub import SimulatedHub
from tests.simulation.steps import Crash, unreachable

if TYPE_CHECKING:
    from tests.simulation.network import FaultySimulation, FaultySite

REQUEST_LOST: Final = "request lost"
ANSWER_LOST: Final = "answer lost"
REPEATED: Final = "repeated"
LATE: Final = "request late"  # its caller has given it up when it comes
REPEATED_LATE: Final = "repeated late"  # after later ones
ON_THE_WAY: Final = frozenset({LATE, REPEATED_LATE})
COMES_NOW: Final = 0.2  # how likely one of those comes at a call
# Bytes: the product's own limits, made small, so that a letter of 20 kB has as many pieces as one of a megabyte.
LARGE: Final = 8_192
PIECE: Final = 4_096
# What the hub says of bytes that aren't those that were sealed: never of an upload, which no link here hurts.
SPOILT: Final = frozenset(
    {
        "envelope.bad-frame",
        "envelope.wrong-id",
        "envelope.bad-header",
        "envelope.body-mismatch",
        "envelope.wrap-mismatch",
        "envelope.bad-signature",
    }
)
STREAMS: Final = frozenset({"blob"})  # not to be repeated: what comes is taken as it comes


@dataclass(frozen=True)
class Request:
    """One that is on its way for long: by which keys, and when it set out by the hub's clock, ms."""

    keys: PublicKeys
    at: int
    repeat: Callable[[], Awaitable[Any]]


@dataclass
class Link:
    """One node's way to the hub. `faults`: how likely each kind is on a call; `hurt`: items to be hurt on their way."""

    up: bool = True
    faults: dict[str, float] = field(default_factory=dict)
    hurt: int = 0
    late: list[Request] = field(default_factory=list)
    forged: list[Item] = field(default_factory=list)
    withheld: set[bytes] = field(default_factory=set)  # envs that a lying hub never shows this node
    withhold: int = 0  # so many more of its deliveries are to be withheld


class FaultyHub(SimulatedHub):
    """The hub as one node reaches it over its link."""

    def __init__(self, simulation: FaultySimulation, member: str, site: FaultySite) -> None:
        super().__init__(simulation, member, large=LARGE, most=PIECE)
        self._net = simulation
        self._site = site
        self._named: dict[
            bytes, str
        ] = {}  # envs of long deliveries that wait behind flash, with their cursors
        self._fetched = False  # pieces, since the node was last looked at
        self.wire.after = self._look

    async def _carry(self, name: str, value: Any, call: Callable[[], Awaitable[Any]]) -> Any:
        process, link = self._site.process, self._site.link
        await process.point()
        if link.late and self._net.chance.random() < COMES_NOW:
            await self.come_late(self._net.chance.randrange(len(link.late)))
        if not link.up:
            raise unreachable()
        fault = self._draw(link)
        if fault in ON_THE_WAY and name not in STREAMS:
            link.late.append(self._request(lambda: super(FaultyHub, self)._carry(name, value, call)))
        if fault in (REQUEST_LOST, LATE):
            raise unreachable()
        try:
            answer = await super()._carry(name, value, call)
            if fault == REPEATED and name not in STREAMS:
                answer = await super()._carry(name, value, call)
        except Crash as crash:
            if crash.process is process:
                raise
            raise unreachable() from None
        await process.point()
        if fault == ANSWER_LOST or not link.up:
            raise unreachable()
        return answer

    def _request(self, repeat: Callable[[], Awaitable[Any]]) -> Request:
        return Request(self._site.up.identity.keys.public, self._net.hub_clock(), repeat)

    async def come_late(self, which: int = 0) -> None:
        """One that was long on its way comes to the hub, which looks at its token; nobody waits for the answer."""
        one = self._site.link.late.pop(which)
        hub, age = self._net.hub, self._net.hub_clock() - one.at
        if hub is None or not -TOKEN_AHEAD_SECONDS * SECOND_MS <= age < TOKEN_LIFE_SECONDS * SECOND_MS:
            return
        if hub.registrar.directory.members[self._member].keys != one.keys:
            return
        self._net.counts["came late"] += 1
        with suppress(ExchangeError, Crash):  # the hub's own: its process is dead then
            await one.repeat()

    def _draw(self, link: Link) -> str:
        for kind, share in link.faults.items():
            if self._net.chance.random() < share:
                self._net.counts[kind] += 1
                return kind
        return ""

    async def put_envelope(self, env: bytes, upload: bytes) -> Posted:
        return self._noted(await super().put_envelope(env, upload))

    async def post_envelopes(self, uploads: Sequence[bytes]) -> Posted:
        return self._noted(await super().post_envelopes(uploads))

    def _noted(self, posted: Posted) -> Posted:
        now = self._net.world.now
        for one in posted.results:
            if one.code in SPOILT:
                self._net.fault("spoilt", f"an upload of {self._member} is another at the hub: {one.code}")
        self._net.accepted |= {one.env: now for one in posted.results if one.code == ""}
        return posted

    async def post_receipts(self, batch: Json) -> None:
        # noted before it goes out: from here on nobody can take it back
        leaves = [orjson.loads(unb64(leaf)) for leaf in batch["leaves"]]
        self._site.receipted |= {unb64(leaf["env"]) for leaf in leaves if leaf["status"] == "stored"}
        await super().post_receipts(batch)

    async def mailbox(self, after: str, wait: int, most: int) -> Page:
        self._check_pieces_fit()
        page = await super().mailbox(after, wait, most)
        link = self._site.link
        items = [self._hurt(item, link) for item in page.items if not self._is_withheld(item, link)]
        if link.forged and items:
            items = [replace(one, cursor=items[0].cursor) for one in link.forged] + items
            link.forged = []
        return Page(tuple(items), page.more)

    async def piece(self, env: bytes, start: int) -> bytes:
        self._check_flash_came_first(env)
        self._fetched = True
        data, link = await super().piece(env, start), self._site.link
        return self._spoilt(data, link, "piece hurt") if link.hurt else data

    async def put_blob(self, blob: bytes, size: int, start: int, read: Callable[[int], bytes]) -> int:
        link = self._site.link

        def hurt(most: int) -> bytes:
            data = read(most)
            return self._spoilt(data, link, "blob hurt") if link.hurt and data else data

        return await super().put_blob(blob, size, start, hurt)

    async def blob(self, blob: bytes, start: int, came: Callable[[bytes], object]) -> None:
        link = self._site.link
        is_cut = self._net.chance.random() < link.faults.get(ANSWER_LOST, 0)

        def come(data: bytes) -> None:
            data = self._spoilt(data, link, "blob hurt") if link.hurt else data
            came(data[: len(data) // 2] if is_cut else data)

        await super().blob(blob, start, come)
        if is_cut:
            self._net.counts["blob cut"] += 1
            raise unreachable()

    def _look(self, name: str, answer: Any) -> None:
        """What the hub has just answered: where it names something long, no flash may wait behind that."""
        if name != "mailbox":
            return
        self._named = {}
        for item in answer.items:
            if item.type == ITEM_LARGE and not is_named_flash(item):
                self._named[Large.from_bytes(item.payload).env] = item.cursor
        if self._named:
            newest = self._net.newest_flash(self._member)
            if any(flash_of(cursor) < newest for cursor in self._named.values()):
                self._net.fault("flash waits", f"{self._member} is named something long before flash")

    def _check_flash_came_first(self, env: bytes) -> None:
        """All flash that came before this one was named is stored before a piece of it is asked for."""
        cursor = self._named.get(env, "")
        (stored,) = self._site.column("SELECT CAST(value AS TEXT) FROM facts WHERE name = 'feed.cursor'") or (
            "",
        )
        if stored and flash_of(stored) < flash_of(cursor):
            self._net.fault("flash waits", f"{self._member} asks for something long before it stored flash")

    def _check_pieces_fit(self) -> None:
        """What came whole is whole here: nothing is put aside as hurt where nothing was.

        What a slow clock kept from being judged for long stands there, too: its sender's key isn't in the log here, or
        not yet.
        """
        fetched, self._fetched = self._fetched, False
        hurt = "SELECT key FROM damaged WHERE code NOT LIKE 'hold.%'"
        if fetched and not self._site.damage and self._site.column(hurt):
            self._net.fault("spoilt", f"{self._member} has put pieces together to something else")

    def _is_withheld(self, item: Item, link: Link) -> bool:
        if item.type not in (ITEM_DELIVERY, ITEM_LARGE) or not (link.withhold or link.withheld):
            return False
        env = env_of(item)
        if link.withhold and env not in link.withheld:
            link.withhold -= 1
            link.withheld.add(env)
            self._net.counts["item withheld"] += 1
        return env in link.withheld

    def _hurt(self, item: Item, link: Link) -> Item:
        if not link.hurt or item.type not in (ITEM_DELIVERY, ITEM_EXPIRED):
            return item
        return replace(item, payload=self._spoilt(item.payload, link, "item hurt"))

    def _spoilt(self, data: bytes, link: Link, kind: str) -> bytes:
        """With one bit of it wrong."""
        link.hurt -= 1
        self._site.damage += 1
        self._net.counts[kind] += 1
        changed = bytearray(data)
        changed[self._net.chance.randrange(len(data))] ^= 1 << self._net.chance.randrange(8)
        return bytes(changed)


def env_of(item: Item) -> bytes:
    """Which envelope it brings or names."""
    if item.type == ITEM_LARGE:
        return Large.from_bytes(item.payload).env
    return parse_header(Delivery.from_bytes(item.payload).header).env


def flash_of(cursor: str) -> int:
    """Up to which number of its flash a node has come."""
    return Cursor.read(cursor, cursor.partition(".")[0])["flash"]
