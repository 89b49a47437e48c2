"""What an adversary, bad luck or an old copy can do to statements that wait at the hub: members, strangers, races."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from exchange.directory.bodies_members import build_revoke
from exchange.directory.bodies_network import build_policy
from exchange.directory.contacts import Part
from exchange.directory.members import Move
from exchange.directory.statements import Statement
from exchange.directory.submission import LOGGED, PENDING
from exchange.errors import ExchangeError
from exchange.hub.pending import MAX_OF_MEMBERS, MAX_OF_ONE, MAX_WAITING
from exchange.hub.registrar import MAX_PARTS_OF_ONE
from exchange.hub.store.pending import Waiting
from exchange.limits import DAY_MS
from exchange.settings import HubLimits
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
    unit,
)
from tests.hub_services import services
from tests.worlds import World, keys, signed

SETTLING = HubLimits(settle_seconds=30)


async def test_units_of_a_member_share_its_places(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path) as hub:
        await send(hub, unit(world, "pe-csirt/lab"), by="pe-csirt")
        for number in range(MAX_OF_ONE):
            part = a_part("pe-csirt", "members", f"192.0.2.{number}")
            await send(hub, claim(world, "pe-csirt", part), [part], by="pe-csirt/lab")
        part = a_part("pe-csirt", "members", "one too many")
        more = hub.pending.submit(claim(world, "pe-csirt", part), (), (part,), by="pe-csirt")
        assert await code_of(more) == "pending.too-many"
        for number in range(2):  # officers are no units of one another
            made = status(world, ("co-csirt", "bb-csirt")[number], Move.RESTRICT, (ALBA, BRUNO)[number])
            assert (await send(hub, made, by=(ALBA, BRUNO)[number])).outcome == PENDING


async def test_members_leave_room_for_officers(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path) as hub:
        for number in range(MAX_OF_MEMBERS):
            made = Statement(f"{number}".encode())
            waiting = Waiting(made, (), f"m{number // MAX_OF_ONE}", world.now, world.now + DAY_MS)
            await hub.store.put_pending(world.net, waiting)
        part = a_part("pe-csirt", "members", "192.0.2.0/24")
        full = hub.pending.submit(claim(world, "pe-csirt", part), (), (part,), by="pe-csirt")
        assert await code_of(full) == "pending.too-many"
        assert MAX_OF_MEMBERS < MAX_WAITING
        assert (await send(hub, status(world, "co-csirt", Move.RESTRICT, ALBA), by=ALBA)).outcome == PENDING


async def test_nobody_fills_a_statement_with_signatures_that_have_no_say(
    world: World, tmp_path: Path
) -> None:
    async with services(world, tmp_path) as hub:
        await send(hub, unit(world, "co-csirt/lab"), by="co-csirt")
        part = a_part("pe-csirt", "members", "192.0.2.0/24")
        made = claim(world, "pe-csirt", part)
        await send(hub, made, [part], by="pe-csirt")
        digest = made.hash(world.net)
        for stranger in ("co-csirt", "co-csirt/lab"):
            more = signed(made.body, stranger).signatures
            assert await code_of(hub.pending.sign(digest, more, by=stranger)) == "directory.not-own"
        (waiting,) = await hub.pending.waiting()
        assert waiting.statement.signers == ("pe-csirt",)
        crowded = signed(status(world, "bb-csirt", Move.RESTRICT, ALBA).body, ALBA, "co-csirt/lab")
        assert await code_of(hub.pending.submit(crowded, (), (), by=ALBA)) == "directory.not-own"
        whole = signed(made.body, "pe-csirt", ALBA, BRUNO, "co-csirt/lab")  # ... nor for ever into the log
        with pytest.raises(ExchangeError, match=r"directory\.not-own"):
            await hub.registrar.submit(whole, (), (part,))


async def test_same_signature_again_costs_nothing_and_changes_nothing(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path) as hub:
        made = status(world, "co-csirt", Move.RESTRICT, ALBA)
        await send(hub, made, by=ALBA)
        again = await hub.pending.sign(made.hash(world.net), made.signatures, by=ALBA)
        assert said(hub, made, again).outcome == PENDING
        (waiting,) = await hub.pending.waiting()
        assert waiting.statement == made


async def queued(lock: asyncio.Lock, many: int) -> None:
    """Until so many wait for the lock."""
    while len(lock._waiters or ()) < many:  # noqa: ASYNC110 - a lock tells nobody
        await asyncio.sleep(0)


async def test_what_loses_a_race_while_the_hub_looks_again_is_dropped_and_the_hub_goes_on(
    world: World, tmp_path: Path
) -> None:
    async with services(world, tmp_path) as hub:
        loser, winner = (a_part("pe-csirt", "members", text) for text in ("192.0.2.0/24", "198.51.100.0/24"))
        await hub.store.put_pending(
            world.net,
            Waiting(
                claim(world, "pe-csirt", loser, "pe-csirt", ALBA, BRUNO),
                (loser,),
                "pe-csirt",
                world.now,
                world.now + DAY_MS,
            ),
        )
        lock = hub.registrar._lock
        await lock.acquire()
        first = asyncio.create_task(
            hub.registrar.submit(claim(world, "pe-csirt", winner, "pe-csirt", ALBA, BRUNO), (), (winner,))
        )
        await queued(lock, 1)
        looking = asyncio.create_task(hub.pending.look_again())
        await queued(lock, 2)  # it has judged the other one good, and waits to log it
        lock.release()
        await first
        await looking
        assert await hub.pending.waiting() == []
        await follow(hub)
        assert world.directory.constituencies["pe-csirt"].part == winner.hash(world.net)


def revocation(world: World, ground: str = "stolen") -> Statement:
    body = build_revoke(
        net=world.net,
        address="co-csirt",
        by="own",
        ground=ground,
        skid=keys("co-csirt").public.signing.skid(world.net),
        since=world.now,
        not_after=world.now + DAY_MS,
    )
    return signed(body, "co-csirt")


@pytest.mark.parametrize("by", ["", "bb-csirt"])
async def test_bad_news_is_kept_while_the_hub_is_read_only_and_logged_when_it_opens(
    world: World, tmp_path: Path, by: str
) -> None:
    made = revocation(world)
    async with services(world, tmp_path, limits=SETTLING) as hub:
        assert hub.registrar.read_only
        assert (await send(hub, made, by=by)).outcome == PENDING
        await hub.pending.look_again()
        assert [one.statement for one in await hub.pending.waiting()] == [made]
    async with services(world, tmp_path, limits=SETTLING, epoch="second") as hub:  # killed before it opened
        world.advance(31_000)
        await hub.pending.look_again()
        await follow(hub)
        assert world.directory.took_effect(made.hash(world.net))
        assert await hub.pending.waiting() == []


async def test_what_has_not_taken_trust_from_anybody_comes_again_later(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path, limits=SETTLING) as hub:
        forged = Statement(revocation(world).body).with_signature("co-csirt", keys("pe-csirt"))
        made = record(world, "pe-csirt")
        for statement, by in (
            (forged, ""),
            (made, "pe-csirt"),
            (status(world, "co-csirt", Move.RESTRICT, ALBA), ALBA),
        ):
            assert await code_of(hub.pending.submit(statement, (), (), by=by)) == "directory.read-only"
        assert await hub.pending.waiting() == []


async def test_signature_that_was_still_missing_is_kept_while_the_hub_is_read_only(
    world: World, tmp_path: Path
) -> None:
    made = status(world, "co-csirt", Move.RESTRICT, ALBA)
    async with services(world, tmp_path) as hub:
        await send(hub, made, by=ALBA)
    async with services(world, tmp_path, limits=SETTLING, epoch="second") as hub:
        last = signed(made.body, BRUNO).signatures
        assert (
            said(hub, made, await hub.pending.sign(made.hash(world.net), last, by=BRUNO)).outcome == PENDING
        )
        world.advance(31_000)
        await hub.pending.look_again()
        await follow(hub)
        assert world.directory.took_effect(made.hash(world.net))


async def test_one_member_cannot_fill_the_hub_with_parts(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path) as hub:
        big = Part("pe-csirt/x", "members", bytes(16), b"x" * 131_072)
        for number in range(MAX_PARTS_OF_ONE // len(big.body)):
            await hub.store.put_parts({number.to_bytes(32, "big"): big})
        part = a_part("pe-csirt", "members", "one more")
        full = hub.registrar.submit(record(world, "pe-csirt", part), (), (part,))
        assert await code_of(full) == "quota.exceeded"
        other = a_part("co-csirt", "members", "another member's")
        assert (await send(hub, record(world, "co-csirt", other), [other], by="co-csirt")).outcome == LOGGED


async def test_nothing_is_signed_for_a_stranger_who_brings_no_signature(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path) as hub:
        body = suspension(world, "co-csirt").body.replace(b'"after":"AAAA', b'"after":"BAAA')
        with pytest.raises(ExchangeError, match=r"directory\.stale") as caught:
            await hub.pending.submit(Statement(body), (), (), by="")
        assert "submission" not in caught.value.facts


async def test_suspended_member_has_its_say_about_policy(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path) as hub:
        await send(hub, suspension(world, "co-csirt", ALBA, BRUNO), by=ALBA)
        body = build_policy(
            net=world.net,
            officers=2,
            sponsors=1,
            secretariat="",
            agreement=b"",
            after=bytes(32),
            not_after=world.now + DAY_MS,
        )
        made = signed(body, ALBA, BRUNO, "pe-csirt")
        assert (await send(hub, made, by=ALBA)).outcome == PENDING
        last = signed(body, "co-csirt").signatures
        done = await hub.pending.sign(made.hash(world.net), last, by="co-csirt")
        assert said(hub, made, done).outcome == LOGGED
