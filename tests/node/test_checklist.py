"""From provisional to active by the clock: a sponsor's node signs only what it has seen itself (§9.16)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from exchange.canonical import sha256
from exchange.directory.bodies_members import StatusMove, build_rotate
from exchange.directory.members import Move, Status
from exchange.directory.records import Basis, MembersRecord, PublicRecord, read
from exchange.directory.submission import LOGGED, PENDING
from exchange.errors import Refused
from exchange.hub.applications import create_invitation
from exchange.limits import DAY_MS, HOUR_MS, MINUTE_MS
from exchange.message import Urgency
from exchange.node.directory.checklist import FLASH, OFFLINE, ROTATION, paper
from exchange.node.directory.membership import Papers, kept_document
from exchange.node.store.directory import add_own_statement
from exchange.node.store.parts import all_parts
from exchange.tlp import Tlp
from tests.simulator import Simulation, Site, simulation
from tests.worlds import OFFICERS, keys, signed

MX = "mx-csirt"
DOCUMENT = b'{"legal_basis":{"text":"Decreto 1"},"name_official":{"es":"Centro Nacional"},"name_short":"CN"}'


@pytest.fixture
async def sim(tmp_path: Path) -> AsyncIterator[Simulation]:
    async with simulation(tmp_path) as running:
        yield running


@pytest.fixture
async def mx(sim: Simulation) -> Site:
    """A newcomer that is provisional, sponsored by pe and co."""
    hub = sim.running_hub
    invitation = create_invitation(
        hub.store,
        member=MX,
        member_class="national_csirt",
        country="MX",
        origin="https://hub.example",
        valid_days=7,
        now=sim.world.now,
        random=lambda size: sha256(b"token")[:size],
    )
    sim.tokens[MX] = invitation.token
    site = sim.site(MX)
    await site.start()
    revoke, next_ = keys(f"revoke/{MX}").public, keys(f"next/{MX}").public
    await site.up.membership.apply(
        site.hub,
        invitation,
        Papers(document=DOCUMENT, agreement=sha256(b"agreement")),
        revoke=revoke.signing,
        next_=next_.next_commitment(sim.world.net),
    )
    del sim.tokens[MX]  # from now on it is asked as a member
    for sponsor in ("pe-csirt", "co-csirt"):
        by = sim.sites[sponsor]
        await by.up.membership.sponsor(by.hub, await by.up.membership.application(by.hub, MX))
    (application,) = await hub.applications.waiting()
    statement = signed(application.statement.body, *(f"officer/{name}" for name in OFFICERS))
    await hub.applications.sign(MX, statement.hash(sim.world.net), statement.signatures)
    await sim.rounds()
    return site


def still_open(sponsor: Site) -> list[str]:
    """The words of the items that this sponsor's node hasn't seen done."""
    return [item.word for item in sponsor.up.membership.checked(MX) if not item.done]


async def acknowledged(sim: Simulation, sponsor: Site, mx: Site, *, after: int) -> None:
    """A flash message of the sponsor that somebody at mx acknowledges so many ms after the hub had it."""
    message = sponsor.send(MX, urgency=Urgency.FLASH, tlp=Tlp.GREEN)
    await sim.rounds()
    sim.world.advance(after)
    mx.desk.answer(message, "acknowledged", person="Ana")
    await sim.rounds()


async def away(sim: Simulation, sponsor: Site, mx: Site, *, away_for: int) -> None:
    """A message that mx takes in so many ms after the hub had it, because it was down."""
    await mx.stop()
    sponsor.send(MX, tlp=Tlp.GREEN)
    await sim.rounds()
    sim.world.advance(away_for)
    await sim.running_hub.registrar.renew()  # the hub's own hourly work
    await mx.start()
    await sim.rounds()


async def rotated(sim: Simulation, mx: Site) -> None:
    """The newcomer's keys roll over."""
    world, registrar = sim.world, sim.running_hub.registrar
    body = build_rotate(
        net=world.net,
        handle=MX,
        keys=keys(f"next/{MX}").public,
        next_keys=keys(f"after/{MX}").public.next_commitment(world.net),
        after=registrar.directory.last_hash(MX, "identity"),
        not_after=world.now + DAY_MS,
    )
    statement = signed(body).with_signature(MX, keys(f"next/{MX}"))
    digest = statement.hash(world.net)
    await mx.up.store.db.write(lambda c: add_own_statement(c, digest, "rotate", now=world.now))
    await registrar.submit(statement, ())
    await sim.rounds()


async def test_a_provisional_member_becomes_active_by_what_its_sponsor_has_seen(
    sim: Simulation, mx: Site
) -> None:
    pe = sim.sites["pe-csirt"]
    membership = pe.up.membership
    assert pe.up.replica.directory.members[MX].status is Status.PROVISIONAL
    assert still_open(pe) == [FLASH, OFFLINE, ROTATION]
    with pytest.raises(Refused, match=r"onboarding\.checklist") as refused:
        membership.ready(MX)
    assert refused.value.facts["open"] == [FLASH, OFFLINE, ROTATION]

    await acknowledged(sim, pe, mx, after=16 * MINUTE_MS)
    assert FLASH in still_open(pe)
    await acknowledged(sim, pe, mx, after=15 * MINUTE_MS)
    assert still_open(pe) == [OFFLINE, ROTATION]
    await away(sim, pe, mx, away_for=DAY_MS - HOUR_MS)
    assert OFFLINE in still_open(pe)
    await away(sim, pe, mx, away_for=DAY_MS)
    assert still_open(pe) == [ROTATION]
    await rotated(sim, mx)
    assert still_open(pe) == []
    # what another sponsor has seen is its own
    assert still_open(sim.sites["co-csirt"]) == [FLASH, OFFLINE]

    text = membership.ready(MX)
    member = pe.up.replica.directory.members[MX]
    assert text == paper(member, "pe-csirt", membership.checked(MX), sim.world.net)
    assert (await membership.activate(pe.hub, MX, text)).outcome == PENDING
    (pending,) = await sim.sites["co-csirt"].up.membership.pending(sim.sites["co-csirt"].hub)
    assert isinstance(pending.body, StatusMove)
    assert (pending.body.move, pending.body.document) == (Move.ACTIVATE, sha256(text))
    officers = signed(pending.statement.body, *(f"officer/{name}" for name in OFFICERS))
    digest = officers.hash(sim.world.net)
    answer = await sim.running_hub.pending.sign(digest, officers.signatures, by="officer/alba")
    key = sim.world.hub_keys.public.signing
    assert answer.verify(sim.world.net, key, statement=digest).outcome == LOGGED
    await sim.rounds()
    assert mx.up.replica.directory.members[MX].status is Status.ACTIVE
    assert pe.alarm_codes() == mx.alarm_codes() == []
    with pytest.raises(Refused, match=r"directory\.wrong-status"):
        membership.checked(MX)


async def test_who_is_asked_to_sign_what(sim: Simulation, mx: Site) -> None:
    pe, bb = sim.sites["pe-csirt"], sim.sites["bb-csirt"]
    await acknowledged(sim, pe, mx, after=MINUTE_MS)
    await away(sim, pe, mx, away_for=DAY_MS)
    await rotated(sim, mx)
    await pe.up.membership.activate(pe.hub, MX, pe.up.membership.ready(MX))
    wanted = {
        site.member: [site.up.membership.wants_me(one) for one in await site.up.membership.pending(site.hub)]
        for site in (pe, sim.sites["co-csirt"], bb)
    }
    # pe has signed, co has sponsored too, bb has not
    assert wanted == {"pe-csirt": [False], "co-csirt": [True], "bb-csirt": [False]}


async def test_a_newcomer_that_is_admitted_says_who_it_is_by_its_application(
    sim: Simulation, mx: Site
) -> None:
    pe = sim.sites["pe-csirt"]
    assert pe.up.replica.directory.records[MX].parts.keys() == {"members", "public"}
    store = pe.up.store
    parts = await store.db.read(lambda c: all_parts(c, store.cipher))
    said = {part.level: part.body for part in parts if part.address == MX}
    assert read(PublicRecord, said["public"]) == PublicRecord(
        name_official={"es": "Centro Nacional"}, name_short="CN"
    )
    assert read(MembersRecord, said["members"]) == MembersRecord(legal_basis=Basis(text="Decreto 1"))
    # the application itself is kept nowhere any more
    assert await mx.up.store.db.read(lambda c: kept_document(c, mx.up.store.cipher)) == b""
    assert await sim.running_hub.applications.all() == []
