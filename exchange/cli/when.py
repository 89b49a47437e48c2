"""Reads times as people type them: `2026-12-01T12:00Z`, `2026-12-01`, or from now: `30m`, `4h`, `2d`."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from exchange.errors import Refused

_FROM_NOW = re.compile(r"([0-9]{1,5})([mhd])\Z")
_UNIT_MS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}


def parse_when(text: str, *, now: int) -> int:
    """The time in UTC ms; one without a zone is UTC. `now` in ms. Raises Refused message.bad-time."""
    match = _FROM_NOW.match(text.strip())
    if match:
        return now + int(match[1]) * _UNIT_MS[match[2]]
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise Refused("message.bad-time", "write a time as 2026-12-01T12:00Z, or 4h from now") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)
