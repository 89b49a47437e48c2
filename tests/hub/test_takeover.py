"""A hub's home made from a snapshot: who must sign, what it begins with, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from exchange.cli.seeds import from_paper, on_paper
from exchange.directory.bodies_contacts import build_record
from exchange.directory.contacts import Part
from exchange.directory.snapshot import MEMBERS, Snapshot
from exchange.directory.statements import Statement
from exchange.directory.succession import read_change
from exchange.errors import Refused, Rejected
from exchange.hub import home as hub_home, takeover
from exchange.hub.registrar import Registrar
from exchange.hub.store.store import HubStore
from exchange.keys import PrivateKeys
from exchange.limits import DAY_MS
from exchange.settings import HubSettings
from exchange.storage.unlock import Unlock, create_key_file
from tests.hub_services import chance
from tests.worlds import NOW, World, keys, make_world, signed

SETTINGS = HubSettings.from_mapping({"origins": ["https://hub2.example"], "port": 8444})
PART = Part("pe-csirt", "members", bytes(16), b"{}")


@pytest.fixture
def world() -> World:
    world = make_world()
    body = build_record(
        net=world.net,
        handle="pe-csirt",
        parts={PART.level: PART.hash(world.net)},
        after=bytes(32),
        not_after=NOW + DAY_MS,
    )
    assert world.append(signed(body, "pe-csirt")).effective
    return world


@pytest.fixture
def unlock(tmp_path: Path) -> Unlock:
    create_key_file(tmp_path / "key")
    return Unlock.key_file(tmp_path / "key")


def snapshot(world: World) -> Snapshot:
    return Snapshot.of(world.checkpoint, world.leaves, [PART], level=MEMBERS)


def draft(
    world: World, home: Path, unlock: Unlock, *, recovery: PrivateKeys | None = None
) -> tuple[takeover.Takeover, Statement]:
    state = takeover.draft(
        home, snapshot(world), SETTINGS, unlock=unlock, now=NOW, random=chance, recovery=recovery
    )
    return state, hub_home.read_statement(home / takeover.CHANGE)


async def serving(home: Path, unlock: Unlock) -> tuple[HubStore, Registrar]:
    own = PrivateKeys(hub_home.open_keystore(home, unlock).get(hub_home.SEED))
    store = HubStore.open(home)
    return store, await Registrar.open(store, keys=own, clock=lambda: NOW, settle_seconds=0)


async def test_hub_goes_on_where_the_snapshot_ends(world: World, tmp_path: Path, unlock: Unlock) -> None:
    home = tmp_path / "hub2"
    state, statement = draft(world, home, unlock)
    assert (state.officers, state.begun, state.size) == ((0, 2), False, 8)
    one = statement.with_signature("officer/alba", keys("officer/alba"))
    two = statement.with_signature("officer/bruno", keys("officer/bruno"))
    assert takeover.complete(home, one, now=NOW).officers == (1, 2)
    done = takeover.complete(home, two, now=NOW)  # a copy of its own: the signatures come together here
    assert (done.officers, done.begun) == ((2, 2), True)
    assert takeover.complete(home, two, now=NOW).begun  # again: nothing changes
    store, registrar = await serving(home, unlock)
    try:
        directory = registrar.directory
        assert (directory.size, directory.term, directory.hub.address) == (9, 1, "https://hub2.example")
        assert registrar.checkpoint.verify(world.net, directory).term == 1
        assert [one.part for one in await registrar.parts(0)] == [PART]
        old = Snapshot.from_bytes((home / takeover.SNAPSHOT).read_bytes()).checkpoint
        registrar.check_dir(old.ref(world.net))  # what senders had sealed under before
    finally:
        await store.close()


async def test_former_hubs_checkpoint_beyond_the_end_is_remembered_and_asks_for_nothing(
    world: World, tmp_path: Path, unlock: Unlock
) -> None:
    home = tmp_path / "hub2"
    _, statement = draft(world, home, unlock)
    both = signed(statement.body, "officer/alba", "officer/bruno").merged(statement.signatures)
    takeover.complete(home, both, now=NOW)
    world.append(world.prekeys_statement("pe-csirt"))
    world.append(world.prekeys_statement("co-csirt"))
    beyond = world.checkpoint
    store, registrar = await serving(home, unlock)
    try:
        assert await registrar.take_checkpoint(beyond) is None
        registrar.check_dir(beyond.ref(world.net))
        assert not registrar.read_only
        with pytest.raises(Rejected, match=r"directory\.no-need"):
            await registrar.take_leaves(b"\0\0\0\1x")
    finally:
        await store.close()
    store, registrar = await serving(home, unlock)
    try:
        registrar.check_dir(beyond.ref(world.net))
        assert not registrar.read_only
    finally:
        await store.close()


def test_printed_seed_signs_in_the_officers_place(world: World, tmp_path: Path, unlock: Unlock) -> None:
    home = tmp_path / "hub2"
    _, statement = draft(world, home, unlock, recovery=keys("recovery"))
    assert statement.signers == ("hub", "recovery")
    assert takeover.complete(home, statement, now=NOW).begun


def test_seed_is_read_from_paper_as_it_was_written() -> None:
    seed = bytes(range(32))
    written = on_paper(seed)
    assert from_paper(written) == seed
    assert from_paper(f" {written.lower().replace('-', ' ')}\n") == seed
    for slip in (written[:-1], "B" + written[1:], "", "1" * 56):
        with pytest.raises(Refused, match=r"cli\.bad-seed"):
            from_paper(slip)


def test_copy_of_another_change_is_refused(world: World, tmp_path: Path, unlock: Unlock) -> None:
    home = tmp_path / "hub2"
    _, statement = draft(world, home, unlock)
    _, other = draft(world, tmp_path / "hub3", unlock)
    with pytest.raises(Refused, match=r"hub\.other-change"):
        takeover.complete(home, other, now=NOW)
    with pytest.raises(Refused, match=r"hub\.no-change"):
        takeover.complete(tmp_path / "nowhere", statement, now=NOW)


def test_signature_that_does_not_hold_is_left_out(world: World, tmp_path: Path, unlock: Unlock) -> None:
    home = tmp_path / "hub2"
    _, statement = draft(world, home, unlock)
    forged = statement.with_signature("officer/alba", keys("pe-csirt"))
    assert takeover.complete(home, forged, now=NOW).officers == (0, 2)
    assert hub_home.read_statement(home / takeover.CHANGE).signers == ("hub",)


def test_keys_stay_and_a_begun_hub_is_left_alone(world: World, tmp_path: Path, unlock: Unlock) -> None:
    home = tmp_path / "hub2"
    _, first = draft(world, home, unlock)
    _, second = draft(world, home, unlock, recovery=keys("recovery"))
    assert read_change(first, world.net).hub == read_change(second, world.net).hub
    takeover.complete(home, second, now=NOW)
    with pytest.raises(Refused, match=r"hub\.begun"):
        draft(world, home, unlock)
