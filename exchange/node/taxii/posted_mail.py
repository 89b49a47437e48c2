"""Owns the rule by which a post becomes a message at once, where config.toml has one (`[http] posts_to`).

What the rule may not send, by labels or standing, or because it is of an exercise, stays a draft for a person: nothing
that was posted is lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from exchange.door_settings import DoorSettings
from exchange.errors import Refused, Rejected
from exchange.formats.objects import RawObject
from exchange.formats.stix.cover import exercise_within
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
from exchange.node.store.outbox import Outgoing
from exchange.node.store.posts import Post
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

    async def send(self, post: Post, objects: Sequence[RawObject]) -> None:
        """Queue an alert with these objects of a post that is due. If it may not go, people are told why.

        What is posted by a right for exercises names none, and a person must. A repeat sends nothing.
        Raises Unavailable storage.*; then the post is still due.
        """
        now = self._sources.clock()
        try:
            if post.exercise or exercise_within(objects):
                raise Refused("release.exercise")
            outgoing = await self._alert(objects)
        except (Refused, Rejected) as error:
            key, code = f"posts/{error.code}/{now // DAY_MS}", error.code

            def keep(connection: Transaction) -> None:
                raise_alarm(connection, key=key, at=now, code=code, subject="posts")
                store_posts.set_state(connection, post.n, store_posts.DRAFT)

            await self._store.db.write(keep)
            return

        def write(connection: Transaction) -> None:
            if store_posts.set_sent(connection, post.n, outgoing.id):
                store_outbox.add(connection, self._store.cipher, outgoing, self._to, now=now)

        await self._store.db.write(write)
        self._poke()

    async def _alert(self, objects: Sequence[RawObject]) -> Outgoing:
        """Of the kinds an alert alone needs nothing that no tool says. Raises Refused, Rejected where it may not go."""
        anchored, now = anchor_confirmed(self._store), self._sources.clock()
        writer = Writer(self._replica.directory, self._identity, self._sources)
        tlp = effective_tlp(objects, self._label)
        letter = Letter("en", SUBJECT.format(count=len(objects), member=self._identity.address), "")
        outgoing = await asyncio.to_thread(writer.message, Kind.ALERT, letter, tlp=tlp, objects=objects)
        writer.check_send(self._to, tlp=tlp, lane=outgoing.lane, anchor_confirmed=anchored)
        readers = [reader_at(self._replica.directory, self._identity.address, one) for one in self._to]
        await check_sent(self._store, outgoing, tlp, readers, who="posts", now=now)
        return outgoing
