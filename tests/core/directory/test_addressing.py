"""How an addressee is spelt: contacts of units and of nodes, persons by name; never a unit's host by mistake."""

from __future__ import annotations

import pytest
from worlds import World, keys, make_world, signed

from exchange.canonical import is_node_address, sha256
from exchange.directory import addressing
from exchange.directory.addressing import Target
from exchange.directory.bodies_contacts import build_contact, build_contact_end, build_unit
from exchange.errors import Refused
from exchange.limits import DAY_MS

BOTH = ("officer/alba", "officer/bruno")
ANA, OTHER_ANA = "pe-csirt/p-aaaaaaaaaa", "pe-csirt/p-bbbbbbbbbb"
NAMED = [
    (ANA, "Ana Quispé"),
    ("pe-csirt/p-cccccccccc", "Luz  Rojas"),
    ("co-csirt/p-dddddddddd", "Ana Quispe"),
]


@pytest.fixture
def world() -> World:
    return make_world()


def unit(world: World, address: str, *, kind: str = "unit", key: str = "", officers: bool = False) -> None:
    key = key or address
    body = build_unit(
        net=world.net,
        address=address,
        kind=kind,
        keys=keys(key).public,
        after=world.directory.last_hash(address, "unit"),
        not_after=world.now + DAY_MS,
    )
    statement = signed(body, *(BOTH if officers else [address.partition("/")[0]]))
    assert world.append(statement.with_signature(address, keys(key))).effective


def contact(world: World, address: str, *, own_keys: bool = False) -> None:
    body = build_contact(
        net=world.net,
        address=address,
        function="operational_tracing",
        community="police",
        topics=["firearms"],
        parts={},
        after=world.directory.last_hash(address, "contact"),
        not_after=world.now + DAY_MS,
        unit=keys(address).public.signing.skid(world.net) if own_keys else b"",
        nomination=sha256(b"note verbale"),
    )
    signer = address if own_keys else address.partition("/")[0]
    assert world.append(signed(body, *BOTH, signer)).effective


def end(world: World, address: str) -> None:
    body = build_contact_end(
        net=world.net,
        address=address,
        after=world.directory.last_hash(address, "contact"),
        not_after=world.now + DAY_MS,
    )
    assert world.append(signed(body, address.partition("/")[0])).effective


def test_contact_with_keys_is_its_unit(world: World) -> None:
    unit(world, "pe-csirt/tracing")
    contact(world, "pe-csirt/tracing", own_keys=True)
    target = addressing.contact_target(world.directory, "pe:operational_tracing", "pe-csirt/tracing")
    assert target == Target("pe:operational_tracing", "pe-csirt/tracing", "")
    assert not addressing.is_contact_of_node(world.directory, "pe-csirt/tracing")


def test_contact_without_keys_is_the_members_node_and_names_the_function(world: World) -> None:
    contact(world, "pe-csirt/tracing")
    target = addressing.contact_target(world.directory, "pe:operational_tracing", "pe-csirt/tracing")
    assert target == Target("pe:operational_tracing", "pe-csirt", "operational_tracing")
    assert addressing.is_contact_of_node(world.directory, "pe-csirt/tracing")


def test_contact_whose_unit_has_other_keys_now_never_goes_to_the_host(world: World) -> None:
    unit(world, "pe-csirt/tracing")
    contact(world, "pe-csirt/tracing", own_keys=True)
    unit(world, "pe-csirt/tracing", key="new keys", officers=True)
    with pytest.raises(Refused, match=r"unit\.unknown"):
        addressing.contact_target(world.directory, "pe:operational_tracing", "pe-csirt/tracing")


def test_contact_that_ended_or_never_was_is_unknown(world: World) -> None:
    contact(world, "pe-csirt/tracing")
    end(world, "pe-csirt/tracing")
    for address in ("pe-csirt/tracing", "pe-csirt/nothing"):
        with pytest.raises(Refused, match=r"contact\.unknown"):
            addressing.contact_target(world.directory, "pe:operational_tracing", address)


@pytest.mark.parametrize(
    "typed", ["pe-csirt/Ana Quispe", "pe-csirt/ANA  QUISPÉ", "pe-csirt/ana quispe\u0301"]
)
def test_person_is_found_by_name_without_accents_and_case(world: World, typed: str) -> None:
    unit(world, ANA, kind="person")
    assert addressing.names_person(typed)
    assert addressing.person_target(world.directory, typed, NAMED) == Target(typed, ANA)


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("pe-csirt/Luz Rojas", "unit.unknown"),  # in a record, but without keys
        ("pe-csirt/Ana", "unit.unknown"),  # not the whole name
        ("co-csirt/Ana Quispe", "unit.unknown"),  # of another member, without keys
        ("xx-csirt/Ana Quispe", "directory.unknown-member"),
    ],
)
def test_person_without_keys_is_not_written_to(world: World, typed: str, code: str) -> None:
    unit(world, ANA, kind="person")
    with pytest.raises(Refused) as refused:
        addressing.person_target(world.directory, typed, NAMED)
    assert refused.value.code == code


def test_two_persons_of_one_name_must_be_told_apart(world: World) -> None:
    unit(world, ANA, kind="person")
    unit(world, OTHER_ANA, kind="person")
    with pytest.raises(Refused, match=f"{ANA}, {OTHER_ANA}") as refused:
        addressing.person_target(world.directory, "pe-csirt/Ana Quispe", [*NAMED, (OTHER_ANA, "Ana Quispe")])
    assert refused.value.code == "contact.ambiguous"


def test_unit_is_no_person_whatever_a_record_says(world: World) -> None:
    unit(world, "pe-csirt/tracing")
    with pytest.raises(Refused, match=r"unit\.unknown"):
        addressing.person_target(world.directory, "pe-csirt/Ana Quispe", [("pe-csirt/tracing", "Ana Quispe")])


@pytest.mark.parametrize(
    ("typed", "function", "person"),
    [
        ("pe-csirt", False, False),
        ("pe-csirt/tracing", False, False),
        ("pe:operational_tracing", True, False),
        ("PE:spoc", True, False),
        ("pe:Spoc", False, False),
        ("per:spoc", False, False),
        ("pe-csirt/Ana Quispe", False, True),
        ("pe-csirt/Ana", False, True),
    ],
)
def test_spellings(typed: str, function: bool, person: bool) -> None:
    assert (addressing.asks_for_function(typed), addressing.names_person(typed)) == (function, person)


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("pe-csirt", True),
        ("pe-csirt/tracing", True),
        ("officer/ana", False),
        ("hub", False),
        ("pe/a/b", False),
    ],
)
def test_node_addresses(text: str, good: bool) -> None:
    assert is_node_address(text) is good
