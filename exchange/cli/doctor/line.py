"""Checks of `exchange doctor` on the way to the hub, one step after the other: name, connection, proxy, TLS.

The first step that fails ends it: what comes after can't be told. Sends nothing but the proxy's login.
"""

from __future__ import annotations

import base64
import socket
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final
from urllib.parse import urlsplit

from exchange.cli.doctor.checks import FAIL, OK, WARN, Finding, found

STEP: Final = 5.0  # seconds for each step
SOON: Final = 14  # days: a hub renews its own certificate well before
MAX_HEAD: Final = 16_384  # bytes of a proxy's answer
PRINT: Final = 16  # digits of a fingerprint
DAY: Final = 86_400
HTTPS: Final = 443
HTTP: Final = 80
_LOGIN: Final = "407"
# OpenSSL's verify codes (X509_verify_cert_error_string)
_NOT_YET, _EXPIRED, _NAME, _ADDRESS = 9, 10, 62, 64


@dataclass(frozen=True)
class Line:
    """Where the hub is and how it is reached: origin, whom to trust, a proxy and its login ("" for none)."""

    origin: str
    tls: ssl.SSLContext
    proxy: str = ""
    login: tuple[str, str] | None = None


def line(to: Line) -> Sequence[Finding]:
    """What each step finds, up to the first that fails."""
    target = _host_port(to.origin)
    host, port = _host_port(to.proxy) if to.proxy else target
    facts = {"host": host, "port": port}
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return [found("dns", FAIL, "fail", **facts)]
    findings = [found("dns", OK, "ok", address=addresses[0][4][0], **facts)]
    try:
        connection = socket.create_connection((host, port), STEP)
    except OSError as error:
        return [*findings, found("tcp", FAIL, "fail", why=_why(error), **facts)]
    with connection:
        findings.append(found("tcp", OK, "ok", **facts))
        if to.proxy:
            findings.append(_proxy(connection, to, *target))
            if findings[-1].state == FAIL:
                return findings
        return [*findings, _tls(connection, to, target[0])]


def _proxy(connection: socket.socket, to: Line, host: str, port: int) -> Finding:
    facts = {"host": host, "port": port}
    lines = [f"CONNECT {host}:{port} HTTP/1.1", f"Host: {host}:{port}"]
    if to.login:
        login = base64.b64encode(":".join(to.login).encode()).decode("ascii")
        lines.append(f"Proxy-Authorization: Basic {login}")
    try:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        head = b""
        while b"\r\n\r\n" not in head and len(head) < MAX_HEAD:
            part = connection.recv(1)  # no byte of the tunnel itself
            if not part:
                break
            head += part
    except OSError as error:
        return found("proxy", FAIL, "refused", status=_why(error), **facts)
    status = head.split(b"\r\n")[0].decode("ascii", "replace").partition(" ")[2] or "?"
    if status.startswith(_LOGIN):
        return found("proxy", FAIL, "login", **facts)
    if not status.startswith("2"):
        return found("proxy", FAIL, "refused", status=status, **facts)
    return found("proxy", OK, "ok", **facts)


def _tls(connection: socket.socket, to: Line, host: str) -> Finding:
    try:
        with to.tls.wrap_socket(connection, server_hostname=host) as secured:
            ends = ssl.cert_time_to_seconds(str((secured.getpeercert() or {})["notAfter"]))
    except ssl.SSLCertVerificationError as error:
        if error.verify_code in (_NOT_YET, _EXPIRED):
            return found("tls", FAIL, "expired" if error.verify_code == _EXPIRED else "not-yet")
        if error.verify_code in (_NAME, _ADDRESS):
            return found("tls", FAIL, "name", host=host)
        return found("tls", FAIL, "issuer", print=_fingerprint(to))
    except TimeoutError:
        return found("tls", FAIL, "mute", host=host)
    except (OSError, ValueError) as error:
        return found("tls", FAIL, "broken", why=_why(error))
    days = int((ends - time.time()) // DAY)
    return found("tls", WARN if days < SOON else OK, "soon" if days < SOON else "ok", days=days)


def _fingerprint(to: Line) -> str:
    """The beginning of the SHA-256 of the certificate that can't be trusted; "" through a proxy or where it is gone."""
    if to.proxy:
        return ""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # only to name what was refused just now
    host, port = _host_port(to.origin)
    try:
        with (
            socket.create_connection((host, port), STEP) as connection,
            context.wrap_socket(connection, server_hostname=host) as secured,
        ):
            return sha256(secured.getpeercert(binary_form=True) or b"").hexdigest()[:PRINT]
    except OSError:
        return ""


def _host_port(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or (HTTPS if parts.scheme == "https" else HTTP)


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__
