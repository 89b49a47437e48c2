"""A network from a seed: members with records and claims, contact functions, and a year of statements, all signed.

Owns what a plausible directory is made of. Every statement takes effect by the product's own rules, so what is measured
on it is what a node does with a real log.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Final

from exchange.canonical import sha256
from exchange.directory.bodies_base import build_add, build_genesis, build_prekeys
from exchange.directory.bodies_contacts import (
    build_confirm,
    build_constituency,
    build_contact,
    build_record,
    build_test,
)
from exchange.directory.contacts import NPC, ROUND_THE_CLOCK, Part
from exchange.directory.log import Leaf
from exchange.directory.members import HubIdentity, Member, Officer
from exchange.directory.prekeys import EPOCH_MS, EPOCHS_AHEAD, GRACE_MS, PrekeyRef
from exchange.directory.record_rules import part_bytes, write
from exchange.directory.records import Claims, ContactRecord, Form, HoldersRecord, PublicRecord
from exchange.directory.state import Directory
from exchange.directory.statements import Statement, network_id
from exchange.directory.vocabulary import FUNCTIONS, NEEDS_INSTRUMENT, NEIGHBOURS, TOPICS
from exchange.keys import PrivateKeys
from exchange.limits import DAY_MS

BEGIN: Final = 1_760_000_000_000  # 2025-10-09
YEAR_MS: Final = 365 * DAY_MS
OFFICERS: Final = ("officer/alba", "officer/bruno")
ZONES: Final = (
    "America/Lima",
    "America/Bogota",
    "America/Sao_Paulo",
    "America/New_York",
    "America/Paramaribo",
)
LANGUAGES: Final = ("es", "en", "pt", "fr")
_OFFICE: Final = [{"days": ["mon", "tue", "wed", "thu", "fri"], "from": "08:00", "to": "17:00"}]
# per member, of its claims
_SHARES: Final = {"prefix4": 0.6, "prefix6": 0.1, "asn": 0.1, "domain": 0.2}


@cache
def keys(name: str) -> PrivateKeys:
    """The key pair of this name; the same in every run."""
    return PrivateKeys(sha256(b"bench " + name.encode("ascii")))


@dataclass(frozen=True)
class Size:
    """How big a network is made."""

    members: int = 40
    contacts: int = 400
    claims: int = 20_000
    statements: int = 5_000


@dataclass
class SeededNetwork:
    """The log and what lies beside it; `now` is a moment after the last leaf (UTC ms)."""

    size: Size
    chance: random.Random
    net: bytes = b""
    leaves: list[bytes] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    members: list[str] = field(default_factory=list)
    contacts: list[str] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    now: int = BEGIN
    directory: Directory = field(init=False)

    @classmethod
    def make(cls, size: Size, seed: int = 1) -> SeededNetwork:
        """The same network for the same size and seed (but for ML-DSA's own randomness in signatures)."""
        # not a secret: what it chooses is what a benchmark measures
        network = cls(size, random.Random(seed))  # noqa: S311 - reproducible on purpose, protects nothing
        network._begin()
        for number in range(size.members):
            network._admit(number)
        for number in range(size.contacts):
            network._nominate(number)
        network._live()
        return network

    # -- statements -------------------------------------------------------------------------------------------------

    def _log(self, body: bytes, *signers: str) -> None:
        statement = Statement(body)
        for signer in signers:
            statement = statement.with_signature(signer, keys(signer))
        leaf = Leaf(len(self.leaves), self.now, statement).to_bytes(self.net)
        outcome = self.directory.apply(leaf, now=None)
        assert outcome.effective, outcome.code
        self.leaves.append(leaf)
        self.codes.append(outcome.code)

    def _common(self, address: str, word: str) -> dict[str, Any]:
        after = self.directory.last_hash(address, word)
        return {"net": self.net, "after": after, "not_after": self.now + DAY_MS}

    def _begin(self) -> None:
        officers = [Officer(name.partition("/")[2], keys(name).public) for name in OFFICERS]
        body = build_genesis(
            nonce=sha256(b"bench"),
            name="Seeded network",
            hub=HubIdentity("https://hub.example", b"", keys("hub").public),
            officers=officers,
            officers_threshold=2,
            sponsors_threshold=2,
            recovery=keys("recovery").public.signing,
            at=BEGIN,
            not_after=BEGIN + DAY_MS,
        )
        self.net = network_id(body)
        statement = Statement(body)
        for signer in ("hub", "recovery", *OFFICERS):
            statement = statement.with_signature(signer, keys(signer))
        leaf = Leaf(0, BEGIN, statement).to_bytes(self.net)
        self.directory = Directory.from_genesis(leaf)
        self.leaves.append(leaf)
        self.codes.append("")

    def _admit(self, number: int) -> None:
        """A member, its record, its claims and its first prekeys."""
        country = sorted(NEIGHBOURS)[number % len(NEIGHBOURS)]
        handle = f"{country.lower()}-csirt{number // len(NEIGHBOURS) or ''}"
        member = Member(
            handle=handle,
            member_class="national_csirt" if number < len(NEIGHBOURS) else "sectoral_csirt",
            country=country,
            keys=keys(handle).public,
            revoke=keys(f"revoke {handle}").public.signing,
            next=keys(f"next {handle}").public.next_commitment(self.net),
        )
        others = [each for each in self.members if not each.startswith(country.lower())][:2]
        self._log(
            build_add(net=self.net, member=member, not_after=self.now + DAY_MS), handle, *OFFICERS, *others
        )
        self.members.append(handle)
        self._publish_prekeys(handle)
        language = self.chance.choice(LANGUAGES)
        record = {
            "name_official": {language: f"Equipo nacional de {country}", "en": f"National team of {country}"},
            "name_short": handle.upper(),
            "languages": [{"lang": language}, {"lang": "en", "level": "reads"}],
            "timezone": self.chance.choice(ZONES),
            "office_hours": {"zone": self.chance.choice(ZONES), "weekly": _OFFICE},
            "holidays": [{"date": "01-01", "name": "Año Nuevo"}],
        }
        parts = {"public": self._part(handle, "public", write(PublicRecord, record))}
        self._log(build_record(handle=handle, parts=parts, **self._common(handle, "record")), handle)
        claims = self._claims(country, number)
        part = self._part(handle, "members", claims)
        common = self._common(handle, "constituency")
        self._log(
            build_constituency(handle=handle, entries=claims.count, part=part, **common), handle, *OFFICERS
        )

    def _claims(self, country: str, number: int) -> Claims:
        """A member's share; blocks of different members don't overlap, those of one sometimes do."""
        share = {word: round(part * self.size.claims / self.size.members) for word, part in _SHARES.items()}
        block = (16 + number) << 24  # a /8 of its own
        prefixes = []
        for _ in range(share["prefix4"]):
            length = self.chance.choice((12, 16, 18, 20, 22, 23, 24, 24, 24))
            first = block | (self.chance.getrandbits(length - 8) << (32 - length))
            prefixes.append(str(IPv4Network((first, length))))
        self.prefixes += prefixes
        for _ in range(share["prefix6"]):
            first = (0x2800 << 112) | (number << 96) | (self.chance.getrandbits(16) << 80)
            prefixes.append(str(IPv6Network((first, 48))))
        domains = [f"d{self.chance.randrange(10**6)}.gob.{country.lower()}" for _ in range(share["domain"])]
        return Claims(
            asn=tuple(64_512 + number * 1_000 + each for each in range(share["asn"])),
            prefix=tuple(prefixes),
            domain=tuple(domains),
        )

    def _nominate(self, number: int) -> None:
        """A contact function; the officers nominate it, for nobody has a nominating authority here."""
        handle = self.members[number % len(self.members)]
        function = self.chance.choice([each for each in FUNCTIONS if each != NPC])
        address = f"{handle}/c{number}"
        always = function in ROUND_THE_CLOCK
        zone = self.chance.choice(ZONES)
        record = {
            "role_name": {"es": f"Función {number}", "en": f"Function {number}"},
            "email_role": f"c{number}@{handle}.example",
            "phone_office": f"+5155{number:06}",
            "hours": {"zone": zone, "always": True} if always else {"zone": zone, "weekly": _OFFICE},
            "holidays": [{"date": "12-25", "name": "Navidad"}],
            "languages": [{"lang": self.chance.choice(LANGUAGES)}],
            "persons": [{"handle": f"p-{'a' * 10}", "name": f"Persona {number}"}],
        }
        parts = {"members": self._part(address, "members", write(ContactRecord, record))}
        if always:
            holders = write(HoldersRecord, {"phone_247": f"+5199{number:06}"})
            parts["holders"] = self._part(address, "holders", holders)
        body = build_contact(
            address=address,
            function=function,
            community=FUNCTIONS[function],
            topics=self.chance.sample(TOPICS, 3),
            instruments=["cifta"] if function in NEEDS_INSTRUMENT else [],
            nomination=sha256(b"note verbale"),
            parts=parts,
            **self._common(address, "contact"),
        )
        self._log(body, handle, *OFFICERS)
        self.contacts.append(address)

    def _live(self) -> None:
        """The rest of a year: prekeys week by week, confirmations, tests."""
        left = self.size.statements - len(self.leaves)
        pause = YEAR_MS // max(left, 1)
        turns = self._turns()
        for _ in range(left):
            self.now += pause
            word = self.chance.choices(("prekeys", "confirm", "test"), (70, 15, 15))[0]
            address = self.chance.choice(self.contacts)
            if word == "prekeys":
                self._publish_prekeys(next(turns))
            elif word == "confirm":
                body = build_confirm(address=address, **self._common(address, "contact"))
                self._log(body, address.partition("/")[0])
            else:
                result = self.chance.choice(("ok", "ok", "ok", "late", "none"))
                facts = {"kind": "ping", "minutes": self.chance.randrange(60), "result": result}
                self._log(build_test(address=address, **facts, **self._common(address, "test")), OFFICERS[0])

    def _turns(self) -> Iterator[str]:
        while True:
            yield from self.members

    def _publish_prekeys(self, address: str) -> None:
        refs = []
        for number in range(EPOCHS_AHEAD):
            start = self.now + number * EPOCH_MS
            refs.append(
                PrekeyRef(self.chance.randbytes(32), start, start + EPOCH_MS, start + EPOCH_MS + GRACE_MS)
            )
        self._log(build_prekeys(address=address, refs=refs, **self._common(address, "prekeys")), address)

    def _part(self, address: str, level: str, form: Form) -> bytes:
        part = Part(address, level, self.chance.randbytes(16), part_bytes(form))
        self.parts.append(part)
        return part.hash(self.net)

    # -- questions --------------------------------------------------------------------------------------------------

    def addresses(self, count: int) -> list[str]:
        """That many IPv4 addresses, nine of ten in somebody's network."""
        chosen = []
        for _ in range(count):
            if self.chance.random() < 0.9:
                inside = IPv4Network(self.chance.choice(self.prefixes))
                chosen.append(str(inside[self.chance.randrange(inside.num_addresses)]))
            else:
                chosen.append(str(IPv4Network(self.chance.getrandbits(32))[0]))
        return chosen
