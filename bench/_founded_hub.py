"""A founded network and its hub as a process of its own: for benchmarks that want the real program and many members.

Owns the homes, the log that is written straight into the hub's store, and the process's life. Keys come from names.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from bench._child import child
from bench._rounds import process_mib
from exchange.canonical import sha256
from exchange.directory.bodies_base import build_add, build_prekeys
from exchange.directory.log import Leaf
from exchange.directory.members import Member, Officer
from exchange.directory.onboarding import sponsors_among
from exchange.directory.prekeys import EPOCH_MS, EPOCHS_AHEAD, GRACE_MS, PrekeyRef
from exchange.directory.state import Directory
from exchange.directory.statements import Statement
from exchange.directory.vocabulary import NEIGHBOURS
from exchange.hub import home as hub_home
from exchange.hub.store.store import HubStore
from exchange.keys import PrivateKeys
from exchange.limits import DAY_MS
from exchange.storage.unlock import Unlock, create_key_file

OFFICER: Final = "alba"
KEY: Final = "key"
START_SECONDS: Final = 60


@cache
def keys(name: str) -> PrivateKeys:
    """The key pair of this name; the same in every run."""
    return PrivateKeys(sha256(b"bench " + name.encode("ascii")))


@dataclass(frozen=True)
class Founded:
    """A hub's home whose log has these members; `port` is where it will listen."""

    folder: Path
    net: bytes
    members: tuple[str, ...]
    port: int

    @property
    def home(self) -> Path:
        return self.folder / "hub"

    @property
    def origin(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def ca(self) -> Path:
        """The hub's authority, PEM."""
        return self.home / "ca.pem"


def found(folder: Path, members: int) -> Founded:
    """Make the home in `folder`: one officer, that many members, each with its first prekeys in the log."""
    folder.mkdir(mode=0o700, exist_ok=True)
    create_key_file(folder / KEY)
    port, now = quiet_port(), time.time_ns() // 1_000_000
    home = folder / "hub"
    hub_home.init_home(
        home,
        name="Bench network",
        origins=[f"https://127.0.0.1:{port}"],
        officers=[Officer(OFFICER, keys(OFFICER).public)],
        officers_threshold=1,
        sponsors_threshold=1,
        unlock=Unlock.key_file(folder / KEY),
        now=now,
        random=os.urandom,
        port=port,
    )
    draft = hub_home.read_genesis(home)
    hub_home.add_signatures(home, draft.with_signature(f"officer/{OFFICER}", keys(OFFICER)))
    store = HubStore.open(home)
    try:
        net = hub_home.begin_in(store, home, now=now).net
        log = _Log(store, Directory.from_genesis(store.load_leaves_sync()[0]), now)
        handles = [log.admit(number) for number in range(members)]
        log.write()
    finally:
        store.close_sync()
    return Founded(folder, net, tuple(handles), port)


class _Log:
    """The log as it grows: judged by the product's own rules, written at the end."""

    def __init__(self, store: HubStore, directory: Directory, now: int) -> None:
        self._store, self._directory, self._now = store, directory, now
        self._rows: list[tuple[bytes, bytes]] = []

    def admit(self, number: int) -> str:
        """A member with its first prekeys; its handle."""
        country = sorted(NEIGHBOURS)[number % len(NEIGHBOURS)]
        handle = f"{country.lower()}-csirt{number}"
        member = Member(
            handle=handle,
            member_class="sectoral_csirt",
            country=country,
            keys=keys(handle).public,
            revoke=keys(f"revoke {handle}").public.signing,
            next=keys(f"next {handle}").public.next_commitment(self._directory.net),
        )
        common = {"net": self._directory.net, "not_after": self._now + DAY_MS}
        sponsors = sponsors_among(country, self._directory.members.values())[:1]
        signers = (handle, f"officer/{OFFICER}", *(sponsor.handle for sponsor in sponsors))
        self._add(build_add(member=member, **common), *signers)
        refs = []
        for start in range(self._now, self._now + EPOCHS_AHEAD * EPOCH_MS, EPOCH_MS):
            kid = sha256(f"prekey {handle} {start}".encode("ascii"))
            refs.append(PrekeyRef(kid, start, start + EPOCH_MS, start + EPOCH_MS + GRACE_MS))
        after = self._directory.last_hash(handle, "prekeys")
        self._add(build_prekeys(address=handle, refs=refs, after=after, **common), handle)
        return handle

    def _add(self, body: bytes, *signers: str) -> None:
        statement = Statement(body)
        for signer in signers:
            statement = statement.with_signature(signer, keys(signer.removeprefix("officer/")))
        leaf = Leaf(self._directory.size, self._now, statement).to_bytes(self._directory.net)
        outcome = self._directory.apply(leaf, now=None)
        assert outcome.effective, outcome.code
        self._rows.append((leaf, statement.hash(self._directory.net)))

    def write(self) -> None:
        """Put it behind leaf 0, as judged: this process has just done so."""
        self._store.append_sync(1, self._rows)


@contextmanager
def serving(hub: Founded, *, arguments: Sequence[str] = ()) -> Iterator[int]:
    """The hub's process, ready; its id. Ended when the block is."""
    command = [sys.executable, "-m", "exchange", "hub", "serve", "--home", str(hub.home)]
    command += ["--key-file", str(hub.folder / KEY), "--json", *arguments]
    with child(command, hub.folder / "hub.log") as running:
        assert running.stdout is not None
        line = running.stdout.readline()  # its ready line, or the end
        assert line, (hub.folder / "hub.log").read_text()[-2_000:]
        yield running.pid


def settled_mib(pid: int, *, pause: float = 2.0, within: float = 0.25) -> float:
    """What a process has resident once that has stopped changing: two readings `pause` seconds apart are alike."""
    last = process_mib(pid)
    while True:
        time.sleep(pause)
        now = process_mib(pid)
        if abs(now - last) <= within:
            return now
        last = now


def quiet_port() -> int:
    """A port that nobody listens on now: the origin, which tokens name, stands in the log."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
