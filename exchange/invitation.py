"""The one-time invitation: what a newcomer needs to find the hub and to pin the network (docs/protocol.md §10)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from exchange.canonical import COUNTRY, HANDLE, ORIGIN, Fields, b64, dumps, is_member_handle, loads, unb64
from exchange.errors import Refused, Rejected

PREFIX: Final = "exchange-invitation-1."
TOKEN_BYTES: Final = 32
_MAX: Final = 16_384  # bytes
_NAMES: Final = ("ca", "checkpoint", "class", "country", "expires", "hub", "member", "net", "token", "v")


@dataclass(frozen=True)
class Invitation:
    """Hub origin, CA (DER, empty for a public one), network id, least checkpoint, secret token; `expires` in ms."""

    net: bytes
    hub: str
    ca: bytes
    size: int
    root: bytes
    member: str
    member_class: str
    country: str
    expires: int
    token: bytes

    def to_line(self) -> str:
        """The line a person is handed. It holds a secret."""
        value = {
            "ca": b64(self.ca),
            "checkpoint": [self.size, b64(self.root)],
            "class": self.member_class,
            "country": self.country,
            "expires": self.expires,
            "hub": self.hub,
            "member": self.member,
            "net": b64(self.net),
            "token": b64(self.token),
            "v": 1,
        }
        return PREFIX + b64(dumps(value))

    def check_time(self, now: int) -> None:
        """Is it still good at `now` (ms)? Raises Refused invitation.expired."""
        if now >= self.expires:
            raise Refused("invitation.expired")

    @classmethod
    def from_line(cls, line: str) -> Invitation:
        """Inverse of `to_line`; white space around it is dropped. Raises Rejected invitation.bad-format."""
        line = line.strip()
        if not line.startswith(PREFIX) or len(line) > _MAX:
            raise Rejected("invitation.bad-format")
        try:
            fields = Fields(
                loads(unb64(line[len(PREFIX) :], field="invitation"), most=_MAX), _NAMES, what="invitation"
            )
            fields.exactly("v", 1)
            member = fields.matching("member", HANDLE)
            if not is_member_handle(member):
                raise Rejected("json.bad-schema", "member: a reserved handle")
            size, root = fields.items("checkpoint", least=2, most=2)
            if type(size) is not int or size < 1:
                raise Rejected("json.bad-schema", "checkpoint: not [size, root]")
            return cls(
                net=fields.binary("net", 32),
                hub=fields.matching("hub", ORIGIN),
                ca=fields.binary("ca"),
                size=size,
                root=unb64(root, size=32, field="checkpoint"),
                member=member,
                member_class=fields.text("class", most=32),
                country=fields.matching("country", COUNTRY),
                expires=fields.integer("expires"),
                token=fields.binary("token", TOKEN_BYTES),
            )
        except Rejected as fault:
            raise Rejected("invitation.bad-format", fault.detail) from fault
