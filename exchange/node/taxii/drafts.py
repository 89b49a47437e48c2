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
    taxii as rows,
    taxii_page as pages,
)
from exchange.node.store.posts import Post
from exchange.node.store.store import Store, Transaction

MOST: Final = 1_000  # listed at once
MIN_BEGINNING: Final = 4


@dataclass(frozen=True, slots=True)
class Draft:
    """A post that waits: its id, the name of the right it came by, when (ms), how many objects are left of it.

    `exercise`: by a right for exercises. `due`: for the rule of config.toml, while the server runs; else for a person.
    """

    id: str
    by: str
    at: int
    objects: int
    exercise: bool
    due: bool


@dataclass(frozen=True, slots=True)
class Bundle:
    """A draft as a STIX bundle, and how many objects it has."""

    id: str
    objects: int
    bundle: bytes


def listed(store: Store, *, limit: int = MOST) -> list[Draft]:
    """The newest, newest first."""
    return [_draft(one) for one in store.db.read_sync(partial(store_posts.listed, limit=limit))]


def count(store: Store) -> int:
    """How many there are."""
    return store.db.read_sync(store_posts.count)


def _draft(post: Post) -> Draft:
    return Draft(post.id, post.by, post.at, post.objects, post.exercise, due=post.state == store_posts.DUE)


def taken_out(store: Store, sources: Sources, beginning: str, *, who: str, exercise: bool = False) -> Bundle:
    """A draft's objects, byte for byte; the access log says who took them. `exercise`: it is meant for one.

    Raises as `dropped`; Refused release.exercise, release.not-an-exercise where it is the other kind of draft.
    """
    now = sources.clock()

    def write(connection: Transaction) -> Bundle:
        post = _find(connection, beginning)
        if post.exercise is not exercise:
            raise Refused("release.exercise" if post.exercise else "release.not-an-exercise")
        objects = [data for _, _, data in pages.of_source(connection, store.cipher, -post.n)]
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


def _find(connection: Transaction, beginning: str) -> Post:
    if len(beginning) < MIN_BEGINNING:
        raise Refused("cli.usage", f"give at least {MIN_BEGINNING} characters of the id")
    found = store_posts.beginning(connection, beginning.lower(), limit=2)
    if not found:
        raise Refused("cli.unknown-id", "no draft has an id that begins so")
    if len(found) > 1:
        raise Refused("cli.ambiguous-id", "more than one draft has an id that begins so")
    return found[0]
