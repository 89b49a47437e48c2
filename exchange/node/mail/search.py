"""Owns the search in received messages for the API: by an indicator's value, by words.

Content lies sealed, so there is no index of what it says: a search opens one message after the other, the newest first,
and stops where its share of work is done; it says where to go on. One search works at a time.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

from exchange.access import Access
from exchange.directory.addressing import folded
from exchange.errors import Refused, Rejected
from exchange.formats.indicators.refang import refang
from exchange.formats.stix.cover import read_message
from exchange.formats.stix.spans import Limits, parse, scan
from exchange.node.identity import Sources
from exchange.node.mail.facts import Item
from exchange.node.mail.view import MailView, Wanted
from exchange.node.store import inbox as store_inbox
from exchange.node.store.store import Store, Transaction

MOST_MESSAGES: Final = 500  # looked into by one call
MOST_READ: Final = 16 * 1024 * 1024  # bytes of content
MOST_MS: Final = 500
MOST_HITS: Final = 50
MOST_OBJECTS: Final = 20  # named of one message
_HIDDEN: Final = ("[.", "(.", "{.", ".]", "[d", "[:", "[@", "[a", "hx", "://]", "\\.")  # in defanged text


@dataclass(frozen=True, slots=True)
class Sought:
    """What is looked for: a value as it stands by itself, and words anywhere; each empty for any."""

    value: str = ""
    text: str = ""

    @classmethod
    def of(cls, value: str, text: str) -> Sought:
        """As people and programs type it: also defanged. Raises Refused api.bad-parameter for neither."""
        sought = cls(refang(value).strip().casefold(), folded(text))
        if not sought.value and not sought.text:
            raise Refused("api.bad-parameter", "value or text says what is looked for", field="value")
        return sought


@dataclass(frozen=True, slots=True)
class Hit:
    """A message that has it, and the ids of its first objects that do; none where only its own text does."""

    item: Item
    objects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """Hits, newest first; how many messages were taken, how many of them withheld; where to go on, None at the end."""

    hits: tuple[Hit, ...]
    looked: int
    withheld: int
    before: int | None


class MailSearch:
    """Searches what was received."""

    def __init__(self, store: Store, sources: Sources, view: MailView) -> None:
        self._store = store
        self._sources = sources
        self._view = view
        self._one = asyncio.Lock()

    async def search(self, access: Access, sought: Sought, *, before: int | None) -> Found:
        """One share of work. What may not leave is not looked into."""
        hits: list[Hit] = []
        until = self._sources.monotonic() + MOST_MS
        looked = withheld = read = 0
        async with self._one:
            while True:
                items = await self._view.read(partial(self._some, access, before))
                for item in items:
                    before, looked = item.n, looked + 1
                    if not item.decision.allowed:
                        withheld += 1
                        continue
                    payload = await self._view.read(partial(self._payload, item.n))
                    read += len(payload)
                    objects = await asyncio.to_thread(_matches, payload, sought)
                    if objects is not None:
                        hits.append(Hit(item, objects))
                    done = looked >= MOST_MESSAGES or read >= MOST_READ or len(hits) >= MOST_HITS
                    if done or self._sources.monotonic() >= until:
                        break
                else:
                    if items:
                        continue
                    before = None
                break
        await self._view.note_listed(access, [hit.item for hit in hits])
        return Found(tuple(hits), looked, withheld, before)

    def _some(self, access: Access, before: int | None, connection: Transaction) -> list[Item]:
        items, read = list[Item](), 0
        for item, cost in self._view.some(connection, access, Wanted(), before=before):
            items.append(item)
            read += cost
            if read >= MOST_READ:
                break
        return items

    def _payload(self, n: int, connection: Transaction) -> bytes:
        """What the message of row `n` says; nothing where it was erased meanwhile."""
        found = store_inbox.arrived(connection, self._store.cipher, after=n - 1, limit=1)
        return found[0].payload if found and found[0].n == n else b""


def _matches(payload: bytes, sought: Sought) -> tuple[str, ...] | None:
    """Those objects of a message that has all that is sought which have some of it; None where it hasn't."""
    try:
        message = read_message(payload)
    except Rejected:
        return None
    objects: list[str] = []
    by_value, by_text = not sought.value, not sought.text
    document = scan(message.bundle, Limits())
    first = len(document.items) - message.object_count
    for place, span in enumerate(document.items):
        texts = list(_texts(parse(document.bytes_of(span))))
        has_value = bool(sought.value) and any(_stands_in(sought.value, text) for text in texts)
        has_text = bool(sought.text) and any(sought.text in folded(text) for text in texts)
        by_value, by_text = by_value or has_value, by_text or has_text
        if (has_value or has_text) and place >= first and len(objects) < MOST_OBJECTS:
            objects.append(_id_of(document.bytes_of(span)))
    return tuple(objects) if by_value and by_text else None


def _id_of(data: bytes) -> str:
    value = parse(data)
    return str(value.get("id", "")) if isinstance(value, dict) else ""


def _texts(value: object) -> Iterator[str]:
    """Every text in a value; it was read within the limits of depth."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, dict):
        for each in value.values():
            yield from _texts(each)


def _stands_in(value: str, text: str) -> bool:
    """Whether the value stands in a text by itself: `a.example` isn't in `ba.example` nor in `a.example.org`."""
    plain = text.casefold()
    if _alone(value, plain):
        return True
    return any(sign in plain for sign in _HIDDEN) and _alone(value, refang(plain))


def _alone(value: str, text: str) -> bool:
    if value not in text:
        return False
    return re.search(rf"(?<![\w.-]){re.escape(value)}(?![\w-]|\.\w)", text) is not None
