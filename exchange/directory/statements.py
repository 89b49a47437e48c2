"""Statements: the signed facts of the directory log, from bytes to values and back (docs/protocol.md §9.1, §9.3-9.5).

Owns the wire form, the members every body has, and the closed schema of each type: one parser per type in `PARSERS`.
Whether a statement takes effect is `state`'s business; nothing here verifies a signature.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypeAlias

from exchange.canonical import (
    ADDRESS,
    ZERO32,
    Fields,
    Json,
    b64,
    dumps,
    h,
    is_member_handle,
    loads,
    sha256,
    text_b64,
    unb64,
)
from exchange.directory.members import HubIdentity, Member, Officer
from exchange.directory.prekeys import PrekeyRef, read_refs
from exchange.errors import Refused, Rejected
from exchange.header import SUITE
from exchange.keys import SIGNATURE_BYTES, STATEMENT, PrivateKeys, PublicKey
from exchange.limits import MAX_STATEMENT, MAX_STATEMENT_SIGNATURES

HUB: Final = "hub"
RECOVERY: Final = "recovery"
NETWORK: Final = "network"
MAX_OFFICERS: Final = 16  # so that a genesis with all their keys stays within MAX_STATEMENT
MAX_SPONSORS: Final = 32
MAX_NAME: Final = 256  # bytes of UTF-8

Subject: TypeAlias = tuple[str, str]  # address or `network`, class

_HEAD: Final = ("after", "net", "not_after", "subject", "type", "v")
# as open as an address: a type or class that only later versions know must still be read as what it is
_WORD = re.compile(r"[a-z0-9-]{2,32}\Z")


@dataclass(frozen=True)
class Statement:
    """A body and who signed it, in order of signer. Built freely; `check_form` is what readers insist on."""

    body: bytes
    signatures: tuple[tuple[str, bytes], ...] = ()

    @property
    def signers(self) -> tuple[str, ...]:
        return tuple(signer for signer, _ in self.signatures)

    def hash(self, net: bytes) -> bytes:
        """H("statement", body), 32 bytes: what `after` names. Signatures don't change it."""
        return h(net, "statement", self.body)

    def with_signature(self, signer: str, keys: PrivateKeys) -> Statement:
        """This statement, also signed by `signer`, in place of an earlier signature of the same signer."""
        others = [pair for pair in self.signatures if pair[0] != signer]
        return Statement(self.body, _sorted([*others, (signer, keys.sign(STATEMENT, self.body))]))

    def merged(self, signatures: Iterable[tuple[str, bytes]]) -> Statement:
        """This statement with those of `signatures` whose signers have not signed it yet."""
        return Statement(self.body, _sorted({**dict(signatures), **dict(self.signatures)}.items()))

    def check_form(self) -> None:
        """The rules on size and signers of §9.1. Raises Rejected directory.bad-statement."""
        if len(self.body) > MAX_STATEMENT or len(self.signatures) > MAX_STATEMENT_SIGNATURES:
            raise Rejected("directory.bad-statement", "more than 65,536 bytes or 64 signatures")
        if any(not ADDRESS.match(signer) or len(sig) != SIGNATURE_BYTES for signer, sig in self.signatures):
            raise Rejected(
                "directory.bad-statement", "a signer isn't an address, or a signature is cut short"
            )
        if any(first >= second for first, second in pairwise(self.signers)):
            raise Rejected(
                "directory.bad-statement", "the signers aren't sorted, or one of them signed twice"
            )

    def to_json(self) -> dict[str, Json]:
        """The wire form."""
        return {"body": b64(self.body), "signatures": signatures_json(self.signatures)}

    @classmethod
    def from_json(cls, value: Json) -> Statement:
        """Inverse of `to_json`. Raises Rejected directory.bad-statement."""
        try:
            fields = Fields(value, ("body", "signatures"), what="statement")
            statement = cls(fields.binary("body"), read_signatures(fields))
        except Rejected as fault:
            raise Rejected("directory.bad-statement", fault.detail) from None
        statement.check_form()
        return statement


@dataclass(frozen=True)
class Head:
    """What every body says. `after`: hash of the subject's last effective statement; `not_after` in UTC ms."""

    type: str
    subject: Subject
    after: bytes
    not_after: int


@dataclass(frozen=True)
class Genesis:
    """The network's beginning (§9.3)."""

    head: Head
    nonce: bytes
    name: str
    hub: HubIdentity
    officers: tuple[Officer, ...]
    officers_threshold: int
    sponsors_threshold: int
    recovery: PublicKey
    at: int


@dataclass(frozen=True)
class Add:
    """A new member (§9.4)."""

    head: Head
    member: Member


@dataclass(frozen=True)
class Prekeys:
    """An address's prekeys from now on (§9.5)."""

    head: Head
    refs: tuple[PrekeyRef, ...]


@dataclass(frozen=True)
class Unknown:
    """A type that this version doesn't know; its further members are anybody's guess."""

    head: Head


Body: TypeAlias = Genesis | Add | Prekeys | Unknown


def network_id(genesis_body: bytes) -> bytes:
    """net: SHA-256("exchange/v1/genesis" || 0x00 || genesis body), 32 bytes (docs/protocol.md §2)."""
    return sha256(b"exchange/v1/genesis\0" + genesis_body)


def parse_head(body: bytes, net: bytes) -> tuple[Head, Json]:
    """The members every body has, and the whole value. Raises Rejected directory.bad-statement.

    `net` is what the body must name: the network's, in a genesis 32 zero bytes.
    """
    try:
        value = loads(body, most=MAX_STATEMENT, field="statement")
        common = {name: value[name] for name in _HEAD if name in value} if isinstance(value, dict) else None
        fields = Fields(common, _HEAD, what="statement")
        fields.exactly("v", 1)
        fields.exactly("net", b64(net))
        address, word = fields.items("subject", least=2, most=2)
        if not all(isinstance(part, str) for part in (address, word)):
            raise Rejected("json.bad-schema", "statement.subject: two texts")
        if not ADDRESS.match(address) or not _WORD.match(word):
            raise Rejected("json.bad-schema", "statement.subject: an address and a class")
        head = Head(
            type=fields.matching("type", _WORD),
            subject=(address, word),
            after=fields.binary("after", 32),
            not_after=fields.integer("not_after"),
        )
    except Rejected as fault:
        raise Rejected("directory.bad-statement", fault.detail) from None
    return head, value


def parse_type(head: Head, value: Json) -> Body:
    """The rest of a body by the closed schema of its type. Raises Rejected directory.bad-statement."""
    parser = PARSERS.get(head.type)
    if parser is None:
        return Unknown(head)
    try:
        return parser(head, value)
    except Rejected as fault:
        raise Rejected("directory.bad-statement", fault.detail) from None


def parse_body(body: bytes, net: bytes) -> Body:
    """A body's value. Raises Rejected directory.bad-statement; an unknown type is no fault here."""
    return parse_type(*parse_head(body, net))


def build_genesis(
    *,
    nonce: bytes,
    name: str,
    hub: HubIdentity,
    officers: Sequence[Officer],
    officers_threshold: int,
    sponsors_threshold: int,
    recovery: PublicKey,
    at: int,
    not_after: int,
) -> bytes:
    """Body of leaf 0; `nonce` is 32 random bytes, times in UTC ms. Raises Refused directory.bad-statement."""
    rest = {
        "at": at,
        "hub": hub.to_json(),
        "min_suite": SUITE,
        "name": text_b64(name),
        "nonce": b64(nonce),
        "officers": [officer.to_json() for officer in sorted(officers, key=lambda officer: officer.name)],
        "officers_threshold": officers_threshold,
        "recovery": recovery.to_json(),
        "sponsors_threshold": sponsors_threshold,
    }
    return _built(ZERO32, Head("genesis", (NETWORK, "identity"), ZERO32, not_after), rest)


def build_add(*, net: bytes, member: Member, not_after: int) -> bytes:
    """Body that admits `member`. Raises Refused directory.bad-statement."""
    head = Head("add", (member.handle, "identity"), ZERO32, not_after)
    return _built(net, head, {"member": member.to_json()})


def build_prekeys(
    *, net: bytes, address: str, refs: Sequence[PrekeyRef], after: bytes, not_after: int
) -> bytes:
    """Body that replaces the prekeys of `address`; `after` is `Directory.last_hash(address, "prekeys")`.

    Raises Refused directory.bad-statement.
    """
    head = Head("prekeys", (address, "prekeys"), after, not_after)
    return _built(net, head, {"prekeys": [ref.to_json() for ref in refs]})


def read_signatures(fields: Fields) -> tuple[tuple[str, bytes], ...]:
    """The member `signatures` of a closed object, any signers in any order. Raises Rejected json.bad-schema."""
    pairs = []
    for signer, signature in fields.rows("signatures", 2, most=MAX_STATEMENT_SIGNATURES):
        if not isinstance(signer, str):
            raise Rejected("json.bad-schema", "signatures: a signer is a text")
        pairs.append((signer, unb64(signature, field="signatures")))
    return tuple(pairs)


def signatures_json(signatures: Iterable[tuple[str, bytes]]) -> Json:
    """Inverse of `read_signatures`."""
    return [[signer, b64(signature)] for signer, signature in signatures]


def _sorted(pairs: Iterable[tuple[str, bytes]]) -> tuple[tuple[str, bytes], ...]:
    return tuple(sorted(pairs, key=lambda pair: pair[0]))


def _built(net: bytes, head: Head, rest: Mapping[str, Json]) -> bytes:
    body = dumps(
        {
            "after": b64(head.after),
            "net": b64(net),
            "not_after": head.not_after,
            "subject": list(head.subject),
            "type": head.type,
            "v": 1,
            **rest,
        }
    )
    try:
        parse_body(body, net)  # nothing leaves here that a reader would refuse
    except Rejected as fault:
        raise Refused(fault.code, fault.detail) from None
    return body


def _subject(head: Head, address: str, word: str) -> None:
    if head.subject != (address, word):
        raise Rejected("json.bad-schema", f"{head.type}: the subject must be {address}, {word}")


def _genesis(head: Head, value: Json) -> Genesis:
    names = (
        "at",
        "hub",
        "min_suite",
        "name",
        "nonce",
        "officers",
        "officers_threshold",
        "recovery",
        "sponsors_threshold",
    )
    fields = Fields(value, (*_HEAD, *names), what="genesis")
    fields.exactly("net", b64(ZERO32))  # so that no later leaf can be one
    fields.exactly("after", b64(ZERO32))
    fields.exactly("min_suite", SUITE)
    _subject(head, NETWORK, "identity")
    rows = fields.items("officers", least=1, most=MAX_OFFICERS)
    officers = tuple(Officer.from_json(row) for row in rows)
    if any(first.name >= second.name for first, second in pairwise(officers)):
        raise Rejected("json.bad-schema", "genesis.officers: not sorted by name, each once")
    return Genesis(
        head=head,
        nonce=fields.binary("nonce", 32),
        name=fields.human("name", most=MAX_NAME),
        hub=HubIdentity.from_json(fields.raw("hub")),
        officers=officers,
        officers_threshold=fields.integer("officers_threshold", least=1, most=len(officers)),
        sponsors_threshold=fields.integer("sponsors_threshold", least=1, most=MAX_SPONSORS),
        recovery=PublicKey.from_json(fields.raw("recovery"), what="genesis.recovery"),
        at=fields.integer("at"),
    )


def _add(head: Head, value: Json) -> Add:
    fields = Fields(value, (*_HEAD, "member"), what="add")
    member = Member.from_json(fields.raw("member"))
    _subject(head, member.handle, "identity")
    return Add(head, member)


def _prekeys(head: Head, value: Json) -> Prekeys:
    fields = Fields(value, (*_HEAD, "prekeys"), what="prekeys")
    if not is_member_handle(head.subject[0].partition("/")[0]):
        raise Rejected("json.bad-schema", "prekeys: only addresses of members have them")
    _subject(head, head.subject[0], "prekeys")
    return Prekeys(head, read_refs(fields, "prekeys"))


# One row per type of statement: its closed schema (docs/protocol.md §9.3-9.5).
PARSERS: Final[Mapping[str, Callable[[Head, Json], Body]]] = {
    "genesis": _genesis,
    "add": _add,
    "prekeys": _prekeys,
}
