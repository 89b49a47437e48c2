"""Seals step by step (docs/protocol.md §4.2), each step open to being done wrong. Checks nothing.

`steps` maps the name of a step to what is done to its result: that is how a flaw gets under a valid signature.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.cobblestone import Cobblestone256Encryptor

from exchange.canonical import b64, h
from tests.vectors.makers.case import committed
from tests.vectors.makers.network import DAY, KEYS, NET, NOW, PREKEYS, SIZE, ZERO, Chance, jcs

Steps = Mapping[str, Callable[..., Any]]
EXP = NOW + 3 * DAY
PAYLOAD = b'{"type":"bundle","id":"bundle--5d0092c5-5f74-4287-9642-33f4c354e56d","objects":[]}'


def uuid(name: str) -> str:
    raw = Chance(f"uuid {name}")(16).hex()
    return f"{raw[:8]}-{raw[8:12]}-4{raw[13:16]}-8{raw[17:20]}-{raw[20:]}"


def meta_json(name: str, **changed: Any) -> dict[str, Any]:
    meta = {
        "created": NOW - 1_000,
        "expires": NOW + 30 * DAY,
        "id": uuid(name),
        "lane": "priority",
        "reseal_of": [],
        "type": "stix",
        "v": 1,
    }
    return {**meta, **changed}


def content(meta: dict[str, Any] | bytes, payload: bytes = PAYLOAD) -> bytes:
    raw = meta if isinstance(meta, bytes) else jcs(meta)
    return struct.pack(">I", len(raw)) + raw + payload


def bucket(length: int) -> int:
    """Padded size (docs/protocol.md §4.2 step 2), written plainly."""
    if length <= 65_536:
        size = 1_024
        while size < length:
            size *= 2
        return size
    e = length.bit_length() - 1
    s = e.bit_length()
    unit = 2 ** (e - s)
    return (length + unit - 1) // unit * unit


def plain(
    salt: bytes,
    packed: bytes,
    *,
    how: int = 0,
    raw: int | None = None,
    said: int | None = None,
    pad: bytes | None = None,
) -> bytes:
    """salt, compression, raw and packed length, packed bytes, padding: each as told, right where not told."""
    head = struct.pack(
        ">32sBQQ", salt, how, len(packed) if raw is None else raw, len(packed) if said is None else said
    )
    whole = head + packed
    return whole + (bytes(bucket(len(whole)) - len(whole)) if pad is None else pad)


@dataclass(frozen=True)
class Sealing:
    """What came out, in the pieces the wire is made of."""

    header: bytes
    signatures: bytes
    slots: tuple[bytes, ...]
    body: bytes
    facts: dict[str, Any]

    def delivery(self, index: int = 0, magic: bytes = b"EXD1") -> bytes:
        body = b"" if magic == b"EXX1" else self.body
        return join(magic, self.header, self.signatures, (self.slots[index],), body)

    def upload(self) -> bytes:
        return join(b"EXE1", self.header, self.signatures, self.slots, self.body)


def join(magic: bytes, header: bytes, signatures: bytes, slots: Sequence[bytes], body: bytes) -> bytes:
    framed = b"".join(struct.pack(">I", len(part)) + part for part in (header, signatures, *slots))
    return magic + framed + body


def split(data: bytes) -> list[bytes]:
    """magic, header, signatures, slots..., body of a good delivery or upload."""
    parts, position = [data[:4]], 4
    while int.from_bytes(data[position : position + 4], "big") in (3_373, 1_272) or len(parts) == 1:
        size = int.from_bytes(data[position : position + 4], "big")
        parts.append(data[position + 4 : position + 4 + size])
        position += 4 + size
    return [*parts, data[position:]]


def dir_ref() -> list[Any]:
    good = committed("checkpoint", "good")
    return [SIZE, good["output"]["root"], good["output"]["hash"]]


def seal(
    name: str,
    *,
    sender: str = "pe",
    to: Sequence[str] = ("co",),
    meta: dict[str, Any] | bytes | None = None,
    payload: bytes = PAYLOAD,
    compress: bool = False,
    link: tuple[int, bytes] = (1, ZERO),
    net: bytes = NET,
    rows: list[Any] | None = None,
    steps: Steps | None = None,
    **pre_changed: Any,
) -> Sealing:
    """One envelope for the addresses `to` (sorted by the caller), named as `rows` where given.

    `pre_changed` are members of pre.
    """
    chance, do = Chance(f"sealing {name}"), _doer(steps or {})
    kids = [PREKEYS[address][0].kid for address in to]
    pre = {
        "blobs": [],
        "dir": dir_ref(),
        "exp": EXP,
        "from": sender,
        "iat": NOW,
        "lane": "priority",
        "net": b64(net),
        "skid": b64(KEYS[sender].public.signing.skid(net)),
        "suite": "EX1",
        "to": [[address, b64(kid)] for address, kid in zip(to, kids, strict=True)] if rows is None else rows,
        "v": 1,
    }
    pre = {**pre, **pre_changed}
    whole = do("content", content(meta_json(name) if meta is None else meta, payload))
    salt, key, chain = chance(32), chance(32), chance(16)
    pc = do("pc", h(net, "pc", h(net, "pre", jcs(pre)), salt, whole))
    core = h(net, "core", jcs({**pre, "pc": b64(pc)}))
    packed = zlib.compress(whole, 9) if compress else whole
    inner = do("plain", plain(salt, packed, how=int(compress), raw=len(whole)), salt=salt, content=whole)
    encryptor = Cobblestone256Encryptor(do("body_key", key), do("context", h(net, "body", core)))
    body = do("body", encryptor.update(inner) + encryptor.finalize())
    slots, nonces = [], []
    for address, kid in zip(to, kids, strict=True):
        nonce = chance(16)
        wrapped = struct.pack(">32s16s16sQ32s", key, nonce, chain, *link)
        info = do("info", h(net, "wrap", core, address.encode("ascii"), kid), core=core, kid=kid)
        prekey = do("prekey", PREKEYS[address][0].secret.public)
        lc = h(net, "link", nonce, chain, struct.pack(">Q", link[0]), link[1])
        slots.append(prekey.wrap(do("wrapped", wrapped), info) + do("lc", lc))
        nonces.append(nonce)
    wh = [b64(h(net, "wh", hashlib.sha256(slot[:1_240]).digest(), slot[1_240:])) for slot in slots]
    header = {**pre, "pc": b64(pc), "wh": wh, "bh": b64(hashlib.sha256(body).digest()), "bl": len(body)}
    raw = do("raw", jcs(do("header", header)))
    signatures = do("signatures", KEYS[sender].sign("envelope", raw), raw=raw)
    facts = {
        "env": b64(h(net, "env", raw)),
        "pc": b64(pc),
        "salt": b64(salt),
        "chain": b64(chain),
        "link_seq": link[0],
        "link_prev": b64(link[1]),
        "nonces": {address: b64(nonce) for address, nonce in zip(to, nonces, strict=True)},
        "content": b64(whole),
    }
    return Sealing(raw, signatures, tuple(slots), body, facts)


def _doer(steps: Steps) -> Callable[..., Any]:
    def do(name: str, result: Any, **known: Any) -> Any:
        return steps[name](result, **known) if name in steps else result

    return do
