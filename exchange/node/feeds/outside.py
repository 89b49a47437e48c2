"""Owns what may become of what came from outside: the decision that it may go on, the check of messages that carry it.

    judge(...)             before a message is queued: whoever composes mail asks it, notes the answer and obeys
    with_outside(...)      before a message that came passes a door
    Outside(...).decide    what a person does, beside the serving process

A thing that came by a feed leaves by the same policy as all else (release.decide), with the strictest of its labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Final

from exchange.errors import Refused
from exchange.formats.stix.spans import Limits, parse, scan
from exchange.formats.taxii import objects_of
from exchange.node.identity import Sources
from exchange.node.store import (
    access as store_access,
    bringers as store_bringers,
    decisions as store_decisions,
    feeds as store_feeds,
    outside as store_outside,
    taxii as store_taxii,
)
from exchange.node.store.bound import FREE
from exchange.node.store.outbox import Outgoing
from exchange.node.store.outside import Listed, Thing
from exchange.node.store.store import Store, Transaction
from exchange.node.store.taxii import Keys
from exchange.pap import strictest as strictest_pap
from exchange.release import Content, Decision, Door, Reader, decide
from exchange.storage.local_cipher import LocalCipher
from exchange.tlp import Tlp, strictest

MAX_REASON: Final = 2_000  # characters
MOST_REFS: Final = 20_000
MOST_EXPORTED: Final = 32 * 1024 * 1024  # bytes of what is written to one file
AT_ONCE: Final = 1_000  # decisions written in one transaction


@dataclass(frozen=True, slots=True)
class Bundle:
    """Objects for a file: how many, the strictest label among them, the STIX bundle."""

    objects: int
    tlp: Tlp
    bundle: bytes


@dataclass(frozen=True, slots=True)
class Judged:
    """What policy says of a message that is written here, with what it carries from outside, to each reader.

    `weakest`: the label that it must have at least; `label`: the one that it has; `undecided`: an object that nobody
    has decided about, if any.
    """

    decisions: tuple[tuple[Reader, Decision], ...] = ()
    weakest: Tlp = Tlp.CLEAR
    label: Tlp = Tlp.CLEAR
    undecided: str = ""

    def note(self, connection: Transaction, message_id: str, *, who: str, now: int) -> None:
        """A row of the access log for each reader; only for the refused ones, if any is."""
        refused = [one for one in self.decisions if not one[1].allowed]
        for reader, decision in refused or self.decisions:
            action = f"{Door.FORWARD.value} refused" if refused else Door.FORWARD.value
            code = f"{decision.code}, " if decision.code else ""
            what = f"outside {message_id} to {reader.label}: {code}{decision.reason}"
            store_access.append(connection, at=now, who=who, action=action, what=what)

    def check(self) -> None:
        """Raises Refused release.outside, release.own-door, and as release.decide; tlp.weaker-than-content."""
        for _, decision in self.decisions:
            if decision.code == "release.outside":
                raise Refused(
                    "release.outside", f"{self.undecided}: {decision.reason}", object=self.undecided
                )
            decision.check()
        if strictest([self.label, self.weakest]) is not self.label:
            detail = f"what it carries from outside is {self.weakest.label}, there or by its feed's floor"
            raise Refused("tlp.weaker-than-content", detail)


def judge(
    connection: Transaction, cipher: LocalCipher, bundle: bytes, label: Tlp, readers: Sequence[Reader]
) -> Judged:
    """May a message that is written here go to these readers? Says nothing where it carries nothing from outside.

    Whoever composes mail asks this before it is queued, notes the answer and obeys. What the message is labelled is
    its author's to say, as long as nothing that it carries is stricter.
    """
    found = things_in(connection, cipher, bundle)
    if not found:
        return Judged()
    things, names = tuple(found.values()), store_feeds.names(connection)
    content = Content(
        tlp=strictest(thing.tlp for thing in things),
        pap=strictest_pap(thing.pap for thing in things if thing.pap is not None),
        outside=True,
        decided=all(thing.decided for thing in things),
        doors=_doors(things, store_feeds.readers(connection)),
        sender=", ".join(sorted({names[feed] for thing in things for feed in thing.feeds})),
    )
    return Judged(
        decisions=tuple((reader, decide(Door.FORWARD, content, reader)) for reader in readers),
        weakest=content.tlp,
        label=label,
        undecided=next((id_ for id_, thing in found.items() if not thing.decided), ""),
    )


async def check_sent(
    store: Store, outgoing: Outgoing, label: Tlp, readers: Sequence[Reader], *, who: str, now: int
) -> None:
    """`judge` a message in the outbox's form, note it, obey it. Raises as `Judged.check`."""
    judged = await store.db.read(lambda c: judge(c, store.cipher, outgoing.payload, label, readers))
    if judged.decisions:
        await store.db.write(lambda c: judged.note(c, outgoing.id, who=who, now=now))
    judged.check()


def with_outside(connection: Transaction, cipher: LocalCipher, content: Content, bundle: bytes) -> Content:
    """What a message holds that came, or was sent, as policy asks of it, with what also came by feeds.

    Its sender has decided that it goes on; but the strictest label that anything of it said by any door counts, and
    nothing goes back to where a feed had it from. A feed's floor says nothing of what a member sent.
    """
    things = tuple(things_in(connection, cipher, bundle).values())
    if not things:
        return content
    paps = [pap for pap in (content.pap, *(thing.pap for thing in things)) if pap is not None]
    return replace(
        content,
        tlp=strictest([content.tlp, *(thing.said for thing in things if thing.said is not None)]),
        pap=strictest_pap(paps),
        doors=content.doors | _doors(things, store_feeds.readers(connection)),
    )


def things_in(connection: Transaction, cipher: LocalCipher, bundle: bytes) -> dict[str, Thing]:
    """What of a message's bundle came from outside too, by the ids of its objects."""
    secret = store_taxii.secret(connection, cipher)
    if secret is None or store_outside.is_empty(connection):
        return {}
    values = (value for _, value in objects_of(scan(bundle, Limits())))
    ids = [str(value.get("id")) for value in values if value.get("type") not in FREE]
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
        """A thing may go on as it is now, and what it refers to by `object_refs`; how many things.

        What is there is read first, and decided on piece by piece: mail must get its turn. Raises Refused
        feed.no-object, feed.no-reason, feed.export-too-large.
        """
        _check_reason(reason)
        now, cipher = self._sources.clock(), self._store.cipher
        found = self._store.db.read_sync(lambda c: self._with_refs(c, id_))

        def write(connection: Transaction, at: int) -> None:
            if not at:
                self._note(connection, "outside-decide", f"{id_} and {len(found) - 1} more: {reason}", now)
            for thing in found[at : at + AT_ONCE]:
                store_decisions.decide(
                    connection,
                    cipher,
                    reason,
                    thing_key=thing.key,
                    made_on=found[0].key,
                    newest=thing.newest,
                    upto=thing.tlp,
                    now=now,
                    who=self._who,
                )

        for at in range(0, len(found), AT_ONCE):
            self._store.db.write_sync(partial(write, at=at))
        return len(found)

    def take_back(self, id_: str) -> int:
        """What a person decided on a thing holds no longer, nor on what it then referred to; how many decisions.

        Raises Refused feed.no-object.
        """
        now = self._sources.clock()

        def write(connection: Transaction) -> int:
            thing = self._thing(connection, id_)
            ended = store_decisions.end_made_on(connection, thing.key, now=now)
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
            ended = store_decisions.end_rules(connection, self._feed(connection, feed), now=now)
            self._note(connection, "outside-rule-end", feed, now)
            return ended

        return self._store.db.write_sync(write)

    def export(self, ids: Sequence[str], reader: Reader) -> Bundle:
        """The newest versions of things, with what they refer to, for a file; the access log has a row for each id.

        Raises Refused feed.no-object, feed.export-too-large, release.own-door, and as release.decide.
        """
        now = self._sources.clock()

        def read(connection: Transaction) -> tuple[dict[str, list[Listed]], list[list[Decision]]]:
            found = self._objects(connection, ids)
            own, named = store_feeds.readers(connection), store_feeds.names(connection)
            return found, [
                [decide(Door.EXPORT, _content(one.thing, own, named), reader) for one in each]
                for each in found.values()
            ]

        found, decisions = self._store.db.read_sync(read)
        refused = [one for each in decisions for one in each if not one.allowed]

        def write(connection: Transaction) -> None:
            for (id_, each), decided in zip(found.items(), decisions, strict=True):
                bad = [one for one in decided if not one.allowed]
                if refused and not bad:
                    continue
                what = f"outside {id_}, {len(bad or each)} objects, to {reader.label}: {(bad or decided)[0].reason}"
                action = "export refused" if refused else "export"
                store_access.append(connection, at=now, who=self._who, action=action, what=what)

        self._store.db.write_sync(write)
        for decision in refused:
            decision.check()
        newest = {one.id: one for each in found.values() for one in each}
        bundle = as_bundle_of([one.data for one in newest.values()], self._sources.new_id())
        return Bundle(len(newest), strictest(one.thing.tlp for one in newest.values()), bundle)

    def _with_refs(self, connection: Transaction, id_: str) -> list[Thing]:
        """A thing, and what it refers to that who brought this version of it brought too, each once: a report may name
        anything, and anybody may bring a version of another's."""
        keys = self._keys(connection, id_)
        one = self._newest(connection, keys, id_, most=MOST_EXPORTED)
        found = store_outside.things(connection, keys, _object_refs(one)).values()
        own = {*store_bringers.feeds_of_version(connection, one.n)}
        things = [one.thing, *(thing for thing in found if own & {*thing.feeds})]
        return list({thing.key: thing for thing in things}.values())

    def _objects(self, connection: Transaction, ids: Sequence[str]) -> dict[str, list[Listed]]:
        """By id, the newest version of a thing, then of what it refers to."""
        found, room = dict[str, list[Listed]](), MOST_EXPORTED
        for id_ in dict.fromkeys(ids):
            keys = self._keys(connection, id_)
            refs = _object_refs(self._newest(connection, keys, id_, most=room))
            found[id_] = []
            for ref in dict.fromkeys((id_, *refs)):
                one = store_outside.newest(connection, self._store.cipher, keys, ref, most=room)
                if one is not None:
                    room -= len(one.data)
                    found[id_].append(one)
        return found

    def _keys(self, connection: Transaction, id_: str) -> Keys:
        secret = store_taxii.secret(connection, self._store.cipher)
        if secret is None:
            raise _unknown(id_)
        return Keys(secret)

    def _newest(self, connection: Transaction, keys: Keys, id_: str, *, most: int) -> Listed:
        found = store_outside.newest(connection, self._store.cipher, keys, id_, most=most)
        if found is None:
            raise _unknown(id_)
        return found

    def _thing(self, connection: Transaction, id_: str) -> Thing:
        found = store_outside.things(connection, self._keys(connection, id_), [id_])
        if id_ not in found:
            raise _unknown(id_)
        return found[id_]

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


def _object_refs(one: Listed) -> list[str]:
    """What a thing refers to as a report does; each once."""
    value = parse(one.data)
    refs = value.get("object_refs") if isinstance(value, dict) else None
    return list(islice(dict.fromkeys(map(str, refs)), MOST_REFS)) if isinstance(refs, list) else []


def _unknown(id_: str) -> Refused:
    return Refused("feed.no-object", f"nothing from outside has the id {id_}")


def _check_reason(reason: str) -> None:
    if not reason.strip() or len(reason) > MAX_REASON:
        raise Refused("feed.no-reason")
