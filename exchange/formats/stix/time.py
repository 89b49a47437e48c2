"""Turns UTC milliseconds into STIX timestamps (STIX 2.1 §2.12) and back, always with three decimals.

Also reads the times of other formats, which spell them as ISO 8601 has it.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from exchange.errors import Refused

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIMESTAMP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")


def to_stix(ms: int) -> str:
    """`0` -> `1970-01-01T00:00:00.000Z`. `ms` is within 0 and the end of the year 9999."""
    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{ms % 1000:03d}Z"


def from_stix(text: str) -> int:
    """The inverse of `to_stix`: the one spelling it writes, in milliseconds since 1970.

    Raises: Refused `message.bad-time` for any other spelling, a day that doesn't exist, or a time before 1970.
    """
    if not _TIMESTAMP.fullmatch(text):
        raise Refused("message.bad-time")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Refused("message.bad-time") from None
    ms = (moment - _EPOCH) // timedelta(milliseconds=1)
    if ms < 0:
        raise Refused("message.bad-time")
    return ms


def from_iso(text: str) -> int:
    """A date, or a date and time, of ISO 8601 in milliseconds since 1970; without a zone it is UTC.

    Raises: ValueError for anything else, and for what a STIX timestamp can't say.
    """
    moment = datetime.fromisoformat(text.strip())
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    ms = (moment - _EPOCH) // timedelta(milliseconds=1)
    if ms < 0:
        raise ValueError("before 1970")
    to_stix(ms)  # a zone can move the last day of the year 9999 out of range
    return ms
