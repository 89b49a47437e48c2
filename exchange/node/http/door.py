"""Opens the node's HTTP door: services and settings in, an address out; closed where config.toml doesn't open it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from exchange.door_settings import DoorSettings
from exchange.http_rate import AtOnce, Rate, Room
from exchange.node.directory.address_book import AddressBook
from exchange.node.doors.doorkeeper import Doorkeeper
from exchange.node.home import Home
from exchange.node.http import door_tls, server as http
from exchange.node.http.context import Api, Context
from exchange.node.http.door_tls import DoorTls
from exchange.node.mail.events import MailEvents
from exchange.node.mail.facts import FactBook
from exchange.node.mail.search import MailSearch
from exchange.node.mail.sending import MailSending
from exchange.node.mail.view import MailView
from exchange.node.node import Node
from exchange.node.taxii.collections import Collections
from exchange.node.taxii.posted_mail import PostedMail
from exchange.node.taxii.posting import Posting

ROOM_BYTES: Final = 64 * 1024 * 1024  # of bodies in work, and as much of answers on their way
SHARE_BYTES: Final = 32 * 1024 * 1024  # of them for one caller
STRANGERS_PER_SECOND: Final = 10
STRANGERS_AT_ONCE: Final = 200
WRONG_PER_SECOND: Final = 0.2  # wrong passwords for a name, of an address; after WRONG_AT_ONCE
WRONG_AT_ONCE: Final = 10
GUESSES_AT_ONCE: Final = (
    4  # passwords of one address being checked, which takes as much time as a person won't notice
)


async def make_context(
    node: Node, settings: DoorSettings, metrics: Callable[[], Awaitable[bytes]]
) -> Context:
    """What the handlers need of a node."""
    collections = Collections(node.store, node.identity, node.replica, node.sources)
    await collections.open()
    mail = PostedMail(node.store, node.identity, node.replica, node.sources, settings, poke=node.sync.poke)
    send = mail.send if settings.posts_to else None
    posting = Posting(node.store, node.identity, collections, node.sources, send=send)
    await posting.open()
    seconds = asyncio.get_running_loop().time
    rate = settings.requests_per_second
    return Context(
        settings=settings,
        title=f"Node of {node.identity.address}",
        doorkeeper=Doorkeeper(node.store, node.sources),
        collections=collections,
        api=_api(node, collections),
        posting=posting,
        sources=node.sources,
        metrics=metrics,
        callers=Rate(per_second=rate, burst=2 * rate, seconds=seconds),
        strangers=Rate(per_second=STRANGERS_PER_SECOND, burst=STRANGERS_AT_ONCE, seconds=seconds),
        wrong=Rate(per_second=WRONG_PER_SECOND, burst=WRONG_AT_ONCE, seconds=seconds),
        guesses=AtOnce(GUESSES_AT_ONCE),
        bodies=Room(ROOM_BYTES, share=SHARE_BYTES),
        answers=Room(ROOM_BYTES, share=SHARE_BYTES),
    )


def _api(node: Node, collections: Collections) -> Api:
    store, sources, replica = node.store, node.sources, node.replica
    facts = FactBook(store.cipher, node.identity.address)
    view = MailView(store, sources, facts)
    return Api(
        view=view,
        search=MailSearch(store, sources, view),
        sending=MailSending(
            store,
            node.identity,
            replica,
            sources,
            view,
            digest=partial(collections.keys.digest, b"api-send"),
            poke=node.sync.poke,
        ),
        events=MailEvents(store, facts, view),
        book=AddressBook(store, replica, sources),
        replica=replica,
        changed=node.sync.changed,
        poke=node.sync.poke,
    )


@asynccontextmanager
async def opened(home: Home, node: Node, metrics: Callable[[], Awaitable[bytes]]) -> AsyncIterator[str]:
    """Listen as config.toml says; yields the door's URL, "" while it is closed.

    Raises Refused door.address, tls.certificate; Unavailable storage.*.
    """
    settings = home.settings.http
    if not settings.open:
        yield ""
        return
    tls = DoorTls(home, settings, now=node.sources.clock()) if settings.secure else None
    context = await make_context(node, settings, metrics)
    async with http.listening(context, None if tls is None else tls.context) as (host, port):
        shown = f"[{host}]" if ":" in host else host
        if tls is None:
            yield f"http://{shown}:{port}/"
            return
        keeping = asyncio.create_task(door_tls.keep(tls, node.store, node.sources.clock))
        try:
            yield f"https://{shown}:{port}/"
        finally:
            keeping.cancel()
