"""Signing pairs (Ed25519 + ML-DSA-65), transport keys, prekeys (ML-KEM-768 + X25519) and digits (docs/protocol.md §3).

Owns every call into asymmetric cryptography. Does not store keys (storage/keystore) nor decide whose key counts
(directory/).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, mldsa, mlkem, x25519
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from exchange.canonical import Fields, Json, b64, dumps, h
from exchange.errors import Rejected

SEED_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64 + 3309
MLKEM_PUBLIC_BYTES: Final = 1184
PREKEY_SECRET_BYTES: Final = 64 + 32

ENVELOPE: Final = "envelope"
RECEIPTS: Final = "receipts"
STATEMENT: Final = "statement"
CHECKPOINT: Final = "checkpoint"
SUBMISSION: Final = "submission"

_CONTEXT = b"exchange/v1"
# one name for the suite: EX1 (docs/protocol.md §4)
HPKE: Final = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


def pae(kind: str, body: bytes) -> bytes:
    """DSSE v1 pre-authentication encoding of `body` as our media type for `kind`."""
    media = f"application/vnd.exchange.{kind}.v1+json".encode("ascii")
    return b"DSSEv1 %d %b %d %b" % (len(media), media, len(body), body)


# Of the peers that write most: a key that is read once verifies many signatures.
@lru_cache(maxsize=256)
def _ed25519(raw: bytes) -> ed25519.Ed25519PublicKey:
    return ed25519.Ed25519PublicKey.from_public_bytes(raw)


@lru_cache(maxsize=256)
def _mldsa65(raw: bytes) -> mldsa.MLDSA65PublicKey:
    return mldsa.MLDSA65PublicKey.from_public_bytes(raw)


@lru_cache(maxsize=1024)
def _skid(net: bytes, ed25519_: bytes, mldsa65_: bytes) -> bytes:
    return h(net, "skid", ed25519_, mldsa65_)  # asked for each recipient of each envelope


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A verifying pair: raw Ed25519 (32 bytes) and raw ML-DSA-65 (1,952 bytes)."""

    ed25519: bytes
    mldsa65: bytes

    def __post_init__(self) -> None:
        try:  # not by the caches: of the thousands that a directory holds, few verify
            ed25519.Ed25519PublicKey.from_public_bytes(self.ed25519)
            mldsa.MLDSA65PublicKey.from_public_bytes(self.mldsa65)
        except ValueError:
            raise Rejected("json.bad-schema", "not an Ed25519 and ML-DSA-65 public key") from None

    def skid(self, net: bytes) -> bytes:
        """H("skid", ...): names this pair in headers and receipts, 32 bytes."""
        return _skid(net, self.ed25519, self.mldsa65)

    def verify(self, kind: str, body: bytes, signature: bytes, *, code: str) -> None:
        """Both signatures over `body` as `kind` must hold. Raises Rejected with `code`."""
        message = pae(kind, body)
        try:
            if len(signature) != SIGNATURE_BYTES:
                raise InvalidSignature
            _ed25519(self.ed25519).verify(signature[:64], message)
            _mldsa65(self.mldsa65).verify(signature[64:], message, _CONTEXT)
        except InvalidSignature:
            raise Rejected(code, "the signature doesn't hold") from None

    def to_json(self) -> Json:
        return {"ed25519": b64(self.ed25519), "mldsa65": b64(self.mldsa65)}

    @classmethod
    def from_json(cls, value: Json, *, what: str) -> PublicKey:
        fields = Fields(value, ("ed25519", "mldsa65"), what=what)
        return cls(fields.binary("ed25519", 32), fields.binary("mldsa65", 1952))


@dataclass(frozen=True, slots=True)
class PublicKeys:
    """What a member, officer or hub publishes of itself: the verifying pair and the transport key (raw Ed25519)."""

    signing: PublicKey
    transport: bytes

    def __post_init__(self) -> None:
        try:
            ed25519.Ed25519PublicKey.from_public_bytes(self.transport)
        except ValueError:
            raise Rejected("json.bad-schema", "transport: not an Ed25519 public key") from None

    def next_commitment(self, net: bytes) -> bytes:
        """The `next` of docs/protocol.md §3: what a member commits to for its first rotation."""
        return h(net, "next", self.signing.ed25519, self.signing.mldsa65, self.transport)

    def verify_transport(self, message: bytes, signature: bytes, *, code: str) -> None:
        """Ed25519 by the transport key, for tokens and the WebSocket. Raises Rejected with `code`."""
        try:
            ed25519.Ed25519PublicKey.from_public_bytes(self.transport).verify(signature, message)
        except InvalidSignature:
            raise Rejected(code, "the transport key's signature doesn't hold") from None

    def to_json(self) -> Json:
        return {**self.signing.to_json(), "transport": b64(self.transport)}

    @classmethod
    def from_json(cls, value: Json, *, what: str) -> PublicKeys:
        fields = Fields(value, ("ed25519", "mldsa65", "transport"), what=what)
        return cls(
            PublicKey(fields.binary("ed25519", 32), fields.binary("mldsa65", 1952)),
            fields.binary("transport", 32),
        )


class PrivateKeys:
    """A signing pair and a transport key, all from one 32-byte seed. Never printed, never compared."""

    __slots__ = ("_ed25519", "_mldsa65", "_transport", "public")

    def __init__(self, seed: bytes) -> None:
        self._ed25519 = ed25519.Ed25519PrivateKey.from_private_bytes(_derive(seed, "ed25519"))
        self._mldsa65 = mldsa.MLDSA65PrivateKey.from_seed_bytes(_derive(seed, "ml-dsa-65"))
        self._transport = ed25519.Ed25519PrivateKey.from_private_bytes(_derive(seed, "transport"))
        self.public = PublicKeys(
            PublicKey(
                self._ed25519.public_key().public_bytes_raw(), self._mldsa65.public_key().public_bytes_raw()
            ),
            self._transport.public_key().public_bytes_raw(),
        )

    def sign(self, kind: str, body: bytes) -> bytes:
        """Ed25519 || ML-DSA-65 over `body` as `kind`, 3,373 bytes."""
        message = pae(kind, body)
        return self._ed25519.sign(message) + self._mldsa65.sign(message, _CONTEXT)

    def sign_transport(self, message: bytes) -> bytes:
        """Ed25519 by the transport key, 64 bytes."""
        return self._transport.sign(message)


def _derive(seed: bytes, name: str) -> bytes:
    if len(seed) != SEED_BYTES:
        raise ValueError("a seed has 32 bytes")  # a programming error, never a peer's data
    info = b"exchange/v1/seed/" + name.encode("ascii")
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=info).derive(seed)


@dataclass(frozen=True)
class PrekeyPublic:
    """The public half of a prekey: raw ML-KEM-768 (1,184 bytes) and raw X25519 (32 bytes)."""

    mlkem768: bytes
    x25519: bytes

    def wrap(self, plain: bytes, info: bytes) -> bytes:
        """HPKE base mode (RFC 9180): enc || ciphertext, 1,136 bytes more. Raises Rejected on an unusable key."""
        try:
            public = MLKEM768X25519PublicKey(
                mlkem.MLKEM768PublicKey.from_public_bytes(self.mlkem768),
                x25519.X25519PublicKey.from_public_bytes(self.x25519),
            )
            return HPKE.encrypt(plain, public, info)
        except ValueError:  # e.g. an X25519 point of small order
            raise Rejected("directory.bad-prekeys", "this prekey can't be used") from None

    def check_usable(self) -> None:
        """Can anything be sealed to it? Raises Rejected directory.bad-prekeys."""
        self.wrap(b"", b"")


class PrekeySecret:
    """The private half: ML-KEM-768 seed (64 bytes) || X25519 (32 bytes). The hybrid key itself has no serialiser."""

    __slots__ = ("_key", "public")

    def __init__(self, secret: bytes) -> None:
        if len(secret) != PREKEY_SECRET_BYTES:
            raise ValueError("a prekey secret has 96 bytes")
        kem = mlkem.MLKEM768PrivateKey.from_seed_bytes(secret[:64])
        ecdh = x25519.X25519PrivateKey.from_private_bytes(secret[64:])
        self._key = MLKEM768X25519PrivateKey(kem, ecdh)
        self.public = PrekeyPublic(kem.public_key().public_bytes_raw(), ecdh.public_key().public_bytes_raw())

    def unwrap(self, wrapped: bytes, info: bytes, *, code: str) -> bytes:
        """Inverse of `PrekeyPublic.wrap`. Raises Rejected with `code`."""
        try:
            return HPKE.decrypt(wrapped, self._key, info)
        except (InvalidTag, ValueError):
            raise Rejected(code, "the wrap doesn't open") from None


def digits(x: bytes) -> str:
    """32 bytes as eight groups of five digits to compare by voice (docs/protocol.md §3)."""
    return " ".join(f"{int.from_bytes(x[i : i + 4], 'big') % 100_000:05d}" for i in range(0, 32, 4))


def member_digits(net: bytes, handle: str, keys: PublicKeys) -> str:
    """The digits of a member's keys."""
    return digits(h(net, "digits", handle.encode("ascii"), dumps(keys.to_json())))
