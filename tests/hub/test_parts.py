"""Parts beside the log at the hub: taken with the statement that names them, handed out, erased with the next."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from exchange.directory.bodies_contacts import build_contact, build_contact_end
from exchange.directory.contacts import Part
from exchange.directory.members import Move
from exchange.directory.statements import Statement
from exchange.directory.submission import LOGGED
from exchange.hub.store.directory import Application
from exchange.hub.store.store import HubStore
from exchange.limits import DAY_MS
from tests.hub.statements import ALBA, BRUNO, PAPER, a_part, code_of, record, send, status
from tests.hub_services import services, write_log
from tests.worlds import World, signed

PHONE = "+51 1 555 0199"


def contact(world: World, *parts: Part, address: str = "pe-csirt/tracing") -> Statement:
    """A contact point that the officers nominate, for there is no nominating authority."""
    body = build_contact(
        net=world.net,
        address=address,
        function="operational_tracing",
        community="csirt",
        topics=["tracing"],
        parts={part.level: part.hash(world.net) for part in parts},
        after=world.directory.last_hash(address, "contact"),
        not_after=world.now + DAY_MS,
        nomination=PAPER,
    )
    return signed(body, "pe-csirt", ALBA, BRUNO)


def contents(home: Path) -> bytes:
    """Everything in the hub's files."""
    return b"".join(file.read_bytes() for file in home.glob("hub.db*"))


async def test_parts_come_with_what_names_them_and_are_handed_out_in_order(
    world: World, tmp_path: Path
) -> None:
    async with services(world, tmp_path) as hub:
        public, members = a_part("pe-csirt", "public", "CSIRT of Peru"), a_part("pe-csirt", "members", PHONE)
        await send(hub, record(world, "pe-csirt", members, public), [members, public], by="pe-csirt")
        other = a_part("co-csirt", "public", "CSIRT of Colombia")
        await send(hub, record(world, "co-csirt", other), [other], by="co-csirt")
        found = await hub.registrar.parts(0)
        assert [one.part for one in found] == [members, public, other]
        assert [one.part for one in await hub.registrar.parts(found[1].n)] == [other]
        assert await code_of(hub.registrar.parts(2**53)) == "request.bad"


async def test_only_parts_that_the_statement_names_for_the_hub_are_taken(
    world: World, tmp_path: Path
) -> None:
    async with services(world, tmp_path) as hub:
        mine, secret = a_part("pe-csirt", "members", "x"), a_part("pe-csirt", "holders", PHONE)
        made = record(world, "pe-csirt", mine, secret)
        changed = Part(mine.address, mine.level, mine.salt, b"y")
        relabelled = Part(secret.address, "members", secret.salt, secret.body)
        for wrong in (
            [],
            [changed],
            [mine, secret],
            [mine, relabelled],
            [a_part("co-csirt", "members", "x")],
        ):
            assert await code_of(hub.pending.submit(made, (), wrong, by="pe-csirt")) == "directory.bad-part"
        assert (await send(hub, made, [mine], by="pe-csirt")).outcome == LOGGED
        assert [one.part for one in await hub.registrar.parts(0)] == [mine]
        again = record(world, "pe-csirt", mine)  # the same part under a newer statement is here already
        assert (await send(hub, again, by="pe-csirt")).outcome == LOGGED


async def test_what_nothing_names_any_more_is_in_no_file(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path) as hub:
        first = a_part("pe-csirt", "members", f"old {PHONE}")
        await send(hub, record(world, "pe-csirt", first), [first], by="pe-csirt")
        kept = a_part("pe-csirt", "members", "new number")
        await send(hub, record(world, "pe-csirt", kept), [kept], by="pe-csirt")
        for number in range(40):  # enough for the table to grow over pages and shrink again
            part = a_part("pe-csirt/tracing", "members", f"{number} {PHONE} " + "x" * 900 * (number % 5))
            await send(hub, contact(world, part), [part], by="pe-csirt")
        end = build_contact_end(
            net=world.net,
            address="pe-csirt/tracing",
            after=world.directory.last_hash("pe-csirt/tracing", "contact"),
            not_after=world.now + DAY_MS,
        )
        await send(hub, signed(end, "pe-csirt"), by="pe-csirt")
        assert [one.part for one in await hub.registrar.parts(0)] == [kept]
        held = contents(tmp_path)
        assert PHONE.encode() not in held
        assert first.salt not in held
        assert kept.salt in held


async def test_removed_member_leaves_no_part_behind(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path) as hub:
        part, stays = a_part("pe-csirt", "members", PHONE), a_part("co-csirt", "members", "Bogota")
        await send(hub, record(world, "pe-csirt", part), [part], by="pe-csirt")
        await send(hub, record(world, "co-csirt", stays), [stays], by="co-csirt")
        await send(hub, status(world, "pe-csirt", Move.REMOVE, ALBA, BRUNO), by=ALBA)
        assert [one.part for one in await hub.registrar.parts(0)] == [stays]
        assert PHONE.encode() not in contents(tmp_path)


async def test_owner_gives_a_restored_hub_its_parts_back(world: World, tmp_path: Path) -> None:
    lived, restored = tmp_path / "lived", tmp_path / "restored"
    lived.mkdir()
    restored.mkdir()
    part, older = a_part("pe-csirt", "members", PHONE), a_part("pe-csirt", "members", "older")
    async with services(world, lived) as hub:
        outdated = record(world, "pe-csirt", older)
        await send(hub, outdated, [older], by="pe-csirt")
        made = record(world, "pe-csirt", part)
        await send(hub, made, [part], by="pe-csirt")
    async with services(world, restored, epoch="second") as hub:  # the log is back, what lay beside it isn't
        assert await hub.registrar.parts(0) == []
        assert (await send(hub, outdated, [older], by="pe-csirt")).outcome == LOGGED
        assert await hub.registrar.parts(0) == []
        assert (await send(hub, made, [part], by="pe-csirt")).outcome == LOGGED
        assert [one.part for one in await hub.registrar.parts(0)] == [part]


async def test_start_erases_the_application_of_who_is_a_member_by_now(world: World, tmp_path: Path) -> None:
    made = signed(world.add_body("uy-csirt"), "uy-csirt")
    late = Application(
        "uy-csirt", made, world.now, world.now + DAY_MS, document=PHONE.encode(), salt=bytes(16)
    )
    store = HubStore.open(tmp_path)
    write_log(store, world)
    await store.put_application(replace(late, member="pe-csirt"))  # as an old copy of the hub has it
    await store.put_application(late)
    await store.close()
    async with services(world, tmp_path) as hub:
        assert [one.member for one in await hub.applications.waiting()] == ["uy-csirt"]


async def test_start_erases_what_the_log_does_not_name(world: World, tmp_path: Path) -> None:

    part = a_part("pe-csirt", "members", PHONE)
    store = HubStore.open(tmp_path)
    write_log(store, world)
    store.put_parts_sync({part.hash(world.net): part})
    store.close_sync()
    async with services(world, tmp_path) as hub:
        assert await hub.registrar.parts(0) == []
