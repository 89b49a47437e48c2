"""Long uploads in pieces over real TLS: what came stays through a cut, and is an envelope only once it is whole."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from exchange.canonical import b64
from exchange.directory.checkpoint import SignedCheckpoint
from exchange.hub.mailboxes import Answer
from exchange.hub.pieces import Pieces
from exchange.limits import PARTIAL_MS, PARTIAL_UPLOADS
from tests.hub_server import Answer as Response, Hub, running_hub
from tests.hub_services import sealed, services
from tests.worlds import World

STEP = 40_000


async def made(hub: Hub, **how: Any) -> Any:
    answer = await hub.call("GET", "/v1/directory/checkpoint")
    ref = SignedCheckpoint.from_json(answer.json).ref(hub.world.net)
    return sealed(hub.world, ref, payload=os.urandom(100_000), **how)


async def piece(
    hub: Hub, envelope: Any, start: int, *, issuer: str = "pe-csirt", data: bytes | None = None
) -> Response:
    upload = envelope.upload.to_bytes()
    target = f"/v1/envelopes/{b64(envelope.env)}/pieces?from={start}&size={len(upload)}"
    body = upload[start : start + STEP] if data is None else data
    return await hub.call("PUT", target, body, issuer=issuer)


async def asked(hub: Hub, envelope: Any) -> int:
    """How much the hub says it has."""
    answer = await piece(hub, envelope, 0, data=b"")
    assert answer.status == 202
    return int(answer.json["have"])


async def test_pieces_become_an_envelope_when_the_last_one_comes(world: World, tmp_path: Path) -> None:
    async with running_hub(world, tmp_path / "hub") as hub:
        envelope = await made(hub)
        assert (await piece(hub, envelope, 0)).json == {"have": STEP}
        for start in (0, 2 * STEP):  # come again, and come too early
            assert (await piece(hub, envelope, start)).json == {"have": STEP}
    async with running_hub(world, tmp_path / "hub") as hub:
        assert await asked(hub, envelope) == STEP
        assert (await piece(hub, envelope, STEP)).json == {"have": 2 * STEP}
        page = await hub.call("GET", "/v1/mailbox", issuer="co-csirt")
        assert envelope.upload.header not in page.body
        last = await piece(hub, envelope, 2 * STEP)
        assert last.status == 201
        assert len(last.json["receipts"]) == 1
        again = await piece(hub, envelope, 2 * STEP)
        assert again.status == 200
        assert again.json["receipts"] == last.json["receipts"]
        page = await hub.call("GET", "/v1/mailbox", issuer="co-csirt")
        assert envelope.upload.header in page.body
        other = await piece(hub, envelope, 0, issuer="bb-csirt")
        assert other.json == {"have": STEP}, "another member learns nothing of it"


async def test_what_is_refused_whole_is_dropped(world: World, tmp_path: Path) -> None:
    async with running_hub(world, tmp_path / "hub") as hub:
        envelope = await made(hub)
        upload = envelope.upload.to_bytes()
        await piece(hub, envelope, 0)
        await piece(hub, envelope, STEP)
        end = upload[2 * STEP :]
        refused = await piece(hub, envelope, 2 * STEP, data=end[:-1] + bytes([end[-1] ^ 1]))
        assert (refused.status, refused.code) == (400, "envelope.body-mismatch")
        assert await asked(hub, envelope) == 0


async def test_a_sender_has_few_at_once_and_none_for_ever(world: World, tmp_path: Path) -> None:
    async with running_hub(world, tmp_path / "hub") as hub:
        begun = [await made(hub) for _ in range(PARTIAL_UPLOADS + 1)]
        for envelope in begun:
            world.now += 1
            assert (await piece(hub, envelope, 0)).json == {"have": STEP}
        world.now += 1
        assert [await asked(hub, envelope) for envelope in begun[1:]] == [STEP] * PARTIAL_UPLOADS
        world.now += PARTIAL_MS
        assert await asked(hub, begun[1]) == 0


@pytest.mark.parametrize(
    "query", ["from=0", "from=-1&size=5", "from=0&size=13107201", "from=0&size=0", "size=5&x=1"]
)
async def test_query_says_where_and_how_much(query: str, world: World, tmp_path: Path) -> None:
    async with running_hub(world, tmp_path / "hub") as hub:
        answer = await hub.call("PUT", f"/v1/envelopes/{b64(bytes(32))}/pieces?{query}", b"12345")
        assert (answer.status, answer.code) == (400, "request.bad")


async def test_two_calls_that_finish_the_same_upload_both_hear_that_it_is_accepted(
    world: World, tmp_path: Path
) -> None:
    async with services(world, tmp_path) as hub:
        envelope = sealed(world, hub.registrar.dir_ref)
        upload = envelope.upload.to_bytes()
        size, pieces = len(upload), Pieces(hub.store, hub.mailboxes, lambda: world.now, lambda: 2**40, 0)
        assert await pieces.take("pe-csirt", envelope.env, start=0, size=size, data=upload) == size
        assert await pieces.take("pe-csirt", envelope.env, start=0, size=size, data=b"") == size
        for is_new in (True, False):
            answer = await pieces.join("pe-csirt", envelope.env, size=size)
            assert isinstance(answer, Answer)
            assert [(one.new, one.error) for one in answer.results] == [(is_new, None)]
            assert len(answer.proofs) == 1


async def test_pieces_go_in_time_also_when_nobody_brings_another(world: World, tmp_path: Path) -> None:
    def kept(connection: Connection) -> int:
        return int(connection.execute(text("SELECT count(*) FROM pieces")).scalar_one())

    async with services(world, tmp_path) as hub:
        await hub.store.add_piece("pe-csirt", bytes(32), size=9, start=0, data=b"abc", now=world.now)
        for counted in (1, 0):
            await hub.mailboxes.expire_due()
            assert await hub.store.db.read(kept) == counted
            world.advance(PARTIAL_MS)
