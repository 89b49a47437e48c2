"""A real hub over TLS on a free port of loopback, for tests, with a small client that speaks docs/protocol.md §10-11.

Owns starting, stopping and killing it, and signing requests. The hub runs in the test's event loop (`running_hub`) or
as a process of its own (`python -m tests.hub_server HOME`). Its log is a world's, its clock the world's.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import resource
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from exchange.canonical import b64, sha256
from exchange.hub.app import Listening, serve
from exchange.hub.applications import create_invitation
from exchange.hub.home import KEYSTORE, SEED
from exchange.hub.store.store import HubStore
from exchange.keys import PrivateKeys
from exchange.settings import HubSettings
from exchange.storage.keystore import Keystore
from exchange.storage.unlock import Unlock, create_key_file
from exchange.tls import create_authority
from exchange.token import make_token
from tests.hub_services import chance, write_log
from tests.worlds import NOW, World, keys, make_world

KEY_FILE = "key"
HUB_SEED = sha256(b"seed of hub")  # the one worlds.keys("hub") comes from
QUICK = {"settle_seconds": 0, "drain_seconds": 2}


def hub_home(home: Path, world: World, *, leaves: int | None = None) -> None:
    """A hub's home that holds the world's log (its first `leaves` ones)."""
    home.mkdir(mode=0o700, exist_ok=True)
    create_key_file(home / KEY_FILE)
    keystore = Keystore.create(home / KEYSTORE, unlock(home), {SEED: HUB_SEED})
    create_authority(keystore, home, now=world.now)
    store = HubStore.open(home)
    write_log(store, world, leaves)
    store.close_sync()


def unlock(home: Path) -> Unlock:
    """What opens the home's keystore."""
    return Unlock.key_file(home / KEY_FILE)


def free_port() -> int:
    """A port that nobody listens on now: the origin, which tokens name, must be known before the hub starts."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Answer:
    """What the hub answered."""

    status: int
    body: bytes
    headers: Mapping[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The problem's code; empty for an answer that is none."""
        return self.json["code"] if self.headers["Content-Type"] == "application/problem+json" else ""


@dataclass
class Hub:
    """A running hub as a test sees it."""

    world: World
    home: Path
    origin: str
    port: int
    session: aiohttp.ClientSession
    context: ssl.SSLContext
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    def token(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        issuer: str = "pe-csirt",
        signer: str | None = None,
        origin: str | None = None,
        net: bytes | None = None,
        now: int | None = None,
    ) -> str:
        """A request token, right unless an argument makes it otherwise."""
        return make_token(
            keys=keys(signer or issuer),
            net=net or self.world.net,
            issuer=issuer,
            origin=origin or self.origin,
            method=method,
            target=path,
            body_hash=sha256(body),
            now=self.world.now if now is None else now,
            jti=chance(16),
        )

    async def call(
        self,
        method: str,
        path: str,
        body: bytes | object = b"",
        *,
        issuer: str | None = "pe-csirt",
        authorization: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request, signed by `issuer` (None: by nobody); a body that isn't bytes is sent as JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = dict(headers or {})
        if authorization is not None:
            sent["Authorization"] = authorization
        elif issuer is not None:
            sent["Authorization"] = "Exchange " + self.token(method, path, data, issuer=issuer)
        stream = io.BytesIO(data) if method != "GET" else None
        async with self.session.request(
            method, self.origin + path, data=stream, headers=sent, ssl=self.context
        ) as response:
            return Answer(response.status, await response.read(), dict(response.headers))

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A bare TLS connection."""
        return await asyncio.open_connection("127.0.0.1", self.port, ssl=self.context)


@asynccontextmanager
async def running_hub(
    world: World,
    home: Path,
    *,
    limits: Mapping[str, int] | None = None,
    leaves: int | None = None,
    clock: Callable[[], int] | None = None,
    **settings: object,
) -> AsyncIterator[Hub]:
    """A hub on the folder `home` in this event loop, made there first if need be."""
    if not (home / KEYSTORE).exists():
        hub_home(home, world, leaves=leaves)
    port = free_port()
    origin = f"https://127.0.0.1:{port}"
    checked = HubSettings.from_mapping(
        {"origins": [origin], "port": port, "limits": {**QUICK, **(limits or {})}, **settings}
    )
    ready: asyncio.Future[Listening] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    serving = asyncio.create_task(
        serve(
            home,
            checked,
            Keystore.open(home / KEYSTORE, unlock(home)),
            ready=ready.set_result,
            clock=clock or (lambda: world.now),
            random=os.urandom,
            stop=stop,
        )
    )
    await asyncio.wait({serving, ready}, return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        await serving
    context = ssl.create_default_context(cafile=home / "ca.pem")
    try:
        async with aiohttp.ClientSession() as session:
            yield Hub(world, home, origin, port, session, context, stop)
    finally:
        stop.set()
        await serving


def invite(hub: Hub, member: str, country: str = "AR") -> str:
    """The Authorization header of an invitation that is made beside the running hub."""
    store = HubStore.open(hub.home, owner=False)
    try:
        invitation = create_invitation(
            store,
            member=member,
            member_class="national_csirt",
            country=country,
            origin=hub.origin,
            valid_days=1,
            now=hub.world.now,
            random=chance,
        )
    finally:
        store.close_sync()
    assert b64(invitation.token).encode() not in (hub.home / "hub.db").read_bytes()
    return "Invitation " + b64(invitation.token)


_accept = HubStore.accept


async def _accept_and_die(store: HubStore, *args: Any, **rest: Any) -> Any:
    await _accept(store, *args, **rest)
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Serve the home named on the command line, with the world's fixed time; prints the port when it listens.

    With `die-after-commit` the process kills itself once the first envelope is durable; with `failing-disk` the
    kernel refuses to let its files grow once it listens.
    """
    home, port, *wishes = Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:]
    if "die-after-commit" in wishes:
        HubStore.accept = _accept_and_die  # type: ignore[method-assign] # a fault planted in this process only
    settings = HubSettings.from_mapping(
        {"origins": [f"https://127.0.0.1:{port}"], "port": port, "limits": QUICK}
    )

    def ready(where: Listening) -> None:
        if "failing-disk" in wishes:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write then fails with EFBIG
            most = (home / "hub.db-wal").stat().st_size + 200_000
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        print(where.port, flush=True)

    keystore = Keystore.open(home / KEYSTORE, unlock(home))
    asyncio.run(serve(home, settings, keystore, ready=ready, clock=lambda: NOW))


assert PrivateKeys(HUB_SEED).public == keys("hub").public
__all__ = ["Answer", "Hub", "free_port", "hub_home", "invite", "make_world", "running_hub", "unlock"]

if __name__ == "__main__":
    main()
