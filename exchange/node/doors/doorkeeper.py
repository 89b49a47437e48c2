"""Owns who comes in at the HTTP door: a token, a password or a client's certificate becomes a right of entry, or none.

Rights are looked up for each request, so that one that was revoked ends at once. What a right is for is its scopes'
business (exchange/access.py), how often one may fail the edge's.
"""

from __future__ import annotations

import asyncio
import hmac
from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Final

from exchange.access import (
    SALT_BYTES,
    SECRET_BYTES,
    Access,
    Kind,
    Scope,
    check_name,
    make_token,
    password_fits,
    password_hash,
    token_hash,
)
from exchange.canonical import sha256
from exchange.errors import Refused, Rejected
from exchange.node.identity import Sources
from exchange.node.store import access as store_access, rights as store_rights
from exchange.node.store.store import Store, Transaction

SLOW_AT_ONCE: Final = 2  # passwords being checked: each takes 32 MiB
_REMEMBERED: Final = 256  # passwords that were right, by a keyed hash


@dataclass(frozen=True, slots=True)
class Grant:
    """A right that is to be given. `password`, `certificate` (DER): what proves it; without either it is a token."""

    name: str
    scopes: frozenset[Scope]
    collections: frozenset[str] = frozenset()
    exercise: bool = False
    passive: bool = False
    until: int | None = None
    password: str | None = None
    certificate: bytes | None = None


class Doorkeeper:
    """Gives and takes rights, and says whose one is. One per process."""

    def __init__(self, store: Store, sources: Sources) -> None:
        self._store = store
        self._sources = sources
        self._slow = asyncio.Semaphore(SLOW_AT_ONCE)
        self._key = sources.random(SECRET_BYTES)
        self._right: OrderedDict[bytes, None] = OrderedDict()
        self._checking: dict[bytes, asyncio.Task[bool]] = {}
        self._nobody: bytes | None = None

    async def by_token(self, token: str) -> Access:
        """Raises Rejected access.unknown."""
        digest = token_hash(token)
        return await self._by_secret(Kind.TOKEN, digest)

    async def by_certificate(self, der: bytes) -> Access:
        """Whose certificate it is; that its key was shown is TLS's business. Raises Rejected access.unknown."""
        return await self._by_secret(Kind.CERTIFICATE, sha256(der))

    async def by_password(
        self, name: str, password: str, *, slow: Callable[[], AbstractContextManager[None]]
    ) -> Access:
        """A token is taken for a password too: many tools know names and passwords only.

        `slow()` is entered for a check that takes its time, may refuse it, and learns by Rejected that it failed; a
        password that was right before needs none, and many at once with the same need one.
        Raises Rejected access.unknown, and what `slow` raises.
        """
        if token_hash(password) is not None:
            return await self.by_token(password)
        found = await self._store.db.read(partial(store_rights.by_name, name=name))
        access, kept = found or (None, self._decoy())
        who = sha256(
            name.encode("utf-8")
        )  # or names that aren't there would be known by sharing the decoy's check
        mark = hmac.digest(self._key, who + kept + password.encode("utf-8"), "sha256")
        if mark in self._right:
            self._right.move_to_end(mark)
        elif mark in self._checking:
            await _must(self._checking[mark])
        else:
            with slow():
                checking = self._checking[mark] = asyncio.create_task(self._check(mark, password, kept))
                checking.add_done_callback(lambda _: self._checking.pop(mark, None))
                await _must(checking)
        if access is None:
            raise Rejected("access.unknown")
        return self._standing(access)

    async def still(self, access: Access) -> Access:
        """The right as it is now, for what lasts longer than a request. Raises Rejected access.unknown."""
        found = await self._store.db.read(partial(store_rights.by_number, n=access.n))
        if found is None:
            raise Rejected("access.unknown")
        return self._standing(found)

    async def _by_secret(self, kind: Kind, digest: bytes | None) -> Access:
        if digest is None:
            raise Rejected("access.unknown")
        access = await self._store.db.read(partial(store_rights.by_secret, kind=kind, secret=digest))
        if access is None:
            raise Rejected("access.unknown")
        return self._standing(access)

    def _standing(self, access: Access) -> Access:
        if not access.stands(self._sources.clock()):
            raise Rejected("access.unknown")
        return access

    async def _check(self, mark: bytes, password: str, kept: bytes) -> bool:
        """A password that was right is known again by a hash under a key that only this process has."""
        async with self._slow:
            fits = await asyncio.to_thread(password_fits, password, kept)
        if fits:
            self._right[mark] = None
            if len(self._right) > _REMEMBERED:
                self._right.popitem(last=False)
        return fits

    def _decoy(self) -> bytes:
        """What the password of a name that isn't there is compared with: it takes as long, and never fits."""
        if self._nobody is None:
            self._nobody = self._sources.random(SALT_BYTES + 32)
        return self._nobody


async def _must(checking: asyncio.Task[bool]) -> None:
    """Others may wait for it too, also when this one gives up. Raises Rejected access.unknown."""
    if not await asyncio.shield(checking):
        raise Rejected("access.unknown")


def give(store: Store, sources: Sources, grant: Grant, *, who: str) -> tuple[Access, str]:
    """Give a right, durably; what was given, and the token, which is shown once ("" for the other kinds).

    Raises Refused access.bad-name, access.bad-password, access.taken, access.too-many, access.past.
    """
    check_name(grant.name)
    now, token = sources.clock(), ""
    if grant.until is not None and grant.until <= now:
        raise Refused("access.past")
    if grant.password is not None:
        kind, secret = Kind.PASSWORD, password_hash(grant.password, sources.random(SALT_BYTES))
    elif grant.certificate is not None:
        kind, secret = Kind.CERTIFICATE, sha256(grant.certificate)
    else:
        token = make_token(sources.random(SECRET_BYTES))
        kind, secret = Kind.TOKEN, sha256(token.encode("ascii"))
    access = Access(
        n=0,
        name=grant.name,
        kind=kind,
        scopes=grant.scopes,
        collections=grant.collections,
        exercise=grant.exercise,
        passive=grant.passive,
        until=grant.until,
        created_at=now,
        created_by=who,
    )

    def write(connection: Transaction) -> None:
        if store_rights.count(connection) >= store_rights.MOST:
            raise Refused("access.too-many")
        if not store_rights.add(connection, access, secret):
            raise Refused("access.taken")
        store_access.append(connection, at=now, who=who, action="access-give", what=grant.name)

    store.db.write_sync(write)
    return access, token


def take(store: Store, sources: Sources, name: str, *, who: str) -> None:
    """End a right at once. Raises Refused access.no-such."""
    now = sources.clock()

    def write(connection: Transaction) -> None:
        if not store_rights.revoke(connection, name, at=now):
            raise Refused("access.no-such")
        store_access.append(connection, at=now, who=who, action="access-revoke", what=name)

    store.db.write_sync(write)
