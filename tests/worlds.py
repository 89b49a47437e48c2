"""A small network in memory for tests: hub, two officers, members with prekeys, and the log they stand in.

Owns fixed seeds and the shortest honest way to grow a log. Only `assert_no_effect` checks anything. Key pairs and
prekeys are the same in every run (signatures are not: ML-DSA is randomised), and a pair costs a few milliseconds.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

import pytest

from exchange.canonical import ZERO32, b64, dumps, sha256
from exchange.directory.bodies_base import build_add, build_genesis, build_prekeys
from exchange.directory.checkpoint import Checkpoint, SignedCheckpoint
from exchange.directory.log import Leaf
from exchange.directory.members import HubIdentity, Member, Officer
from exchange.directory.prekeys import EPOCH_MS, GRACE_MS, PrekeyRecord, PrekeyRef
from exchange.directory.state import Directory, Outcome
from exchange.directory.statements import Statement, network_id
from exchange.errors import Rejected
from exchange.header import DirRef
from exchange.keys import PrekeySecret, PrivateKeys
from exchange.limits import DAY_MS

NOW = 1_790_000_000_000  # 2026-09-21
OFFICERS = ("alba", "bruno")
MEMBERS = ("pe-csirt", "co-csirt", "bb-csirt")
ORIGIN = "https://hub.example"


@cache
def keys(name: str) -> PrivateKeys:
    """The key pair of this name, e.g. `hub`, `officer/alba`, `pe-csirt`, `revoke/pe-csirt`."""
    return PrivateKeys(seed(name))


def seed(name: str) -> bytes:
    """What that key pair is made of, 32 bytes."""
    return sha256(b"seed of " + name.encode("ascii"))


@cache
def prekey_secret(address: str, start: int, salt: str = "") -> PrekeySecret:
    """The private half of an address's epoch that begins at `start`; `salt` makes another one."""
    seed = f"prekey {address} {start} {salt}".encode("ascii")
    return PrekeySecret(b"".join(sha256(seed + bytes([part])) for part in range(3)))


def a_member(
    handle: str, *, country: str | None = None, member_class: str = "national_csirt", net: bytes = ZERO32
) -> Member:
    """A member as an add body has it; the country is the handle's first two letters unless given.

    Its next keys are those of `next/HANDLE`, committed to for the network `net`.
    """
    return Member(
        handle=handle,
        member_class=member_class,
        country=handle[:2].upper() if country is None else country,
        keys=keys(handle).public,
        revoke=keys(f"revoke/{handle}").public.signing,
        next=keys(f"next/{handle}").public.next_commitment(net),
    )


def genesis_body(*, officers: Sequence[str] = OFFICERS, now: int = NOW, sponsors_threshold: int = 2) -> bytes:
    """Body of a genesis that all `officers` have to agree under."""
    return build_genesis(
        nonce=sha256(b"nonce"),
        name="Test network",
        hub=HubIdentity(ORIGIN, b"", keys("hub").public),
        officers=[Officer(name, keys(f"officer/{name}").public) for name in officers],
        officers_threshold=len(officers),
        sponsors_threshold=sponsors_threshold,
        recovery=keys("recovery").public.signing,
        at=now,
        not_after=now + DAY_MS,
    )


def signed(body: bytes, *signers: str) -> Statement:
    """`body` signed by each of `signers` with its own key."""
    statement = Statement(body)
    for signer in signers:
        statement = statement.with_signature(signer, keys(signer))
    return statement


@dataclass
class World:
    """A network that grows: `append` is the hub, the rest are those who sign. Times in UTC ms."""

    net: bytes
    directory: Directory
    leaves: list[bytes]
    now: int
    hub_keys: PrivateKeys
    officer_keys: dict[str, PrivateKeys]
    recovery_keys: PrivateKeys
    member_keys: dict[str, PrivateKeys] = field(default_factory=dict)
    prekeys: dict[str, dict[bytes, tuple[PrekeySecret, PrekeyRef]]] = field(default_factory=dict)  # by kid
    records: dict[bytes, bytes] = field(default_factory=dict)  # prekey records by kid
    outcomes: list[Outcome] = field(default_factory=list)

    def copy(self) -> World:
        """One that grows by itself from here on."""
        return replace(
            self,
            directory=copy.deepcopy(self.directory),
            leaves=list(self.leaves),
            officer_keys=dict(self.officer_keys),
            member_keys=dict(self.member_keys),
            prekeys={member: dict(held) for member, held in self.prekeys.items()},
            records=dict(self.records),
            outcomes=list(self.outcomes),
        )

    @property
    def checkpoint(self) -> SignedCheckpoint:
        """The newest one, made anew at every call (so take its `ref` and itself from one call)."""
        return self.checkpoint_at(self.directory.size)

    def checkpoint_at(self, size: int, at: int | None = None) -> SignedCheckpoint:
        """What the hub signed, or would have, when the log had `size` leaves."""
        at = self.directory.at if at is None else at
        body = Checkpoint(self.net, self.directory.term, size, self.directory.root(size), at)
        return SignedCheckpoint.sign(body, self.hub_keys)

    @property
    def dir(self) -> DirRef:
        return self.checkpoint.ref(self.net)

    def leaf(self, statement: Statement, at: int | None = None, *, index: int | None = None) -> bytes:
        """The leaf that the hub would log next."""
        index = self.directory.size if index is None else index
        return Leaf(index, self.now if at is None else at, statement).to_bytes(self.net)

    def append(self, statement: Statement, at: int | None = None) -> Outcome:
        """Log it, whatever it is."""
        return self.append_leaf(self.leaf(statement, at))

    def append_leaf(self, leaf: bytes) -> Outcome:
        outcome = self.directory.apply(leaf, now=None)
        self.leaves.append(leaf)
        self.outcomes.append(outcome)
        return outcome

    def add_body(self, handle: str, *, member: Member | None = None) -> bytes:
        member = member or a_member(handle, net=self.net)
        return build_add(net=self.net, member=member, not_after=self.now + 30 * DAY_MS)

    def add_statement(
        self, handle: str, *, sponsors: Iterable[str] = (), member: Member | None = None
    ) -> Statement:
        """An add with the new member's signature, every officer's and those sponsors'."""
        officers = [f"officer/{name}" for name in self.officer_keys]
        return signed(self.add_body(handle, member=member), handle, *officers, *sponsors)

    def refs(self, address: str, *, start: int | None = None, epochs: int = 2) -> list[PrekeyRef]:
        """Make that many consecutive epochs' prekeys, the first from `start` (a day ago), and keep them."""
        first = self.now - DAY_MS if start is None else start
        made = []
        for begin in range(first, first + epochs * EPOCH_MS, EPOCH_MS):
            secret = prekey_secret(address, begin)
            until = begin + EPOCH_MS
            record = PrekeyRecord(address, begin, until, until + GRACE_MS, secret.public)
            ref = record.ref(self.net)
            self.records[ref.kid] = record.to_bytes(self.net)
            self.prekeys.setdefault(address, {})[ref.kid] = (secret, ref)
            made.append(ref)
        return made

    def prekeys_body(self, address: str, refs: Sequence[PrekeyRef] | None = None) -> bytes:
        return build_prekeys(
            net=self.net,
            address=address,
            refs=self.refs(address) if refs is None else refs,
            after=self.directory.last_hash(address, "prekeys"),
            not_after=self.now + DAY_MS,
        )

    def prekeys_statement(self, address: str, refs: Sequence[PrekeyRef] | None = None) -> Statement:
        """Prekeys signed by the address itself."""
        return signed(self.prekeys_body(address, refs), address)

    def join(self, handle: str, *, member: Member | None = None) -> None:
        """Admit a member, sponsored by all there are, and publish its prekeys."""
        sponsors = tuple(self.directory.members)
        outcome = self.append(self.add_statement(handle, sponsors=sponsors, member=member))
        self.member_keys[handle] = keys(handle)
        published = self.append(self.prekeys_statement(handle))
        assert outcome.effective, outcome.code
        assert published.effective, published.code

    def advance(self, milliseconds: int) -> None:
        """Let time pass."""
        self.now += milliseconds


def make_world(members: Sequence[str] = MEMBERS, *, now: int = NOW, sponsors_threshold: int = 2) -> World:
    """A network of two officers and these members, each with prekeys for two epochs from a day before `now`."""
    body = genesis_body(now=now, sponsors_threshold=sponsors_threshold)
    officers = {name: keys(f"officer/{name}") for name in OFFICERS}
    statement = signed(body, "hub", "recovery", *(f"officer/{name}" for name in OFFICERS))
    net = network_id(body)
    leaf = Leaf(0, now, statement).to_bytes(net)
    world = World(
        net=net,
        directory=Directory.from_genesis(leaf),
        leaves=[leaf],
        now=now,
        hub_keys=keys("hub"),
        officer_keys=officers,
        recovery_keys=keys("recovery"),
    )
    for handle in members:
        world.join(handle)
    return world


def raw_body(net: bytes, **changes: object) -> bytes:
    """A body with the common members, for types and values that the builders refuse."""
    common: dict[str, object] = {
        "after": b64(bytes(32)),
        "net": b64(net),
        "not_after": NOW + DAY_MS,
        "subject": ["network", "weather"],
        "type": "weather",
        "v": 1,
    }
    return dumps({**common, **changes})


def without_signature(statement: Statement, signer: str) -> Statement:
    """`statement` as if `signer` hadn't signed."""
    return replace(statement, signatures=tuple(pair for pair in statement.signatures if pair[0] != signer))


def assert_no_effect(
    world: World, statement: Statement, code: str, *, alarm: bool, at: int | None = None
) -> Outcome:
    """Logged and kept in the tree, without effect, and the next good statement goes through (never a freeze)."""
    members, prekeys, size = (
        dict(world.directory.members),
        world.directory.prekeys("pe-csirt"),
        world.directory.size,
    )
    with pytest.raises(Rejected) as refused:
        world.directory.judge(statement, world.now if at is None else at)
    assert refused.value.code == code
    outcome = world.append(statement, at)
    assert (outcome.code, outcome.effective, outcome.alarm) == (code, False, alarm)
    assert (outcome.index, world.directory.size) == (size, size + 1)
    assert dict(world.directory.members) == members
    assert world.directory.prekeys("pe-csirt") == prekeys
    if code != "directory.limited":
        assert world.append(world.prekeys_statement("co-csirt")).effective
    assert Directory.replay(world.leaves, now=None).root() == world.directory.root()
    return outcome
