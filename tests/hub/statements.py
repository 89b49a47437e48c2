"""What the tests of statements at the hub share: statements about members, their parts, and following the hub's log."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from exchange.canonical import Json, b64, sha256, unframed
from exchange.directory.bodies_contacts import build_constituency, build_record, build_unit
from exchange.directory.bodies_members import build_status, build_suspend
from exchange.directory.contacts import Part
from exchange.directory.members import Move
from exchange.directory.statements import Statement
from exchange.directory.submission import SignedSubmission, Submission
from exchange.errors import ExchangeError
from exchange.limits import DAY_MS
from exchange.protocol import STATEMENTS
from tests.hub_server import Answer, Hub
from tests.hub_services import Services, chance
from tests.worlds import World, keys, signed

PAPER = sha256(b"the paper that says why")
ALBA, BRUNO = "officer/alba", "officer/bruno"


async def code_of(call) -> str:
    with pytest.raises(ExchangeError) as caught:
        await call
    return caught.value.code


async def send(hub: Services, statement: Statement, parts: Iterable[Part] = (), *, by: str) -> Submission:
    """Bring a statement to the hub; its verified answer."""
    answer = await hub.pending.submit(statement, (), tuple(parts), by=by)
    await follow(hub)
    return said(hub, statement, answer)


def said(hub: Services, statement: Statement, answer) -> Submission:
    world = hub.world
    return answer.verify(world.net, world.hub_keys.public.signing, statement=statement.hash(world.net))


def outcome(world: World, value: Json) -> str:
    """What the hub signed that it did, as it stands in an HTTP answer."""
    submission = SignedSubmission.from_json(value)
    digest = Submission.from_bytes(submission.body, world.net).statement
    return submission.verify(world.net, world.hub_keys.public.signing, statement=digest).outcome


async def follow(hub: Services) -> None:
    """Let the world know what the hub has logged."""
    for leaf in await hub.registrar.leaves(hub.world.directory.size):
        assert hub.world.append_leaf(leaf).effective


async def post(hub: Hub, statement: Statement, *parts: Part, issuer: str | None = "pe-csirt") -> Answer:
    """Send it, and let the world know what the hub has logged."""
    rows = [[part.address, part.level, b64(part.salt), b64(part.body)] for part in parts]
    answer = await hub.call("POST", STATEMENTS, {**statement.to_json(), "parts": rows}, issuer=issuer)
    if not answer.code:
        path = f"/v1/directory/leaves?from={hub.world.directory.size}"
        leaves = (await hub.call("GET", path, issuer=ALBA)).body
        for leaf in unframed(leaves, most_items=100, most_bytes=2**20):
            hub.world.append_leaf(leaf)
    return answer


def a_part(address: str, level: str, text: str) -> Part:
    return Part(address, level, chance(16), text.encode())


def record(world: World, handle: str, *parts: Part) -> Statement:
    body = build_record(
        net=world.net,
        handle=handle,
        parts={part.level: part.hash(world.net) for part in parts},
        after=world.directory.last_hash(handle, "record"),
        not_after=world.now + DAY_MS,
    )
    return signed(body, handle)


def claim(world: World, handle: str, part: Part, *signers: str, not_after: int | None = None) -> Statement:
    """A constituency of one entry: needs the member and the officers."""
    body = build_constituency(
        net=world.net,
        handle=handle,
        entries=1,
        part=part.hash(world.net),
        after=world.directory.last_hash(handle, "constituency"),
        not_after=world.now + DAY_MS if not_after is None else not_after,
    )
    return signed(body, *(signers or (handle,)))


def suspension(world: World, handle: str, *officers: str, days: int = 30) -> Statement:
    body = build_suspend(
        net=world.net,
        handle=handle,
        ground="incident",
        document=PAPER,
        until=world.now + days * DAY_MS,
        not_after=world.now + DAY_MS,
    )
    return signed(body, *officers)


def status(world: World, handle: str, move: Move, *signers: str, until: int = 0) -> Statement:
    member = world.directory.members[handle]
    names = member.suspension.named if move is Move.REINSTATE and member.suspension else b""
    body = build_status(
        net=world.net,
        handle=handle,
        move=move,
        ground="incident",
        document=PAPER,
        names=names,
        until=until,
        after=world.directory.last_hash(handle, "status"),
        not_after=world.now + DAY_MS,
    )
    return signed(body, *signers)


def unit(world: World, address: str) -> Statement:
    body = build_unit(
        net=world.net,
        address=address,
        kind="unit",
        keys=keys(address).public,
        after=world.directory.last_hash(address, "unit"),
        not_after=world.now + DAY_MS,
    )
    world.member_keys[address] = keys(address)
    return signed(body, address, address.partition("/")[0])
