"""Makes kept databases with the code of an old commit; how it is run stands in README.md. Not run by the tests.

    python make.py STEP FOLDER      in a checkout of that commit: FOLDER/hub-STEP.db.xz, node-STEP.db.xz, STEP.json

What the commit lacks (steps after the first) is put in by its own store functions where it has them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import lzma
import sqlite3
import sys
import tempfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, ".")

from exchange.canonical import sha256
from exchange.content import Meta, pack_content
from exchange.directory.prekeys import PrekeyRecord
from exchange.directory.statements import Statement
from exchange.envelope import Recipient, Sealed, seal
from exchange.errors import Unavailable
from exchange.hub.store.directory import Application, Invited
from exchange.limits import DAY_MS, HOUR_MS, MINUTE_MS
from exchange.link import Link
from exchange.message import Urgency
from exchange.node.store import inbox as store_inbox, outbox as store_outbox
from exchange.node.store.store import raise_alarm
from exchange.protocol import ITEM_DELIVERY
from exchange.storage.migrate import stored_step
from tests.hub_services import chance
from tests.simulator import Simulation, simulation

PE, CO = "pe-csirt", "co-csirt"


def main(step: str, folder: Path) -> None:
    """Both databases of `step`, and what the code that wrote them says is in them."""
    with tempfile.TemporaryDirectory() as scratch:
        said = asyncio.run(_make(step, Path(scratch)))
        homes = {"hub": Path(scratch) / "hub" / "hub.db", "node": Path(scratch) / PE / "node.db"}
        for name, path in homes.items():
            said[name]["tables"] = _counts(path)
            said[name]["schema"] = stored_step(path, app=name)  # one side may have more steps than the other
            (folder / f"{name}-{step}.db.xz").write_bytes(lzma.compress(path.read_bytes(), preset=9))
    (folder / f"{step}.json").write_text(json.dumps(said, indent=1, sort_keys=True) + "\n")


async def _make(step: str, scratch: Path) -> dict[str, Any]:
    async with simulation(scratch, (PE, CO)) as sim:
        await _mail(sim)
        await _aside(sim)
        await _beside_the_log(sim, later=step != "0001")
        if step >= "0004":
            await _through_the_door(sim)
        if step >= "0005":
            await _by_a_feed(sim)
            await _taken_back(sim)
        return {"now": sim.world.now, "node": _node_says(sim), "hub": await _hub_says(sim)}


async def _mail(sim: Simulation) -> None:
    """Messages of the node PE in every state, and some to it."""
    pe, co = sim.sites[PE], sim.sites[CO]
    stored = pe.send(CO, subject="Stored and answered", urgency=Urgency.FLASH)
    co.send(PE, subject="An answer", urgency=Urgency.IMMEDIATE)
    await sim.rounds(2)
    co.desk.answer(stored, "acknowledged", person="Ana Quispe", note="Seen, thank you")
    pe.desk.open(pe.received()[0])
    await sim.rounds(2)
    await _send_nonsense(sim, CO, PE)
    await pe.once()  # which quarantines it
    pe.send(CO, subject="Expires unread", life_ms=HOUR_MS)
    await pe.once()
    sim.world.now += 2 * HOUR_MS
    await sim.running_hub.mailboxes.expire_due()
    refused = pe.send(CO, subject="Refused by its reader")
    pe.send(CO, subject="Waits at the hub", urgency=Urgency.PRIORITY)
    await pe.once()

    def refuse(connection: Any) -> None:
        found = store_outbox.find(connection, pe.up.store.cipher, refused)
        store_outbox.set_ended(connection, found[0], CO, "rejected", "invalid", at=sim.world.now)

    await pe.up.store.db.write(refuse)

    def cut(name: str, _value: object) -> None:
        if name == "put_envelope":
            raise Unavailable("hub.unreachable")

    pe.hub.wire.before = cut
    pe.send(CO, subject="Sealed, not sent")
    with contextlib.suppress(Unavailable):
        await pe.once()
    pe.send(CO, subject="Queued")


async def _send_nonsense(sim: Simulation, sender: str, recipient: str) -> Sealed:
    """An envelope in order, with contents that are none."""
    registrar, world = sim.running_hub.registrar, sim.world
    ref = registrar.directory.prekey_for(recipient, world.now)
    record = PrekeyRecord.from_bytes((await registrar.records([ref.kid]))[0], world.net)
    meta = Meta(
        "stix",
        f"{chance(4).hex()}-0000-4000-8000-000000000000",
        "routine",
        world.now,
        world.now + DAY_MS,
        None,
    )
    bad = seal(
        net=world.net,
        sender=sender,
        keys=world.member_keys[sender],
        content=pack_content(meta, b'{"no":"bundle"}'),
        lane="routine",
        compress=False,
        recipients=[Recipient(recipient, ref.kid, record.public, Link(chance(16), 1, bytes(32)))],
        dir_ref=registrar.dir_ref,
        iat=world.now,
        exp=world.now + DAY_MS,
        random=chance,
    )
    answer = await sim.running_hub.mailboxes.accept(sender, [bad.upload.to_bytes()])
    assert answer.results[0].new, answer.results[0].error
    return bad


async def _aside(sim: Simulation) -> None:
    """What lies aside at PE: held, hurt; an alarm."""
    pe, world = sim.sites[PE].up, sim.world
    await _send_nonsense(sim, CO, PE)
    sim.sites[PE].hub.wire.before = lambda _name, _value: None
    page = await sim.sites[PE].hub.mailbox("", 0, 1_000_000)
    item = next(item for item in page.items if item.type == ITEM_DELIVERY)  # stays at the hub as well

    def write(connection: Any) -> None:
        store_inbox.hold(
            connection,
            sha256(item.payload),
            item.type,
            item.payload,
            "directory.ahead",
            now=world.now - MINUTE_MS,
        )
        store_inbox.count_damaged(
            connection,
            sha256(b"hurt"),
            "transport.damaged",
            "a bit flipped",
            now=world.now,
            retry_at=world.now,
        )
        raise_alarm(
            connection, key="kept", at=world.now, code="chain.fork", subject=CO, evidence=b"two headers"
        )

    await pe.store.db.write(write)


async def _beside_the_log(sim: Simulation, *, later: bool) -> None:
    """An application and an invitation at the hub; of later steps parts and a statement that collects signatures."""
    hub, now = sim.running_hub.store, sim.world.now
    applied = Application(
        "ar-csirt",
        Statement(b'{"type":"add"}', (("ar-csirt", b"signature"),)),
        now,
        now + 30 * DAY_MS,
    )
    invited = Invited(sha256(b"token"), "ar-csirt", "national_csirt", "AR", now + DAY_MS)
    hub.put_invitation_sync(invited)
    if not later:
        await hub.put_application(applied)
        return
    from exchange.directory.contacts import Part
    from exchange.hub.store.pending import Waiting
    from exchange.node.store import parts as store_parts, secretariat as store_secretariat

    await hub.put_application(replace(applied, document=b"Who we are", salt=bytes(16)))
    part = Part(PE, "members", bytes(16), b'{"phone":"+51 1 555 0100"}')
    digest = part.hash(sim.world.net)
    await hub.put_parts({digest: part})
    pending = Waiting(Statement(b'{"type":"suspend"}', (("alba", b"signature"),)), (), PE, now, now + DAY_MS)
    await hub.put_pending(sim.world.net, pending)
    store = sim.sites[PE].up.store

    def write(connection: Any) -> None:
        store_parts.add(connection, store.cipher, digest, part, own=True, now=now)
        store_secretariat.set_told(connection, "pe", [(PE, store_secretariat.Told(now, 30))], at=now)

    await store.db.write(write)


async def _through_the_door(sim: Simulation) -> None:
    """A right of entry, the collections of the node PE, and a post."""
    from exchange.access import Scope
    from exchange.node.doors.doorkeeper import Grant, give
    from exchange.node.taxii.collections import Collections
    from exchange.node.taxii.posting import Posting

    node = sim.sites[PE].up
    access, _ = give(node.store, node.sources, Grant("siem", frozenset(Scope)), who="admin")
    collections = Collections(node.store, node.identity, node.replica, node.sources)
    await collections.open()
    await collections.settle()

    posting = Posting(node.store, node.identity, collections, node.sources, send=None)
    when = "2026-01-01T00:00:00.000Z"
    address = {"type": "ipv4-addr", "spec_version": "2.1", "value": "192.0.2.7"}
    address["id"] = "ipv4-addr--3e1ad08d-bd38-5fa1-9a6d-0a87f6a4fb4c"
    identity = {"type": "identity", "spec_version": "2.1", "name": "A posted team", "created": when}
    identity |= {"id": "identity--5a3b5a83-30ea-4a0c-8a55-6e7b7d22f9d3", "modified": when}
    await posting.post(access, json.dumps({"objects": [address, identity]}).encode())


async def _by_a_feed(sim: Simulation) -> None:
    """A feed of the node PE, and an object that it brought."""
    from exchange.feed_settings import FeedKind, FeedSettings
    from exchange.formats.taxii import head_of
    from exchange.node.store import feeds as store_feeds, outside as store_outside, taxii as store_taxii
    from exchange.tlp import Tlp

    store, now = sim.sites[PE].up.store, sim.world.now
    said = {"type": "domain-name", "spec_version": "2.1", "value": "feed.example"}
    said["id"] = "domain-name--2aeb0d1a-5b0c-5d4e-8f54-9a3a8d0bb0a6"
    head = head_of(said)
    assert head

    def write(connection: Any) -> None:
        settings = FeedSettings(kind=FeedKind.TAXII, url="https://feed.example/taxii2/")
        feed = store_feeds.add(connection, store.cipher, "feed", settings, "", now=now, who="admin")
        assert feed
        keys = store_taxii.ensure_secret(connection, store.cipher, chance(32))
        brought = store_outside.Brought(head, Tlp.GREEN, None, None, json.dumps(said).encode())
        store_outside.keep(connection, store.cipher, keys, feed, [brought], now=now)

    await store.db.write(write)


async def _taken_back(sim: Simulation) -> None:
    """What the node PE received is declared void by its sender afterwards."""
    from exchange.node.store import links as store_links

    [received] = sim.sites[PE].desk.inbox()
    await sim.sites[PE].up.store.db.write(lambda c: store_links.add_void(c, CO, received.env, "taken back"))


def _node_says(sim: Simulation) -> dict[str, Any]:
    desk = sim.sites[PE].desk
    return {
        "inbox": [[one.message_id, one.sender, one.summary["subject"]] for one in desk.inbox()],
        "outbox": [
            [sent.message.id, [[one.recipient, one.state, one.code] for one in sent.addressees]]
            for sent in desk.outbox()
        ],
        "notes": [one.note for sent in desk.outbox() for one in sent.addressees if one.note],
        "quarantine": [one.code for one in desk.quarantined()],
        "alarms": [one.code for one in desk.alarms()],
    }


async def _hub_says(sim: Simulation) -> dict[str, Any]:
    hub = sim.running_hub
    totals = await hub.store.totals()
    pages = {
        one: [
            [item.type, sha256(item.payload).hex()]
            for item in (await hub.mailboxes.page(one, "", wait_seconds=0, most=1_000_000)).items
            if item.type == ITEM_DELIVERY
        ]
        for one in (PE, CO)
    }
    return {
        "totals": [totals.envelopes, totals.bytes, totals.rows],
        "mailboxes": pages,
        "log": [
            hub.registrar.directory.size,
            hub.registrar.directory.root(hub.registrar.directory.size).hex(),
        ],
        "batch": await hub.store.highest_batch("hub"),
    }


def _counts(path: Path) -> dict[str, int]:
    with closing(sqlite3.connect(path)) as connection:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
        return {
            name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]  # noqa: S608 - its own tables
            for (name,) in names.fetchall()
            if not name.startswith(("sqlite_", "alembic_"))
        }


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
