"""Owns the rule by which a post becomes a message at once, where config.toml has one (`[http] posts_to`).

What the rule may not send, by labels or standing, stays a draft for a person: nothing that was posted is lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from exchange.door_settings import DoorSettings
from exchange.errors import ExchangeError
from exchange.formats.objects import RawObject
from exchange.formats.stix.markings import effective_tlp
from exchange.limits import DAY_MS
from exchange.message import Kind
from exchange.node.directory.membership import anchor_confirmed
from exchange.node.directory.replica import Replica
from exchange.node.doors.doors import reader_at
from exchange.node.feeds.outside import check_sent
from exchange.node.identity import Identity, Sources
from exchange.node.mail.writing import Writer
from exchange.node.store import outbox as store_outbox, posts as store_posts
from exchange.node.store.store import Store, Transaction, raise_alarm
from exchange.phrases.letters import Letter
from exchange.tlp import parse

SUBJECT: Final = "{count} objects from the tools of {member}"


class PostedMail:
    """Sends what is posted, as its member."""

    def __init__(
        self,
        store: Store,
        identity: Identity,
        replica: Replica,
        sources: Sources,
        settings: DoorSettings,
        *,
        poke: Callable[[], None],
    ) -> None:
        """`poke`: mail waits."""
        self._poke = poke
        self._store = store
        self._identity = identity
        self._replica = replica
        self._sources = sources
        self._to = settings.posts_to
        self._label = parse(settings.posts_tlp) if settings.posts_tlp else None

    async def send(self, post: str, objects: tuple[RawObject, ...]) -> None:
        """Queue an alert with these objects, where there is a rule. If it may not go, people are told why.

        Of the kinds an alert alone needs nothing that no tool says.
        """
        if not self._to or not objects:
            return
        anchored, now = anchor_confirmed(self._store), self._sources.clock()
        try:
            writer = Writer(self._replica.directory, self._identity, self._sources)
            tlp = effective_tlp(objects, self._label)
            letter = Letter("en", SUBJECT.format(count=len(objects), member=self._identity.address), "")
            outgoing = await asyncio.to_thread(writer.message, Kind.ALERT, letter, tlp=tlp, objects=objects)
            writer.check_send(self._to, tlp=tlp, lane=outgoing.lane, anchor_confirmed=anchored)
            readers = [reader_at(self._replica.directory, self._identity.address, one) for one in self._to]
            await check_sent(self._store, outgoing, tlp, readers, who="posts", now=now)
        except ExchangeError as error:
            key, code = f"posts/{error.code}/{now // DAY_MS}", error.code
            await self._store.db.write(lambda c: raise_alarm(c, key=key, at=now, code=code, subject="posts"))
            return

        def write(connection: Transaction) -> None:
            store_outbox.add(connection, self._store.cipher, outgoing, self._to, now=now)
            store_posts.set_sent(connection, post, outgoing.id)

        await self._store.db.write(write)
        self._poke()
