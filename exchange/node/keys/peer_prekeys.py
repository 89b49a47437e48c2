"""Owns the prekeys of peers at this node: which address can be sealed to now, and why the others can't (§9.5).

Records come from the hub and are believed by their hash alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final

from exchange.directory.prekeys import PrekeyRecord, PrekeyRef, verified_record
from exchange.errors import Refused, Rejected
from exchange.keys import PrekeyPublic
from exchange.node.directory.replica import Replica
from exchange.node.store import directory as rows
from exchange.node.store.store import Store
from exchange.node.uplink.api import HubApi

QUERY_KIDS: Final = 256
UNKNOWN_PREKEY: Final = (
    "envelope.unknown-prekey"  # what the hub says of one that isn't in its log, or no longer
)


@dataclass(frozen=True)
class Ready:
    """An addressee that can be sealed to now: its prekey, and until when that is used and when destroyed (ms)."""

    kid: bytes
    prekey: PrekeyPublic
    until: int
    destroy: int


class PeerPrekeys:
    """Finds what to seal to."""

    def __init__(self, store: Store, net: bytes, replica: Replica, clock: Callable[[], int]) -> None:
        self._store = store
        self._net = net
        self._replica = replica
        self._clock = clock
        self._refused: dict[bytes, int] = {}  # by kid: the size of the log here when the hub refused it

    def refuse(self, kid: bytes) -> None:
        """The hub knows no such prekey: its log is ahead of the one here, perhaps because this node's clock is behind.

        Its address can't be sealed to until the log here has grown, or until `forget_refusals`.
        """
        self._refused[kid] = self._replica.directory.size

    def forget_refusals(self) -> None:
        """Try them again: the hub may have what it lacked."""
        self._refused.clear()

    async def ready(self, hub: HubApi, addresses: Iterable[str]) -> tuple[dict[str, Ready], dict[str, str]]:
        """Which addresses can be sealed to now, with their prekeys; and for the others the code that says why not."""
        refs: dict[str, PrekeyRef] = {}
        waiting: dict[str, str] = {}
        for address in addresses:
            if self._replica.distrusts(address):
                waiting[address] = "node.key-revoked"
                continue
            try:
                ref = self._replica.directory.prekey_for(address, self._clock())
            except Refused as refusal:
                waiting[address] = refusal.code
                continue
            if self._refused.get(ref.kid) == self._replica.directory.size:
                waiting[address] = UNKNOWN_PREKEY
            else:
                refs[address] = ref
        records = await self._records(hub, refs)
        ready = {}
        for address, ref in refs.items():
            if ref.kid in records:
                public = records[ref.kid].public
                ready[address] = Ready(ref.kid, public, ref.until, ref.destroy)
            else:
                waiting[address] = (
                    "directory.stale-checkpoint" if self._replica.is_stale() else "directory.no-prekey"
                )
        return ready, waiting

    async def _records(self, hub: HubApi, refs: dict[str, PrekeyRef]) -> dict[bytes, PrekeyRecord]:
        wanted = {ref.kid: address for address, ref in refs.items()}
        held = await self._store.db.read(lambda c: rows.records(c, wanted))
        found = {kid: PrekeyRecord.from_bytes(record, self._net) for kid, record in held.items()}
        lacking = [kid for kid in wanted if kid not in found]
        if not lacking or self._replica.is_stale() or self._replica.directory.limited:
            return found  # no new keys now
        for start in range(0, len(lacking), QUERY_KIDS):
            for data in await hub.prekey_records(lacking[start : start + QUERY_KIDS]):
                record = self._verified(data, refs)
                if record is not None:
                    kid = record.kid(self._net)
                    found[kid] = record
                    await self._store.db.write(
                        partial(rows.add_record, kid=kid, destroy=record.destroy, record=data)
                    )
        return found

    def _verified(self, data: bytes, refs: dict[str, PrekeyRef]) -> PrekeyRecord | None:
        """The record if it is one that was asked for; the hub vouches for none, so a wrong one is only dropped."""
        try:
            record = PrekeyRecord.from_bytes(data, self._net)
            ref = refs.get(record.address)
            return verified_record(data, net=self._net, address=record.address, ref=ref) if ref else None
        except Rejected:
            return None
