"""What the tests of envelopes share: three members that know each other, and the shortest way to seal and open.

Owns no assertion. Sealing with a flaw is tests/vectors/makers/sealing.py's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from exchange.canonical import sha256
from exchange.content import STIX, Meta, pack_content
from exchange.envelope import HeldPrekey, Opened, Recipient, Sealed, open_, seal
from exchange.errors import Hold
from exchange.header import DirRef
from exchange.keys import PublicKey
from exchange.limits import DAY_MS
from exchange.link import Link
from tests.worlds import NOW, keys, prekey_secret

NET = sha256(b"a network")
DIR = DirRef(5, sha256(b"root"), sha256(b"checkpoint"))
EXP = NOW + 3 * DAY_MS
DESTROY = NOW + 20 * DAY_MS
ID = "8c0e6b8a-6a0f-4c1d-9c61-0d6b3a7b1f42"
SENDER = "pe-csirt"


def kid(address: str) -> bytes:
    return sha256(b"kid of " + address.encode("ascii"))


def stream(seed: bytes = b"") -> Callable[[int], bytes]:
    """A source of bytes for `seal`, the same for the same seed."""
    state = [sha256(b"stream " + seed)]

    def take(size: int) -> bytes:
        state[0] = sha256(state[0])
        return hashlib.shake_128(state[0]).digest(size)

    return take


@dataclass(frozen=True)
class Known:
    """A directory that knows the members `names`, and has `size` leaves."""

    names: tuple[str, ...] = (SENDER, "co-csirt", "bb-csirt")
    size: int = 5

    def signing_key(self, address: str, skid: bytes) -> PublicKey:
        if address not in self.names:
            raise Hold("hold.unknown-sender")
        key = keys(address).public.signing
        if key.skid(NET) != skid:
            raise Hold("hold.unknown-key")
        return key


def held(known: bytes) -> HeldPrekey | None:
    """Every prekey of the three members."""
    for address in ("pe-csirt", "co-csirt", "bb-csirt"):
        if known == kid(address):
            return HeldPrekey(prekey_secret(address, 0), DESTROY)
    return None


def recipient(address: str, link: Link | None = None) -> Recipient:
    return Recipient(address, kid(address), prekey_secret(address, 0).public, link or Link(bytes(16), 1))


def a_meta(**changed: object) -> Meta:
    values = {"type": STIX, "id": ID, "lane": "priority", "created": NOW, "expires": NOW + 9 * DAY_MS}
    return Meta(**{**values, **changed})


def sealed(
    content: bytes | None = None,
    to: Sequence[Recipient] | None = None,
    *,
    lane: str = "priority",
    compress: bool = False,
    iat: int = NOW,
    exp: int = EXP,
    seed: bytes = b"",
) -> Sealed:
    return seal(
        net=NET,
        sender=SENDER,
        keys=keys(SENDER),
        content=pack_content(a_meta(lane=lane), b"{}") if content is None else content,
        lane=lane,
        compress=compress,
        recipients=[recipient("co-csirt")] if to is None else to,
        dir_ref=DIR,
        iat=iat,
        exp=exp,
        random=stream(seed),
    )


def opened(data: bytes, *, me: str = "co-csirt", now: int = NOW, directory: Known | None = None) -> Opened:
    return open_(data, net=NET, me=me, directory=directory or Known(), prekeys=held, now=now)
