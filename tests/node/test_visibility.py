"""Who reads what: each level of a member's and a contact point's record, at everybody who might want to.

One word stands in each level's part and nowhere else, and every part and snapshot is searched for all of them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from exchange.directory.bodies_network import build_policy
from exchange.directory.book import READERS, Book
from exchange.directory.contacts import Part
from exchange.directory.record_rules import part_bytes
from exchange.directory.records import (
    Claims,
    ContactRecord,
    Form,
    HoldersRecord,
    MembersRecord,
    OwnerRecord,
    PublicRecord,
)
from exchange.directory.snapshot import Snapshot
from exchange.limits import DAY_MS
from exchange.node.store import directory as store_directory, parts as store_parts
from tests.node.approvals import PRESS, TRACING, a_contact, officers_sign
from tests.simulator import Simulation, Site
from tests.worlds import OFFICERS, make_world, signed

MEMBERS = ("pe-csirt", "co-csirt", "bb-csirt", "uy-csirt")
OWNER, HOLDER, OTHER, SECRETARIAT = MEMBERS
LAB = "pe-csirt/lab"

RECORD = {
    "public": PublicRecord(name_short="word-public"),
    "members": MembersRecord(parent_org="word-shared"),
}
CLAIMS = Claims(domain=("word-claims.example",))
CONTACT: dict[str, Form] = {
    "members": ContactRecord(org_unit={"es": "word-contact"}),
    "holders": HoldersRecord(urgent_procedure={"es": "word-holders"}),
    "owner": OwnerRecord(notes="word-owner"),
}
WORDS = ("word-public", "word-shared", "word-claims", "word-contact", "word-holders", "word-owner")
REPLICATED = frozenset(WORDS[:4])

READS = {
    "outsider": {"word-public"},
    "hub": REPLICATED,
    OTHER: REPLICATED,
    HOLDER: REPLICATED | {"word-holders"},
    SECRETARIAT: REPLICATED | {"word-owner"},
    OWNER: frozenset(WORDS),
}


@pytest.fixture
async def network(tmp_path: Path) -> AsyncIterator[Simulation]:
    """Peru's lab for firearms; Colombia has the same topic, Barbados another, Uruguay is the secretariat."""
    world = make_world(MEMBERS)
    policy = build_policy(
        net=world.net,
        officers=2,
        sponsors=2,
        secretariat=SECRETARIAT,
        agreement=b"",
        after=world.directory.last_hash("network", "policy"),
        not_after=world.now + DAY_MS,
    )
    assert world.append(signed(policy, *(f"officer/{name}" for name in OFFICERS), *MEMBERS)).effective
    sim = Simulation(world, tmp_path)
    await sim.start_hub()
    try:
        for member in MEMBERS:
            await sim.site(member).start()
        await sim.rounds(2)
        owner = sim.sites[OWNER]
        await a_contact(sim, sim.sites[HOLDER], "desk", {"members": b"{}"}, function=TRACING)
        await a_contact(sim, sim.sites[OTHER], "press", {"members": b"{}"}, function=PRESS)
        await owner.up.registration.publish_record(owner.hub, _bodies(RECORD))
        await owner.up.registration.claim_constituency(owner.hub, CLAIMS.count, part_bytes(CLAIMS))
        await officers_sign(sim)
        await a_contact(sim, owner, "lab", _bodies(CONTACT), function=TRACING)
        await sim.rounds(5)
        yield sim
    finally:
        await sim.close()


def _bodies(forms: dict[str, Form]) -> dict[str, bytes]:
    return {level: part_bytes(form) for level, form in forms.items()}


async def stored(site: Site) -> list[Part]:
    """Every part in the node's database."""
    store = site.up.store
    return await store.db.read(lambda c: store_parts.all_parts(c, store.cipher))


def words_in(parts: list[Part]) -> set[str]:
    return {word for word in WORDS for part in parts if word.encode() in part.body}


async def public_snapshot(site: Site) -> list[Part]:
    """What anybody reads in a public snapshot, even one that a node made which holds everything."""
    replica = site.up.replica
    leaves = await site.up.store.db.read(store_directory.judged_leaves)
    made = Snapshot.of(
        replica.newest, [leaf for leaf, _ in leaves], await site.up.parts.all(), level="public"
    )
    read = Snapshot.from_bytes(made.to_bytes())
    read.verify(replica.directory.net)
    return list(read.parts)


async def test_each_level_is_read_by_those_it_is_for_and_nobody_else(network: Simulation) -> None:
    held = {member: await stored(network.sites[member]) for member in MEMBERS}
    held["outsider"] = await public_snapshot(network.sites[OWNER])
    held["hub"] = [one.part for one in await network.running_hub.registrar.parts(0)]
    assert {reader: words_in(parts) for reader, parts in held.items()} == READS


def words_in_files(folder: Path) -> set[str]:
    files = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    return {word for word in WORDS for data in files if word.encode() in data}


async def test_no_restricted_word_is_in_a_file_of_the_hub_and_none_readable_in_a_nodes(
    network: Simulation, tmp_path: Path
) -> None:
    """Parts are sealed at rest at nodes, public ones too."""
    assert words_in_files(tmp_path / "hub") == REPLICATED
    assert {member: words_in_files(network.sites[member].home) for member in MEMBERS} == {
        member: set() for member in MEMBERS
    }


async def test_a_card_never_shows_more_than_its_level(network: Simulation) -> None:
    least = dict(zip(WORDS, ("public", "members", "members", "members", "holders", "owner"), strict=True))
    for member in MEMBERS:
        site = network.sites[member]
        book = Book.build(site.up.replica.directory, await stored(site), network.world.now)
        for place, level in enumerate(READERS):
            shown = str([book.card(OWNER, level), book.card(LAB, level)])
            may = {word for word in READS[member] if READERS.index(least[word]) <= place}
            assert {word for word in WORDS if word in shown} == may, (member, level)


async def test_who_loses_the_right_forgets_and_who_gains_it_is_told(network: Simulation) -> None:
    """The secretariat's office passes from Uruguay to Barbados."""
    world = network.world
    policy = build_policy(
        net=world.net,
        officers=2,
        sponsors=2,
        secretariat=OTHER,
        agreement=b"",
        after=network.sites[OWNER].up.replica.directory.last_hash("network", "policy"),
        not_after=world.now + DAY_MS,
    )
    signers = (*(f"officer/{name}" for name in OFFICERS), *MEMBERS)
    await network.running_hub.registrar.submit(signed(policy, *signers), (), ())
    await network.rounds(5)
    assert "word-owner" not in words_in(await stored(network.sites[SECRETARIAT]))
    assert "word-owner" in words_in(await stored(network.sites[OTHER]))
