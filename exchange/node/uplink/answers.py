"""What the hub, or a proxy on the way, answers a node: bounded bytes, JSON, refusals turned back into our errors.

Owns one table for what an HTTP status alone means to a node (docs/protocol.md §11). Verifies nothing that is signed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import aiohttp
import orjson

from exchange.canonical import Json
from exchange.errors import CODES, ExchangeError, Refused, Unavailable
from exchange.limits import MAX_PAGE_BYTES, MAX_UPLOAD, PAGE_BYTES

_MAX_ANSWER: Final = 16 * 1024 * 1024
_MAX_PAGE_ANSWER: Final = MAX_UPLOAD + MAX_PAGE_BYTES + PAGE_BYTES
MAX_DETAIL: Final = 300
# Where the hub, or a proxy on the way, can't answer now.
_TRY_LATER: Final = frozenset({407, 408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class Answer:
    """A good answer."""

    body: bytes
    status: int
    more: bool


def odd(detail: str) -> Unavailable:
    """Something answered, but not as the hub should: it says so by the fact `answered`, and the link stands."""
    return Unavailable("hub.unreachable", detail, answered=True)


async def bounded(response: aiohttp.ClientResponse, came: Callable[[bytes], object] | None = None) -> bytes:
    """The answer's body, up to the largest page there can be; with `came` that is given each part as it comes."""
    parts: list[bytes] = []
    take, size = came or parts.append, 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > max(_MAX_ANSWER, _MAX_PAGE_ANSWER):
            raise odd("the answer is too long")
        take(part)
    return b"".join(parts)


def problem(status: int, data: bytes) -> ExchangeError:
    """Our error for a refusal: its own code (RFC 9457, docs/protocol.md §11), or that of a proxy that answered."""
    try:
        value = orjson.loads(data)
        code = value["code"]
    except (orjson.JSONDecodeError, TypeError, KeyError):
        code = ""
        value = {}
    if not isinstance(code, str) or code not in CODES:
        return odd(f"HTTP {status}")
    facts = {name: value[name] for name in ("now", "retry_after") if type(value.get(name)) is int}
    detail = "".join(char for char in str(value.get("detail", ""))[:MAX_DETAIL] if char.isprintable())
    return (Unavailable if status in _TRY_LATER else Refused)(code, detail, **facts)


def tries_later(status: int) -> bool:
    """Whether who answers so can't at the moment."""
    return status in _TRY_LATER


def json_of(answer: Answer) -> dict[str, Json]:
    """The JSON object that it must be. Raises Unavailable hub.unreachable."""
    try:
        value = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise odd("the answer isn't the JSON object it should be")
    return value


def receipts_of(value: dict[str, Json]) -> tuple[Json, ...]:
    """The proofs in an answer to uploads."""
    receipts = value.get("receipts")
    return tuple(receipts) if isinstance(receipts, list) else ()
