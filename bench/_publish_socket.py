"""The least that a WebSocket client over TLS costs: for the light clients of `publish`, ours and the reference hub's.

RFC 6455 as far as these servers use it: whole frames, no extensions. Masks with zeros, which the standard allows.
"""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections.abc import Callable
from typing import Final, TypeVar, cast

TEXT: Final = 1
BINARY: Final = 2
_CLOSE: Final = 8
_PING: Final = 9
_PONG: Final = 10
_END: Final = b"\r\n\r\n"
_KEY: Final = "AAAAAAAAAAAAAAAAAAAAAA=="


class LightSocket(asyncio.Protocol):
    """One WebSocket. A subclass overrides `text` and `binary`; `fault` is set when it ends before `close`."""

    def __init__(self, host: str, path: str, fail: Callable[[Exception], None]) -> None:
        """`fail` is told what ends the connection early."""
        self._request = (
            f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {_KEY}\r\n\r\n"
        )
        self._fail = fail
        self._transport: asyncio.Transport | None = None
        self._open = False
        self._closing = False
        self._data = bytearray()

    def text(self, data: bytes) -> None:
        """A text frame came."""

    def binary(self, data: bytes) -> None:
        """A binary frame came."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request.encode("ascii"))

    def data_received(self, data: bytes) -> None:
        self._data += data
        if not self._open and not self._upgraded():
            return
        position, end = 0, len(self._data)
        while end - position >= 2:
            head, size = self._data[position], self._data[position + 1]
            start = position + 2
            if size >= 126:
                form = ">H" if size == 126 else ">Q"
                start += struct.calcsize(form)
                if start > end:
                    break
                (size,) = struct.unpack_from(form, self._data, position + 2)
            if start + size > end:
                break
            position = start + size
            self._frame(head & 15, bytes(memoryview(self._data)[start:position]))
        del self._data[:position]

    def _upgraded(self) -> bool:
        end = self._data.find(_END)
        if end < 0:
            return False
        if not self._data.startswith(b"HTTP/1.1 101"):
            self._fail(ConnectionError(bytes(self._data[:200]).decode("latin-1")))
            self.close()
        self._open = True
        del self._data[: end + len(_END)]
        return True

    def _frame(self, kind: int, payload: bytes) -> None:
        if kind == BINARY:
            self.binary(payload)
        elif kind == TEXT:
            self.text(payload)
        elif kind == _PING:
            self.send(_PONG, payload)
        elif kind == _CLOSE:
            if not self._closing:
                self._fail(ConnectionError(f"the server closed: {payload!r}"))
            self.close()

    def send(self, kind: int, payload: bytes) -> None:
        """One frame."""
        if self._transport is None or self._transport.is_closing():
            return
        size = len(payload)
        length = (
            bytes([128 | size])
            if size < 126
            else b"\xfe" + struct.pack(">H", size)
            if size < 65_536
            else b"\xff" + struct.pack(">Q", size)
        )
        self._transport.write(b"".join((bytes([128 | kind]), length, bytes(4), payload)))

    def close(self) -> None:
        """Hang up."""
        self._closing = True
        if self._transport is not None:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._closing:
            self._fail(exc or ConnectionError("the connection broke"))


Client = TypeVar("Client", bound=asyncio.Protocol)


async def connect(make: Callable[[], Client], port: int, context: ssl.SSLContext) -> Client:
    """A client on a TLS connection to that port of this machine."""
    loop = asyncio.get_running_loop()
    _, protocol = await loop.create_connection(
        make, "127.0.0.1", port, ssl=context, server_hostname="127.0.0.1"
    )
    return protocol
