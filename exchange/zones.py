"""Time zones as this machine knows them."""

from __future__ import annotations

from datetime import tzinfo
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


@cache
def zones(name: str) -> tzinfo | None:
    """The rules of a zone by its IANA name (`directory.hours.Zones`); None for one that isn't known here."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a name that is a folder
        return None
