"""Opens deliveries and checks uploads, as docs/protocol.md §4 and §5 have it."""

from __future__ import annotations

import hashlib
import json
import zlib
from typing import Any

from cryptography.cobblestone import Cobblestone256Decryptor
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, MLKEM768X25519PrivateKey, Suite
from second_reader.base import (
    BY_SKID,
    NET,
    PREKEYS,
    b64,
    h,
    human,
    jcs,
    need,
    prekey_halves,
    signed_json,
    unb64,
    verify,
)

DAY = 86_400_000
HPKE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
HEADER = ("v suite net from skid iat exp lane to blobs dir", "pc", "wh bh bl")


def pieces(data: bytes, count: int) -> list[bytes]:
    """`count` frames after the magic, then the rest."""
    parts, at = [], 4
    for _ in range(count):
        size = int.from_bytes(data[at : at + 4], "big")
        parts.append(data[at + 4 : at + 4 + size])
        need(len(parts[-1]) == size, "a frame's length")
        at += 4 + size
    return [*parts, data[at:]]


def read_header(raw: bytes, signatures: bytes | None) -> Any:
    need(len(raw) <= 262_144, "header's size")
    header = signed_json(raw, " ".join(HEADER))
    need((header["v"], header["suite"]) == (1, "EX1"), "v, suite")
    names = [unb64(name) for name, _ in header["blobs"]]
    need(names == sorted(set(names)) and len(names) <= 16, "blobs")
    need(all(len(unb64(name)) == 32 and 1 <= size <= 104_960_072 for name, size in header["blobs"]), "blobs")
    need(unb64(header["net"]) == NET and header["iat"] < header["exp"], "net, iat, exp")
    addresses = [address for address, _ in header["to"]]
    need(addresses == sorted(set(addresses)) and 1 <= len(addresses) == len(header["wh"]), "to, wh")
    name, keys = BY_SKID[unb64(header["skid"])]
    need(name == header["from"], "skid is the sender's")
    if signatures is not None:
        verify(keys, "envelope", raw, signatures)
    return header


def part(header: Any, *sections: str) -> bytes:
    return jcs({name: header[name] for name in " ".join(sections).split()})


def check_slot(header: Any, index: int, slot: bytes) -> None:
    wh = h(NET, "wh", hashlib.sha256(slot[:1_240]).digest(), slot[1_240:])
    need(len(slot) == 1_272 and b64(wh) == header["wh"][index], "wh")


def check_body(header: Any, body: bytes) -> None:
    need(len(body) == header["bl"] and b64(hashlib.sha256(body).digest()) == header["bh"], "bl, bh")


def unwrapped(header: Any, me: str, slot: bytes) -> tuple[bytes, bytes, dict[str, Any]]:
    address, kid = next(row for row in header["to"] if row[0] == me)
    row = PREKEYS[unb64(kid)]
    need(header["exp"] <= json.loads(unb64(row["record"]))["destroy"] - DAY, "exp outlives the prekey")
    core = h(NET, "core", part(header, *HEADER[:2]))
    info = h(NET, "wrap", core, address.encode(), unb64(kid))
    inner = HPKE.decrypt(slot[:1_240], MLKEM768X25519PrivateKey(*prekey_halves(row)), info)
    need(len(inner) == 104, "104 bytes in a wrap")
    key, nonce, chain, seq, prev = inner[:32], inner[32:48], inner[48:64], inner[64:72], inner[72:]
    number = int.from_bytes(seq, "big")
    need(1 <= number < 2**53 and h(NET, "link", nonce, chain, seq, prev) == slot[1_240:], "link")
    return key, nonce, {"chain": b64(chain), "link_seq": number, "link_prev": b64(prev)}


def bucket(length: int) -> int:
    if length <= 65_536:
        return max(1_024, 2 ** (length - 1).bit_length())
    e = length.bit_length() - 1
    unit = 2 ** (e - e.bit_length())
    return -(-length // unit) * unit


def unpadded(plain: bytes) -> tuple[bytes, bytes]:
    salt, how, raw, packed = plain[:32], plain[32], plain[33:41], int.from_bytes(plain[41:49], "big")
    data, padding = plain[49 : 49 + packed], plain[49 + packed :]
    need(not any(padding) and len(data) == packed and len(plain) == bucket(49 + packed), "padding")
    need(how in (0, 1) and int.from_bytes(raw, "big") <= 10_551_296, "compression, raw length")
    if how == 1:
        need(packed < int.from_bytes(raw, "big"), "compressed, but not shorter")
        engine = zlib.decompressobj()
        data = engine.decompress(data, int.from_bytes(raw, "big") + 1)
        need(engine.eof and not engine.unused_data, "zlib")
    need(len(data) == int.from_bytes(raw, "big"), "raw length")
    return salt, data


def read_content(data: bytes) -> tuple[Any, bytes]:
    size = int.from_bytes(data[:4], "big")
    need(size <= 16_384, "size of meta")
    meta = signed_json(data[4 : 4 + size])
    members = {*["v", "type", "id", "lane", "created", "expires", "reseal_of"]}
    if "attachments" in meta:
        members.add("attachments")
        need(meta["type"] == "stix" and 1 <= len(meta["attachments"]) <= 16, "attachments")
    need(set(meta) == members, "members of meta")
    return meta, data[4 + size :]


def blobs_of(meta: Any) -> list[list[Any]]:
    rows = []
    for blob, key, size, digest, name, _, malware in meta.get("attachments", []):
        need(len(unb64(key)) == len(unb64(digest)) == 32 and size <= 104_857_600, "key, digest, size")
        need(len(human(name).encode()) <= 255 and malware in (0, 1), "name, malware")
        padded = bucket(size)
        rows.append([blob, 56 + padded + 16 * (padded // 16_384 + 1)])
    return rows


def open_blob(given: Any) -> Any:
    size, sealed = given["size"], unb64(given["blob"])
    padded = bucket(size)
    need(len(sealed) == 56 + padded + 16 * (padded // 16_384 + 1), "length of the blob")
    decryptor = Cobblestone256Decryptor(unb64(given["key"]), h(NET, "blob", size.to_bytes(8, "big")))
    plain = decryptor.update(sealed) + decryptor.finalize()
    need(len(plain) == padded and not any(plain[size:]), "padding")
    need(b64(hashlib.sha256(plain[:size]).digest()) == given["digest"], "digest")
    return {"plain": b64(plain[:size])}


def open_envelope(given: Any) -> Any:
    data = unb64(given["delivery"])
    need(data[:4] == b"EXD1", "magic")
    raw, signatures, slot, body = pieces(data, 3)
    header = read_header(raw, signatures)
    check_slot(header, [address for address, _ in header["to"]].index(given["me"]), slot)
    check_body(header, body)
    key, nonce, place = unwrapped(header, given["me"], slot)
    core = h(NET, "core", part(header, *HEADER[:2]))
    decryptor = Cobblestone256Decryptor(key, h(NET, "body", core))
    salt, content = unpadded(decryptor.update(body) + decryptor.finalize())
    pre = h(NET, "pre", part(header, HEADER[0]))
    need(b64(h(NET, "pc", pre, salt, content)) == header["pc"], "pc")
    meta = read_content(content)[0]
    need((meta["lane"], blobs_of(meta)) == (header["lane"], header["blobs"]), "lane, blobs")
    marks = ["clock"] * (header["iat"] > given["now"] + 600_000) + ["late"] * (given["now"] > header["exp"])
    found = {"env": b64(h(NET, "env", raw)), "pc": header["pc"], "salt": b64(salt), "nonce": b64(nonce)}
    return {**found, **place, "content": b64(content), "marks": marks}


def open_expired(given: Any) -> Any:
    data = unb64(given["delivery"])
    raw, signatures, slot, body = pieces(data, 3)
    need(data[:4] == b"EXX1" and body == b"", "an expired delivery has no body")
    header = read_header(raw, signatures)
    check_slot(header, [address for address, _ in header["to"]].index(given["me"]), slot)
    return {"env": b64(h(NET, "env", raw)), **unwrapped(header, given["me"], slot)[2]}


def check_upload(given: Any) -> Any:
    data = unb64(given["upload"])
    need(data[:4] == b"EXE1" and len(data) <= 13_107_200, "magic, size")
    raw, signatures, _ = pieces(data, 2)
    header = read_header(raw, signatures)
    *slots, body = pieces(data, 2 + len(header["to"]))[2:]
    for index, slot in enumerate(slots):
        check_slot(header, index, slot)
    check_body(header, body)
    need(b64(h(NET, "env", raw)) == given["path"] and header["from"] == given["issuer"], "path, from")
    need(header["iat"] <= given["now"] + DAY and header["exp"] > given["now"], "iat, exp")
    return {"env": given["path"], "to": [address for address, _ in header["to"]]}
