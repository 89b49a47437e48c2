"""Owns what TAXII's query parameters and headers say (TAXII 2.1 §1.6.8, §3.4, §3.5), and the cursor of pages.

A cursor is stateless: it says where the last page ended and how long it was asked to be, sealed against change together
with what it belongs to. The same one gives the same page again; what it lacks in rights is asked for anew.
"""

from __future__ import annotations

import hmac
import re
import struct
from dataclasses import dataclass, replace
from typing import Final

from aiohttp import web

from exchange.canonical import b64, unb64
from exchange.errors import Refused, Rejected
from exchange.formats.taxii import MAX_ID, from_timestamp
from exchange.message import Kind
from exchange.node.store.taxii import Keys
from exchange.node.taxii.collections import Asked
from exchange.tlp import Tlp, parse

DEFAULT_PAGE: Final = 100  # objects
MAX_PAGE: Final = 1_000
MAX_MATCHES: Final = 400  # values of one filter: more than a request line has room for, where they are ids
_POSITION = struct.Struct(">BQH8s")  # version, position, page size, what it belongs to
_MAC_BYTES: Final = 16
_VERSION: Final = 1
_SPECS: Final = {"2.0": 20, "2.1": 21}
_SPEC = re.compile(r"[0-9]{1,3}\.[0-9]{1,3}\Z")
_LIMIT = re.compile(r"[0-9]{1,100}\Z")
_WORDS: Final = ("last", "first", "all")

# What a client may accept, and how exactly that names what it gets.
_EXACT: Final = {"application/taxii+json": 4, "application/json": 2, "application/*": 1, "*/*": 0}


@dataclass(frozen=True, slots=True)
class Paging:
    """A page that is asked for: what, from where, and how many at most."""

    asked: Asked
    limit: int
    belongs: bytes

    def of_all_versions(self) -> Paging:
        """For a list of versions (§5.8), which has no such filter."""
        return replace(self, asked=replace(self.asked, versions=("all",)))

    def cursor(self, keys: Keys, position: int) -> str:
        """What a client sends to go on after `position`."""
        body = _POSITION.pack(_VERSION, position, self.limit, self.belongs)
        return b64(body + keys.digest(b"cursor", body)[:_MAC_BYTES])


def paging(
    request: web.Request,
    keys: Keys,
    *,
    place: str,
    fields: tuple[str, ...],
    ids: tuple[str, ...] | None = None,
) -> Paging:
    """What the parameters of a request ask for. `place`: collection and endpoint; `fields`: the filters it knows.

    `added_after` beside `next` only moves it on. Raises Refused taxii.bad-filter (a MUST of §3.4).
    """
    asked = filters(request, fields=fields, ids=ids)
    belongs = keys.digest(b"belongs", repr((place, asked)).encode())[:8]
    after = _one(request, "added_after")
    if after is not None:
        asked = replace(asked, after=from_timestamp(after))
    limit = _limit(_one(request, "limit"))
    next_ = _one(request, "next")
    if next_:
        position, before = _position(next_, keys, belongs)
        asked = replace(asked, after=max(asked.after, position))
        limit = limit or before
    return Paging(asked, limit or DEFAULT_PAGE, belongs)


def filters(
    request: web.Request,
    *,
    fields: tuple[str, ...],
    ids: tuple[str, ...] | None = None,
    versions: tuple[str | int, ...] = ("last",),
) -> Asked:
    """The `match` filters of a request; `versions` where it has none of them. Others than `fields` are ignored (§3.4).

    Raises Refused taxii.bad-filter.
    """
    matches = {name: _values(request, name) for name in fields}
    found = matches.get("id")
    if found is not None and any(len(one) > MAX_ID for one in found):
        raise _bad("match[id]: an id is too long")
    specs, wanted = matches.get("spec_version"), matches.get("version")
    tlps, kinds = matches.get("x_tlp"), matches.get("x_kind")
    return Asked(
        ids=ids or found,
        types=matches.get("type"),
        specs=None if specs is None else _specs(specs),
        versions=versions if wanted is None else _versions(wanted),
        tlps=None if tlps is None else tuple(_tlp(one) for one in tlps),
        kinds=None if kinds is None else _kinds(kinds),
    )


def check_accept(request: web.Request) -> None:
    """Lenient: what doesn't rule out our media type gets it. Raises Refused taxii.not-acceptable."""
    header = ",".join(request.headers.getall("Accept", []))
    if header.strip() and not _accepts(header):
        raise Refused("taxii.not-acceptable")


def check_content_type(request: web.Request) -> None:
    """Raises Refused taxii.media-type."""
    media, version, _ = _media(request.headers.get("Content-Type", ""))
    if media not in ("application/taxii+json", "application/json") or version not in ("", "2.1"):
        raise Refused("taxii.media-type")


def _accepts(header: str) -> bool:
    best, weight = -1, 0.0
    for part in header.split(","):
        media, version, q = _media(part)
        if media not in _EXACT or (media == "application/taxii+json" and version not in ("", "2.1")):
            continue
        exact = _EXACT[media] + (1 if version else 0)
        if exact > best or (exact == best and q > weight):
            best, weight = exact, q
    return weight > 0


def _media(part: str) -> tuple[str, str, float]:
    """A media type in lower case, its version, its weight."""
    media, *parameters = (piece.strip() for piece in part.split(";"))
    version, weight = "", 1.0
    for parameter in parameters:
        name, _, value = (piece.strip() for piece in parameter.partition("="))
        if name.lower() == "version":
            version = value.strip('"')
        elif name.lower() == "q":
            weight = float(value) if re.fullmatch(r"[01](\.[0-9]{0,3})?", value) else 0.0
    return media.lower(), version, weight


def _position(text: str, keys: Keys, belongs: bytes) -> tuple[int, int]:
    try:
        data = unb64(text, size=_POSITION.size + _MAC_BYTES, field="next")
    except Rejected:
        raise _bad("next: not one that this server gave") from None
    body, mac = data[: _POSITION.size], data[_POSITION.size :]
    if not hmac.compare_digest(mac, keys.digest(b"cursor", body)[:_MAC_BYTES]):
        raise _bad("next: not one that this server gave")
    _, position, limit, of = _POSITION.unpack(body)
    if not hmac.compare_digest(of, belongs):
        raise _bad("next: of another query; send it with the filters it came from")
    return position, limit


def _limit(text: str | None) -> int | None:
    if text is None:
        return None
    if not _LIMIT.match(text) or int(text) == 0:
        raise _bad("limit: a whole number above zero")
    return min(int(text), MAX_PAGE)


def _one(request: web.Request, name: str) -> str | None:
    values = request.query.getall(name, [])
    if len(values) > 1:
        raise _bad(f"{name}: only once")
    return values[0] if values else None


def _values(request: web.Request, name: str) -> tuple[str, ...] | None:
    text = _one(request, f"match[{name}]")
    if text is None:
        return None
    values = tuple(one.strip() for one in text.split(","))
    if not all(values) or len(values) > MAX_MATCHES:
        raise _bad(f"match[{name}]: 1 to {MAX_MATCHES} values, commas between")
    return values


def _specs(words: tuple[str, ...]) -> tuple[int, ...]:
    if not all(_SPEC.match(word) for word in words):
        raise _bad("match[spec_version]: such as 2.0 or 2.1")
    return tuple(_SPECS[word] for word in words if word in _SPECS)


def _versions(words: tuple[str, ...]) -> tuple[str | int, ...]:
    if len(set(words)) < len(words):
        raise _bad("match[version]: each only once")
    if "all" in words and len(words) > 1:
        raise _bad("match[version]: all stands alone")
    return tuple(word if word in _WORDS else from_timestamp(word) for word in words)


def _tlp(word: str) -> Tlp:
    try:
        return parse(word)
    except Refused:
        raise _bad("match[x_tlp]: clear, green, amber, amber+strict") from None


def _kinds(words: tuple[str, ...]) -> tuple[str, ...]:
    if not all(word in set(Kind) for word in words):
        raise _bad(f"match[x_kind]: {', '.join(Kind)}")
    return words


def _bad(detail: str) -> Refused:
    return Refused("taxii.bad-filter", detail)
