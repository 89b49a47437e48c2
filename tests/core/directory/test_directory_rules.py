"""The rules on a leaf, one test per code of docs/protocol.md §9.2 up to those of a type."""

from __future__ import annotations

from dataclasses import replace

import pytest
from worlds import (
    MEMBERS,
    NOW,
    World,
    a_member,
    assert_no_effect,
    genesis_body,
    keys,
    make_world,
    raw_body,
    signed,
    without_signature,
)

from exchange.canonical import b64, dumps, loads
from exchange.directory.log import Leaf
from exchange.directory.state import Directory
from exchange.directory.statements import Statement, network_id
from exchange.errors import Damaged, ExchangeError, Hold, Rejected
from exchange.keys import SIGNATURE_BYTES
from exchange.limits import DAY_MS, LEAF_AHEAD_MS, MAX_LEAF, MAX_STATEMENT

OFFICERS = ("officer/alba", "officer/bruno")


@pytest.fixture
def world() -> World:
    return make_world()


# -- the leaf ---------------------------------------------------------------------------------------------------


def test_honest_log_takes_effect_leaf_by_leaf(world: World) -> None:
    assert [outcome.code for outcome in world.outcomes] == [""] * 6
    assert not any(outcome.alarm for outcome in world.outcomes)
    assert tuple(world.directory.members) == MEMBERS
    stated = a_member("co-csirt", net=world.net)
    assert world.directory.member("co-csirt") == replace(stated, since=NOW, sponsors=("pe-csirt",))
    again = Directory.replay(world.leaves, now=NOW)
    assert (again.net, again.size, again.at, again.root()) == (
        world.net,
        7,
        NOW,
        world.directory.root(),
    )


def test_outcome_names_what_a_node_watches_for(world: World) -> None:
    statement = world.prekeys_statement("pe-csirt")
    outcome = world.append(statement)
    assert (outcome.type, outcome.subject, outcome.signers) == (
        "prekeys",
        ("pe-csirt", "prekeys"),
        ("pe-csirt",),
    )
    assert (
        outcome.statement_hash
        == statement.hash(world.net)
        == world.directory.last_hash("pe-csirt", "prekeys")
    )


@pytest.mark.parametrize(
    "spoil",
    [
        lambda leaf: leaf[:-1],
        lambda leaf: leaf.replace(b'"v":1', b'"v":2'),
        lambda leaf: leaf.replace(b'"index":', b'"index": '),
        lambda leaf: dumps({**loads(leaf, most=MAX_LEAF), "net": b64(bytes(32))}),
        lambda leaf: dumps({**loads(leaf, most=MAX_LEAF), "signatures": [[1, "AA"]]}),
        lambda leaf: dumps({**loads(leaf, most=MAX_LEAF), "signatures": [["x", "AA"]] * 65}),
        lambda leaf: dumps({**loads(leaf, most=MAX_LEAF), "body": "A" * MAX_LEAF}),
    ],
    ids=["cut", "version", "spelling", "network", "signer", "signatures", "size"],
)
def test_damaged_leaf_is_refused_and_changes_nothing(world: World, spoil) -> None:
    leaf = world.leaf(world.prekeys_statement("pe-csirt"))
    root = world.directory.root()
    with pytest.raises(Damaged) as refused:
        world.directory.apply(spoil(leaf), now=NOW)
    assert refused.value.code == "directory.bad-leaf"
    assert world.directory.root() == root
    assert world.directory.apply(leaf, now=NOW).effective


@pytest.mark.parametrize(("step", "at"), [(1, NOW), (-1, NOW), (0, NOW - 1)])
def test_leaf_out_of_order_is_refused(world: World, step: int, at: int) -> None:
    leaf = world.leaf(world.prekeys_statement("pe-csirt"), at, index=world.directory.size + step)
    with pytest.raises(Damaged) as refused:
        world.directory.apply(leaf, now=NOW)
    assert refused.value.code == "directory.bad-order"
    assert world.directory.size == 7


def test_leaf_ahead_of_the_clock_waits_until_the_clock_is_there(world: World) -> None:
    leaf = world.leaf(world.prekeys_statement("pe-csirt"), NOW + LEAF_AHEAD_MS + 1)
    with pytest.raises(Hold) as held:
        world.directory.apply(leaf, now=NOW)
    assert held.value.code == "directory.leaf-ahead"
    assert world.directory.size == 7
    assert world.directory.apply(leaf, now=NOW + 1).effective


# -- the statement ------------------------------------------------------------------------------------------------


def body_of(world: World, **changes: object) -> bytes:
    return dumps({**loads(world.prekeys_body("pe-csirt"), most=MAX_STATEMENT), **changes})


BAD_BODIES = {
    "not JSON": lambda world: b"{",
    "a list": lambda world: b"[]",
    "no bytes": lambda world: b"",
    "a member missing": lambda world: b'{"v":1}',
    "another version": lambda world: body_of(world, v=2),
    "another network": lambda world: body_of(world, net=b64(bytes(32))),
    "subject of one": lambda world: body_of(world, subject=["pe-csirt"]),
    "subject of numbers": lambda world: body_of(world, subject=[1, 2]),
    "subject no address": lambda world: body_of(world, subject=["PE", "prekeys"]),
    "subject of a wrong class": lambda world: body_of(world, subject=["pe-csirt", "identity"]),
    "subject reserved": lambda world: body_of(world, subject=["hub", "prekeys"]),
    "after too short": lambda world: body_of(world, after=b64(bytes(31))),
    "a further member": lambda world: body_of(world, more=1),
    "no prekeys": lambda world: body_of(world, prekeys=[]),
    "too many prekeys": lambda world: body_of(world, prekeys=[[b64(bytes(32)), 1, 2, 3]] * 17),
    "a time as text": lambda world: body_of(world, prekeys=[[b64(bytes(32)), "1", 2, 3]]),
    "a second genesis": lambda world: genesis_body(),
    "a genesis of this network": lambda world: dumps(
        {**loads(genesis_body(), most=MAX_STATEMENT), "net": b64(world.net)}
    ),
    "over the limit": lambda world: raw_body(world.net, more="a" * MAX_STATEMENT),
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_body_that_breaks_a_schema_has_no_effect(world: World, name: str) -> None:
    statement = signed(BAD_BODIES[name](world), "pe-csirt")
    assert_no_effect(world, statement, "directory.bad-statement", alarm=True)


BAD_MEMBERS = {
    "handle": "hub",
    "class": "friend",
    "country": "pe",
    "status": "suspended",
    "next": b64(bytes(31)),
    "keys": {},
    "revoke": {"ed25519": b64(bytes(32)), "mldsa65": b64(bytes(1951))},
}


@pytest.mark.parametrize("name", BAD_MEMBERS)
def test_add_with_a_bad_member_has_no_effect(world: World, name: str) -> None:
    body = loads(world.add_body("ec-csirt"), most=MAX_STATEMENT)
    body["member"][name] = BAD_MEMBERS[name]
    if name == "handle":
        body["subject"][0] = BAD_MEMBERS[name]
    statement = signed(dumps(body), "ec-csirt", *OFFICERS, *MEMBERS)
    assert_no_effect(world, statement, "directory.bad-statement", alarm=True)


def test_add_of_another_subject_has_no_effect(world: World) -> None:
    body = loads(world.add_body("ec-csirt"), most=MAX_STATEMENT)
    body["subject"][0] = "cl-csirt"
    assert_no_effect(world, signed(dumps(body), "ec-csirt"), "directory.bad-statement", alarm=True)


def test_officer_that_signs_twice_is_no_second_officer(world: World) -> None:
    good = without_signature(world.add_statement("ec-csirt", sponsors=MEMBERS), "officer/bruno")
    alba = next(pair for pair in good.signatures if pair[0] == "officer/alba")
    twice = Statement(good.body, tuple(sorted((*good.signatures, alba))))
    assert_no_effect(world, twice, "directory.bad-statement", alarm=True)


@pytest.mark.parametrize("flaw", ["order", "signer", "length"])
def test_signatures_of_a_wrong_form_have_no_effect(world: World, flaw: str) -> None:
    good = world.add_statement("ec-csirt", sponsors=MEMBERS)
    signatures = {
        "order": tuple(reversed(good.signatures)),
        "signer": (("Alba!", bytes(SIGNATURE_BYTES)), *good.signatures),
        "length": (("aa", b"short"), *good.signatures),
    }[flaw]
    assert_no_effect(world, Statement(good.body, signatures), "directory.bad-statement", alarm=True)


def test_replayed_statement_is_repeated(world: World) -> None:
    statement = world.prekeys_statement("pe-csirt")
    assert world.append(statement).effective
    assert world.append(world.prekeys_statement("pe-csirt", world.refs("pe-csirt", epochs=3))).effective
    assert_no_effect(world, statement, "directory.repeated", alarm=False)


def test_statement_on_an_older_state_is_stale(world: World) -> None:
    first = world.prekeys_statement("pe-csirt", world.refs("pe-csirt", epochs=3))
    second = world.prekeys_statement("pe-csirt", world.refs("pe-csirt", epochs=4))
    assert world.append(first).effective
    outcome = assert_no_effect(world, second, "directory.stale", alarm=False)
    assert outcome.subject == ("pe-csirt", "prekeys")


def test_prekeys_dont_make_a_vote_stale(world: World) -> None:
    vote = world.add_statement("ec-csirt", sponsors=MEMBERS)
    world.append(world.prekeys_statement("pe-csirt"))
    assert world.append(vote).effective


def test_statement_after_its_time_is_lapsed(world: World) -> None:
    statement = world.prekeys_statement("pe-csirt")
    assert world.directory.judge(statement, NOW + DAY_MS).head.not_after == NOW + DAY_MS
    outcome = world.append(statement, NOW + DAY_MS + 1)
    assert (outcome.code, outcome.effective, outcome.alarm) == ("directory.lapsed", False, False)


# -- types that only a later version knows ----------------------------------------------------------------------


def test_unknown_type_by_the_officers_limits(world: World) -> None:
    assert not world.directory.limited
    world.append(
        signed(raw_body(world.net, type="new-type", subject=["network", "new-class"], more=[1]), *OFFICERS)
    )
    assert world.directory.limited
    assert (world.outcomes[-1].code, world.outcomes[-1].alarm) == ("directory.limited", False)
    assert world.outcomes[-1].type == "new-type"
    # reads on, takes no new keys
    for statement in (world.prekeys_statement("pe-csirt"), world.add_statement("ec-csirt", sponsors=MEMBERS)):
        assert_no_effect(world, statement, "directory.limited", alarm=False)
    assert_no_effect(world, signed(raw_body(world.net), "pe-csirt"), "directory.limited", alarm=False)


def test_statement_that_can_not_be_read_alarms_even_when_limited(world: World) -> None:
    world.append(signed(raw_body(world.net), *OFFICERS))
    assert world.append(Statement(b"{")).code == "directory.bad-statement"


@pytest.mark.parametrize("signers", [(), ("officer/alba",), ("officer/alba", *MEMBERS), ("hub", "recovery")])
def test_unknown_type_by_anybody_else_is_ignored(world: World, signers: tuple[str, ...]) -> None:
    statement = signed(raw_body(world.net), *signers)
    assert_no_effect(world, statement, "directory.unknown-type", alarm=False)
    assert not world.directory.limited


def test_forged_officers_dont_limit(world: World) -> None:
    statement = signed(raw_body(world.net), "officer/alba")
    forged = statement.with_signature("officer/bruno", keys("pe-csirt")).with_signature(
        "officer/cora", keys("hub")
    )
    assert_no_effect(world, forged, "directory.unknown-type", alarm=False)


# -- signatures -------------------------------------------------------------------------------------------------


def test_forged_signature_has_no_effect(world: World) -> None:
    forged = Statement(world.prekeys_body("pe-csirt")).with_signature("pe-csirt", keys("co-csirt"))
    assert_no_effect(world, forged, "directory.bad-signature", alarm=True)


@pytest.mark.parametrize("half", [0, 70])
def test_each_half_of_a_signature_must_hold(world: World, half: int) -> None:
    good = world.prekeys_statement("pe-csirt")
    signature = bytearray(good.signatures[0][1])
    signature[half] ^= 1
    assert_no_effect(
        world, Statement(good.body, (("pe-csirt", bytes(signature)),)), "directory.bad-signature", alarm=True
    )


@pytest.mark.parametrize("stranger", ["nobody", "officer/nobody", "pe-csirt/duty"])
def test_unknown_signer_has_no_effect(world: World, stranger: str) -> None:
    statement = world.add_statement("ec-csirt", sponsors=MEMBERS).with_signature(stranger, keys("hub"))
    assert_no_effect(world, statement, "directory.bad-signature", alarm=True)


def test_member_not_admitted_publishes_nothing(world: World) -> None:
    assert_no_effect(world, world.prekeys_statement("ec-csirt"), "directory.bad-signature", alarm=True)
    assert world.directory.prekeys("ec-csirt") == ()


# -- whole logs -------------------------------------------------------------------------------------------------


def test_leaf_of_another_network_begins_none(world: World) -> None:
    other = genesis_body(now=NOW + 1)
    statement = signed(other, "hub", "recovery", *OFFICERS)
    leaf = Leaf(0, NOW + 1, statement).to_bytes(world.net)
    with pytest.raises(Rejected, match=r"directory.bad-genesis"):
        Directory.from_genesis(leaf)
    assert Directory.from_genesis(Leaf(0, NOW + 1, statement).to_bytes(network_id(other))).net != world.net


def test_empty_log_is_no_directory() -> None:
    with pytest.raises(ExchangeError, match=r"directory.bad-leaf"):
        Directory.replay([], now=NOW)
