"""The statements about the network itself: officers, policy, hub-change, tick (docs/protocol.md §9.7, §9.10, §9.11).

Owns their values, closed schemas and builders. Whether one takes effect is `rules_network`' business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from exchange.canonical import HANDLE, Json, b64, is_member_handle, unb64
from exchange.directory.bodies_base import MAX_OFFICERS, MAX_SPONSORS, read_officers
from exchange.directory.members import HubIdentity, Officer
from exchange.directory.statements import NETWORK, Head, check_subject, closed, write_body
from exchange.errors import Rejected

HUB_CHANGE: Final = "hub-change"


@dataclass(frozen=True)
class Officers:
    """Who signs for the network from now on, sorted by name, and how many of them it takes (§9.10)."""

    head: Head
    officers: tuple[Officer, ...]
    threshold: int


@dataclass(frozen=True)
class PolicyChange:
    """What the network agrees on (§9.10): thresholds, secretariat (a handle or ""), the agreement's SHA-256 or none."""

    head: Head
    officers: int
    sponsors: int
    secretariat: str
    agreement: bytes


@dataclass(frozen=True)
class HubChange:
    """Another hub goes on where the log had `size` leaves with this `root` (§9.11)."""

    head: Head
    size: int
    root: bytes
    hub: HubIdentity
    term: int


@dataclass(frozen=True)
class Tick:
    """The hub says what time it is, because something is due (§9.7)."""

    head: Head


def read_change_of_officers(head: Head, value: Json) -> Officers:
    """The schema of §9.10. Raises Rejected json.bad-schema."""
    fields = closed(head, value, "officers", "threshold")
    check_subject(head, NETWORK, "officers")
    officers = read_officers(fields)
    return Officers(head, officers, fields.integer("threshold", least=1, most=len(officers)))


def read_policy(head: Head, value: Json) -> PolicyChange:
    """The schema of §9.10. Raises Rejected json.bad-schema."""
    fields = closed(head, value, "agreement", "officers", "secretariat", "sponsors")
    check_subject(head, NETWORK, "policy")
    secretariat = fields.text("secretariat", most=32)
    if secretariat and not (HANDLE.match(secretariat) and is_member_handle(secretariat)):
        raise Rejected("json.bad-schema", 'policy.secretariat: a handle, or ""')
    return PolicyChange(
        head,
        officers=fields.integer("officers", least=1, most=MAX_OFFICERS),
        sponsors=fields.integer("sponsors", least=1, most=MAX_SPONSORS),
        secretariat=secretariat,
        agreement=fields.hash_or_none("agreement"),
    )


def read_hub_change(head: Head, value: Json) -> HubChange:
    """The schema of §9.11. Raises Rejected json.bad-schema."""
    fields = closed(head, value, "from", "hub", "term")
    check_subject(head, NETWORK, "hub")
    size, root = fields.items("from", least=2, most=2)
    if type(size) is not int or size < 1:
        raise Rejected("json.bad-schema", "hub-change.from: the log's size and its root")
    return HubChange(
        head,
        size=size,
        root=unb64(root, size=32, field="hub-change.from"),
        hub=HubIdentity.from_json(fields.raw("hub")),
        term=fields.integer("term", least=1),
    )


def read_tick(head: Head, value: Json) -> Tick:
    """The schema of §9.7. Raises Rejected json.bad-schema."""
    closed(head, value)
    check_subject(head, NETWORK, "time")
    return Tick(head)


def build_officers(
    *, net: bytes, officers: Sequence[Officer], threshold: int, after: bytes, not_after: int
) -> bytes:
    """Body that replaces the officers and their threshold. Raises Refused directory.bad-statement."""
    rest: dict[str, Json] = {
        "officers": [officer.to_json() for officer in sorted(officers, key=lambda officer: officer.name)],
        "threshold": threshold,
    }
    head = Head("officers", (NETWORK, "officers"), after, not_after)
    return write_body(net, head, rest, read_change_of_officers)


def build_policy(
    *,
    net: bytes,
    officers: int,
    sponsors: int,
    secretariat: str,
    agreement: bytes,
    after: bytes,
    not_after: int,
) -> bytes:
    """Body that replaces the policy; `agreement` is 32 bytes or none. Raises Refused directory.bad-statement."""
    rest: dict[str, Json] = {
        "agreement": b64(agreement),
        "officers": officers,
        "secretariat": secretariat,
        "sponsors": sponsors,
    }
    return write_body(net, Head("policy", (NETWORK, "policy"), after, not_after), rest, read_policy)


def build_hub_change(
    *, net: bytes, size: int, root: bytes, hub: HubIdentity, term: int, after: bytes, not_after: int
) -> bytes:
    """Body that puts `hub` in the place of the hub that was, after the first `size` leaves with this `root`.

    Raises Refused directory.bad-statement.
    """
    rest: dict[str, Json] = {"from": [size, b64(root)], "hub": hub.to_json(), "term": term}
    return write_body(net, Head(HUB_CHANGE, (NETWORK, "hub"), after, not_after), rest, read_hub_change)


def build_tick(*, net: bytes, after: bytes, not_after: int) -> bytes:
    """Body that only says that time has passed. Raises Refused directory.bad-statement."""
    return write_body(net, Head("tick", (NETWORK, "time"), after, not_after), {}, read_tick)


NETWORK_PARSERS: Final[Mapping[str, Callable[[Head, Json], Any]]] = {
    "officers": read_change_of_officers,
    "policy": read_policy,
    HUB_CHANGE: read_hub_change,
    "tick": read_tick,
}
