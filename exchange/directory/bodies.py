"""Every type of statement: one parser per type in `PARSERS`, and reading a body by it (docs/protocol.md §9.1-9.14)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from exchange.canonical import Json
from exchange.directory.bodies_base import read_add, read_genesis, read_prekeys
from exchange.directory.bodies_contacts import CONTACT_PARSERS
from exchange.directory.bodies_members import MEMBER_PARSERS
from exchange.directory.bodies_network import NETWORK_PARSERS
from exchange.directory.statements import Head, parse_head
from exchange.errors import Rejected


class Body(Protocol):
    """A statement's value; its class is its type's."""

    @property
    def head(self) -> Head: ...


@dataclass(frozen=True)
class Unknown:
    """A type that this version doesn't know; its further members are anybody's guess."""

    head: Head


def parse_type(head: Head, value: Json) -> Body:
    """The rest of a body by the closed schema of its type. Raises Rejected directory.bad-statement."""
    parser = PARSERS.get(head.type)
    if parser is None:
        return Unknown(head)
    try:
        return parser(head, value)
    except Rejected as fault:
        raise Rejected("directory.bad-statement", fault.detail) from None


def parse_body(body: bytes, net: bytes) -> Body:
    """A body's value. Raises Rejected directory.bad-statement; an unknown type is no fault here."""
    return parse_type(*parse_head(body, net))


# One row per type of statement: its closed schema.
PARSERS: Final[Mapping[str, Callable[[Head, Json], Body]]] = {
    "genesis": read_genesis,
    "add": read_add,
    "prekeys": read_prekeys,
    **MEMBER_PARSERS,
    **NETWORK_PARSERS,
    **CONTACT_PARSERS,
}
