"""Leaves about units, records and contact points: one flaw each, by the rules of docs/protocol.md §9.12-9.14.

Each begins with log/good and, as `more`, the statements that put a nominating authority or a contact in place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from exchange.canonical import b64, h
from tests.vectors.makers.case import Case, Made
from tests.vectors.makers.log_cases import BOTH, body, leaf, signed
from tests.vectors.makers.network import KEYS, NET, NOW, REVOKE, SIZE, ZERO, Chance, jcs, keys_json, skid

AT = NOW - 3_600_000
NOTE = b64(Chance("note verbale")(32))
NPC, TRACING = "pe/npc", "pe/tracing"
Said = tuple[dict[str, Any], Sequence[str]]  # a body and its signers


def part(name: str) -> str:
    return b64(Chance(f"part {name}")(32))


PARTS = [["holders", part("mobile")], ["members", part("names")]]


def unit(address: str, after: bytes = ZERO, **changed: Any) -> dict[str, Any]:
    rest = {
        "keys": keys_json(address if "/" in address and address in KEYS else TRACING),
        "kind": "unit",
        **changed,
    }
    return body("unit", [address, "unit"], after=b64(after), **rest)


def contact(address: str, after: bytes = ZERO, **changed: Any) -> dict[str, Any]:
    said = {
        "community": "police",
        "function": "operational_tracing",
        "instruments": ["cifta"],
        "nomination": "",
        "parts": PARTS,
        "topics": ["firearms"],
        "unit": "",
    }
    return body("contact", [address, "contact"], after=b64(after), contact={**said, **changed})


def npc(address: str, after: bytes = ZERO, **changed: Any) -> dict[str, Any]:
    said = {
        "community": "government",
        "function": "npc",
        "instruments": [],
        "nomination": NOTE,
        "topics": ["drugs", "firearms"],
        "unit": b64(skid(address)),
    }
    return contact(address, after, **{**said, **changed})


def digest(value: dict[str, Any]) -> bytes:
    return h(NET, "statement", jcs(value))


def a_npc(address: str, **changed: Any) -> list[Said]:
    """A nominating authority with keys of its own."""
    return [
        (unit(address), [address.partition("/")[0], address]),
        (npc(address, **changed), [*BOTH, address]),
    ]


NOMINATED: list[Said] = [*a_npc(NPC), (contact(TRACING), ["pe", NPC])]
LAST = digest(contact(TRACING))


def _case(
    name: str,
    why: str,
    code: str,
    value: dict[str, Any],
    signers: Sequence[str],
    *before: Said,
) -> Case:
    def at(number: int, said: dict[str, Any], names: Sequence[str]) -> str:
        raw = jcs(said)
        return leaf(raw, signed(raw, sorted(names)), SIZE + number, AT + number).decode("ascii")

    def made() -> Made:
        more = [at(number, *said) for number, said in enumerate(before)]
        given = {"after": "log/good", "more": more, "leaf": at(len(more), value, signers), "now": NOW}
        return given, {"effective": not code, "alarm": bool(code)}

    outcome = "no-effect" if code else ""
    return Case("leaf", name, why, made, f"directory.{code}" if code else "ok", outcome, fixed=False)


def contact_cases() -> Iterator[Case]:
    yield from _units()
    yield from _records()
    yield from _nominations()
    yield from _changes()
    yield from _ends_and_tests()


def _units() -> Iterator[Case]:
    first = unit(TRACING)
    yield _case("unit", "the unit and its member", "", first, ["pe", TRACING])
    yield _case("unit_no_possession", "the unit's key didn't sign", "no-possession", first, ["pe"])
    yield _case("unit_without_member", "officers in the member's place", "not-own", first, [*BOTH, TRACING])
    again = unit(TRACING, digest(first), keys=keys_json("newcomer"))
    yield _rekeyed(
        "unit_by_host_alone", "the host gives its unit other keys", "too-few-officers", again, ["pe"]
    )
    yield _rekeyed("unit_by_officers", "officers give a unit other keys", "", again, BOTH)
    reused = unit(TRACING, keys={**keys_json(TRACING), "transport": keys_json("co")["transport"]})
    yield _case("unit_key_reused", "co's transport key", "key-reused", reused, ["pe", TRACING])
    yield _case(
        "unit_of_stranger",
        "there is no such member",
        "unknown-member",
        unit("xx/lab"),
        (),
    )
    named = unit("pe/ana-lopez", kind="person")
    yield _case("unit_person_by_name", "a person's handle that tells a name", "bad-statement", named, ["pe"])
    yield _case("unit_is_member", "a member's own address as a unit", "bad-statement", unit("pe"), ["pe"])


def _rekeyed(name: str, why: str, code: str, value: dict[str, Any], signers: Sequence[str]) -> Case:
    """As `_case` after a first unit statement, with the new key's signature, whose name isn't the address."""
    plain = _case(name, why, code, value, (), (unit(TRACING), ["pe", TRACING]))

    def made() -> Made:
        given, output = plain.make()
        raw = jcs(value)
        own = [TRACING, b64(KEYS["newcomer"].sign("statement", raw))]
        signatures = sorted([own, *signed(raw, signers)])
        return {**given, "leaf": leaf(raw, signatures, SIZE + 1, AT + 1).decode("ascii")}, output

    return Case("leaf", plain.name, why, made, plain.expect, plain.outcome, fixed=False)


def _records() -> Iterator[Case]:
    def record(parts: Any) -> dict[str, Any]:
        return body("record", ["pe", "record"], after=b64(ZERO), parts=parts)

    yield _case("record", "two parts in order of level", "", record(PARTS), ["pe"])
    yield _case("record_by_other", "co states pe's record", "not-own", record(PARTS), ["co"])
    yield _case("record_unsorted", "parts not in order", "bad-statement", record(PARTS[::-1]), ["pe"])
    yield _case("record_twice", "a level twice", "bad-statement", record([PARTS[0], PARTS[0]]), ["pe"])
    unknown = record([["everybody", part("names")]])
    yield _case("record_level_unknown", "no such level", "bad-statement", unknown, ["pe"])
    claim = body("constituency", ["pe", "constituency"], after=b64(ZERO), entries=2, part=part("networks"))
    yield _case("constituency", "the member and both officers", "", claim, [*BOTH, "pe"])
    yield _case("constituency_unapproved", "one officer", "too-few-officers", claim, [BOTH[0], "pe"])
    yield _case("constituency_by_officers", "the member didn't sign", "not-own", claim, BOTH)


def _nominations() -> Iterator[Case]:
    has_keys = [(unit(NPC), ["pe", NPC])]
    yield _case("npc", "both officers on a note", "", npc(NPC), [*BOTH, NPC], *has_keys)
    without = npc(NPC, nomination="")
    yield _case("npc_without_note", "no note's hash", "no-document", without, [*BOTH, NPC], *has_keys)
    yield _case("npc_one_officer", "one officer", "too-few-officers", npc(NPC), [BOTH[0], NPC], *has_keys)
    yield _case("npc_unit_unknown", "its unit has no keys", "unknown-key", npc(NPC), [*BOTH, "pe"])
    yield _case(
        "npc_unit_absent", "the unit that is to answer didn't sign", "not-own", npc(NPC), BOTH, *has_keys
    )
    first = contact(TRACING)
    yield _case("contact", "member and nominating authority", "", first, ["pe", NPC], *a_npc(NPC))
    yield _case("contact_not_nominated", "the member alone", "not-nominated", first, ["pe"], *a_npc(NPC))
    yield _case(
        "contact_by_officers",
        "officers, where an authority nominates",
        "not-nominated",
        contact(TRACING, nomination=NOTE),
        [*BOTH, "pe"],
        *a_npc(NPC),
    )
    both = [*a_npc(NPC), *a_npc("co/npc")]
    yield _case(
        "contact_by_other_npc", "co's authority for pe", "not-nominated", first, ["co/npc", "pe"], *both
    )
    yield _case("contact_by_npc_alone", "the member didn't sign", "not-own", first, [NPC], *a_npc(NPC))
    vacant = contact(TRACING, nomination=NOTE)
    yield _case("contact_vacant", "nobody nominates: officers on a note", "", vacant, [*BOTH, "pe"])
    yield _case("contact_vacant_no_note", "without the note", "no-document", first, [*BOTH, "pe"])
    yield _case("contact_vacant_officer", "one officer", "too-few-officers", vacant, [BOTH[0], "pe"])


def _changes() -> Iterator[Case]:
    parts = contact(TRACING, LAST, parts=[])
    yield _case("contact_parts", "the contact changes its parts", "", parts, ["pe"], *NOMINATED)
    yield _case("contact_parts_by_npc", "the authority changes them", "", parts, [NPC], *NOMINATED)
    yield _case("contact_parts_by_other", "co changes them", "not-own", parts, ["co"], *NOMINATED)
    for field, value in (
        ("function", "spoc"),
        ("topics", ["drugs"]),
        ("instruments", []),
        ("community", "csirt"),
    ):
        changed = contact(TRACING, LAST, **{field: value})
        yield _case(f"contact_self_{field}", f"its own {field}", "not-nominated", changed, ["pe"], *NOMINATED)
    yield _case(
        "contact_by_replaced_npc",
        "an authority whose topic a newer one took over",
        "not-nominated",
        contact(TRACING, LAST, function="spoc"),
        [NPC],
        *NOMINATED,
        *a_npc("pe/npc2", topics=["firearms"]),
    )
    yield _case(
        "contact_of_replaced_npc",
        "what the replaced authority nominated stands",
        "",
        body("confirm", [TRACING, "contact"], after=b64(LAST)),
        ["pe"],
        *NOMINATED,
        *a_npc("pe/npc2", topics=["firearms"]),
    )
    yield _case("contact_no_topic", "no topic", "bad-statement", contact(TRACING, topics=[]), ["pe"])
    unsorted = contact(TRACING, topics=["firearms", "drugs"])
    yield _case("contact_topics_unsorted", "topics not sorted", "bad-statement", unsorted, ["pe"])
    other = contact(TRACING, unit=b64(REVOKE["pe"].public.signing.skid(NET)))
    yield _case("contact_other_unit", "a key of another", "unknown-key", other, ["pe", NPC], *a_npc(NPC))


def _ends_and_tests() -> Iterator[Case]:
    confirm = body("confirm", [TRACING, "contact"], after=b64(LAST))
    yield _case("confirm", "the contact itself", "", confirm, ["pe"], *NOMINATED)
    yield _case("confirm_by_other", "another member", "not-own", confirm, ["co"], *NOMINATED)
    never = body("confirm", [TRACING, "contact"], after=b64(ZERO))
    yield _case("confirm_of_nothing", "no such contact", "unknown-contact", never, ["pe"])
    end = body("contact-end", [TRACING, "contact"], after=b64(LAST))
    yield _case("contact_end", "the function is vacant", "", end, ["pe"], *NOMINATED)
    ended = [*NOMINATED, (end, ["pe"])]
    late = body("confirm", [TRACING, "contact"], after=b64(digest(end)))
    yield _case("confirm_of_ended", "a tombstone is confirmed", "unknown-contact", late, ["pe"], *ended)
    anew = contact(TRACING, digest(end))
    yield _case("contact_anew", "an ended one begins anew by itself", "not-nominated", anew, ["pe"], *ended)
    test = body("test", [TRACING, "test"], after=b64(ZERO), kind="ping", minutes=7, result="ok")
    yield _case("test", "one officer logs it", "", test, BOTH[:1], *NOMINATED)
    yield _case("test_by_member", "the member logs its own test", "not-own", test, ["pe"], *NOMINATED)
    yield _case("test_by_two", "two officers", "not-own", test, BOTH, *NOMINATED)
    yield _case("test_of_nothing", "no such contact", "unknown-contact", test, BOTH[:1])
    odd = body("test", [TRACING, "test"], after=b64(ZERO), kind="ping", minutes=7, result="fine")
    yield _case("test_result_unknown", "no such result", "bad-statement", odd, BOTH[:1], *NOMINATED)
