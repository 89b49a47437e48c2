"""Statements that lack signatures at the hub: kept, signed by others, logged when there are enough, dropped in time."""

from __future__ import annotations

from pathlib import Path

from exchange.directory.bodies_members import build_rotate
from exchange.directory.bodies_network import build_policy
from exchange.directory.members import Move
from exchange.directory.statements import Statement
from exchange.directory.submission import LOGGED, PENDING
from exchange.directory.waiting import read_pending
from exchange.hub.pending import LIFE_MS, MAX_OF_ONE
from exchange.limits import DAY_MS
from tests.hub.statements import (
    ALBA,
    BRUNO,
    a_part,
    claim,
    code_of,
    follow,
    record,
    said,
    send,
    status,
    suspension,
)
from tests.hub_services import services
from tests.worlds import World, keys, signed


async def test_claim_waits_for_both_officers_and_takes_its_part_along(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path) as hub:
        part = a_part("pe-csirt", "members", "192.0.2.0/24")
        made = claim(world, "pe-csirt", part)
        digest = made.hash(world.net)
        first = await send(hub, made, [part], by="pe-csirt")
        assert (first.outcome, first.until) == (PENDING, world.now + DAY_MS)
        assert await hub.registrar.parts(0) == []
    async with services(world, tmp_path, epoch="second") as hub:  # it waits over a restart
        halfway = await hub.pending.sign(digest, signed(made.body, ALBA).signatures, by=ALBA)
        assert said(hub, made, halfway).outcome == PENDING
        (waiting,) = await hub.pending.waiting()
        assert (waiting.statement.signers, waiting.since) == ((ALBA, "pe-csirt"), world.now)
        done = await hub.pending.sign(digest, signed(made.body, BRUNO).signatures, by=BRUNO)
        assert (said(hub, made, done).outcome, said(hub, made, done).index) == (LOGGED, 7)
        assert await hub.pending.waiting() == []
        assert [one.part for one in await hub.registrar.parts(0)] == [part]
        late = await hub.pending.sign(digest, signed(made.body, BRUNO).signatures, by=BRUNO)
        assert said(hub, made, late).outcome == LOGGED


async def test_who_is_to_sign_sees_what_the_statement_names(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path) as hub:
        part = a_part("pe-csirt", "members", "192.0.2.0/24")
        await send(hub, record(world, "pe-csirt", part), [part], by="pe-csirt")
        made = claim(world, "pe-csirt", part)  # the part is here already, and the record soon names another
        await send(hub, made, by="pe-csirt")
        (waiting,) = await hub.pending.waiting()
        shown = read_pending(waiting.to_json(), world.net)
        assert (shown.statement, shown.parts, shown.unseen) == (made, (part,), ())
        other = a_part("pe-csirt", "members", "another")
        await send(hub, record(world, "pe-csirt", other), [other], by="pe-csirt")
        assert [one.part for one in await hub.registrar.parts(0)] == [other]
        done = await hub.pending.sign(
            made.hash(world.net), signed(made.body, ALBA, BRUNO).signatures, by=ALBA
        )
        assert said(hub, made, done).outcome == LOGGED
        assert {one.part for one in await hub.registrar.parts(0)} == {other, part}


async def test_statement_brought_twice_has_all_its_signatures(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path) as hub:
        part = a_part("pe-csirt", "members", "192.0.2.0/24")
        made = claim(world, "pe-csirt", part)
        await send(hub, made, [part], by="pe-csirt")
        await send(hub, signed(made.body, ALBA), by=ALBA)
        (waiting,) = await hub.pending.waiting()
        assert waiting.statement.signers == (ALBA, "pe-csirt")
        assert waiting.parts == (part,)
        assert (await send(hub, signed(made.body, BRUNO), by=BRUNO)).outcome == LOGGED


async def test_signatures_that_dont_hold_or_dont_belong_change_nothing(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path) as hub:
        made = status(world, "co-csirt", Move.RESTRICT, ALBA)
        digest = made.hash(world.net)
        await send(hub, made, by=ALBA)
        forged = ((BRUNO, keys("pe-csirt").sign("statement", made.body)),)
        unknown = (("officer/zoe", forged[0][1]),)
        for signatures, code in (
            (forged, "directory.bad-signature"),
            (unknown, "directory.bad-signature"),
            (signed(made.body, "pe-csirt").signatures, "directory.not-own"),
        ):
            assert await code_of(hub.pending.sign(digest, signatures, by="pe-csirt")) == code
            (waiting,) = await hub.pending.waiting()
            assert waiting.statement == made
        assert await code_of(hub.pending.sign(bytes(32), (), by=ALBA)) == "pending.unknown"


async def test_what_more_signatures_cannot_mend_does_not_wait(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path) as hub:
        made = record(world, "pe-csirt", a_part("pe-csirt", "members", "x"))
        by_another = signed(made.body, "co-csirt")
        assert await code_of(hub.pending.submit(by_another, (), (), by="co-csirt")) == "directory.not-own"
        part = a_part("pe-csirt", "members", "192.0.2.0/24")
        made = claim(world, "pe-csirt", part)
        assert await code_of(hub.pending.submit(made, (), (), by="pe-csirt")) == "directory.bad-part"
        stranger = hub.pending.submit(made, (), (part,), by="")
        assert await code_of(stranger) == "directory.too-few-officers"
        assert await hub.pending.waiting() == []


async def test_one_submitter_cannot_fill_the_hub(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path) as hub:
        for number in range(MAX_OF_ONE):
            part = a_part("pe-csirt", "members", f"192.0.2.{number}")
            await send(hub, claim(world, "pe-csirt", part), [part], by="pe-csirt")
        part = a_part("pe-csirt", "members", "one too many")
        more = claim(world, "pe-csirt", part)
        assert await code_of(hub.pending.submit(more, (), (part,), by="pe-csirt")) == "pending.too-many"
        part = a_part("co-csirt", "members", "198.51.100.0/24")
        assert (await send(hub, claim(world, "co-csirt", part), [part], by="co-csirt")).outcome == PENDING


async def test_it_is_dropped_when_another_won_or_its_time_is_over(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path) as hub:
        parts = [a_part("pe-csirt", "members", text) for text in ("192.0.2.0/24", "198.51.100.0/24")]
        loser, winner = (claim(world, "pe-csirt", part) for part in parts)
        await send(hub, loser, [parts[0]], by="pe-csirt")
        await send(hub, signed(winner.body, "pe-csirt", ALBA, BRUNO), [parts[1]], by="pe-csirt")
        await hub.pending.look_again()
        assert await hub.pending.waiting() == []
        part = a_part("co-csirt", "members", "203.0.113.0/24")
        long = claim(world, "co-csirt", part, not_after=world.now + 300 * DAY_MS)
        assert (await send(hub, long, [part], by="co-csirt")).until == world.now + LIFE_MS
        world.advance(LIFE_MS)
        assert await hub.pending.waiting() == []
        await hub.mailboxes.expire_due()
        assert await hub.store.pending() == []


async def test_signature_of_a_key_that_was_rotated_out_is_dropped(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path) as hub:
        policy = build_policy(
            net=world.net,
            officers=2,
            sponsors=1,
            secretariat="",
            agreement=b"",
            after=bytes(32),
            not_after=world.now + DAY_MS,
        )
        await send(hub, signed(policy, "pe-csirt", ALBA), by="pe-csirt")
        rotated = build_rotate(
            net=world.net,
            handle="pe-csirt",
            keys=keys("next/pe-csirt").public,
            next_keys=keys("third/pe-csirt").public.next_commitment(world.net),
            after=world.directory.last_hash("pe-csirt", "identity"),
            not_after=world.now + DAY_MS,
        )
        rotation = Statement(rotated).with_signature("pe-csirt", keys("next/pe-csirt"))
        await send(hub, rotation, by="pe-csirt")
        await hub.pending.look_again()
        (waiting,) = await hub.pending.waiting()
        assert waiting.statement.signers == (ALBA,)


async def test_it_is_logged_when_fewer_signatures_are_enough_now(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path) as hub:
        part = a_part("pe-csirt", "members", "192.0.2.0/24")
        made = claim(world, "pe-csirt", part, "pe-csirt", ALBA)
        await send(hub, made, [part], by="pe-csirt")
        policy = build_policy(
            net=world.net,
            officers=1,
            sponsors=2,
            secretariat="",
            agreement=b"",
            after=bytes(32),
            not_after=world.now + DAY_MS,
        )
        await send(hub, signed(policy, ALBA, BRUNO, "pe-csirt", "co-csirt"), by=ALBA)
        await hub.pending.look_again()
        await follow(hub)
        assert world.directory.constituencies["pe-csirt"].part == part.hash(world.net)
        assert await hub.pending.waiting() == []


async def test_emergency_of_a_stranger_counts_and_never_waits(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path) as hub:
        assert (await send(hub, suspension(world, "co-csirt", ALBA), by="")).outcome == LOGGED
        assert world.directory.members["co-csirt"].suspension is not None
