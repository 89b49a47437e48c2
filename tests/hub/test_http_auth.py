"""Who gets in: every refusal of docs/protocol.md §10 over real TLS, each with its code."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from exchange.canonical import b64
from exchange.limits import DAY_MS, HOUR_MS
from tests.hub.statements import outcome
from tests.hub_server import Hub, invite, running_hub
from tests.worlds import World, a_member, signed

STATE = "/v1/state"

ATTACKS: dict[str, tuple[str, Callable[[Hub], str]]] = {
    "no token": ("auth.missing", lambda hub: ""),
    "another scheme": ("auth.missing", lambda hub: "Bearer " + hub.token("GET", STATE)),
    "garbage": ("auth.bad-token", lambda hub: "Exchange a.b.c"),
    "too long": ("auth.bad-token", lambda hub: "Exchange " + "a" * 3000),
    "changed claims": (
        "auth.bad-token",
        lambda hub: "Exchange " + hub.token("GET", STATE).replace(".", "._", 1),
    ),
    "a stranger": (
        "auth.unknown-issuer",
        lambda hub: "Exchange " + hub.token("GET", STATE, issuer="zz-csirt"),
    ),
    "the hub's name": (
        "auth.unknown-issuer",
        lambda hub: "Exchange " + hub.token("GET", STATE, issuer="hub"),
    ),
    "a stranger's key": (
        "auth.bad-signature",
        lambda hub: "Exchange " + hub.token("GET", STATE, signer="zz-csirt"),
    ),
    "another member's key": (
        "auth.bad-signature",
        lambda hub: "Exchange " + hub.token("GET", STATE, signer="co-csirt"),
    ),
    "another network": (
        "auth.other-network",
        lambda hub: "Exchange " + hub.token("GET", STATE, net=bytes(32)),
    ),
    "another hub": (
        "auth.wrong-origin",
        lambda hub: "Exchange " + hub.token("GET", STATE, origin="https://hub.example"),
    ),
    "stolen for another path": (
        "auth.wrong-request",
        lambda hub: "Exchange " + hub.token("GET", "/v1/mailbox"),
    ),
    "stolen for another query": (
        "auth.wrong-request",
        lambda hub: "Exchange " + hub.token("GET", STATE + "?a=1"),
    ),
    "stolen for another method": ("auth.wrong-request", lambda hub: "Exchange " + hub.token("PUT", STATE)),
    "for a body": ("auth.body-mismatch", lambda hub: "Exchange " + hub.token("GET", STATE, b"body")),
    "an officer": (
        "auth.forbidden",
        lambda hub: "Exchange " + hub.token("GET", STATE, issuer="officer/alba"),
    ),
    "an unknown invitation": ("auth.bad-invitation", lambda hub: "Invitation " + b64(bytes(32))),
    "half an invitation": ("auth.bad-invitation", lambda hub: "Invitation " + b64(bytes(31))),
}


@pytest.mark.parametrize("name", ATTACKS)
async def test_caller_without_right_is_refused_with_its_code(name: str, world: World, tmp_path: Path) -> None:
    code, authorization = ATTACKS[name]
    async with running_hub(world, tmp_path / "hub") as hub:
        answer = await hub.call("GET", STATE, authorization=authorization(hub))
        assert answer.code == code
        assert answer.status == (403 if code == "auth.forbidden" else 401)
        assert (await hub.call("GET", STATE)).status == 200


async def test_token_of_one_body_carries_no_other(world: World, tmp_path: Path) -> None:
    async with running_hub(world, tmp_path / "hub") as hub:
        stolen = "Exchange " + hub.token("POST", "/v1/prekeys/query", b'{"kids":[]}')
        other = await hub.call("POST", "/v1/prekeys/query", b'{"kids": []}', authorization=stolen)
        assert (other.status, other.code) == (401, "auth.body-mismatch")
        again = await hub.call("POST", "/v1/prekeys/query", b'{"kids":[]}', authorization=stolen)
        assert again.status == 200  # every call is idempotent: the same request again is no harm


@pytest.mark.parametrize("offset", [-2 * HOUR_MS, -301_000, 61_000, 2 * HOUR_MS])
async def test_clock_apart_is_told_the_hubs_time(offset: int, world: World, tmp_path: Path) -> None:
    async with running_hub(world, tmp_path / "hub") as hub:
        token = "Exchange " + hub.token("GET", STATE, now=world.now + offset)
        answer = await hub.call("GET", STATE, authorization=token)
        assert (answer.status, answer.code) == (401, "auth.clock-skew")
        assert answer.json["now"] == world.now
        assert answer.json["type"] == "urn:exchange:auth.clock-skew"


async def test_answers_of_one_member_are_never_anothers(world: World, tmp_path: Path) -> None:
    """A mailbox has no name in its path: whose it is, the token says."""
    async with running_hub(world, tmp_path / "hub") as hub:
        for path in ("/v1/mailbox?address=co-csirt", "/v1/mailbox?after=&after=", "/v1/mailbox?wait=61"):
            answer = await hub.call("GET", path)
            assert (answer.status, answer.code) == (400, "request.bad")
        assert (await hub.call("GET", STATE, issuer="co-csirt")).json["address"] == "co-csirt"


async def test_client_refuses_a_hub_with_another_authority(world: World, tmp_path: Path) -> None:
    async with running_hub(world, tmp_path / "hub") as hub, running_hub(world, tmp_path / "other") as other:
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await replace(hub, context=other.context).call("GET", STATE)
        plain = ssl.create_default_context()
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await replace(hub, context=plain).call("GET", STATE)


async def test_invitation_opens_only_what_a_newcomer_needs(world: World, tmp_path: Path) -> None:
    async with running_hub(world, tmp_path / "hub") as hub:
        authorization = invite(hub, "ar-csirt")
        for path in ("/v1/directory/checkpoint", "/v1/directory/leaves?from=0", "/v1/applications"):
            assert (await hub.call("GET", path, authorization=authorization)).status == 200
        for path in (STATE, "/v1/mailbox"):
            assert (await hub.call("GET", path, authorization=authorization)).code == "auth.forbidden"
        world.advance(DAY_MS)
        late = await hub.call("GET", "/v1/directory/checkpoint", authorization=authorization)
        assert (late.status, late.code) == (401, "auth.invitation-expired")


async def test_newcomer_joins_by_invitation_sponsors_and_officers(world: World, tmp_path: Path) -> None:
    async with running_hub(world, tmp_path / "hub") as hub:
        authorization = invite(hub, "ar-csirt")
        body = world.add_body("ar-csirt")

        async def apply(statement) -> tuple[int, str]:
            answer = await hub.call(
                "POST", "/v1/applications", statement.to_json(), authorization=authorization
            )
            return answer.status, answer.code

        assert await apply(signed(body)) == (403, "directory.no-possession")
        assert await apply(signed(world.add_body("cl-csirt"), "cl-csirt")) == (403, "application.not-invited")
        other = world.add_body("ar-csirt", member=a_member("ar-csirt", country="CL"))
        assert await apply(signed(other, "ar-csirt")) == (403, "application.not-invited")
        application = signed(body, "ar-csirt")
        assert await apply(application) == (202, "")
        digest = application.hash(world.net)

        async def sign(signer: str, by: str, statement: bytes = digest, path: str = "ar-csirt"):
            ((_, signature),) = signed(body, by).signatures
            value = {"statement": b64(statement), "signatures": [[signer, b64(signature)]]}
            return await hub.call("POST", f"/v1/applications/{path}/signatures", value, issuer=by)

        listed = (await hub.call("GET", "/v1/applications", issuer="officer/alba")).json["applications"]
        assert [one["member"] for one in listed] == ["ar-csirt"]
        assert (await sign("pe-csirt", "co-csirt")).code == "directory.bad-signature"
        assert (await sign("zz-csirt", "co-csirt")).code == "directory.bad-signature"
        assert (await sign("pe-csirt", "pe-csirt", statement=bytes(32))).code == "application.unknown"
        assert (await sign("pe-csirt", "pe-csirt", path="cl-csirt")).code == "application.unknown"
        for signer in ("pe-csirt", "officer/alba", "co-csirt"):
            answer = await sign(signer, signer)
            assert outcome(world, answer.json) == "pending"
        assert outcome(world, (await sign("officer/bruno", "officer/bruno")).json) == "logged"
        assert outcome(world, (await sign("officer/bruno", "officer/bruno")).json) == "logged"  # a repeat
        assert (await hub.call("GET", "/v1/applications", issuer="pe-csirt")).json == {"applications": []}
        assert (await hub.call("GET", STATE, issuer="ar-csirt")).status == 200
        # the newcomer still waits with its invitation: it reads that it was admitted, and can't apply as another
        assert (await hub.call("GET", "/v1/directory/checkpoint", authorization=authorization)).status == 200
        assert (
            outcome(
                world,
                (
                    await hub.call(
                        "POST", "/v1/applications", application.to_json(), authorization=authorization
                    )
                ).json,
            )
            == "logged"
        )
        world.advance(1)
        assert await apply(signed(world.add_body("ar-csirt"), "ar-csirt")) == (409, "directory.handle-taken")


@pytest.mark.parametrize(("named", "status"), [([], 403), (["127.0.0.1"], 200)])
async def test_metrics_behind_a_proxy_on_the_same_machine_are_not_everybodys(
    world: World, tmp_path: Path, named: list[str], status: int
) -> None:
    """There TLS ends at the proxy, and every stranger's request comes from loopback."""
    async with (
        running_hub(world, tmp_path / "hub", tls=False, metrics_from=named) as hub,
        aiohttp.ClientSession() as caller,
        caller.get(f"http://127.0.0.1:{hub.port}/metrics") as answer,
    ):
        assert answer.status == status
