"""Statements over real TLS: with a token, without one, waiting for signatures; parts; applications and how they end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from exchange.canonical import Json, b64, text_b64, unframed
from exchange.directory.bodies_members import OWN, build_revoke, build_rotate
from exchange.directory.checkpoint import SignedCheckpoint
from exchange.directory.members import Move
from exchange.directory.statements import Statement, signatures_json
from exchange.directory.waiting import MAX_REASON, application_hash
from exchange.limits import DAY_MS
from exchange.protocol import PENDING, STATEMENTS, items
from tests.hub.statements import ALBA, BRUNO, a_part, claim, outcome, post, record, status, suspension, unit
from tests.hub_server import Answer, Hub, invite, running_hub
from tests.hub_services import chance
from tests.worlds import World, a_member, keys, signed

DOCUMENT = '{"legal_basis":"Decreto 1 de 2026","note":"ñ"}'.encode()


async def test_only_what_takes_trust_comes_without_a_token(world: World, tmp_path: Path) -> None:
    async with running_hub(world, tmp_path / "hub") as hub:
        prekeys = world.prekeys_statement("pe-csirt")
        refused = await post(hub, prekeys, issuer=None)
        assert (refused.status, refused.code) == (401, "auth.missing")
        unsigned = await post(hub, suspension(world, "co-csirt", "pe-csirt"), issuer=None)
        assert (unsigned.status, unsigned.code) == (403, "directory.not-own")
        assert (await hub.call("GET", PENDING, issuer=ALBA)).json == {"pending": []}
        told = await post(hub, suspension(world, "co-csirt", ALBA), issuer=None)
        assert outcome(world, told.json) == "logged"


async def test_member_that_has_revoked_its_key_brings_the_next_one_without_a_token(
    world: World, tmp_path: Path
) -> None:
    """Nothing that it could sign a token with counts any more; nobody else has the keys it committed to."""
    revoke = build_revoke(
        net=world.net,
        address="co-csirt",
        by=OWN,
        ground="stolen",
        skid=keys("co-csirt").public.signing.skid(world.net),
        since=world.now,
        not_after=world.now + DAY_MS,
    )
    rotate = build_rotate(
        net=world.net,
        handle="co-csirt",
        keys=keys("next/co-csirt").public,
        next_keys=keys("next/next/co-csirt").public.next_commitment(world.net),
        after=world.directory.last_hash("co-csirt", "identity"),
        not_after=world.now + DAY_MS,
    )
    by_next = Statement(rotate).with_signature("co-csirt", keys("next/co-csirt"))
    async with running_hub(world, tmp_path / "hub") as hub:
        assert outcome(world, (await post(hub, signed(revoke, "co-csirt"), issuer=None)).json) == "logged"
        assert (await post(hub, by_next, issuer="co-csirt")).code == "auth.unknown-issuer"
        assert outcome(world, (await post(hub, by_next, issuer=None)).json) == "logged"


async def test_strangers_statements_are_counted(world: World, tmp_path: Path) -> None:
    async with running_hub(world, tmp_path / "hub", limits={"strangers_per_second": 1}) as hub:
        statement = suspension(world, "co-csirt", "pe-csirt")
        found = [(await post(hub, statement, issuer=None)).code for _ in range(6)]
        assert found[0] == "directory.not-own"
        assert found[-1] == "rate.too-many"


async def test_statements_of_a_member_with_its_units_are_counted(world: World, tmp_path: Path) -> None:
    async with running_hub(world, tmp_path / "hub", limits={"statements_per_day": 3}) as hub:
        await post(hub, unit(world, "pe-csirt/tracing"))
        for issuer in ("pe-csirt", "pe-csirt/tracing"):
            part = a_part("pe-csirt", "members", "x")
            await post(hub, record(world, "pe-csirt", part), part, issuer=issuer)
        over = await post(hub, unit(world, "pe-csirt/authority"), issuer="pe-csirt/tracing")
        assert (over.status, over.code) == (429, "rate.too-many")
        assert over.json["retry_after"] > 3600
        part = a_part("co-csirt", "members", "x")
        assert (await post(hub, record(world, "co-csirt", part), part, issuer="co-csirt")).status == 200


async def test_hub_tells_the_time_when_nobody_speaks(world: World, tmp_path: Path) -> None:
    async with running_hub(world, tmp_path / "hub", limits={"expiry_seconds": 1}) as hub:
        await post(hub, suspension(world, "co-csirt", ALBA))
        (hello,) = items((await hub.call("GET", "/v1/mailbox")).body)
        world.advance(DAY_MS)
        news = await hub.call("GET", f"/v1/mailbox?after={hello.cursor}&wait=60")
        (item,) = items(news.body)
        told = SignedCheckpoint.from_json(orjson.loads(item.payload)).claim(world.net)
        assert told.size == world.directory.size + 1
        # its calls are its own again
        assert (await hub.call("GET", PENDING, issuer="co-csirt")).status == 200


async def test_waiting_statement_is_listed_signed_and_logged(world: World, tmp_path: Path) -> None:
    async with running_hub(world, tmp_path / "hub") as hub:
        part = a_part("pe-csirt", "members", "192.0.2.0/24")
        made = claim(world, "pe-csirt", part)
        assert outcome(world, (await post(hub, made, part)).json) == "pending"
        row = {**made.to_json(), "parts": [part.to_json()], "since": world.now, "until": world.now + DAY_MS}
        for issuer in (ALBA, "co-csirt"):
            assert (await hub.call("GET", PENDING, issuer=issuer)).json == {"pending": [row]}
        path = f"{PENDING}/{b64(made.hash(world.net))}/signatures"
        wrong = {"signatures": [[BRUNO, signatures_json(signed(made.body, ALBA).signatures)[0][1]]]}
        refused = await hub.call("POST", path, wrong, issuer=BRUNO)
        assert (refused.status, refused.code) == (403, "directory.bad-signature")
        said = []
        for officer in (ALBA, BRUNO):
            value = {"signatures": signatures_json(signed(made.body, officer).signatures)}
            said.append(outcome(world, (await hub.call("POST", path, value, issuer=officer)).json))
        assert said == ["pending", "logged"]
        unknown = await hub.call("POST", f"{PENDING}/{b64(bytes(32))}/signatures", value, issuer=ALBA)
        assert (unknown.status, unknown.code) == (404, "pending.unknown")
        page = await hub.call("GET", "/v1/parts?from=0", issuer="co-csirt")
        (item,) = unframed(page.body, most_items=10, most_bytes=2**20)
        assert orjson.loads(item) == {
            "n": 1,
            "address": "pe-csirt",
            "level": "members",
            "salt": b64(part.salt),
            "bytes": b64(part.body),
        }
        assert (await hub.call("GET", "/v1/parts?from=1", issuer="co-csirt")).body == b""
        assert (await hub.call("GET", "/v1/parts?from=0", issuer=ALBA)).code == "auth.forbidden"


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ("no list", "json.bad-schema"),
        ([["pe-csirt", "members", "", ""]] * 5, "json.bad-schema"),
        ([["pe-csirt", "members", b64(bytes(16))]], "json.bad-schema"),
        ([["pe-csirt", "members", b64(bytes(15)), ""]], "json.bad-schema"),
        ([["pe csirt", "members", b64(bytes(16)), ""]], "directory.bad-part"),
        ([["pe-csirt", "friends", b64(bytes(16)), ""]], "directory.bad-part"),
        ([["pe-csirt", "members", b64(bytes(16)), b64(bytes(131_073))]], "directory.bad-part"),
    ],
)
async def test_parts_out_of_form_are_refused(world: World, tmp_path: Path, parts: Json, code: str) -> None:
    async with running_hub(world, tmp_path / "hub") as hub:
        made = record(world, "pe-csirt", a_part("pe-csirt", "members", "x"))
        answer = await hub.call("POST", STATEMENTS, {**made.to_json(), "parts": parts})
        assert (answer.status, answer.code) == (400, code)


async def test_suspended_member_reads_and_speaks_of_itself_only(world: World, tmp_path: Path) -> None:
    async with running_hub(world, tmp_path / "hub") as hub:
        assert outcome(world, (await post(hub, suspension(world, "co-csirt", ALBA, BRUNO))).json) == "logged"
        for path in ("/v1/state", "/v1/mailbox", "/v1/parts?from=0", "/v1/directory/checkpoint", PENDING):
            assert (await hub.call("GET", path, issuer="co-csirt")).status == 200, path
        refused = await hub.call("GET", "/v1/applications", issuer="co-csirt")
        assert (refused.status, refused.code) == (403, "auth.forbidden")
        of_another = claim(world, "pe-csirt", a_part("pe-csirt", "members", "x"), "co-csirt")
        assert (await post(hub, of_another, issuer="co-csirt")).code == "auth.forbidden"
        leaving = status(world, "co-csirt", Move.LEAVE, "co-csirt", until=world.now + 7 * DAY_MS)
        assert outcome(world, (await post(hub, leaving, issuer="co-csirt")).json) == "logged"


async def test_removed_member_has_no_calls(world: World, tmp_path: Path) -> None:
    async with running_hub(world, tmp_path / "hub") as hub:
        await post(hub, status(world, "co-csirt", Move.REMOVE, ALBA, BRUNO))
        for path in ("/v1/state", "/v1/mailbox", "/v1/directory/checkpoint"):
            assert (await hub.call("GET", path, issuer="co-csirt")).status in (401, 403)


def application(world: World, document: bytes, salt: bytes, handle: str = "ar-csirt") -> Statement:
    """An add by the newcomer alone that names the document."""
    named = application_hash(world.net, salt, document)
    member = replace(a_member(handle, net=world.net), application=named)
    return signed(world.add_body(handle, member=member), handle)


async def apply(hub: Hub, authorization: str, made: Statement, document: bytes, salt: bytes) -> Answer:
    value = {**made.to_json(), "document": b64(document), "salt": b64(salt)}
    return await hub.call("POST", "/v1/applications", value, authorization=authorization)


async def listed(hub: Hub, **who) -> list:
    return (await hub.call("GET", "/v1/applications", **who)).json["applications"]


async def test_document_is_the_one_named_and_shown_to_those_who_decide(world: World, tmp_path: Path) -> None:
    async with running_hub(world, tmp_path / "hub") as hub:
        invitation, salt = invite(hub, "ar-csirt"), chance(16)
        made = application(world, DOCUMENT, salt)
        for document, other in ((b"", b""), (DOCUMENT + b" ", salt), (DOCUMENT, bytes(16))):
            refused = await apply(hub, invitation, made, document, other)
            assert (refused.status, refused.code) == (400, "application.bad-document")
        large = b"x" * 65_537
        refused = await apply(hub, invitation, application(world, large, salt), large, salt)
        assert refused.code == "application.bad-document"
        assert (await apply(hub, invitation, made, DOCUMENT, salt)).status == 202
        another = invite(hub, "cl-csirt", "CL")
        for who in ({"issuer": ALBA}, {"issuer": "pe-csirt"}, {"authorization": invitation}):
            (row,) = await listed(hub, **who)
            assert (row["document"], row["salt"], row["ended"]) == (b64(DOCUMENT), b64(salt), "")
            assert row["since"] == world.now
        assert await listed(hub, authorization=another) == []
        # once it is over the document is nowhere
        digest = b64(made.hash(world.net))
        for signer in (ALBA, BRUNO, "pe-csirt", "co-csirt"):
            value = {"statement": digest, "signatures": signatures_json(signed(made.body, signer).signatures)}
            await hub.call("POST", "/v1/applications/ar-csirt/signatures", value, issuer=signer)
        assert await listed(hub, issuer=ALBA) == []
    assert DOCUMENT not in contents(tmp_path / "hub")


def contents(home: Path) -> bytes:
    return b"".join(file.read_bytes() for file in home.glob("hub.db*"))


async def test_application_is_rejected_or_withdrawn_with_a_reason(world: World, tmp_path: Path) -> None:
    async with running_hub(world, tmp_path / "hub") as hub:
        salt, reason = chance(16), text_b64("El decreto está derogado")
        for handle, country in (("ar-csirt", "AR"), ("cl-csirt", "CL")):
            invitation = invite(hub, handle, country)
            made = application(world, DOCUMENT, salt, handle)
            await apply(hub, invitation, made, DOCUMENT, salt)
            path = f"/v1/applications/{handle}"
            how = {"issuer": ALBA} if handle == "ar-csirt" else {"authorization": invitation}
            for who in ({"issuer": "pe-csirt"}, {"authorization": invite(hub, "uy-csirt", "UY")}):
                forbidden = await hub.call("DELETE", path, {"reason": reason}, **who)
                assert forbidden.code == "auth.forbidden"
            long = await hub.call("DELETE", path, {"reason": text_b64("x" * (MAX_REASON + 1))}, **how)
            assert long.code == "json.bad-schema"
            for _ in range(2):
                assert (await hub.call("DELETE", path, {"reason": reason}, **how)).json == {}
            (row,) = await listed(hub, authorization=invitation)
            assert row["ended"] == ("rejected" if handle == "ar-csirt" else "withdrawn")
            assert (row["reason"], row["document"], row["salt"]) == (reason, "", "")
            assert await listed(hub, issuer=ALBA) == []
            again = await apply(hub, invitation, made, DOCUMENT, salt)
            assert (again.status, again.code) == (409, "application.ended")
            value = {
                "statement": b64(made.hash(world.net)),
                "signatures": signatures_json(signed(made.body, BRUNO).signatures),
            }
            late = await hub.call("POST", path + "/signatures", value, issuer=BRUNO)
            assert late.code == "application.ended"
        unknown = await hub.call("DELETE", "/v1/applications/uy-csirt", {"reason": ""}, issuer=ALBA)
        assert (unknown.status, unknown.code) == (404, "application.unknown")
        anew = invite(hub, "ar-csirt")
        made = application(world, DOCUMENT, salt)
        assert (await apply(hub, anew, made, DOCUMENT, salt)).status == 202
        assert [row["member"] for row in await listed(hub, issuer=ALBA)] == ["ar-csirt"]


async def test_operators_see_members_by_standing_and_what_waits(world: World, tmp_path: Path) -> None:
    async with running_hub(world, tmp_path / "hub") as hub:
        await post(hub, suspension(world, "co-csirt", ALBA, BRUNO))
        part = a_part("pe-csirt", "members", "192.0.2.0/24")
        await post(hub, claim(world, "pe-csirt", part), part)
        salt = chance(16)
        await apply(hub, invite(hub, "ar-csirt"), application(world, DOCUMENT, salt), DOCUMENT, salt)
        text = (await hub.call("GET", "/metrics", issuer=None)).body.decode()
        for line in (
            'exchange_hub_members{status="active"} 2.0',
            'exchange_hub_members{status="suspended"} 1.0',
            "exchange_hub_pending_statements 1.0",
            "exchange_hub_applications 1.0",
            "exchange_hub_term 0.0",
            "exchange_hub_checkpoint_size 8.0",
        ):
            assert line in text


async def test_new_transport_key_works_at_once_and_the_old_one_no_more(world: World, tmp_path: Path) -> None:
    async with running_hub(world, tmp_path / "hub") as hub:
        body = build_rotate(
            net=world.net,
            handle="co-csirt",
            keys=keys("next/co-csirt").public,
            next_keys=keys("third/co-csirt").public.next_commitment(world.net),
            after=world.directory.last_hash("co-csirt", "identity"),
            not_after=world.now + DAY_MS,
        )
        rotation = Statement(body).with_signature("co-csirt", keys("next/co-csirt"))
        assert outcome(world, (await post(hub, rotation, issuer="co-csirt")).json) == "logged"

        async def state(signer: str) -> Answer:
            token = hub.token("GET", "/v1/state", issuer="co-csirt", signer=signer)
            return await hub.call("GET", "/v1/state", authorization=f"Exchange {token}")

        assert (await state("next/co-csirt")).status == 200
        assert (await state("co-csirt")).code == "auth.bad-signature"
