"""Units, records and contact points: who may state and change what (docs/protocol.md §9.12-9.14), one test per rule."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exchange.canonical import b64, dumps, loads, sha256
from exchange.directory.bodies_contacts import (
    build_confirm,
    build_constituency,
    build_record,
)
from exchange.directory.bodies_members import build_revoke, build_status, build_suspend
from exchange.directory.contacts import Part
from exchange.directory.members import Move
from exchange.directory.rules_contacts import MAX_CONTACTS, MAX_UNITS
from exchange.errors import Refused
from exchange.limits import DAY_MS, MAX_STATEMENT
from tests.contact_points import BOTH, NOTE, NPC, PARTS, TRACING, Country
from tests.worlds import NOW, a_member, assert_no_effect, keys, signed

# -- units --------------------------------------------------------------------------------------------------------


def test_unit_gets_keys_and_prekeys_of_its_own(bare: Country) -> None:
    bare.unit(TRACING)
    unit = bare.directory.units[TRACING]
    assert (unit.kind, unit.keys, unit.since, unit.member) == ("unit", keys(TRACING).public, NOW, "pe-csirt")
    assert bare.directory.identity(TRACING) == keys(TRACING).public
    bare.world.append(bare.world.prekeys_statement(TRACING))
    assert bare.directory.prekey_for(TRACING, NOW)


def test_unit_needs_its_own_signature_and_at_first_its_members(bare: Country) -> None:
    body = bare.unit_body(TRACING)
    bare.refused(body, ("pe-csirt",), "no-possession")
    bare.refused(body, (TRACING, "co-csirt"), "not-own")
    bare.refused(body, (TRACING, *BOTH), "not-own")
    bare.log(body, TRACING, "pe-csirt")


def test_host_cannot_put_itself_in_the_units_place(bare: Country) -> None:
    bare.unit(TRACING)
    bare.world.append(bare.world.prekeys_statement(TRACING))
    host = bare.unit_body(TRACING, name="the host's own")
    statement = signed(host, "pe-csirt").with_signature(TRACING, keys("the host's own"))
    assert_no_effect(bare.world, statement, "directory.too-few-officers", alarm=True)
    with_one = statement.with_signature(BOTH[0], keys(BOTH[0]))
    assert_no_effect(bare.world, with_one, "directory.too-few-officers", alarm=True)
    new = signed(bare.unit_body(TRACING, name="new keys"), *BOTH).with_signature(TRACING, keys("new keys"))
    assert bare.world.append(new).effective
    assert bare.directory.units[TRACING].keys == keys("new keys").public
    assert bare.directory.prekeys(TRACING) == ()
    assert bare.directory.key_standing(TRACING, bare.skid(TRACING)).state == "retired"


def test_member_has_no_more_units_than_its_network_can_serve(bare: Country) -> None:
    for number in range(MAX_UNITS):
        bare.unit(f"pe-csirt/u{number:02}")
    bare.refused(bare.unit_body(TRACING), (TRACING, "pe-csirt"), "too-many")
    new = signed(bare.unit_body("pe-csirt/u00", name="new"), *BOTH)
    assert bare.world.append(new.with_signature("pe-csirt/u00", keys("new"))).effective  # it had its place
    revoked = build_revoke(
        net=bare.world.net,
        address="pe-csirt/u01",
        by="own",
        ground="lost",
        skid=bare.skid("pe-csirt/u01"),
        since=bare.world.now,
        not_after=bare.world.now + DAY_MS,
    )
    bare.log(revoked, "pe-csirt/u01")
    bare.unit(TRACING)  # a unit whose keys count no more takes no place
    bare.unit("co-csirt/tracing")  # nor do another member's


def test_member_has_no_more_contact_points_than_people_can_confirm(peru: Country) -> None:
    address = "pe-csirt/abuse"
    peru.log(peru.contact_body(address), "pe-csirt", NPC)
    contacts = peru.directory._network.contacts
    missing = MAX_CONTACTS - len(contacts)  # writing a thousand leaves would only take long
    contacts |= {
        f"pe-csirt/c{n}": replace(contacts[address], address=f"pe-csirt/c{n}") for n in range(missing)
    }
    peru.refused(peru.contact_body("pe-csirt/more"), ("pe-csirt", NPC), "too-many")
    peru.log(peru.contact_body(address, parts={}), "pe-csirt")  # what stands is changed all the same
    contacts["pe-csirt/c0"] = replace(contacts["pe-csirt/c0"], ended=NOW)
    peru.log(peru.contact_body("pe-csirt/more"), "pe-csirt", NPC)


def test_unit_takes_no_key_that_was_used(bare: Country) -> None:
    statement = signed(bare.unit_body(TRACING, name="co-csirt"), "pe-csirt").with_signature(
        TRACING, keys("co-csirt")
    )
    assert_no_effect(bare.world, statement, "directory.key-reused", alarm=True)


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("pe-csirt", "unit"),
        ("hub/tracing", "unit"),
        ("pe-csirt/ana-lopez", "person"),
        ("pe-csirt/p-abcdefghij", "unit"),
        ("pe-csirt/tracing", "team"),
    ],
)
def test_unit_has_an_address_that_tells_no_name(bare: Country, address: str, kind: str) -> None:
    with pytest.raises(Refused, match=r"directory\.bad-statement"):
        bare.unit_body(address, kind=kind)


def test_person_and_reserved_words_are_addresses(bare: Country) -> None:
    for address, kind in (("pe-csirt/p-abcdefghij", "person"), ("pe-csirt/hub", "unit")):
        bare.log(bare.unit_body(address, kind=kind), address, "pe-csirt")
        assert bare.directory.units[address].kind == kind


def test_unit_of_nobody_is_refused(bare: Country) -> None:
    bare.refused(bare.unit_body("xx-csirt/tracing"), ("xx-csirt/tracing",), "unknown-member")


def test_silenced_member_states_nothing(tracing: Country) -> None:
    world = tracing.world
    tracing.log(
        build_suspend(
            net=world.net,
            handle="pe-csirt",
            ground="breach",
            document=NOTE,
            until=NOW + 30 * DAY_MS,
            not_after=NOW + DAY_MS,
        ),
        *BOTH,
    )
    tracing.refused(tracing.unit_body("pe-csirt/lab"), ("pe-csirt", "pe-csirt/lab"), "wrong-status")
    tracing.refused(record_body(tracing), ("pe-csirt",), "wrong-status")
    tracing.refused(build_confirm(**tracing.common(TRACING)), ("pe-csirt",), "wrong-status")
    assert tracing.directory.nominating("PE", "firearms") is None
    assert tracing.contact().validated == NOW


# -- record, constituency -----------------------------------------------------------------------------------------


def record_body(country: Country, parts: dict[str, bytes] | None = None) -> bytes:
    common = country.common("pe-csirt", "record")
    handle = common.pop("address")
    return build_record(handle=handle, parts=PARTS if parts is None else parts, **common)


def constituency_body(country: Country) -> bytes:
    common = country.common("pe-csirt", "constituency")
    handle = common.pop("address")
    return build_constituency(handle=handle, entries=3, part=sha256(b"networks"), **common)


def test_record_is_the_members_own(bare: Country) -> None:
    body = record_body(bare)
    bare.refused(body, ("co-csirt",), "not-own")
    bare.refused(body, ("officer/alba", "pe-csirt"), "not-own")
    bare.log(body, "pe-csirt")
    assert bare.directory.records["pe-csirt"].parts == PARTS
    assert bare.directory.named_parts() == set(PARTS.values())
    bare.log(record_body(bare, {}), "pe-csirt")
    assert bare.directory.named_parts() == frozenset()


def test_constituency_is_approved_by_officers(bare: Country) -> None:
    body = constituency_body(bare)
    bare.refused(body, BOTH, "not-own")
    bare.refused(body, ("officer/alba", "pe-csirt"), "too-few-officers")
    bare.log(body, "pe-csirt", *BOTH)
    assert bare.directory.constituencies["pe-csirt"].entries == 3
    assert bare.directory.named_parts() == {sha256(b"networks")}


@pytest.mark.parametrize(
    "parts",
    [
        [["public", b64(NOTE)], ["members", b64(NOTE)]],
        [["members", b64(NOTE)], ["members", b64(NOTE)]],
        [["everybody", b64(NOTE)]],
        [["members", b64(b"short")]],
        [["members"]],
    ],
    ids=["unsorted", "twice", "unknown level", "short hash", "no hash"],
)
def test_parts_have_one_spelling(bare: Country, parts: object) -> None:
    body = dumps({**loads(record_body(bare), most=MAX_STATEMENT), "parts": parts})
    bare.refused(body, ("pe-csirt",), "bad-statement")


def test_removed_member_is_forgotten_but_for_its_public_part(tracing: Country) -> None:
    public = {"public": sha256(b"who we are"), "owner": sha256(b"the nomination")}
    tracing.log(record_body(tracing, public), "pe-csirt")
    tracing.log(constituency_body(tracing), "pe-csirt", *BOTH)
    tracing.log(
        build_status(
            net=tracing.world.net,
            handle="pe-csirt",
            move=Move.REMOVE,
            ground="left",
            document=NOTE,
            after=tracing.after("pe-csirt", "status"),
            not_after=NOW + DAY_MS,
        ),
        *BOTH,
    )
    assert tracing.directory.named_parts() == {public["public"]}


def test_part_is_bound_to_network_owner_and_level() -> None:
    part = Part("pe-csirt", "members", bytes(16), b"{}")
    others = (
        Part("co-csirt", "members", bytes(16), b"{}"),
        Part("pe-csirt", "public", bytes(16), b"{}"),
        Part("pe-csirt", "members", bytes([1] * 16), b"{}"),
        Part("pe-csirt", "members", bytes(16), b"[]"),
    )
    assert len({part.hash(bytes(32)), part.hash(NOTE), *(other.hash(bytes(32)) for other in others)}) == 6


# -- nomination -----------------------------------------------------------------------------------------------------


def test_npc_is_put_in_place_by_officers_on_a_note(bare: Country) -> None:
    bare.unit(NPC)
    bare.refused(bare.npc_body(nomination=b""), (NPC, *BOTH), "no-document")
    bare.refused(bare.npc_body(), (NPC, "officer/alba"), "too-few-officers")
    bare.refused(bare.npc_body(), BOTH, "not-own")
    bare.log(bare.npc_body(), NPC, *BOTH)
    assert bare.directory.nominating("PE", "firearms") == NPC
    assert bare.directory.nominating("PE", "drugs") is None
    assert bare.directory.nominating("CO", "firearms") is None


def test_contact_needs_the_nominating_authority_of_its_topic(peru: Country) -> None:
    body = peru.contact_body(TRACING)
    peru.refused(body, ("pe-csirt",), "not-nominated")
    peru.refused(body, ("pe-csirt", *BOTH), "not-nominated")
    peru.refused(body, (NPC,), "not-own")
    peru.log(body, NPC, "pe-csirt")
    contact = peru.contact()
    assert (contact.version, contact.since, contact.validated, contact.ended) == (1, NOW, NOW, 0)
    assert contact.parts == PARTS
    assert set(PARTS.values()) <= peru.directory.named_parts()


def test_another_countrys_npc_nominates_nobody_here(peru: Country) -> None:
    peru.npc("co-csirt/npc")
    assert peru.directory.nominating("CO", "firearms") == "co-csirt/npc"
    peru.refused(peru.contact_body(TRACING), ("co-csirt/npc", "pe-csirt"), "not-nominated")


def test_where_nobody_nominates_officers_do_on_a_note(bare: Country) -> None:
    bare.refused(bare.contact_body(TRACING), ("pe-csirt", *BOTH), "no-document")
    body = bare.contact_body(TRACING, nomination=NOTE)
    bare.refused(body, ("officer/alba", "pe-csirt"), "too-few-officers")
    bare.log(body, "pe-csirt", *BOTH)


def test_topics_of_two_authorities_need_both(peru: Country) -> None:
    peru.npc("pe-csirt/npc2", topics=["drugs"])
    body = peru.contact_body(TRACING, topics=["drugs", "firearms"])
    peru.refused(body, (NPC, "pe-csirt"), "not-nominated")
    peru.log(body, NPC, "pe-csirt", "pe-csirt/npc2")


def test_npc_without_keys_nominates_nobody(bare: Country) -> None:
    bare.log(bare.npc_body(unit=b""), "pe-csirt", *BOTH)
    assert bare.directory.nominating("PE", "firearms") is None


def test_npc_whose_unit_got_other_keys_waits_for_a_new_nomination(peru: Country) -> None:
    new = signed(peru.unit_body(NPC, name="new keys"), *BOTH).with_signature(NPC, keys("new keys"))
    assert peru.world.append(new).effective
    assert peru.directory.nominating("PE", "firearms") is None
    again = signed(peru.npc_body(unit=keys("new keys").public.signing.skid(peru.world.net)), *BOTH)
    assert peru.world.append(again).effective
    assert peru.directory.nominating("PE", "firearms") == NPC


def test_member_without_a_country_is_nominated_by_officers(peru: Country) -> None:
    peru.world.join("int-org", member=a_member("int-org", country=""))
    peru.npc("int-org/npc")
    assert peru.directory.nominating("", "firearms") is None
    body = peru.contact_body("int-org/liaison", function="liaison")
    peru.refused(body, ("int-org", "int-org/npc"), "no-document")


# -- changes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changed",
    [
        {"function": "spoc"},
        {"community": "csirt"},
        {"topics": ["firearms", "ransomware"]},
        {"instruments": []},
        {"nomination": NOTE},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_contact_cannot_give_itself_a_function_or_topic(tracing: Country, changed: dict[str, object]) -> None:
    body = tracing.contact_body(TRACING, **changed)
    tracing.refused(body, ("pe-csirt",), "not-nominated")
    tracing.log(body, NPC)
    assert (tracing.contact().version, tracing.contact().since) == (2, NOW)


def test_contact_cannot_shed_a_topic_behind_its_authority(peru: Country) -> None:
    peru.npc("pe-csirt/npc2", topics=["drugs"])
    peru.log(peru.contact_body(TRACING, topics=["drugs", "firearms"]), NPC, "pe-csirt", "pe-csirt/npc2")
    peru.refused(peru.contact_body(TRACING, topics=["drugs"]), ("pe-csirt", "pe-csirt/npc2"), "not-nominated")


def test_parts_are_the_contacts_own(tracing: Country) -> None:
    tracing.world.advance(DAY_MS)
    body = tracing.contact_body(TRACING, parts={"members": NOTE})
    tracing.refused(body, ("co-csirt",), "not-own")
    tracing.refused(body, BOTH, "not-own")
    tracing.log(body, "pe-csirt")
    contact = tracing.contact()
    assert (contact.parts, contact.version, contact.validated) == ({"members": NOTE}, 2, NOW + DAY_MS)
    tracing.log(tracing.npc_body(parts={}), NPC)
    assert tracing.directory.named_parts() == {NOTE}


def test_contact_with_keys_is_changed_by_them_and_not_by_its_host(peru: Country) -> None:
    peru.unit(TRACING)
    peru.refused(peru.contact_body(TRACING, unit=peru.skid(TRACING)), (NPC, "pe-csirt"), "not-own")
    peru.log(peru.contact_body(TRACING, unit=peru.skid(TRACING)), NPC, TRACING)
    body = peru.contact_body(TRACING, unit=peru.skid(TRACING), parts={})
    peru.refused(body, ("pe-csirt",), "not-own")
    peru.log(body, TRACING)
    peru.log(peru.contact_body(TRACING, unit=peru.skid(TRACING), parts=PARTS), NPC)


@pytest.mark.parametrize("name", ["no unit there", "co-csirt"])
def test_contact_names_the_key_of_its_own_unit(peru: Country, name: str) -> None:
    peru.refused(peru.contact_body(TRACING, unit=peru.skid(name)), (NPC, "pe-csirt"), "unknown-key")


def test_newer_npc_replaces_the_topic_in_the_older_and_what_it_nominated_stays(tracing: Country) -> None:
    tracing.npc("pe-csirt/npc2", topics=["firearms"])
    assert tracing.directory.nominating("PE", "firearms") == "pe-csirt/npc2"
    assert tracing.directory.nominating("PE", "ransomware") == NPC
    assert tracing.contact(NPC).topics == ("ransomware",)
    assert not tracing.contact().ended
    assert tracing.contact().standing(NOW) == "validated"
    tracing.refused(tracing.contact_body(TRACING, function="spoc"), (NPC,), "not-nominated")
    tracing.log(tracing.contact_body(TRACING, function="spoc"), "pe-csirt/npc2")
    tracing.npc("pe-csirt/npc3", topics=["ransomware"])
    assert tracing.contact(NPC).ended == NOW


def test_npc_changes_its_own_parts_but_not_its_own_topics(peru: Country) -> None:
    peru.log(peru.npc_body(parts={}), NPC)
    more = peru.npc_body(topics=["drugs", "firearms", "ransomware"])
    peru.refused(more, (NPC,), "too-few-officers")
    peru.refused(peru.npc_body(function="spoc"), (NPC,), "too-few-officers")
