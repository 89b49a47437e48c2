"""A country with contact points, for tests: units, nominating authorities and contacts, stated as they must be signed.

Owns the shortest honest statements of docs/protocol.md §9.12-9.14 on a `World`; `refused` checks that one has none.
"""

from __future__ import annotations

from dataclasses import dataclass

from exchange.canonical import sha256
from exchange.directory.bodies_contacts import build_contact, build_unit
from exchange.directory.contacts import Contact
from exchange.directory.state import Directory, Outcome
from exchange.limits import DAY_MS
from tests.worlds import World, assert_no_effect, keys, signed

BOTH = ("officer/alba", "officer/bruno")
NOTE = sha256(b"note verbale 7")
NPC = "pe-csirt/npc"
TRACING = "pe-csirt/tracing"
PARTS = {"members": sha256(b"who is who"), "holders": sha256(b"the mobile numbers")}


@dataclass
class Country:
    """A world in which Peru has a nominating authority for firearms and ransomware, with keys of its own."""

    world: World

    @property
    def directory(self) -> Directory:
        return self.world.directory

    def after(self, address: str, word: str = "contact") -> bytes:
        return self.directory.last_hash(address, word)

    def common(self, address: str, word: str = "contact") -> dict[str, object]:
        return {
            "net": self.world.net,
            "address": address,
            "after": self.after(address, word),
            "not_after": self.world.now + DAY_MS,
        }

    def unit_body(self, address: str, *, kind: str = "unit", name: str | None = None) -> bytes:
        return build_unit(kind=kind, keys=keys(name or address).public, **self.common(address, "unit"))

    def unit(self, address: str) -> None:
        """Give it keys, signed as a first unit must be."""
        self.log(self.unit_body(address), address, address.partition("/")[0])

    def skid(self, address: str) -> bytes:
        return keys(address).public.signing.skid(self.world.net)

    def contact_body(self, address: str, **changed: object) -> bytes:
        fields: dict[str, object] = {
            "function": "operational_tracing",
            "community": "police",
            "topics": ["firearms"],
            "instruments": ["cifta"],
            "parts": PARTS,
        }
        return build_contact(**self.common(address), **{**fields, **changed})

    def npc_body(self, address: str = NPC, **changed: object) -> bytes:
        fields: dict[str, object] = {
            "function": "npc",
            "community": "government",
            "topics": ["firearms", "ransomware"],
            "instruments": [],
            "unit": self.skid(address),
            "nomination": NOTE,
        }
        return self.contact_body(address, **{**fields, **changed})

    def npc(self, address: str = NPC, **changed: object) -> None:
        self.unit(address)
        self.log(self.npc_body(address, **changed), address, *BOTH)

    def log(self, body: bytes, *signers: str) -> Outcome:
        """Log what must take effect."""
        outcome = self.world.append(signed(body, *signers))
        assert outcome.effective, outcome.code
        return outcome

    def refused(self, body: bytes, signers: tuple[str, ...], code: str) -> None:
        """Logged without effect, and nothing of the contacts, units and records has changed."""
        state = (dict(self.directory.contacts), dict(self.directory.units), dict(self.directory.records))
        assert_no_effect(self.world, signed(body, *signers), f"directory.{code}", alarm=True)
        assert state == (
            dict(self.directory.contacts),
            dict(self.directory.units),
            dict(self.directory.records),
        )

    def contact(self, address: str = TRACING) -> Contact:
        return self.directory.contacts[address]
