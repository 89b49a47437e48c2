"""Receipts: signed Merkle batches of what happened to envelopes (docs/protocol.md §7). Does not store or send them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from exchange import merkle
from exchange.canonical import ADDRESS, ZERO32, Fields, Json, b64, dumps, loads, unb64, unb64_checked
from exchange.errors import Rejected
from exchange.header import SUITE, DirRef
from exchange.keys import RECEIPTS, PrivateKeys, PublicKey
from exchange.limits import MAX_RECEIPT_LEAVES

ACCEPTED: Final = "accepted"
EXPIRED: Final = "expired"
STORED: Final = "stored"
REJECTED: Final = "rejected"
HELD: Final = "held"
HUB: Final = "hub"
EVERYBODY: Final = "*"  # `to` of an accepted leaf
_BY_HUB: Final = frozenset({ACCEPTED, EXPIRED})
_STATUSES: Final = (ACCEPTED, EXPIRED, STORED, REJECTED, HELD)
_COARSE: Final = ("unreadable", "invalid", "policy", "expired")
SALT_BYTES: Final = 16
_MAX_LEAF: Final = 1_024  # bytes
_MAX_BODY: Final = 4_096  # bytes
_MAX_PATH: Final = 8  # 256 leaves

# A leaf as signed JSON spells it, a line each: members in order, b64 whose unused last bits are 0 (32 bytes, 16 bytes).
_B64_32 = "[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]"
_LEAVES = re.compile(
    r'^\{"code":"([a-z]{0,16})"'
    rf',"env":"({_B64_32})","lc":"({_B64_32})"'
    r',"salt":"([A-Za-z0-9_-]{21}[AQgw])"'
    rf',"status":"({"|".join(_STATUSES)})"'
    r',"to":"([a-z0-9/*-]{1,128})"\}$',
    re.MULTILINE,
)

KeyOf: TypeAlias = Callable[[str, bytes], PublicKey]

_UNREADABLE = frozenset({"envelope.unknown-prekey", "envelope.unwrap-failed", "envelope.body-undecryptable"})


def coarse(code: str) -> str:
    """The rejection the hub sees for a fine code (docs/protocol.md §7, last table)."""
    if code in _UNREADABLE:
        return "unreadable"
    if code == "envelope.outlives-prekey" or code.startswith(("policy.", "tlp.")):
        return "policy"
    return "expired" if code == "envelope.expired" else "invalid"


class Leaf(NamedTuple):
    """What happened to one recipient's copy. env, lc: 32 bytes; salt: 16 bytes; code: a coarse rejection or ""."""

    to: str
    env: bytes
    lc: bytes
    status: str
    code: str
    salt: bytes

    def to_bytes(self) -> bytes:
        return dumps(
            {
                "code": self.code,
                "env": b64(self.env),
                "lc": b64(self.lc),
                "salt": b64(self.salt),
                "status": self.status,
                "to": self.to,
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Leaf:
        """Inverse of `to_bytes`. Raises Rejected receipt.bad-format, json.*"""
        return read_leaves([data])[0]

    @classmethod
    def read(cls, data: bytes) -> Leaf:
        """Its form by the rules of signed JSON, one by one. Raises Rejected json.*"""
        fields = Fields(
            loads(data, most=_MAX_LEAF, field="leaf"),
            ("code", "env", "lc", "salt", "status", "to"),
            what="leaf",
        )
        return cls(
            to=fields.text("to"),
            env=fields.binary("env", 32),
            lc=fields.binary("lc", 32),
            status=fields.one_of("status", _STATUSES),
            code=fields.text("code"),
            salt=fields.binary("salt", SALT_BYTES),
        )


def read_leaves(rows: Sequence[bytes]) -> tuple[Leaf, ...]:
    """`Leaf.from_bytes` of each; the first that is wrong is named. Raises Rejected receipt.bad-format, json.*"""
    return tuple(map(_fitting, _in_their_one_spelling(rows) or map(Leaf.read, rows)))


def _in_their_one_spelling(rows: Sequence[bytes]) -> list[Leaf] | None:
    """All those rules for all leaves in one pattern; None where `Leaf.read` must say what is wrong."""
    try:
        text = b"\n".join(rows).decode("ascii")
    except UnicodeDecodeError:
        return None
    found = _LEAVES.findall(text)
    # as many lines as leaves, and each of them one: no leaf ends in the middle of a row
    if not len(found) == len(rows) == text.count("\n") + 1:
        return None
    code, env, lc, salt, status, to = zip(*found, strict=True)
    return list(map(Leaf, to, _column(env, 32), _column(lc, 32), status, code, _column(salt, SALT_BYTES)))


def _column(texts: Sequence[str], size: int) -> list[bytes]:
    """Checked b64 of `size` bytes each, read in one go: what fills a text up to four characters is cut off again."""
    fill = "A" * (-len(texts[0]) % 4)
    data = unb64_checked(fill.join((*texts, "")).encode("ascii"))
    width = len(data) // len(texts)
    return [data[start : start + size] for start in range(0, len(data), width)]


def _fitting(leaf: Leaf) -> Leaf:
    """The leaf. Raises Rejected receipt.bad-format."""
    whole = leaf.status == ACCEPTED
    if (
        (leaf.code not in _COARSE if leaf.status == REJECTED else leaf.code)
        or whole != (leaf.to == EVERYBODY)
        or (whole and leaf.lc != ZERO32)
    ):
        raise Rejected("receipt.bad-format", "status, code, to and lc don't fit together")
    if not whole and not ADDRESS.match(leaf.to):
        raise Rejected("receipt.bad-format", "to isn't an address")
    return leaf


def accepted(env: bytes, salt: bytes) -> Leaf:
    """The hub's leaf for an envelope it holds durably."""
    return Leaf(EVERYBODY, env, ZERO32, ACCEPTED, "", salt)


@dataclass(frozen=True)
class Batch:
    """A signed batch with all its leaves, as its signer keeps it."""

    body: bytes
    signatures: bytes
    leaves: tuple[bytes, ...]

    @property
    def skid(self) -> bytes:
        """The key that signed it, as it says itself, 32 bytes."""
        return _fields(self.body).binary("skid", 32)

    def upload(self) -> Json:
        """JSON form from a node to the hub."""
        return {
            "body": b64(self.body),
            "leaves": [b64(leaf) for leaf in self.leaves],
            "signatures": b64(self.signatures),
        }

    def proof(self, indexes: Sequence[int]) -> Json:
        """JSON form to a sender: these leaves, each with its path; if they are all, in order, the batch as it is."""
        if list(indexes) == list(range(len(self.leaves))):
            return self.upload()
        return {"body": b64(self.body), "leaves": self.disclosed(indexes), "signatures": b64(self.signatures)}

    def disclosed(self, indexes: Sequence[int]) -> list[Json]:
        """These leaves as a proof has them when it isn't the whole batch: [index, leaf, path]."""
        tree = merkle.levels([merkle.leaf_hash(leaf) for leaf in self.leaves])
        spelt = [[b64(node) for node in level] for level in tree]
        paths = merkle.every_path(spelt)
        return [[index, b64(self.leaves[index]), paths[index]] for index in indexes]


@dataclass(frozen=True)
class VerifiedBatch:
    """What a batch says, after every check held. `at` in ms; leaves: all (upload) or the disclosed ones (proof)."""

    signer: str
    skid: bytes
    number: int
    at: int
    dir: DirRef
    leaves: tuple[Leaf, ...]
    batch: Batch


def make_batch(
    *,
    net: bytes,
    signer: str,
    keys: PrivateKeys,
    number: int,
    dir_ref: DirRef,
    at: int,
    leaves: Sequence[Leaf],
) -> Batch:
    """Signs 1..256 leaves as batch `number` of `signer`; `at` in ms."""
    rows = tuple(leaf.to_bytes() for leaf in leaves)
    body = dumps(
        {
            "at": at,
            "batch": number,
            "dir": dir_ref.to_json(),
            "from": signer,
            "n": len(rows),
            "net": b64(net),
            "root": b64(merkle.root(rows)),
            "skid": b64(keys.public.signing.skid(net)),
            "suite": SUITE,
            "v": 1,
        }
    )
    return Batch(body, keys.sign(RECEIPTS, body), rows)


def verify_upload(net: bytes, value: Json, key_of: KeyOf) -> VerifiedBatch:
    """A node's batch, whole. `key_of(signer, skid)` gives the key or raises. Raises Rejected receipt.*, json.*."""
    head, fields = _head(net, value)
    given = fields.items("leaves", least=1, most=MAX_RECEIPT_LEAVES)
    return _verified(head, fields, _whole(head, given), key_of)


def verify_proof(net: bytes, value: Json, key_of: KeyOf) -> VerifiedBatch:
    """A proof as a sender gets it: some leaves, each with its path, or all. Raises Rejected receipt.*, json.*."""
    head, fields = _head(net, value)
    given = fields.items("leaves", least=1, most=MAX_RECEIPT_LEAVES)
    if is_whole(value):
        return _verified(head, fields, _whole(head, given), key_of)
    rows = []
    for index, text, steps in fields.rows("leaves", 3, least=1, most=MAX_RECEIPT_LEAVES):
        if type(index) is not int or type(steps) is not list or len(steps) > _MAX_PATH:
            raise Rejected("receipt.bad-format", "not [index, leaf, path]")
        leaf, path = unb64(text, field="leaves"), [unb64(step, size=32, field="path") for step in steps]
        if merkle.root_from_path(leaf, index, head.n, path) != head.root:
            raise Rejected("receipt.bad-root")
        rows.append(leaf)
    return _verified(head, fields, rows, key_of)


def is_whole(value: Json) -> bool:
    """Whether a proof has all leaves of its batch, and no paths. Only of one that has leaves."""
    return isinstance(value["leaves"][0], str)


def _whole(head: _Head, given: Sequence[Json]) -> list[bytes]:
    rows = [unb64(leaf, field="leaves") for leaf in given]
    if len(rows) != head.n or merkle.root(rows) != head.root:
        raise Rejected("receipt.bad-root")
    return rows


@dataclass(frozen=True)
class _Head:
    raw: bytes
    signer: str
    skid: bytes
    number: int
    n: int
    root: bytes
    at: int
    dir: DirRef


def _fields(body: bytes) -> Fields:
    names = ("at", "batch", "dir", "from", "n", "net", "root", "skid", "suite", "v")
    return Fields(loads(body, most=_MAX_BODY, field="batch"), names, what="batch")


def _head(net: bytes, value: Json) -> tuple[_Head, Fields]:
    outer = Fields(value, ("body", "leaves", "signatures"), what="receipts")
    raw = outer.binary("body")
    fields = _fields(raw)
    fields.exactly("v", 1)
    fields.exactly("suite", SUITE)
    if fields.binary("net", 32) != net:
        raise Rejected("receipt.other-network")
    head = _Head(
        raw=raw,
        signer=fields.address("from"),
        skid=fields.binary("skid", 32),
        number=fields.integer("batch", least=1),
        n=fields.integer("n", least=1, most=MAX_RECEIPT_LEAVES),
        root=fields.binary("root", 32),
        at=fields.integer("at"),
        dir=DirRef.read(fields, "dir"),
    )
    return head, outer


def _verified(head: _Head, outer: Fields, rows: Sequence[bytes], key_of: KeyOf) -> VerifiedBatch:
    signatures = outer.binary("signatures")
    key_of(head.signer, head.skid).verify(RECEIPTS, head.raw, signatures, code="receipt.bad-signature")
    leaves, by_hub = read_leaves(rows), head.signer == HUB
    for leaf in leaves:
        if (leaf.status in _BY_HUB) != by_hub or not (by_hub or leaf.to == head.signer):
            raise Rejected("receipt.wrong-signer", "this signer can't give this receipt")
    batch = Batch(head.raw, signatures, tuple(rows))
    return VerifiedBatch(head.signer, head.skid, head.number, head.at, head.dir, leaves, batch)
