"""A session of requests within limits, for a library that has none: time, bytes, no redirects, no other way out.

Owns how one answer is read: header by header and part by part within a time for all of it, up to a size, as it came.
`abort` may be called from another thread: it takes the connections away, and whatever waits on them ends.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final
from urllib.parse import quote

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError

from exchange.errors import Rejected, Unavailable
from exchange.node.feeds.answers import AGENT, CONNECT_SECONDS, READ_SECONDS, Answer, Way, check_status

_PART: Final = 65_536
# Whatever goes wrong on the way, by requests or by what lies under it.
_ON_THE_WAY: Final = (requests.RequestException, HTTPError, OSError, ValueError)


class BoundedSession(requests.Session):
    """One for each run. `clock`: UTC ms."""

    def __init__(
        self,
        way: Way,
        *,
        headers: dict[str, str],
        login: tuple[str, str] | None,
        most_bytes: int,
        seconds: float,
        media: str,
        check: Callable[[bytes], None],
        clock: Callable[[], int],
    ) -> None:
        """`login`: name and password. `seconds`: for one answer. `check(body)` looks at it before anybody else does.

        `media`: what any JSON is given out as, to a library that insists on one spelling.
        """
        super().__init__()
        self.trust_env = False  # no proxy, password or authority that somebody left in the environment
        self.headers.update({"User-Agent": AGENT, "Accept-Encoding": "identity", **headers})
        self.auth = login
        # a server could set others with each page, for ever
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._most = most_bytes
        self._seconds = seconds
        self._media = media
        self._check = check
        self._clock = clock
        self._lock = threading.Lock()
        self._newest: socket.socket | None = None
        self._aborted = threading.Event()
        self.last = Answer(b"", {})  # the last good answer
        if way.proxy:
            self.proxies = {"https": _with_login(way)}
        adapter = _Adapter(way.tls, self._opened)
        self.mount("https://", adapter)
        self.mount("http://", adapter)

    def abort(self) -> None:
        """End what is under way, for good."""
        self._aborted.set()
        with self._lock, contextlib.suppress(OSError):  # it may have ended by itself
            if self._newest is not None:
                self._newest.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of everything."""
        super().close()
        with self._lock:
            if self._newest is not None:
                self._newest.close()

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Nowhere: to know what comes next, the library would read the whole body of a redirect, whatever its size."""
        del resp

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """One request within the limits; its whole body is in the response.

        Raises Unavailable feed.unreachable, feed.certificate, feed.late, feed.busy; Refused feed.denied,
        feed.not-there; Rejected feed.redirect, feed.bad-answer, feed.too-large; and what `check` raises.
        """
        kwargs |= {
            "stream": True,
            "allow_redirects": False,
            "timeout": (CONNECT_SECONDS, READ_SECONDS),
        }
        end = time.monotonic() + self._seconds
        if self._aborted.is_set():
            raise Unavailable("feed.late")
        try:
            answer = super().send(request, **kwargs)
        except requests.exceptions.SSLError as error:
            raise Unavailable("feed.certificate") from error
        except _ON_THE_WAY as error:
            raise self._lost(error) from error
        headers = {name.lower(): value for name, value in answer.headers.items()}
        try:
            check_status(answer.status_code, headers, now=self._clock())
            if headers.get("content-encoding", "identity").lower() != "identity":
                raise Rejected("feed.bad-answer", "the body is encoded, which was not asked for")
            if "json" not in headers.get("content-type", "").lower():
                raise Rejected("feed.bad-answer", "the answer isn't JSON")
            body = self._body(answer, end)
        finally:
            answer.close()
        self._check(body)
        answer._content = body  # noqa: SLF001 - requests has no other way to give a response the body that was read
        answer._content_consumed = True  # noqa: SLF001 - same
        answer.headers["Content-Type"] = self._media
        self.last = Answer(body, headers)
        return answer

    def _body(self, answer: requests.Response, end: float) -> bytes:
        parts, size = [], 0
        try:
            while part := answer.raw.read1(_PART, decode_content=False):
                size += len(part)
                if size > self._most:
                    raise Rejected("feed.too-large", f"the answer has more than {self._most} bytes")
                if time.monotonic() > end:
                    raise Unavailable("feed.late", f"the answer took longer than {self._seconds:g} s")
                parts.append(part)
        except _ON_THE_WAY as error:
            raise self._lost(error) from error
        return b"".join(parts)

    def _lost(self, error: Exception) -> Unavailable:
        if self._aborted.is_set():
            return Unavailable("feed.late")
        return Unavailable("feed.unreachable", type(error).__name__)

    def _opened(self, connection: socket.socket) -> None:
        """Keep a second hold on the newest connection, also while TLS or a proxy begin on it; requests go in turn."""
        with self._lock:
            before, self._newest = self._newest, connection.dup()
        if before is not None:
            before.close()
        if self._aborted.is_set():
            self.abort()


class _Adapter(HTTPAdapter):
    """Connections that `opened` is told of, with our own context for TLS."""

    def __init__(self, tls: ssl.SSLContext, opened: Callable[[socket.socket], None]) -> None:
        self._tls = tls
        self._pools = _pools(opened)
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._tls, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:  # noqa: ANN401 - as requests has it
        """By our context, and by nobody that requests brings along."""
        del url, verify, cert
        conn.cert_reqs = "CERT_REQUIRED"

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:  # noqa: ANN401 - as requests has it
        manager = super().proxy_manager_for(proxy, ssl_context=self._tls, **kwargs)
        manager.pool_classes_by_scheme = self._pools
        return manager


def _pools(opened: Callable[[socket.socket], None]) -> dict[str, type[HTTPConnectionPool]]:
    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            connection = super()._new_conn()
            opened(connection)
            return connection

    class Secure(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            connection = super()._new_conn()
            opened(connection)
            return connection

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


def _with_login(way: Way) -> str:
    if way.login is None:
        return way.proxy
    scheme, _, rest = way.proxy.partition("://")
    user, password = (quote(each, safe="") for each in way.login)
    return f"{scheme}://{user}:{password}@{rest}"
