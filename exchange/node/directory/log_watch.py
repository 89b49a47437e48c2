"""Owns who is told of the log's growth in the transaction that stores it, and the first of them: the watch for alarms.

What each type of statement means for the node is its listener's business (parts.py, notices.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from exchange.canonical import dumps
from exchange.directory.bodies import parse_body
from exchange.directory.bodies_contacts import UnitKeys
from exchange.directory.bodies_members import Recover, Rotate
from exchange.directory.log import Leaf
from exchange.directory.state import Outcome
from exchange.node.store.directory import GIVEN, take_for_own
from exchange.node.store.store import Transaction, fact, raise_alarm

OWN_NAME: Final = "own-name/"  # keys of such alarms begin so
_BRINGS_KEYS: Final = frozenset({"rotate", "recover", "unit"})
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

    def __init__(self, net: bytes, me: str, clock: Callable[[], int]) -> None:
        self._net = net
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
        known = take_for_own(connection, outcome.statement_hash, outcome.type)
        if not known and not self._brings_given_keys(connection, leaf, outcome):
            raise_alarm(
                connection,
                key=f"{OWN_NAME}{outcome.index}",
                at=now,
                code="directory.own-name",
                subject=outcome.type or "unreadable",
                evidence=leaf,
            )

    def _brings_given_keys(self, connection: Transaction, leaf: bytes, outcome: Outcome) -> bool:
        """Whether it is the change to the keys whose seed this home was given as it was made of an older backup.

        The home has forgotten the statement; that the keys are its own no stranger can bring about.
        """
        given = fact(connection, GIVEN)
        if not (given and outcome.effective and outcome.type in _BRINGS_KEYS):
            return False
        body = parse_body(Leaf.from_bytes(leaf, self._net).statement.body, self._net)
        return isinstance(body, Rotate | Recover | UnitKeys) and dumps(body.keys.to_json()) == given
