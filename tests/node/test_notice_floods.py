"""Notices without end: what one peer, or whoever has a key, can make a node keep, verify and tell people of."""

from __future__ import annotations

from exchange.content import Notice
from exchange.directory.statements import Statement
from exchange.limits import DAY_MS, HOUR_MS
from exchange.node.directory.notices import FAULTS_A_DAY, NEW_A_DAY
from exchange.node.store import notices as store_notices
from exchange.node.store.figures import NOTICES_DROPPED
from exchange.node.store.store import number
from tests.node.test_notices import a_revoke, freeze, log
from tests.simulator import Simulation, Site


async def take(site: Site, sender: str, statement: Statement) -> None:
    """As a sealed notice of `sender` is taken."""
    step = site.up.notices.prepare(sender, Notice(statement.body, statement.signatures))
    await site.up.store.db.write(step)


async def kept(site: Site) -> int:
    return len(await site.up.store.db.read(store_notices.kept))


async def dropped(site: Site) -> int:
    return await site.up.store.db.read(lambda c: number(c, NOTICES_DROPPED))


async def test_who_has_a_key_can_revoke_it_only_so_often(sim: Simulation, pe: Site) -> None:
    """Each says a little more, so that each is new; another key's are not touched by it."""
    freeze(pe)
    for hours in range(NEW_A_DAY + 10):
        await take(pe, "co-csirt", a_revoke(sim, "co-csirt", since=sim.world.now - hours * HOUR_MS))
    assert (await kept(pe), await dropped(pe)) == (NEW_A_DAY, 10)
    assert len(pe.alarm_codes()) == NEW_A_DAY
    await take(pe, "co-csirt", a_revoke(sim, "bb-csirt", since=sim.world.now))
    assert pe.up.replica.distrusts("bb-csirt")


async def test_notices_that_say_less_than_the_log_are_forgotten(sim: Simulation, pe: Site) -> None:
    freeze(pe)
    for hours in (1, 2, 3):
        await take(pe, "bb-csirt", a_revoke(sim, "co-csirt", since=sim.world.now - hours * HOUR_MS))
    assert await kept(pe) == 3
    del pe.hub.checkpoint
    await log(sim, a_revoke(sim, "co-csirt", since=sim.world.now - 5 * HOUR_MS))
    await pe.once()
    assert (await kept(pe), pe.up.replica.overlay.lost) == (0, frozenset())


async def test_peer_whose_notices_do_not_verify_is_not_listened_to_until_tomorrow(
    sim: Simulation, pe: Site
) -> None:
    freeze(pe)
    forged = Statement(a_revoke(sim, "co-csirt", since=sim.world.now).body).with_signature(
        "co-csirt", sim.world.member_keys["bb-csirt"]
    )
    for _ in range(FAULTS_A_DAY):
        await take(pe, "bb-csirt", forged)
    good = a_revoke(sim, "co-csirt", since=sim.world.now)
    await take(pe, "bb-csirt", good)
    assert (await kept(pe), await dropped(pe)) == (0, FAULTS_A_DAY + 1)
    await take(pe, "co-csirt", good)
    await take(pe, "co-csirt", good)
    assert (await kept(pe), await dropped(pe)) == (1, FAULTS_A_DAY + 1)
    sim.world.now += DAY_MS
    await take(pe, "bb-csirt", a_revoke(sim, "co-csirt", since=sim.world.now - DAY_MS - HOUR_MS))
    assert await kept(pe) == 2
