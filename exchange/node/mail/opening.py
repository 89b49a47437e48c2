"""Owns the judgement over one delivery: opened and checked, held, hurt or rejected (§4.5); nothing is stored here.

Everything that reads a peer's content is called from this file, so that inbox.py only stores verdicts.
"""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass
from typing import TypeAlias

from exchange import policy
from exchange.canonical import sha256
from exchange.content import CONTROL_TYPES, STIX, Control, Meta, parse_control
from exchange.directory.state import Directory
from exchange.envelope import Expired, Opened, open_, open_expired
from exchange.errors import Damaged, Hold, Rejected
from exchange.formats.stix.cover import read_message
from exchange.header import Header, parse_header
from exchange.keys import PublicKey
from exchange.message import Message, member_identity_id
from exchange.node.directory.replica import Replica
from exchange.node.identity import Identity, Sources
from exchange.node.keys.prekeys import Prekeys
from exchange.node.keys.trust import counts
from exchange.node.store.notices import UNVERIFIED
from exchange.protocol import ITEM_EXPIRED, Item
from exchange.wire import Delivery

LOG = logging.getLogger("exchange.node.mail")


@dataclass(frozen=True)
class Good:
    """Opened, and its content checked. `message` for STIX, `control` for a control type, neither for a newer type.

    `marks` are the envelope's, and `unverified` where its key is one that anybody may hold.
    """

    opened: Opened
    signatures: bytes
    message: Message | None
    control: Control | None
    marks: frozenset[str]

    @property
    def header(self) -> Header:
        return self.opened.header


@dataclass(frozen=True)
class Over:
    """An expired delivery, verified."""

    expired: Expired
    signatures: bytes

    @property
    def header(self) -> Header:
        return self.expired.header


@dataclass(frozen=True)
class Bad:
    """A fault under the sender's signature. `opened` where the envelope itself held and only its content is bad."""

    header: Header
    lc: bytes
    code: str
    payload: bytes
    opened: Opened | None
    signatures: bytes
    expired: bool = False


@dataclass(frozen=True)
class Later:
    """Held until the directory knows more, or this program can read it."""

    item: Item
    code: str


@dataclass(frozen=True)
class Hurt:
    """Hurt on the way, or by the hub: to be asked for again. `key` is its env where that can be read."""

    key: bytes
    code: str
    detail: str


Envelope: TypeAlias = Good | Over | Bad  # verified: it has a place in its chain, and gets a receipt
Verdict: TypeAlias = Envelope | Later | Hurt


@dataclass(frozen=True)
class _EveryKey:
    """The directory with every key an address ever had: envelopes under old ones are opened, and marked."""

    directory: Directory

    @property
    def size(self) -> int:
        return self.directory.size

    def signing_key(self, address: str, skid: bytes) -> PublicKey:
        return self.directory.key_standing(address, skid).key


class Opening:
    """Judges deliveries for this node."""

    def __init__(self, identity: Identity, replica: Replica, prekeys: Prekeys, sources: Sources) -> None:
        self._identity = identity
        self._replica = replica
        self._prekeys = prekeys
        self._sources = sources

    def judge(self, item: Item) -> Verdict:
        """The verdict over one delivery or expired delivery. Raises nothing of the sender's making."""
        try:
            if item.type == ITEM_EXPIRED:
                return self._expired(item)
            opened = open_(
                item.payload,
                net=self._identity.net,
                me=self._identity.address,
                directory=_EveryKey(self._replica.directory),
                prekeys=self._prekeys.find,
                now=self._sources.clock(),
            )
        except Hold as hold:
            return Later(item, hold.code)
        except Damaged as fault:
            return Hurt(_key(item.payload), fault.code, fault.detail)
        except Rejected as fault:
            return _bad(item, fault.code, None)
        return self._read(item, opened)

    def _read(self, item: Item, opened: Opened) -> Verdict:
        """The verdict over what an envelope that holds says."""
        try:
            return self._content(opened, Delivery.from_bytes(item.payload).signatures)
        except Rejected as fault:
            return _bad(item, fault.code, opened)
        except Exception as fault:  # noqa: BLE001 - ours: it waits for a version that can read it, no other mail waits
            LOG.error("a message can't be read", extra={"error": type(fault).__name__})
            return Later(item, "internal.error")

    def _expired(self, item: Item) -> Over:
        expired = open_expired(
            item.payload,
            net=self._identity.net,
            me=self._identity.address,
            directory=_EveryKey(self._replica.directory),
            prekeys=self._prekeys.find,
        )
        return Over(expired, Delivery.from_bytes(item.payload).signatures)

    def _content(self, opened: Opened, signatures: bytes) -> Good:
        meta = opened.meta
        if meta.type == STIX:
            return Good(opened, signatures, self._message(opened, meta), None, self._marks(opened))
        control = parse_control(meta.type, opened.payload) if meta.type in CONTROL_TYPES else None
        return Good(opened, signatures, None, control, self._marks(opened))

    def _marks(self, opened: Opened) -> frozenset[str]:
        """Never a reason to refuse: whoever holds a revoked key can write any date, and its owner wrote before that."""
        header = opened.header
        believed = counts(self._replica, header.sender, header.skid, self._sources.clock())
        return opened.marks if believed else opened.marks | {UNVERIFIED}

    def _message(self, opened: Opened, meta: Meta) -> Message:
        message = read_message(opened.payload)
        policy.check_open(urgency=message.urgency, lane=opened.header.lane)
        network = uuid.UUID(bytes=self._identity.net[:16])
        handle = opened.header.sender.partition("/")[0]
        if message.author != member_identity_id(network, handle):
            raise Rejected("message.author-mismatch")
        if message.id != meta.id:
            raise Rejected("message.id-mismatch")
        return message


def _bad(item: Item, code: str, opened: Opened | None) -> Bad:
    """Under a verified signature the frames and the header are known to parse."""
    delivery = Delivery.from_bytes(item.payload)
    return Bad(
        header=parse_header(delivery.header),
        lc=delivery.lc,
        code=code,
        payload=item.payload,
        opened=opened,
        signatures=delivery.signatures,
        expired=item.type == ITEM_EXPIRED,
    )


def _key(payload: bytes) -> bytes:
    try:
        return parse_header(Delivery.from_bytes(payload).header).env
    except Rejected:
        return sha256(payload)
