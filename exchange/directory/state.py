"""The directory: what the log's leaves add up to (docs/protocol.md §9.2). State is a function of the leaves alone.

Owns the rules on a leaf in their order, and the look-ups. What each type of statement needs and does is in `rules`; two
views of the log are compared in `checkpoint`; nothing here stores leaves or fetches them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from exchange.canonical import ZERO32
from exchange.directory.bodies import Body, Unknown, parse_body, parse_type
from exchange.directory.bodies_base import Genesis
from exchange.directory.due import settle, settled
from exchange.directory.log import Leaf, read_leaf
from exchange.directory.lookups import LookUps
from exchange.directory.network import Network
from exchange.directory.rules import RULES
from exchange.directory.statements import HUB, RECOVERY, Head, Statement, Subject, network_id, parse_head
from exchange.errors import Damaged, Hold, Rejected
from exchange.keys import STATEMENT, PublicKey
from exchange.limits import LEAF_AHEAD_MS

_LIMITED: Final = "directory.limited"
# without effect, and yet nobody did wrong: two people voted at once, a repeat, a newer version's statement
_QUIET: Final = frozenset(
    {
        "",
        "directory.repeated",
        _LIMITED,
        "directory.unknown-type",
        "directory.lapsed",
        "directory.stale",
    }
)


@dataclass(frozen=True)
class Outcome:
    """What a leaf did. A node watches its own name: `subject`, `signers` and, against what it made, `statement_hash`.

    `code` is empty exactly when `effective`; `type` is empty and `subject` None when the body can't be read.
    """

    index: int
    at: int
    statement_hash: bytes
    effective: bool
    code: str
    alarm: bool
    type: str
    subject: Subject | None
    signers: tuple[str, ...]


class Directory(LookUps):
    """The network as of one leaf. Begin with `from_genesis`, go on with `apply`; only these change anything."""

    def __init__(self, network: Network) -> None:
        """Not to be called directly: `from_genesis` verifies first."""
        super().__init__(network)
        self._tree = network.log
        self._at = 0
        self._limited = False
        self._last: dict[Subject, bytes] = {}  # hash of a subject's last effective statement that voids
        self._effective: set[bytes] = set()  # hashes of all statements that took effect

    @classmethod
    def from_genesis(cls, leaf: bytes) -> Directory:
        """The network that leaf 0 begins; whether it is the right one is for the caller to compare (`net`).

        Raises Damaged directory.bad-leaf, Rejected directory.bad-genesis.
        """
        named, first = read_leaf(leaf)
        statement = first.statement
        net = network_id(statement.body)
        if (named, first.index) != (net, 0):
            raise Rejected("directory.bad-genesis", "not the first leaf of the network it begins")
        try:
            statement.check_form()
            genesis = _genesis(statement, first.at)
            directory = cls(Network.begin(net, genesis))
            _verify(statement, directory._network.key_of)
        except Rejected as fault:
            raise Rejected("directory.bad-genesis", fault.detail) from None
        directory._log(leaf, first.at)
        directory._effective.add(statement.hash(net))
        directory._last[genesis.head.subject] = statement.hash(net)
        return directory

    @classmethod
    def replay(cls, leaves: Iterable[bytes], *, now: int | None) -> Directory:
        """The directory after all `leaves`, the first being the genesis. Raises as `from_genesis` and `apply`."""
        rest = iter(leaves)
        directory = cls.from_genesis(next(rest, b""))
        for leaf in rest:
            directory.apply(leaf, now=now)
        return directory

    @classmethod
    def resume(cls, rows: Iterable[tuple[bytes, str]]) -> Directory:
        """The directory after leaves that this side judged before, each with the code of its Outcome.

        Equal to `replay` of them, without verifying any signature but the genesis' again: for what comes from the own
        store, and nothing else. Leaves without effect are taken at their word; an upgrade of a `limited` node must
        replay. Raises as `from_genesis`, Damaged directory.bad-leaf, directory.bad-order.
        """
        rest = iter(rows)
        first, _ = next(rest, (b"", ""))
        directory = cls.from_genesis(first)
        for leaf, code in rest:
            directory.take_back(leaf, code)
        return directory

    # -- the log ------------------------------------------------------------------------------------------------

    def apply(self, leaf: bytes, *, now: int | None) -> Outcome:
        """Take the next leaf in; `now` is this node's clock in UTC ms, None for leaves it took in before.

        Raises, having changed nothing: Damaged directory.bad-leaf, directory.bad-order (the page is refused), Hold
        directory.leaf-ahead. Whatever else is wrong with a leaf is its Outcome, and the log goes on.
        """
        parsed = self._in_order(leaf)
        if now is not None and parsed.at > now + LEAF_AHEAD_MS:
            raise Hold("directory.leaf-ahead", at=parsed.at)
        statement, code = parsed.statement, ""
        statement_hash = statement.hash(self.net)
        settle(self._network, parsed.at)
        try:
            body = self._judge(self._network, statement, parsed.at)
        except Rejected as fault:
            code, head = fault.code, self._readable_head(statement)
            self._limited = self._limited or code == _LIMITED
        else:
            head = body.head
            self._take(body, parsed)
        self._log(leaf, parsed.at)
        return Outcome(
            index=parsed.index,
            at=parsed.at,
            statement_hash=statement_hash,
            effective=not code,
            code=code,
            alarm=code not in _QUIET,
            type=head.type if head else "",
            subject=head.subject if head else None,
            signers=statement.signers,
        )

    def take_back(self, leaf: bytes, code: str) -> None:
        """Take in the next leaf as it was judged before, with that code of its Outcome: see `resume`."""
        parsed = self._in_order(leaf)
        settle(self._network, parsed.at)
        if not code:
            self._take(parse_body(parsed.statement.body, self.net), parsed)
        self._limited = self._limited or code == _LIMITED
        self._log(leaf, parsed.at)

    def _in_order(self, leaf: bytes) -> Leaf:
        parsed = Leaf.from_bytes(leaf, self.net)
        if parsed.index != self.size or parsed.at < self._at:
            raise Damaged("directory.bad-order", f"leaf {self.size} expected, not before the last one's time")
        return parsed

    def judge(self, statement: Statement, at: int) -> Body:
        """Would `statement` take effect as the next leaf, at `at` (UTC ms)? Its value; changes nothing.

        Raises Rejected with the code of the first rule of docs/protocol.md §9.2 against it. When only signatures are
        missing that is directory.too-few-officers or -sponsors, with the counts of both as facts.
        """
        return self._judge(settled(self._network, at), statement, at)

    def _judge(self, network: Network, statement: Statement, at: int) -> Body:
        """As `judge`, on a network that is settled at `at`."""
        statement.check_form()
        head, value = parse_head(statement.body, self.net)
        if statement.hash(self.net) in self._effective:
            raise Rejected("directory.repeated")
        body = parse_type(head, value)
        if self._limited or isinstance(body, Unknown):
            raise Rejected(self._code_beyond_this_version(statement))
        if head.not_after < at:
            raise Rejected("directory.lapsed")
        rule = RULES[head.type]
        if head.after != (ZERO32 if rule.outruns else self.last_hash(*head.subject)):
            raise Rejected("directory.stale")
        _verify(statement, lambda signer: rule.key(network, body, signer))
        rule.check(network, body, frozenset(statement.signers), at)
        return body

    def _take(self, body: Body, leaf: Leaf) -> None:
        statement_hash = leaf.statement.hash(self.net)
        signers = frozenset(leaf.statement.signers)
        rule = RULES[body.head.type]
        rule.take(self._network, body, leaf.at, statement_hash, signers)
        self._effective.add(statement_hash)
        if rule.voids:
            self._last[body.head.subject] = statement_hash

    def _code_beyond_this_version(self, statement: Statement) -> str:
        """Once limited, always: what the unknown statement changed (officers, say) decides about all that follow."""
        if self._limited:
            return _LIMITED
        officers = 0
        for signer, signature in statement.signatures:
            key = self._network.key_of(signer) if signer.startswith("officer/") else None
            officers += key is not None and _holds(key, statement.body, signature)
        return _LIMITED if officers >= self.officers_threshold else "directory.unknown-type"

    def signers_of(self, statement: Statement) -> frozenset[str]:
        """Those of its signers whose signatures hold by the keys they have now; the others are no fault here."""
        found = ((one, signature, self._network.key_of(one)) for one, signature in statement.signatures)
        return frozenset(
            one for one, signature, key in found if key and _holds(key, statement.body, signature)
        )

    def read_head(self, statement: Statement) -> Head:
        """What every body says, whatever its type. Raises Rejected directory.bad-statement."""
        return parse_head(statement.body, self.net)[0]

    def _readable_head(self, statement: Statement) -> Head | None:
        try:
            return self.read_head(statement)
        except Rejected:
            return None

    def _log(self, leaf: bytes, at: int) -> None:
        self._tree.append(leaf)
        self._at = at

    # -- look-ups -----------------------------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """How many leaves were taken in."""
        return self._tree.size

    @property
    def at(self) -> int:
        """The newest leaf's time, UTC ms."""
        return self._at

    def took_effect(self, statement_hash: bytes) -> bool:
        """Has the log taken in the statement with this hash, with effect?"""
        return statement_hash in self._effective

    @property
    def limited(self) -> bool:
        """The officers use a statement that this version doesn't know: upgrade."""
        return self._limited

    def root(self, size: int | None = None) -> bytes:
        """RFC 9162 root over the first `size` leaves, by default all. Raises IndexError beyond `self.size`."""
        return self._tree.root(self.size if size is None else size)

    def root_with(self, leaves: Iterable[bytes]) -> bytes:
        """The root that these further leaves would lead to: compare with a checkpoint before applying them."""
        return self._tree.root_with(leaves)

    def last_hash(self, address: str, word: str) -> bytes:
        """`after` for the next statement on this subject: its last effective one's hash, or 32 zero bytes."""
        return self._last.get((address, word), ZERO32)

    def signing_key(self, address: str, skid: bytes) -> PublicKey:
        """The key that mail from this address is signed with: current, or rotated out in the last 14 days of the log.

        Raises Hold hold.unknown-sender, hold.unknown-key.
        """
        standing = self.key_standing(address, skid)
        if not standing.counts(self._at):
            raise Hold("hold.unknown-key", f"the key is {standing.state}")
        return standing.key


def _genesis(statement: Statement, at: int) -> Genesis:
    """Its value; signatures are only counted. Raises Rejected."""
    genesis = parse_body(statement.body, ZERO32)
    if not isinstance(genesis, Genesis):
        raise Rejected("directory.bad-genesis", "another type of statement")
    if genesis.head.not_after < at:
        raise Rejected("directory.bad-genesis", "logged after its not_after")
    named = sorted((HUB, RECOVERY, *(officer.address for officer in genesis.officers)))
    if list(statement.signers) != named:
        raise Rejected("directory.bad-genesis", "it isn't signed by exactly those it names")
    return genesis


def _verify(statement: Statement, key: Callable[[str], PublicKey | None]) -> None:
    """Every signature holds, by the key that `key` finds. Raises Rejected directory.bad-signature."""
    for signer, signature in statement.signatures:
        public = key(signer)
        if public is None:
            raise Rejected("directory.bad-signature", f"{signer} is unknown here")
        public.verify(STATEMENT, statement.body, signature, code="directory.bad-signature")


def _holds(key: PublicKey, body: bytes, signature: bytes) -> bool:
    """Counting only: among an unknown statement's signatures a bad one is no fault of the others."""
    try:
        key.verify(STATEMENT, body, signature, code="directory.bad-signature")
    except Rejected:
        return False
    return True
