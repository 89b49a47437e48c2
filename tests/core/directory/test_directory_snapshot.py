"""Snapshots: they verify from their bytes alone, and nothing that was changed in one goes unseen."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest
from worlds import NOW, World, keys, make_world, signed

from exchange.canonical import b64
from exchange.directory.bodies_contacts import build_record
from exchange.directory.checkpoint import Checkpoint, SignedCheckpoint
from exchange.directory.contacts import Part
from exchange.directory.snapshot import MAX_SNAPSHOT, MEMBERS, PUBLIC, Snapshot
from exchange.errors import Damaged, Rejected
from exchange.limits import DAY_MS

SALT = bytes(16)
SHOWN = Part("pe-csirt", "public", SALT, b'{"name":"shown"}')
INNER = Part("pe-csirt", "members", SALT, b'{"name":"inner"}')
SECRET = Part("pe-csirt", "owner", SALT, b'{"name":"secret"}')
PARTS = (SHOWN, INNER, SECRET)


@pytest.fixture(scope="module")
def world() -> World:
    world = make_world()
    body = build_record(
        net=world.net,
        handle="pe-csirt",
        parts={part.level: part.hash(world.net) for part in PARTS},
        after=bytes(32),
        not_after=NOW + DAY_MS,
    )
    outcome = world.append(signed(body, "pe-csirt"))
    assert outcome.effective, outcome.code
    return world


def snapshot(world: World, level: str = MEMBERS) -> Snapshot:
    return Snapshot.of(world.checkpoint, world.leaves, PARTS, level=level)


def altered(world: World, change: Callable[[dict[str, Any]], object]) -> bytes:
    value = orjson.loads(gzip.decompress(snapshot(world).to_bytes()))
    change(value)
    return orjson.dumps(value)


def test_snapshot_verifies_from_its_bytes_and_tells_its_network(world: World) -> None:
    made = snapshot(world)
    read = Snapshot.from_bytes(made.to_bytes())
    assert read == made
    directory, checkpoint = read.verify(None)
    assert (directory.net, directory.root(), checkpoint.size) == (world.net, world.directory.root(), 8)
    assert Snapshot.from_bytes(gzip.decompress(made.to_bytes())).verify(world.net)[0].net == world.net
    assert made.to_bytes() == read.to_bytes()


def test_level_says_which_parts_are_in_it(world: World) -> None:
    assert snapshot(world, MEMBERS).parts == (INNER, SHOWN)
    public = snapshot(world, PUBLIC)
    assert public.parts == (SHOWN,)
    assert b"inner" not in gzip.decompress(public.to_bytes())
    smuggled = replace(public, parts=(INNER, SHOWN))
    with pytest.raises(Rejected, match=r"snapshot.bad-part"):
        Snapshot.from_bytes(smuggled.to_bytes()).verify(world.net)


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value.update(v=2),
        lambda value: value.update(more=1),
        lambda value: value.update(level="owner"),
        lambda value: value.update(leaves=[]),
        lambda value: value.update(leaves=[1]),
        lambda value: value.update(checkpoint={}),
        lambda value: value["parts"][0].append(""),
        lambda value: value["parts"][0].__setitem__(0, "PE"),
        lambda value: value["parts"][0].__setitem__(1, "owner"),
        lambda value: value["parts"][0].__setitem__(2, b64(bytes(15))),
        lambda value: value["parts"][0].__setitem__(3, b64(bytes(131_073))),
    ],
)
def test_snapshot_of_a_wrong_form_is_refused(
    world: World, change: Callable[[dict[str, Any]], object]
) -> None:
    with pytest.raises(Rejected, match=r"snapshot.bad-format"):
        Snapshot.from_bytes(altered(world, change))


def test_bytes_that_are_no_snapshot_are_refused(world: World) -> None:
    packed = snapshot(world).to_bytes()
    for data in (b"", b"{", packed[:-9], packed + b"x", packed[:40] + b"\0" + packed[41:]):
        with pytest.raises(Rejected, match=r"snapshot.bad-format"):
            Snapshot.from_bytes(data)


def test_gzip_that_grows_over_the_limit_is_refused() -> None:
    packer, mebibyte = zlib.compressobj(1, wbits=31), bytes(1024 * 1024)
    pieces = [packer.compress(mebibyte) for _ in range(MAX_SNAPSHOT // len(mebibyte) + 1)]
    with pytest.raises(Rejected, match=r"over the limit"):
        Snapshot.from_bytes(b"".join((*pieces, packer.flush())))


def test_another_log_than_the_checkpoint_covers_is_refused(world: World) -> None:
    made = snapshot(world)
    shorter = replace(made, leaves=made.leaves[:-1])
    with pytest.raises(Rejected, match=r"snapshot.bad-format"):
        shorter.verify(None)
    with pytest.raises(Rejected, match=r"snapshot.bad-format"):
        made.verify(bytes(32))
    with pytest.raises(Damaged, match=r"directory.bad-order"):
        replace(made, leaves=(*made.leaves, made.leaves[-1])).verify(None)
    with pytest.raises(Rejected, match=r"directory.bad-genesis"):
        replace(made, leaves=made.leaves[1:]).verify(None)


def test_checkpoint_by_anybody_but_the_hub_of_its_term_is_refused(world: World) -> None:
    claim = Checkpoint(world.net, 0, world.directory.size, world.directory.root(), NOW)
    forged = replace(snapshot(world), checkpoint=SignedCheckpoint.sign(claim, keys("pe-csirt")))
    with pytest.raises(Rejected, match=r"checkpoint.bad-signature"):
        forged.verify(None)
    later = replace(snapshot(world), checkpoint=SignedCheckpoint.sign(replace(claim, term=1), world.hub_keys))
    with pytest.raises(Rejected, match=r"snapshot.bad-format"):
        later.verify(None)


@pytest.mark.parametrize(
    "parts",
    [(SHOWN, SHOWN), (replace(SHOWN, body=b"{}"),), (replace(SHOWN, level="members"),)],
    ids=["twice", "altered", "level"],
)
def test_part_that_the_log_does_not_name_is_refused(world: World, parts: tuple[Part, ...]) -> None:
    with pytest.raises(Rejected, match=r"snapshot.bad-part"):
        replace(snapshot(world), parts=parts).verify(None)
