"""Owns a node's home: which files it has, how it is made, opened and tied to a network.

    config.toml    settings, no secret          keystore    identity seed, local key, public halves of printed seeds
    prekeys        private halves of prekeys    node.db     everything else (store.py)
    hub-ca.pem     the hub's own CA             lock, control.sock
    restored       from when a backup gave a unit its home back until the unit opens it (backup.py)
    units/HANDLE/  a home like this one, of a unit or person that shares the node and has keys of its own (units.py)

Modes are 0700 and 0600. Does not ask for passphrases nor print seeds (cli/).
"""

from __future__ import annotations

import json
import ssl
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Final

from exchange.canonical import HANDLE, b64, dumps, is_member_handle, loads, unb64
from exchange.directory.members import HubIdentity
from exchange.door_settings import DoorSettings
from exchange.errors import ExchangeError, Refused
from exchange.invitation import Invitation
from exchange.keys import SEED_BYTES, PrivateKeys, PublicKey, PublicKeys
from exchange.node.identity import Identity, Sources
from exchange.node.keys.own_keys import MAX_PUBLIC, NEXT, SEED
from exchange.node.store.store import Store, open_store
from exchange.setting_files import NO_FILE, FileName
from exchange.settings import NodeSettings
from exchange.storage.files import PRIVATE_DIRECTORY, HomeLock, disk_fault, write_private
from exchange.storage.keystore import Keystore
from exchange.storage.local_cipher import KEY_BYTES
from exchange.storage.unlock import Unlock

LOCAL_KEY: Final = "local.key"
REVOKE: Final = "revoke.public"
INVITATION: Final = "invitation.token"
MAX_CONFIG: Final = 65_536  # bytes


@dataclass(frozen=True)
class Paths:
    """The files of a home."""

    root: Path

    @property
    def config(self) -> Path:
        return self.root / "config.toml"

    @property
    def keystore(self) -> Path:
        return self.root / "keystore"

    @property
    def prekeys(self) -> Path:
        return self.root / "prekeys"

    @property
    def database(self) -> Path:
        return self.root / "node.db"

    @property
    def ca(self) -> Path:
        return self.root / "hub-ca.pem"

    @property
    def lock(self) -> Path:
        return self.root / "lock"

    @property
    def socket(self) -> Path:
        return self.root / "control.sock"

    @property
    def restored(self) -> Path:
        return self.root / "restored"

    @property
    def units(self) -> Path:
        return self.root / "units"

    def unit(self, handle: str) -> Paths:
        """Of the unit's home in this one. Raises Refused settings.invalid: what isn't a handle could lead anywhere."""
        if not HANDLE.match(handle):
            raise Refused("settings.invalid", "a unit's handle is of the form [a-z0-9-]{2,32}")
        return Paths(self.units / handle)


@dataclass(frozen=True)
class PrintedSeeds:
    """The two secrets that are printed once and kept nowhere: 32 bytes each (docs/protocol.md §3)."""

    revoke: bytes
    next: bytes


@dataclass(frozen=True)
class Home:
    """A home opened with its key: settings and keystores. The database and the lock are opened apart."""

    paths: Paths
    settings: NodeSettings
    keystore: Keystore
    prekeys: Keystore

    def lock(self, *, patience: float = 0) -> HomeLock:
        """The right to own the home; not taken yet. `patience`: seconds for another process to give it back."""
        return HomeLock(self.paths.lock, patience=patience)

    def open_store(self, *, owner: bool, on_broken: Callable[[ExchangeError], None] | None = None) -> Store:
        """The database; `owner` says that this process holds the lock.

        Raises as `store.open_store`, and Refused storage.damaged where that of a node that has joined is gone.
        """
        database = self.paths.database
        if self.settings.net and not (database.exists() and database.stat().st_size):
            detail = f"{database} is gone, and a new one would hold nothing: exchange node restore"
            raise Refused("storage.damaged", detail)
        local_key = self.keystore.get(LOCAL_KEY)
        return open_store(self.paths.database, local_key, owner=owner, on_broken=on_broken)

    def identity(self) -> Identity:
        """Who this node is. Raises Refused node.not-joined before `tie`."""
        if not self.settings.net:
            raise Refused("node.not-joined")
        net = unb64(self.settings.net, size=32, field="net")
        return Identity(net, self.settings.member, PrivateKeys(self.keystore.get(SEED)))

    def revoke_public(self) -> PublicKey:
        """The public half of the printed revoke-only key."""
        value = loads(self.keystore.get(REVOKE), most=MAX_PUBLIC, field="revoke")
        return PublicKey.from_json(value, what="revoke")

    def next_commitment(self) -> bytes:
        """The `next` of the application: a hash of the printed next keys, bound to the network."""
        value = loads(self.keystore.get(NEXT), most=MAX_PUBLIC, field="next")
        return PublicKeys.from_json(value, what="next").next_commitment(self.identity().net)

    def tie(self, invitation: Invitation) -> Home:
        """This home tied to the invitation's network: pinned in config.toml, its token kept for the application.

        Raises Refused node.other-member, node.joined (another network).
        """
        if invitation.member != self.settings.member:
            raise Refused("node.other-member", f"the invitation is for {invitation.member}")
        net = b64(invitation.net)
        if self.settings.net not in ("", net):
            raise Refused("node.joined")
        self.keystore.put(INVITATION, invitation.token)
        return self._at_hub(invitation.hub, invitation.ca, net)

    def with_door(self, http: DoorSettings) -> Home:
        """This home with its HTTP door as config.toml says from now on."""
        settings = replace(self.settings, http=http)
        _write_config(self.paths, settings)
        return replace(self, settings=settings)

    def moved(self, hub: HubIdentity) -> Home:
        """This home with its hub elsewhere, as the network has decided (docs/protocol.md §9.11)."""
        return self._at_hub(hub.address, hub.ca, self.settings.net)

    def _at_hub(self, origin: str, ca: bytes, net: str) -> Home:
        if ca:
            write_private(self.paths.ca, ssl.DER_cert_to_PEM_cert(ca).encode("ascii"))
        own = FileName(self.paths.ca.name) if ca else NO_FILE
        settings = replace(self.settings, hub=origin, net=net, ca=own)
        _write_config(self.paths, settings)
        return replace(self, settings=settings)


def create(root: Path, member: str, unlock: Unlock, sources: Sources) -> PrintedSeeds:
    """Make a home for `member`: folder, keys, database. The seeds returned are to be printed once, never stored.

    Raises Refused settings.invalid (the handle), keystore.exists, keystore.passphrase; Unavailable storage.*.
    """
    if not is_member_handle(member):
        raise Refused("settings.invalid", "member: a handle [a-z0-9-]{2,32}")
    seeds = PrintedSeeds(sources.random(SEED_BYTES), sources.random(SEED_BYTES))
    printed = {
        REVOKE: dumps(PrivateKeys(seeds.revoke).public.signing.to_json()),
        NEXT: dumps(PrivateKeys(seeds.next).public.to_json()),
    }
    furnish(Paths(root), NodeSettings(member=member), unlock, sources, further=printed)
    return seeds


def furnish(
    paths: Paths, settings: NodeSettings, unlock: Unlock, sources: Sources, *, further: dict[str, bytes]
) -> None:
    """Make a home's folder, its keys (with what `further` adds to the keystore), settings and database.

    Raises Refused keystore.exists, keystore.passphrase; Unavailable storage.*.
    """
    try:
        paths.root.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
        paths.root.chmod(PRIVATE_DIRECTORY)
    except OSError as error:
        raise disk_fault(error) from error
    secrets = {SEED: sources.random(SEED_BYTES), LOCAL_KEY: sources.random(KEY_BYTES), **further}
    keystore = Keystore.create(paths.keystore, unlock, secrets)
    Keystore.create(paths.prekeys, unlock, {})
    _write_config(paths, settings)
    open_store(paths.database, keystore.get(LOCAL_KEY), owner=True).db.close_sync()


def open_home(root: Path, unlock: Unlock) -> Home:
    """Open a home's settings and keystores. Raises Refused home.missing, settings.invalid, keystore.*."""
    paths = Paths(root)
    settings = read_settings(root)
    keystore = Keystore.open(paths.keystore, unlock)
    if (
        paths.restored.exists()
    ):  # a unit's, by its member: whose key wasn't there to make a new file of prekeys
        if not paths.prekeys.exists():
            Keystore.create(paths.prekeys, unlock, {})
        paths.restored.unlink(missing_ok=True)
    return Home(paths, settings, keystore, Keystore.open(paths.prekeys, unlock))


def read_settings(root: Path) -> NodeSettings:
    """config.toml, without any key. Raises Refused home.missing, settings.invalid."""
    try:
        with Paths(root).config.open("rb") as file:
            data = file.read(MAX_CONFIG + 1)
    except FileNotFoundError:
        raise Refused("home.missing", path=str(root)) from None
    except OSError as error:
        raise disk_fault(error) from error
    try:
        if len(data) > MAX_CONFIG:
            raise Refused("settings.invalid", f"config.toml has more than {MAX_CONFIG} bytes")
        return NodeSettings.from_mapping(tomllib.loads(data.decode("utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        raise Refused("settings.invalid", "config.toml isn't TOML") from None


def _write_config(paths: Paths, settings: NodeSettings) -> None:
    # JSON's spelling of these texts and booleans is also TOML's (TOML 1.0, basic strings).
    tables = ("retention", "alarm", "http")
    plain = [one.name for one in fields(settings) if one.name not in tables]
    lines = [f"{name} = {json.dumps(getattr(settings, name))}" for name in plain]
    for name in tables:
        lines += _table(name, getattr(settings, name).to_mapping())
    write_private(paths.config, ("\n".join(lines) + "\n").encode("utf-8"))


def _table(name: str, values: Mapping[str, object]) -> list[str]:
    """A table of config.toml with the tables in it, which come last; nothing where it is empty."""
    plain = [
        f"{json.dumps(key)} = {json.dumps(value)}"
        for key, value in values.items()
        if not isinstance(value, dict)
    ]
    lines = [f"[{name}]", *plain] if plain else []
    for key, value in values.items():
        lines += _table(f"{name}.{json.dumps(key)}", value) if isinstance(value, dict) else []
    return lines
