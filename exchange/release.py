"""The one policy of the doors: may this content leave through this door, to this reader (docs/policy.md)?

Pure: facts in, a decision out, which names its rule and whom to ask. Whoever opens a door asks `decide`, logs what it
said, and obeys. What was sent to this node is read at it without asking; who may be *sent* what is `policy`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from exchange.errors import Refused
from exchange.pap import Pap
from exchange.tlp import Tlp


class Door(StrEnum):
    """The ways out of a node."""

    FORWARD = "forward"  # sealed onward as a message of this member
    EXPORT = "export"  # a copy in a file
    TAXII = "taxii"
    API = "api"
    EMAIL = "email"
    PRINT = "print"
    EXTRACT = "extract"  # only what concerns the reader's own assets


class Who(StrEnum):
    """What kind of reader it is."""

    OWN = "own"  # a user, or a machine, of this node's own member
    MEMBER = "member"  # another member's node or unit
    CONSTITUENT = "constituent"  # an organisation that this member serves
    PERSON = "person"  # one person with keys of their own, here or at another member


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What would leave: its effective labels (a label of PAP may be absent) and where it came from.

    `named`: addresses of the persons it is addressed to. `outside`: it came by a feed, not from a member; `decided`:
    a person or a rule has said that it goes on all the same. `doors`: names of readers that are where it came from.
    `sender`: an address, or the feed's name.
    """

    tlp: Tlp
    pap: Pap | None = None
    exercise_id: str | None = None
    outside: bool = False
    decided: bool = False
    doors: frozenset[str] = frozenset()
    named: frozenset[str] = frozenset()
    sender: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Who would get it. `name`: an address, or what a constituent or a token is called here.

    `own`: this person belongs to this node's member. `assets`: of a constituent, as `directory/assets` spells them.
    `exercise`: marked for exercises: gets these and nothing real. `passive`: only looks, and acts on nothing it gets.
    """

    who: Who
    name: str = ""
    own: bool = False
    assets: frozenset[str] = frozenset()
    exercise: bool = False
    passive: bool = False

    @property
    def label(self) -> str:
        """Who it is, for a log: `member co-csirt`."""
        return f"{self.who.value} {self.name}".rstrip()

    @property
    def inside(self) -> bool:
        """Whether it belongs to this node's own member."""
        return self.who is Who.OWN or (self.who is Who.PERSON and self.own)


@dataclass(frozen=True, slots=True)
class Decision:
    """`code` is empty when allowed; `reason` is a sentence for people, without content; `ask`: who could allow it."""

    allowed: bool
    code: str
    reason: str
    ask: str = ""

    def check(self) -> None:
        """Raises Refused with the code, the reason and whom to ask."""
        if not self.allowed:
            raise Refused(self.code, f"{self.reason}; ask {self.ask}", ask=self.ask)


ADMINISTRATOR: Final = "this node's administrator"
TEAM: Final = "this member's duty analyst"
SOURCE: Final = "whoever it came from"

# The table of docs/policy.md: which doors each label leaves open, by the circle its reader is in.
_NAMED, _OWN, _COMMUNITY, _CLIENTS = "a person it names", "own member", "another member", "a constituent"
_ALL: Final = frozenset(Door)
_TO_OWN: Final = _ALL - {Door.EXTRACT}  # nobody needs an extract of what is theirs to read
_TO_CLIENTS: Final = _ALL - {Door.FORWARD}  # which needs a node
_FITTING: Final = {_NAMED: _TO_OWN, _OWN: _TO_OWN, _COMMUNITY: _ALL, _CLIENTS: _TO_CLIENTS}
_OPEN: Final[dict[tuple[Tlp, str], frozenset[Door]]] = {
    **{(tlp, circle): doors for tlp in (Tlp.CLEAR, Tlp.GREEN) for circle, doors in _FITTING.items()},
    (Tlp.AMBER, _OWN): _TO_OWN,
    (Tlp.AMBER, _CLIENTS): frozenset({Door.EXTRACT}),
    (Tlp.AMBER_STRICT, _OWN): _TO_OWN,
    (Tlp.RED, _NAMED): frozenset({Door.FORWARD, Door.PRINT}),
}
_MACHINES: Final = frozenset({Door.TAXII, Door.API})  # what takes from them may act without a person


def decide(door: Door, content: Content, reader: Reader) -> Decision:
    """May `content` leave through `door` to `reader`? The first rule that closes the door gives the code.

    Codes: release.exercise, release.not-an-exercise, release.wrong-door, release.no-assets, release.own-door,
    release.outside, tlp.red-needs-persons, release.only-extract, release.other-organisation, release.pap.
    """
    circle = _circle(content, reader)
    return (
        _by_exercise(content, reader)
        or _by_fit(door, circle, reader)
        or _by_origin(content, reader)
        or _by_tlp(door, content, circle)
        or _by_pap(door, content, reader)
        or Decision(allowed=True, code="", reason=_open(content, circle))
    )


def _circle(content: Content, reader: Reader) -> str:
    if content.tlp.names_persons and reader.who is Who.PERSON and reader.name in content.named:
        return _NAMED
    if reader.inside:
        return _OWN
    return _CLIENTS if reader.who is Who.CONSTITUENT else _COMMUNITY


def _by_exercise(content: Content, reader: Reader) -> Decision | None:
    if content.exercise_id is not None and not reader.exercise:
        return _refused(
            "release.exercise", "an exercise leaves only for what is marked for exercises", ADMINISTRATOR
        )
    if content.exercise_id is None and reader.exercise:
        return _refused(
            "release.not-an-exercise", "what is marked for exercises gets nothing real", ADMINISTRATOR
        )
    return None


def _by_fit(door: Door, circle: str, reader: Reader) -> Decision | None:
    if door not in _FITTING[circle]:
        return _refused("release.wrong-door", f"{door.value} is not for {circle}", TEAM)
    if door is Door.EXTRACT and not reader.assets:
        return _refused("release.no-assets", "an extract is of somebody's assets, and none were named", TEAM)
    return None


def _by_origin(content: Content, reader: Reader) -> Decision | None:
    if content.doors & {reader.name, reader.name.partition("/")[0]}:
        return _refused(
            "release.own-door", "it came from there: nothing goes back through its own door", TEAM
        )
    if content.outside and not content.decided and not reader.inside:
        return _refused(
            "release.outside", "it came from outside the network and nobody decided that it goes on", TEAM
        )
    return None


def _by_tlp(door: Door, content: Content, circle: str) -> Decision | None:
    """The label against the circle."""
    open_ = _OPEN.get((content.tlp, circle), frozenset())
    if door in open_:
        return None
    label, ask = content.tlp.label, content.sender or SOURCE
    if content.tlp.names_persons:
        why = f"{label} is for the persons it names, on paper or sealed: no other copy of it leaves the node"
        return _refused("tlp.red-needs-persons", why, ask)
    if open_:
        why = f"{label} goes to {circle} only as an extract of its own assets"
        return _refused("release.only-extract", why, ask)
    return _refused("release.other-organisation", f"{label} doesn't go to {circle}", ask)


def _by_pap(door: Door, content: Content, reader: Reader) -> Decision | None:
    """What its reader could do with it, where that can't be seen to."""
    if content.pap is None or content.pap < Pap.AMBER:
        return None
    label, ask = content.pap.label, content.sender or SOURCE
    if reader.who is Who.CONSTITUENT:
        return _refused("release.pap", f"{label} is for this member's own passive use", ask)
    if door in _MACHINES:
        watched = reader.inside and reader.passive
        if content.pap is Pap.RED or not watched:
            return _refused("release.pap", f"{label} doesn't go to what may act on it by itself", ask)
    return None


def _open(content: Content, circle: str) -> str:
    label = content.tlp.label if content.pap is None else f"{content.tlp.label} {content.pap.label}"
    return f"{label} may go to {circle}"


def _refused(code: str, reason: str, ask: str) -> Decision:
    return Decision(allowed=False, code=code, reason=reason, ask=ask)
