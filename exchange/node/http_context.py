"""What every handler of the node's HTTP door is given: services and limits, under one key of the application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from exchange.door_settings import DoorSettings
from exchange.http_guard import Connections
from exchange.http_rate import Rate, Room
from exchange.node.collections import Collections
from exchange.node.doorkeeper import Doorkeeper
from exchange.node.identity import Sources
from exchange.node.posting import Posting


@dataclass
class Context:
    """One door as its handlers see it. `metrics()`: the node's numbers as text."""

    settings: DoorSettings
    title: str
    doorkeeper: Doorkeeper
    collections: Collections
    posting: Posting
    sources: Sources
    metrics: Callable[[], Awaitable[bytes]]
    callers: Rate  # requests of a right of entry
    strangers: Rate  # of an address without one
    wrong: Rate  # wrong passwords for a name, or tokens, from an address
    bodies: Room
    answers: Room  # on their way
    stopping: bool = False
    connections: Connections | None = None  # set once it listens


CONTEXT: Final = web.AppKey("context", Context)
