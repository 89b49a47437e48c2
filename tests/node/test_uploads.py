"""What a node sends again, when, and what it keeps in mind of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from exchange.errors import Unavailable
from exchange.header import parse_header
from exchange.message import Urgency
from exchange.node.store import sealings as store_sealings
from exchange.wire import Upload
from tests.simulator import Simulation, Site


async def test_session_keeps_nothing_in_mind_of_what_the_hub_has_receipted(sim: Simulation, pe: Site) -> None:
    uploads = pe.up.sync._services.uploads
    for urgency in (Urgency.ROUTINE, Urgency.FLASH):
        sent = pe.send("co-csirt", urgency=urgency)
        await pe.up.outbox.dispatch(pe.hub, (urgency.value,))
        env = pe.copy(sent, "co-csirt").env or b""
        assert pe.up.store.db.read_sync(lambda c, env=env: store_sealings.still_sealed(c, [env])) == {env}
        await sim.rounds(1)
        assert pe.copy(sent, "co-csirt").accepted_at
        assert uploads._offered == set()


async def test_what_the_hub_asks_to_be_sent_later_is_not_sent_before(
    sim: Simulation, pe: Site, co: Site
) -> None:
    await co.stop()
    sim.running_hub.mailboxes._limits = replace(sim.running_hub.mailboxes._limits, quota_envelopes=1)
    pe.send("co-csirt")
    await sim.rounds()
    refused, offered = pe.send("co-csirt"), list[str]()

    def note(name: str, value: Any) -> None:
        if name in ("put_envelope", "post_envelopes"):
            offered.extend(parse_header(Upload.from_bytes(one, 1).header).lane for one in value)

    pe.hub.wire.before = note
    running = asyncio.create_task(pe.up.sync.run())
    while "routine" not in offered:
        await pe.up.sync.changed.wait(0.1)
    pe.send("co-csirt", urgency=Urgency.FLASH)
    while "flash" not in offered:
        pe.up.sync.poke()
        await pe.up.sync.changed.wait(0.1)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert offered.count("routine") == 1
    with pytest.raises(Unavailable, match=r"quota\.exceeded") as later:
        await pe.once()
    assert (later.value.facts["retry_after"], pe.state(refused, "co-csirt")) == (60, "sealed")
