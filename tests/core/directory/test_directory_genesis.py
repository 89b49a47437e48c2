"""Leaf 0: what a network may begin with, each flaw alone (docs/protocol.md §9.3), and what can be looked up later."""

from __future__ import annotations

from dataclasses import replace

import pytest
from worlds import (
    NOW,
    OFFICERS,
    ORIGIN,
    a_member,
    genesis_body,
    keys,
    make_world,
    prekey_secret,
    signed,
    without_signature,
)

from exchange.canonical import b64, dumps, loads, text_b64
from exchange.directory.bodies import parse_body
from exchange.directory.bodies_base import MAX_OFFICERS, Genesis, build_genesis, build_prekeys
from exchange.directory.log import Leaf
from exchange.directory.members import HubIdentity, Officer
from exchange.directory.prekeys import PrekeyRecord, PrekeyRef, choose, verified_record
from exchange.directory.state import Directory
from exchange.directory.statements import Statement, network_id
from exchange.errors import Hold, Refused, Rejected
from exchange.keys import PrekeyPublic
from exchange.limits import DAY_MS, MAX_STATEMENT

EVERYBODY = ("hub", "recovery", "officer/alba", "officer/bruno")


def begin(statement: Statement, *, index: int = 0, at: int = NOW) -> Directory:
    return Directory.from_genesis(Leaf(index, at, statement).to_bytes(network_id(statement.body)))


def changed(**changes: object) -> bytes:
    return dumps({**loads(genesis_body(), most=MAX_STATEMENT), **changes})


def hub_json(**changes: object) -> object:
    return {**HubIdentity(ORIGIN, b"", keys("hub").public).to_json(), **changes}


def test_genesis_begins_a_network() -> None:
    body = genesis_body()
    directory = begin(signed(body, *EVERYBODY))
    assert directory.net == network_id(body)
    assert (directory.name, directory.size, directory.at) == ("Test network", 1, NOW)
    assert (directory.officers_threshold, directory.sponsors_threshold) == (2, 2)
    assert (tuple(directory.officers), dict(directory.members)) == (OFFICERS, {})
    assert directory.hub == HubIdentity(ORIGIN, b"", keys("hub").public)
    assert directory.last_hash("network", "identity") == Statement(body).hash(directory.net)


def test_genesis_with_as_many_officers_as_allowed_fits() -> None:
    names = [f"officer-{'x' * 22}{number:02}" for number in range(MAX_OFFICERS)]
    body = build_genesis(
        nonce=bytes(32),
        name="ñ" * 128,
        hub=HubIdentity("https://" + "h" * 253 + ":65535", bytes(4096), keys("hub").public),
        officers=[Officer(name, keys(f"officer/{name}").public) for name in reversed(names)],
        officers_threshold=MAX_OFFICERS,
        sponsors_threshold=32,
        recovery=keys("recovery").public.signing,
        at=NOW,
        not_after=NOW,
    )
    directory = begin(signed(body, "hub", "recovery", *(f"officer/{name}" for name in names)))
    assert list(directory.officers) == names


BAD_BODIES = {
    "net": {"net": b64(bytes(31) + b"1")},
    "subject": {"subject": ["network", "policy"]},
    "after": {"after": b64(bytes(31) + b"1")},
    "suite": {"min_suite": "EX2"},
    "nonce": {"nonce": b64(bytes(31))},
    "name too long": {"name": text_b64("n" * 257)},
    "name not text": {"name": b64(b"\xff")},
    "no officers": {"officers": []},
    "officer with a bad name": {"officers": [{"name": "A", "keys": keys("a").public.to_json()}]},
    "officers not sorted": {
        "officers": [
            {"name": name, "keys": keys(f"officer/{name}").public.to_json()} for name in reversed(OFFICERS)
        ]
    },
    "threshold of nobody": {"officers_threshold": 0},
    "threshold beyond the officers": {"officers_threshold": 3},
    "no sponsors": {"sponsors_threshold": 0},
    "too many sponsors": {"sponsors_threshold": 33},
    "hub without TLS": {"hub": hub_json(address="http://hub.example")},
    "hub with a path": {"hub": hub_json(address="https://hub.example/")},
    "hub with its default port": {"hub": hub_json(address="https://hub.example:443")},
    "hub's CA too long": {"hub": hub_json(ca=b64(bytes(4097)))},
    "recovery with a transport key": {"recovery": keys("recovery").public.to_json()},
    "a further member": {"more": 1},
    "another type": {"type": "add", "subject": ["pe-csirt", "identity"]},
    "unknown type": {"type": "begin"},
    "late": {"not_after": NOW - 1},
    "recovery is the hub": {"recovery": keys("hub").public.signing.to_json()},
    "hub is an officer": {"hub": hub_json(keys=keys("officer/alba").public.to_json())},
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_genesis_that_breaks_a_rule_begins_nothing(name: str) -> None:
    with pytest.raises(Rejected) as refused:
        begin(signed(changed(**BAD_BODIES[name]), *EVERYBODY))
    assert refused.value.code == "directory.bad-genesis"


@pytest.mark.parametrize("absent", EVERYBODY)
def test_genesis_needs_everybody_it_names(absent: str) -> None:
    with pytest.raises(Rejected, match=r"directory.bad-genesis"):
        begin(without_signature(signed(genesis_body(), *EVERYBODY), absent))


@pytest.mark.parametrize("forged", EVERYBODY)
def test_genesis_with_a_forged_signature_begins_nothing(forged: str) -> None:
    with pytest.raises(Rejected, match=r"directory.bad-genesis"):
        begin(signed(genesis_body(), *EVERYBODY).with_signature(forged, keys("pe-csirt")))


@pytest.mark.parametrize("signatures", [(("hub", b""),), (("officer/cora", bytes(3373)),)])
def test_genesis_signed_by_others_begins_nothing(signatures) -> None:
    with pytest.raises(Rejected, match=r"directory.bad-genesis"):
        begin(Statement(genesis_body(), signatures))


def test_genesis_is_leaf_zero_of_its_own_network() -> None:
    with pytest.raises(Rejected, match=r"directory.bad-genesis"):
        begin(signed(genesis_body(), *EVERYBODY), index=1)


def test_builders_refuse_what_no_reader_would_take() -> None:
    with pytest.raises(Refused, match=r"directory.bad-statement"):
        genesis_body(officers=())
    with pytest.raises(Refused, match=r"directory.bad-statement"):
        build_prekeys(net=bytes(32), address="hub", refs=[], after=bytes(32), not_after=NOW)


def test_genesis_says_what_was_built() -> None:
    genesis = parse_body(genesis_body(), bytes(32))
    assert isinstance(genesis, Genesis)
    assert (genesis.at, genesis.head.type, genesis.head.not_after) == (NOW, "genesis", NOW + DAY_MS)
    assert genesis.recovery == keys("recovery").public.signing


# -- look-ups ---------------------------------------------------------------------------------------------------


def test_keys_are_found_by_who_signs() -> None:
    directory = make_world().directory
    for signer in ("hub", "officer/alba", "pe-csirt"):
        assert directory.identity(signer) == keys(signer).public
    for stranger in ("recovery", "officer/nobody", "nobody", "pe-csirt/duty"):
        with pytest.raises(Rejected, match=r"auth.unknown-issuer"):
            directory.identity(stranger)


def test_unknown_member_is_refused_with_its_code() -> None:
    world = make_world(("pe-csirt",))
    with pytest.raises(Refused, match=r"directory.unknown-member"):
        world.directory.member("co-csirt")
    with pytest.raises(Refused, match=r"directory.unknown-member"):
        world.directory.prekey_for("co-csirt", NOW)


def test_signing_key_not_known_yet_is_held() -> None:
    world = make_world(("pe-csirt",))
    own = keys("pe-csirt").public.signing
    assert world.directory.signing_key("pe-csirt", own.skid(world.net)) == own
    with pytest.raises(Hold, match=r"hold.unknown-key"):
        world.directory.signing_key("pe-csirt", bytes(32))
    for address in ("co-csirt", "hub", "officer/alba"):  # only members send
        with pytest.raises(Hold, match=r"hold.unknown-sender"):
            world.directory.signing_key(address, keys(address).public.signing.skid(world.net))


def test_tables_can_not_be_changed_from_outside() -> None:
    directory = make_world(("pe-csirt",)).directory
    with pytest.raises(TypeError):
        directory.members["xx"] = a_member("xx-csirt")  # type: ignore[index]  # that is what is tested
    with pytest.raises(TypeError):
        directory.officers["xx"] = Officer("xx", keys("xx").public)  # type: ignore[index]  # same


# -- prekeys ----------------------------------------------------------------------------------------------------


def test_sender_uses_the_epoch_of_the_day_and_finds_it_by_kid() -> None:
    world = make_world(("pe-csirt",))
    first, second = world.directory.prekeys("pe-csirt")
    assert world.directory.prekey_for("pe-csirt", first.until - 1) == first
    assert world.directory.prekey_for("pe-csirt", first.until) == second
    assert world.directory.find_prekey("pe-csirt", second.kid) == second
    assert world.directory.find_prekey("pe-csirt", bytes(32)) is None
    assert world.directory.find_prekey("co-csirt", second.kid) is None


def test_newest_statement_replaces_the_prekeys() -> None:
    world = make_world(("pe-csirt",))
    old = world.directory.prekeys("pe-csirt")
    new = world.refs("pe-csirt", start=NOW - 2 * DAY_MS, epochs=3)
    world.append(world.prekeys_statement("pe-csirt", new))
    assert world.directory.prekeys("pe-csirt") == tuple(new)
    assert world.directory.find_prekey("pe-csirt", old[0].kid) is None


def ref(number: int, start: int, until: int) -> PrekeyRef:
    return PrekeyRef(bytes([number]) * 32, start, until, until + 14 * DAY_MS)


def test_of_several_in_use_the_last_listed_is_chosen() -> None:
    assert choose([ref(1, 0, 100), ref(2, 50, 150), ref(3, 200, 250)], 60) == ref(2, 50, 150)


def test_peer_that_stayed_away_is_still_written_to_until_two_days_before_the_end() -> None:
    refs = [ref(1, 0, 100), ref(2, 100, 200), ref(3, 12 * DAY_MS + 300, 12 * DAY_MS + 400)]
    assert choose(refs, 200) == refs[1]
    assert choose(refs, 12 * DAY_MS + 199) == refs[1]
    for now in (12 * DAY_MS + 200, 12 * DAY_MS + 299):
        with pytest.raises(Refused, match=r"directory.no-prekey"):
            choose(refs, now)
    with pytest.raises(Refused, match=r"directory.no-prekey"):
        choose([], 0)


def test_record_is_the_one_that_was_published() -> None:
    world = make_world(("pe-csirt", "co-csirt"))
    published = world.directory.prekeys("pe-csirt")[0]
    record = world.records[published.kid]
    found = verified_record(record, net=world.net, address="pe-csirt", ref=published)
    assert found.public == world.prekeys["pe-csirt"][published.kid][0].public
    other = PrekeyRecord.from_bytes(record, world.net)
    swapped = replace(other, public=prekey_secret("pe-csirt", 0, "thief").public).to_bytes(world.net)
    for data, address, ref_ in (
        (swapped, "pe-csirt", published),
        (record, "co-csirt", published),
        (record, "pe-csirt", replace(published, destroy=published.destroy + 1)),
        (record[:-1], "pe-csirt", published),
        (record, "pe-csirt", world.directory.prekeys("co-csirt")[0]),
    ):
        with pytest.raises(Rejected, match=r"directory.bad-prekeys"):
            verified_record(data, net=world.net, address=address, ref=ref_)
    weak = replace(other, public=PrekeyPublic(other.public.mlkem768, bytes(32)))
    with pytest.raises(Rejected, match=r"directory.bad-prekeys"):
        verified_record(weak.to_bytes(world.net), net=world.net, address="pe-csirt", ref=weak.ref(world.net))
    with pytest.raises(Rejected, match=r"directory.bad-prekeys"):
        verified_record(record, net=bytes(32), address="pe-csirt", ref=published)


# -- statements -------------------------------------------------------------------------------------------------


def test_signatures_gathered_apart_add_up_and_the_first_of_a_signer_stays() -> None:
    world = make_world()
    body = world.add_body("ec-csirt")
    own, officer = signed(body, "ec-csirt", "officer/alba"), signed(body, "officer/bruno", "officer/alba")
    both = own.merged(officer.signatures)
    assert both.signers == ("ec-csirt", "officer/alba", "officer/bruno")
    assert dict(both.signatures)["officer/alba"] == dict(own.signatures)["officer/alba"]
    assert world.append(both.merged(signed(body, "pe-csirt", "co-csirt").signatures)).effective


def test_signing_again_replaces_the_own_signature() -> None:
    statement = signed(genesis_body(), "hub")
    again = statement.with_signature("hub", keys("recovery"))
    assert again.signers == ("hub",)
    assert again.signatures != statement.signatures
    assert again.hash(bytes(32)) == statement.hash(bytes(32))
