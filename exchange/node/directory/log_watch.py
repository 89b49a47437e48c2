"""Owns who is told of the log's growth in the transaction that stores it, and the first of them: the watch for alarms.

What each type of statement means for the node is its listener's business (parts.py, notices.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from exchange.directory.state import Outcome
from exchange.node.store.directory import take_for_own
from exchange.node.store.store import Transaction, raise_alarm

OWN_NAME: Final = "own-name/"  # keys of such alarms begin so
_KEYS_OF_UNITS: Final = frozenset({"unit", "revoke"})
# what others rightly say of a member: officers of its standing, the secretariat of how its contacts answer
_OF_OTHERS: Final = frozenset({"status", "suspend", "test"})


class Listener(Protocol):
    """Who has to know what the log says in the very transaction that stores it."""

    def leaves_came(self, connection: Transaction, came: Sequence[tuple[bytes, Outcome]], /) -> None:
        """The log has grown by these leaves, judged; the replica's directory knows them already."""

    def log_was_cut(self, connection: Transaction, leaves: Sequence[bytes], /) -> None:
        """A change of hub took these back, which had taken effect; the replica's directory knows them no longer."""


class Watch:
    """Alarms that leaves give rise to; above all a statement in this node's name that it didn't make."""

    def __init__(self, me: str, clock: Callable[[], int]) -> None:
        self._me = me
        self._clock = clock

    def leaves_came(self, connection: Transaction, came: Sequence[tuple[bytes, Outcome]], /) -> None:
        """Look at each leaf (`Listener`)."""
        for leaf, outcome in came:
            self._look(connection, leaf, outcome)

    def log_was_cut(self, connection: Transaction, leaves: Sequence[bytes], /) -> None:
        """What was logged once in this node's name, and rightly, is its own when it is logged again."""

    def _look(self, connection: Transaction, leaf: bytes, outcome: Outcome) -> None:
        now = self._clock()
        if outcome.alarm:
            key = f"leaf/{outcome.index}"
            raise_alarm(
                connection, key=key, at=now, code=outcome.code, subject=str(outcome.index), evidence=leaf
            )
        address = "" if outcome.subject is None else outcome.subject[0]
        # a unit's keys are its own business, but that it has others, or none, must not go unseen by its member
        own_unit = outcome.type in _KEYS_OF_UNITS and address.startswith(f"{self._me}/")
        about = address == self._me and outcome.type not in _OF_OTHERS
        own = self._me in outcome.signers or about or own_unit
        sponsored = outcome.subject is not None and address != self._me
        if not own or (sponsored and not outcome.effective):
            return
        if not take_for_own(connection, outcome.statement_hash, outcome.type):
            raise_alarm(
                connection,
                key=f"{OWN_NAME}{outcome.index}",
                at=now,
                code="directory.own-name",
                subject=outcome.type or "unreadable",
                evidence=leaf,
            )
