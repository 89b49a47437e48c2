"""Owns what a tool posts to the writable collection, and deletes from it: each object succeeds or fails by itself.

A long post is stored piece by piece, so that mail gets its turn; the answer comes when all of it is durable. What is
posted waits as a draft until a person makes a message of it, or is due until the rule has (posted_mail.py). A repeat of
what is there succeeds and adds nothing; another object under an id and version that are taken is refused, for one of
the two would be lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

import orjson

from exchange.access import Access
from exchange.canonical import b64
from exchange.errors import Refused, Unavailable
from exchange.formats import taxii
from exchange.formats.objects import RawObject, SetAside
from exchange.formats.stix import markings, permissions
from exchange.formats.stix.read import read_object
from exchange.formats.stix.spans import Limits, parse
from exchange.formats.taxii import Head, Posted
from exchange.limits import DAY_MS, MAX_STIX
from exchange.node.identity import Identity, Sources
from exchange.node.store import (
    access as store_access,
    posts as store_posts,
    taxii as rows,
    taxii_page as pages,
)
from exchange.node.store.posts import Post
from exchange.node.store.store import Store, Transaction, raise_alarm
from exchange.node.store.taxii import Facts, Item
from exchange.node.taxii.collections import Asked, Collection, Collections
from exchange.pap import Pap
from exchange.tlp import DEFAULT, Tlp

KIND: Final = "draft"
EXERCISE: Final = "draft"  # of what a right for exercises posts: no exercise's id is known of it
MAX_REASON: Final = 200  # characters of why an object was not taken
CHUNK: Final = 500  # objects stored in one transaction
# A tool that is told how long a body may be (max_content_length) can't know of a limit on objects: what fits is taken.
MOST: Final = Limits(max_objects=MAX_STIX // 100)


@dataclass(frozen=True, slots=True)
class Taken:
    """A post that was read: under which id it is answered, when (ms), whose it is, how many objects it has."""

    id: str
    at: int
    access: Access
    total: int


@dataclass
class Done:
    """What became of a post's objects so far, as the status tells it; `new`: those that weren't here before."""

    successes: list[dict[str, str]] = field(default_factory=list)
    failures: list[dict[str, str]] = field(default_factory=list)
    new: list[RawObject] = field(default_factory=list)

    def __add__(self, other: Done) -> Done:
        return Done(self.successes + other.successes, self.failures + other.failures, self.new + other.new)


# an object, what TAXII knows of it (None: it has no usable id), and its label of PAP
Sound = tuple[RawObject, Head | None, Pap | None]


class Posting:
    """Takes posts and deletions. One per process that owns the home."""

    def __init__(
        self,
        store: Store,
        identity: Identity,
        collections: Collections,
        sources: Sources,
        *,
        send: Callable[[Post, Sequence[RawObject]], Awaitable[None]] | None,
    ) -> None:
        """`send(post, objects)`: the rule by which a post goes on at once, which leaves none due; None without one."""
        self._store = store
        self._due: set[int] = set()  # posts that broke off before the rule was done with them
        self._send = send
        self._identity = identity
        self._collections = collections
        self._sources = sources

    async def open(self) -> None:
        """Go on with what a process before left due. Once, before any post."""
        self._due = set(await self._store.db.read(store_posts.due))
        with suppress(Unavailable):  # it stays due
            await self._name_posters()
            await self._send_due()

    async def _name_posters(self) -> None:
        """Of drafts that an older version took it isn't noted whose they are, nor their label of PAP: now it is."""
        for post in await self._store.db.read(self._nameless):
            read = partial(pages.of_source, cipher=self._store.cipher, source=-post.n)
            stored = await self._store.db.read(read)
            labelled = await asyncio.to_thread(_labelled, stored)
            for start in range(0, len(labelled), CHUNK):
                await self._store.db.write(
                    partial(self._set_poster, post.by, labelled[start : start + CHUNK])
                )

    def _nameless(self, connection: Transaction) -> list[Post]:
        known = rows.classes(connection, self._store.cipher)
        return store_posts.with_classes(
            connection, (n for n, one in known.items() if one.draft and not one.by)
        )

    def _set_poster(
        self, by: str, labelled: Sequence[tuple[int, int, Pap | None]], connection: Transaction
    ) -> None:
        cipher, known = self._store.cipher, rows.classes(connection, self._store.cipher)
        for added, class_n, pap in labelled:
            if not known[class_n].by:
                facts = replace(known[class_n], by=by, pap=pap)
                n = rows.class_of(connection, cipher, self._collections.keys, facts)
                rows.set_class(connection, added, n)

    async def post(self, access: Access, data: bytes) -> bytes:
        """Take an envelope; the TAXII status (§4.3.1), which is complete. Raises Refused taxii.bad-envelope, json.*

        Where it breaks off, what is stored stays a draft, or due, and the same again finds it there.
        """
        await self._send_due()
        posted, sound = await asyncio.to_thread(_read, data)
        taken = Taken(self._sources.new_id(), self._sources.clock(), access, posted.total)
        done = Done(failures=[_refused(one, posted, taken) for one in posted.loaded.set_aside])
        n = None
        try:
            for start in range(0, max(1, len(sound)), CHUNK):
                chunk, last = sound[start : start + CHUNK], start + CHUNK >= len(sound)
                write = partial(self._write, taken, n, chunk, before=done if last else None)
                n, more = await self._store.db.write(write, size=sum(len(raw.data) for raw, _, _ in chunk))
                done += more
            if done.new:
                await self._pass_on(n, done.new)
        except BaseException:
            if n is not None and self._send is not None:
                self._due.add(n)
            raise
        return _status(taken, done)

    async def _send_due(self) -> None:
        """What broke off goes now, as far as it was stored. Raises Unavailable; what it then left is still due."""
        while self._due:
            n = self._due.pop()
            try:
                stored = await self._store.db.read(partial(self._stored, n))
                await self._pass_on(n, await asyncio.to_thread(_read_again, stored))
            except (Unavailable, asyncio.CancelledError):
                self._due.add(n)
                raise
            except Exception as fault:  # noqa: BLE001 - it breaks off again: that must not keep all other posts out
                try:
                    await self._store.db.write(partial(self._give_up, n, type(fault).__name__))
                except BaseException:
                    self._due.add(n)
                    raise

    def _give_up(self, n: int, fault: str, connection: Transaction) -> None:
        """It is a person's now, who is told."""
        now, code = self._sources.clock(), "internal.error"
        raise_alarm(
            connection, key=f"posts/{code}/{now // DAY_MS}", at=now, code=code, subject=f"posts: {fault}"
        )
        store_posts.set_state(connection, n, store_posts.DRAFT)

    async def _pass_on(self, n: int | None, objects: Sequence[RawObject]) -> None:
        """To the rule, where there is one, and where it hasn't had that post."""
        post = None if n is None else await self._store.db.read(partial(store_posts.find, n=n))
        if post is None or post.state != store_posts.DUE:
            return
        if self._send is not None and objects:
            await self._send(post, objects)
        else:
            await self._store.db.write(partial(store_posts.set_state, n=post.n, state=store_posts.DRAFT))

    def _stored(self, n: int, connection: Transaction) -> list[tuple[Tlp, bytes]]:
        """Label and bytes of each object of a post."""
        classes = rows.classes(connection, self._store.cipher)
        found = pages.of_source(connection, self._store.cipher, -n)
        return [(classes[class_n].tlp, data) for _, class_n, data in found]

    def _write(
        self,
        taken: Taken,
        n: int | None,
        chunk: Sequence[Sound],
        connection: Transaction,
        *,
        before: Done | None,
    ) -> tuple[int, Done]:
        """Store a piece of the post `n`, None for one that begins; the last comes with what was done `before` it."""
        if n is None:
            state = store_posts.DRAFT if self._send is None else store_posts.DUE
            n = store_posts.add(connection, taken.id, access=taken.access.n, at=taken.at, state=state)
        done = self._store_all(connection, taken, n, chunk)
        if before is not None:
            status = _status(taken, before + done)
            store_posts.set_status(connection, self._store.cipher, taken.id, status)
            if not (before + done).new:  # nothing to send
                store_posts.set_state(connection, n, store_posts.DRAFT)
            who = f"{taken.access.kind.value}:{taken.access.name}"
            store_access.append(connection, at=taken.at, who=who, action="taxii-post", what=taken.id)
        return n, done

    def _store_all(self, connection: Transaction, taken: Taken, n: int, chunk: Sequence[Sound]) -> Done:
        cipher, keys, done = self._store.cipher, self._collections.keys, Done()
        access, now = taken.access, taken.at
        # what is there for an exercise isn't there for work, and the other way round
        drafts = [
            c
            for c, facts in rows.classes(connection, cipher).items()
            if facts.draft and bool(facts.exercise_id) is access.exercise
        ]
        numbers: dict[Facts, int] = {}
        for raw, head, pap in chunk:
            if head is None:
                moment = taxii.to_timestamp(now * 1_000)
                done.failures.append(_detail(raw.id, moment, "stix.not-an-object: no usable id"))
                continue
            version = head.version or taxii.to_timestamp(now * 1_000)
            there = pages.standing(connection, keys, head, drafts)
            same = keys.of(b"bytes", raw.data) in there
            if there and head.moment is not None and not same:
                why = "taxii.taken: another object has this id and version"
                done.failures.append(_detail(head.id, version, why))
                continue
            if not same:
                facts = self._facts(access, raw, pap)
                if facts not in numbers:
                    numbers[facts] = rows.class_of(connection, cipher, keys, facts)
                    drafts = list({*drafts, numbers[facts]})
                rows.add_source(connection, -n, ends=None)
                rows.add(connection, cipher, keys, -n, [Item(head, numbers[facts], raw.data)], now=now)
                done.new.append(raw)
            done.successes.append(_detail(head.id, version))
        return done

    def _facts(self, access: Access, raw: RawObject, pap: Pap | None) -> Facts:
        return Facts(
            kind=KIND,
            sender=self._identity.address,
            tlp=raw.tlp or DEFAULT,
            pap=pap,
            exercise_id=EXERCISE if access.exercise else None,
            draft=True,
            by=access.name,
        )

    async def delete(self, access: Access, where: Collection, asked: Asked) -> None:
        """Delete the versions asked for of an object. Raises Refused taxii.no-object where there are none."""
        query = await self._collections.query(access, where, asked)
        now = self._sources.clock()

        def write(connection: Transaction) -> None:
            if not pages.delete(connection, self._collections.keys, query):
                raise Refused("taxii.no-object")
            who = f"{access.kind.value}:{access.name}"
            what = b64(self._collections.keys.digest(b"logged", (asked.ids or ("",))[0].encode())[:12])
            store_access.append(connection, at=now, who=who, action="taxii-delete", what=what)

        await self._store.db.write(write)


def _read(data: bytes) -> tuple[Posted, list[Sound]]:
    posted = taxii.read_envelope(data, MOST)
    pairs = [(raw, parse(raw.data)) for raw in posted.loaded.accepted]
    paps = _paps([value for _, value in pairs])
    return posted, [(raw, taxii.head_of(value), pap) for (raw, value), pap in zip(pairs, paps, strict=True)]


def _labelled(stored: Sequence[tuple[int, int, bytes]]) -> list[tuple[int, int, Pap | None]]:
    """Of each object of a post when it was added, its class, and its label of PAP."""
    paps = _paps([parse(data) for _, _, data in stored])
    return [(added, class_n, pap) for (added, class_n, _), pap in zip(stored, paps, strict=True)]


def _paps(values: Sequence[object]) -> list[Pap | None]:
    """The label of PAP of each object of a post, which may define labels for each other."""
    known: dict[str, Pap] = {}
    for value in values:
        permissions.collect_definition(value, known)
    return [permissions.pap_of(value, known) if isinstance(value, dict) else None for value in values]


def _read_again(stored: Sequence[tuple[Tlp, bytes]]) -> list[RawObject]:
    """The objects of a post as they were read when it came, with the label that they had then.

    What defined that label may have come in another post, so an object that refers to any has it whatever it says.
    """
    found = []
    for label, data in stored:
        raw, value = read_object(data), parse(data)
        refers = isinstance(value, dict) and [*markings.marking_refs(value), *markings.granular_refs(value)]
        said = refers or raw.tlp is not None or label is not DEFAULT
        found.append(replace(raw, tlp=label, marked=True) if said else raw)
    return found


def _refused(one: SetAside, posted: Posted, taken: Taken) -> dict[str, str]:
    version = posted.versions.get(one.object) or taxii.to_timestamp(taken.at * 1_000)
    return _detail(one.object, version, f"{one.code}: {one.reason}")


def _detail(id_: str, version: str, message: str = "") -> dict[str, str]:
    detail = {"id": id_, "version": version}
    return detail | ({"message": message[:MAX_REASON]} if message else {})


def _status(taken: Taken, done: Done) -> bytes:
    status: Mapping[str, Any] = {
        "id": taken.id,
        "status": "complete",
        "request_timestamp": taxii.to_timestamp(taken.at * 1_000),
        "total_count": taken.total,
        "success_count": len(done.successes),
        **({"successes": done.successes} if done.successes else {}),
        "failure_count": len(done.failures),
        **({"failures": done.failures} if done.failures else {}),
        "pending_count": 0,
    }
    return orjson.dumps(status)
