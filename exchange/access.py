"""Rights of entry at a node's HTTP door: what one may be for, how a token or password proves it.

Owns scopes, the spelling and hashes of tokens, and the hashes of passwords. Tokens are random and long, so one hash is
enough; passwords are people's, so theirs is slow. Where rights are kept is `node/store_access_rights`' business, who
comes in `node/doors/doorkeeper`'s.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from exchange.canonical import b64, sha256
from exchange.errors import Refused

SECRET_BYTES: Final = 32
SALT_BYTES: Final = 16
MIN_PASSWORD: Final = 12  # characters
MAX_PASSWORD: Final = 1_024  # bytes
MAX_COLLECTIONS: Final = 64
_PREFIX: Final = "exn_"  # so that a token that lies about is known for one
_TOKEN = re.compile(_PREFIX + r"[A-Za-z0-9_-]{43}\Z")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}\Z")
_ALIAS = re.compile(r"[a-z0-9][a-z0-9-]{0,63}\Z")
_SCRYPT: Final = {"n": 2**15, "r": 8, "p": 1, "maxmem": 64 * 1024 * 1024}  # 32 MiB, about 0.1 s


class Scope(StrEnum):
    """What a right of entry is for."""

    TAXII_READ = "taxii:read"
    TAXII_WRITE = "taxii:write"  # post to the writable collection, and delete there
    METRICS = "metrics:read"
    API_READ = "api:read"  # mail and what happens, by the REST API
    API_SEND = "api:send"
    API_ACK = "api:ack"  # answer in a person's name
    API_DIRECTORY = "api:directory"


class Kind(StrEnum):
    """How a right is proved."""

    TOKEN = "token"  # noqa: S105 - a kind, no secret
    PASSWORD = "password"  # noqa: S105 - a kind, no secret
    CERTIFICATE = "certificate"


@dataclass(frozen=True, slots=True)
class Access:
    """One right of entry. `collections`: aliases, empty for all. Times in ms; `until` None: no end.

    `exercise`: marked for exercises, gets nothing real. `passive`: whoever has it only looks (PAP).
    """

    n: int
    name: str
    kind: Kind
    scopes: frozenset[Scope]
    collections: frozenset[str]
    exercise: bool
    passive: bool
    until: int | None
    created_at: int
    created_by: str
    revoked_at: int | None = None

    def check(self, scope: Scope) -> None:
        """Raises Refused access.scope without that scope."""
        if scope not in self.scopes:
            raise Refused("access.scope", f"{self.name} lacks {scope.value}")

    def covers(self, collection: str) -> bool:
        """Whether the collection of this alias is among those it is for."""
        return not self.collections or collection in self.collections

    def stands(self, now: int) -> bool:
        """Whether it is neither revoked nor over."""
        return self.revoked_at is None and (self.until is None or now < self.until)


def check_name(name: str) -> None:
    """Raises Refused access.bad-name."""
    if not _NAME.match(name):
        raise Refused("access.bad-name")


def parse_scopes(words: list[str]) -> frozenset[Scope]:
    """Scopes as people type them. Raises Refused access.bad-scope."""
    known = {scope.value: scope for scope in Scope}
    if not words or not all(word in known for word in words):
        raise Refused("access.bad-scope", f"scopes: {', '.join(known)}")
    return frozenset(known[word] for word in words)


def parse_collections(words: list[str]) -> frozenset[str]:
    """Aliases of collections as people type them. Raises Refused access.bad-collection."""
    if len(words) > MAX_COLLECTIONS or not all(_ALIAS.match(word) for word in words):
        raise Refused("access.bad-collection")
    return frozenset(words)


def make_token(random: bytes) -> str:
    """The token that SECRET_BYTES random bytes make; shown once, kept nowhere."""
    return _PREFIX + b64(random)


def token_hash(token: str) -> bytes | None:
    """What is kept of a token, and looked up; None for what can't be one."""
    return sha256(token.encode("ascii")) if _TOKEN.match(token) else None


def password_hash(password: str, salt: bytes) -> bytes:
    """What is kept of a password: its SALT_BYTES of salt, and scrypt of it. Slow, 32 MiB.

    Raises Refused access.bad-password.
    """
    data = password.encode("utf-8")
    if len(password) < MIN_PASSWORD or len(data) > MAX_PASSWORD:
        raise Refused("access.bad-password")
    return salt + hashlib.scrypt(data, salt=salt, dklen=32, **_SCRYPT)


def password_fits(password: str, kept: bytes) -> bool:
    """Whether it is the password that `kept` was made of; takes as long for a wrong one."""
    salt, digest = kept[:SALT_BYTES], kept[SALT_BYTES:]
    data = password.encode("utf-8")[:MAX_PASSWORD]
    return hmac.compare_digest(digest, hashlib.scrypt(data, salt=salt, dklen=32, **_SCRYPT))
