"""A member that lost its keys comes back with new ones, by its officers and sponsors, after 72 hours (§9.9)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from exchange.canonical import sha256
from exchange.directory.submission import LOGGED, PENDING
from exchange.errors import Refused
from exchange.hub.applications import create_invitation
from exchange.invitation import Invitation
from exchange.limits import HOUR_MS
from tests.simulated_hub import SimulatedHub
from tests.simulator import Simulation, Site, simulation
from tests.worlds import OFFICERS, keys, signed

PE = "pe-csirt"
NEW = "again/pe-csirt"


@pytest.fixture
async def sim(tmp_path: Path) -> AsyncIterator[Simulation]:
    async with simulation(tmp_path) as running:
        yield running


def invited(sim: Simulation, member: str, *, again: bool) -> Invitation:
    return create_invitation(
        sim.running_hub.store,
        member=member,
        member_class="observer",
        country="",
        origin="https://hub.example",
        valid_days=7,
        now=sim.world.now,
        random=lambda size: sha256(b"token")[:size],
        again=again,
    )


async def test_who_may_be_invited_again(sim: Simulation) -> None:
    invitation = invited(sim, PE, again=True)
    assert (invitation.member_class, invitation.country) == ("national_csirt", "PE")
    with pytest.raises(Refused, match=r"directory\.unknown-member"):
        invited(sim, "mx-csirt", again=True)
    with pytest.raises(Refused, match=r"directory\.handle-taken"):
        invited(sim, PE, again=False)


async def test_a_member_that_lost_its_keys_comes_back_with_new_ones(sim: Simulation, tmp_path: Path) -> None:
    world, hub, co = sim.world, sim.running_hub, sim.sites["co-csirt"]
    await sim.sites[PE].stop()  # its home is gone
    pe = Site(sim, PE, tmp_path / "new", SimulatedHub(sim, PE), keys_of=NEW)
    sim.sites[PE] = pe
    await pe.start()
    statement = await pe.up.membership.recovery(
        pe.hub,
        invited(sim, PE, again=True),
        revoke=keys("revoke/again").public.signing,
        next_=keys("next/again").public.next_commitment(world.net),
    )
    by_officers = signed(statement.body, *(f"officer/{name}" for name in OFFICERS))
    whole = statement.merged(by_officers.signatures)
    answer = await hub.pending.submit(whole, (), (), by="officer/alba")
    digest, key = whole.hash(world.net), world.hub_keys.public.signing
    assert answer.verify(world.net, key, statement=digest).outcome == PENDING
    for sponsor, outcome in (("co-csirt", PENDING), ("bb-csirt", LOGGED)):
        site = sim.sites[sponsor]
        (waiting,) = await site.up.membership.pending(site.hub)
        assert site.up.membership.wants_me(waiting)
        assert (await site.up.membership.vote(site.hub, waiting)).outcome == outcome
    await co.once()
    assert co.up.replica.directory.member(PE).keys == keys(PE).public

    sent = co.send(PE)
    world.advance(72 * HOUR_MS + 1)
    await hub.registrar.tick()
    await hub.registrar.renew()
    await sim.rounds(4)
    assert co.up.replica.directory.member(PE).keys == keys(NEW).public
    back = pe.send("co-csirt")
    await sim.rounds()
    assert (pe.received(), co.received()) == ([sent], [back])
    assert "directory.own-name" not in pe.alarm_codes()
