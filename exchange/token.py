"""Request tokens and the WebSocket's proof (docs/protocol.md §10): who asks, bound to one request of one hub.

Pure: the clock is an argument, whose key counts is the caller's `keys_of`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from exchange.canonical import Fields, b64, dumps, h, loads, sha256, unb64
from exchange.errors import Rejected
from exchange.keys import PrivateKeys, PublicKeys
from exchange.limits import MAX_TOKEN, TOKEN_AHEAD_SECONDS, TOKEN_LIFE_SECONDS

_HEAD: Final = b64(dumps({"alg": "EdDSA", "typ": "exchange+jwt"}))
_CLAIMS: Final = ("aud", "exp", "h", "iat", "iss", "jti", "m", "net", "p")
_METHOD = re.compile(r"[A-Z]{3,8}\Z")
EMPTY: Final = sha256(b"")


@dataclass(frozen=True)
class Token:
    """A verified token: issuer's address and the hash the request's body must have."""

    issuer: str
    body_hash: bytes

    def check_body(self, digest: bytes) -> None:
        """Raises Rejected auth.body-mismatch unless `digest` (SHA-256) is the body the token names."""
        if digest != self.body_hash:
            raise Rejected("auth.body-mismatch")


def make_token(
    *,
    keys: PrivateKeys,
    net: bytes,
    issuer: str,
    origin: str,
    method: str,
    target: str,
    body_hash: bytes,
    now: int,
    jti: bytes,
) -> str:
    """A token for one request. `target` is path with query; `now` in ms; `jti` 16 random bytes."""
    claims = {
        "aud": origin,
        "exp": now // 1_000 + TOKEN_LIFE_SECONDS,
        "h": b64(body_hash),
        "iat": now // 1_000,
        "iss": issuer,
        "jti": b64(jti),
        "m": method,
        "net": b64(net),
        "p": target,
    }
    signed = f"{_HEAD}.{b64(dumps(claims))}"
    return f"{signed}.{b64(keys.sign_transport(signed.encode('ascii')))}"


def check_token(
    token: str,
    *,
    net: bytes,
    origins: Collection[str],
    method: str,
    target: str,
    now: int,
    keys_of: Callable[[str], PublicKeys],
) -> Token:
    """Verifies a token for one request; `now` in ms; `keys_of(issuer)` raises Rejected auth.unknown-issuer.

    Raises Rejected auth.*; for auth.clock-skew with the fact `now`. The signature is checked before any claim is
    believed, the time last: only a true member learns that its clock is off.
    """
    claims, signed, signature = _parse(token)
    if claims.net != net:
        raise Rejected("auth.other-network")
    keys_of(claims.issuer).verify_transport(signed, signature, code="auth.bad-signature")
    if claims.origin not in origins:
        raise Rejected("auth.wrong-origin")
    if claims.method != method or claims.target != target:
        raise Rejected("auth.wrong-request")
    if not claims.issued - TOKEN_AHEAD_SECONDS <= now // 1_000 < claims.expires:
        raise Rejected("auth.clock-skew", now=now)
    return Token(claims.issuer, claims.body_hash)


@dataclass(frozen=True)
class _Claims:
    """The claims in their right form, not believed yet. Times in seconds."""

    net: bytes
    issuer: str
    origin: str
    method: str
    target: str
    body_hash: bytes
    issued: int
    expires: int


def _parse(token: str) -> tuple[_Claims, bytes, bytes]:
    """Claims, what is signed, signature. Raises Rejected auth.bad-token for every fault of form."""
    if len(token) > MAX_TOKEN or token.count(".") != 2:
        raise Rejected("auth.bad-token")
    head, body, tail = token.split(".")
    if head != _HEAD:
        raise Rejected("auth.bad-token", "not an EdDSA token of this network's kind")
    try:
        fields = Fields(loads(unb64(body), most=MAX_TOKEN, field="claims"), _CLAIMS, what="claims")
        fields.binary("jti", 16)
        claims = _Claims(
            net=fields.binary("net", 32),
            issuer=fields.address("iss"),
            origin=fields.text("aud"),
            method=fields.matching("m", _METHOD),
            target=fields.text("p", most=MAX_TOKEN),
            body_hash=fields.binary("h", 32),
            issued=fields.integer("iat"),
            expires=fields.integer("exp"),
        )
        signature = unb64(tail, size=64, field="signature")
    except Rejected as fault:
        raise Rejected("auth.bad-token", fault.detail) from fault
    if not 0 < claims.expires - claims.issued <= TOKEN_LIFE_SECONDS:
        raise Rejected("auth.bad-token", f"lives longer than {TOKEN_LIFE_SECONDS} s")
    return claims, f"{head}.{body}".encode("ascii"), signature


def socket_message(net: bytes, origin: str, nonce: bytes) -> bytes:
    """What the transport key signs to open, and every 10 minutes to keep, a WebSocket."""
    return h(net, "ws", origin.encode("ascii"), nonce)
