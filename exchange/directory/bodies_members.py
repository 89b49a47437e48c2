"""The statements of a member's life: status, suspend, rotate, recover, veto, revoke (docs/protocol.md §9.8, §9.9).

Owns their values, closed schemas and builders. Whether one takes effect is `rules_members`' business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from exchange.canonical import HANDLE, ZERO32, Json, b64, is_member_handle
from exchange.directory.members import Move
from exchange.directory.statements import Head, check_subject, closed, write_body
from exchange.errors import Rejected
from exchange.keys import PublicKey, PublicKeys

OWN: Final = "own"
PRINTED: Final = "printed"
BY_NETWORK: Final = "network"
REVOKED_BY: Final = (OWN, PRINTED, BY_NETWORK)

_STATUS_MOVES: Final = tuple(move.value for move in Move if move is not Move.SUSPEND)
_NAMING: Final = frozenset({Move.CONFIRM, Move.REINSTATE})
_ENDING: Final = frozenset({Move.LEAVE, Move.OFFBOARD})


@dataclass(frozen=True)
class StatusMove:
    """A member's standing changes by `move` (§9.8).

    `document` is a SHA-256, 32 zero bytes for none; `names` the hash that `confirm` and `reinstate` mean, else empty;
    `until` the end of a notice (UTC ms), else 0.
    """

    head: Head
    move: Move
    ground: str
    document: bytes
    names: bytes
    until: int


@dataclass(frozen=True)
class Suspend:
    """A member is suspended until `until` (UTC ms), for `ground` as `document` (SHA-256) says (§9.8)."""

    head: Head
    ground: str
    document: bytes
    until: int


@dataclass(frozen=True)
class Rotate:
    """A member reveals the keys it committed to, and commits to the `next` ones (§9.9)."""

    head: Head
    keys: PublicKeys
    next: bytes


@dataclass(frozen=True)
class Recover:
    """A member that lost its keys gets new ones by officers and sponsors (§9.9)."""

    head: Head
    keys: PublicKeys
    next: bytes
    revoke: PublicKey


@dataclass(frozen=True)
class Veto:
    """The recovery with hash `names` is void; `keys` are the next ones revealed, None under the old key (§9.9)."""

    head: Head
    names: bytes
    keys: PublicKeys | None


@dataclass(frozen=True)
class Revoke:
    """The signing key `skid` of the subject verifies nothing more: compromised `since` (UTC ms) (§9.9)."""

    head: Head
    by: str
    ground: str
    skid: bytes
    since: int


def read_status(head: Head, value: Json) -> StatusMove:
    """The schema of §9.8. Raises Rejected json.bad-schema."""
    fields = closed(head, value, "document", "ground", "move", "names", "until")
    _check_member_subject(head, "status")
    move = Move(fields.one_of("move", _STATUS_MOVES))
    names = fields.hash_or_none("names")
    if bool(names) != (move in _NAMING):
        raise Rejected("json.bad-schema", "status.names: what confirm and reinstate mean, and only they")
    return StatusMove(
        head=head,
        move=move,
        ground=fields.matching("ground", HANDLE),
        document=fields.binary("document", 32),
        names=names,
        until=fields.integer("until") if move in _ENDING else fields.integer("until", most=0),
    )


def read_suspend(head: Head, value: Json) -> Suspend:
    """The schema of §9.8. Raises Rejected json.bad-schema."""
    fields = closed(head, value, "document", "ground", "until")
    _check_member_subject(head, "status")
    return Suspend(
        head, fields.matching("ground", HANDLE), fields.binary("document", 32), fields.integer("until")
    )


def read_rotate(head: Head, value: Json) -> Rotate:
    """The schema of §9.9. Raises Rejected json.bad-schema."""
    fields = closed(head, value, "keys", "next")
    _check_member_subject(head, "identity")
    return Rotate(
        head, PublicKeys.from_json(fields.raw("keys"), what="rotate.keys"), fields.binary("next", 32)
    )


def read_recover(head: Head, value: Json) -> Recover:
    """The schema of §9.9. Raises Rejected json.bad-schema."""
    fields = closed(head, value, "keys", "next", "revoke")
    _check_member_subject(head, "identity")
    return Recover(
        head=head,
        keys=PublicKeys.from_json(fields.raw("keys"), what="recover.keys"),
        next=fields.binary("next", 32),
        revoke=PublicKey.from_json(fields.raw("revoke"), what="recover.revoke"),
    )


def read_veto(head: Head, value: Json) -> Veto:
    """The schema of §9.9. Raises Rejected json.bad-schema."""
    fields = closed(head, value, "keys", "names")
    _check_member_subject(head, "identity")
    raw = fields.raw("keys")
    keys = None if raw == "" else PublicKeys.from_json(raw, what="veto.keys")
    return Veto(head, fields.binary("names", 32), keys)


def read_revoke(head: Head, value: Json) -> Revoke:
    """The schema of §9.9; the subject is a member's address or a unit's. Raises Rejected json.bad-schema."""
    fields = closed(head, value, "by", "ground", "since", "skid")
    if not is_member_handle(head.subject[0].partition("/")[0]):
        raise Rejected("json.bad-schema", "revoke: only addresses of members have keys to revoke")
    check_subject(head, head.subject[0], "identity")
    return Revoke(
        head=head,
        by=fields.one_of("by", REVOKED_BY),
        ground=fields.matching("ground", HANDLE),
        skid=fields.binary("skid", 32),
        since=fields.integer("since"),
    )


def _check_member_subject(head: Head, word: str) -> None:
    if not is_member_handle(head.subject[0]):
        raise Rejected("json.bad-schema", f"{head.type}: the subject must be a member")
    check_subject(head, head.subject[0], word)


def build_status(
    *,
    net: bytes,
    handle: str,
    move: Move,
    ground: str,
    document: bytes = ZERO32,
    names: bytes = b"",
    until: int = 0,
    after: bytes,
    not_after: int,
) -> bytes:
    """Body that moves `handle`; `after` is `Directory.last_hash(handle, "status")`.

    Raises Refused directory.bad-statement.
    """
    rest: dict[str, Json] = {
        "document": b64(document),
        "ground": ground,
        "move": move.value,
        "names": b64(names),
        "until": until,
    }
    return write_body(net, Head("status", (handle, "status"), after, not_after), rest, read_status)


def build_suspend(
    *, net: bytes, handle: str, ground: str, document: bytes, until: int, not_after: int
) -> bytes:
    """Body that suspends `handle` until `until` (UTC ms). Raises Refused directory.bad-statement."""
    head = Head("suspend", (handle, "status"), ZERO32, not_after)
    rest: dict[str, Json] = {"document": b64(document), "ground": ground, "until": until}
    return write_body(net, head, rest, read_suspend)


def build_rotate(
    *, net: bytes, handle: str, keys: PublicKeys, next_keys: bytes, after: bytes, not_after: int
) -> bytes:
    """Body that replaces the keys of `handle` by `keys`; `next_keys` is the commitment to those after them.

    `after` is `Directory.last_hash(handle, "identity")`. Raises Refused directory.bad-statement.
    """
    head = Head("rotate", (handle, "identity"), after, not_after)
    return write_body(net, head, {"keys": keys.to_json(), "next": b64(next_keys)}, read_rotate)


def build_recover(
    *,
    net: bytes,
    handle: str,
    keys: PublicKeys,
    next_keys: bytes,
    revoke: PublicKey,
    after: bytes,
    not_after: int,
) -> bytes:
    """Body that gives `handle` new keys without the old ones; arguments as in `build_rotate`.

    Raises Refused directory.bad-statement.
    """
    head = Head("recover", (handle, "identity"), after, not_after)
    rest: dict[str, Json] = {
        "keys": keys.to_json(),
        "next": b64(next_keys),
        "revoke": revoke.to_json(),
    }
    return write_body(net, head, rest, read_recover)


def build_veto(
    *, net: bytes, handle: str, names: bytes, keys: PublicKeys | None = None, not_after: int
) -> bytes:
    """Body against the recovery with hash `names`; `keys` reveals the next ones where they sign it.

    Raises Refused directory.bad-statement.
    """
    head = Head("veto", (handle, "identity"), ZERO32, not_after)
    rest: dict[str, Json] = {"keys": keys.to_json() if keys else "", "names": b64(names)}
    return write_body(net, head, rest, read_veto)


def build_revoke(
    *, net: bytes, address: str, by: str, ground: str, skid: bytes, since: int, not_after: int
) -> bytes:
    """Body that revokes the signing key `skid` of `address`; `by` is OWN, PRINTED or BY_NETWORK.

    Raises Refused directory.bad-statement.
    """
    head = Head("revoke", (address, "identity"), ZERO32, not_after)
    rest: dict[str, Json] = {"by": by, "ground": ground, "since": since, "skid": b64(skid)}
    return write_body(net, head, rest, read_revoke)


# Any: a parser's value is its type's, which `bodies.Body` only knows by its head
MEMBER_PARSERS: Final[Mapping[str, Callable[[Head, Json], Any]]] = {
    "status": read_status,
    "suspend": read_suspend,
    "rotate": read_rotate,
    "recover": read_recover,
    "veto": read_veto,
    "revoke": read_revoke,
}
