"""Owns units at a node: homes of their own inside the member's, and the statement that makes one an address (§9.12).

HOME/units/HANDLE is a node's home like any other: keystore, prekeys, database, lock, socket, opened with a key of its
own. So the member's process never holds the unit's keys, and whatever a node can do a unit can (docs/decisions/0031).
Two people make one: the unit's reader its keys and the draft, the member's administrator the second signature.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import orjson

from exchange.canonical import ZERO32
from exchange.directory.bodies import parse_body
from exchange.directory.bodies_contacts import PERSON, PERSON_HANDLE, UnitKeys, build_unit
from exchange.directory.network import member_of
from exchange.directory.statements import Statement
from exchange.directory.submission import SignedSubmission, Submission
from exchange.door_settings import DoorSettings
from exchange.errors import Refused, Rejected
from exchange.keys import SEED_BYTES, STATEMENT, PrivateKeys, member_digits
from exchange.limits import DAY_MS
from exchange.node.directory.replica import Replica
from exchange.node.home import Home, Paths, furnish, open_home, read_settings
from exchange.node.identity import Identity, Sources
from exchange.node.keys.own_keys import REVEALED, REVEALED_UNTIL
from exchange.node.store import directory as rows
from exchange.node.store.store import Store, set_fact
from exchange.node.uplink.api import HubApi
from exchange.setting_files import named_files
from exchange.storage.files import PRIVATE_DIRECTORY, disk_fault, write_private
from exchange.storage.unlock import Unlock

DRAFT: Final = "unit.json"
DRAFT_LIFE_MS: Final = 60 * DAY_MS  # the member's administrator has so long to sign it
MAX_DRAFT: Final = 65_536  # bytes
_PERSON_BYTES: Final = 7  # 12 characters, of which the handle takes 10: 50 bits that tell nothing of a name


@dataclass(frozen=True)
class Draft:
    """A unit's own words: the statement with its signature, and the digits that its reader reads out."""

    address: str
    kind: str
    statement: Statement
    digits: str


@dataclass(frozen=True)
class UnitHome:
    """A home found in a member's: whose, and when a process last took or gave back its lock (UTC ms; None: never)."""

    handle: str
    served_at: int | None


def make(root: Path, handle: str, kind: str, unlock: Unlock, sources: Sources) -> Draft:
    """Make the home of a unit or person in the member's home at `root`, and its draft. Run again it gives the same.

    Reads the member's settings and the files they name, never its keys. Raises Refused home.missing, node.not-joined,
    settings.invalid (the handle; such a file), cli.other-home (a unit's home has no units), keystore.*; Unavailable
    storage.*.
    """
    host, paths = read_settings(root), Paths(root).unit(handle)
    if not host.net:
        raise Refused("node.not-joined")
    if (kind == PERSON) != bool(PERSON_HANDLE.match(handle)):
        raise Refused(
            "settings.invalid", "a person's handle is random: leave it out, and it is made; a unit's isn't"
        )
    if member_of(host.member) != host.member:
        raise Refused("cli.other-home", f"{root} is the home of {host.member}, which has no units of its own")
    # its door is its own: closed until its reader opens it, at another port than the member's
    settings = replace(host, member=f"{host.member}/{handle}", http=DoorSettings())
    if not paths.config.exists():
        _private_folder(paths.root.parent)
        furnish(paths, settings, unlock, sources, further={})
    home = open_home(paths.root, unlock)
    for one in named_files(settings):
        if not Path(one.name).is_absolute() and not (paths.root / one.name).exists():
            _copy(root / one.name, paths.root / one.name)
    if (paths.root / DRAFT).exists():
        return read_draft(paths.root / DRAFT, home.identity().net, host.member)
    return _draft(home, kind, sources)


def _private_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=PRIVATE_DIRECTORY, exist_ok=True)
    except OSError as error:
        raise disk_fault(error) from error


def _draft(home: Home, kind: str, sources: Sources) -> Draft:
    store = home.open_store(owner=False)
    try:
        return _written(home, store, home.identity().keys, kind, ZERO32, now=sources.clock())
    finally:
        store.db.close_sync()


def _written(home: Home, store: Store, keys: PrivateKeys, kind: str, after: bytes, *, now: int) -> Draft:
    """The draft for `keys`, noted as the unit's own doing before it is a file."""
    identity = home.identity()
    body = build_unit(
        net=identity.net,
        address=identity.address,
        keys=keys.public,
        kind=kind,
        after=after,
        not_after=now + DRAFT_LIFE_MS,
    )
    statement = Statement(body).with_signature(identity.address, keys)
    digest = statement.hash(identity.net)
    store.db.write_sync(lambda c: rows.add_own_statement(c, digest, "unit", now=now))
    write_private(home.paths.root / DRAFT, orjson.dumps(statement.to_json()))
    digits = member_digits(identity.net, identity.address, keys.public)
    return Draft(identity.address, kind, statement, digits)


def read_draft(path: Path, net: bytes, member: str) -> Draft:
    """A draft that a unit of `member` signed, verified. Raises Refused cli.bad-file naming what is wrong with it."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_DRAFT + 1)
    except OSError as error:
        raise Refused("cli.bad-file", f"can't read {path}: {error.strerror}") from error
    try:
        statement = Statement.from_json(orjson.loads(data if len(data) <= MAX_DRAFT else b""))
        body = parse_body(statement.body, net)
        if not isinstance(body, UnitKeys):
            raise Rejected("directory.bad-statement", "another type of statement")
        address = body.head.subject[0]
        if member_of(address) != member or statement.signers != (address,):
            raise Rejected("directory.bad-statement", f"it isn't signed by a unit of {member} alone")
        body.keys.signing.verify(
            STATEMENT, statement.body, statement.signatures[0][1], code="directory.bad-signature"
        )
    except (orjson.JSONDecodeError, Rejected) as fault:
        detail = fault.detail if isinstance(fault, Rejected) else "not JSON"
        raise Refused("cli.bad-file", f"{path} isn't a unit's draft: {detail}") from fault
    return Draft(address, body.kind, statement, member_digits(net, address, body.keys))


async def rekey(home: Home, sources: Sources) -> Draft:
    """New keys for a published unit, kept beside those in use, and the draft by which officers give them to it.

    From when the log has it the unit's node signs with them (own_keys.py) and publishes new prekeys. Run again it
    gives the same keys. Raises Refused home.locked (stop the unit's server), directory.unknown-member (it has no keys
    in the log yet), keystore.*; Unavailable storage.*.
    """
    identity, now = home.identity(), sources.clock()
    with home.lock():
        store = home.open_store(owner=True)
        try:
            replica = Replica(store, net=identity.net, me=identity.address, clock=sources.clock)
            await replica.load()
            unit = None if replica.is_empty else replica.directory.units.get(identity.address)
            if unit is None:
                raise Refused("directory.unknown-member", f"{identity.address} has no keys in the log yet")
            if REVEALED not in home.keystore.names():
                home.keystore.update({REVEALED: sources.random(SEED_BYTES)})
            keys = PrivateKeys(home.keystore.get(REVEALED))
            until = now + DRAFT_LIFE_MS
            await store.db.write(lambda c: set_fact(c, REVEALED_UNTIL, until + DAY_MS))
            after = replica.directory.last_hash(identity.address, "unit")
            return _written(home, store, keys, unit.kind, after, now=now)
        finally:
            await store.db.close()


async def publish(
    identity: Identity, store: Store, replica: Replica, hub: HubApi, draft: Draft, *, now: int
) -> Submission:
    """Sign a unit's draft for its member and hand it in; again is harmless. `now` in UTC ms.

    `identity` is the member's, whose administrator has compared the digits before. New keys of a published unit then
    wait for the officers. Raises Refused directory.handle-taken; what the hub refuses.
    """
    net = identity.net
    statement = draft.statement.with_signature(identity.address, identity.keys)
    held = replica.directory.units.get(draft.address)
    first = replica.directory.read_head(statement).after == ZERO32
    if held is not None and first and member_digits(net, draft.address, held.keys) != draft.digits:
        raise Refused(
            "directory.handle-taken",
            f"{draft.address} has other keys in the log: `node unit-rekey`, or make another handle",
        )
    digest = statement.hash(net)
    await store.db.write(lambda c: rows.add_own_statement(c, digest, "unit", now=now))
    answer = SignedSubmission.from_json(await hub.post_statement(statement.to_json(), []))
    return answer.verify(net, replica.directory.hub.keys.signing, statement=digest)


def homes(root: Path) -> list[UnitHome]:
    """The units' homes in the member's at `root`, by handle; no key is needed. Raises Unavailable storage.io."""
    found = []
    try:
        for entry in sorted(Paths(root).units.glob("*/config.toml")):
            lock = Paths(entry.parent).lock
            served = lock.stat().st_mtime_ns // 1_000_000 if lock.exists() else None
            found.append(UnitHome(entry.parent.name, served))
    except OSError as error:
        raise disk_fault(error) from error
    return found


def person_handle(sources: Sources) -> str:
    """A new handle for a person, random: the log is for ever, and names can be erased only beside it (§9.12)."""
    return "p-" + base64.b32encode(sources.random(_PERSON_BYTES)).decode("ascii").lower()[:10]


def _copy(source: Path, target: Path) -> None:
    """What the member's settings name is there for the unit too, which takes them over; later each has its own."""
    try:
        data = source.read_bytes()
    except OSError as error:
        detail = f"config.toml names {source}, which can't be read: {error.strerror}"
        raise Refused("settings.invalid", detail) from error
    try:
        target.parent.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
    except OSError as error:
        raise disk_fault(error) from error
    write_private(target, data)
