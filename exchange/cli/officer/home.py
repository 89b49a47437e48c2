"""An officer's home: its keys, its public card, and the one network it signs for.

    keystore        the seed of its keys (storage/keystore)
    card.json       name and public keys, for the hub's administrator to put into the genesis
    network.json    the genesis it signed, how much of the log it has seen, and a change of hub it signed
    compared.json   the digits that this officer has compared by voice, by handle

Owns these files. What an officer signs, and after which questions, is `officer`'s business; the hub is asked there too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

import orjson

from exchange.canonical import HANDLE, ZERO32, Fields, Json, b64, dumps, loads
from exchange.directory.bodies import parse_body
from exchange.directory.bodies_base import Genesis
from exchange.directory.members import HubIdentity, Officer
from exchange.directory.statements import Statement, network_id
from exchange.directory.succession import read_change
from exchange.errors import Refused, Rejected
from exchange.keys import SEED_BYTES, PrivateKeys, digits
from exchange.limits import MAX_JSON_REQUEST, MAX_STATEMENT
from exchange.storage.files import PRIVATE_DIRECTORY, write_private
from exchange.storage.keystore import Keystore
from exchange.storage.unlock import Unlock

KEYSTORE: Final = "keystore"
CARD: Final = "card.json"
NETWORK: Final = "network.json"
COMPARED: Final = "compared.json"
_SEED: Final = "seed"
_NAME: Final = "name"
_PINNED: Final = ("genesis", "root", "size")


@dataclass(frozen=True)
class PinnedNetwork:
    """The network an officer signs for: its genesis, the largest checkpoint seen (size, root), and where its hub is.

    `change` is the last change of hub that this officer signed, None while the genesis' hub serves.
    """

    genesis: Statement
    size: int
    root: bytes
    change: Statement | None = None

    @property
    def net(self) -> bytes:
        return network_id(self.genesis.body)

    @property
    def value(self) -> Genesis:
        return genesis_of(self.genesis)

    @property
    def hub(self) -> HubIdentity:
        """Where this officer looks for the hub."""
        return read_change(self.change, self.net).hub if self.change else self.value.hub


@dataclass(frozen=True)
class OfficerHome:
    """An opened home. Every change is on disk before the method returns."""

    path: Path
    name: str
    keys: PrivateKeys

    @classmethod
    def create(cls, path: Path, name: str, unlock: Unlock, random: Callable[[int], bytes]) -> Self:
        """Make the home, its keys and its card. Raises Refused keystore.exists, cli.usage, keystore.*."""
        if not HANDLE.match(name):
            raise Refused("cli.usage", "an officer's name is 2 to 32 of a-z, 0-9 and -")
        path.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
        path.chmod(PRIVATE_DIRECTORY)
        seed = random(SEED_BYTES)
        Keystore.create(path / KEYSTORE, unlock, {_SEED: seed, _NAME: name.encode("ascii")})
        home = cls(path, name, PrivateKeys(seed))
        home._write_card()
        return home

    @classmethod
    def open(cls, path: Path, unlock: Unlock) -> Self:
        """Open the home. Raises Refused home.missing, keystore.*."""
        if not (path / KEYSTORE).exists():
            raise Refused("home.missing", f"no officer's home at {path}")
        keystore = Keystore.open(path / KEYSTORE, unlock)
        if _NAME not in keystore.names():
            raise Refused("cli.other-home", f"{path} is no officer's home")
        home = cls(path, keystore.get(_NAME).decode("ascii"), PrivateKeys(keystore.get(_SEED)))
        home._write_card()  # a run of `init` that was cut short may have left none
        return home

    @property
    def officer(self) -> Officer:
        """The public half, as it stands in a genesis."""
        return Officer(self.name, self.keys.public)

    @property
    def card(self) -> Path:
        """The file for the hub's administrator."""
        return self.path / CARD

    def network(self) -> PinnedNetwork:
        """The network this officer signs for. Raises Refused home.missing before it signed a genesis."""
        try:
            data = (self.path / NETWORK).read_bytes()
        except FileNotFoundError:
            raise Refused(
                "home.missing", "this officer has signed no genesis yet: `officer approve --genesis FILE`"
            ) from None
        value = loads(data, most=MAX_JSON_REQUEST, field=NETWORK)
        changed = isinstance(value, dict) and "change" in value
        fields = Fields(value, (*_PINNED, "change") if changed else _PINNED, what=NETWORK)
        return PinnedNetwork(
            Statement.from_json(fields.raw("genesis")),
            fields.integer("size"),
            fields.binary("root", 32),
            Statement.from_json(fields.raw("change")) if changed else None,
        )

    def pin(self, genesis: Statement) -> PinnedNetwork:
        """Remember the network, or its genesis with more signatures. Raises Refused cli.other-home for another one."""
        if (self.path / NETWORK).exists():
            held = self.network()
            if held.net != network_id(genesis.body):
                raise Refused("cli.other-home", f"this home signs for the network {digits(held.net)}")
            pinned = replace(held, genesis=held.genesis.merged(genesis.signatures))
        else:
            pinned = PinnedNetwork(genesis, 0, ZERO32)
        self._write_network(pinned)
        return pinned

    def saw(self, size: int, root: bytes) -> None:
        """Remember the log's newest size: it may never be shorter again (docs/protocol.md §9.6)."""
        self._write_network(replace(self.network(), size=size, root=root))

    def go_by(self, change: Statement) -> None:
        """From now on the hub is where this change of hub says."""
        self._write_network(replace(self.network(), change=change))

    def compared(self) -> dict[str, str]:
        """The digits this officer has compared by voice, by handle. Raises Refused cli.bad-file."""
        path = self.path / COMPARED
        if not path.exists():
            return {}
        value = read_json(path)
        if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
            raise Refused("cli.bad-file", f"{path} is no list of digits; remove it and compare them again")
        return {handle: str(one) for handle, one in value.items()}

    def note_compared(self, handle: str, spoken: str) -> None:
        """Remember that these digits of `handle` were heard from it: nobody need ask again."""
        write_private(self.path / COMPARED, orjson.dumps({**self.compared(), handle: spoken}) + b"\n")

    def _write_network(self, pinned: PinnedNetwork) -> None:
        value = {"genesis": pinned.genesis.to_json(), "root": b64(pinned.root), "size": pinned.size}
        if pinned.change is not None:
            value["change"] = pinned.change.to_json()
        write_private(self.path / NETWORK, dumps(value))

    def _write_card(self) -> None:
        if not self.card.exists():
            write_private(self.card, orjson.dumps({"officer": self.officer.to_json(), "v": 1}) + b"\n")


def read_card(path: Path) -> Officer:
    """An officer's card. Raises Refused cli.bad-file."""
    try:
        fields = Fields(read_json(path), ("officer", "v"), what="card")
        fields.exactly("v", 1)
        return Officer.from_json(fields.raw("officer"))
    except Rejected as fault:
        raise Refused("cli.bad-file", f"{path} is no officer's card: {fault.detail}") from None


def read_genesis(path: Path) -> Statement:
    """The genesis file that goes round for signatures. Raises Refused cli.bad-file."""
    try:
        statement = Statement.from_json(read_json(path))
        genesis_of(statement)
    except Rejected as fault:
        raise Refused("cli.bad-file", f"{path} is no genesis: {fault.detail}") from None
    return statement


def genesis_of(statement: Statement) -> Genesis:
    """A genesis statement's value; no signature is checked. Raises Rejected directory.bad-genesis."""
    if len(statement.body) > MAX_STATEMENT:
        raise Rejected("directory.bad-genesis", "too large")
    value = parse_body(statement.body, ZERO32)
    if not isinstance(value, Genesis):
        raise Rejected("directory.bad-genesis", "another type of statement")
    return value


def write_public(path: Path, statement: Statement) -> None:
    """Put a signed statement at `path`, whole or not at all; nothing in it is secret. Raises Unavailable storage.*."""
    write_private(path, orjson.dumps(statement.to_json()) + b"\n")


def read_json(path: Path) -> Json:
    """A small JSON file somebody handed over. Raises Refused cli.bad-file."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_JSON_REQUEST + 1)
        if len(data) > MAX_JSON_REQUEST:
            raise Refused("cli.bad-file", f"{path} is too large")
        value: Json = orjson.loads(data)
    except (OSError, ValueError) as error:
        raise Refused("cli.bad-file", f"can't read {path} as JSON") from error
    return value
