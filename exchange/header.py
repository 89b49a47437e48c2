"""The envelope's header: the part the hub sees (docs/protocol.md §4.1). Parses and writes it; verifies no signature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Final

from exchange.attachment import Blob
from exchange.canonical import ADDRESS, Fields, Json, b64, dumps, h, loads, unb64
from exchange.errors import Rejected
from exchange.limits import MAX_ATTACHMENTS, MAX_BLOB, MAX_BODY, MAX_HEADER, MAX_RECIPIENTS

SUITE: Final = "EX1"
LANES: Final = ("flash", "immediate", "priority", "routine")  # in strict order of service
_PRE: Final = ("blobs", "dir", "exp", "from", "iat", "lane", "net", "skid", "suite", "to", "v")
_CORE: Final = (*_PRE, "pc")
_HEADER: Final = (*_CORE, "bh", "bl", "wh")


@dataclass(frozen=True)
class DirRef:
    """What a signer knew of the directory log: size, RFC 9162 root, H("checkpoint", body, signature)."""

    size: int
    root: bytes
    checkpoint: bytes

    def to_json(self) -> Json:
        return [self.size, b64(self.root), b64(self.checkpoint)]

    @classmethod
    def read(cls, fields: Fields, name: str) -> DirRef:
        """From member `name` of a closed object. Raises Rejected json.bad-schema."""
        size, root, checkpoint = fields.items(name, least=3, most=3)
        if type(size) is not int or size < 1:
            raise Rejected("json.bad-schema", f"{name}: size must be a positive integer")
        return cls(size, unb64(root, size=32, field=name), unb64(checkpoint, size=32, field=name))


@dataclass(frozen=True)
class Pre:
    """The first members of a header, known before the content is committed to. Times in ms."""

    net: bytes
    sender: str
    skid: bytes
    iat: int
    exp: int
    lane: str
    to: tuple[tuple[str, bytes], ...]
    dir: DirRef
    blobs: tuple[Blob, ...] = ()

    def to_json(self) -> dict[str, Json]:
        return {
            "blobs": [[b64(digest), length] for digest, length in self.blobs],
            "dir": self.dir.to_json(),
            "exp": self.exp,
            "from": self.sender,
            "iat": self.iat,
            "lane": self.lane,
            "net": b64(self.net),
            "skid": b64(self.skid),
            "suite": SUITE,
            "to": [[address, b64(kid)] for address, kid in self.to],
            "v": 1,
        }


@dataclass(frozen=True)
class Header:
    """A whole header; `raw` are the signed bytes. Built by `Header.build` or `parse_header` only."""

    pre: Pre
    pc: bytes
    wh: tuple[bytes, ...]
    bh: bytes
    bl: int
    raw: bytes

    @classmethod
    def build(cls, pre: Pre, *, pc: bytes, wh: Sequence[bytes], bh: bytes, bl: int) -> Header:
        whole = {
            **pre.to_json(),
            "pc": b64(pc),
            "wh": [b64(digest) for digest in wh],
            "bh": b64(bh),
            "bl": bl,
        }
        return cls(pre, pc, tuple(wh), bh, bl, dumps(whole))

    @property
    def sender(self) -> str:
        return self.pre.sender

    @property
    def skid(self) -> bytes:
        return self.pre.skid

    @property
    def net(self) -> bytes:
        return self.pre.net

    @property
    def iat(self) -> int:
        return self.pre.iat

    @property
    def exp(self) -> int:
        return self.pre.exp

    @property
    def lane(self) -> str:
        return self.pre.lane

    @property
    def to(self) -> tuple[tuple[str, bytes], ...]:
        return self.pre.to

    @property
    def dir(self) -> DirRef:
        return self.pre.dir

    @property
    def blobs(self) -> tuple[Blob, ...]:
        return self.pre.blobs

    @property
    def recipients(self) -> tuple[str, ...]:
        return tuple(address for address, _ in self.pre.to)

    @cached_property
    def env(self) -> bytes:
        """The envelope id, H("env", header), 32 bytes."""
        return h(self.net, "env", self.raw)

    @cached_property
    def core_hash(self) -> bytes:
        """H("core", core): what wraps and body are bound to."""
        return h(self.net, "core", self._core)

    def commitment(self, salt: bytes, content: bytes) -> bytes:
        """What `pc` must be for that content."""
        before, name, rest = self._core.partition(b'"pc":"')
        # 43 characters of base64url, a quotation mark and a comma.
        pre = before + rest[45:] if name else b""
        return h(self.net, "pc", h(self.net, "pre", pre), salt, content)

    @cached_property
    def _core(self) -> bytes:
        """Signed JSON of core, cut from `raw`: members stand in the order of their names, and no text holds a `"`."""
        return b"{" + self.raw[self.raw.index(b'"blobs":') : self.raw.rindex(b',"wh":[')] + b"}"

    def position(self, address: str) -> int | None:
        """Index of `address` in `to`, None when it isn't a recipient."""
        for index, (recipient, _) in enumerate(self.pre.to):
            if recipient == address:
                return index
        return None


def commitment(pre: Pre, salt: bytes, content: bytes) -> bytes:
    """`pc`: the salted commitment to the plaintext, tied to sender and recipients (docs/protocol.md §4.2)."""
    return h(pre.net, "pc", h(pre.net, "pre", dumps(pre.to_json())), salt, content)


def core_hash(pre: Pre, pc: bytes) -> bytes:
    """H("core", core)."""
    return h(pre.net, "core", dumps({**pre.to_json(), "pc": b64(pc)}))


def parse_header(raw: bytes) -> Header:
    """Header from its bytes. Raises Rejected json.*, envelope.bad-header, .unknown-suite."""
    value = loads(raw, most=MAX_HEADER, field="header")
    if isinstance(value, dict) and isinstance(value.get("suite"), str) and value["suite"] != SUITE:
        raise Rejected("envelope.unknown-suite", f"suite {value['suite'][:16]} isn't {SUITE}")
    fields = Fields(value, _HEADER, what="header")
    fields.exactly("v", 1)
    fields.exactly("suite", SUITE)
    pre = Pre(
        net=fields.binary("net", 32),
        sender=fields.address("from"),
        skid=fields.binary("skid", 32),
        iat=fields.integer("iat"),
        exp=fields.integer("exp"),
        lane=fields.one_of("lane", LANES),
        to=_recipients(fields),
        dir=DirRef.read(fields, "dir"),
        blobs=_blobs(fields),
    )
    wh = tuple(
        unb64(digest, size=32, field="header.wh")
        for digest in fields.items("wh", least=len(pre.to), most=len(pre.to))
    )
    if pre.iat >= pre.exp:
        raise Rejected("envelope.bad-header", "exp must lie after iat")
    body_length = fields.integer("bl", most=MAX_BODY)
    return Header(pre, fields.binary("pc", 32), wh, fields.binary("bh", 32), body_length, raw)


def _recipients(fields: Fields) -> tuple[tuple[str, bytes], ...]:
    rows = fields.rows("to", 2, least=1, most=MAX_RECIPIENTS)
    to = []
    for address, kid in rows:
        if not isinstance(address, str) or not ADDRESS.match(address):
            raise Rejected("json.bad-schema", "header.to: not an address")
        to.append((address, unb64(kid, size=32, field="header.to")))
    if any(first[0] >= second[0] for first, second in pairwise(to)):
        raise Rejected("envelope.bad-header", "to must be sorted, each address once")
    return tuple(to)


def _blobs(fields: Fields) -> tuple[Blob, ...]:
    blobs = []
    for digest, length in fields.rows("blobs", 2, most=MAX_ATTACHMENTS):
        if type(length) is not int or not 1 <= length <= MAX_BLOB:
            raise Rejected("json.bad-schema", f"header.blobs: a length is 1..{MAX_BLOB}")
        blobs.append((unb64(digest, size=32, field="header.blobs"), length))
    if any(first[0] >= second[0] for first, second in pairwise(blobs)):
        raise Rejected("envelope.bad-header", "blobs must be sorted, each once")
    return tuple(blobs)
