"""A MISP as its REST API shows it: an index of events and each event, made up or real."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web


@dataclass
class Misp:
    """Events by UUID. `failing`: HTTP statuses that some answer with; `key`: what it wants to see; `filters`: it lists
    nothing but what it is asked for."""

    events: dict[str, dict[str, Any]] = field(default_factory=dict)
    failing: dict[str, int] = field(default_factory=dict)
    key: str = ""
    filters: bool = True
    asked: list[dict[str, Any]] = field(default_factory=list)
    viewed: list[str] = field(default_factory=list)

    def put(self, event: dict[str, Any]) -> str:
        """Add or replace one; its UUID."""
        uuid = str(event["Event"]["uuid"])
        self.events[uuid] = event
        return uuid

    async def answer(self, request: web.Request) -> web.Response:
        if self.key and request.headers.get("Authorization") != self.key:
            return _json({"message": "Authentication failed"}, 403)
        if request.path == "/events/index":
            asked = orjson.loads(await request.read())
            self.asked.append(asked)
            return _json([self._entry(one) for one in self.events.values() if self._fits(one, asked)])
        uuid = request.path.removeprefix("/events/view/")
        self.viewed.append(uuid)
        if uuid in self.failing:
            return _json({"message": "broken"}, self.failing[uuid])
        return _json(self.events[uuid]) if uuid in self.events else _json({}, 404)

    def _fits(self, one: dict[str, Any], asked: dict[str, Any]) -> bool:
        event = one["Event"]
        is_new = not self.filters or int(event["timestamp"]) >= int(asked["timestamp"])
        return is_new and bool(event.get("published", True))

    def _entry(self, one: dict[str, Any]) -> dict[str, Any]:
        event = one["Event"]
        return {"id": "7", "uuid": event["uuid"], "timestamp": event["timestamp"], "published": True}


def _json(value: object, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(value), content_type="application/json", status=status)
