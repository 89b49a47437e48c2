"""What follows the faults: rounds of all nodes, hours and days apart, until nothing is under way any more."""

from __future__ import annotations

from typing import Final

from exchange.errors import ExchangeError
from exchange.limits import HOUR_MS, MINUTE_MS
from tests.simulation.ledger import Ledger
from tests.simulation.network import FaultySimulation

PEACE: Final = (0, 0, 6 * MINUTE_MS, 0, 0, 13 * HOUR_MS, 0, 0) + 5 * (25 * HOUR_MS, 0, 0)


async def drain(sim: FaultySimulation, ledger: Ledger) -> dict[str, str]:
    """Rounds until nothing is under way; what still fails in the last one, by member."""
    errors: dict[str, str] = {}
    for pause in PEACE:
        if pause:
            await sim.wait(pause)
        errors = await _round(sim)
        if pause == 0 and not errors and ledger.is_quiet():
            break
    return errors


async def _round(sim: FaultySimulation) -> dict[str, str]:
    errors = {}
    for site in sim.nodes:
        try:
            await site.once()
        except ExchangeError as error:
            errors[site.member] = error.code
    await sim.running_hub.mailboxes.expire_due()
    await sim.running_hub.blobs.forget_due()
    return errors
