"""Nobody gets in who doesn't belong: each stranger is refused by the real hub, or the real node, with its code."""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import orjson
import pytest

from exchange.canonical import b64, unb64
from exchange.directory.bodies_base import build_add
from exchange.directory.members import Member
from exchange.directory.statements import Statement
from exchange.errors import Unavailable
from exchange.header import parse_header
from exchange.invitation import Invitation
from exchange.keys import SEED_BYTES, PrivateKeys
from exchange.limits import DAY_MS
from exchange.node import app as node_app
from exchange.node.control import channel as control
from exchange.node.home import INVITATION
from exchange.protocol import (
    APPLICATIONS,
    CHECKPOINT,
    ENVELOPES,
    INVITATION_SCHEME,
    ITEM_DELIVERY,
    MAILBOX,
    MEMBER_SCHEME,
    PREKEYS,
    RECEIPTS,
    SOCKET,
    STATE,
    items,
)
from exchange.receipt import Leaf, make_batch
from exchange.storage.keystore import Keystore
from exchange.tls import ServerTls
from exchange.token import socket_message
from tests.trip.caller import now
from tests.trip.founding import STRANGER, Homes, invite, quiet_port
from tests.trip.insider import Insider
from tests.trip.network import Network, running
from tests.trip.processes import until

PAGE = f"{MAILBOX}?after=&wait=0&max=65536"

NO_KIDS = b'{"kids":[]}'


def keys_of_nobody() -> PrivateKeys:
    return PrivateKeys(os.urandom(SEED_BYTES))


@pytest.mark.parametrize(
    ("issuer", "code"), [("pe-csirt", "auth.bad-signature"), ("xx-csirt", "auth.unknown-issuer")]
)
async def test_key_of_a_stranger_is_refused(served: Network, issuer: str, code: str) -> None:
    async with served.calling(issuer, keys=keys_of_nobody()) as stranger:
        answer = await stranger.call("GET", PAGE)
        assert (answer.status, answer.code) == (401, code)


async def test_call_without_a_token_is_refused(served: Network) -> None:
    async with served.calling("pe-csirt") as pe:
        for target in (PAGE, STATE, CHECKPOINT, APPLICATIONS):
            answer = await pe.call("GET", target, authorization="")
            assert (answer.status, answer.code) == (401, "auth.missing"), target


async def test_socket_is_closed_on_a_stranger_s_answer(served: Network) -> None:
    async with (
        served.calling("pe-csirt", keys=keys_of_nobody()) as stranger,
        stranger.session.ws_connect(served.homes.origin + SOCKET) as socket,
    ):
        nonce = (await socket.receive_json())["nonce"]
        message = socket_message(stranger.net, stranger.origin, unb64(nonce, size=32))
        signature = b64(stranger.keys.sign_transport(message))
        await socket.send_json({"type": "auth", "iss": "pe-csirt", "signature": signature})
        assert (await socket.receive(timeout=10)).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == 4401


@pytest.mark.parametrize(
    ("method", "target", "body", "code"),
    [
        ("POST", PREKEYS, b'{"kids":[""]}', "auth.body-mismatch"),
        ("POST", RECEIPTS, NO_KIDS, "auth.wrong-request"),
        ("POST", f"{PREKEYS}?wait=60", NO_KIDS, "auth.wrong-request"),
        ("PUT", PREKEYS, NO_KIDS, "request.method"),
    ],
)
async def test_token_stolen_from_one_request_is_no_good_for_another(
    served: Network, method: str, target: str, body: bytes, code: str
) -> None:
    async with served.calling("pe-csirt") as pe:
        stolen = f"{MEMBER_SCHEME} {pe.token('POST', PREKEYS, NO_KIDS)}"
        assert (await pe.call("POST", PREKEYS, NO_KIDS, authorization=stolen)).status == 200
        answer = await pe.call(method, target, body, authorization=stolen)
        assert answer.code == code


async def test_token_stolen_from_one_query_is_no_good_for_another(served: Network) -> None:
    async with served.calling("pe-csirt") as pe:
        stolen = f"{MEMBER_SCHEME} {pe.token('GET', PAGE)}"
        answer = await pe.call("GET", PAGE.replace("65536", "65537"), authorization=stolen)
        assert (answer.status, answer.code) == (401, "auth.wrong-request")


async def test_token_for_another_hub_or_another_time_is_refused(served: Network) -> None:
    async with served.calling("pe-csirt") as pe:
        for changed, code in (
            (pe.token("GET", PAGE, origin="https://hub.example"), "auth.wrong-origin"),
            (pe.token("GET", PAGE, net=os.urandom(32)), "auth.other-network"),
            (pe.token("GET", PAGE, at=now() - DAY_MS), "auth.clock-skew"),
        ):
            answer = await pe.call("GET", PAGE, authorization=f"{MEMBER_SCHEME} {changed}")
            assert (answer.status, answer.code) == (401, code)
            assert abs(answer.json["now"] - now()) < 60_000


async def test_officer_s_token_is_forbidden_on_members_calls(served: Network) -> None:
    keys = served.homes.officers["alba"]
    async with served.calling("officer/alba", keys=keys) as officer:
        assert (await officer.call("GET", CHECKPOINT)).status == 200
        for method, target in (("GET", PAGE), ("GET", STATE), ("POST", RECEIPTS), ("POST", ENVELOPES)):
            answer = await officer.call(method, target)
            assert (answer.status, answer.code) == (403, "auth.forbidden"), target


async def test_expired_invitation_opens_nothing(served: Network) -> None:
    line = Invitation.from_line(invite(served.homes, STRANGER, at=now() - 2 * DAY_MS))
    async with served.calling("pe-csirt") as caller:
        answer = await caller.call("GET", CHECKPOINT, authorization=f"{INVITATION_SCHEME} {b64(line.token)}")
        assert (answer.status, answer.code) == (401, "auth.invitation-expired")


async def test_invitation_of_somebody_admitted_opens_no_mail_and_admits_nobody_again(served: Network) -> None:
    """It still shows the newcomer that it was admitted."""
    keys = keys_of_nobody()
    async with served.calling("pe-csirt") as caller:
        used = f"{INVITATION_SCHEME} {b64(served['pe-csirt'].home.keystore.get(INVITATION))}"
        statement = orjson.dumps(application(caller.net, "pe-csirt", "PE", keys).to_json())
        answer = await caller.call("POST", APPLICATIONS, statement, authorization=used)
        assert (answer.status, answer.code) == (409, "directory.handle-taken")
        for target in (PAGE, STATE):
            answer = await caller.call("GET", target, authorization=used)
            assert (answer.status, answer.code) == (403, "auth.forbidden")


def application(net: bytes, handle: str, country: str, keys: PrivateKeys) -> Statement:
    """An add statement with the newcomer's own signature."""
    member = Member(
        handle=handle,
        member_class="national_csirt",
        country=country,
        keys=keys.public,
        revoke=keys_of_nobody().public.signing,
        next=keys_of_nobody().public.next_commitment(net),
    )
    body = build_add(net=net, member=member, not_after=now() + DAY_MS)
    return Statement(body).with_signature(handle, keys)


@pytest.mark.parametrize(("handle", "country"), [("ar-csirt", "UY"), (STRANGER, "AR")])
async def test_invitation_of_one_is_no_good_for_another(served: Network, handle: str, country: str) -> None:
    invitation = Invitation.from_line(served.homes.invitation)
    statement = orjson.dumps(application(invitation.net, handle, country, keys_of_nobody()).to_json())
    async with served.calling("pe-csirt") as caller:
        token = f"{INVITATION_SCHEME} {b64(invitation.token)}"
        answer = await caller.call("POST", APPLICATIONS, statement, authorization=token)
        assert (answer.status, answer.code) == (403, "application.not-invited")
        mail = await caller.call("GET", PAGE, authorization=token)
        assert (mail.status, mail.code) == (403, "auth.forbidden")


async def test_member_that_is_no_recipient_gets_nothing_and_can_t_make_it_go_away(served: Network) -> None:
    async with (
        served.calling("pe-csirt") as pe,
        served.calling("bb-csirt") as bb,
        served.calling("co-csirt") as co,
    ):
        forged = await Insider(pe).forge("co-csirt", b"{}")
        assert (await Insider(pe).put(forged)).status == 201
        before = served.hub.holds.waiting("co-csirt")
        assert before >= 1

        page = await bb.call("GET", PAGE)
        deliveries = [item for item in items(page.body) if item.type == ITEM_DELIVERY]
        assert (page.status in (200, 204), deliveries) == (True, [])
        assert (await bb.call("GET", forged.target)).code == "request.method"
        stolen = f"{MEMBER_SCHEME} {co.token('GET', PAGE)}"
        assert (await bb.call("GET", PAGE + "&", authorization=stolen)).code == "auth.wrong-request"

        known = await Insider(bb).learn()
        dir_ref = known.checkpoint.ref(bb.net)
        lc = forged.upload[-parse_header(_header(forged.upload)).bl - 32 :][:32]
        for to, code in (("co-csirt", "receipt.wrong-signer"), ("bb-csirt", "")):
            leaf = Leaf(to, forged.env, lc, "stored", "", os.urandom(16))
            batch = make_batch(
                net=bb.net,
                signer="bb-csirt",
                keys=bb.keys,
                number=1_000 + len(to),
                dir_ref=dir_ref,
                at=now(),
                leaves=[leaf],
            )
            answer = await bb.call("POST", RECEIPTS, orjson.dumps(batch.upload()))
            assert answer.code == code
            if not code:
                assert answer.json == {"matched": 0, "no_match": 1}
        assert served.hub.holds.waiting("co-csirt") == before


def _header(upload: bytes) -> bytes:
    return upload[8 : 8 + int.from_bytes(upload[4:8], "big")]


async def test_member_can_t_send_as_another(served: Network) -> None:
    async with served.calling("pe-csirt") as pe, served.calling("bb-csirt") as bb:
        forged = await Insider(pe).forge("co-csirt", b"{}")
        answer = await bb.call("PUT", forged.target, forged.upload)
        assert (answer.status, answer.code) == (403, "envelope.not-sender")


async def test_message_of_another_network_is_refused(
    served: Network, other_homes: Homes, tmp_path: Path
) -> None:
    with running(other_homes, tmp_path / "other") as other:
        await other.hub.serve.up()
        async with other.calling("pe-csirt") as theirs, served.calling("pe-csirt") as ours:
            forged = await Insider(theirs).forge("co-csirt", b"{}")
            assert (await Insider(theirs).put(forged)).status == 201
            answer = await Insider(ours).put(forged)
            assert (answer.status, answer.code) == (400, "envelope.other-network")
            token = f"{MEMBER_SCHEME} {theirs.token('GET', PAGE)}"
            answer = await ours.call("GET", PAGE, authorization=token)
            assert (answer.status, answer.code) == (401, "auth.other-network")


@asynccontextmanager
async def pretending(port: int, tls: ssl.SSLContext) -> AsyncIterator[bytearray]:
    """A server on the hub's port with another certificate; what clients tell it after the handshake."""
    heard = bytearray()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(4_096):
            heard.extend(data)
        writer.close()

    async with await asyncio.start_server(listen, "127.0.0.1", port, ssl=tls):
        yield heard


def certificate(keystore: Path, homes: Homes, folder: Path, origin: str) -> ssl.SSLContext:
    """A server's context by the authority in a copy of `keystore`."""
    folder.mkdir()
    shutil.copy(keystore, folder / "keystore")
    tls = ServerTls(Keystore.open(folder / "keystore", homes.unlock()), [origin])
    tls.refresh(now=now())
    return tls.context


@pytest.mark.parametrize("fault", ["another authority", "another name"])
async def test_node_says_nothing_to_a_hub_with_a_wrong_certificate(
    homes: Homes, other_homes: Homes, tmp_path: Path, fault: str
) -> None:
    away = f"https://127.0.0.1:{homes.port}"  # the same name
    tls = (
        certificate(other_homes.hub / "keystore", other_homes, tmp_path / "tls", away)
        if fault == "another authority"
        else certificate(homes.hub / "keystore", homes, tmp_path / "tls", "https://hub.example")
    )
    with running(homes, tmp_path / "network") as network:
        pe = network["pe-csirt"]
        # the public port belongs to the hub of this file's other tests: this network has one of its own
        network_port = quiet_port()
        pe.reconfigure(hub=f"https://127.0.0.1:{network_port}")
        async with pretending(network_port, tls) as heard:
            async with node_app.running(pe.home, node_app.real_sources()) as node:
                with pytest.raises(Unavailable) as refused:
                    await node.sync.once()
                assert refused.value.code == "hub.certificate"
            await pe.serve.up()

            def problem() -> object:
                condition = control.ask(pe.path / "control.sock", "status")
                assert isinstance(condition, dict)
                return condition["problem"]

            await until(lambda: problem() == "hub.certificate", "the process says why it isn't connected")
            assert await pe.serve.stop() == 0
            assert heard == b""
