"""What the hub takes beside a statement: prekey records and parts, each named by it; and what it erases for it.

Owns these questions (docs/protocol.md §9.5, §9.13). Whether the statement itself counts is the directory's judgement.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from exchange.directory.bodies import Body
from exchange.directory.bodies_base import Prekeys
from exchange.directory.bodies_contacts import (
    ConstituencyClaim,
    ContactEnd,
    ContactPoint,
    RecordParts,
    named_by,
)
from exchange.directory.contacts import MAX_PART, REPLICATED, SALT_BYTES, Part
from exchange.directory.prekeys import PrekeyRecord
from exchange.directory.state import Directory
from exchange.directory.waiting import has_say
from exchange.errors import Rejected
from exchange.hub.store.directory import StoredRecord


def check_records(directory: Directory, body: Body, records: Sequence[bytes]) -> list[StoredRecord]:
    """Every new prekey of the statement comes with its record, and nothing else does.

    Raises Rejected directory.bad-prekeys.
    """
    refs = {ref.kid: ref for ref in body.refs} if isinstance(body, Prekeys) else {}
    address, net = body.head.subject[0], directory.net
    stored = []
    for data in records:
        record = PrekeyRecord.from_bytes(data, net)
        kid = record.kid(net)
        if record.address != address or refs.pop(kid, None) != record.ref(net):
            raise Rejected("directory.bad-prekeys", "a record isn't one of the statement's")
        record.public.check_usable()
        stored.append(StoredRecord(kid, data, record.destroy))
    if any(directory.find_prekey(address, kid) is None for kid in refs):
        raise Rejected("directory.bad-prekeys", "a new prekey comes without its record")
    return stored


def check_parts(
    net: bytes, body: Body, parts: Sequence[Part], *, here: Collection[bytes]
) -> Mapping[bytes, Part]:
    """The parts that come with a statement, by hash; each it names for the hub comes with it or is `here` already.

    Raises Rejected directory.bad-part, also for a part of a level that never touches the hub.
    """
    named = {digest: level for level, digest in named_by(body).items() if level in REPLICATED}
    brought = {part.hash(net): part for part in parts}
    for digest, part in brought.items():
        if named.get(digest) != part.level or part.address != body.head.subject[0]:
            raise Rejected("directory.bad-part", "a part isn't one that the statement names for the hub")
        if len(part.body) > MAX_PART or len(part.salt) != SALT_BYTES:
            raise Rejected("directory.bad-part", f"more than {MAX_PART} bytes, or a salt of another length")
    if not named.keys() <= brought.keys() | set(here):
        raise Rejected("directory.bad-part", "a part that the statement names didn't come with it")
    return brought


def check_signers(directory: Directory, body: Body, signers: Iterable[str]) -> None:
    """Nobody signed whose signature can't count: 64 units of one member would crowd all others out.

    Raises Rejected directory.not-own.
    """
    for signer in signers:
        if not has_say(directory, body, signer):
            raise Rejected("directory.not-own", f"{signer[:65]} has no say in this statement")


def unnamed_by(directory: Directory, body: Body) -> frozenset[bytes]:
    """The hashes that nothing names once the statement is logged, as far as its own subject named them."""
    address = body.head.subject[0]
    before: frozenset[bytes] = frozenset()
    if isinstance(body, RecordParts) and address in directory.records:
        before = frozenset(directory.records[address].parts.values())
    elif isinstance(body, ConstituencyClaim) and address in directory.constituencies:
        before = frozenset({directory.constituencies[address].part})
    elif isinstance(body, ContactPoint | ContactEnd) and address in directory.contacts:
        before = frozenset(directory.contacts[address].parts.values())
    return before - frozenset(named_by(body).values())
