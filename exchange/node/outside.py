"""Owns what may become of what came from outside: its labels on the way in, the decision that it may go on, the check
of messages that carry it on.

    check_sent(...)        before a message is queued: whoever composes mail asks it
    Outside(...).decide    what a person does, beside the serving process

A thing that came by a feed leaves by the same policy as all else (release.decide), with the strictest of its labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from exchange.errors import Refused
from exchange.formats import markings, permissions
from exchange.formats.json_spans import Limits, parse, scan
from exchange.formats.objects import Loaded, RawObject
from exchange.formats.taxii import head_of, objects_of
from exchange.message import Message
from exchange.node import store_access, store_decisions, store_feeds, store_outside, store_taxii
from exchange.node.identity import Sources
from exchange.node.store import Store, Transaction
from exchange.node.store_outside import Brought, Listed, Thing
from exchange.node.store_taxii import Keys
from exchange.pap import Pap
from exchange.pap import strictest as strictest_pap
from exchange.release import Content, Decision, Door, Reader, decide
from exchange.tlp import Tlp, strictest

MAX_REASON: Final = 2_000  # characters
MOST_REFS: Final = 20_000
# They say how others are to be read, and tell nothing of their own.
_FREE: Final = ("marking-definition", "extension-definition")


@dataclass(frozen=True, slots=True)
class Bundle:
    """Objects for a file: how many, the strictest label among them, the STIX bundle."""

    objects: int
    tlp: Tlp
    bundle: bytes


def labelled(loaded: Loaded, floor: Tlp) -> list[Brought]:
    """The objects of a batch with their labels. What carries none, or one that nobody here knows, gets the floor."""
    pairs = [(raw, parse(raw.data)) for raw in loaded.accepted]
    tlps: dict[str, Tlp] = {}
    paps: dict[str, Pap] = {}
    for _, value in pairs:
        markings.collect_definition(value, tlps)
        permissions.collect_definition(value, paps)
    found = []
    for raw, value in pairs:
        head = head_of(value)
        if head is None or not isinstance(value, dict):
            continue
        tlp = _tlp(raw, value, tlps, paps, floor)
        found.append(Brought(head, tlp, raw.tlp, permissions.pap_of(value, paps), raw.data))
    return found


def _tlp(
    raw: RawObject, value: Mapping[str, Any], tlps: Mapping[str, Tlp], paps: Mapping[str, Pap], floor: Tlp
) -> Tlp:
    if value.get("type") == "marking-definition" and markings.tlp_of_definition(value) is not None:
        return Tlp.CLEAR
    refs = markings.marking_refs(value) + markings.granular_refs(value)
    unknown = any(not markings.resolve([ref], tlps) and ref not in paps for ref in refs)
    labels = [label for label in (raw.tlp,) if label is not None]
    if unknown or not raw.marked:
        labels.append(floor)
    return strictest(labels)


def content_with(content: Content, found: Iterable[Thing], readers: Mapping[int, frozenset[str]]) -> Content:
    """What a message holds, and carries of what came from outside too, as policy asks of it.

    For a message that a member sent: it has decided that it goes on; but the strictest label that anything of it said
    counts, and nothing goes back to where a feed had it from.
    """
    things = tuple(found)
    said = [thing.said for thing in things if thing.said is not None]
    paps = [pap for pap in (content.pap, *(thing.pap for thing in things)) if pap is not None]
    return replace(
        content,
        tlp=strictest([content.tlp, *said]),
        pap=strictest_pap(paps),
        doors=content.doors | _doors(things, readers),
    )


def check_sent(
    store: Store, sources: Sources, message: Message, readers: Sequence[Reader], *, who: str
) -> None:
    """May a message that is written here go to these readers, with what it carries from outside?

    Says nothing of a message that carries nothing from there. The access log has a row for each reader.

    Raises Refused release.outside, release.own-door, and as release.decide.
    """
    found, own, names = store.db.read_sync(lambda c: _carried(c, store, message))
    if not found:
        return
    things = tuple(found.values())
    paps = [thing.pap for thing in things if thing.pap is not None]
    content = Content(
        tlp=strictest([message.tlp, *(thing.tlp for thing in things)]),
        pap=strictest_pap(paps),
        outside=True,
        decided=all(thing.decided for thing in things),
        doors=_doors(things, own),
        named=frozenset(reader.name for reader in readers),
        sender=", ".join(sorted({names.get(feed, "") for thing in things for feed in thing.feeds})),
    )
    decisions = [(reader, decide(Door.FORWARD, content, reader)) for reader in readers]
    refused = [one for one in decisions if not one[1].allowed]
    now = sources.clock()

    def note(connection: Transaction) -> None:
        for reader, decision in refused or decisions:
            action = f"{Door.FORWARD.value} refused" if refused else Door.FORWARD.value
            code = f"{decision.code}, " if decision.code else ""
            what = f"outside {message.id} to {reader.label}: {code}{decision.reason}"
            store_access.append(connection, at=now, who=who, action=action, what=what)

    store.db.write_sync(note)
    if refused and refused[0][1].code == "release.outside":
        first = next(id_ for id_, thing in found.items() if not thing.decided)
        raise Refused("release.outside", f"{first}: {refused[0][1].reason}", object=first)
    for _, decision in refused:
        decision.check()


def _carried(
    connection: Transaction, store: Store, message: Message
) -> tuple[dict[str, Thing], dict[int, frozenset[str]], dict[int, str]]:
    """What a message carries from outside, by object; by feed who reads here, and its name."""
    found = things_in(connection, store, message)
    return found, store_feeds.readers(connection), store_feeds.names(connection)


def things_in(connection: Transaction, store: Store, message: Message) -> dict[str, Thing]:
    """What of a message came from outside too, by the ids of its objects."""
    secret = store_taxii.secret(connection, store.cipher)
    if secret is None:
        return {}
    values = (value for _, value in objects_of(scan(message.bundle, Limits())))
    ids = [str(value.get("id")) for value in values if value.get("type") not in _FREE]
    return store_outside.things(connection, Keys(secret), ids)


def _doors(things: Iterable[Thing], readers: Mapping[int, frozenset[str]]) -> frozenset[str]:
    return frozenset(name for thing in things for feed in thing.feeds for name in readers.get(feed, ()))


class Outside:
    """What the user `who` (of the operating system) does with what came from outside; beside the serving process."""

    def __init__(self, store: Store, sources: Sources, *, who: str) -> None:
        self._store = store
        self._sources = sources
        self._who = who

    def decide(self, id_: str, reason: str) -> int:
        """A thing may go on as it is now, and all that it refers to by `object_refs`; how many things.

        Raises Refused feed.no-object, feed.no-reason.
        """
        _check_reason(reason)
        now = self._sources.clock()

        def write(connection: Transaction) -> int:
            found = self._with_refs(connection, id_)
            for thing in found:
                store_decisions.decide(
                    connection,
                    self._store.cipher,
                    reason,
                    thing_key=thing.key,
                    newest=thing.newest,
                    upto=thing.tlp,
                    now=now,
                    who=self._who,
                )
            self._note(connection, "outside-decide", f"{id_} and {len(found) - 1} more: {reason}", now)
            return len(found)

        return self._store.db.write_sync(write)

    def take_back(self, id_: str) -> int:
        """What a person decided on a thing, and on what it refers to, holds no longer; how many decisions.

        Raises Refused feed.no-object.
        """
        now = self._sources.clock()

        def write(connection: Transaction) -> int:
            found = self._with_refs(connection, id_)
            ended = sum(store_decisions.end(connection, now=now, thing_key=thing.key) for thing in found)
            self._note(connection, "outside-undecide", id_, now)
            return ended

        return self._store.db.write_sync(write)

    def add_rule(self, feed: str, upto: Tlp, reason: str) -> int:
        """All that a feed brings may go on, up to a label; the rule's number.

        Raises Refused feed.unknown, feed.no-reason.
        """
        _check_reason(reason)
        now = self._sources.clock()

        def write(connection: Transaction) -> int:
            n = self._feed(connection, feed)
            rule = store_decisions.add_rule(
                connection, self._store.cipher, reason, feed=n, upto=upto, now=now, who=self._who
            )
            self._note(connection, "outside-rule", f"{feed} up to {upto.label}: {reason}", now)
            return rule

        return self._store.db.write_sync(write)

    def end_rules(self, feed: str) -> int:
        """The rules of a feed hold no longer; how many. Raises Refused feed.unknown."""
        now = self._sources.clock()

        def write(connection: Transaction) -> int:
            ended = store_decisions.end(connection, now=now, feed=self._feed(connection, feed))
            self._note(connection, "outside-rule-end", feed, now)
            return ended

        return self._store.db.write_sync(write)

    def export(self, ids: Sequence[str], reader: Reader) -> Bundle:
        """The newest versions of things, with what they refer to, for a file; the access log has a row for it.

        Raises Refused feed.no-object, release.own-door, and as release.decide.
        """
        now = self._sources.clock()

        def write(connection: Transaction) -> tuple[Bundle, Sequence[Decision]]:
            newest = {one.id: one for id_ in ids for one in self._objects(connection, id_)}
            own, named = store_feeds.readers(connection), store_feeds.names(connection)
            decisions = [
                decide(Door.EXPORT, _content(one.thing, own, named), reader) for one in newest.values()
            ]
            refused = [one for one in decisions if not one.allowed]
            for decision in refused[:1] or decisions[:1]:
                action = "export refused" if refused else "export"
                count = len(refused or decisions)
                what = f"outside {ids[0]}, {count} objects, to {reader.label}: {decision.reason}"
                store_access.append(connection, at=now, who=self._who, action=action, what=what)
            tlp = strictest(one.thing.tlp for one in newest.values())
            bundle = as_bundle_of([one.data for one in newest.values()], self._sources.new_id())
            return Bundle(len(newest), tlp, bundle), refused

        made, refused = self._store.db.write_sync(write)
        for decision in refused:
            decision.check()
        return made

    def _with_refs(self, connection: Transaction, id_: str) -> list[Thing]:
        """Things by key, each once."""
        found = {one.thing.key: one.thing for one in self._objects(connection, id_)}
        return list(found.values())

    def _objects(self, connection: Transaction, id_: str) -> list[Listed]:
        """The newest version of a thing, then of what it refers to."""
        cipher, secret = self._store.cipher, store_taxii.secret(connection, self._store.cipher)
        own = [] if secret is None else store_outside.versions(connection, cipher, Keys(secret), id_)
        if secret is None or not own:
            raise Refused("feed.no-object", f"nothing from outside has the id {id_}")
        value = parse(own[-1].data)
        refs = value.get("object_refs") if isinstance(value, dict) else None
        found = own[-1:]
        for ref in refs[:MOST_REFS] if isinstance(refs, list) else []:
            found += store_outside.versions(connection, cipher, Keys(secret), str(ref))[-1:]
        return found

    def _feed(self, connection: Transaction, name: str) -> int:
        feed = store_feeds.find(connection, self._store.cipher, name)
        if feed is None:
            raise Refused("feed.unknown")
        return feed.n

    def _note(self, connection: Transaction, action: str, what: str, now: int) -> None:
        store_access.append(connection, at=now, who=self._who, action=action, what=what)


def as_bundle_of(objects: Sequence[bytes], id_: str) -> bytes:
    """One STIX bundle, each object byte for byte."""
    return b'{"type":"bundle","id":"bundle--%b","objects":[%b]}' % (id_.encode("ascii"), b",".join(objects))


def _content(thing: Thing, readers: Mapping[int, frozenset[str]], names: Mapping[int, str]) -> Content:
    return Content(
        tlp=thing.tlp,
        pap=thing.pap,
        outside=True,
        decided=thing.decided,
        doors=_doors([thing], readers),
        sender=", ".join(sorted({names.get(feed, "") for feed in thing.feeds})),
    )


def _check_reason(reason: str) -> None:
    if not reason.strip() or len(reason) > MAX_REASON:
        raise Refused("feed.no-reason")
