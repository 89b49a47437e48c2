"""Units, records and contact points, as docs/protocol.md §9.12-9.14 have them: for leaves that take effect."""

from __future__ import annotations

from typing import Any

from second_reader.base import b64, need, signed_json, skid_of, unb64

COMMON = "v net type subject after not_after"
CONTACT = "community function instruments nomination parts topics unit"
LEVELS = ("holders", "members", "owner", "public")
NOMINATED = [name for name in CONTACT.split() if name != "parts"]


def _unit(log: Any, leaf: Any, body: bytes) -> None:
    said = signed_json(body, f"{COMMON} keys kind")
    address, word = said["subject"]
    member, handle = address.split("/")
    need(word == "unit" and member in log.members and said["kind"] in ("unit", "person"), "subject, kind")
    need((said["kind"] == "person") == (handle.startswith("p-") and len(handle) == 12), "a person's handle")
    signers = log._signed(leaf, body, more={address: said["keys"]})
    need(address in signers, "possession")
    if address in log.units:
        need(len(signers & log.officers) >= log.genesis["officers_threshold"], "officers")
    else:
        need(member in signers, "the unit's member")
    log.units[address] = log.keys[address] = said["keys"]


def _parts(rows: Any) -> None:
    levels = [level for level, _ in rows]
    need(levels == sorted(set(levels)) and set(levels) <= set(LEVELS), "levels")
    need(all(len(unb64(digest)) == 32 for _, digest in rows), "hashes of parts")


def _record(log: Any, leaf: Any, body: bytes) -> None:
    said = signed_json(body, f"{COMMON} parts")
    need(said["subject"][0] in log.members and said["subject"][1] == "record", "subject")
    log._signed(leaf, body, {said["subject"][0]})
    _parts(said["parts"])


def _constituency(log: Any, leaf: Any, body: bytes) -> None:
    said = signed_json(body, f"{COMMON} entries part")
    signers = log._signed(leaf, body)
    need(said["subject"][0] in signers & log.members.keys(), "the member")
    need(len(signers & log.officers) >= log.genesis["officers_threshold"], "officers")
    need(len(unb64(said["part"])) == 32, "part")


def _authorities(log: Any, country: str, topics: Any) -> dict[str, str]:
    """topic -> who nominates for it, for those that are not vacant."""
    found = {}
    for address, one in log.contacts.items():
        keyed = address in log.units and b64(skid_of(log.net, log.units[address])) == one["unit"]
        if one["function"] == "npc" and keyed and log.members[address.split("/")[0]]["country"] == country:
            found.update({topic: address for topic in one["topics"] if topic in topics})
    return found


def _contact(log: Any, leaf: Any, body: bytes) -> None:
    said = signed_json(body, f"{COMMON} contact")
    (address, word), contact = said["subject"], said["contact"]
    member = address.split("/")[0]
    need(word == "contact" and member in log.members and set(contact) == set(CONTACT.split()), "contact")
    for words in (contact["topics"], contact["instruments"]):
        need(words == sorted(set(words)), "words")
    _parts(contact["parts"])
    signers = log._signed(leaf, body)
    own = address if contact["unit"] else member
    need(not contact["unit"] or b64(skid_of(log.net, log.units[address])) == contact["unit"], "unit")
    old = log.contacts.get(address)
    country = log.members[member]["country"]
    if old and all(old[name] == contact[name] for name in NOMINATED):
        need(signers & {own, *_authorities(log, country, contact["topics"]).values()}, "own")
    else:
        need(old or own in signers, "who answers")
        topics = {*contact["topics"], *(old["topics"] if old else ())}
        authorities = {} if contact["function"] == "npc" else _authorities(log, country, topics)
        need(set(authorities.values()) <= signers, "authorities")
        if "npc" in (contact["function"], old and old["function"]) or set(authorities) != topics:
            need(contact["nomination"], "note")
            need(len(signers & log.officers) >= log.genesis["officers_threshold"], "officers")
    if contact["function"] == "npc":
        _replace(log, address, country, contact["topics"])
    log.contacts[address] = contact


def _replace(log: Any, address: str, country: str, topics: Any) -> None:
    for other, one in list(log.contacts.items()):
        same = log.members[other.split("/")[0]]["country"] == country and other != address
        if one["function"] == "npc" and same:
            left = [topic for topic in one["topics"] if topic not in topics]
            log.contacts[other] = {**one, "topics": left}
            if not left:
                del log.contacts[other]


def _spoken(log: Any, leaf: Any, body: bytes) -> None:
    """confirm and contact-end."""
    said = signed_json(body, COMMON)
    address, word = said["subject"]
    member, contact = address.split("/")[0], log.contacts[address]
    own = address if contact["unit"] else member
    may = {own, *_authorities(log, log.members[member]["country"], contact["topics"]).values()}
    need(word == "contact" and may & log._signed(leaf, body), "who may say so")
    if said["type"] == "contact-end":
        del log.contacts[address]


def _test(log: Any, leaf: Any, body: bytes) -> None:
    said = signed_json(body, f"{COMMON} kind minutes result")
    signers = log._signed(leaf, body)
    need(said["subject"][0] in log.contacts and said["subject"][1] == "test", "subject")
    need(said["kind"] in ("call", "ping") and said["result"] in ("late", "none", "ok"), "kind, result")
    need(len(signers) == 1 and signers <= log.officers, "one officer")  # no vector has a secretariat


HANDLERS = {
    "unit": _unit,
    "record": _record,
    "constituency": _constituency,
    "contact": _contact,
    "confirm": _spoken,
    "contact-end": _spoken,
    "test": _test,
}
