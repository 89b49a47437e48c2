"""Checks of `exchange doctor` on a node's own HTTP door, where config.toml opens it: its address, and its TLS files.

Looks at it as the server does when it starts, which refuses to start for any of these faults; accepts no connection.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from exchange.cli.call import now_ms
from exchange.cli.doctor.checks import FAIL, OK, WARN, Finding, found
from exchange.cli.doctor.line import SOON
from exchange.door_settings import DoorSettings
from exchange.errors import Refused
from exchange.limits import DAY_MS
from exchange.tls import certificate_span, trust_clients

_LOCALHOST: Final = "localhost"


def door(root: Path, settings: DoorSettings, served: str | None) -> Sequence[Finding]:
    """Nothing where it is closed. `served`: where the running server has it open, "" nowhere; None: no server runs."""
    if not settings.open:
        return []
    return [*_address(settings, served), *_certificate(root, settings), *_client_ca(root, settings)]


def _address(settings: DoorSettings, served: str | None) -> list[Finding]:
    """Whether it is open where it should be; where it isn't, whether it could be."""
    wanted = f"{'https' if settings.secure else 'http'}://{_shown(settings.host)}:{settings.port}/"
    if served and _is_there(served, settings):
        return [found("door", OK, "ok", url=served)]
    try:
        _take(settings.host, settings.port)
    except PermissionError:  # a service may be given the right to low ports, which this user lacks
        free = [found("door", WARN, "right", host=settings.host, port=settings.port)]
    except OSError as error:
        facts = {"host": settings.host, "port": settings.port, "why": error.strerror or type(error).__name__}
        free = [found("door", FAIL, "address", **facts)]
    else:
        free = [found("door", OK, "ok", url=wanted)]
    if served is None:
        return free
    # the server that runs has another config.toml in mind than the one that is there now
    other = found("door", WARN, "other", url=served, wanted=wanted) if served else found("door", FAIL, "shut")
    return [other, *(one for one in free if one.state != OK)]


def _is_there(url: str, settings: DoorSettings) -> bool:
    there = urlsplit(url)
    if (there.scheme == "https") is not settings.secure or settings.port not in (0, there.port):
        return False
    return settings.host == _LOCALHOST or ip_address(there.hostname or "") == ip_address(settings.host)


def _take(host: str, port: int) -> None:
    """Bind it as the server would, and let go. Raises OSError.

    Nothing listens on these sockets, and the address may be reused: a server that starts just now gets it all the same.
    """
    for family, kind, protocol, _, address in socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    ):
        try:
            taken = socket.socket(family, kind, protocol)
        except OSError:  # a family that this machine doesn't speak: the server passes over it too
            continue
        with taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                taken.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            taken.bind(address)


def _certificate(root: Path, settings: DoorSettings) -> list[Finding]:
    """A certificate of people's own; one by the node's own authority is renewed by itself."""
    if not settings.secure or not settings.tls_certificate:
        return []
    return [certificate("door-tls", root / settings.tls_certificate, root / settings.tls_key)]


def certificate(name: str, path: Path, key: Path) -> Finding:
    """Whether a server can use these PEM files, and for how long; a finding of this name."""
    now = now_ms()
    try:
        begin, end = certificate_span(path, key)
    except Refused as refused:
        return found(name, FAIL, "file", detail=refused.detail, code=refused.code)
    days = (end - now) // DAY_MS
    facts = {"days": days, "path": path}
    if now < begin:
        return found(name, FAIL, "not-yet", **facts)
    if end <= now:
        return found(name, FAIL, "expired", **facts)
    return found(name, WARN if days < SOON else OK, "soon" if days < SOON else "ok", **facts)


def _client_ca(root: Path, settings: DoorSettings) -> list[Finding]:
    if not settings.client_ca:
        return []
    try:
        trust_clients(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), root / settings.client_ca)
    except Refused as refused:
        return [found("door-tls", FAIL, "file", detail=refused.detail, code=refused.code)]
    return []


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
