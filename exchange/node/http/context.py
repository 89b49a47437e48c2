"""What every handler of the node's HTTP door is given: services and limits, under one key of the application."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web

from exchange.door_settings import DoorSettings
from exchange.http_guard import Connections
from exchange.http_rate import AtOnce, Rate, Room
from exchange.node.condition import Bell
from exchange.node.directory.address_book import AddressBook
from exchange.node.directory.replica import Replica
from exchange.node.doors.doorkeeper import Doorkeeper
from exchange.node.identity import Sources
from exchange.node.mail.events import MailEvents
from exchange.node.mail.search import MailSearch
from exchange.node.mail.sending import MailSending
from exchange.node.mail.view import MailView
from exchange.node.taxii.collections import Collections
from exchange.node.taxii.posting import Posting


@dataclass
class Api:
    """What the endpoints of the REST API work with. `changed` rings when something happened; `poke()`: mail waits.

    `streams`: how many each right of entry has open.
    """

    view: MailView
    search: MailSearch
    sending: MailSending
    events: MailEvents
    book: AddressBook
    replica: Replica
    changed: Bell
    poke: Callable[[], None]
    streams: Counter[str] = field(default_factory=Counter)


@dataclass
class Context:
    """One door as its handlers see it. `metrics()`: the node's numbers as text."""

    settings: DoorSettings
    title: str
    doorkeeper: Doorkeeper
    collections: Collections
    posting: Posting
    api: Api
    sources: Sources
    metrics: Callable[[], Awaitable[bytes]]
    callers: Rate  # requests of a right of entry
    strangers: Rate  # of an address without one
    wrong: Rate  # wrong passwords for a name, from an address
    guesses: AtOnce  # passwords of an address being checked
    bodies: Room
    answers: Room  # on their way
    stopping: bool = False
    connections: Connections | None = None  # set once it listens


CONTEXT: Final = web.AppKey("context", Context)
