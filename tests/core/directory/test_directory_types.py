"""What each type of statement needs: one test per code of docs/protocol.md §9.4 and §9.5."""

from __future__ import annotations

from dataclasses import replace

import pytest
from worlds import (
    MEMBERS,
    NOW,
    World,
    a_member,
    assert_no_effect,
    keys,
    make_world,
    signed,
    without_signature,
)

from exchange.canonical import b64, dumps, loads
from exchange.directory.bodies_base import MAX_SPONSORS, build_prekeys
from exchange.directory.prekeys import PrekeyRef
from exchange.errors import Rejected
from exchange.limits import DAY_MS, MAX_STATEMENT, MINUTE_MS

OFFICERS = ("officer/alba", "officer/bruno")


@pytest.fixture
def world() -> World:
    return make_world()


# -- add --------------------------------------------------------------------------------------------------------


def test_hub_can_not_invent_a_member(world: World) -> None:
    statement = signed(world.add_body("ec-csirt"), "ec-csirt", "hub", *MEMBERS)
    outcome = assert_no_effect(world, statement, "directory.too-few-officers", alarm=True)
    assert outcome.subject == ("ec-csirt", "identity")


def test_too_few_officers_says_what_is_missing(world: World) -> None:
    statement = signed(world.add_body("ec-csirt"), "ec-csirt", "officer/alba", "pe-csirt")
    with pytest.raises(Rejected) as refused:
        world.directory.judge(statement, NOW)
    assert refused.value.facts == {"officers": (1, 2), "sponsors": (1, 2)}


@pytest.mark.parametrize("sponsors", [(), ("pe-csirt",), ("pe-csirt", "pe-sector"), ("ec-first", "pe-csirt")])
def test_too_few_sponsors_of_distinct_other_countries(sponsors: tuple[str, ...]) -> None:
    world = make_world(("pe-csirt", "co-csirt", "pe-sector", "ec-first"))
    statement = world.add_statement("ec-csirt", sponsors=sponsors)
    assert_no_effect(world, statement, "directory.too-few-sponsors", alarm=True)


def test_sponsors_of_two_other_countries_are_enough(world: World) -> None:
    assert world.append(world.add_statement("pe-second", sponsors=("co-csirt", "bb-csirt"))).effective


def test_threshold_falls_to_the_number_of_other_countries() -> None:
    world = make_world((), sponsors_threshold=MAX_SPONSORS)
    for handle, needed in (("pe-csirt", 0), ("pe-second", 0), ("co-csirt", 1), ("bb-csirt", 2)):
        sponsors = [name for name in ("pe-csirt", "co-csirt") if name in world.directory.members][:needed]
        if needed:
            with pytest.raises(Rejected) as refused:
                world.directory.judge(world.add_statement(handle, sponsors=sponsors[:-1]), NOW)
            assert refused.value.facts["sponsors"] == (needed - 1, needed)
        assert world.append(world.add_statement(handle, sponsors=sponsors)).effective


def test_member_without_a_country_neither_sponsors_nor_counts() -> None:
    world = make_world(())
    world.join("org-first", member=a_member("org-first", country="", member_class="international_org"))
    assert world.append(world.add_statement("pe-csirt")).effective  # nobody could sponsor yet
    statement = world.add_statement("co-csirt", sponsors=("org-first",))
    with pytest.raises(Rejected) as refused:
        world.directory.judge(statement, NOW)
    assert refused.value.code == "directory.too-few-sponsors"


def test_new_member_must_hold_its_key(world: World) -> None:
    statement = without_signature(world.add_statement("ec-csirt", sponsors=MEMBERS), "ec-csirt")
    assert_no_effect(world, statement, "directory.no-possession", alarm=True)


def test_new_member_can_not_sign_with_another_key(world: World) -> None:
    statement = world.add_statement("ec-csirt", sponsors=MEMBERS).with_signature("ec-csirt", keys("co-csirt"))
    assert_no_effect(world, statement, "directory.bad-signature", alarm=True)


def test_second_add_for_a_handle_is_stale(world: World) -> None:
    thief = replace(a_member("ec-csirt"), handle="pe-csirt")
    statement = signed(world.add_body("pe-csirt", member=thief), *OFFICERS, "co-csirt", "bb-csirt")
    assert_no_effect(
        world, statement.with_signature("pe-csirt", keys("ec-csirt")), "directory.stale", alarm=False
    )


def test_handle_is_used_once_ever(world: World) -> None:
    thief = replace(a_member("ec-csirt"), handle="pe-csirt")
    body = loads(world.add_body("pe-csirt", member=thief), most=MAX_STATEMENT)
    body["after"] = b64(world.directory.last_hash("pe-csirt", "identity"))
    statement = signed(dumps(body), *OFFICERS, "co-csirt", "bb-csirt").with_signature(
        "pe-csirt", keys("ec-csirt")
    )
    assert_no_effect(world, statement, "directory.handle-taken", alarm=True)


@pytest.mark.parametrize("owner", ["pe-csirt", "hub", "officer/alba"])
@pytest.mark.parametrize("part", ["signing", "transport", "revoke"])
def test_key_is_used_once_ever(world: World, owner: str, part: str) -> None:
    new, old = a_member("ec-csirt"), keys(owner).public
    member = {
        "signing": replace(new, keys=replace(new.keys, signing=old.signing)),
        "transport": replace(new, keys=replace(new.keys, transport=old.transport)),
        "revoke": replace(new, revoke=old.signing),
    }[part]
    statement = signed(world.add_body("ec-csirt", member=member), *OFFICERS, *MEMBERS)
    own = keys(owner if part == "signing" else "ec-csirt")
    assert_no_effect(world, statement.with_signature("ec-csirt", own), "directory.key-reused", alarm=True)


def test_revoke_only_key_is_not_the_signing_key(world: World) -> None:
    new = a_member("ec-csirt")
    member = replace(new, revoke=new.keys.signing)
    statement = world.add_statement("ec-csirt", sponsors=MEMBERS, member=member)
    assert_no_effect(world, statement, "directory.key-reused", alarm=True)


# -- prekeys ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "signers", [("co-csirt",), ("co-csirt", "pe-csirt"), ("officer/alba", "officer/bruno"), ()]
)
def test_only_the_address_publishes_its_prekeys(world: World, signers: tuple[str, ...]) -> None:
    statement = signed(world.prekeys_body("pe-csirt"), *signers)
    assert_no_effect(world, statement, "directory.not-own", alarm=True)


KID = bytes(range(32))
BAD_TIMES = {
    "never used": [PrekeyRef(KID, 10, 10, 20)],
    "used for more than 8 days": [PrekeyRef(KID, 0, 8 * DAY_MS + 1, 9 * DAY_MS)],
    "destroyed while used": [PrekeyRef(KID, 0, 10, 10)],
    "kept for more than 15 days": [PrekeyRef(KID, 0, 10, 11 + 15 * DAY_MS)],
    "more than 120 days ahead": [
        PrekeyRef(KID, NOW + 120 * DAY_MS + 1, NOW + 121 * DAY_MS, NOW + 122 * DAY_MS)
    ],
    "not in order": [PrekeyRef(KID, 10, 20, 30), PrekeyRef(bytes(32), 5, 20, 30)],
    "two that start at once": [PrekeyRef(KID, 10, 20, 30), PrekeyRef(bytes(32), 10, 20, 30)],
    "one of them twice": [PrekeyRef(KID, 10, 20, 30), PrekeyRef(KID, 11, 20, 30)],
}


@pytest.mark.parametrize("name", BAD_TIMES)
def test_prekeys_with_bad_times_have_no_effect(world: World, name: str) -> None:
    statement = world.prekeys_statement("pe-csirt", BAD_TIMES[name])
    assert_no_effect(world, statement, "directory.bad-prekeys", alarm=True)


def test_prekeys_at_the_limits_of_their_times_take_effect(world: World) -> None:
    refs = [PrekeyRef(KID, 0, 8 * DAY_MS, 23 * DAY_MS), PrekeyRef(bytes(32), 1, 2, 3)]
    last = NOW + 120 * DAY_MS
    refs.append(PrekeyRef(bytes(31) + b"1", last, last + DAY_MS, last + 2 * DAY_MS))
    assert world.append(world.prekeys_statement("pe-csirt", refs)).effective
    assert world.directory.prekeys("pe-csirt") == tuple(refs)


def test_fifth_prekeys_in_a_day_has_no_effect(world: World) -> None:
    world.advance(2 * DAY_MS)
    start = world.now
    for count in range(4):
        world.advance(MINUTE_MS)
        assert world.append(
            world.prekeys_statement("pe-csirt", world.refs("pe-csirt", epochs=count + 1))
        ).effective
    fifth = world.prekeys_statement("pe-csirt", world.refs("pe-csirt", epochs=5))
    with pytest.raises(Rejected) as refused:
        world.directory.judge(fifth, world.now)
    assert refused.value.facts["retry_after"] == 24 * 3600 - 3 * 60 + 1
    assert_no_effect(world, fifth, "directory.too-often", alarm=True)
    world.now = start + MINUTE_MS + DAY_MS
    assert world.append(world.prekeys_statement("pe-csirt")).effective


def test_prekeys_of_a_unit_wait_for_units_to_have_keys(world: World) -> None:
    body = build_prekeys(
        net=world.net,
        address="pe-csirt/duty",
        refs=world.refs("pe-csirt/duty"),
        after=bytes(32),
        not_after=NOW + DAY_MS,
    )
    assert_no_effect(world, signed(body, "pe-csirt"), "directory.not-own", alarm=True)
