"""Owns how a hub takes the place of one that is lost (docs/protocol.md §9.11): from a member's snapshot to its log.

    snapshot          the log with its parts, as a member's node had them       hub-change.json   what goes round

The draft is signed by this hub when it is made; officers add signatures on machines of their own; `complete` brings a
copy back and, with enough of them, writes the log with the change of hub as its next leaf. Serving is app.py's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

from exchange.directory.bodies_network import build_hub_change
from exchange.directory.checkpoint import Checkpoint
from exchange.directory.log import Leaf
from exchange.directory.snapshot import MAX_SNAPSHOT, Snapshot
from exchange.directory.state import Directory
from exchange.directory.statements import HUB, NETWORK, RECOVERY, Statement
from exchange.directory.succession import read_change
from exchange.errors import Refused, Rejected
from exchange.hub.home import furnish, read_statement
from exchange.hub.store.directory import Beside
from exchange.hub.store.store import HubStore
from exchange.keys import PrivateKeys, digits, member_digits
from exchange.limits import DAY_MS
from exchange.settings import HubSettings
from exchange.storage.files import disk_fault, write_private
from exchange.storage.unlock import Unlock

SNAPSHOT: Final = "snapshot"
CHANGE: Final = "hub-change.json"
LIFE_MS: Final = 30 * DAY_MS  # how long the officers have to sign a draft


@dataclass(frozen=True)
class Takeover:
    """A change of hub as far as it is: what it follows, and what it lacks. Times in UTC ms.

    `officers` is (signed, needed); `begun` says that the log is written and the hub can serve.
    """

    network_digits: str
    hub_digits: str
    size: int
    at: int
    officers: tuple[int, int]
    begun: bool


def draft(
    home: Path,
    snapshot: Snapshot,
    settings: HubSettings,
    *,
    unlock: Unlock,
    now: int,
    random: Callable[[int], bytes],
    public_certificate: bool = False,
    recovery: PrivateKeys | None = None,
) -> Takeover:
    """Make the home of a hub that goes on where `snapshot` ends, and the change of hub for the officers to sign.

    Run again it keeps the keys, and makes the change anew. The network's printed `recovery` key, where given, signs in
    the officers' place. Raises Refused settings.invalid, hub.begun, keystore.*;
    Rejected as `Snapshot.verify`; Unavailable storage.*
    """
    directory, checkpoint = snapshot.verify(None)
    keys, hub = furnish(home, settings, unlock, now=now, random=random, public_certificate=public_certificate)
    body = build_hub_change(
        net=directory.net,
        size=directory.size,
        root=directory.root(),
        hub=hub,
        term=directory.term + 1,
        after=directory.last_hash(NETWORK, "hub"),
        not_after=now + LIFE_MS,
    )
    statement = Statement(body).with_signature(HUB, keys)
    if recovery is not None:
        statement = statement.with_signature(RECOVERY, recovery)
    write_private(home / SNAPSHOT, snapshot.to_bytes(), most=MAX_SNAPSHOT)
    _write_change(home, statement)
    return _state(directory, checkpoint, statement, begun=False)


def complete(home: Path, copy: Statement, *, now: int) -> Takeover:
    """Bring back the signatures of a copy that went round; with enough of them, write the log. Again changes nothing.

    Raises Refused hub.no-change, hub.other-change; Rejected directory.bad-signature, or the rule that the change
    breaks; Unavailable storage.*
    """
    statement, snapshot = _drafted(home)
    if copy.body != statement.body:
        raise Refused("hub.other-change")
    directory, checkpoint = snapshot.verify(None)
    good = directory.signers_of(copy)
    merged = statement.merged([(one, signature) for one, signature in copy.signatures if one in good])
    _write_change(home, merged)
    at = max(now, directory.at)
    try:
        directory.judge(merged, at)
    except Rejected as fault:
        if fault.code != "directory.too-few-officers":
            raise
        return _state(directory, checkpoint, merged, begun=False)
    _write_log(home, snapshot, directory, checkpoint, Leaf(directory.size, at, merged))
    return _state(directory, checkpoint, merged, begun=True)


def _drafted(home: Path) -> tuple[Statement, Snapshot]:
    try:
        data = (home / SNAPSHOT).read_bytes()
        return read_statement(home / CHANGE), Snapshot.from_bytes(data)
    except FileNotFoundError as error:
        raise Refused("hub.no-change") from error
    except OSError as error:
        raise disk_fault(error) from error


def _write_log(
    home: Path, snapshot: Snapshot, directory: Directory, checkpoint: Checkpoint, last: Leaf
) -> None:
    """One transaction: the leaves, the parts beside them, the last checkpoint of the hub before, and the change."""
    net = directory.net
    rows = [(leaf, Leaf.from_bytes(leaf, net).statement.hash(net)) for leaf in snapshot.leaves]
    rows.append((last.to_bytes(net), last.statement.hash(net)))
    beside = Beside(parts={part.hash(net): part for part in snapshot.parts})
    store = HubStore.open(home)
    try:
        if not store.load_leaves_sync():
            store.take_over_sync(rows, beside, snapshot.checkpoint.ref(net), checkpoint)
    finally:
        store.close_sync()


def _write_change(home: Path, statement: Statement) -> None:
    write_private(home / CHANGE, orjson.dumps(statement.to_json()) + b"\n")


def _state(directory: Directory, checkpoint: Checkpoint, statement: Statement, *, begun: bool) -> Takeover:
    signers = directory.signers_of(statement)
    signed = sum(officer.address in signers for officer in directory.officers.values())
    hub = read_change(statement, directory.net).hub
    return Takeover(
        digits(directory.net),
        member_digits(directory.net, HUB, hub.keys),
        directory.size,
        checkpoint.at,
        (signed, directory.officers_threshold),
        begun,
    )
