"""What a home's config.toml may say, checked: a mapping in, frozen settings out.

Owns names, defaults, units and ranges. Does not read the file or the environment (the edges do), nor hold a secret.
Nothing here raises a limit of docs/protocol.md §12: a setting may only lower it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any, Self

from exchange import limits
from exchange.alarm import HUB_SECONDS, AlarmSettings
from exchange.canonical import ORIGIN, is_node_address
from exchange.door_settings import DoorSettings
from exchange.errors import Refused
from exchange.retention import RetentionPolicy
from exchange.setting_files import NO_FILE, FileName, check_file_names

MIB = 1024 * 1024
_PROXY = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?/?\Z")
_OWN_MAIL = re.compile(r"[A-Za-z0-9._%+-]{0,64}@[A-Za-z0-9.-]{1,253}\Z")
_MOST_MAILBOXES = 64
_MOST = 2**53 - 1


def _within(least: int, most: int = _MOST) -> dict[str, int]:
    return {"least": least, "most": most}


def _number(default: int, least: int, most: int = _MOST) -> Any:  # noqa: ANN401 - dataclasses.field is typed so
    return field(default=default, metadata=_within(least, most))


@dataclass(frozen=True, kw_only=True)
class HubLimits:
    """Table `[limits]` of a hub. Seconds, bytes or counts, as each name says."""

    connections: int = _number(4096, 1)
    connections_per_address: int = _number(1100, 1)
    handshake_seconds: int = _number(limits.HEAD_SECONDS, 1, limits.HEAD_SECONDS)
    head_bytes: int = _number(limits.MAX_HEAD, 1024, limits.MAX_HEAD)
    head_seconds: int = _number(limits.HEAD_SECONDS, 1, limits.HEAD_SECONDS)
    body_seconds: int = _number(limits.BODY_SECONDS, 1, limits.BODY_SECONDS)
    idle_seconds: int = _number(75, 1, 3600)
    requests_per_second: int = _number(1000, 1)  # of one issuer, twice as many at once
    strangers_per_second: int = _number(
        50, 1
    )  # requests without a valid token of one address, four times at once
    statements_per_day: int = _number(
        1000, 1
    )  # of one member with its units, or one officer; as many at once
    sockets_per_member: int = _number(8, 1)
    quota_envelopes: int = _number(limits.QUOTA_ENVELOPES, 1, limits.QUOTA_ENVELOPES)
    quota_bytes: int = _number(limits.QUOTA_BYTES, 1, limits.QUOTA_BYTES)
    quota_blobs: int = _number(limits.QUOTA_BLOBS, 1, limits.QUOTA_BLOBS)  # attachments of one member
    quota_blob_bytes: int = _number(limits.QUOTA_BLOB_BYTES, 1, limits.QUOTA_BLOB_BYTES)
    free_bytes: int = _number(256 * MIB, 0)  # of the disk; below it no envelope is taken
    socket_bytes: int = _number(limits.SOCKET_BYTES, 65_536, limits.SOCKET_BYTES)
    socket_items: int = _number(limits.SOCKET_ITEMS, 1, limits.SOCKET_ITEMS)
    challenge_seconds: int = _number(limits.CHALLENGE_MS // limits.SECOND_MS, 1, 600)
    auth_seconds: int = _number(limits.HEAD_SECONDS, 1, limits.HEAD_SECONDS)
    settle_seconds: int = _number(30, 0, 3600)
    checkpoint_seconds: int = _number(3600, 1, 3600)
    expiry_seconds: int = _number(15, 1, 3600)
    drain_seconds: int = _number(10, 0, 600)
    released_days: int = _number(7, 1, limits.RETENTION_DAYS)  # after the last receipt of an envelope
    expired_days: int = _number(limits.RETENTION_DAYS, 1, limits.RETENTION_DAYS)  # after its `exp`


@dataclass(frozen=True, kw_only=True)
class HubSettings:
    """config.toml of a hub. `origins` are what members write in tokens; the first one stands in invitations.

    Files are named relative to the home.
    """

    origins: tuple[str, ...]
    host: str = "127.0.0.1"
    port: int = 8443
    tls: bool = True
    tls_certificate: FileName = NO_FILE  # PEM files of a public certificate; empty: one by the hub's own CA
    tls_key: FileName = NO_FILE
    metrics_from: tuple[str, ...] = ()  # addresses besides loopback that may read /metrics
    limits: HubLimits = field(default_factory=HubLimits)
    alarm: AlarmSettings = field(default_factory=partial(AlarmSettings, flash_seconds=HUB_SECONDS))  # [alarm]

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """Settings of a parsed config.toml. Raises Refused settings.invalid, naming the setting."""
        _known(values, [f.name for f in fields(cls)], where="")
        checked = dict(values)
        checked["origins"] = _texts(values, "origins")
        checked["metrics_from"] = _texts(values, "metrics_from")
        _typed(values, "host", str)
        check_file_names(values, cls)
        _typed(values, "tls", bool)
        _typed(values, "port", int)
        if not checked["origins"] or not all(ORIGIN.match(origin) for origin in checked["origins"]):
            raise Refused("settings.invalid", "origins: a list of https://host[:port] in lower case")
        if any(origin.endswith(":443") for origin in checked["origins"]):
            raise Refused("settings.invalid", "origins: the default port 443 is left out")
        if not 0 <= values.get("port", 0) <= 65_535:
            raise Refused("settings.invalid", "port: 0 to 65535")
        if bool(values.get("tls_certificate")) != bool(values.get("tls_key")):
            raise Refused("settings.invalid", "tls_certificate and tls_key go together")
        checked["limits"] = _limits(values.get("limits", {}))
        checked["alarm"] = AlarmSettings.from_mapping(values.get("alarm", {}), flash_seconds=HUB_SECONDS)
        return cls(**checked)


@dataclass(frozen=True, kw_only=True)
class NodeSettings:
    """config.toml of a node. `hub`, `net` and `ca` are written by `join`; the rest is the administrator's.

    `member` is the address whose home it is: `member/unit` in a unit's. Paths are relative to the home. No secret
    stands here: the proxy's password lies in a 0600 file of its own.
    """

    member: str
    hub: str = ""  # origin; empty until the node has joined
    net: str = ""  # network id, b64
    ca: FileName = NO_FILE  # PEM file of the hub's own CA; empty: the machine's public ones
    extra_ca: FileName = NO_FILE  # PEM file of a TLS-inspecting proxy's CA, trusted besides
    proxy: str = ""  # http://host:port
    proxy_login: FileName = NO_FILE  # file with one line, user:password
    websocket: bool = True  # false: long poll only
    own_mail: tuple[str, ...] = ()  # of this member's own people: duty@example.org, or all of @example.org
    retention: RetentionPolicy = field(default_factory=RetentionPolicy)  # table [retention]
    alarm: AlarmSettings = field(default_factory=AlarmSettings)  # table [alarm]
    http: DoorSettings = field(default_factory=DoorSettings)  # table [http]

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """Settings of a parsed config.toml. Raises Refused settings.invalid, naming the setting."""
        _known(values, [f.name for f in fields(cls)], where="")
        for name in ("member", "hub", "net", "proxy"):
            _typed(values, name, str)
        check_file_names(values, cls)
        _typed(values, "websocket", bool)
        if not is_node_address(values.get("member", "")):
            raise Refused("settings.invalid", "member: a handle [a-z0-9-]{2,32}, or member/unit")
        if values.get("hub") and not ORIGIN.match(values["hub"]):
            raise Refused("settings.invalid", "hub: https://host[:port] in lower case")
        if bool(values.get("hub")) != bool(values.get("net")):
            raise Refused("settings.invalid", "hub and net go together")
        if values.get("proxy") and not _PROXY.match(values["proxy"]):
            raise Refused("settings.invalid", "proxy: http://host:port, its login in a file of its own")
        own_mail = _texts(values, "own_mail")
        if len(own_mail) > _MOST_MAILBOXES or not all(_OWN_MAIL.match(each) for each in own_mail):
            raise Refused("settings.invalid", f"own_mail: at most {_MOST_MAILBOXES} of name@host or @host")
        tables = {
            "own_mail": own_mail,
            "retention": RetentionPolicy.from_mapping(values.get("retention", {})),
            "alarm": AlarmSettings.from_mapping(values.get("alarm", {})),
            "http": DoorSettings.from_mapping(values.get("http", {})),
        }
        return cls(**{**values, **tables})


def _limits(values: object) -> HubLimits:
    if not isinstance(values, Mapping):
        raise Refused("settings.invalid", "limits: must be a table")
    known = {f.name: f.metadata for f in fields(HubLimits)}
    _known(values, list(known), where="limits.")
    for name, value in values.items():
        least, most = known[name]["least"], known[name]["most"]
        if type(value) is not int or not least <= value <= most:
            raise Refused("settings.invalid", f"limits.{name}: an integer {least}..{most}")
    return HubLimits(**values)


def _known(values: Mapping[str, Any], names: list[str], *, where: str) -> None:
    for name in values:
        if name not in names:
            raise Refused("settings.invalid", f"{where}{name}: no such setting")


def _typed(values: Mapping[str, Any], name: str, kind: type) -> None:
    if name in values and type(values[name]) is not kind:
        raise Refused("settings.invalid", f"{name}: must be {kind.__name__}")


def _texts(values: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = values.get(name, ())
    if not isinstance(value, list | tuple) or not all(type(text) is str for text in value):
        raise Refused("settings.invalid", f"{name}: must be a list of texts")
    return tuple(value)
