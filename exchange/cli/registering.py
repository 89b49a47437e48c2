"""What the commands share that state something of this home's own in the log: previews, handing in, who signs next.

Owns how such a statement is shown before and after it is signed. The statements are node/directory/registration's,
whose signatures they need is the directory's judgement.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import orjson

from exchange.canonical import Json
from exchange.cli.call import Call, now_ms
from exchange.cli.node.home import Connected, connected, wake
from exchange.cli.output import one_line
from exchange.cli.waiting import lacks, statement_id
from exchange.directory.bodies_contacts import ContactPoint
from exchange.directory.book import Book
from exchange.directory.contacts import Part
from exchange.directory.submission import LOGGED, PENDING, Submission
from exchange.directory.waiting import Pending
from exchange.errors import Refused, Unavailable
from exchange.node.app import real_sources, running
from exchange.node.control import channel as control
from exchange.node.directory.membership import Membership
from exchange.node.directory.parts import Parts
from exchange.node.directory.registration import Registration
from exchange.node.directory.replica import Replica
from exchange.node.home import Home, open_home
from exchange.node.identity import Identity
from exchange.node.mail.outbox import Outbox
from exchange.node.store import parts as store_parts
from exchange.node.store.store import Store, Transaction
from exchange.node.uplink.api import HubApi
from exchange.storage.local_cipher import LocalCipher

SERVER_SECONDS: Final = 10.0  # in which a server beside us takes in a leaf that the hub has logged
_LONGEST: Final = 120  # characters of a value in a preview


@dataclass(frozen=True)
class Change:
    """A field of a record as it was and as it would be; None: not there."""

    level: str
    field: str
    before: Json
    after: Json

    def to_json(self) -> dict[str, Json]:
        return {"level": self.level, "field": self.field, "before": self.before, "after": self.after}


@dataclass(frozen=True)
class Register:
    """A home with what it takes to state something in the log in its name."""

    store: Store
    identity: Identity
    replica: Replica
    registration: Registration
    membership: Membership
    hub: HubApi

    @property
    def address(self) -> str:
        """Who signs here: a member, or one of its units."""
        return self.identity.address

    async def book(self) -> Book:
        """The address book as this home holds it now."""
        parts = await self.store.db.read(lambda c: store_parts.all_parts(c, self.store.cipher))
        return Book.build(self.replica.directory, parts, now_ms())

    async def own_parts(self) -> list[Part]:
        """As `own_parts`, of this home."""
        return await self.store.db.read(lambda c: own_parts(c, self.store.cipher))


def own_parts(connection: Transaction, cipher: LocalCipher) -> list[Part]:
    """What a home says of its own and has ever said and still keeps, drafts that wait for signatures among it."""
    contents = (
        store_parts.content(connection, cipher, one.hash) for one in store_parts.kept(connection) if one.own
    )
    return [part for part in contents if part is not None]


@asynccontextmanager
async def registering(home: Home) -> AsyncIterator[Register]:
    """Beside a server, which keeps the log; without one as the home's owner, on the newest log.

    Raises Unavailable hub.* where the hub can't be asked.
    """
    async with AsyncExitStack() as stack:
        try:
            node = await stack.enter_async_context(running(home, real_sources()))
        except Refused as refusal:
            if refusal.code != "home.locked":
                raise
            yield _beside(home.identity(), await stack.enter_async_context(connected(home)))
        else:
            await node.replica.refresh(node.hub)
            yield Register(
                node.store, node.identity, node.replica, node.registration, node.membership, node.hub
            )


def _beside(identity: Identity, to: Connected) -> Register:
    sources = real_sources()
    parts = Parts(to.store, identity, to.replica, Outbox(to.store, identity, to.replica, sources), sources)
    registration = Registration(to.store, identity, to.replica, parts, sources, follows=False)
    membership = Membership(to.store, identity, to.replica, sources)
    return Register(to.store, identity, to.replica, registration, membership, to.hub)


def home_of(call: Call) -> Home:
    """The call's home. Raises Refused home.missing, keystore.*."""
    return open_home(call.home, call.unlock())


def settle(call: Call, home: Home, logged: Sequence[Submission]) -> None:
    """Let what follows from logged statements happen: a server takes them in, restricted parts go out sealed."""
    last = max((one.index for one in logged if one.outcome == LOGGED), default=0)
    if not last:
        return
    wake(call, home)
    patience = SERVER_SECONDS + control.REQUEST_SECONDS
    with contextlib.suppress(Unavailable):  # no server runs here: `wake` has done its work
        answer = control.ask(
            home.paths.socket, "follow", patience=patience, size=last + 1, seconds=SERVER_SECONDS
        )
        if not answer["done"]:
            call.out.warn("the hub has logged it; the server here hasn't taken it in yet")


# -- previews -------------------------------------------------------------------------------------------------------


def changes(level: str, before: Mapping[str, Json], after: Mapping[str, Json]) -> list[Change]:
    """What differs between two records of a level, by field."""
    return [
        Change(level, name, before.get(name), after.get(name))
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]


def change_lines(found: Sequence[Change]) -> list[str]:
    """The same for people: `+` what is new, `-` what goes, `~` what is another."""
    lines = []
    for one in found:
        name = f"{one.level:<8} {one.field}"
        if one.before is None:
            lines.append(f"+ {name}: {_shown(one.after)}")
        elif one.after is None:
            lines.append(f"- {name}: {_shown(one.before)}")
        else:
            lines.append(f"~ {name}: {_shown(one.before)} -> {_shown(one.after)}")
    return lines


def _shown(value: Json) -> str:
    text = value if isinstance(value, str) else orjson.dumps(value).decode("utf-8")
    return one_line(text, _LONGEST)


# -- who signs next --------------------------------------------------------------------------------------------------


async def waiting_for(register: Register, submission: Submission) -> Pending | None:
    """The statement that the hub answered `pending` about, with the signatures it has; None for another answer."""
    if submission.outcome != PENDING:
        return None
    net = register.identity.net
    return next(
        (
            one
            for one in await register.membership.pending(register.hub)
            if one.statement.hash(net) == submission.statement
        ),
        None,
    )


def missing(register: Register, one: Pending) -> tuple[list[str], str]:
    """Who must still sign a pending statement: nominating authorities, and what else it lacks in words."""
    authorities: list[str] = []
    if isinstance(one.body, ContactPoint):
        wanted = register.replica.directory.who_nominates(one.body)
        authorities = sorted(set(wanted.authorities.values()) - set(one.statement.signers))
        if not wanted.by_officers:
            return authorities, ""
    lack = register.membership.lack(one.statement)
    if lack.code == "directory.not-nominated":  # the officers are counted once the authorities have signed
        return authorities, "officers"
    return authorities, lacks(lack)


def next_signers(register: Register, one: Pending) -> str:
    """Who must sign a pending statement next, with the very command."""
    authorities, others = missing(register, one)
    number = statement_id(one.statement.hash(register.identity.net))
    steps = [
        f"{address}: exchange directory nominate {number} --as {address.partition('/')[2]}"
        for address in authorities
    ]
    if others:
        note = " --document FILE" if isinstance(one.body, ContactPoint) else ""  # the note verbale
        steps.append(f"officers: exchange officer sign {number}{note}")
    lacking = ", ".join([*authorities, *filter(None, [others])])
    return f"still missing: {lacking}; {'; '.join(steps)}" if steps else ""


async def outcome_value(register: Register, submission: Submission) -> tuple[dict[str, Any], str]:
    """The hub's answer as JSON has it (`outcome`, `id`, `missing`), and who must sign next."""
    one = await waiting_for(register, submission)
    value: dict[str, Any] = {
        "outcome": submission.outcome,
        "id": statement_id(submission.statement),
        "missing": [],
    }
    if one is None:
        return value, ""
    authorities, others = missing(register, one)
    value["missing"] = [*authorities, *filter(None, [others])]
    return value, next_signers(register, one)


def run(call: Call, work: Callable[[Register], Awaitable[Sequence[Submission]]]) -> None:
    """Run `work(register)` of the call's home; it returns what was submitted, which then takes its course."""
    home = home_of(call)

    async def doing() -> Sequence[Submission]:
        async with registering(home) as register:
            return await work(register)

    settle(call, home, asyncio.run(doing()))
