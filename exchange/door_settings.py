"""What the node's HTTP door may be told (table `[http]` of config.toml), checked: a mapping in, frozen settings out.

Closed unless it says `open`. Beyond loopback it speaks TLS only: there is no setting that makes it plain there.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Self

from exchange import limits
from exchange.canonical import ADDRESS
from exchange.errors import Refused
from exchange.setting_files import NO_FILE, FileName, check_file_names
from exchange.tlp import parse

PORT: Final = 8480
_HOST: Final = re.compile(r"[A-Za-z0-9.:-]{1,253}\Z")
_TEXTS: Final = ("host", "posts_tlp")
_NUMBERS: Final = {  # least, most
    "port": (0, 65_535),
    "connections": (1, 65_536),
    "connections_per_address": (1, 65_536),
    "head_bytes": (1_024, limits.MAX_HEAD),
    "head_seconds": (1, limits.HEAD_SECONDS),
    "body_seconds": (1, limits.BODY_SECONDS),
    "idle_seconds": (1, 3_600),
    "requests_per_second": (1, 100_000),
}


@dataclass(frozen=True, kw_only=True)
class DoorSettings:
    """Table `[http]`. Seconds, bytes or counts, as each name says; files are named relative to the home."""

    open: bool = False
    host: str = "127.0.0.1"  # an address of this machine
    port: int = PORT  # 0: one that is free
    tls: bool = False  # beyond loopback always
    names: tuple[str, ...] = ()  # under which clients reach it, for its certificate
    # PEM files of a public certificate; empty: one by the node's own authority
    tls_certificate: FileName = NO_FILE
    tls_key: FileName = NO_FILE
    # PEM file: who signs clients' certificates, or these themselves; empty: none are asked for
    client_ca: FileName = NO_FILE
    posts_to: tuple[str, ...] = ()  # addresses that posts go to at once, as alerts; none: they wait as drafts
    posts_tlp: str = ""  # the label of posted objects that carry none; empty: AMBER+STRICT
    connections: int = 512
    connections_per_address: int = 256
    head_bytes: int = limits.MAX_HEAD
    head_seconds: int = limits.HEAD_SECONDS
    body_seconds: int = limits.BODY_SECONDS
    idle_seconds: int = 75
    requests_per_second: int = 500  # of one right of entry; twice as many at once

    @property
    def secure(self) -> bool:
        """Whether it speaks TLS."""
        return self.tls or not is_loopback(self.host)

    @classmethod
    def from_mapping(cls, values: object) -> Self:
        """Settings of a parsed table. Raises Refused settings.invalid, naming the setting; tlp.unknown."""
        if not isinstance(values, Mapping):
            raise _invalid("must be a table")
        known = {one.name: one for one in fields(cls)}
        for name, value in values.items():
            if name not in known:
                raise _invalid(f"{name}: no such setting")
            if name in ("open", "tls") and type(value) is not bool:
                raise _invalid(f"{name}: must be true or false")
            if name in _TEXTS and not isinstance(value, str):
                raise _invalid(f"{name}: must be a text")
            least, most = _NUMBERS.get(name, (0, 0))
            if name in _NUMBERS and (type(value) is not int or not least <= value <= most):
                raise _invalid(f"{name}: an integer {least}..{most}")
        checked = {
            **values,
            "names": _names(values.get("names", ())),
            "posts_to": _addresses(values.get("posts_to", ())),
        }
        _check_host(values.get("host", cls.host))
        if bool(values.get("tls_certificate")) != bool(values.get("tls_key")):
            raise _invalid("tls_certificate and tls_key go together")
        check_file_names(values, cls, table="http: ")
        settings = cls(**checked)
        if settings.posts_tlp:
            parse(settings.posts_tlp)
        if settings.client_ca and not settings.secure:
            raise _invalid("client_ca: certificates of clients need tls = true")
        return settings

    def to_mapping(self) -> dict[str, Any]:
        """What differs from the defaults, as config.toml has it."""
        return {
            one.name: list(value) if isinstance(value, tuple) else value
            for one in fields(self)
            if (value := getattr(self, one.name)) != one.default
        }


def is_loopback(host: str) -> bool:
    """Whether an address is this machine alone."""
    return host == "localhost" or ipaddress.ip_address(host).is_loopback


def _check_host(host: str) -> None:
    try:
        is_loopback(host)
    except ValueError:
        raise _invalid("host: an address of this machine, such as 127.0.0.1 or 0.0.0.0") from None


def _names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(
        isinstance(one, str) and _HOST.match(one) for one in value
    ):
        raise _invalid("names: a list of host names or addresses")
    return tuple(value)


def _addresses(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(
        isinstance(one, str) and ADDRESS.match(one) for one in value
    ):
        raise _invalid("posts_to: a list of addresses, MEMBER or MEMBER/UNIT")
    return tuple(value)


def _invalid(detail: str) -> Refused:
    return Refused("settings.invalid", f"http: {detail}")
