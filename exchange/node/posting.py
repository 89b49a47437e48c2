"""Owns what a tool posts to the writable collection, and deletes from it: each object by itself, in one transaction.

What is posted waits as a draft until a person makes a message of it. A repeat of what is there succeeds and adds
nothing; another object under an id and version that are taken is refused, for one of the two would be lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import orjson

from exchange.access import Access
from exchange.canonical import b64
from exchange.errors import Refused
from exchange.formats import taxii
from exchange.formats.json_spans import Limits, parse
from exchange.formats.objects import RawObject
from exchange.formats.taxii import Head, Posted
from exchange.node import store_access, store_posts
from exchange.node import store_taxii as rows
from exchange.node import store_taxii_page as pages
from exchange.node.collections import Asked, Collection, Collections
from exchange.node.identity import Identity, Sources
from exchange.node.store import Store, Transaction
from exchange.node.store_taxii import Facts, Item
from exchange.tlp import DEFAULT

KIND: Final = "draft"
EXERCISE: Final = "draft"  # of what a right for exercises posts: no exercise's id is known of it
MAX_REASON: Final = 200  # characters of why an object was not taken


@dataclass(frozen=True, slots=True)
class Taken:
    """A post that was read: under which id it is answered, when (ms), what of it is sound, why not the rest.

    `heads`: of each object what TAXII knows of it, None for one without a usable id.
    """

    id: str
    at: int
    objects: tuple[RawObject, ...]
    heads: tuple[Head | None, ...]
    failures: list[dict[str, str]]
    total: int


class Posting:
    """Takes posts and deletions. One per process that owns the home."""

    def __init__(
        self,
        store: Store,
        identity: Identity,
        collections: Collections,
        sources: Sources,
        *,
        send: Callable[[str, tuple[RawObject, ...]], Awaitable[None]],
    ) -> None:
        """`send(id, objects)`: the rule by which a post goes on at once."""
        self._store = store
        self._send = send
        self._identity = identity
        self._collections = collections
        self._sources = sources

    async def post(self, access: Access, data: bytes) -> bytes:
        """Take an envelope; the TAXII status (§4.3.1), which is complete. Raises Refused taxii.bad-envelope, json.*"""
        posted, heads = await asyncio.to_thread(_read, data)
        id_, now = self._sources.new_id(), self._sources.clock()
        failures = [
            _detail(
                one.object,
                posted.versions.get(one.object) or taxii.to_timestamp(now * 1_000),
                f"{one.code}: {one.reason}",
            )
            for one in posted.loaded.set_aside
        ]
        taken = Taken(id_, now, posted.loaded.accepted, heads, failures, posted.total)
        write = partial(self._write, access, taken)
        status, new = await self._store.db.write(write, size=len(data))
        await self._send(id_, new)
        return status

    def _write(
        self, access: Access, taken: Taken, connection: Transaction
    ) -> tuple[bytes, tuple[RawObject, ...]]:
        cipher, keys = self._store.cipher, self._collections.keys
        id_, now = taken.id, taken.at
        n = store_posts.add(connection, id_, access=access.n, at=now)
        drafts = [c for c, facts in rows.classes(connection, cipher).items() if facts.draft]
        successes, failures, new = [], list(taken.failures), list[RawObject]()
        numbers: dict[Facts, int] = {}
        for raw, head in zip(taken.objects, taken.heads, strict=True):
            if head is None:
                failures.append(
                    _detail(raw.id, taxii.to_timestamp(now * 1_000), "stix.not-an-object: no usable id")
                )
                continue
            version = head.version or taxii.to_timestamp(now * 1_000)
            there = pages.standing(connection, keys, head, drafts)
            same = keys.of(b"bytes", raw.data) in there
            if there and head.moment is not None and not same:
                failures.append(
                    _detail(head.id, version, "taxii.taken: another object has this id and version")
                )
                continue
            if not same:
                facts = self._facts(access, raw)
                if facts not in numbers:
                    numbers[facts] = rows.class_of(connection, cipher, keys, facts)
                    drafts = list({*drafts, numbers[facts]})
                rows.add_source(connection, -n, ends=None)
                rows.add(connection, cipher, keys, -n, [Item(head, numbers[facts], raw.data)], now=now)
                new.append(raw)
            successes.append(_detail(head.id, version))
        status = _status(taken, successes, failures)
        store_posts.set_status(connection, cipher, id_, status)
        who = f"{access.kind.value}:{access.name}"
        store_access.append(connection, at=now, who=who, action="taxii-post", what=id_)
        return status, tuple(new)

    def _facts(self, access: Access, raw: RawObject) -> Facts:
        return Facts(
            kind=KIND,
            sender=self._identity.address,
            tlp=raw.tlp or DEFAULT,
            pap=None,
            exercise_id=EXERCISE if access.exercise else None,
            draft=True,
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


def _read(data: bytes) -> tuple[Posted, tuple[Head | None, ...]]:
    posted = taxii.read_envelope(data, Limits())
    return posted, tuple(taxii.head_of(parse(raw.data)) for raw in posted.loaded.accepted)


def _detail(id_: str, version: str, message: str = "") -> dict[str, str]:
    detail = {"id": id_, "version": version}
    return detail | ({"message": message[:MAX_REASON]} if message else {})


def _status(taken: Taken, successes: list[dict[str, str]], failures: list[dict[str, str]]) -> bytes:
    status: Mapping[str, Any] = {
        "id": taken.id,
        "status": "complete",
        "request_timestamp": taxii.to_timestamp(taken.at * 1_000),
        "total_count": taken.total,
        "success_count": len(successes),
        **({"successes": successes} if successes else {}),
        "failure_count": len(failures),
        **({"failures": failures} if failures else {}),
        "pending_count": 0,
    }
    return orjson.dumps(status)
