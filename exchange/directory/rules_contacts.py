"""The rules of the statements about units, records and contact points (docs/protocol.md §9.12-9.14).

Owns their rows of `RULES`, and who nominates for a topic. The members' own rules are in `rules_members`, the network's
in `rules_network`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from exchange.directory import onboarding
from exchange.directory.bodies_contacts import (
    CONTACT_END,
    Confirm,
    ConstituencyClaim,
    ContactEnd,
    ContactPoint,
    RecordParts,
    TestResult,
    UnitKeys,
)
from exchange.directory.contacts import NPC, Constituency, Contact, Record, Test
from exchange.directory.members import Unit
from exchange.directory.network import Network, member_of
from exchange.directory.rule import Rule
from exchange.directory.rules_members import known_key
from exchange.errors import Rejected
from exchange.keys import PublicKey

KEPT_TESTS: Final = 8  # of a contact: the last two decide whether it is suspect, the rest is for people
MAX_UNITS: Final = (
    64  # of one member, whose keys count: each has a mailbox, and mail for "all" is sealed to each
)
MAX_CONTACTS: Final = 1_000  # of one member, that stand


@dataclass(frozen=True)
class Nominators:
    """Who must sign for a contact's function: the authorities, by topic, and the officers where one is vacant."""

    authorities: Mapping[str, str]
    by_officers: bool


def nominating(network: Network, country: str, topic: str) -> str | None:
    """The address of the contact point that nominates for the topic in that country; None where it is vacant.

    It signs with its unit's key. A member without a country (`""`) has nobody who nominates for it.
    """
    return next(
        (
            one.address
            for one in network.contacts.values()
            if one.function == NPC and topic in one.topics and country and _signs_for(network, one, country)
        ),
        None,
    )


def _signs_for(network: Network, npc: Contact, country: str) -> bool:
    member = network.members[npc.member]
    return (
        not npc.ended
        and member.country == country
        and not onboarding.is_silent(member)
        and _own_unit(network, npc)
    )


def _own_unit(network: Network, contact: Contact) -> bool:
    """Does the key it was nominated with still count? Officers may have given the unit another one since."""
    keys = network.standing_keys(contact.address)
    return keys is not None and keys.signing.skid(network.net) == contact.unit


def _check_speaks(network: Network, address: str) -> None:
    """The member that an address belongs to is there, and not silenced. Raises Rejected."""
    member = network.members.get(member_of(address))
    if member is None:
        raise Rejected("directory.unknown-member")
    if onboarding.is_silent(member):
        raise Rejected("directory.wrong-status", f"{member.handle} is {member.status.value}")


def _check_room(what: str, standing: Iterable[str], address: str, most: int) -> None:
    """One more at `address` is not too many for its member. Raises Rejected directory.too-many."""
    member = member_of(address)
    if sum(member_of(other) == member for other in standing) >= most:
        raise Rejected("directory.too-many", f"{member} has {most} {what}")


def _check_officers(network: Network, signers: frozenset[str]) -> None:
    signed = len(network.officers_among(signers))
    onboarding.check_signatures(officers=(signed, network.policy.officers), sponsors=(0, 0))


# -- unit -----------------------------------------------------------------------------------------------------------


def _unit_key(network: Network, body: UnitKeys, signer: str) -> PublicKey | None:
    # the unit's signature proves that it holds the keys that are to become its own
    return body.keys.signing if signer == body.head.subject[0] else network.key_of(signer)


def _unit_keys_used(network: Network, body: UnitKeys) -> tuple[bytes, bytes]:
    return body.keys.signing.skid(network.net), body.keys.transport


def _check_unit(network: Network, body: UnitKeys, signers: frozenset[str], _at: int) -> None:
    address = body.head.subject[0]
    _check_speaks(network, address)
    network.check_unused(*_unit_keys_used(network, body))
    if address not in network.units:
        _check_room("units", (one for one in network.units if network.standing_keys(one)), address, MAX_UNITS)
    if address not in signers:
        raise Rejected("directory.no-possession", "the unit's own new key hasn't signed")
    if address in network.units:
        _check_officers(network, signers)
    elif member_of(address) not in signers:
        raise Rejected("directory.not-own", "the member hasn't signed for its unit")


def _take_unit(network: Network, body: UnitKeys, at: int, _hash: bytes, _signers: frozenset[str]) -> None:
    address = body.head.subject[0]
    if old := network.units.get(address):
        network.retire(address, old.keys.signing, at)
        network.prekeys.pop(address, None)  # whoever had the unit's keys before opens nothing more
        network.prekey_times.pop(address, None)
    network.units[address] = Unit(address, body.kind, body.keys, at)
    network.used.update(_unit_keys_used(network, body))


# -- record, constituency -------------------------------------------------------------------------------------------


def _check_record(network: Network, body: RecordParts, signers: frozenset[str], _at: int) -> None:
    handle = body.head.subject[0]
    _check_speaks(network, handle)
    if signers != {handle}:
        raise Rejected("directory.not-own")


def _take_record(
    network: Network, body: RecordParts, at: int, _hash: bytes, _signers: frozenset[str]
) -> None:
    network.records[body.head.subject[0]] = Record(body.parts, at)


def _check_constituency(network: Network, body: ConstituencyClaim, signers: frozenset[str], _at: int) -> None:
    handle = body.head.subject[0]
    _check_speaks(network, handle)
    if handle not in signers:
        raise Rejected("directory.not-own", "the member hasn't signed its claim")
    _check_officers(network, signers)


def _take_constituency(
    network: Network, body: ConstituencyClaim, at: int, _hash: bytes, _signers: frozenset[str]
) -> None:
    network.constituencies[body.head.subject[0]] = Constituency(body.part, body.entries, at)


# -- contact, confirm, contact-end, test ------------------------------------------------------------------------------


def _standing_contact(network: Network, address: str) -> Contact | None:
    contact = network.contacts.get(address)
    return contact if contact and not contact.ended else None


def _nominated(contact: Contact | ContactPoint) -> tuple[object, ...]:
    """What only those who nominate set and change."""
    return (
        contact.function,
        contact.community,
        contact.topics,
        contact.instruments,
        contact.unit,
        contact.nomination,
    )


def _check_contact(network: Network, body: ContactPoint, signers: frozenset[str], _at: int) -> None:
    address = body.head.subject[0]
    _check_speaks(network, address)
    keys = network.standing_keys(address)
    if body.unit and (keys is None or keys.signing.skid(network.net) != body.unit):
        raise Rejected("directory.unknown-key", "the unit at this address has another signing key")
    old = _standing_contact(network, address)
    if old and _nominated(old) == _nominated(body):
        _check_own(network, old, signers)
        return
    if old is None:
        standing = (one.address for one in network.contacts.values() if not one.ended)
        _check_room("contact points", standing, address, MAX_CONTACTS)
    if old is None and (address if body.unit else member_of(address)) not in signers:
        raise Rejected("directory.not-own", "who is to answer there hasn't signed")
    _check_nominated(network, body, signers)


def who_nominates(network: Network, body: ContactPoint) -> Nominators:
    """Whose signatures set or change what only those who nominate may; nobody's where only parts change."""
    address = body.head.subject[0]
    old = _standing_contact(network, address)
    if old and _nominated(old) == _nominated(body):
        return Nominators({}, by_officers=False)
    country = network.members[member_of(address)].country
    topics = {*body.topics, *(old.topics if old else ())}
    found = {topic: nominating(network, country, topic) for topic in sorted(topics)}
    authorities = {topic: authority for topic, authority in found.items() if authority}
    if body.function == NPC:
        return Nominators({}, by_officers=True)
    by_officers = len(authorities) < len(found) or (old is not None and old.function == NPC)
    return Nominators(authorities, by_officers=by_officers)


def _check_nominated(network: Network, body: ContactPoint, signers: frozenset[str]) -> None:
    """Every topic's nominating authority signed, or the officers where there is none (and for an npc itself)."""
    wanted = who_nominates(network, body)
    if wanted.by_officers and not body.nomination:
        raise Rejected("directory.no-document", "the hash of the note verbale that nominates is missing")
    for topic, authority in wanted.authorities.items():
        if authority not in signers:
            raise Rejected("directory.not-nominated", f"{authority} nominates for {topic} and hasn't signed")
    if wanted.by_officers:
        _check_officers(network, signers)


def _check_own(network: Network, contact: Contact, signers: frozenset[str]) -> None:
    """One of those signed who answer for what a contact point says. Raises Rejected directory.not-own."""
    country = network.members[contact.member].country
    may: set[str | None] = {nominating(network, country, topic) for topic in contact.topics}
    if not contact.unit:
        may.add(contact.member)
    elif _own_unit(network, contact):
        may.add(contact.address)
    if may.isdisjoint(signers):
        raise Rejected("directory.not-own", "neither the contact point nor who nominates it has signed")


def _take_contact(
    network: Network, body: ContactPoint, at: int, _hash: bytes, _signers: frozenset[str]
) -> None:
    address = body.head.subject[0]
    old = network.contacts.get(address)
    stands = old if old and not old.ended else None
    if body.function == NPC:
        _replace_older(network, body, at)
    network.contacts[address] = Contact(
        address=address,
        function=body.function,
        community=body.community,
        topics=body.topics,
        instruments=body.instruments,
        unit=body.unit,
        nomination=body.nomination,
        parts=body.parts,
        version=old.version + 1 if old else 1,
        since=stands.since if stands else at,
        validated=at,
        tests=stands.tests if stands else (),
    )


def _replace_older(network: Network, body: ContactPoint, at: int) -> None:
    """The topics of a new npc leave the country's older ones; one that has none left has ended."""
    address = body.head.subject[0]
    country = network.members[member_of(address)].country
    for older in list(network.contacts.values()):
        same = country and network.members[older.member].country == country and older.address != address
        if older.function != NPC or older.ended or not same or set(older.topics).isdisjoint(body.topics):
            continue
        left = tuple(topic for topic in older.topics if topic not in body.topics)
        network.contacts[older.address] = replace(older, topics=left) if left else _ended(older, at)


def _ended(contact: Contact, at: int) -> Contact:
    """The tombstone: address and times. What it said of people is named by nothing any more."""
    return replace(contact, ended=at, parts={}, unit=b"", nomination=b"")


def _check_known_contact(
    network: Network, body: Confirm | ContactEnd, signers: frozenset[str], _at: int
) -> None:
    address = body.head.subject[0]
    contact = _standing_contact(network, address)
    if contact is None:
        raise Rejected("directory.unknown-contact")
    _check_speaks(network, address)
    _check_own(network, contact, signers)


def _take_confirm(network: Network, body: Confirm, at: int, _hash: bytes, _signers: frozenset[str]) -> None:
    address = body.head.subject[0]
    network.contacts[address] = replace(network.contacts[address], validated=at)


def _take_contact_end(
    network: Network, body: ContactEnd, at: int, _hash: bytes, _signers: frozenset[str]
) -> None:
    address = body.head.subject[0]
    network.contacts[address] = _ended(network.contacts[address], at)


def _check_test(network: Network, body: TestResult, signers: frozenset[str], _at: int) -> None:
    if _standing_contact(network, body.head.subject[0]) is None:
        raise Rejected("directory.unknown-contact")
    testers = {officer.address for officer in network.officers.values()}
    secretariat = network.members.get(network.policy.secretariat)
    if secretariat and not onboarding.is_silent(secretariat):
        testers.add(secretariat.handle)
    if len(signers) != 1 or not signers <= testers:
        raise Rejected("directory.not-own", "the secretariat or one officer logs tests")


def _take_test(network: Network, body: TestResult, at: int, _hash: bytes, _signers: frozenset[str]) -> None:
    address = body.head.subject[0]
    contact = network.contacts[address]
    tests = (*contact.tests, Test(at, body.kind, body.minutes, body.result))
    network.contacts[address] = replace(contact, tests=tests[-KEPT_TESTS:])


# Any: a row's type is that of its parser, under the same name.
CONTACT_RULES: Final[Mapping[str, Rule[Any]]] = {
    "unit": Rule[UnitKeys](_unit_key, _check_unit, _take_unit),
    "record": Rule[RecordParts](known_key, _check_record, _take_record),
    "constituency": Rule[ConstituencyClaim](known_key, _check_constituency, _take_constituency),
    "contact": Rule[ContactPoint](known_key, _check_contact, _take_contact),
    "confirm": Rule[Confirm](known_key, _check_known_contact, _take_confirm),
    CONTACT_END: Rule[ContactEnd](known_key, _check_known_contact, _take_contact_end),
    "test": Rule[TestResult](known_key, _check_test, _take_test),
}
