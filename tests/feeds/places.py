"""A node's database with feeds in it, and the service that asks them, without the rest of the node."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from exchange.feed_settings import FeedKind, FeedSettings
from exchange.node.feeds.feeds import Feeds, Progress
from exchange.node.feeds.outside import Outside
from exchange.node.feeds.servers import FeedServers, straight
from exchange.node.identity import Sources
from exchange.node.store import feeds as store_feeds, outside as store_outside, taxii as store_taxii
from exchange.node.store.feeds import Feed
from exchange.node.store.outside import Listed, Thing
from exchange.node.store.store import Store, open_store
from tests.doors import Place
from tests.feeds.servers import COLLECTION
from tests.worlds import NOW

KEY = bytes(32)


@dataclass
class Home:
    """A database at `path`, and a clock that moves by hand."""

    path: Path
    now: int = NOW
    drawn: int = 0
    store: Store = field(init=False)
    feeds: Feeds = field(init=False)

    def open(self, servers: Callable[[], Any] | None = None) -> Home:
        """Open it, as its owner; once more after `close`, as after kill -9."""
        self.store = open_store(self.path, KEY, owner=True)
        self.feeds = Feeds(
            self.store,
            self.sources,
            servers() if servers else FeedServers(straight, clock=self.sources.clock),
        )
        return self

    async def close(self) -> None:
        await self.feeds.close()
        await self.store.db.close()

    @property
    def sources(self) -> Sources:
        def random(count: int) -> bytes:
            self.drawn += 1
            return self.drawn.to_bytes(count, "big")

        return Sources(
            clock=lambda: self.now,
            monotonic=lambda: self.now,
            random=random,
            new_id=lambda: "10000000-0000-4000-8000-0000000000ff",
        )

    def add(self, name: str, url: str, *, credential: str = "", **settings: Any) -> Feed:
        """A feed, of TAXII unless it says MISP."""
        kind = settings.pop("kind", FeedKind.TAXII)
        collection = COLLECTION if kind is FeedKind.TAXII else ""
        made = FeedSettings(kind=kind, url=url, **{"collection": collection, **settings}).check()
        cipher = self.store.cipher
        self.store.db.write_sync(
            lambda c: store_feeds.add(c, cipher, name, made, credential, now=self.now, who="admin")
        )
        return self.feed(name)

    def feed(self, name: str) -> Feed:
        found = self.store.db.read_sync(lambda c: store_feeds.find(c, self.store.cipher, name))
        assert found is not None
        return found

    async def poll(self, name: str) -> Progress:
        """Ask it once."""
        progress, ended = await self.feeds.poll(name)
        assert ended
        return progress

    def objects(self, name: str, **search: Any) -> list[dict[str, Any]]:
        """What it brought, oldest first."""
        return [orjson.loads(one.data) for one in reversed(self.listed(name, **search))]

    def listed(self, name: str, **search: Any) -> list[Listed]:
        n, cipher = self.feed(name).n, self.store.cipher
        return self.store.db.read_sync(
            lambda c: store_outside.of_feed(c, cipher, n, **{"limit": 1_000_000, **search})
        )

    def thing(self, id_: str) -> Thing:
        cipher = self.store.cipher

        def read(connection: Any) -> Thing:
            secret = store_taxii.secret(connection, cipher)
            assert secret is not None
            return store_outside.things(connection, store_taxii.Keys(secret), [id_])[id_]

        return self.store.db.read_sync(read)

    def refused(self, name: str) -> list[tuple[str, str]]:
        """Codes and objects, newest first."""
        n, cipher = self.feed(name).n, self.store.cipher
        found = self.store.db.read_sync(lambda c: store_feeds.refused(c, cipher, n, limit=1_000))
        return [(one.code, one.object) for one in found]

    @property
    def outside(self) -> Outside:
        return Outside(self.store, self.sources, who="analyst")


def add_feed(door: Place, name: str, url: str, **settings: Any) -> None:
    """A TAXII feed of the node behind a door."""
    node = door.pe.up
    made = FeedSettings(kind=FeedKind.TAXII, url=url, collection=COLLECTION, **settings).check()

    def write(connection: Any) -> None:
        store_feeds.add(connection, node.store.cipher, name, made, "", now=node.sources.clock(), who="admin")

    node.store.db.write_sync(write)
