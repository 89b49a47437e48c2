"""Owns the TLS of a node's HTTP door: its certificate, and that it is loaded anew while the door is open.

A certificate of people's own is loaded again when its files change, one by the node's authority before it ends. What
can't be loaded changes nothing: the door goes on with what it had, and people are told.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn

from exchange.door_settings import DoorSettings
from exchange.errors import ExchangeError, Refused
from exchange.limits import DAY_MS
from exchange.node.home import Home
from exchange.node.store.store import Store, raise_alarm
from exchange.tls import ServerTls, create_authority, trust_clients

LOOK_SECONDS: Final = 60

# what tells one state of a file from another: when and how long it was written, and which file it is
_State = tuple[tuple[int, int, int] | None, ...]


class DoorTls:
    """What the door listens with; `look` keeps it up to date."""

    def __init__(self, home: Home, settings: DoorSettings, *, now: int) -> None:
        """Raises Refused tls.certificate; Unavailable storage.*. `now` in ms."""
        root = home.paths.root
        names = settings.names or tuple(dict.fromkeys((settings.host, "localhost", "127.0.0.1")))
        origins = [f"https://[{name}]" if ":" in name else f"https://{name}" for name in names]
        create_authority(home.keystore, root, now=now, owner="node")
        given = {"certificate": settings.tls_certificate, "key": settings.tls_key}
        files = {name: str(root / file) if file else "" for name, file in given.items()}
        self._files = [Path(file) for file in files.values() if file]
        self._server = ServerTls(home.keystore, origins, owner="node", **files)
        self._load(now)
        if settings.client_ca:
            trust_clients(self.context, root / settings.client_ca)

    @property
    def context(self) -> ssl.SSLContext:
        """For connections to come: those that stand keep what they began with."""
        return self._server.context

    def look(self, *, now: int) -> bool:
        """Load the certificate if it is another one by now, or is to be renewed; whether it was. `now` in ms.

        What failed is tried again when its files change once more. Raises as the making.
        """
        if self._state() == self._seen if self._files else now < self._next_at:
            return False
        self._load(now)
        return True

    def _load(self, now: int) -> None:
        self._seen, self._next_at = self._state(), now + DAY_MS
        self._server.refresh(now=now)

    def _state(self) -> _State:
        return tuple(_state_of(file) for file in self._files)


async def keep(tls: DoorTls, store: Store, clock: Callable[[], int]) -> NoReturn:
    """Look again and again; what can't be loaded is an alarm, once for each day."""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        with contextlib.suppress(ExchangeError):  # the disk's: the next look comes
            await look_once(tls, store, now=clock())


async def look_once(tls: DoorTls, store: Store, *, now: int) -> bool:
    """Whether another certificate was loaded. Raises Unavailable storage.*"""
    try:
        return tls.look(now=now)
    except Refused as error:
        code, key = error.code, f"door/{error.code}/{now // DAY_MS}"
        await store.db.write(lambda c: raise_alarm(c, key=key, at=now, code=code, subject="http"))
        return False


def _state_of(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
