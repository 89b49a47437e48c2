"""Our hub's side of `publish`: light clients that open nothing, store nothing, and return signed batches of receipts.

Owns what a member's light client says to the real hub: docs/protocol.md §7, §10, §11.8-9, §11.11, and nothing else.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp
import orjson

from bench._founded_hub import Founded, found, keys, serving
from bench._publish_meter import Meter, Stored
from bench._publish_socket import TEXT, LightSocket, connect
from exchange import merkle
from exchange.canonical import b64, dumps, framed, h, sha256, unb64
from exchange.content import Meta, pack_content
from exchange.directory.checkpoint import SignedCheckpoint
from exchange.directory.state import Directory
from exchange.envelope import Recipient, seal
from exchange.header import SUITE, DirRef
from exchange.hub.store.store import HubStore
from exchange.keys import PREKEY_SECRET_BYTES, RECEIPTS, SIGNATURE_BYTES, PrekeySecret
from exchange.limits import DAY_MS, MAX_RECEIPT_LEAVES
from exchange.link import Link
from exchange.protocol import (
    BINARY,
    CHECKPOINT,
    ENVELOPES,
    ITEM_DELIVERY,
    JSON,
    MEMBER_SCHEME,
    RECEIPTS as RECEIPTS_PATH,
    SOCKET,
    items,
)
from exchange.receipt import SALT_BYTES, STORED, Batch
from exchange.token import make_token, socket_message
from exchange.wire import LC_BYTES, WRAP_BYTES

ROUND_SECONDS: Final = 300.0


@dataclass(frozen=True)
class Prepared:
    """A founded network and what its first member will send to all others: (env, upload), sealed.

    `delivery`: bytes of the copy that one recipient gets.
    """

    hub: Founded
    dir: DirRef
    envelopes: Sequence[tuple[bytes, bytes]]
    delivery: int


def prepare(folder: Path, *, recipients: int, messages: int, payload: int) -> Prepared:
    """Found the network in `folder`, let its hub sign a checkpoint, seal that many bundles of `payload` bytes."""
    hub = found(folder, recipients + 1)
    with serving(hub):
        dir_ref = asyncio.run(_newest_checkpoint(hub))
    store = HubStore.open(hub.home)
    try:
        directory = Directory.replay(store.load_leaves_sync(), now=None)
    finally:
        store.close_sync()
    now = time.time_ns() // 1_000_000
    sender, *others = hub.members
    # to one key: the hub can't tell, and only a recipient could
    prekey = PrekeySecret(os.urandom(PREKEY_SECRET_BYTES)).public
    kids = {address: directory.prekey_for(address, now).kid for address in others}
    envelopes, delivery = [], 0
    for number in range(messages):
        name = f"00000000-0000-4000-8000-{number:012}"
        meta = Meta(type="status", id=name, lane="routine", created=now, expires=now + DAY_MS, reseal_of=None)
        one = seal(
            net=hub.net,
            sender=sender,
            keys=keys(sender),
            content=pack_content(meta, bundle(payload)),
            lane="routine",
            compress=True,
            recipients=[
                Recipient(address, kids[address], prekey, Link(os.urandom(16), 1, bytes(32)))
                for address in others
            ],
            dir_ref=dir_ref,
            iat=now,
            exp=now + DAY_MS,
            random=os.urandom,
        )
        envelopes.append((one.env, one.upload.to_bytes()))
        delivery = len(one.upload.delivery(0).to_bytes())
    return Prepared(hub, dir_ref, envelopes, delivery)


def bundle(size: int) -> bytes:
    """Indicators as STIX 2.1 spells them, `size` bytes: they deflate to a fifth, as published files of that size do."""
    objects = []
    while len(data := orjson.dumps({"type": "bundle", "id": _id("bundle"), "objects": objects})) < size:
        file, address = os.urandom(32).hex(), ".".join(map(str, os.urandom(4)))
        objects.append(
            {
                "type": "indicator",
                "spec_version": "2.1",
                "id": _id("indicator"),
                "created": "2026-11-22T00:00:00.000Z",
                "modified": "2026-11-22T00:00:00.000Z",
                "name": f"Beacon to {address}",
                "indicator_types": ["malicious-activity"],
                "pattern_type": "stix",
                "pattern": f"[file:hashes.'SHA-256' = '{file}' OR ipv4-addr:value = '{address}']",
                "valid_from": "2026-11-22T00:00:00.000Z",
            }
        )
    return data[:size]


def _id(kind: str) -> str:
    return f"{kind}--{uuid.UUID(bytes=os.urandom(16), version=4)}"


async def _newest_checkpoint(hub: Founded) -> DirRef:
    async with aiohttp.ClientSession() as session:
        api = Api(hub, hub.members[0], session, context_of(hub.ca))
        value = orjson.loads(await api.call("GET", CHECKPOINT, b""))
    return SignedCheckpoint.from_json(value).ref(hub.net)


def context_of(authority: Path) -> ssl.SSLContext:
    """TLS as a node speaks it, trusting that authority."""
    return ssl.create_default_context(cafile=str(authority))


class Api:
    """A member's signed calls."""

    def __init__(
        self, hub: Founded, member: str, session: aiohttp.ClientSession, context: ssl.SSLContext
    ) -> None:
        self._hub, self._member, self._session, self._context = hub, member, session, context

    async def call(self, method: str, path: str, body: bytes, content_type: str = JSON) -> bytes:
        """The answer's body. Raises RuntimeError for a refusal."""
        token = make_token(
            keys=keys(self._member),
            net=self._hub.net,
            issuer=self._member,
            origin=self._hub.origin,
            method=method,
            target=path,
            body_hash=sha256(body),
            now=time.time_ns() // 1_000_000,
            jti=os.urandom(16),
        )
        headers = {"Authorization": f"{MEMBER_SCHEME} {token}", "Content-Type": content_type}
        async with self._session.request(
            method, self._hub.origin + path, data=body or None, headers=headers, ssl=self._context
        ) as response:
            data = await response.read()
        if response.status != 200:
            raise RuntimeError(f"{method} {path}: {response.status} {data[:300]!r}")
        return data


class Light(LightSocket):
    """A member's client. Every copy is receipted as `stored`, in batches of up to 256 that it signs."""

    def __init__(self, prepared: Prepared, member: str, meter: Meter, api: Api) -> None:
        super().__init__(f"127.0.0.1:{prepared.hub.port}", SOCKET, meter.fail)
        self._prepared, self._member, self._meter, self._api = prepared, member, meter, api
        self._loop = asyncio.get_running_loop()
        self._stored = Stored(self._say_stored)
        self._owed: list[bytes] = []
        self._come = 0
        self._number = 0
        self._calls: set[asyncio.Task[None]] = set()
        self._to = member.encode("ascii")
        self.ready = asyncio.Event()

    def text(self, data: bytes) -> None:
        nonce = unb64(orjson.loads(data)["nonce"], size=32)
        text = socket_message(self._prepared.hub.net, self._prepared.hub.origin, nonce)
        signature = b64(keys(self._member).sign_transport(text))
        self.send(TEXT, orjson.dumps({"type": "auth", "iss": self._member, "signature": signature}))

    def binary(self, data: bytes) -> None:
        for item in items(data):
            self._stored.owe(item.cursor.encode("ascii"))
            if item.type == ITEM_DELIVERY:
                self._delivery(item.payload)
        self.ready.set()  # the newest checkpoint comes to everybody first

    def _say_stored(self, cursors: list[bytes]) -> None:
        self.send(TEXT, orjson.dumps({"type": "stored", "cursor": cursors[-1].decode("ascii")}))

    def _delivery(self, data: bytes) -> None:
        end = 8 + int.from_bytes(data[4:8])
        env = h(self._prepared.hub.net, "env", data[8:end])
        slot = end + 4 + SIGNATURE_BYTES + 4
        lc = data[slot + WRAP_BYTES : slot + WRAP_BYTES + LC_BYTES]
        self._meter.came(env)
        leaf = b'{"code":"","env":"%b","lc":"%b","salt":"%b","status":"%b","to":"%b"}' % (
            b64(env).encode("ascii"),
            b64(lc).encode("ascii"),
            b64(os.urandom(SALT_BYTES)).encode("ascii"),
            STORED.encode("ascii"),
            self._to,
        )
        self._owed.append(leaf)
        self._come += 1
        # by number, not by time: how fast the machine is must not change what is done for a message
        if len(self._owed) == MAX_RECEIPT_LEAVES or self._come == self._meter.messages:
            self._sign()

    def _sign(self) -> None:
        rows, self._owed = tuple(self._owed), []
        self._number += 1
        net, pair = self._prepared.hub.net, keys(self._member)
        body = dumps(
            {
                "at": time.time_ns() // 1_000_000,
                "batch": self._number,
                "dir": self._prepared.dir.to_json(),
                "from": self._member,
                "n": len(rows),
                "net": b64(net),
                "root": b64(merkle.root(rows)),
                "skid": b64(pair.public.signing.skid(net)),
                "suite": SUITE,
                "v": 1,
            }
        )
        upload = orjson.dumps(Batch(body, pair.sign(RECEIPTS, body), rows).upload())
        task = self._loop.create_task(self._post(upload))
        self._calls.add(task)
        task.add_done_callback(self._posted)

    def _posted(self, task: asyncio.Task[None]) -> None:
        self._calls.discard(task)
        if not task.cancelled() and (fault := task.exception()) is not None:
            self._meter.fail(fault)

    async def _post(self, upload: bytes) -> None:
        answer = orjson.loads(await self._api.call("POST", RECEIPTS_PATH, upload))
        self._meter.released(answer["matched"])


async def run(prepared: Prepared, folder: Path, *, batch: int, window: int) -> Mapping[str, float]:
    """One round on a fresh copy of the prepared home: `window` envelopes in flight, `batch` in a request."""
    fresh = Founded(folder, prepared.hub.net, prepared.hub.members, prepared.hub.port)
    shutil.copytree(prepared.hub.folder, folder)
    with serving(fresh) as pid:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            return await _round(prepared, pid, session, batch=batch, window=window)


async def _round(
    prepared: Prepared, pid: int, session: aiohttp.ClientSession, *, batch: int, window: int
) -> Mapping[str, float]:
    hub, context = prepared.hub, context_of(prepared.hub.ca)
    sender, *others = hub.members
    meter = Meter(len(prepared.envelopes), len(others), pid)
    clients = [
        # the sender too: it gets its receipts there
        await connect(
            lambda member=member: Light(prepared, member, meter, Api(hub, member, session, context)),
            hub.port,
            context,
        )
        for member in hub.members
    ]
    await asyncio.gather(*(client.ready.wait() for client in clients))
    api, left = Api(hub, sender, session, context), iter(prepared.envelopes)
    meter.start()

    async def post() -> None:
        while chosen := [one for _, one in zip(range(batch), left, strict=False)]:
            for env, _ in chosen:
                meter.sent(env)
            answer = await api.call("POST", ENVELOPES, framed([upload for _, upload in chosen]), BINARY)
            codes = {result["code"] for result in orjson.loads(answer)["results"]}
            if codes != {""}:
                raise RuntimeError(f"the hub refused: {codes}")

    try:
        posting = asyncio.gather(*(post() for _ in range(max(1, window // batch))))
        figures = await meter.finish(within=ROUND_SECONDS)
        await posting
    finally:
        for client in clients:
            client.close()
    return figures
