"""What the benchmarks of the node share: a network of real processes, and small alerts as analysts send them.

Owns which messages are sent and how a light sender seals them to one recipient, link by link, as the outbox does.
"""

from __future__ import annotations

import random
import time
import uuid
from dataclasses import dataclass, field
from typing import Final

import orjson

from exchange.content import STIX, Meta, pack_content
from exchange.envelope import Recipient, Sealed, seal
from exchange.formats import registry
from exchange.formats.stix.cover import compose
from exchange.link import CHAIN_BYTES, Link
from exchange.message import Author, Draft, Message, Urgency, member_identity_id
from exchange.node.node import Node
from exchange.tlp import Tlp

URGENCIES: Final = (Urgency.ROUTINE, Urgency.ROUTINE, Urgency.ROUTINE, Urgency.PRIORITY, Urgency.IMMEDIATE)
LIFE_MS: Final = 24 * 3_600_000
_CONTEXT: Final = (
    "Our constituents' mail gateways saw messages with this attachment since last night. Whoever opened it should be"
    " looked for in the proxy's log by the address below; the second stage is fetched within a minute. Nothing more is"
    " known about who is behind it. Please tell us if you see it too, also when nothing was executed."
)


def now_ms() -> int:
    """This machine's clock, UTC ms."""
    return time.time_ns() // 1_000_000


@dataclass
class Alerts:
    """Alerts of one author: a covering note, an indicator or two, and what they point at; 3 to 4 kB of STIX each."""

    network: uuid.UUID
    handle: str
    # not a secret: what it chooses is what a benchmark measures
    chance: random.Random = field(default_factory=lambda: random.Random(1))  # noqa: S311 - protects nothing
    made: int = 0

    def next(self, urgency: Urgency | None = None) -> Message:
        """One more."""
        now, self.made = now_ms(), self.made + 1
        author = Author(
            id=member_identity_id(self.network, self.handle), name=self.handle, created=1_790_000_000_000
        )
        draft = Draft(
            id=str(uuid.UUID(bytes=self.chance.randbytes(16), version=4)),
            kind="alert",
            case_id=f"{self.handle}-2026-{self.made}",
            urgency=urgency or self.chance.choice(URGENCIES),
            tlp=Tlp.AMBER,
            subject=f"Malicious attachment seen in the public sector ({self.made})",
            text=_CONTEXT,
            created=now,
        )
        objects = registry.load("alert.json", orjson.dumps(self._bundle())).accepted
        return compose(draft, author, objects)

    def _bundle(self) -> dict[str, object]:
        objects = [self._indicator() for _ in range(self.chance.randrange(1, 3))]
        return {"type": "bundle", "id": f"bundle--{self._uuid()}", "objects": objects}

    def _indicator(self) -> dict[str, object]:
        at = "2026-11-20T08:30:00.000Z"
        address = f"203.0.113.{self.chance.randrange(255)}"
        digest = self.chance.randbytes(32).hex()
        return {
            "type": "indicator",
            "spec_version": "2.1",
            "id": f"indicator--{self._uuid()}",
            "created": at,
            "modified": at,
            "name": f"Invoice_{self.made}.docm",
            "description": "Macro document; loads its second stage from the address in the pattern.",
            "indicator_types": ["malicious-activity"],
            "pattern": f"[file:hashes.'SHA-256' = '{digest}' OR ipv4-addr:value = '{address}']",
            "pattern_type": "stix",
            "valid_from": at,
            "labels": ["phishing"],
        }

    def _uuid(self) -> str:
        return str(uuid.UUID(bytes=self.chance.randbytes(16), version=4))


@dataclass
class LightSender:
    """Seals for one recipient with the keys of a member's open node, and keeps no outbox: only where each chain is."""

    node: Node
    alerts: Alerts
    recipient: str
    _heads: dict[str, Link] = field(default_factory=dict)

    async def seal(self, count: int) -> list[Sealed]:
        """That many envelopes, one after the other in their lanes' chains."""
        ready, _ = await self.node.outbox.peers.ready(self.node.hub, [self.recipient])
        prekey, identity, random_ = ready[self.recipient], self.node.identity, self.node.sources.random
        made = []
        for _ in range(count):
            message, now = self.alerts.next(), now_ms()
            lane = message.urgency.value
            link = self._heads.get(lane) or Link(random_(CHAIN_BYTES), 1)
            meta = Meta(STIX, message.id, lane, message.created, message.created + LIFE_MS)
            sealed = seal(
                net=identity.net,
                sender=identity.address,
                keys=identity.keys,
                content=pack_content(meta, message.bundle),
                lane=lane,
                compress=True,
                recipients=[Recipient(self.recipient, prekey.kid, prekey.prekey, link)],
                dir_ref=self.node.replica.dir_ref(),
                iat=now,
                exp=now + LIFE_MS,
                random=random_,
            )
            self._heads[lane] = Link(link.chain, link.seq + 1, sealed.env)
            made.append(sealed)
        return made
