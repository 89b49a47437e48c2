"""Owns what this node asks its peers for: numbers missing in their chains (§6.3).

Asked when the mailbox is drained and a gap is 5 minutes old, then once a day while it stays open.
"""

from __future__ import annotations

from itertools import groupby
from typing import Final

from exchange.content import MAX_GAPS, Missing
from exchange.limits import GAP_PATIENCE_MS, GAP_REPEAT_MS
from exchange.node.identity import Sources
from exchange.node.mail.outbox import Outbox
from exchange.node.store import links
from exchange.node.store.store import Store, Transaction

MAX_ASKED: Final = 10 * MAX_GAPS  # gaps looked at in one call


class Questions:
    """Asks senders for what is missing."""

    def __init__(self, store: Store, outbox: Outbox, sources: Sources) -> None:
        self._store = store
        self._outbox = outbox
        self._sources = sources

    async def ask(self) -> int:
        """Queue `missing` for every gap that is old enough; how many messages were queued."""
        return await self._store.db.write(self._ask)

    def _ask(self, connection: Transaction) -> int:
        now = self._sources.clock()
        due = links.gaps_to_ask(
            connection,
            now=now,
            seen_before=now - GAP_PATIENCE_MS,
            asked_before=now - GAP_REPEAT_MS,
            limit=MAX_ASKED,
        )
        sent = 0
        for (sender, lane), group in groupby(due, key=lambda gap: (gap.sender, gap.lane)):
            gaps = list(group)[:MAX_GAPS]
            question = Missing(lane, tuple((one.gap.chain, one.gap.first, one.gap.last) for one in gaps))
            self._outbox.send(connection, question.to_payload(), Missing.type, lane, [sender])
            for one in gaps:
                links.set_asked(connection, one, now=now)
            sent += 1
        return sent
