"""The statements about the network itself: officers, policy, hub-change, tick; and when a reader follows a new hub."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from worlds import MEMBERS, World, assert_no_effect, keys, make_world, signed

from exchange.canonical import sha256
from exchange.directory.bodies_members import build_suspend
from exchange.directory.bodies_network import build_hub_change, build_officers, build_policy, build_tick
from exchange.directory.members import HubIdentity, Officer, Status
from exchange.directory.state import Directory
from exchange.directory.statements import Statement
from exchange.directory.succession import check_succession, read_change
from exchange.errors import Hold, Refused, Rejected
from exchange.limits import DAY_MS, HOUR_MS

BOTH = ("officer/alba", "officer/bruno")
TWO_OF_THREE = MEMBERS[:2]
NEW_ORIGIN = "https://hub2.example"


@pytest.fixture
def world() -> World:
    return make_world()


def officer(name: str, keys_of: str | None = None) -> Officer:
    return Officer(name, keys(keys_of or f"officer/{name}").public)


def officers_body(world: World, *team: Officer, threshold: int = 2) -> bytes:
    after = world.directory.last_hash("network", "officers")
    return build_officers(
        net=world.net, officers=team, threshold=threshold, after=after, not_after=world.now + DAY_MS
    )


def policy_body(world: World, **changes: object) -> bytes:
    values = {"officers": 2, "sponsors": 1, "secretariat": "", "agreement": b""} | changes
    after = world.directory.last_hash("network", "policy")
    return build_policy(net=world.net, after=after, not_after=world.now + DAY_MS, **values)


def change_body(
    world: World,
    *,
    size: int | None = None,
    root: bytes | None = None,
    term: int | None = None,
    hub: str = "hub2",
) -> bytes:
    directory = world.directory
    size = directory.size if size is None else size
    return build_hub_change(
        net=world.net,
        size=size,
        root=directory.root(size) if root is None else root,
        hub=HubIdentity(NEW_ORIGIN, b"", keys(hub).public),
        term=directory.term + 1 if term is None else term,
        after=directory.last_hash("network", "hub"),
        not_after=world.now + DAY_MS,
    )


def by_new_hub(body: bytes, *signers: str, hub: str = "hub2") -> Statement:
    return signed(body, *signers).with_signature("hub", keys(hub))


def cut(world: World, size: int) -> Directory:
    return Directory.replay(world.leaves[:size], now=None)


# -- officers -----------------------------------------------------------------------------------------------------


def test_officers_change_with_old_ones_a_majority_and_the_new_ones_proof(world: World) -> None:
    team = [officer("alba"), officer("carla"), officer("bruno")]
    body = officers_body(world, *team, threshold=3)
    assert world.append(signed(body, *BOTH, "officer/carla", *TWO_OF_THREE)).effective
    assert sorted(world.directory.officers) == ["alba", "bruno", "carla"]
    assert world.directory.officers_threshold == 3
    suspending = build_policy(
        net=world.net,
        officers=2,
        sponsors=1,
        secretariat="",
        agreement=b"",
        after=bytes(32),
        not_after=world.now + DAY_MS,
    )
    assert_no_effect(
        world, signed(suspending, *BOTH, *TWO_OF_THREE), "directory.too-few-officers", alarm=True
    )


@pytest.mark.parametrize(
    ("signers", "code"),
    [
        ((*BOTH, "officer/carla", "pe-csirt"), "directory.too-few-members"),
        (("officer/alba", "officer/carla", *TWO_OF_THREE), "directory.too-few-officers"),
        ((*BOTH, *TWO_OF_THREE), "directory.no-possession"),
    ],
)
def test_officers_by_too_few_have_no_effect(world: World, signers: Sequence[str], code: str) -> None:
    body = officers_body(world, officer("alba"), officer("carla"))
    assert_no_effect(world, signed(body, *signers), code, alarm=True)
    assert sorted(world.directory.officers) == ["alba", "bruno"]


def test_officer_with_new_keys_proves_them_and_does_not_count_as_old(world: World) -> None:
    team = (officer("alba", "officer/alba2"), officer("bruno"))
    by_old = signed(officers_body(world, *team), *BOTH, *TWO_OF_THREE)
    assert_no_effect(world, by_old, "directory.bad-signature", alarm=True)
    alone = signed(officers_body(world, *team), "officer/bruno", *TWO_OF_THREE)
    by_new = alone.with_signature("officer/alba", keys("officer/alba2"))
    assert_no_effect(world, by_new, "directory.too-few-officers", alarm=True)


def test_key_of_an_officer_that_went_is_used_for_ever(world: World) -> None:
    assert world.append(
        signed(officers_body(world, officer("alba"), threshold=1), *BOTH, *TWO_OF_THREE)
    ).effective
    again = officers_body(world, officer("alba"), officer("bruno"))
    statement = signed(again, "officer/alba", "officer/bruno", *TWO_OF_THREE)
    assert_no_effect(world, statement, "directory.key-reused", alarm=True)


def test_officers_are_sorted_and_as_many_as_the_threshold(world: World) -> None:
    with pytest.raises(Refused, match=r"directory.bad-statement"):
        officers_body(world, officer("alba"), threshold=2)
    with pytest.raises(Refused, match=r"directory.bad-statement"):
        officers_body(world, officer("alba"), officer("alba"), threshold=1)


# -- policy -------------------------------------------------------------------------------------------------------


def test_policy_is_set_by_officers_and_a_majority(world: World) -> None:
    agreement = sha256(b"the agreement")
    body = policy_body(world, secretariat="bb-csirt", agreement=agreement)
    assert world.append(signed(body, *BOTH, *TWO_OF_THREE)).effective
    policy = world.directory.policy
    assert (policy.officers, policy.sponsors, policy.secretariat, policy.agreement) == (
        2,
        1,
        "bb-csirt",
        agreement,
    )


def test_sponsors_are_not_lowered_without_the_members(world: World) -> None:
    statement = signed(policy_body(world, sponsors=1), *BOTH, "pe-csirt")
    assert_no_effect(world, statement, "directory.too-few-members", alarm=True)
    assert world.directory.sponsors_threshold == 2


def test_suspended_member_counts_and_has_its_say(world: World) -> None:
    suspend = build_suspend(
        net=world.net,
        handle="pe-csirt",
        ground="test-ground",
        document=sha256(b"paper"),
        until=world.now + DAY_MS,
        not_after=world.now + DAY_MS,
    )
    assert world.append(signed(suspend, *BOTH)).effective
    assert world.directory.members["pe-csirt"].status is Status.SUSPENDED
    assert world.append(signed(policy_body(world), *BOTH, "pe-csirt", "co-csirt")).effective


def test_few_members_leave_the_policy_to_the_officers() -> None:
    world = make_world(MEMBERS[:2])
    assert world.append(signed(policy_body(world), *BOTH)).effective


@pytest.mark.parametrize(
    ("change", "code"),
    [({"secretariat": "xx-csirt"}, "directory.unknown-member"), ({"officers": 3}, "directory.bad-statement")],
)
def test_policy_that_nobody_could_meet_has_no_effect(
    world: World, change: dict[str, object], code: str
) -> None:
    assert_no_effect(world, signed(policy_body(world, **change), *BOTH, *MEMBERS), code, alarm=True)


# -- hub-change ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("signers", [BOTH, ("recovery",)])
def test_another_hub_goes_on_by_officers_or_recovery(world: World, signers: Sequence[str]) -> None:
    size = world.directory.size
    statement = by_new_hub(change_body(world), *signers)
    assert world.append(statement).effective
    directory = world.directory
    assert (directory.term, directory.hub.address) == (1, NEW_ORIGIN)
    (term,) = directory.terms
    assert (term.index, term.named, term.by_officers) == (size, statement.hash(world.net), signers == BOTH)
    assert directory.hub_key(0) == keys("hub").public.signing
    assert directory.hub_key(1) == keys("hub2").public.signing
    with pytest.raises(Hold, match=r"hold.directory-behind"):
        directory.hub_key(2)


@pytest.mark.parametrize(
    ("change", "signers", "code"),
    [
        ({}, ("officer/alba",), "directory.too-few-officers"),
        ({}, MEMBERS, "directory.too-few-officers"),
        ({"size": 3}, BOTH, "directory.wrong-from"),
        ({"root": bytes(32)}, BOTH, "directory.wrong-from"),
        ({"term": 2}, BOTH, "directory.wrong-from"),
        ({"hub": "officer/alba"}, BOTH, "directory.key-reused"),
    ],
)
def test_change_of_hub_with_a_flaw_has_no_effect(
    world: World, change: dict[str, object], signers: Sequence[str], code: str
) -> None:
    body = change_body(world, **change)
    statement = by_new_hub(body, *signers, hub=str(change.get("hub", "hub2")))
    assert_no_effect(world, statement, code, alarm=True)
    assert world.directory.term == 0


def test_change_of_hub_needs_the_new_hubs_own_signature(world: World) -> None:
    assert_no_effect(world, signed(change_body(world), *BOTH), "directory.no-possession", alarm=True)
    by_old_hub = signed(change_body(world), "hub", *BOTH)
    assert_no_effect(world, by_old_hub, "directory.bad-signature", alarm=True)


def test_checkpoint_is_verified_by_the_hub_of_its_term(world: World) -> None:
    before = world.checkpoint
    world.append(by_new_hub(change_body(world), *BOTH))
    assert before.verify(world.net, world.directory).term == 0
    by_old = world.checkpoint  # of term 1, and still signed by the old hub
    with pytest.raises(Rejected, match=r"checkpoint.bad-signature"):
        by_old.verify(world.net, world.directory)
    world.hub_keys = keys("hub2")
    assert world.checkpoint.verify(world.net, world.directory).term == 1
    with pytest.raises(Hold, match=r"hold.directory-behind"):
        world.checkpoint.verify(world.net, cut(world, 7))


# -- a reader that is handed a change of hub ------------------------------------------------------------------------


def test_reader_goes_back_for_a_change_that_its_officers_signed(world: World) -> None:
    statement = by_new_hub(change_body(world, size=5), *BOTH)
    place = check_succession(world.directory, statement)
    assert (place.index, place.by_officers) == (5, True)
    elsewhere = by_new_hub(change_body(world, size=5, root=bytes(32)), *BOTH)
    with pytest.raises(Rejected, match=r"directory.wrong-from"):
        check_succession(world.directory, elsewhere)


def test_reader_that_is_behind_judges_the_signatures_alone(world: World) -> None:
    statement = by_new_hub(change_body(world), *BOTH)
    assert check_succession(cut(world, 5), statement).index == 7
    unsigned = signed(change_body(world), *BOTH)
    with pytest.raises(Rejected, match=r"directory.no-possession"):
        check_succession(cut(world, 5), unsigned)
    by_another = by_new_hub(change_body(world), *BOTH, hub="pe-csirt")
    with pytest.raises(Rejected, match=r"directory.bad-signature"):
        check_succession(cut(world, 5), by_another)
    far = by_new_hub(change_body(world, term=2), *BOTH)
    with pytest.raises(Rejected, match=r"directory.wrong-from"):
        check_succession(cut(world, 5), far)


@pytest.mark.parametrize("behind", [True, False])
def test_reader_refuses_what_too_few_officers_signed(world: World, *, behind: bool) -> None:
    statement = by_new_hub(change_body(world), "officer/alba", *MEMBERS)
    with pytest.raises(Rejected, match=r"directory.too-few-officers"):
        check_succession(cut(world, 5) if behind else world.directory, statement)


def test_officers_of_yesterday_lead_no_reader_back(world: World) -> None:
    change = by_new_hub(change_body(world), *BOTH)
    team = (officer("carla"), officer("diego"))
    new = signed(officers_body(world, *team), *BOTH, "officer/carla", "officer/diego", *TWO_OF_THREE)
    assert world.append(new).effective
    with pytest.raises(Rejected, match=r"directory.too-few-officers"):
        check_succession(world.directory, change)


def test_officers_beat_the_recovery_key_and_then_the_first_stays(world: World) -> None:
    by_recovery = by_new_hub(change_body(world), "recovery")
    by_officers = by_new_hub(change_body(world, hub="hub3"), *BOTH, hub="hub3")
    other = by_new_hub(change_body(world, hub="hub4"), *BOTH, hub="hub4")
    world.append(by_recovery)
    assert check_succession(world.directory, by_officers).by_officers
    with pytest.raises(Rejected, match=r"directory.repeated"):
        check_succession(world.directory, by_recovery)
    after = cut(world, 7)
    after.apply(world.leaf(by_officers, index=7), now=None)
    for late in (other, by_recovery):
        with pytest.raises(Rejected, match=r"directory.stale"):
            check_succession(after, late)


def test_only_a_change_of_hub_is_one(world: World) -> None:
    with pytest.raises(Rejected, match=r"directory.bad-statement"):
        read_change(world.prekeys_statement("pe-csirt"), world.net)


# -- tick ---------------------------------------------------------------------------------------------------------


def tick(world: World, *signers: str) -> Statement:
    after = world.directory.last_hash("network", "time")
    return signed(build_tick(net=world.net, after=after, not_after=world.now + DAY_MS), *signers)


def test_hub_alone_tells_the_time_when_something_is_due(world: World) -> None:
    assert_no_effect(world, tick(world, "hub"), "directory.not-due", alarm=True)
    emergency = build_suspend(
        net=world.net,
        handle="pe-csirt",
        ground="test-ground",
        document=sha256(b"paper"),
        until=world.now + 9 * DAY_MS,
        not_after=world.now + DAY_MS,
    )
    assert world.append(signed(emergency, "officer/alba")).effective
    assert_no_effect(world, tick(world, "hub"), "directory.not-due", alarm=True)
    world.advance(DAY_MS + HOUR_MS)
    for signers in (("pe-csirt",), ("hub", "officer/alba")):
        with pytest.raises(Rejected, match=r"directory.not-own"):
            world.directory.judge(tick(world, *signers), world.now)
    assert world.append(tick(world, "hub")).effective
    assert world.directory.members["pe-csirt"].status is Status.ACTIVE
    assert_no_effect(world, tick(world, "hub"), "directory.not-due", alarm=True)
