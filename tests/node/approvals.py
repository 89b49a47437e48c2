"""Officers and contact points for tests of nodes: what the hub keeps pending is signed by whoever has to."""

from __future__ import annotations

from collections.abc import Mapping

from exchange.canonical import sha256
from exchange.directory.statements import Statement
from exchange.directory.submission import LOGGED, PENDING
from exchange.node.directory.registration import Function
from tests.simulator import Simulation, Site
from tests.worlds import OFFICERS, keys

TRACING = Function("operational_tracing", "police", ("firearms",), nomination=sha256(b"note verbale"))
PRESS = Function("press", "csirt", ("phishing",), nomination=sha256(b"note verbale"))


async def officers_sign(sim: Simulation) -> int:
    """Every officer signs every statement that waits; how many there were."""
    pending = sim.running_hub.pending
    waiting = await pending.waiting()
    for one in waiting:
        digest = one.statement.hash(sim.world.net)
        for name in OFFICERS:
            signer = f"officer/{name}"
            signed = Statement(one.statement.body).with_signature(signer, keys(signer))
            await pending.sign(digest, signed.signatures, by=signer)
    return len(waiting)


async def a_contact(
    sim: Simulation, site: Site, name: str, bodies: Mapping[str, bytes], *, function: Function = TRACING
) -> str:
    """A contact point of the site's member, nominated by the officers; its address. Other nodes don't know it yet."""
    address = f"{site.member}/{name}"
    node = site.up
    submission = await node.registration.publish_contact(site.hub, address, function, bodies)
    assert submission.outcome in (LOGGED, PENDING)
    await officers_sign(sim)
    await node.replica.refresh(site.hub)
    assert not node.replica.directory.contacts[address].ended
    return address
