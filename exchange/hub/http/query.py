"""What a call's query says: known names, each at most once, numbers in their range."""

from __future__ import annotations

import re
from collections.abc import Mapping

from aiohttp import web

from exchange.errors import Refused, Rejected

_NUMBER = re.compile(r"[0-9]{1,9}\Z")


def query_of(request: web.Request, names: tuple[str, ...]) -> dict[str, str]:
    """The query, which has these names at most. Raises Rejected request.bad."""
    query = dict(request.query)
    if len(query) != len(request.query) or not set(query) <= set(names):
        raise Rejected("request.bad", f"the query has {', '.join(names)}, each at most once")
    return query


def number_in(query: Mapping[str, str], name: str, *, least: int, most: int, default: int) -> int:
    """The number of that name, or `default`. Raises Refused request.bad for one out of range, `default` too."""
    text = query.get(name, str(default))
    if not _NUMBER.match(text) or not least <= int(text) <= most:
        raise Refused("request.bad", f"{name}: an integer {least}..{most}")
    return int(text)
