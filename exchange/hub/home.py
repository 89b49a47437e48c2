"""Owns a hub's home on disk: config.toml, keystore, genesis.json, and the ceremony that begins a network.

The draft of the genesis is a file that goes round: hub and recovery sign it when it is made, each officer adds a
signature at home (officer commands), `add_signatures` brings a copy back, `begin` writes leaf 0. Serving is app.py's.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

from exchange.canonical import ZERO32
from exchange.directory.bodies import parse_body
from exchange.directory.bodies_base import Genesis, build_genesis
from exchange.directory.log import Leaf
from exchange.directory.members import HubIdentity, Officer
from exchange.directory.state import Directory
from exchange.directory.statements import HUB, RECOVERY, Statement, network_id
from exchange.errors import Refused
from exchange.hub.store.store import FILE, HubStore
from exchange.keys import SEED_BYTES, STATEMENT, PrivateKeys, digits
from exchange.limits import DAY_MS, MAX_JSON_REQUEST, RESTORED_SETTLE_MS, SECOND_MS
from exchange.settings import HubSettings
from exchange.storage.files import PRIVATE_DIRECTORY, disk_fault, write_private
from exchange.storage.keystore import Keystore
from exchange.storage.unlock import Unlock
from exchange.tls import create_authority

CONFIG: Final = "config.toml"
KEYSTORE: Final = "keystore"
GENESIS: Final = "genesis.json"
LOCK: Final = "lock"
BEGUN: Final = "begun"  # there since the first leaf was written: a log that is gone is never begun again
RESTORED: Final = "restored"  # from a restore until the log has back what it lost; holds its time, UTC ms
LAST_BACKUP: Final = "backup.last"  # when the newest backup of this home was made, UTC ms
SEED: Final = "hub/seed"
CEREMONY_MS: Final = 30 * DAY_MS  # how long the officers have to sign a draft
MAX_CONFIG: Final = 65_536  # bytes


@dataclass(frozen=True)
class Draft:
    """A genesis as far as it is: the network's id and digits, and whose signatures it still lacks.

    `recovery_seed` is there once, when the draft is made: to be printed and kept offline, for it is kept nowhere.
    """

    net: bytes
    digits: str
    missing: tuple[str, ...]
    recovery_seed: bytes | None = None


def init_home(
    home: Path,
    *,
    name: str,
    origins: Sequence[str],
    officers: Sequence[Officer],
    officers_threshold: int,
    sponsors_threshold: int,
    unlock: Unlock,
    now: int,
    random: Callable[[int], bytes],
    host: str = "127.0.0.1",
    port: int = 8443,
    public_certificate: bool = False,
) -> Draft:
    """Make a hub's home with its keys and a genesis draft; `now` in ms, `random(n)` gives n random bytes.

    Run again it keeps the keys and, if nothing in it changed, the draft with its signatures; after `begin` it refuses.
    With `public_certificate` members trust the public authorities and the genesis names none.

    Raises Refused settings.invalid, hub.begun, keystore.*, directory.bad-statement; Unavailable storage.*
    """
    settings = HubSettings.from_mapping({"origins": list(origins), "host": host, "port": port})
    keys, hub = furnish(home, settings, unlock, now=now, random=random, public_certificate=public_certificate)
    wanted = (
        name,
        hub,
        tuple(sorted(officers, key=lambda o: o.name)),
        officers_threshold,
        sponsors_threshold,
    )
    if (home / GENESIS).exists():
        statement = read_genesis(home)
        old = _parsed(statement)
        same = (old.name, old.hub, old.officers, old.officers_threshold, old.sponsors_threshold) == wanted
        if same and old.head.not_after > now:
            return _draft(statement)
    recovery_seed = random(SEED_BYTES)
    recovery = PrivateKeys(recovery_seed)
    body = build_genesis(
        nonce=random(32),
        name=name,
        hub=hub,
        officers=officers,
        officers_threshold=officers_threshold,
        sponsors_threshold=sponsors_threshold,
        recovery=recovery.public.signing,
        at=now,
        not_after=now + CEREMONY_MS,
    )
    statement = Statement(body).with_signature(HUB, keys).with_signature(RECOVERY, recovery)
    write_genesis(home / GENESIS, statement)
    return _draft(statement, recovery_seed)


def furnish(
    home: Path,
    settings: HubSettings,
    unlock: Unlock,
    *,
    now: int,
    random: Callable[[int], bytes],
    public_certificate: bool,
) -> tuple[PrivateKeys, HubIdentity]:
    """A hub's folder with config.toml, keys and its own CA; what they are from now on. Keys that are there stay.

    Raises Refused hub.begun when it has a log already, keystore.*; Unavailable storage.*
    """
    _make_folder(home)
    if (home / BEGUN).exists():
        raise Refused("hub.begun")
    if (home / FILE).exists():
        _refuse_begun(home)
    _write_config(home, settings)
    keystore = _keystore(home, unlock, random)
    keys = PrivateKeys(keystore.get(SEED))
    authority = create_authority(keystore, home, now=now)
    return keys, HubIdentity(settings.origins[0], b"" if public_certificate else authority, keys.public)


def add_signatures(home: Path, copy: Statement) -> Draft:
    """Bring the signatures of a copy that went round into the home's draft.

    Raises Refused hub.no-genesis, hub.other-genesis; Rejected directory.bad-signature; Unavailable storage.*
    """
    statement = read_genesis(home)
    if copy.body != statement.body:
        raise Refused("hub.other-genesis")
    keys = {officer.address: officer.keys.signing for officer in _parsed(statement).officers}
    fresh = [(signer, signature) for signer, signature in copy.signatures if signer in keys]
    for signer, signature in fresh:
        keys[signer].verify(STATEMENT, statement.body, signature, code="directory.bad-signature")
    merged = statement.merged(fresh)
    write_genesis(home / GENESIS, merged)
    return _draft(merged)


def begin(home: Path, *, now: int) -> Draft:
    """Write leaf 0 if the draft has every signature; the network has begun. A second time it changes nothing.

    Raises Refused hub.no-genesis, hub.genesis-incomplete (whose signatures are missing); Rejected
    directory.bad-genesis; as Database.open.
    """
    store = HubStore.open(home)
    try:
        return begin_in(store, home, now=now)
    finally:
        store.close_sync()


def begin_in(store: HubStore, home: Path, *, now: int) -> Draft:
    """`begin` on a store that is open. Raises as it does, and Refused storage.damaged where a log was lost."""
    leaves, has_begun = store.load_leaves_sync(), (home / BEGUN).exists()
    if leaves:
        if not has_begun:
            write_private(home / BEGUN, b"")
        net = Directory.from_genesis(leaves[0]).net
        return Draft(net, digits(net), ())
    if has_begun:
        detail = (
            f"{FILE} has no log, though the network has begun: restore a backup, or replace the hub elsewhere"
        )
        raise Refused("storage.damaged", detail)
    statement = read_genesis(home)
    draft = _draft(statement)
    if draft.missing:
        raise Refused(
            "hub.genesis-incomplete", f"still to sign: {', '.join(draft.missing)}", missing=draft.missing
        )
    leaf = Leaf(0, now, statement).to_bytes(draft.net)
    Directory.from_genesis(leaf)  # every signature is verified before anything is written
    store.append_sync(0, [(leaf, statement.hash(draft.net))])
    write_private(home / BEGUN, b"")
    return draft


def load_settings(home: Path) -> HubSettings:
    """config.toml of the home. Raises Refused home.missing, settings.invalid; Unavailable storage.io."""
    try:
        with (home / CONFIG).open("rb") as file:
            data = file.read(MAX_CONFIG + 1)
        if len(data) > MAX_CONFIG:
            raise Refused("settings.invalid", f"more than {MAX_CONFIG} bytes")
        return HubSettings.from_mapping(tomllib.loads(data.decode("utf-8")))
    except FileNotFoundError as error:
        raise Refused("home.missing", path=str(home)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Refused("settings.invalid", f"{CONFIG} isn't TOML") from error
    except OSError as error:
        raise disk_fault(error) from error


def open_keystore(home: Path, unlock: Unlock) -> Keystore:
    """The home's secrets. Raises Refused keystore.*"""
    return Keystore.open(home / KEYSTORE, unlock)


def mark_restored(home: Path, *, now: int) -> None:
    """Note that the log may be shorter than what members hold. Raises Unavailable storage.*"""
    write_private(home / RESTORED, str(now).encode("ascii"))


def note_backup(home: Path, *, at: int) -> None:
    """Note when the newest backup was made, UTC ms. Raises Unavailable storage.*"""
    write_private(home / LAST_BACKUP, str(at).encode("ascii"))


def last_backup(home: Path) -> int:
    """When the newest backup was made, UTC ms; 0: never, or not to be read."""
    try:
        return int((home / LAST_BACKUP).read_text("ascii"))
    except (OSError, ValueError):
        return 0


def settle_seconds(home: Path, usual: int, *, now: int) -> int:
    """How long after a start the log may wait for members it hasn't heard; far longer after a restore (§11.4).

    A hub that logs a statement before it has back what it lost signs two logs: that is for ever. `now` in UTC ms.
    """
    try:
        left = int((home / RESTORED).read_text("ascii")) + RESTORED_SETTLE_MS - now
    except FileNotFoundError:
        return usual
    except ValueError:
        left = RESTORED_SETTLE_MS
    except OSError as error:
        raise disk_fault(error) from error
    return max(usual, min(left, RESTORED_SETTLE_MS) // SECOND_MS)


def has_settled(home: Path) -> None:
    """The log has back what it lost. Raises Unavailable storage.io."""
    try:
        (home / RESTORED).unlink(missing_ok=True)
    except OSError as error:
        raise disk_fault(error) from error


def read_genesis(home: Path) -> Statement:
    """The home's draft. Raises Refused hub.no-genesis; Rejected directory.bad-statement."""
    return read_statement(home / GENESIS)


def read_statement(path: Path) -> Statement:
    """A statement's file. Raises Refused hub.no-genesis; Rejected directory.bad-statement; Unavailable storage.io."""
    try:
        data = path.read_bytes() if path.stat().st_size <= MAX_JSON_REQUEST else b""
        return Statement.from_json(orjson.loads(data))
    except FileNotFoundError as error:
        raise Refused("hub.no-genesis", path=str(path)) from error
    except orjson.JSONDecodeError:
        return Statement.from_json(None)
    except OSError as error:
        raise disk_fault(error) from error


def write_genesis(path: Path, statement: Statement) -> None:
    """The file that goes round. Raises Unavailable storage.*"""
    write_private(path, orjson.dumps(statement.to_json()) + b"\n")


def missing_signers(statement: Statement) -> tuple[str, ...]:
    """Whose signatures a genesis still lacks, in order. Raises Rejected directory.bad-statement."""
    named = {HUB, RECOVERY, *(officer.address for officer in _parsed(statement).officers)}
    return tuple(sorted(named - set(statement.signers)))


def _draft(statement: Statement, recovery_seed: bytes | None = None) -> Draft:
    net = network_id(statement.body)
    return Draft(net, digits(net), missing_signers(statement), recovery_seed)


def _parsed(statement: Statement) -> Genesis:
    body = parse_body(statement.body, ZERO32)
    if not isinstance(body, Genesis):
        raise Refused("hub.no-genesis", "the file holds another kind of statement")
    return body


def _make_folder(home: Path) -> None:
    try:
        home.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
        home.chmod(PRIVATE_DIRECTORY)
    except OSError as error:
        raise disk_fault(error) from error


def _refuse_begun(home: Path) -> None:
    store = HubStore.open(home, owner=False)
    try:
        if store.load_leaves_sync():
            raise Refused("hub.begun")
    finally:
        store.close_sync()


def _keystore(home: Path, unlock: Unlock, random: Callable[[int], bytes]) -> Keystore:
    if (home / KEYSTORE).exists():
        return open_keystore(home, unlock)
    return Keystore.create(home / KEYSTORE, unlock, {SEED: random(SEED_BYTES)})


def _write_config(home: Path, settings: HubSettings) -> None:
    """A config.toml of these settings; one that a person wrote stays as long as it says the same."""
    path = home / CONFIG
    if path.exists():
        old = load_settings(home)
        if (old.origins, old.host, old.port) == (settings.origins, settings.host, settings.port):
            return
    # a JSON text or list of texts is also one of TOML
    lines = (
        f"origins = {orjson.dumps(list(settings.origins)).decode()}",
        f"host = {orjson.dumps(settings.host).decode()}",
        f"port = {settings.port}",
        "# tls_certificate, tls_key: PEM files of a public certificate, relative to this folder",
        "# metrics_from: addresses besides loopback that may read /metrics; with tls = false no others",
    )
    write_private(path, (os.linesep.join(lines) + os.linesep).encode())
