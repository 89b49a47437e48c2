"""What is inside an envelope: a small frame and a payload (docs/protocol.md §5), and the control payloads.

STIX payloads are message.py's and formats/'s; here they are bytes.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Final, TypeAlias

from exchange.attachment import Attachment, Blob, read_attachments
from exchange.canonical import Fields, Json, b64, dumps, loads, sha256, text_b64, u32, unb64
from exchange.disclosure import DisclosureInquiry, DisclosureRecord
from exchange.errors import Refused, Rejected
from exchange.header import LANES
from exchange.limits import MAX_CONTENT, MAX_CONTROL, MAX_META, MAX_STATEMENT_SIGNATURES, MAX_STIX

STIX: Final = "stix"
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")
_TYPE = re.compile(r"[a-z][a-z0-9-]{0,31}\Z")
_CODE = re.compile(r"[a-z0-9.-]{0,64}\Z")
_META: Final = ("created", "expires", "id", "lane", "reseal_of", "type", "v")
LEVELS: Final = ("opened", "acknowledged", "working", "declined", "rejected")
MAX_GAPS: Final = 1_000
MAX_NOTE: Final = 4_096  # bytes of UTF-8
MAX_PERSON: Final = 256
SEALED_LEVELS: Final = ("holders", "owner")  # of a part: what never touches the hub
REPLACED: Final = "replaced"  # why a number is void: what it carried goes, or went, under another
CONTROL: Final = "control"  # it carried nothing for people


@dataclass(frozen=True)
class Numbered:
    """One sealing's place: envelope id, chain (16 bytes) and number. Times and numbers as in docs/protocol.md §6."""

    env: bytes
    chain: bytes
    seq: int


@dataclass(frozen=True)
class Meta:
    """The frame around a payload. `created`, `expires` in ms; `attachments` sorted by blob, of `stix` only."""

    type: str
    id: str
    lane: str
    created: int
    expires: int
    reseal_of: Numbered | None = None
    attachments: tuple[Attachment, ...] = ()

    @property
    def blobs(self) -> tuple[Blob, ...]:
        """What the header of its envelope must name."""
        return tuple(one.sealed for one in self.attachments)

    def to_bytes(self) -> bytes:
        old = self.reseal_of
        value: dict[str, Json] = {
            "created": self.created,
            "expires": self.expires,
            "id": self.id,
            "lane": self.lane,
            "reseal_of": [b64(old.env), b64(old.chain), old.seq] if old else [],
            "type": self.type,
            "v": 1,
        }
        if self.attachments:
            value["attachments"] = [one.to_json() for one in self.attachments]
        return dumps(value)

    @classmethod
    def from_bytes(cls, data: bytes) -> Meta:
        value = loads(data, most=MAX_META, field="meta")
        attached = type(value) is dict and "attachments" in value and value.get("type") == STIX
        fields = Fields(value, (*_META, "attachments") if attached else _META, what="meta")
        fields.exactly("v", 1)
        meta = cls(
            type=fields.matching("type", _TYPE),
            id=fields.matching("id", UUID),
            lane=fields.one_of("lane", LANES),
            created=fields.integer("created"),
            expires=fields.integer("expires"),
            reseal_of=_numbered(fields.items("reseal_of", most=3)) if fields.raw("reseal_of") else None,
            attachments=read_attachments(fields, "attachments") if attached else (),
        )
        if fields.raw("reseal_of") != [] and meta.reseal_of is None:
            raise Rejected("json.bad-schema", "meta.reseal_of: neither [] nor a sealing")
        return meta


def _numbered(row: list[Json]) -> Numbered:
    if len(row) != 3 or type(row[2]) is not int or row[2] < 1:
        raise Rejected("json.bad-schema", "not [env, chain, link_seq]")
    env, chain = unb64(row[0], size=32, field="env"), unb64(row[1], size=16, field="chain")
    return Numbered(env, chain, row[2])


def pack_content(meta: Meta, payload: bytes) -> bytes:
    """u32 length || meta || payload. Raises Refused content.too-large."""
    head = meta.to_bytes()
    if len(payload) > (MAX_STIX if meta.type == STIX else MAX_CONTROL):
        raise Refused("content.too-large", f"{len(payload)} bytes of payload")
    return u32(len(head)) + head + payload


def unpack_content(content: bytes) -> tuple[Meta, bytes]:
    """Inverse of `pack_content`. Raises Rejected content.bad-frame, json.*; STIX over its limit: .bad-payload."""
    if not 4 <= len(content) <= MAX_CONTENT:
        raise Rejected("content.bad-frame")
    (size,) = struct.unpack_from(">I", content)
    if size > MAX_META or 4 + size > len(content):
        raise Rejected("content.bad-frame")
    meta, payload = Meta.from_bytes(content[4 : 4 + size]), content[4 + size :]
    if meta.type == STIX and len(payload) > MAX_STIX:
        raise Rejected("content.bad-payload", f"{len(payload)} bytes of STIX, at most {MAX_STIX}")
    return meta, payload


def same_message_hash(meta: Meta, payload: bytes) -> bytes:
    """Two contents under one message id are the same message where this is the same (docs/protocol.md §4.5)."""
    digest = sha256(payload)
    if not meta.attachments:
        return digest
    return sha256(digest + dumps([one.to_json() for one in meta.attachments]))


@dataclass(frozen=True)
class Status:
    """What people (or a node, for `rejected`) did with message `of`. `at` in ms."""

    of: str
    level: str
    person: str
    note: str
    code: str
    at: int

    type = "status"

    def to_payload(self) -> bytes:
        return dumps(
            {
                "at": self.at,
                "code": self.code,
                "level": self.level,
                "note": text_b64(self.note),
                "of": self.of,
                "person": text_b64(self.person),
                "v": 1,
            }
        )

    @classmethod
    def read(cls, value: Json) -> Status:
        fields = Fields(value, ("at", "code", "level", "note", "of", "person", "v"), what="status")
        fields.exactly("v", 1)
        return cls(
            fields.matching("of", UUID),
            fields.one_of("level", LEVELS),
            fields.human("person", most=MAX_PERSON),
            fields.human("note", most=MAX_NOTE),
            fields.matching("code", _CODE),
            fields.integer("at"),
        )


@dataclass(frozen=True)
class Missing:
    """Numbers a recipient lacks in one lane: (chain in which the gap was seen, first, last) each."""

    lane: str
    gaps: tuple[tuple[bytes, int, int], ...]

    type = "missing"

    def to_payload(self) -> bytes:
        gaps = [[b64(chain), first, last] for chain, first, last in self.gaps]
        return dumps({"gaps": gaps, "lane": self.lane, "v": 1})

    @classmethod
    def read(cls, value: Json) -> Missing:
        fields = Fields(value, ("gaps", "lane", "v"), what="missing")
        fields.exactly("v", 1)
        gaps = []
        for chain, first, last in fields.rows("gaps", 3, least=1, most=MAX_GAPS):
            if type(first) is not int or type(last) is not int or not 1 <= first <= last:
                raise Rejected("json.bad-schema", "missing.gaps: not first <= last")
            gaps.append((unb64(chain, size=16, field="missing.gaps"), first, last))
        return cls(fields.one_of("lane", LANES), tuple(gaps))


@dataclass(frozen=True)
class Void:
    """The sender's word that a number will not be filled, and why (a code)."""

    lane: str
    sealing: Numbered
    why: str

    type = "void"

    @property
    def is_loss(self) -> bool:
        """Whether the sender says that its reader lacks a message."""
        return self.why not in (REPLACED, CONTROL)

    def to_payload(self) -> bytes:
        old = self.sealing
        return dumps(
            {
                "chain": b64(old.chain),
                "env": b64(old.env),
                "lane": self.lane,
                "link_seq": old.seq,
                "v": 1,
                "why": self.why,
            }
        )

    @classmethod
    def read(cls, value: Json) -> Void:
        fields = Fields(value, ("chain", "env", "lane", "link_seq", "v", "why"), what="void")
        fields.exactly("v", 1)
        return cls(
            fields.one_of("lane", LANES),
            Numbered(
                fields.binary("env", 32), fields.binary("chain", 16), fields.integer("link_seq", least=1)
            ),
            fields.matching("why", _CODE),
        )


@dataclass(frozen=True)
class Restored:
    """Where a restored node stands in its reader's mail: (lane, last sealing it holds); absent lane: nothing."""

    positions: tuple[tuple[str, Numbered], ...]

    type = "restored"

    def to_payload(self) -> bytes:
        rows = [[lane, b64(at.chain), at.seq, b64(at.env)] for lane, at in self.positions]
        return dumps({"positions": rows, "v": 1})

    @classmethod
    def read(cls, value: Json) -> Restored:
        fields = Fields(value, ("positions", "v"), what="restored")
        fields.exactly("v", 1)
        positions: list[tuple[str, Numbered]] = []
        for lane, chain, seq, env in fields.rows("positions", 4, most=len(LANES)):
            if lane not in LANES or lane in dict(positions):
                raise Rejected("json.bad-schema", "restored.positions: each lane once")
            positions.append((lane, _numbered([env, chain, seq])))
        return cls(tuple(positions))


@dataclass(frozen=True)
class CheckpointNote:
    """A hub-signed checkpoint handed to a peer, as bytes: directory/checkpoint verifies it."""

    body: bytes
    signature: bytes

    type = "checkpoint"

    def to_payload(self) -> bytes:
        return dumps({"body": b64(self.body), "signature": b64(self.signature), "v": 1})

    @classmethod
    def read(cls, value: Json) -> CheckpointNote:
        fields = Fields(value, ("body", "signature", "v"), what="checkpoint")
        fields.exactly("v", 1)
        return cls(fields.binary("body"), fields.binary("signature"))


@dataclass(frozen=True)
class PartNote:
    """A part of a record that never touches the hub (docs/protocol.md §9.13); its reader compares it with the log."""

    address: str
    level: str
    salt: bytes
    body: bytes

    type = "part"

    def to_payload(self) -> bytes:
        return dumps(
            {
                "address": self.address,
                "bytes": b64(self.body),
                "level": self.level,
                "salt": b64(self.salt),
                "v": 1,
            }
        )

    @classmethod
    def read(cls, value: Json) -> PartNote:
        fields = Fields(value, ("address", "bytes", "level", "salt", "v"), what="part")
        fields.exactly("v", 1)
        level = fields.one_of("level", SEALED_LEVELS)
        return cls(fields.address("address"), level, fields.binary("salt", 16), fields.binary("bytes"))


@dataclass(frozen=True)
class Notice:
    """A statement that takes trust away, handed on by a peer (docs/protocol.md §9.17).

    node/directory/notices verifies it.
    """

    body: bytes
    signatures: tuple[tuple[str, bytes], ...]

    type = "notice"

    def to_payload(self) -> bytes:
        pairs: list[Json] = [[signer, b64(signature)] for signer, signature in self.signatures]
        return dumps({"statement": {"body": b64(self.body), "signatures": pairs}, "v": 1})

    @classmethod
    def read(cls, value: Json) -> Notice:
        fields = Fields(value, ("statement", "v"), what="notice")
        fields.exactly("v", 1)
        statement = Fields(fields.raw("statement"), ("body", "signatures"), what="notice.statement")
        pairs = []
        for signer, signature in statement.rows("signatures", 2, most=MAX_STATEMENT_SIGNATURES):
            if type(signer) is not str:
                raise Rejected("json.bad-schema", "notice.signatures: a signer is a text")
            pairs.append((signer, unb64(signature, field="notice.signatures")))
        return cls(statement.binary("body"), tuple(pairs))


Control: TypeAlias = (
    Status
    | Missing
    | Void
    | Restored
    | CheckpointNote
    | PartNote
    | Notice
    | DisclosureInquiry
    | DisclosureRecord
)
_READERS: Final = {
    kind.type: kind
    for kind in (
        Status,
        Missing,
        Void,
        Restored,
        CheckpointNote,
        PartNote,
        Notice,
        DisclosureInquiry,
        DisclosureRecord,
    )
}
CONTROL_TYPES: Final = frozenset(_READERS)


def parse_control(type_: str, payload: bytes) -> Control:
    """The control payload of a type in CONTROL_TYPES. Raises Rejected content.bad-payload."""
    reader = _READERS[type_]
    try:
        return reader.read(loads(payload, most=MAX_CONTROL, field=type_))
    except Rejected as fault:
        raise Rejected("content.bad-payload", fault.detail) from fault
