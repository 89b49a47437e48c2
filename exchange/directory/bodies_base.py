"""The statements a network begins and grows with: genesis, add, prekeys (docs/protocol.md §9.3-9.5).

Owns their values, closed schemas and builders. Whether one takes effect is `rules`' business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from exchange.canonical import ZERO32, Fields, Json, b64, is_member_handle, text_b64
from exchange.directory.members import HubIdentity, Member, Officer
from exchange.directory.prekeys import PrekeyRef, read_refs
from exchange.directory.statements import HEAD, NETWORK, Head, check_subject, write_body
from exchange.errors import Rejected
from exchange.header import SUITE
from exchange.keys import PublicKey

MAX_OFFICERS: Final = 16  # so that a genesis with all their keys stays within MAX_STATEMENT
MAX_SPONSORS: Final = 32
MAX_NAME: Final = 256  # bytes of UTF-8


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


def read_genesis(head: Head, value: Json) -> Genesis:
    """The schema of §9.3. Raises Rejected json.bad-schema."""
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
    fields = Fields(value, (*HEAD, *names), what="genesis")
    fields.exactly("net", b64(ZERO32))  # so that no later leaf can be one
    fields.exactly("after", b64(ZERO32))
    fields.exactly("min_suite", SUITE)
    check_subject(head, NETWORK, "identity")
    officers = read_officers(fields)
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


def read_officers(fields: Fields) -> tuple[Officer, ...]:
    """The member `officers`: 1 to `MAX_OFFICERS`, sorted by name, each once. Raises Rejected json.bad-schema."""
    rows = fields.items("officers", least=1, most=MAX_OFFICERS)
    officers = tuple(Officer.from_json(row) for row in rows)
    if any(first.name >= second.name for first, second in pairwise(officers)):
        raise Rejected("json.bad-schema", "officers: not sorted by name, each once")
    return officers


def read_add(head: Head, value: Json) -> Add:
    """The schema of §9.4. Raises Rejected json.bad-schema."""
    fields = Fields(value, (*HEAD, "member"), what="add")
    member = Member.from_json(fields.raw("member"))
    check_subject(head, member.handle, "identity")
    return Add(head, member)


def read_prekeys(head: Head, value: Json) -> Prekeys:
    """The schema of §9.5. Raises Rejected json.bad-schema."""
    fields = Fields(value, (*HEAD, "prekeys"), what="prekeys")
    if not is_member_handle(head.subject[0].partition("/")[0]):
        raise Rejected("json.bad-schema", "prekeys: only addresses of members have them")
    check_subject(head, head.subject[0], "prekeys")
    return Prekeys(head, read_refs(fields, "prekeys"))


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
    return write_body(ZERO32, Head("genesis", (NETWORK, "identity"), ZERO32, not_after), rest, read_genesis)


def build_add(*, net: bytes, member: Member, not_after: int) -> bytes:
    """Body that admits `member`. Raises Refused directory.bad-statement."""
    head = Head("add", (member.handle, "identity"), ZERO32, not_after)
    return write_body(net, head, {"member": member.to_json()}, read_add)


def build_prekeys(
    *, net: bytes, address: str, refs: Sequence[PrekeyRef], after: bytes, not_after: int
) -> bytes:
    """Body that replaces the prekeys of `address`; `after` is `Directory.last_hash(address, "prekeys")`.

    Raises Refused directory.bad-statement.
    """
    head = Head("prekeys", (address, "prekeys"), after, not_after)
    return write_body(net, head, {"prekeys": [ref.to_json() for ref in refs]}, read_prekeys)
