"""Conventions, keys and the network of the vectors, as docs/protocol.md §2 and §3 have them. Reads no vector."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import unicodedata
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, mldsa, mlkem, x25519
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

FOLDER = Path(__file__).resolve().parent.parent
ZERO = bytes(32)


class Disagrees(Exception):
    """A vector that doesn't hold as the document has it."""


def need(holds: bool, what: str) -> None:
    if not holds:
        raise Disagrees(what)


# -- §2 conventions --------------------------------------------------------------------------------


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def unb64(text: str) -> bytes:
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    need(b64(data) == text, "b64 in a second spelling")
    return data


def u(size: int, number: int) -> bytes:
    return number.to_bytes(size, "big")


def jcs(value: Any, level: int = 1) -> bytes:
    if isinstance(value, str):
        need(re.fullmatch("[ -~]*", value) is not None, "not printable ASCII")
        return b'"' + value.replace("\\", "\\\\").replace('"', '\\"').encode() + b'"'
    if type(value) is int:
        need(0 <= value < 2**53, "integer out of range")
        return b"%d" % value
    need(level <= 8 and type(value) in (list, dict), "too deep, or a type that isn't there")
    if isinstance(value, list):
        return b"[" + b",".join(jcs(one, level + 1) for one in value) + b"]"
    rows = (jcs(name) + b":" + jcs(value[name], level + 1) for name in sorted(value))
    return b"{" + b",".join(rows) + b"}"


def signed_json(data: bytes, members: str = "") -> Any:
    value = json.loads(data)
    need(jcs(value) == data, "doesn't re-serialise to itself")
    need(not members or set(value) == set(members.split()), f"members aren't {members}")
    return value


def h(net: bytes, label: str, *parts: bytes) -> bytes:
    return hashlib.sha256(
        b"exchange/v1/" + net + label.encode() + b"\0" + b"".join(u(8, len(p)) + p for p in parts)
    ).digest()


def human(text: str) -> str:
    """Human text stands as b64 of its NFC UTF-8 bytes."""
    data = unb64(text).decode("utf-8")
    need(unicodedata.normalize("NFC", data) == data, "text isn't NFC")
    return data


def pae(kind: str, body: bytes) -> bytes:
    media = f"application/vnd.exchange.{kind}.v1+json".encode()
    return b" ".join((b"DSSEv1", b"%d" % len(media), media, b"%d" % len(body), body))


def merkle(leaves: list[bytes]) -> bytes:
    if len(leaves) < 2:
        return hashlib.sha256(b"".join(b"\0" + leaf for leaf in leaves)).digest()
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + merkle(leaves[:k]) + merkle(leaves[k:])).digest()


# -- §3 keys ---------------------------------------------------------------------------------------


def derived(seed: bytes, what: str) -> bytes:
    return HKDF(hashes.SHA256(), 32, None, b"exchange/v1/seed/" + what.encode()).derive(seed)


def public_of(seed: bytes) -> dict[str, str]:
    ed, transport = (
        ed25519.Ed25519PrivateKey.from_private_bytes(derived(seed, w)) for w in ("ed25519", "transport")
    )
    ml = mldsa.MLDSA65PrivateKey.from_seed_bytes(derived(seed, "ml-dsa-65"))
    raw = [key.public_key().public_bytes_raw() for key in (ed, ml, transport)]
    return dict(zip(("ed25519", "mldsa65", "transport"), map(b64, raw), strict=True))


def skid_of(net: bytes, keys: dict[str, str]) -> bytes:
    return h(net, "skid", unb64(keys["ed25519"]), unb64(keys["mldsa65"]))


def verify(keys: dict[str, str], kind: str, body: bytes, signature: bytes) -> None:
    need(len(signature) == 3_373, "length of the signature")
    m = pae(kind, body)
    ed25519.Ed25519PublicKey.from_public_bytes(unb64(keys["ed25519"])).verify(signature[:64], m)
    mldsa.MLDSA65PublicKey.from_public_bytes(unb64(keys["mldsa65"])).verify(signature[64:], m, b"exchange/v1")


def digits(x: bytes) -> str:
    return " ".join(f"{int.from_bytes(x[4 * i : 4 * i + 4], 'big') % 100_000:05}" for i in range(8))


# -- the network the vectors play in ---------------------------------------------------------------


def table(name: str) -> Any:
    return json.loads((FOLDER / name).read_text())


NETWORK = table("network.json")
GENESIS = unb64(NETWORK["genesis"])
NET = hashlib.sha256(b"exchange/v1/genesis\0" + GENESIS).digest()
PARTIES = {name: party["keys"] for name, party in NETWORK["parties"].items()}
BY_SKID = {skid_of(NET, keys): (name, keys) for name, keys in PARTIES.items()}
PREKEYS = {unb64(row["kid"]): row for row in NETWORK["prekeys"]}


def check_network() -> None:
    need(unb64(NETWORK["net"]) == NET, "net")
    for name, party in NETWORK["parties"].items():
        need(public_of(unb64(party["seed"])) == party["keys"], f"keys of {name}")
        need(skid_of(NET, party["keys"]) == unb64(party["skid"]), f"skid of {name}")
    for kid, row in PREKEYS.items():
        record = signed_json(unb64(row["record"]), "address destroy from mlkem768 net until v x25519")
        need(h(NET, "prekey", unb64(row["record"])) == kid, "kid")
        kem, dh = prekey_halves(row)
        need(b64(kem.public_key().public_bytes_raw()) == record["mlkem768"], "ML-KEM public key")
        need(b64(dh.public_key().public_bytes_raw()) == record["x25519"], "X25519 public key")


def prekey_halves(row: dict[str, str]) -> tuple[mlkem.MLKEM768PrivateKey, x25519.X25519PrivateKey]:
    """The vectors keep a prekey as ML-KEM seed (64 bytes) || X25519 (32 bytes)."""
    secret = unb64(row["secret"])
    kem = mlkem.MLKEM768PrivateKey.from_seed_bytes(secret[:64])
    return kem, x25519.X25519PrivateKey.from_private_bytes(secret[64:])
