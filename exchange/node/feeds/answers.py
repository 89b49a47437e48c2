"""What the server of a feed answers: one table for what an HTTP status means to a feed, and how long it asks to wait.

Owns that table, and the limits that hold for every answer of such a server, whatever its kind.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final

from exchange.errors import ExchangeError, Refused, Rejected, Unavailable
from exchange.limits import DAY_MS, SECOND_MS

CONNECT_SECONDS: Final = 15.0
READ_SECONDS: Final = 30.0  # between two reads
ANSWER_SECONDS: Final = 120.0  # for one answer, however it comes
MAX_WAIT_MS: Final = DAY_MS  # that a server may ask for
AGENT: Final = "exchange-node"
_DENIED: Final = frozenset({401, 403, 407})
_NOT_THERE: Final = frozenset({404, 410})
_TRY_LATER: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_TOO_LARGE: Final = frozenset({"json.too-large", "json.too-many-values", "json.too-many-objects"})
_GOOD: Final = 200
_ELSEWHERE: Final = range(300, 400)


@dataclass(frozen=True)
class Way:
    """How servers of feeds are reached: whom to trust, a proxy and its login ("" and None for none)."""

    tls: ssl.SSLContext
    proxy: str = ""
    login: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A good one: its body as it came, and its headers by name in lower case."""

    body: bytes
    headers: Mapping[str, str]


def check_status(status: int, headers: Mapping[str, str], *, now: int) -> None:
    """Raises what any status but 200 means; `headers` by name in lower case, `now` in ms.

    Unavailable feed.busy, with `retry_after` in seconds where the server asks for it; Refused feed.denied,
    feed.not-there; Rejected feed.redirect, feed.bad-answer.
    """
    if status != _GOOD:
        raise _fault(status, headers, now)


def unread(refusal: Refused) -> Rejected:
    """What it means to a feed that a body can't be read: Rejected feed.too-large, feed.bad-answer."""
    code = "feed.too-large" if refusal.code in _TOO_LARGE else "feed.bad-answer"
    return Rejected(code, f"{refusal.code}: {refusal.detail}")


def _fault(status: int, headers: Mapping[str, str], now: int) -> ExchangeError:
    told = f"HTTP {status}"
    if status in _DENIED:
        return Refused("feed.denied", f"{told}: look at the credential, and at what it is allowed there")
    if status in _NOT_THERE:
        return Refused("feed.not-there", f"{told}: look at the URL and the collection's id")
    if status in _TRY_LATER:
        wait = _wait_ms(headers.get("retry-after", ""), now)
        return Unavailable("feed.busy", told, retry_after=wait // SECOND_MS)
    if status in _ELSEWHERE:
        return Rejected("feed.redirect", f"{told}: name the address that it sends to, if it is the right one")
    return Rejected("feed.bad-answer", told)


def _wait_ms(text: str, now: int) -> int:
    """Of a Retry-After (RFC 9110 §10.2.3): seconds, or a date; 0 for anything else."""
    if text.isascii() and text.isdigit() and len(text) < 10:
        return min(int(text) * SECOND_MS, MAX_WAIT_MS)
    try:
        moment = parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return 0
    return min(max(0, int(moment * SECOND_MS) - now), MAX_WAIT_MS)
