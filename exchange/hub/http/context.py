"""What every handler is given: the services and limits of one hub, under one key of the application."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web

from exchange.http_guard import Connections
from exchange.http_rate import Rate, Room
from exchange.hub.applications import Applications
from exchange.hub.blobs import Blobs
from exchange.hub.mailboxes import Mailboxes
from exchange.hub.metrics import Metrics
from exchange.hub.pending import Pending
from exchange.hub.pieces import Pieces
from exchange.hub.registrar import Registrar
from exchange.hub.store.store import HubStore
from exchange.loop_lag import LoopLag
from exchange.settings import HubSettings
from exchange.tls import ServerTls


@dataclass
class Context:
    """One hub as its handlers see it. `clock()` in ms; `random(n)` gives n random bytes."""

    settings: HubSettings
    store: HubStore
    registrar: Registrar
    applications: Applications
    pending: Pending
    mailboxes: Mailboxes
    pieces: Pieces
    blobs: Blobs
    metrics: Metrics
    clock: Callable[[], int]
    random: Callable[[int], bytes]
    free_bytes: Callable[[], int]
    members: Rate
    strangers: Rate
    statements: Rate  # of a member with all its units, or of an officer
    bodies: Room  # requests', from the first byte to the answer
    outside: Room  # the same of callers without a token, by where they come from
    answers: Room  # pages', until the caller has read them
    pushes: (
        Room  # what goes to sockets, apart from pages: whoever reads these slowly keeps no flash from anybody
    )
    blob_uploads: Room  # calls under way, by member
    blob_downloads: Room
    stopping: bool = False
    # what ends each open WebSocket, by address, the oldest first
    sockets: dict[str, list[Callable[[], None]]] = field(default_factory=dict)
    connections: Connections | None = None  # set once the server listens
    tls: ServerTls | None = None  # set by who serves, where it does so with TLS
    lag: LoopLag = field(default_factory=LoopLag)


CONTEXT: Final = web.AppKey("context", Context)
