"""The peer of `publish`: NATS JetStream that syncs every write, and clients that say no more than its protocol needs.

Streams and consumers are made with nats-py; what is timed speaks NATS' own text protocol, since a Python client library
would be measured instead of the server.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final, cast

import nats
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, StorageType, StreamConfig

from bench._founded_hub import quiet_port
from bench._publish_meter import Meter, Stored
from bench._publish_ours import ROUND_SECONDS, context_of
from bench._publish_process import child
from bench._publish_socket import connect

START_SECONDS: Final = 30.0
_CONFIG: Final = """\
listen: "127.0.0.1:{port}"
tls {{ cert_file: "{folder}/tls.pem", key_file: "{folder}/tls.pem", handshake_first: true }}
jetstream {{ store_dir: "{folder}/store", sync_interval: always, max_mem: 64MB, max_file: 8GB }}
"""


def program() -> Path:
    """`nats-server` as the benchmarks' requirements install it."""
    return Path(sys.executable).with_name("nats-server")


def version() -> str:
    """What it says of itself."""
    command = [str(program()), "--version"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603 - as installed
    return said.strip().rpartition(" ")[2]


class Wire(asyncio.Protocol):
    """One client connection of NATS: INFO, PING and MSG in, commands out. A subclass overrides `message`."""

    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        self._transport: asyncio.Transport | None = None
        self._data = bytearray()
        self._closing = False

    def message(self, subject: bytes, reply: bytes, payload: bytes) -> None:
        """One message came."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.send(b'CONNECT {"verbose":false,"pedantic":false,"tls_required":true}\r\n')

    def send(self, data: bytes) -> None:
        """Commands, as they are."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        self._data += data
        position = 0
        while (end := self._data.find(b"\r\n", position)) >= 0:
            line = bytes(self._data[position:end])
            if line.startswith(b"MSG "):
                _, subject, _, *reply, size = line.split(b" ")
                stop = end + 2 + int(size)
                if stop + 2 > len(self._data):
                    break
                self.message(
                    subject, reply[0] if reply else b"", bytes(memoryview(self._data)[end + 2 : stop])
                )
                position = stop + 2
                continue
            if line == b"PING":
                self.send(b"PONG\r\n")
            elif line.startswith(b"-ERR"):
                self.meter.fail(ConnectionError(line.decode("latin-1")))
            position = end + 2
        del self._data[:position]

    def close(self) -> None:
        """Hang up."""
        self._closing = True
        if self._transport is not None:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._closing:
            self.meter.fail(exc or ConnectionError("the connection broke"))


class Light(Wire):
    """A subscriber: every message gets an acknowledgement of its own; the last one of a write is itself answered."""

    def __init__(self, meter: Meter, number: int) -> None:
        super().__init__(meter)
        self._stored = Stored(self._acknowledge)
        self._inbox = b"_INBOX.ack%d" % number
        self._subject = b"to.%d" % number

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.send(b"SUB %b 1\r\nSUB %b.* 2\r\n" % (self._subject, self._inbox))

    def message(self, subject: bytes, reply: bytes, payload: bytes) -> None:
        if subject.startswith(self._inbox):
            self.meter.released(int(subject.rpartition(b".")[2]))
            return
        self.meter.came(payload[:8])
        self._stored.owe(reply)

    def _acknowledge(self, owed: list[bytes]) -> None:
        *others, last = owed
        plain = b"".join(b"PUB %b 0\r\n\r\n" % reply for reply in others)
        self.send(plain + b"PUB %b %b.%d 4\r\n+ACK\r\n" % (last, self._inbox, len(owed)))


class Publisher(Wire):
    """Keeps `window` messages in flight; each is answered once it is on the disk."""

    def __init__(self, meter: Meter, payloads: list[bytes], window: int) -> None:
        super().__init__(meter)
        self._left = iter(payloads)
        self._window = window

    def begin(self) -> None:
        """Fill the window."""
        self.send(b"SUB _INBOX.publisher 1\r\n")
        for _ in range(self._window):
            self._publish()

    def _publish(self) -> None:
        payload = next(self._left, None)
        if payload is not None:
            self.meter.sent(payload[:8])
            self.send(b"PUB mail _INBOX.publisher %d\r\n%b\r\n" % (len(payload), payload))

    def message(self, _subject: bytes, _reply: bytes, payload: bytes) -> None:
        if b'"error"' in payload:
            self.meter.fail(RuntimeError(payload.decode("utf-8", "replace")))
        self._publish()


async def run(
    folder: Path, *, recipients: int, messages: int, payload: int, window: int
) -> Mapping[str, float]:
    """One round with a fresh server and store in `folder`."""
    port = _configure(folder)
    # it says when it is ready on stderr only: `_made` waits for it
    script = 'echo started; exec "$0" -c "$1"'
    command = ["/bin/sh", "-c", script, str(program()), str(folder / "nats.conf")]
    with child(command, folder) as (process, _):
        context = context_of(folder / "tls.pem")
        await _made(port, context, recipients)
        meter = Meter(messages, recipients, process.pid)
        clients = [
            await connect(lambda number=number: Light(meter, number), port, context)
            for number in range(recipients)
        ]
        payloads = [n.to_bytes(8) + os.urandom(payload - 8) for n in range(messages)]
        publisher = await connect(lambda: Publisher(meter, payloads, window), port, context)
        meter.start()
        publisher.begin()
        figures = await meter.finish(within=ROUND_SECONDS)
        for client in (*clients, publisher):
            client.close()
        return figures


def _configure(folder: Path) -> int:
    port = quiet_port()
    folder.mkdir(mode=0o700)
    (folder / "nats.conf").write_text(_CONFIG.format(port=port, folder=folder))
    return port


async def _made(port: int, context: ssl.SSLContext, recipients: int) -> None:
    """The stream on the disk, and a durable consumer with explicit acknowledgements a recipient."""
    began = time.monotonic()
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            break
        except OSError:  # it doesn't listen yet, and tells nobody when it does
            if time.monotonic() - began > START_SECONDS:
                raise
            await asyncio.sleep(0.05)
    connection = await nats.connect(
        f"tls://127.0.0.1:{port}", tls=context, tls_handshake_first=True, allow_reconnect=False
    )
    stream = connection.jetstream()
    await stream.add_stream(StreamConfig(name="mail", subjects=["mail"], storage=StorageType.FILE))
    for number in range(recipients):
        await stream.add_consumer(
            "mail",
            ConsumerConfig(
                durable_name=f"member{number}",
                deliver_subject=f"to.{number}",
                deliver_policy=DeliverPolicy.ALL,
                ack_policy=AckPolicy.EXPLICIT,
            ),
        )
    await connection.close()
