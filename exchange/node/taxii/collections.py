"""Owns the node's TAXII collections: which there are, and what a right of entry sees of them.

    await collections.open()                       once
    await collections.page(access, where, asked)   settled first: what came is in, what ended is out

A collection is a condition on the facts of objects; the policy of the doors (release.decide) is another. Both are asked
for each class of objects, so that every object of a page has passed both. The HTTP of it is http/taxii.py's.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from exchange.access import SECRET_BYTES, Access
from exchange.errors import Refused
from exchange.message import Kind
from exchange.node.directory.replica import Replica
from exchange.node.identity import Identity, Sources
from exchange.node.store import (
    access as store_access,
    outside as store_outside,
    posts as store_posts,
    taxii as rows,
    taxii_page as pages,
)
from exchange.node.store.store import Store, Transaction
from exchange.node.store.taxii import Facts, Keys
from exchange.node.store.taxii_page import Page, Query
from exchange.node.taxii.adding import Adding
from exchange.node.taxii.filling import Filling
from exchange.pap import Pap, strictest as strictest_pap
from exchange.release import Content, Decision, Door, Reader, Who, decide
from exchange.tlp import Tlp, strictest

DRAFTS: Final = "drafts"
RECEIVED: Final = "received"
OUTSIDE: Final = "outside"
_PAPS: Final = len(Pap) + 1  # none, and each of them
CEILINGS: Final = (Tlp.CLEAR, Tlp.GREEN, Tlp.AMBER, Tlp.AMBER_STRICT)  # RED leaves by no machine's door


@dataclass(frozen=True, slots=True)
class Collection:
    """One collection: its id (UUID), its alias, its title, whether it can be written, which objects stand in it."""

    id: str
    alias: str
    title: str
    description: str
    writable: bool
    holds: Callable[[Facts], bool]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client asks of a collection, apart from who it is; as Query. `tlps`, `kinds`: our own filters."""

    after: int = -1
    ids: tuple[str, ...] | None = None
    types: tuple[str, ...] | None = None
    specs: tuple[int, ...] | None = None
    versions: tuple[str | int, ...] = ("last",)
    tlps: tuple[Tlp, ...] | None = None
    kinds: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class _Told:
    """What the access log is to tell of a message: the decision; the labels as `_labels_noted`, 0 for a refusal."""

    source: int
    decision: Decision
    labels: int


class Collections:
    """The collections of one node. One per process that owns the home."""

    def __init__(self, store: Store, identity: Identity, replica: Replica, sources: Sources) -> None:
        self._store = store
        self._identity = identity
        self._replica = replica
        self._sources = sources
        self._adding = Adding(store, sources)
        self._filling = Filling(self._fill, self._left)
        self.keys = Keys(b"")  # hashes under this node's own key, once open
        self._made_for: tuple[str, ...] | None = None  # members that `_standing` was made for
        self._standing: list[Collection] = []
        self._classes: dict[int, Facts] = {}
        self._decided: dict[tuple[int, bool, bool, bool, bool], Decision] = {}

    async def open(self) -> None:
        """Find the key of hashes and ids, or make it. Once, before anything else."""

        fresh = self._sources.random(SECRET_BYTES)
        self.keys = await self._store.db.write(lambda c: rows.ensure_secret(c, self._store.cipher, fresh))

    # -- which there are ----------------------------------------------------------------------------------------

    def listed(self, access: Access) -> list[Collection]:
        """Those that this right of entry is for, always in the same order."""
        return [one for one in self.every() if access.covers(one.alias)]

    def find(self, access: Access, name: str) -> Collection:
        """By id or alias. Raises Refused taxii.unknown: also for one that the right doesn't cover."""
        for one in self.listed(access):
            if name in (one.id, one.alias):
                return one
        raise Refused("taxii.unknown", "no such collection here")

    def every(self) -> list[Collection]:
        """All there are, whoever asks."""
        handles = () if self._replica.is_empty else tuple(sorted(self._replica.directory.members))
        if handles != self._made_for:
            self._made_for, self._standing = handles, self._made_all(handles)
        return self._standing

    def _made_all(self, handles: Iterable[str]) -> list[Collection]:
        drafts = self._made(DRAFTS, "Drafts: post here", lambda facts: facts.draft)
        return [
            self._made(RECEIVED, "Everything received", _from_members),
            *(
                self._made(kind.value, f"Received: {kind.value}", partial(_of_kind, kind.value))
                for kind in Kind
            ),
            *(
                self._made(_alias(tlp), f"Received, up to {tlp.label}", partial(_up_to, tlp))
                for tlp in CEILINGS
            ),
            *(
                self._made(f"from-{handle}", f"Received from {handle}", partial(_from, handle))
                for handle in handles
                if handle != self._identity.address
            ),
            self._made(OUTSIDE, "From outside the network, by feeds", lambda facts: facts.outside),
            replace(drafts, writable=True),
        ]

    def _made(self, alias: str, title: str, holds: Callable[[Facts], bool]) -> Collection:
        description = f"{title}. Node of {self._identity.address}."
        return Collection(id_of(self.keys, alias), alias, title, description, writable=False, holds=holds)

    # -- what comes in and goes out -----------------------------------------------------------------------------

    async def settle(self) -> None:
        """Add what has come since, and let go what has ended. Raises Unavailable taxii.filling: that takes long."""
        await self._filling.up_to_now()

    async def close(self) -> None:
        """Stop adding: the door closes."""
        await self._filling.stop()

    async def _fill(self) -> bool:
        return await self._adding.settle(self.keys)

    async def _left(self) -> int:
        return await self._store.db.read(rows.count_left)

    # -- who sees what ------------------------------------------------------------------------------------------

    async def page(
        self, access: Access, where: Collection, asked: Asked, *, limit: int, with_data: bool
    ) -> Page:
        """A page of what the right of entry may have of a collection; the access log says what it was given.

        One read, mostly: each hands over to a thread and back, which costs more than what it finds.
        """
        settled = False
        while True:
            query, held = self._queries(access, where, asked)
            look = partial(
                self._look,
                access,
                query,
                held,
                limit=limit,
                with_data=with_data,
                newest=max(self._classes, default=0),
                settled=settled,
            )
            found = await self._store.db.read(look)
            if found is None:
                await self.settle()
                settled = True
            elif isinstance(found, dict):
                self._classes |= found
            else:
                page, told = found
                outside = sum(row.source == store_outside.SOURCE for row in page.rows)
                if told or outside:
                    await self._note(access, told, outside)
                # a client goes on behind this page, so what is left of the refusals is told now
                while len(told) >= pages.MOST_REFUSED:
                    beyond = told[-1].source  # of the refused, which come last; without any, none is to come
                    told = await self._store.db.read(
                        partial(self._refused, access, held, page, beyond=beyond)
                    )
                    await self._note(access, told, 0)
                return page

    def _look(
        self,
        access: Access,
        query: Query,
        held: Query,
        connection: Transaction,
        *,
        limit: int,
        with_data: bool,
        newest: int,
        settled: bool,
    ) -> tuple[Page, list[_Told]] | dict[int, Facts] | None:
        """The page, and what the access log doesn't tell of it yet; None to settle, classes to judge, before that."""
        if not settled and rows.is_due(connection, now=self._sources.clock()):
            return None
        if new := rows.classes(connection, self._store.cipher, after=newest):
            return new
        page = pages.page(connection, self._store.cipher, self.keys, query, limit=limit, with_data=with_data)
        return page, self._untold(connection, access, held, page)

    async def has(self, access: Access, where: Collection, id_: str) -> bool:
        """Whether the right of entry sees any version of the object in a collection."""
        query = await self.query(access, where, Asked(ids=(id_,)))
        return await self._store.db.read(lambda c: pages.has_id(c, self.keys, query))

    async def query(self, access: Access, where: Collection, asked: Asked) -> Query:
        """The classes of objects that stand there and may leave by this door to this reader."""
        newest = max(self._classes, default=0)
        self._classes |= await self._store.db.read(
            lambda c: rows.classes(c, self._store.cipher, after=newest)
        )
        return self._queries(access, where, asked)[0]

    def _queries(self, access: Access, where: Collection, asked: Asked) -> tuple[Query, Query]:
        """For what may leave, and for what stands there and is held back, of the classes known by now."""
        allowed, closed = [], []
        for n, facts in self._classes.items():
            if not where.holds(facts):
                continue
            if not self._decide(access, n).allowed:
                closed.append(n)
            elif (asked.tlps is None or facts.tlp in asked.tlps) and (
                asked.kinds is None or facts.kind in asked.kinds
            ):
                allowed.append(n)
        query = Query(
            classes=tuple(allowed),
            after=asked.after,
            ids=asked.ids,
            types=asked.types,
            specs=asked.specs,
            versions=asked.versions,
        )
        return query, replace(query, classes=tuple(closed))

    def _decide(self, access: Access, n: int) -> Decision:
        facts = self._classes[n]
        own = access.name == facts.by, access.name in facts.doors
        key = (n, access.exercise, access.passive, *own)
        if key not in self._decided:
            self._decided[key] = _decide(access, facts)
        return self._decided[key]

    def _untold(self, connection: Transaction, access: Access, held: Query, page: Page) -> list[_Told]:
        """Messages of which the access log doesn't say yet that this right was given something as strict, or refused.

        A page has objects under several labels of one message: the log says the strictest of what was given so far.
        """
        new = dict[int, list[Facts]]()
        for row in page.rows:
            if row.source > 0:
                new.setdefault(row.source, []).append(self._classes[row.class_n])
        told = []
        for source, before in sorted(pages.given(connection, access.n, new).items() if new else ()):
            facts = _strictest_of(new[source], before)
            labels = _labels_noted(facts)
            if labels != before:
                told.append(_Told(source, _decide(access, facts), labels))
        return told + self._refused(access, held, page, connection)

    def _refused(
        self, access: Access, held: Query, page: Page, connection: Transaction, *, beyond: int = 0
    ) -> list[_Told]:
        """Of these the refused alone, by source from `beyond` on, MOST_REFUSED of them at once."""
        if not held.classes:
            return []
        upto = page.rows[-1].added if page.more else None
        found = pages.refused(connection, self.keys, held, access=access.n, upto=upto, beyond=beyond)
        return [_Told(source, self._decide(access, n), 0) for source, n in found]

    async def _note(self, access: Access, told: list[_Told], outside: int) -> None:
        """What goes out is in the access log before it goes, and what is held back: once for each message and right,
        and once more where something stricter of it goes.

        Of what came from `outside` one row tells how many objects of a page it was.
        """
        now = self._sources.clock()

        def write(connection: Transaction) -> None:
            for one in told:
                decision = one.decision
                message = pages.set_given(connection, access.n, one.source, allowed=one.labels)
                if message:
                    reason = decision.reason if decision.allowed else f"{decision.code}, {decision.reason}"
                    store_access.append(
                        connection,
                        at=now,
                        who=f"{access.kind.value}:{access.name}",
                        action=Door.TAXII.value if decision.allowed else f"{Door.TAXII.value} refused",
                        what=f"{message} to {access.name}: {reason}",
                    )
            if outside:
                what = f"{outside} objects from outside to {access.name}"
                who = f"{access.kind.value}:{access.name}"
                store_access.append(connection, at=now, who=who, action=Door.TAXII.value, what=what)

        await self._store.db.write(write)

    async def status(self, access: Access, id_: str) -> bytes:
        """What was answered to a post of this right. Raises Refused taxii.unknown."""
        found = await self._store.db.read(
            lambda c: store_posts.status(c, self._store.cipher, id_, access=access.n)
        )
        if found is None:
            raise Refused("taxii.unknown", "no such status here")
        return found


def id_of(keys: Keys, alias: str) -> str:
    """A collection's id. TAXII asks for random UUIDs (§2, identifier): as random as the key, and always the same."""
    return str(uuid.UUID(bytes=keys.digest(b"collection", alias.encode())[:16], version=4))


def _decide(access: Access, facts: Facts) -> Decision:
    """A draft is handed back to whoever wrote it, whatever its labels: these bind all others."""
    own = facts.draft and facts.by == access.name
    content = Content(
        tlp=Tlp.CLEAR if own else facts.tlp,
        pap=None if own else facts.pap,
        exercise_id=facts.exercise_id,
        outside=facts.outside,
        doors=frozenset(facts.doors),
        sender=facts.sender,
    )
    reader = Reader(who=Who.OWN, name=access.name, exercise=access.exercise, passive=access.passive)
    return decide(Door.TAXII, content, reader)


def _strictest_of(given: Sequence[Facts], before: int) -> Facts:
    """What objects of one message have in common, under the strictest labels of them and of what was given before."""
    tlp, pap = divmod(before - 1, _PAPS) if before else (0, 0)
    permitted = [Pap(pap - 1)] if pap else []
    permitted += [one.pap for one in given if one.pap is not None]
    labels = [Tlp(tlp), *(one.tlp for one in given)]
    return replace(given[0], tlp=strictest(labels), pap=strictest_pap(permitted))


def _labels_noted(facts: Facts) -> int:
    """The labels as `taxii_page.set_given` has them: greater where one is stricter. 1 is what older versions noted
    whatever they were.
    """
    return 1 + facts.tlp.value * _PAPS + (0 if facts.pap is None else facts.pap.value + 1)


def _alias(tlp: Tlp) -> str:
    return f"tlp-{tlp.word.replace('+', '-')}"


def _from_members(facts: Facts) -> bool:
    return not facts.draft and not facts.outside


def _of_kind(kind: str, facts: Facts) -> bool:
    return facts.kind == kind and _from_members(facts)


def _up_to(tlp: Tlp, facts: Facts) -> bool:
    return _from_members(facts) and strictest([facts.tlp, tlp]) is tlp


def _from(handle: str, facts: Facts) -> bool:
    return _from_members(facts) and facts.sender.partition("/")[0] == handle
