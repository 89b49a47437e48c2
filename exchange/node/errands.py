"""What a pass does at the hub beside the mail: what lies beside the log, and the node's own statements.

A hub that can't take one of them now is no reason to end the connection: the code of its refusal is the answer, "" for
none. One that can't be reached is: that is raised.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from exchange.errors import Refused, Rejected, Unavailable
from exchange.node.services import Services
from exchange.node.uplink.api import HubApi

# The hub answers, but can't do this now: the connection is kept.
PATIENT: Final = frozenset(
    {
        "quota.exceeded",
        "storage.full",
        "storage.busy",
        "rate.too-many",
        "directory.unknown-checkpoint",
        "envelope.blob-missing",
        "policy.sender-status",
        "policy.restricted",
    }
)

_Errand = Callable[[], Awaitable[object]]


async def beside_the_log(hub: HubApi, services: Services, epoch: str) -> str:
    """The log's parts, notices that it lacks, what was said and not answered, the first record."""
    return await _until_refused(
        [
            lambda: services.beside.fetch(hub, epoch),
            lambda: services.notices.offer(hub),
            lambda: services.registration.offer_again(hub, epoch),
            lambda: services.introduction.publish(hub),
        ]
    )


async def own_statements(hub: HubApi, services: Services) -> str:
    """Keys that a restored hub forgot; prekeys on time. A hub that takes no statements now is asked again later."""
    return await _until_refused(
        [
            lambda: services.own_keys.repeat(hub),
            lambda: services.restore.make_good(hub),
            lambda: services.prekeys.publish(hub),
            lambda: services.succession.say_again(hub),
        ]
    )


async def _until_refused(errands: Sequence[_Errand]) -> str:
    try:
        for errand in errands:
            await errand()
    except (Refused, Rejected, Unavailable) as fault:
        if fault.code in ("hub.unreachable", "hub.certificate"):
            raise
        return fault.code
    return ""
