"""Seals and opens envelopes, suite EX1 (docs/protocol.md §4). Owns the order of the steps, nothing else does.

Does not decide who may send or receive (policy.py), nor store, nor send, nor place an envelope in its chain (link.py).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn, Protocol

from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor
from cryptography.exceptions import InvalidTag

from exchange import body as body_codec, keys as k
from exchange.attachment import Blob
from exchange.canonical import MAX_INT, h, sha256
from exchange.content import Meta, unpack_content
from exchange.errors import Damaged, Hold, Rejected
from exchange.header import DirRef, Header, Pre, commitment, core_hash, parse_header
from exchange.limits import CLOCK_MARK_MS, PREKEY_MARGIN_MS
from exchange.link import NONCE_BYTES, Link, commitment as link_commitment
from exchange.wire import Delivery, Upload, header_of

_WRAPPED: Final = struct.Struct(">32s16s16sQ32s")
KEY_BYTES: Final = 32


class Signers(Protocol):
    """What opening asks of the directory."""

    @property
    def size(self) -> int: ...

    def signing_key(self, address: str, skid: bytes) -> k.PublicKey:
        """Raises Hold hold.unknown-sender, hold.unknown-key."""


@dataclass(frozen=True)
class Recipient:
    """To whom: address, prekey id (32 bytes) and prekey, and the link this sealing gets for that address."""

    address: str
    kid: bytes
    prekey: k.PrekeyPublic
    link: Link


@dataclass(frozen=True)
class Sealed:
    """A sealing: the upload, and what the sender keeps as evidence (salt; nonces in the order of `to`)."""

    header: Header
    upload: Upload
    salt: bytes
    nonces: tuple[bytes, ...]

    @property
    def env(self) -> bytes:
        return self.header.env


@dataclass(frozen=True)
class HeldPrekey:
    """A prekey this node still holds; `destroy` in ms."""

    secret: k.PrekeySecret
    destroy: int


@dataclass(frozen=True)
class Opened:
    """A verified envelope: nothing of it was seen by anybody before every step held."""

    header: Header
    meta: Meta
    payload: bytes
    link: Link
    nonce: bytes
    lc: bytes
    salt: bytes
    wrap_hash: bytes
    marks: frozenset[str]

    @property
    def env(self) -> bytes:
        return self.header.env


@dataclass(frozen=True)
class Expired:
    """A verified expired delivery: its place in the chain, and no content (docs/protocol.md §8.4)."""

    header: Header
    link: Link
    lc: bytes


def seal(
    *,
    net: bytes,
    sender: str,
    keys: k.PrivateKeys,
    content: bytes,
    lane: str,
    compress: bool,
    recipients: Sequence[Recipient],
    dir_ref: DirRef,
    iat: int,
    exp: int,
    random: Callable[[int], bytes],
    blobs: tuple[Blob, ...] = (),
) -> Sealed:
    """One envelope for `recipients` (docs/protocol.md §4.2). `iat`, `exp` in ms; `random(n)` gives n random bytes.

    `blobs` are those of the content's meta.

    Raises Refused content.too-large; Rejected json.* for inputs that have no place in a header.
    """
    ordered = sorted(recipients, key=lambda one: one.address)
    to = tuple((one.address, one.kid) for one in ordered)
    pre = Pre(net, sender, keys.public.signing.skid(net), iat, exp, lane, to, dir_ref, blobs)
    salt, key = random(body_codec.SALT_BYTES), random(KEY_BYTES)
    pc = commitment(pre, salt, content)
    core = core_hash(pre, pc)
    encryptor = Cobblestone256Encryptor(key, h(net, "body", core))
    body = encryptor.update(body_codec.pack(content, salt, compress=compress)) + encryptor.finalize()
    slots, nonces = [], []
    for one in ordered:
        nonce, link = random(NONCE_BYTES), one.link
        plain = _WRAPPED.pack(key, nonce, link.chain, link.seq, link.prev)
        info = _wrap_info(net, core, one.address, one.kid)
        slots.append(one.prekey.wrap(plain, info) + link_commitment(net, nonce, link))
        nonces.append(nonce)
    header = Header.build(
        pre, pc=pc, wh=[_wrap_hash(net, slot) for slot in slots], bh=sha256(body), bl=len(body)
    )
    parse_header(header.raw)  # never sign what a reader would refuse
    upload = Upload(header.raw, keys.sign(k.ENVELOPE, header.raw), tuple(slots), body)
    return Sealed(header, upload, salt, tuple(nonces))


def read_upload(data: bytes) -> tuple[Upload, Header]:
    """Steps 1-2 of §4.4: frames and header of an upload. Raises Rejected json.*, envelope.*."""
    header = parse_header(header_of(data))
    return Upload.from_bytes(data, len(header.to)), header


def check_upload(upload: Upload, header: Header, key: k.PublicKey) -> None:
    """Steps 9-10 of §4.4: body, wraps, both signatures. Raises Rejected envelope.*."""
    if len(upload.body) != header.bl or sha256(upload.body) != header.bh:
        raise Rejected("envelope.body-mismatch")
    for digest, slot in zip(header.wh, upload.slots, strict=True):
        if _wrap_hash(header.net, slot) != digest:
            raise Rejected("envelope.wrap-mismatch")
    key.verify(k.ENVELOPE, upload.header, upload.signatures, code="envelope.bad-signature")


def open_(
    data: bytes,
    *,
    net: bytes,
    me: str,
    directory: Signers,
    prekeys: Callable[[bytes], HeldPrekey | None],
    now: int,
) -> Opened:
    """Opens a delivery in the order of docs/protocol.md §4.5. `now` in ms only sets marks.

    Raises Damaged (fetch again), Hold (fetch the directory first), Rejected (quarantine, receipt `rejected`).
    """
    delivery, header, index = _verified(data, net=net, me=me, directory=directory)
    if delivery.expired:
        raise Damaged("envelope.bad-frame", "an expired delivery came as mail")
    if len(delivery.body) != header.bl or sha256(delivery.body) != header.bh:  # 5
        raise Damaged("envelope.body-mismatch")
    key, nonce, link = _unwrapped(delivery, header, index, directory=directory, prekeys=prekeys)
    try:
        decryptor = Cobblestone256Decryptor(key, h(net, "body", header.core_hash))
        plain = decryptor.update(delivery.body) + decryptor.finalize()
    except InvalidTag:
        raise Rejected("envelope.body-undecryptable") from None  # 10
    salt, content = body_codec.unpack(plain)  # 11
    if header.commitment(salt, content) != header.pc:
        raise Rejected("envelope.commitment-mismatch")  # 12
    meta, payload = unpack_content(content)  # 13
    if meta.lane != header.lane:
        raise Rejected("content.lane-mismatch")
    if meta.blobs != header.blobs:
        raise Rejected("content.blobs-mismatch")
    marks = {
        name for name, yes in (("late", now > header.exp), ("clock", header.iat > now + CLOCK_MARK_MS)) if yes
    }
    wrap_hash = sha256(delivery.wrap)
    return Opened(header, meta, payload, link, nonce, delivery.lc, salt, wrap_hash, frozenset(marks))


def open_expired(
    data: bytes,
    *,
    net: bytes,
    me: str,
    directory: Signers,
    prekeys: Callable[[bytes], HeldPrekey | None],
) -> Expired:
    """Steps 1-9 without the body (docs/protocol.md §8.4). Raises as `open_`."""
    delivery, header, index = _verified(data, net=net, me=me, directory=directory)
    if not delivery.expired:
        raise Damaged("envelope.bad-frame", "mail came as an expired delivery")
    _, _, link = _unwrapped(delivery, header, index, directory=directory, prekeys=prekeys)
    return Expired(header, link, delivery.lc)


def _verified(data: bytes, *, net: bytes, me: str, directory: Signers) -> tuple[Delivery, Header, int]:
    """Steps 1-4, and wh of step 5."""
    try:  # 1: before the signature holds, every fault may be the wire's
        delivery = Delivery.from_bytes(data)
        header = parse_header(delivery.header)
    except Rejected as fault:
        _damaged(fault)
    if header.net != net:
        raise Damaged("envelope.other-network")
    key = directory.signing_key(header.sender, header.skid)  # 2
    try:  # 3
        key.verify(k.ENVELOPE, delivery.header, delivery.signatures, code="envelope.bad-signature")
    except Rejected as fault:
        _damaged(fault)
    index = header.position(me)  # 4
    if index is None:
        raise Rejected("envelope.not-recipient")
    if _wrap_hash(net, delivery.slot) != header.wh[index]:  # 5
        raise Damaged("envelope.wrap-mismatch")
    return delivery, header, index


def _unwrapped(
    delivery: Delivery,
    header: Header,
    index: int,
    *,
    directory: Signers,
    prekeys: Callable[[bytes], HeldPrekey | None],
) -> tuple[bytes, bytes, Link]:
    """Steps 6-9: content key, nonce, link."""
    if header.dir.size > directory.size:  # 6
        detail = f"the sender knows {header.dir.size} leaves, this node {directory.size}"
        raise Hold("hold.directory-behind", detail, size=header.dir.size)
    address, kid = header.to[index]
    held = prekeys(kid)  # 7
    if held is None:
        raise Rejected("envelope.unknown-prekey")
    if header.exp > held.destroy - PREKEY_MARGIN_MS:
        raise Rejected("envelope.outlives-prekey")
    info = _wrap_info(header.net, header.core_hash, address, kid)
    plain = held.secret.unwrap(delivery.wrap, info, code="envelope.unwrap-failed")  # 8
    if len(plain) != _WRAPPED.size:
        raise Rejected("envelope.unwrap-failed", "the wrap's content has the wrong length")
    key, nonce, chain, seq, prev = _WRAPPED.unpack(plain)
    if not 1 <= seq <= MAX_INT:  # 9
        raise Rejected("envelope.link-range")
    link = Link(chain, seq, prev)
    if link_commitment(header.net, nonce, link) != delivery.lc:
        raise Rejected("envelope.link-mismatch")
    return key, nonce, link


def _wrap_info(net: bytes, core: bytes, address: str, kid: bytes) -> bytes:
    return h(net, "wrap", core, address.encode("ascii"), kid)


def _wrap_hash(net: bytes, slot: bytes) -> bytes:
    return h(net, "wh", sha256(slot[:-32]), slot[-32:])


def _damaged(fault: Rejected) -> NoReturn:
    raise Damaged(fault.code, fault.detail) from fault
