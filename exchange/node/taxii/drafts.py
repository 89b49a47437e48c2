"""Owns what people do with posts that wait as drafts: list them, take one out as a file, drop it.

Works beside the process that serves. What may be posted is posting.py's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Final

from exchange.errors import Refused
from exchange.node.identity import Sources
from exchange.node.store import (
    access as store_access,
    posts as store_posts,
    rights as store_rights,
    taxii as rows,
    taxii_page as pages,
)
from exchange.node.store.store import Store, Transaction

MOST: Final = 1_000
MIN_BEGINNING: Final = 4


@dataclass(frozen=True, slots=True)
class Draft:
    """A post that waits: its id, the name of the right it came by, when (ms), how many objects are left of it."""

    id: str
    by: str
    at: int
    objects: int


@dataclass(frozen=True, slots=True)
class Bundle:
    """A draft as a STIX bundle, and how many objects it has."""

    id: str
    objects: int
    bundle: bytes


def listed(store: Store) -> list[Draft]:
    """Newest first."""

    def read(connection: Transaction) -> list[Draft]:
        names = {one.n: one.name for one in store_rights.listed(connection)}
        found = store_posts.listed(connection, limit=MOST)
        return [Draft(one.id, names.get(one.access, ""), one.at, one.objects) for one in found]

    return store.db.read_sync(read)


def taken_out(store: Store, sources: Sources, beginning: str, *, who: str) -> Bundle:
    """A draft's objects, byte for byte; the access log says who took them. Raises as `dropped`."""
    now = sources.clock()

    def write(connection: Transaction) -> Bundle:
        post = _find(connection, beginning)
        objects = pages.of_source(connection, store.cipher, -post.n)
        store_access.append(connection, at=now, who=who, action="draft-export", what=post.id)
        bundle = b'{"type":"bundle","id":"bundle--%b","objects":[%b]}' % (
            post.id.encode(),
            b",".join(objects),
        )
        return Bundle(post.id, len(objects), bundle)

    return store.db.write_sync(write)


def dropped(store: Store, sources: Sources, beginning: str, *, who: str) -> str:
    """Delete a draft's objects; its id. Raises Refused cli.unknown-id, cli.ambiguous-id, cli.usage."""
    return store.db.write_sync(partial(_drop, sources.clock(), beginning, who))


def _drop(now: int, beginning: str, who: str, connection: Transaction) -> str:
    post = _find(connection, beginning)
    rows.drop_source(connection, -post.n)
    store_posts.set_state(connection, post.n, store_posts.DROPPED)
    store_access.append(connection, at=now, who=who, action="draft-drop", what=post.id)
    return post.id


def _find(connection: Transaction, beginning: str) -> store_posts.Post:
    if len(beginning) < MIN_BEGINNING:
        raise Refused("cli.usage", f"give at least {MIN_BEGINNING} characters of the id")
    found = [
        one for one in store_posts.listed(connection, limit=MOST) if one.id.startswith(beginning.lower())
    ]
    if not found:
        raise Refused("cli.unknown-id", "no draft has an id that begins so")
    if len(found) > 1:
        raise Refused("cli.ambiguous-id", "more than one draft has an id that begins so")
    return found[0]
