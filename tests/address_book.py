"""An address book for tests: members and contact points put into a directory with their parts, in a few lines.

Owns the shortest way to a `Book`. What the log demands of the statements behind it is tested elsewhere: here the
network's tables are filled as effective statements would have filled them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import tzinfo
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from exchange.canonical import sha256
from exchange.directory.bodies_contacts import build_constituency, build_contact, build_record, build_test
from exchange.directory.book import Book
from exchange.directory.contacts import NPC, Constituency, Contact, Part, Record, Test
from exchange.directory.record_rules import write
from exchange.directory.records import Claims, ContactRecord, Form, HoldersRecord, PublicRecord, to_bytes
from exchange.limits import DAY_MS
from tests.worlds import World, a_member, make_world, signed

LIMA = "America/Lima"
WEEK = [{"days": ["mon", "tue", "wed", "thu", "fri"], "from": "08:00", "to": "17:00"}]
OFFICE = {"zone": LIMA, "weekly": WEEK}
ALWAYS = {"zone": LIMA, "always": True}
SPANISH = [{"lang": "es"}]


@cache
def zones(name: str) -> tzinfo | None:
    """The machine's zones, as commands use them."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return None


@dataclass
class Shelf:
    """A world and the parts that lie beside its log; `book` joins them."""

    world: World
    parts: list[Part] = field(default_factory=list)

    def put(self, address: str, level: str, form: Form | bytes) -> bytes:
        """Lay a part down; its hash, as the log would name it."""
        body = form if isinstance(form, bytes) else to_bytes(form)
        part = Part(address, level, sha256(f"{address} {level}".encode())[:16], body)
        self.parts.append(part)
        return part.hash(self.world.net)

    def member(
        self, handle: str, *, country: str | None = None, member_class: str = "national_csirt"
    ) -> None:
        """Admit a member without the ceremony."""
        self.network.members[handle] = a_member(handle, country=country, member_class=member_class)

    def record(self, handle: str, **public: Any) -> None:
        """A member's public part."""
        digest = self.put(handle, "public", write(PublicRecord, public))
        self.network.records[handle] = Record({"public": digest}, self.world.now)

    def claim(self, handle: str, **claims: Any) -> None:
        """A member's approved constituency."""
        form = write(Claims, claims)
        self.network.constituencies[handle] = Constituency(
            self.put(handle, "members", form), form.count, self.world.now
        )

    def contact(
        self,
        address: str,
        function: str,
        topics: Iterable[str] = ("ransomware",),
        *,
        community: str = "csirt",
        holders: dict[str, Any] | None = None,
        validated: int | None = None,
        tests: tuple[Test, ...] = (),
        ended: int = 0,
        **record: Any,
    ) -> Contact:
        """A contact point; `record` are the members of its part at level `members`."""
        parts = {}
        if record:
            parts["members"] = self.put(address, "members", write(ContactRecord, record))
        if holders:
            parts["holders"] = self.put(address, "holders", write(HoldersRecord, holders))
        now = self.world.now
        made = Contact(
            address=address,
            function=function,
            community=community,
            topics=tuple(sorted(topics)),
            instruments=(),
            unit=b"",
            nomination=b"",
            parts=parts,
            version=1,
            since=now,
            validated=now if validated is None else validated,
            ended=ended,
            tests=tests,
        )
        self.network.contacts[address] = made
        return made

    def secretariat(self, handle: str) -> None:
        self.network.policy = replace(self.network.policy, secretariat=handle)

    @property
    def network(self) -> Any:
        return self.world.directory._network

    def book(self, now: int | None = None) -> Book:
        return Book.build(self.world.directory, self.parts, self.world.now if now is None else now)


def shelf(members: tuple[str, ...] = ("pe-csirt",)) -> Shelf:
    """A network of these members, without any record yet."""
    return Shelf(make_world(members))


def peru() -> Shelf:
    """Peru with a police tracing lab, a CSIRT desk round the clock, a single point of contact and an NPC."""
    made = shelf()
    made.record(
        "pe-csirt",
        name_official={
            "es": "Centro Nacional de Seguridad Digital",
            "en": "National Digital Security Centre",
        },
        name_short="PECERT",
        constituency_text={"es": "Administración pública"},
        languages=SPANISH,
        timezone=LIMA,
        office_hours=OFFICE,
        holidays=[{"date": "07-28", "name": "Fiestas Patrias"}],
    )
    made.contact(
        "pe-csirt/tracing",
        "operational_tracing",
        ["firearms"],
        community="police",
        role_name={"es": "Rastreo de armas de fuego", "fr": "Traçage d'armes à feu"},
        phone_office="+51 1 555 0100",
        email_role="rastreo@policia.example",
        hours=OFFICE,
        languages=SPANISH,
        tests=(Test(made.world.now - 1000, "call", 4, "ok"),),
    )
    made.contact(
        "pe-csirt/duty",
        "technical_24x7",
        ["ransomware", "ddos"],
        hours=ALWAYS,
        languages=[{"lang": "es"}, {"lang": "en", "level": "reads"}],
        holders={"phone_247": "+51 1 555 0199"},
        persons=[{"handle": "p-aaaaaaaaaa", "name": "Ñusta Quispe", "position": "Jefa de guardia"}],
    )
    made.contact("pe-csirt/spoc", "spoc", ["ransomware", "firearms"], hours=OFFICE)
    made.contact("pe-csirt/npc", "npc", ["ransomware"], community="government", hours=OFFICE)
    return made


def logged(made: Shelf, *, now: int) -> World:
    """A new network whose log states, as it must be signed, what `made` holds (but for an npc, which needs keys)."""
    world = make_world(tuple(made.world.member_keys), now=now)
    hashes = {part.hash(made.world.net): part.hash(world.net) for part in made.parts}
    common: dict[str, Any] = {"net": world.net, "after": bytes(32), "not_after": now + DAY_MS}
    officers = ("officer/alba", "officer/bruno")

    def log(body: bytes, *signers: str) -> None:
        outcome = world.append(signed(body, *signers))
        assert outcome.effective, outcome.code

    def new(parts: dict[str, bytes]) -> dict[str, bytes]:
        return {level: hashes[digest] for level, digest in parts.items()}

    for handle, record in made.network.records.items():
        log(build_record(handle=handle, parts=new(record.parts), **common), handle)
    for handle, one in made.network.constituencies.items():
        log(
            build_constituency(handle=handle, entries=one.entries, part=hashes[one.part], **common),
            handle,
            *officers,
        )
    for address, contact in made.network.contacts.items():
        if contact.function == NPC:
            continue
        facts = {name: getattr(contact, name) for name in ("function", "community", "topics", "instruments")}
        note = {"nomination": sha256(b"note verbale")}
        log(
            build_contact(address=address, parts=new(contact.parts), **facts, **note, **common),
            contact.member,
            *officers,
        )
        for test in contact.tests:
            result = {"kind": test.kind, "minutes": test.minutes, "result": test.result}
            log(build_test(address=address, **result, **common), officers[0])
    return world
