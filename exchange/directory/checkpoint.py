"""Checkpoints: what the hub signs of the log's size and root, and how two views of it are compared (§9.6).

Owns their form, signature, age and comparison. The high-water mark is node/store/directory's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from exchange.canonical import Fields, Json, b64, dumps, h, loads
from exchange.errors import Rejected, Unavailable
from exchange.header import DirRef
from exchange.keys import CHECKPOINT, SIGNATURE_BYTES, PrivateKeys, PublicKey
from exchange.limits import STALE_CHECKPOINT_MS

_NAMES = ("accepts", "at", "net", "root", "size", "term", "v")
_MAX_BODY = 1_024  # bytes; a checkpoint has about 200


@dataclass(frozen=True)
class Checkpoint:
    """The log had `size` leaves with this RFC 9162 `root` at `at` (UTC ms), under the hub's `term`."""

    net: bytes
    term: int
    size: int
    root: bytes
    at: int

    def to_bytes(self) -> bytes:
        return dumps(
            {
                "accepts": [],
                "at": self.at,
                "net": b64(self.net),
                "root": b64(self.root),
                "size": self.size,
                "term": self.term,
                "v": 1,
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes, net: bytes) -> Checkpoint:
        """Inverse of `to_bytes`. Raises Rejected checkpoint.bad-format, also for another network's."""
        try:
            fields = Fields(loads(data, most=_MAX_BODY, field="checkpoint"), _NAMES, what="checkpoint")
            fields.exactly("v", 1)
            fields.exactly("net", b64(net))
            fields.exactly("accepts", [])
            return cls(
                net=net,
                term=fields.integer("term"),
                size=fields.integer("size", least=1),
                root=fields.binary("root", 32),
                at=fields.integer("at"),
            )
        except Rejected as fault:
            raise Rejected("checkpoint.bad-format", fault.detail) from None


class Hubs(Protocol):
    """What verifying asks of the log: the key of each term's hub."""

    def hub_key(self, term: int) -> PublicKey:
        """Raises Hold hold.directory-behind for a term that this log doesn't have yet."""


@dataclass(frozen=True)
class SignedCheckpoint:
    """A checkpoint's bytes with the hub's signature, not verified yet; two of them are evidence of a split view."""

    body: bytes
    signature: bytes

    @classmethod
    def sign(cls, checkpoint: Checkpoint, hub_keys: PrivateKeys) -> SignedCheckpoint:
        body = checkpoint.to_bytes()
        return cls(body, hub_keys.sign(CHECKPOINT, body))

    def claim(self, net: bytes) -> Checkpoint:
        """What it says, whoever signed it. Raises Rejected checkpoint.bad-format."""
        return Checkpoint.from_bytes(self.body, net)

    def verify(self, net: bytes, hubs: Hubs) -> Checkpoint:
        """What the hub of its term signed.

        Raises Rejected checkpoint.bad-format, checkpoint.bad-signature; Hold hold.directory-behind for a term that
        isn't known here yet.
        """
        checkpoint = self.claim(net)
        key = hubs.hub_key(checkpoint.term)
        key.verify(CHECKPOINT, self.body, self.signature, code="checkpoint.bad-signature")
        return checkpoint

    def hash(self, net: bytes) -> bytes:
        """H("checkpoint", body, signature), 32 bytes: the last part of a `dir`."""
        return h(net, "checkpoint", self.body, self.signature)

    def ref(self, net: bytes) -> DirRef:
        """The `dir` of whoever holds this as its newest. Raises Rejected checkpoint.bad-format."""
        checkpoint = self.claim(net)
        return DirRef(checkpoint.size, checkpoint.root, self.hash(net))

    def to_json(self) -> dict[str, Json]:
        return {"body": b64(self.body), "signature": b64(self.signature)}

    @classmethod
    def from_json(cls, value: Json) -> SignedCheckpoint:
        """Inverse of `to_json`. Raises Rejected checkpoint.bad-format."""
        try:
            fields = Fields(value, ("body", "signature"), what="checkpoint")
            return cls(fields.binary("body"), fields.binary("signature", SIGNATURE_BYTES))
        except Rejected as fault:
            raise Rejected("checkpoint.bad-format", fault.detail) from None


class Roots(Protocol):
    """What comparing asks of the log that this side holds."""

    @property
    def size(self) -> int: ...

    def root(self, size: int) -> bytes: ...


def check_consistent(
    held: SignedCheckpoint | None, offered: SignedCheckpoint, log: Roots, net: bytes
) -> None:
    """Do two verified checkpoints and the log tell one story, whichever is older?

    `held` is the newest one of the own log. Beyond the log's size nothing can be said yet: fetch the leaves, compare
    again. Nor does the hub of one term answer for what that of another signed. Raises Rejected directory.split with
    both as facts `held` and `offered`.
    """
    newer = offered.claim(net)
    own = held.claim(net) if held else None
    if own is not None and own.term != newer.term:
        return
    same_size_differs = own is not None and own.size == newer.size and own.root != newer.root
    if same_size_differs or (newer.size <= log.size and log.root(newer.size) != newer.root):
        raise Rejected("directory.split", held=held, offered=offered)


def compare(held: SignedCheckpoint | None, offered: SignedCheckpoint, log: Roots, net: bytes) -> None:
    """May the hub's newest checkpoint, verified, follow the highest one `held`? (docs/protocol.md §9.6)

    Raises Rejected directory.split, or directory.rollback when its term is older or it is shorter, with facts `held`
    and `offered`.
    """
    check_consistent(held, offered, log, net)
    if held and _rank(offered.claim(net)) < _rank(held.claim(net)):
        raise Rejected("directory.rollback", held=held, offered=offered)


def _rank(checkpoint: Checkpoint) -> tuple[int, int]:
    return checkpoint.term, checkpoint.size


def check_fresh(checkpoint: Checkpoint, now: int) -> None:
    """New keys are taken only while the newest checkpoint is at most 24 h old; `now` in UTC ms.

    Raises Unavailable directory.stale-checkpoint.
    """
    if now - checkpoint.at > STALE_CHECKPOINT_MS:
        raise Unavailable("directory.stale-checkpoint", at=checkpoint.at)
