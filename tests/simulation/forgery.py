"""A letter that a lying hub makes up: right in everything but the signatures, which are its own."""

from __future__ import annotations

import random

from exchange.content import STIX, Meta, pack_content
from exchange.directory.prekeys import PrekeyRecord
from exchange.envelope import Recipient, seal
from exchange.formats.stix.cover import compose
from exchange.keys import PrivateKeys, PublicKeys
from exchange.limits import DAY_MS
from exchange.link import Link
from exchange.message import Author, Draft, Urgency, member_identity_id
from exchange.protocol import ITEM_DELIVERY, Item
from exchange.tlp import Tlp
from exchange.wire import Delivery
from tests.simulation.network import FaultySimulation, FaultySite
from tests.simulator import uuid_of
from tests.worlds import NOW

LANE = Urgency.ROUTINE


class Borrowed(PrivateKeys):
    """Signs with the hub's keys, and shows another's public ones."""

    def __init__(self, hub: PrivateKeys, shown: PublicKeys) -> None:
        self._hub = hub
        self.public = shown

    def sign(self, kind: str, body: bytes) -> bytes:
        return self._hub.sign(kind, body)


def forged(sim: FaultySimulation, site: FaultySite, sender: str) -> Item:
    """A delivery to this site in the name of `sender`."""
    chance = random.Random(f"{sim.seed}/forged/{sim.counts['forgery']}")
    directory, now = site.up.replica.directory, sim.world.now
    ref = directory.prekey_for(site.member, now)
    held = site.up.prekeys._held[ref.kid]
    public = PrekeyRecord.from_bytes(held.record, sim.world.net).public
    message_id = uuid_of(chance.randbytes(16))
    author = Author(id=member_identity_id(sim.network, sender), name=sender, created=NOW)
    draft = Draft(
        id=message_id,
        kind="alert",
        case_id="case-1",
        urgency=LANE,
        tlp=Tlp.AMBER,
        subject="Not what it seems",
        text="",
        created=now,
    )
    meta = Meta(STIX, message_id, LANE.value, now, now + DAY_MS, None)
    sealed = seal(
        net=sim.world.net,
        sender=sender,
        keys=Borrowed(sim.world.hub_keys, directory.member(sender).keys),
        content=pack_content(meta, compose(draft, author, []).bundle),
        lane=LANE.value,
        compress=False,
        recipients=[Recipient(site.member, ref.kid, public, Link(chance.randbytes(16), 1))],
        dir_ref=site.up.replica.dir_ref(),
        iat=now,
        exp=now + DAY_MS,
        random=chance.randbytes,
    )
    upload = sealed.upload
    delivery = Delivery(upload.header, upload.signatures, upload.slots[0], upload.body)
    return Item(ITEM_DELIVERY, "", delivery.to_bytes())
