"""What a feed from outside is told by this node's administrator: where it is, how often, which label its objects get.

Owns these settings, their ranges and their check. The administrator names the address, and nothing that a server
answers leads to another one: what may be reached from this machine is theirs to decide. No secret stands here.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Final, Self
from urllib.parse import urlsplit

from exchange.access import check_name
from exchange.errors import Refused
from exchange.limits import DAY_MS, MINUTE_MS
from exchange.tlp import DEFAULT, Tlp

EVERY_MS: Final = 15 * MINUTE_MS
LEAST_EVERY_MS: Final = MINUTE_MS
MOST_EVERY_MS: Final = 7 * DAY_MS
KEEP_MS: Final = 365 * DAY_MS
MOST_KEEP_MS: Final = 3_650 * DAY_MS
MAX_READERS: Final = 16
MAX_URL: Final = 2_048  # characters
MAX_CA: Final = 65_536
_COLLECTION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]{0,127}\Z")
_SPAN: Final = re.compile(r"([0-9]{1,5})([mhd])\Z")
_UNIT_MS: Final = {"m": MINUTE_MS, "h": 60 * MINUTE_MS, "d": DAY_MS}


class FeedKind(StrEnum):
    """What speaks at the other end."""

    TAXII = "taxii"
    MISP = "misp"


class Proof(StrEnum):
    """How the credential is shown: not at all, as `Authorization: Bearer` or `Token`, bare, or as a password."""

    NONE = "none"
    BEARER = "bearer"
    TOKEN = "token"  # noqa: S105 - a word of the protocol, no secret
    KEY = "key"
    BASIC = "basic"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedSettings:
    """One feed. `url`: of a TAXII API root, or of a MISP. `floor`: the label of what carries none.

    `every`, `keep` in ms: how often it is asked, and how long its objects stay after they came last. `readers`: names
    under which the same system reads here (rights of entry, members), the feed's own name besides. `ca`: PEM text of
    an authority that is trusted for this feed too. `user` goes with a password. `keep` of a forgotten feed is 0.
    """

    kind: FeedKind
    url: str
    collection: str = ""
    proof: Proof = Proof.NONE
    user: str = ""
    ca: str = ""
    floor: Tlp = DEFAULT
    every: int = EVERY_MS
    keep: int = KEEP_MS
    readers: tuple[str, ...] = ()

    def check(self) -> Self:
        """These settings, the URL's scheme in lower case. Raises Refused feed.bad-setting, access.bad-name."""
        _check_url(self.url)
        if (self.kind is FeedKind.TAXII) != bool(self.collection):
            raise _bad("a collection's id goes with a TAXII server, and only there")
        if self.collection and not _COLLECTION.match(self.collection):
            raise _bad("collection: the id of one, as its server lists it")
        if (self.proof is Proof.BASIC) != bool(self.user):
            raise _bad("a name goes with a password")
        if len(self.ca) > MAX_CA:
            raise _bad(f"ca: more than {MAX_CA} characters")
        if not LEAST_EVERY_MS <= self.every <= MOST_EVERY_MS:
            raise _bad("every: 1m to 7d")
        if not DAY_MS <= self.keep <= MOST_KEEP_MS:
            raise _bad("keep: 1d to 3650d")
        if len(self.readers) > MAX_READERS:
            raise _bad(f"readers: at most {MAX_READERS}")
        for one in self.readers:
            check_name(one)
        scheme, _, rest = self.url.partition(":")
        return replace(self, url=f"{scheme.lower()}:{rest}")

    def to_mapping(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self) | {"floor": self.floor.value, "readers": list(self.readers)}

    @classmethod
    def from_mapping(cls, value: Mapping[str, Any]) -> Self:
        """What `to_mapping` made."""
        read = {
            "kind": FeedKind(value["kind"]),
            "proof": Proof(value["proof"]),
            "floor": Tlp(value["floor"]),
            "readers": tuple(value["readers"]),
        }
        return cls(**{**value, **read})


def parse_span(text: str) -> int:
    """A span of time as people type it, `15m`, `4h`, `90d`, in ms. Raises Refused feed.bad-setting."""
    match = _SPAN.match(text.strip())
    if match is None:
        raise _bad("write a span of time as 15m, 4h or 90d")
    return int(match[1]) * _UNIT_MS[match[2]]


def _check_url(url: str) -> None:
    """https, or http to this machine alone; no secret in it, for it is shown."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise _bad("the URL can't be read") from None
    if len(url) > MAX_URL or not url.isascii() or any(char <= " " for char in url):
        raise _bad(f"the URL has at most {MAX_URL} characters of ASCII, and no spaces")
    if parts.scheme not in ("https", "http") or not host or port == 0:
        raise _bad("the URL begins with https:// and names a host")
    if parts.username is not None or parts.query or parts.fragment:
        raise _bad("the URL has no name, password, query or fragment: a credential comes from a file")
    if parts.scheme == "http" and not _is_loopback(host):
        raise _bad("http goes to this machine alone; elsewhere it is https")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _bad(detail: str) -> Refused:
    return Refused("feed.bad-setting", detail)
