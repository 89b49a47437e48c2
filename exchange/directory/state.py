"""The directory: what the log's leaves add up to (docs/protocol.md §9.2). State is a function of the leaves alone.

Owns the rules on a leaf in their order, and the look-ups. What each type of statement needs and does is in `rules`; two
views of the log are compared in `checkpoint`; nothing here stores leaves or fetches them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from exchange.canonical import ZERO32
from exchange.directory.bodies import Body, Unknown, parse_body, parse_type
from exchange.directory.bodies_base import Genesis
from exchange.directory.contacts import Constituency, Contact, Record, named_parts
from exchange.directory.log import Leaf, Tree, read_leaf
from exchange.directory.members import HubIdentity, Member, Officer, Unit
from exchange.directory.network import Network, Policy, member_of
from exchange.directory.prekeys import PrekeyRef, choose
from exchange.directory.rules import RULES
from exchange.directory.statements import HUB, RECOVERY, Head, Statement, Subject, network_id, parse_head
from exchange.errors import Damaged, Hold, Refused, Rejected
from exchange.keys import STATEMENT, PublicKey, PublicKeys
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


class Directory:
    """The network as of one leaf. Begin with `from_genesis`, go on with `apply`; only these change anything."""

    def __init__(self, network: Network) -> None:
        """Not to be called directly: `from_genesis` verifies first."""
        self._network = network
        self._tree = Tree()
        self._at = 0
        self._limited = False
        self._last: dict[Subject, bytes] = {}  # hash of a subject's last effective statement
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
        directory._mark(genesis.head, statement.hash(net))
        return directory

    @classmethod
    def replay(cls, leaves: Iterable[bytes], *, now: int | None) -> Directory:
        """The directory after all `leaves`, the first being the genesis. Raises as `from_genesis` and `apply`."""
        rest = iter(leaves)
        directory = cls.from_genesis(next(rest, b""))
        for leaf in rest:
            directory.apply(leaf, now=now)
        return directory

    # -- the log ------------------------------------------------------------------------------------------------

    def apply(self, leaf: bytes, *, now: int | None) -> Outcome:
        """Take the next leaf in; `now` is this node's clock in UTC ms, None for leaves it took in before.

        Raises, having changed nothing: Damaged directory.bad-leaf, directory.bad-order (the page is refused), Hold
        directory.leaf-ahead. Whatever else is wrong with a leaf is its Outcome, and the log goes on.
        """
        parsed = Leaf.from_bytes(leaf, self.net)
        if parsed.index != self.size or parsed.at < self._at:
            raise Damaged("directory.bad-order", f"leaf {self.size} expected, not before the last one's time")
        if now is not None and parsed.at > now + LEAF_AHEAD_MS:
            raise Hold("directory.leaf-ahead", at=parsed.at)
        statement, code = parsed.statement, ""
        statement_hash = statement.hash(self.net)
        try:
            body = self.judge(statement, parsed.at)
        except Rejected as fault:
            code, head = fault.code, self._readable_head(statement)
            self._limited = self._limited or code == _LIMITED
        else:
            head = body.head
            RULES[head.type].take(
                self._network, body, parsed.at, statement_hash, frozenset(statement.signers)
            )
            self._mark(head, statement_hash)
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

    def judge(self, statement: Statement, at: int) -> Body:
        """Would `statement` take effect as the next leaf, at `at` (UTC ms)? Its value; changes nothing.

        Raises Rejected with the code of the first rule of docs/protocol.md §9.2 against it. When only signatures are
        missing that is directory.too-few-officers or -sponsors, with the counts of both as facts.
        """
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
        _verify(statement, lambda signer: rule.key(self._network, body, signer))
        rule.check(self._network, body, frozenset(statement.signers), at)
        return body

    def _code_beyond_this_version(self, statement: Statement) -> str:
        """Once limited, always: what the unknown statement changed (officers, say) decides about all that follow."""
        if self._limited:
            return _LIMITED
        officers = 0
        for signer, signature in statement.signatures:
            key = self._network.key_of(signer) if signer.startswith("officer/") else None
            officers += key is not None and _holds(key, statement.body, signature)
        return _LIMITED if officers >= self.officers_threshold else "directory.unknown-type"

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

    def _mark(self, head: Head, statement_hash: bytes) -> None:
        self._last[head.subject] = statement_hash
        self._effective.add(statement_hash)

    # -- look-ups -----------------------------------------------------------------------------------------------

    @property
    def net(self) -> bytes:
        return self._network.net

    @property
    def name(self) -> str:
        return self._network.genesis.name

    @property
    def hub(self) -> HubIdentity:
        return self._network.hubs[-1]

    @property
    def officers(self) -> Mapping[str, Officer]:
        """By name."""
        return MappingProxyType(self._network.officers)

    @property
    def members(self) -> Mapping[str, Member]:
        """By handle."""
        return MappingProxyType(self._network.members)

    @property
    def term(self) -> int:
        """Of the hub: 0 for the genesis', one more with each hub-change."""
        return len(self._network.hubs) - 1

    @property
    def policy(self) -> Policy:
        """What the network has agreed on."""
        return self._network.policy

    @property
    def units(self) -> Mapping[str, Unit]:
        """By address."""
        return MappingProxyType(self._network.units)

    @property
    def contacts(self) -> Mapping[str, Contact]:
        """By address, ended ones among them."""
        return MappingProxyType(self._network.contacts)

    @property
    def records(self) -> Mapping[str, Record]:
        """What members say of themselves, by handle."""
        return MappingProxyType(self._network.records)

    @property
    def constituencies(self) -> Mapping[str, Constituency]:
        """Approved networks and domains, by handle."""
        return MappingProxyType(self._network.constituencies)

    def named_parts(self) -> frozenset[bytes]:
        """The hash of every part beside the log that is to be kept."""
        network = self._network
        return named_parts(network.records, network.constituencies, network.contacts.values())

    @property
    def officers_threshold(self) -> int:
        return self._network.policy.officers

    @property
    def sponsors_threshold(self) -> int:
        return self._network.policy.sponsors

    @property
    def size(self) -> int:
        """How many leaves were taken in."""
        return self._tree.size

    @property
    def at(self) -> int:
        """The newest leaf's time, UTC ms."""
        return self._at

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

    def member(self, handle: str) -> Member:
        """Raises Refused directory.unknown-member."""
        try:
            return self._network.members[handle]
        except KeyError:
            raise Refused("directory.unknown-member", f"{handle[:32]} isn't a member") from None

    def identity(self, signer: str) -> PublicKeys:
        """The keys of a member, `officer/NAME` or `hub`. Raises Rejected auth.unknown-issuer."""
        keys = self._network.keys_of(signer)
        if keys is None:
            raise Rejected("auth.unknown-issuer")
        return keys

    def signing_key(self, address: str, skid: bytes) -> PublicKey:
        """The key that mail from this address is signed with. Raises Hold hold.unknown-sender, hold.unknown-key."""
        member = self._network.members.get(address)
        if member is None:
            raise Hold("hold.unknown-sender")
        if member.keys.signing.skid(self.net) != skid:
            raise Hold("hold.unknown-key")
        return member.keys.signing

    def prekeys(self, address: str) -> tuple[PrekeyRef, ...]:
        """The prekeys of its newest statement, in order of start; none for an address that published none."""
        return self._network.prekeys.get(address, ())

    def published_kids(self) -> frozenset[bytes]:
        """The prekeys of every address's newest statement."""
        return frozenset(ref.kid for refs in self._network.prekeys.values() for ref in refs)

    def prekey_for(self, address: str, now: int) -> PrekeyRef:
        """The prekey to seal to at `now` (UTC ms). Raises Refused directory.unknown-member, directory.no-prekey."""
        self.member(member_of(address))
        return choose(self.prekeys(address), now)

    def find_prekey(self, address: str, kid: bytes) -> PrekeyRef | None:
        """A prekey of its newest statement, by kid."""
        return next((ref for ref in self.prekeys(address) if ref.kid == kid), None)


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
