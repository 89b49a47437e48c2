"""Statements: the signed facts of the directory log, from bytes to values and back (docs/protocol.md §9.1).

Owns the wire form and the members every body has; the closed schema of each type is `bodies`' business, whether a
statement takes effect `state`'s. Nothing here verifies a signature.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypeAlias

from exchange.canonical import (
    ADDRESS,
    Fields,
    Json,
    b64,
    dumps,
    h,
    loads,
    sha256,
    unb64,
)
from exchange.errors import Refused, Rejected
from exchange.keys import SIGNATURE_BYTES, STATEMENT, PrivateKeys
from exchange.limits import MAX_STATEMENT, MAX_STATEMENT_SIGNATURES

HUB: Final = "hub"
RECOVERY: Final = "recovery"
NETWORK: Final = "network"

Subject: TypeAlias = tuple[str, str]  # address or `network`, class

HEAD: Final = ("after", "net", "not_after", "subject", "type", "v")
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
class Unknown:
    """A type that this version doesn't know; its further members are anybody's guess."""

    head: Head


def network_id(genesis_body: bytes) -> bytes:
    """net: SHA-256("exchange/v1/genesis" || 0x00 || genesis body), 32 bytes (docs/protocol.md §2)."""
    return sha256(b"exchange/v1/genesis\0" + genesis_body)


def parse_head(body: bytes, net: bytes) -> tuple[Head, Json]:
    """The members every body has, and the whole value. Raises Rejected directory.bad-statement.

    `net` is what the body must name: the network's, in a genesis 32 zero bytes.
    """
    try:
        value = loads(body, most=MAX_STATEMENT, field="statement")
        common = {name: value[name] for name in HEAD if name in value} if isinstance(value, dict) else None
        fields = Fields(common, HEAD, what="statement")
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


def write_body(
    net: bytes, head: Head, rest: Mapping[str, Json], parser: Callable[[Head, Json], object]
) -> bytes:
    """Body of a statement from its parts; `parser` is its type's. Raises Refused directory.bad-statement."""
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
        parser(*parse_head(body, net))  # nothing leaves here that a reader would refuse
    except Rejected as fault:
        raise Refused("directory.bad-statement", fault.detail) from None
    return body


def check_subject(head: Head, address: str, word: str) -> None:
    """The subject is the one that the type demands. Raises Rejected json.bad-schema."""
    if head.subject != (address, word):
        raise Rejected("json.bad-schema", f"{head.type}: the subject must be {address}, {word}")


def closed(head: Head, value: Json, *names: str) -> Fields:
    """The value as a closed object of the common members and `names`. Raises Rejected json.bad-schema."""
    return Fields(value, (*HEAD, *names), what=head.type)
