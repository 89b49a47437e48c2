"""New keys for a published unit: made by its reader, given by officers, in use from when the log has them."""

from __future__ import annotations

import pytest

from exchange.errors import Refused
from exchange.limits import DAY_MS
from exchange.node import units
from exchange.node.home import Paths, open_home
from exchange.node.units import Draft
from exchange.storage.files import HomeLock
from exchange.storage.unlock import Unlock
from tests.contact_points import BOTH
from tests.node.unit_homes import UnitSite, key_of, made, published
from tests.simulator import Simulation, Site
from tests.worlds import keys, signed


async def rekeyed(sim: Simulation, host: Site, unit: UnitSite) -> Draft:
    """The unit's reader makes new keys with its server stopped, and the host's administrator hands the draft in."""
    draft = await units.rekey(open_home(unit.home, Unlock.key_file(unit.key)), host.up.sources)
    submission = await units.publish(
        host.up.identity, host.up.store, host.up.replica, host.hub, draft, now=sim.world.now
    )
    assert submission.outcome == "pending"
    return draft


async def officers_sign(sim: Simulation, draft: Draft) -> None:
    pending, digest = sim.running_hub.pending, draft.statement.hash(sim.world.net)
    body = draft.statement.body
    answer = await pending.sign(digest, signed(body, *BOTH).signatures, by=BOTH[0])
    outcome = answer.verify(sim.world.net, sim.world.hub_keys.public.signing, statement=digest).outcome
    assert outcome == "logged"


async def test_unit_gets_new_keys_from_the_officers_and_mail_goes_on(
    sim: Simulation, host: Site, co: Site
) -> None:
    tracing = await published(sim, host, "tracing")
    waits = co.send("pe-csirt/tracing")  # sealed to the old prekeys, and fetched under the new keys
    await co.once()
    old = tracing.up.identity.skid
    listed = {ref.kid for ref in host.up.replica.directory.prekeys(tracing.member)}
    await tracing.stop()
    draft = await rekeyed(sim, host, tracing)
    await tracing.start()
    await sim.rounds()
    assert tracing.up.identity.skid == old  # nobody but the reader has signed
    await officers_sign(sim, draft)
    await sim.rounds(3)
    unit = host.up.replica.directory.units[tracing.member]
    assert tracing.up.identity.keys.public == unit.keys != keys(tracing.member).public
    assert tracing.up.identity.skid != old
    fresh = {ref.kid for ref in host.up.replica.directory.prekeys(tracing.member)}
    assert fresh
    assert fresh.isdisjoint(listed)  # whoever had the home before opens nothing that is sealed from now on
    after, back = co.send("pe-csirt/tracing"), tracing.send("co-csirt")
    await sim.rounds(3)
    assert (tracing.received(), co.received()) == ([waits, after], [back])
    assert (co.state(waits, tracing.member), co.state(after, tracing.member)) == ("stored", "stored")
    assert host.alarm_codes() == tracing.alarm_codes() == co.alarm_codes() == []
    await tracing.restart()
    assert tracing.up.identity.keys.public == unit.keys


async def test_unit_that_was_off_when_its_new_keys_were_logged_finds_them(
    sim: Simulation, host: Site, co: Site
) -> None:
    tracing = await published(sim, host, "tracing")
    await tracing.stop()
    draft = await rekeyed(sim, host, tracing)
    again = await units.rekey(open_home(tracing.home, Unlock.key_file(tracing.key)), host.up.sources)
    assert again.digits == draft.digits
    await officers_sign(sim, draft)
    await host.once()
    known = sim.running_hub.registrar.directory.units[tracing.member].keys

    def only_the_keys_in_the_log(_name: str, _value: object) -> None:
        """What the hub does with tokens: the simulation has none."""
        if tracing.up.identity.keys.public != known:
            raise Refused("auth.bad-signature")

    tracing.hub.wire.before = only_the_keys_in_the_log
    await tracing.start()
    await sim.rounds(3)
    sent = co.send(tracing.member)
    await sim.rounds(3)
    assert tracing.received() == [sent]
    assert tracing.alarm_codes() == []


async def test_new_keys_that_no_officer_signs_lapse(sim: Simulation, host: Site) -> None:
    tracing = await published(sim, host, "tracing")
    with HomeLock(tracing.home / "lock"), pytest.raises(Refused, match=r"home\.locked"):
        await units.rekey(open_home(tracing.home, Unlock.key_file(tracing.key)), host.up.sources)
    old = tracing.up.identity.skid
    await tracing.stop()
    first = await rekeyed(sim, host, tracing)
    sim.world.now += units.DRAFT_LIFE_MS + 2 * DAY_MS
    await tracing.start()
    await sim.rounds(2)
    assert tracing.up.identity.skid == old
    await tracing.stop()
    assert (await rekeyed(sim, host, tracing)).digits != first.digits


async def test_unit_that_nobody_has_published_makes_no_second_keys(host: Site) -> None:
    made(host, "tracing")
    home = open_home(Paths(host.home).unit("tracing").root, Unlock.key_file(key_of(host, "tracing")))
    with pytest.raises(Refused, match=r"directory\.unknown-member"):
        await units.rekey(home, host.up.sources)
